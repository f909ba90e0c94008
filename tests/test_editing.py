"A photograph of one's own: framed, encoded, moved and added to; files; and what is said of bad photographs and bad wishes."
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from latentfaces import attribute_directions, edit_face, load_bundle, read_face, synthetic_faces
from latentfaces.bundle import Bundle
from latentfaces.cli import main
from latentfaces.core import to_float
from latentfaces.editing import directions_of, walk_vectors, write_edit
from latentfaces.generation import write_walk
from latentfaces.pictures import ANIMATIONS, captioned_faces, enlarge_faces, face_animation
from strange import BAD_NUMBERS, BAD_POINTS, QUIET, attempt, in_twenty_seconds, refused, told


@pytest.fixture(scope="module")
def bundle(): return load_bundle(None)


@pytest.fixture(scope="module")
def found(bundle): return directions_of(bundle)


@pytest.fixture(scope="module")
def portrait():
    "A drawn portrait on a wider ground, as an array (300, 380, 3)."
    face = synthetic_faces(1, size=200, random_state=3)[0][0]
    wide = np.full((300, 380, 3), face[0, 0], np.uint8)
    wide[60:260, 120:320] = face
    return wide


def as_bytes(picture, kind="JPEG"):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind)
    return out.getvalue()


# ------------------------------------------------------------------------------------------------------- move to scores

def test_scores_are_reached_and_others_kept(bundle, found):
    z = bundle.z[:50]
    moved = found.move_to(z, {"Smiling": 2, "Eyeglasses": np.linspace(-1, 3, 50)}, keep=["Male", "Young"])
    after, before = found.scores(moved), found.scores(z)
    np.testing.assert_allclose(after["Smiling"], 2, atol=1e-6)
    np.testing.assert_allclose(after["Eyeglasses"], np.linspace(-1, 3, 50), atol=1e-6)
    np.testing.assert_allclose(after[["Male", "Young"]], before[["Male", "Young"]], atol=1e-6)


def test_one_score_is_the_plain_move(bundle, found):
    for score in (-2, 3): np.testing.assert_allclose(found.move_to(bundle.z[:9], {"Young": score}), found.move(bundle.z[:9], "Young", score, absolute=True), atol=1e-9)
    held = found.holding("Male")
    np.testing.assert_allclose(found.move_to(bundle.z[:9], {"Young": 1}, ["Male"]), held.move(bundle.z[:9], "Young", 1, absolute=True), atol=1e-6)


def test_it_is_the_most_probable_change(bundle, found):
    "Of all changes with these scores none has a smaller Mahalanobis length: others differ by what no score reads."
    z, rng = bundle.z[:3].astype(float), np.random.default_rng(0)
    change = found.move_to(z, {"Smiling": 2}, ["Male"]) - z
    inverse = np.linalg.inv(bundle.moments.covariance)
    read = found.normals[[found.names.index(name) for name in ("Smiling", "Male")]]
    for _ in range(20):
        other = rng.standard_normal(change.shape)
        other -= other @ np.linalg.pinv(read) @ read
        scale = np.linalg.norm(change) / np.linalg.norm(other)
        for size in (0.3, 0.01):
            longer = change + size * scale * other
            assert (np.einsum("ij,jk,ik->i", longer, inverse, longer) > np.einsum("ij,jk,ik->i", change, inverse, change)).all()


@settings(parent=QUIET, max_examples=30)
@given(st.dictionaries(st.sampled_from(["Smiling", "Male", "Young", "Bald", "Smile", "", 3]), st.sampled_from([0, 2.5, -1e9, np.nan, "2", None, True, [1, 2]]), max_size=3),
       st.lists(st.sampled_from(["Male", "Young", "Nobody", 7]), max_size=3))
def test_any_wish_is_fulfilled_or_refused_in_one_sentence(bundle, found, scores, keep):
    moved = attempt(lambda: found.move_to(bundle.z[:2], scores, keep))
    if moved is not None:
        for name, score in scores.items(): np.testing.assert_allclose(found.scores(moved)[name], score, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", BAD_POINTS)
def test_bad_vectors(bundle, name):
    refused(lambda: edit_face(bundle, BAD_POINTS[name], {"Smiling": 2}))


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=told)
def test_bad_scores(bundle, value):
    attempt(lambda: edit_face(bundle, bundle.z[0], {"Smiling": value}))


