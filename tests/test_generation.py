"Faces from a bundle, and the files that hold them."
import json

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clouds import cloud
from latentfaces.bundle import Bundle, load_bundle
from latentfaces.cli import main
from latentfaces.core import read_arrays, to_uint8
from latentfaces.densities import EigenfaceSampler
from latentfaces.generation import generate_faces, generate_vectors, reencoding_error, walk_between, walk_plane, write_faces
from latentfaces.pca import LatentPCA
from latentfaces.pictures import face_picture, face_sheet
from latentfaces.sampling import SAMPLERS, EllipticSampler, GaussianSampler


def test_same_seed_same_faces_and_their_z(tiny_bundle):
    faces, z = generate_faces(tiny_bundle, n=5, random_state=1)
    again, z_again = generate_faces(tiny_bundle, n=5, random_state=1)
    np.testing.assert_array_equal(faces, again)
    np.testing.assert_array_equal(z, z_again)
    np.testing.assert_allclose(tiny_bundle.decode(z), faces, atol=1e-6)
    assert np.abs(generate_faces(tiny_bundle, n=5, random_state=2)[1] - z).max() > 1e-3


def test_a_fitted_sampler_is_used_as_it_is_and_an_unfitted_one_left_alone(tiny_bundle):
    shifted = GaussianSampler().fit(tiny_bundle.z.astype(float) + 100)
    assert generate_faces(tiny_bundle, shifted, 20, 0)[1].mean() > 50
    fresh = EllipticSampler(n_components=2)
    generate_faces(tiny_bundle, fresh, 2, 0)
    assert not hasattr(fresh, "n_features_in_")


def test_faces_of_a_sampler_for_other_dimensions_are_refused(tiny_bundle):
    other = GaussianSampler().fit(np.random.default_rng(0).normal(size=(50, 3)))
    with pytest.raises(ValueError, match=r"\(n, 4\)"): generate_faces(tiny_bundle, other, 2)


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_a_wrong_count_is_refused(tiny_bundle, n):
    with pytest.raises((ValueError, TypeError), match="at least 1"): generate_faces(tiny_bundle, n=n)


@pytest.mark.parametrize("source", ["mybundle", None, 3, {}, EllipticSampler])
def test_what_is_neither_bundle_nor_decoder_is_refused(source):
    with pytest.raises(TypeError, match="^expected a bundle or a decoder, got [^\n]+: load_bundle reads a bundle's folder$"): generate_faces(source)


def patches(z):
    "A decoder that is a plain function: patches of the colour that three numbers say."
    return np.clip(z[:, None, None, :3] / 4 + 0.5, 0, 1) * np.ones((1, 8, 8, 1), np.float32)


def test_any_function_is_a_decoder(tiny_bundle):
    sampler = GaussianSampler().fit(tiny_bundle.z)
    faces, z = generate_faces(patches, sampler, 300, 0)
    np.testing.assert_array_equal(z, generate_faces(tiny_bundle, sampler, 300, 0)[1])
    np.testing.assert_allclose(faces, patches(z), atol=1e-6)


@pytest.mark.parametrize("sampler", [None, "gaussian", GaussianSampler(), GaussianSampler])
def test_a_bare_decoder_has_nothing_to_fit_a_sampler_to(sampler):
    with pytest.raises(TypeError, match=r"expected a fitted sampler, .* call its fit\(z\), or pass Bundle"): generate_faces(patches, sampler)


@pytest.mark.parametrize("decoder, says", [(lambda z: 255 * patches(z), r"wrap it, lambda z: decoder\(z\) / 255$"), (lambda z: z, "of shape"),
                                           (lambda z: patches(z) - patches(z).min() - 1, r"wrap it, lambda z: \(decoder\(z\) \+ 1\) / 2$"),
                                           (lambda z: np.moveaxis(patches(z), -1, 1), r"np.moveaxis\(decoder\(z\), 1, -1\)$"),
                                           (lambda z: np.repeat(patches(z), 2, axis=0), "of shape")])
def test_decoders_that_make_no_images_are_refused(decoder, says, tmp_path):
    with pytest.raises(ValueError, match=says): generate_faces(decoder, GaussianSampler().fit(cloud()), 20, 0)
    with pytest.raises(ValueError, match=says): write_faces(tmp_path / "new", decoder, cloud(), {})
    assert not (tmp_path / "new").exists()


class Tensor:
    "A stand-in for tensors that must be detached before they become arrays."
    def __init__(self, array): self.array = array
    def detach(self): return self
    def numpy(self): return self.array


@pytest.mark.parametrize("decoder", [lambda z: patches(z) * (1 + 1e-7), lambda z: np.rint(255 * patches(z)).astype(np.uint8),
                                     lambda z: Tensor(patches(z)), lambda z: patches(z).tolist()])
def test_a_bare_decoder_paints_as_in_a_bundle(decoder, tmp_path):
    z = cloud(n=300).astype(np.float32)
    faces, vectors = generate_faces(decoder, GaussianSampler().fit(z), 300, 0)
    inside = Bundle(z, decoder=decoder)
    np.testing.assert_array_equal(faces, inside.decode(vectors))
    assert faces.dtype == np.float32 and faces.max() <= 1
    for name, source in (("bare", decoder), ("inside", inside), ("ready", faces)): write_faces(tmp_path / name, source, vectors, {})
    written = [read_arrays(tmp_path / name / "faces.npz")["faces"] for name in ("bare", "inside", "ready")]
    for one in written: np.testing.assert_array_equal(one, written[0])
    np.testing.assert_allclose(written[0] / 255, patches(vectors), atol=0.003)


def test_a_sampler_of_images_needs_no_decoder(tiny_bundle):
    class Eigenfaces(EigenfaceSampler): learns_from = "images"
    with pytest.raises(TypeError, match="images"): generate_faces(tiny_bundle, Eigenfaces())
    fitted = Eigenfaces(3).fit(np.random.default_rng(0).random((9, 4, 4, 3)))
    with pytest.raises(TypeError, match="draws images: they need no decoder"): generate_faces(tiny_bundle, fitted)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "flow"])
def test_every_named_sampler_draws(tiny_bundle, name):
    faces, z = generate_faces(tiny_bundle, name, 4, random_state=0)
    assert faces.shape == (4, 16, 16, 3) and z.shape == (4, 4) and faces.min() >= 0 and faces.max() <= 1


def test_the_published_setting_on_the_pretrained_bundle_keeps_the_ellipses_and_the_mean():
    bundle = load_bundle()
    _, z = generate_faces(bundle, EllipticSampler(n_components=105, factor=0.8, width="std"), 50, random_state=0)
    pca = LatentPCA().fit(bundle.z)
    x = pca.transform(z) / (0.8 * 2.35 * np.sqrt(pca.explained_variance_))
    two_largest = np.sort(x[:, :105] ** 2, axis=1)[:, -2:].sum(1)
    assert two_largest.max() <= 1.001 and two_largest.max() > 0.5
    assert np.abs(x[:, 105:]).max() < 1e-3


def test_generated_faces_are_unlike_each_other_and_unlike_noise():
    bundle = load_bundle()
    faces, z = generate_faces(bundle, n=16, random_state=3)
    distances = np.linalg.norm(z[:, None] - z[None], axis=2)[np.triu_indices(16, 1)]
    assert distances.min() > 0.3 * np.median(np.linalg.norm(bundle.z - bundle.z.mean(0), axis=1))
    mean_face = bundle.decode(bundle.z.mean(0, keepdims=True))
    noise = bundle.decode(np.random.default_rng(0).uniform(-1.5, 1.5, size=(16, 256)))
    assert ((faces - mean_face) ** 2).mean() < 0.5 * ((noise - mean_face) ** 2).mean()