# --------------------------------------------------------------------------------------------------------- photographs

def test_path_array_and_pillow_image_are_one(bundle, portrait, tmp_path):
    path = tmp_path / "portrait.png"
    path.write_bytes(as_bytes(portrait, "PNG"))
    z, framed = read_face(path, bundle)
    for source in (str(path), portrait, Image.fromarray(portrait), portrait / 255):
        other, same = read_face(source, bundle)
        assert np.array_equal(other, z) and np.array_equal(same, framed)
    assert framed.shape == (256, 256, 3) and framed.dtype == np.uint8 and z.shape == (256,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["portrait.png"]


def test_the_frame_is_that_of_the_training(bundle, portrait):
    from latentfaces import align_face
    z, framed = read_face(portrait, bundle)
    assert np.array_equal(z, bundle.encode(align_face(portrait, 64, bundle.config["crop"]).image[None])[0])
    shrunk = np.asarray(Image.fromarray(framed).resize((64, 64), Image.Resampling.BOX), float)
    assert np.abs(shrunk - align_face(portrait, 64, bundle.config["crop"]).image).mean() < 4


def test_without_alignment_it_is_the_middle(bundle, portrait):
    _, framed = read_face(portrait, bundle, align=False)
    middle = Image.fromarray(portrait).resize((256, 256), Image.Resampling.BICUBIC, box=(40, 0, 340, 300))
    assert np.array_equal(framed, np.asarray(middle))


def test_several_faces_are_told(bundle, portrait):
    with pytest.warns(UserWarning, match="2 faces were found in the picture: the largest is taken"): read_face(np.concatenate([portrait, portrait], axis=1), bundle)


@settings(parent=QUIET, max_examples=25)
@given(data=st.data())
def test_damaged_photographs(bundle, portrait, tmp_path_factory, data):
    content = bytearray(as_bytes(portrait, data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]))))
    for _ in range(data.draw(st.integers(1, 4))): content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "photograph.jpg"
    path.write_bytes(content[:data.draw(st.integers(0, len(content)))])
    found = attempt(lambda: read_face(path, bundle))
    assert found is None or np.isfinite(found[0]).all()