def test_written_faces_can_be_made_again_from_the_file(tiny_bundle, tmp_path):
    faces, z = generate_faces(tiny_bundle, n=3, random_state=8)
    picture, vectors = write_faces(tmp_path / "a" / "b", faces, z, {"seed": 8})
    with np.load(vectors, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["z"], z)
        assert json.loads(str(file["settings"])) == {"seed": 8}
        assert np.abs(tiny_bundle.decode(file["z"]) - file["faces"] / 255).max() < 0.003
    assert Image.open(picture).size[0] > 48
    assert sorted(p.name for p in picture.parent.iterdir()) == ["faces.npz", "faces.png"]


def test_faces_are_the_same_whether_they_are_decoded_before_or_page_by_page(tiny_bundle, tmp_path):
    faces, z = generate_faces(tiny_bundle, n=900, random_state=2)
    *pages, vectors = write_faces(tmp_path, tiny_bundle, z, {"seed": 2})
    assert [p.name for p in pages] == ["faces-001.png", "faces-002.png", "faces-003.png"]
    with np.load(vectors) as file: np.testing.assert_array_equal(file["faces"], to_uint8(faces))
    for page, start in zip(pages, (0, 400, 800)):
        shown = np.asarray(Image.open(page))[20:]  # below the title
        np.testing.assert_array_equal(shown, face_sheet(faces[start:start + 400], 20))


def test_the_vectors_are_written_before_the_long_work(tmp_path):
    def interrupted(z):
        if len(z) == 1: return patches(z)  # the trial
        assert (tmp_path / "faces.npz").exists()
        raise KeyboardInterrupt
    z = cloud(n=30)
    with pytest.raises(KeyboardInterrupt): write_faces(tmp_path, interrupted, z, {"seed": 1})
    with np.load(tmp_path / "faces.npz") as file: np.testing.assert_array_equal(file["z"], z)
    assert [p.name for p in tmp_path.iterdir()] == ["faces.npz"]


def test_a_decoder_that_does_not_load_leaves_nothing(tiny_bundle, tmp_path, capsys):
    for path in tiny_bundle.path.iterdir(): (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"size": 32}))
    assert main(["generate", "--bundle", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "(32, 32, 3)" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_drawn_leaves_whole_files(tmp_path, monkeypatch):
    import latentfaces.generation as generation
    drawn = []
    def fails(faces, *args, **options):
        drawn.append(len(faces))
        if len(drawn) == 2: raise KeyboardInterrupt
        return face_picture(faces, *args, **options)
    monkeypatch.setattr(generation, "face_picture", fails)
    z = cloud(n=900)
    with pytest.raises(KeyboardInterrupt): write_faces(tmp_path, patches, z, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces-001.png", "faces.npz"]
    with np.load(tmp_path / "faces.npz") as file: assert len(file["faces"]) == 900


@pytest.mark.parametrize("faces, error", [(np.full((3, 4, 4, 3), -0.5), ValueError), (np.full((3, 4, 4, 3), 200.0), ValueError),
                                          (np.full((3, 4, 4, 3), np.nan), ValueError), (np.full((3, 4, 4, 3), 7), TypeError),
                                          (np.zeros((2, 4, 4, 3)), ValueError), (np.zeros((3, 4, 4)), ValueError)])
def test_faces_that_would_wrap_around_are_not_written(faces, error, tmp_path):
    with pytest.raises(error, match="^expected [^\n]+$"): write_faces(tmp_path / "new", faces, np.ones((3, 2)), {})
    assert not (tmp_path / "new").exists()


def test_places_that_cannot_hold_faces_are_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "taken" / "faces.png").mkdir(parents=True)
    def never(z): raise AssertionError("decoded")
    for place, error, says in [("file", NotADirectoryError, "which is none"), ("file/deeper", NotADirectoryError, "which is none"),
                               ("taken", IsADirectoryError, "faces.png")]:
        with pytest.raises(error, match=f"^expected [^\n]*{says}"): write_faces(tmp_path / place, never, cloud(), {})
    with pytest.raises(FileNotFoundError, match="no home folder"): write_faces("~nosuchuser/faces", never, cloud(), {})
    with pytest.raises(TypeError, match="expected a path"): write_faces(None, never, cloud(), {})
    assert list((tmp_path / "taken").iterdir()) == [tmp_path / "taken" / "faces.png"]


def test_a_link_to_a_folder_is_a_folder(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    write_faces(tmp_path / "link", np.zeros((2, 4, 4, 3)), cloud(n=2), {})
    assert (tmp_path / "link").is_symlink() and len(list((tmp_path / "there").iterdir())) == 2


def test_older_pages_go_when_the_new_ones_are_there(tmp_path, monkeypatch):
    import latentfaces.generation as generation
    ours, others = ["faces-001.png", "faces-002.png", "faces-003.png", "faces-1000.png"], ["faces-01.png", "faces-001.png.bak", "faces-abc.png", "my faces-001.png"]
    for name in (*ours, *others): (tmp_path / name).write_text("old")
    (tmp_path / "faces-004.png").mkdir()
    z = cloud(n=900)
    def fail(*args, **kwargs): raise KeyboardInterrupt
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(generation, "face_picture", fail)
        write_faces(tmp_path, patches, z[:20], {})
    assert {*ours, *others} < {p.name for p in tmp_path.iterdir()}
    write_faces(tmp_path, patches, z[:20], {})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["faces.npz", "faces.png", "faces-004.png", *others])
    write_faces(tmp_path, patches, z, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["faces.npz", "faces-004.png", *{*ours[:3], *others}])


def test_large_faces_make_small_pages(tmp_path):
    *pages, _ = write_faces(tmp_path, np.zeros((33, 1024, 1024, 3), np.uint8), cloud(n=33), {})
    assert [Image.open(page).size for page in pages] == [(6 * 1026 + 2, 6 * 1026 + 22), (1028, 1048)]


def lengths(vectors, z):
    precision, off = np.linalg.inv(np.cov(z.T)), vectors - z.mean(0)
    return np.sqrt(np.einsum("ni,ij,nj->n", off, precision, off))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(6)), st.floats(0.1, 9), st.sampled_from([("principal", False), ("latent", True)]))
def test_circles_have_the_mahalanobis_length_of_their_radius(seed, order, radius, way):
    z = cloud(seed=seed)
    circle = walk_plane(LatentPCA().fit(z), order[:2], radius, np.arange(0, 360, 20), *way)
    assert circle.shape == (18, 6) and lengths(circle, z) == pytest.approx(radius, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(6)))
def test_walks_of_two_latent_components_stay_on_the_pairs_ellipse(seed, order):
    z, pair = cloud(seed=seed), list(order[:2])
    pca = LatentPCA().fit(z)
    alone, led = (walk_plane(pca, pair, 2.5, np.arange(0, 360, 30), "latent", follow) for follow in (False, True))
    np.testing.assert_allclose(alone[:, pair], led[:, pair], rtol=1e-6, atol=1e-8)
    assert lengths(alone[:, pair], z[:, pair]) == pytest.approx(2.5, rel=1e-6)
    rest = [i for i in range(6) if i not in pair]
    np.testing.assert_allclose(alone[:, rest], np.tile(z.mean(0)[rest], (12, 1)), atol=1e-9)
    # The regression of the others on the pair, by least squares.
    slopes = np.linalg.lstsq(z[:, pair] - z[:, pair].mean(0), z[:, rest] - z[:, rest].mean(0), rcond=None)[0]
    np.testing.assert_allclose(led[:, rest], z.mean(0)[rest] + (led[:, pair] - z.mean(0)[pair]) @ slopes, rtol=1e-4, atol=1e-6)


def test_lines_and_spirals():
    pca = LatentPCA().fit(cloud())
    line = walk_plane(pca, (1, 4), [0, 1, 3], 90)
    np.testing.assert_allclose(pca.transform(line) / np.sqrt(pca.explained_variance_), np.outer([0, 1, 3], np.eye(6)[4]), atol=1e-9)
    assert walk_plane(pca, (0, 1), [1, 2], [0, 180]).shape == (2, 6) and walk_plane(pca).shape == (1, 6)