def test_no_face_no_file_no_picture(bundle, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    cases = {"found none in the picture: cut the face out by hand, and pass align=False": np.full((90, 90, 3), 128, np.uint8),
             "expected an image file, got .*nowhere.jpg, which is none": tmp_path / "nowhere.jpg", "which is none: check the path": tmp_path,
             "not an image that Pillow can read": tmp_path / "text.jpg", "expected one picture": np.zeros((3, 4, 5, 6))}
    for words, source in cases.items():
        with pytest.raises((ValueError, FileNotFoundError), match=words): read_face(source, bundle)


def test_a_wish_that_cannot_be_had_is_said_before_the_photograph_is_read(bundle):
    with pytest.raises(ValueError, match="expected one of the attributes"): edit_face(bundle, "nowhere.jpg", {"Smile": 2})


# --------------------------------------------------------------------------------------------------------------- edits

def test_what_an_edit_does_not_touch_stays(bundle, portrait):
    faces, z = edit_face(bundle, portrait, {"Smiling": 2}, keep=["Male", "Young"])
    assert list(faces) == ["photograph", "as painted", "edited", "edit in the photograph"] and z.shape == (2, 256)
    change = faces["edited"].astype(int) - faces["as painted"]
    assert np.array_equal(faces["edit in the photograph"], (faces["photograph"] + change).clip(0, 255))
    same, _ = edit_face(bundle, portrait, {"Smiling": directions_of(bundle).scores(z[:1])["Smiling"].iloc[0]})
    assert np.abs(same["edit in the photograph"].astype(int) - same["photograph"]).max() <= 1


def test_a_vector_has_no_photograph(bundle):
    faces, z = edit_face(bundle, bundle.z[0], {"Male": -2})
    assert list(faces) == ["as painted", "edited"] and np.array_equal(z[0], bundle.z[0])
    with pytest.raises(ValueError, match="the bundle's 256 components, got 5"): edit_face(bundle, np.zeros(5), {"Male": 1})


def test_directions_of_one_s_own(bundle, tmp_path):
    own = attribute_directions(bundle.z, pd.DataFrame({"right": bundle.z[:, 0] > 0}))
    faces, z = edit_face(bundle, bundle.z[1], {"right": 1}, directions=own)
    assert np.allclose(own.scores(z[1:])["right"], 1, atol=1e-4)
    bare = Bundle(bundle.z[:300], decoder=lambda z: np.zeros((len(z), 8, 8, 3)))
    with pytest.raises(ValueError, match="expected a bundle whose images have attributes, got one without"): edit_face(bare, bundle.z[1], {"right": 1})
    with pytest.raises(TypeError, match="expected Directions, got str"): edit_face(bundle, bundle.z[1], {"right": 1}, directions="right")
    few = attribute_directions(bundle.z[:, :9], pd.DataFrame({"right": bundle.z[:, 0] > 0}))
    refused(lambda: edit_face(bundle, bundle.z[1], {"right": 1}, directions=few))


def test_labels_that_hardly_any_image_has_are_no_directions(bundle):
    labels = pd.DataFrame({"common": np.arange(300) % 2 == 0, "nobody": np.zeros(300, bool), "one": np.arange(300) == 0})
    few = Bundle(bundle.z[:300], decoder=lambda z: np.zeros((len(z), 8, 8, 3)), names=[str(i) for i in range(300)], attributes=labels.set_index(pd.Index([str(i) for i in range(300)])))
    assert directions_of(few).names == ("common",)


# --------------------------------------------------------------------------------------------------------------- walks

def test_walks_have_the_ends_that_were_asked_for(bundle, found):
    a, b = bundle.z[:2]
    for straight in (True, False):
        z = walk_vectors(bundle, a, b, n=7, straight=straight)
        np.testing.assert_allclose(z[[0, -1]], [a, b], atol=1e-4)
    z = walk_vectors(bundle, a, {"Smiling": (-1, 2)}, n=4, keep=["Male"])
    np.testing.assert_allclose(found.scores(z)["Smiling"], [-1, 0, 1, 2], atol=1e-4)
    z = walk_vectors(bundle, a, {"Smiling": 3}, n=4)
    np.testing.assert_allclose(z[0], a, atol=1e-4)
    with pytest.raises(ValueError, match="expected a walk along one attribute, got 2"): walk_vectors(bundle, a, {"Smiling": 1, "Male": 1})


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_an_animation_goes_there_and_back(kind):
    faces = np.array([0, 100, 200, 250], np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    film = Image.open(io.BytesIO(face_animation(faces, kind)))
    assert (film.n_frames, film.size, film.info["loop"]) == (6, (32, 32), 0)
    seen = []
    for i in range(film.n_frames):
        film.seek(i)
        seen.append(np.asarray(film.convert("RGB"), float).mean())
    assert np.allclose(seen, [0, 100, 200, 250, 200, 100], atol=6)


def test_captions_are_cut_where_the_next_face_begins():
    faces = np.full((2, 40, 40, 3), 200, np.uint8)
    picture = captioned_faces(faces, ["a caption that is far too long for it", "short"])
    assert picture.shape == (78, 92, 3) and (picture[48:, 44:48] == 255).all() and (picture[48:, 40:44] < 200).any() and (picture[48:, 48:52] < 200).any()
    assert enlarge_faces(faces, 3).shape == (2, 120, 120, 3)


def test_files_are_whole_and_say_how_they_were_made(bundle, portrait, tmp_path):
    faces, z = edit_face(bundle, portrait, {"Smiling": 2})
    written = write_edit(tmp_path / "new", faces, z, {"Smiling": 2})
    walk = write_walk(tmp_path / "new", bundle, z, {"from": "a"})
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in (*written, *walk)) == ["edit.npz", "edit.png", "edited.png", "walk.npz", "walk.png", "walk.webp"]
    with np.load(tmp_path / "new" / "edit.npz") as file:
        assert np.array_equal(file["z"], z) and json.loads(str(file["settings"])) == {"Smiling": 2} and file["names"].tolist() == list(faces)
    assert np.array_equal(np.asarray(Image.open(written[2]))[2:-2, 2:-2], faces["edit in the photograph"])
    with pytest.raises(ValueError, match="animation must be"): write_walk(tmp_path / "other", bundle, z, {}, animation="mp4")
    refused(lambda: write_walk(tmp_path / "other", bundle, z[:1], {}))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("keep", [None, 5, [["Male"]], "Male", [3], {"Nobody": 1}], ids=told)
def test_bad_names_to_keep(bundle, keep):
    refused(lambda: edit_face(bundle, bundle.z[0], {"Smiling": 1}, keep))
    refused(lambda: walk_vectors(bundle, bundle.z[0], {"Smiling": 1}, keep=keep))


def test_names_to_keep_may_come_one_by_one(bundle, found):
    _, z = edit_face(bundle, bundle.z[0], {"Smiling": 2}, keep=(name for name in ["Male", "Young"]))
    np.testing.assert_allclose(*(found.scores(z)[["Male", "Young"]].to_numpy()), atol=1e-4)


@pytest.mark.parametrize("score", ["2", None, (), (1, 2, 3), np.nan, (0, "x"), 1e9, (-1e300, 0), object()], ids=told)
def test_bad_walks(bundle, score):
    refused(lambda: walk_vectors(bundle, "nowhere.jpg", {"Smiling": score}))
    refused(lambda: walk_vectors(bundle, bundle.z[0], bundle.z[1], n=1))


def test_what_is_no_bundle(bundle, portrait):
    for call in (lambda: edit_face("pretrained", bundle.z[0], {"Male": 1}), lambda: read_face(bundle, portrait), lambda: walk_vectors(None, bundle.z[0], bundle.z[1])): assert "expected a bundle" in refused(call)


def test_half_a_file_of_pillow_s(bundle, portrait):
    for content in (as_bytes(portrait)[:900], as_bytes(portrait, "PNG")[:2000]):
        with Image.open(io.BytesIO(content)) as image: assert "whole picture" in refused(lambda: read_face(image, bundle))


def test_a_crop_with_an_offset_is_that_of_images_for(bundle, portrait, tmp_path):
    from latentfaces.bundle import images_for
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "me.png").write_bytes(as_bytes(portrait, "PNG"))
    seen = []
    def encoder(images): seen.append(images); return np.zeros((len(images), 2), np.float32)
    offset = Bundle(np.zeros((3, 2)), encoder=encoder, config={"size": 16, "crop": [140, 10, -20], "align": False})
    read_face(tmp_path / "folder" / "me.png", offset)
    assert np.array_equal(np.asarray(seen[-1]), to_float(np.asarray(images_for(offset, tmp_path / "folder", progress=False)[0])))