@pytest.mark.parametrize("arguments, message", [
    ({"plane": (0, 0)}, "two different numbers from 0 to 5"), ({"plane": (0, 6)}, "two different numbers"), ({"plane": (-1, 2)}, "two different numbers"),
    ({"plane": (0, 1, 2)}, "two different numbers"), ({"coordinates": "polar"}, "got 'polar'")])
def test_bad_planes(arguments, message):
    with pytest.raises(ValueError, match=message): walk_plane(LatentPCA().fit(cloud()), **arguments)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_arcs_keep_the_length_and_lines_are_straight(seed, n):
    z = cloud(seed=seed)
    pca = LatentPCA().fit(z)
    line, arc = (walk_between(z[0], z[1], n, axes) for axes in (None, pca))
    for walk in (line, arc): np.testing.assert_allclose(walk[[0, -1]], z[:2], atol=1e-6)
    np.testing.assert_allclose(np.diff(line, axis=0), np.tile((z[1] - z[0]) / (n - 1), (n - 1, 1)), atol=1e-9)
    assert lengths(arc, z) == pytest.approx(np.linspace(*lengths(z[:2], z), n), rel=1e-4)
    white = pca.transform(arc) / np.sqrt(pca.explained_variance_)
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    steps = np.arccos(np.clip((white[1:] * white[:-1]).sum(1), -1, 1))
    assert steps == pytest.approx(steps.mean(), abs=1e-3), "even steps in angle"


def test_arcs_at_their_limits():
    z = cloud()
    pca, mean = LatentPCA().fit(z), z.mean(0)
    np.testing.assert_allclose(walk_between(z[0], z[0], 4, pca), np.tile(z[0], (4, 1)), atol=1e-9)
    np.testing.assert_allclose(walk_between(mean, z[0], 5, pca), walk_between(mean, z[0], 5), atol=1e-9)
    outward = mean + np.linspace(1, 3, 5)[:, None] * (z[0] - mean)
    np.testing.assert_allclose(walk_between(outward[0], outward[-1], 5, pca), outward, atol=1e-9)
    with pytest.raises(ValueError, match="opposite sides of the mean"): walk_between(2 * mean - z[0], z[0], pca=pca)


def test_arcs_with_a_constant_component_or_few_axes_still_join_the_ends():
    z = np.c_[cloud(), np.full(400, 0.3)]
    for n_components in (None, 2):
        walk = walk_between(z[3], z[4] + np.eye(7)[6], 6, LatentPCA(n_components).fit(z))
        np.testing.assert_allclose(walk[[0, -1]], [z[3], z[4] + np.eye(7)[6]], atol=1e-6)
        np.testing.assert_allclose(walk[:, 6], 0.3 + np.linspace(0, 1, 6), atol=1e-6)


@pytest.mark.parametrize("arguments, message", [
    ((np.ones(3), np.ones(4)), r"got \(3,\) and \(4,\)"), ((np.ones((2, 3)), np.ones((2, 3))), "expected two z-vectors"),
    ((np.ones(3), np.zeros(3), 1), "whole number of at least 2, got 1"), ((np.ones(3), np.zeros(3), 2.5), "whole number of at least 2, got 2.5")])
def test_bad_walks_between(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message): walk_between(*arguments)


def test_reencoding_error_is_the_way_back_and_grows_outside():
    bundle = load_bundle()
    z = bundle.z[:20].astype(float)
    error = reencoding_error(bundle, z)
    np.testing.assert_allclose(error, np.linalg.norm(bundle.encode(bundle.decode(z)) - z, axis=1), rtol=1e-4)
    mean = bundle.z.mean(0, dtype=float)
    assert error.max() < np.median(reencoding_error(bundle, mean + 4 * (z - mean)))


def test_walks_where_scikit_learn_gives_tables():
    z = cloud()
    pca = LatentPCA().fit(z)
    expected = walk_between(z[0], z[1], 3, pca)
    with sklearn.config_context(transform_output="pandas"): assert np.array_equal(walk_between(z[0], z[1], 3, pca), expected)