@pytest.mark.parametrize("form", ["grey", "alpha", "turned", "CMYK"])
def test_photographs_of_other_kinds(bundle, portrait, tmp_path, form):
    image, exif, path = Image.fromarray(portrait), Image.Exif(), tmp_path / ("me.png" if form == "alpha" else "me.jpg")
    if form == "turned":
        exif[274] = 6  # to be turned by 90 degrees when it is shown
        image.rotate(90, expand=True).save(path, exif=exif, quality=95)
    else: image.convert({"grey": "L", "alpha": "RGBA", "CMYK": "CMYK"}[form]).save(path)
    z, _ = read_face(path, bundle)
    plain, _ = read_face(portrait, bundle)
    assert np.linalg.norm(z - plain) < (0.6 if form == "grey" else 0.35) * np.linalg.norm(plain - bundle.moments.mean)


def test_what_was_found_of_a_bundle_is_found_again_when_its_points_change(bundle):
    other = Bundle(bundle.z[:4000], decoder=bundle.decoder, encoder=bundle.encoder, names=bundle.names[:4000], attributes=bundle.attributes.iloc[:4000])
    found = directions_of(other)
    assert directions_of(other) is found
    other.z = other.z + 1
    moved = directions_of(other)
    assert moved is not found and np.allclose(moved.mean, found.mean + 1, atol=1e-4) and directions_of(bundle).mean is not moved.mean


def test_too_far_is_told(bundle):
    with pytest.warns(UserWarning, match="the encoder does not know what the decoder paints"): edit_face(bundle, bundle.z[0], {"Smiling": 15})


# -------------------------------------------------------------------------------------------------------- command line

@pytest.fixture
def here(tmp_path, monkeypatch, portrait, bundle):
    monkeypatch.setattr("latentfaces.bundle.load_bundle", lambda path=None: bundle)  # which has found its directions already
    (tmp_path / "me.jpg").write_bytes(as_bytes(portrait))
    (tmp_path / "plain.jpg").write_bytes(as_bytes(np.full((90, 90, 3), 128, np.uint8)))
    np.save(tmp_path / "three.npy", bundle.z[:3])
    np.save(tmp_path / "short.npy", np.zeros((1, 5)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_do_what_the_functions_do(here, bundle, portrait, capsys):
    assert main(["edit", "me.jpg", "--attribute", "Smiling=2", "--attribute", "Eyeglasses=-1", "--keep", "Male,Young", "--out", "o"]) == 0
    _, z = edit_face(bundle, here / "me.jpg", {"Smiling": 2, "Eyeglasses": -1}, ["Male", "Young"])
    with np.load(here / "o" / "edit.npz") as file: assert np.array_equal(file["z"], z)
    assert main(["walk", "o/edit.npz:1", "three.npy:2", "--frames", "5", "--out", "w", "--animation", "gif"]) == 0
    with np.load(here / "w" / "walk.npz") as file: np.testing.assert_allclose(file["z"][[0, -1]], [z[1], bundle.z[2]], atol=1e-4)
    assert main(["walk", "three.npy:0", "--attribute", "Male=-1:1", "--frames", "3", "--out", "w"]) == 0
    assert main(["walk", "me.jpg", "me.jpg", "--straight", "--no-align", "--frames", "2", "--out", "w"]) == 0
    (here / "page.json").write_text(json.dumps({"z": [bundle.z[1].tolist()]}))
    assert main(["walk", "page.json", "three.npy:1", "--frames", "2", "--out", "w"]) == 0
    with np.load(here / "w" / "walk.npz") as file: np.testing.assert_allclose(*file["z"], atol=1e-4)
    directions_of(bundle).save(here / "own.npz")
    assert main(["edit", "me.jpg", "--directions", "own.npz", "--attribute", "Smiling=2", "--keep", "Male, Young", "--keep", "Bald", "--out", "o"]) == 0
    with np.load(here / "o" / "edit.npz") as file:
        assert json.loads(str(file["settings"])) == {"face": "me.jpg", "directions": "own.npz", "scores": {"Smiling": 2.0}, "keep": ["Male", "Young", "Bald"]}
    assert re.search(r"Smiling from -?\d\.\d to 2\nwrote", capsys.readouterr().out)


@pytest.mark.parametrize("words, command", {
    "expected one of the attributes": "edit me.jpg --attribute Smile=2",
    "expected an attribute and its score": "edit me.jpg --attribute Smiling=much",
    "expected each --attribute once": "edit me.jpg --attribute Smiling=1 --attribute Smiling=2",
    "found none in plain.jpg": "edit plain.jpg --attribute Smiling=1",
    "expected an image file, got nowhere.jpg": "edit nowhere.jpg --attribute Smiling=1",
    "expected one face, got 3": "edit three.npy --attribute Smiling=1",
    "expected a row from 0 to 2": "edit three.npy:3 --attribute Smiling=1",
    "256 components, got 5": "edit short.npy --attribute Smiling=1",
    "expected other attributes to keep": "edit me.jpg --attribute Male=1 --keep Male",
    "there is no file": "edit me.jpg --attribute Male=1 --directions nowhere.npz",
    "expected a second face, or one --attribute": "walk me.jpg",
    "got both, none or more": "walk me.jpg me.jpg --attribute Male=1",
    "or one --attribute to walk along": "walk me.jpg --attribute Male=1 --attribute Young=1",
    "expected --straight for a walk between two faces": "walk me.jpg --attribute Male=1 --straight",
    "expected keep and directions for a walk along an attribute": "walk three.npy:0 three.npy:1 --keep Nobody",
    "expected scores from -30 to 30": "edit me.jpg --attribute Male=1e9",
    "one or two scores": "walk me.jpg --attribute Male=1:2:3"}.items())
def test_mistakes_are_one_line_and_leave_nothing(here, capsys, words, command):
    before = sorted(here.iterdir())
    try: status = main(command.split())
    except SystemExit as end: status = end.code
    said = capsys.readouterr().err
    assert status == 2 and words in said and said.count("\n") == 1 and said.startswith("latentfaces: ")
    assert sorted(here.iterdir()) == before
