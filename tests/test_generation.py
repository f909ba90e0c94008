"Faces from a bundle, the files that hold them, the pictures and the command line."
import json
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from latentfaces.bundle import load_bundle
from latentfaces.cli import main
from latentfaces.cli import SAMPLERS
from latentfaces.generation import PLAIN, generate_faces, make_sampler, reencoding_error, walk_between, walk_plane, write_faces
from latentfaces.pca import LatentPCA
from latentfaces.plots import face_grid, plot_cloud, plot_ellipse, plot_faces
from latentfaces.sampling import EllipticSampler, GaussianSampler


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


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
    with pytest.raises(ValueError, match="at least 1"): generate_faces(tiny_bundle, n=n)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "flow"])
def test_every_named_sampler_draws(tiny_bundle, name):
    faces, z = generate_faces(tiny_bundle, make_sampler(name, 3, 0.7), 4, random_state=0)
    assert faces.shape == (4, 16, 16, 3) and z.shape == (4, 4) and faces.min() >= 0 and faces.max() <= 1


def test_the_command_knows_every_sampler():
    from latentfaces.flow import FlowSampler
    assert isinstance(make_sampler("flow"), FlowSampler)
    assert set(SAMPLERS) == {"elliptic", "sequential", "gaussian", "mixture", "flow", *PLAIN}


def test_make_sampler_passes_its_arguments_on():
    sampler = make_sampler("sequential", 0.5, 0.6)
    assert (sampler.n_components, sampler.factor, sampler.method) == (0.5, 0.6, "sequential")
    assert make_sampler("gaussian", factor=0.6).truncation == 0.6


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


def cloud(seed=0, n=400, d=6):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.normal(0, 5, d)


def lengths(vectors, z):
    precision, off = np.linalg.inv(np.cov(z.T)), vectors - z.mean(0)
    return np.sqrt(np.einsum("ni,ij,nj->n", off, precision, off))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(6)), st.floats(0.1, 9), st.sampled_from([("principal", False), ("latent", True)]))
def test_circles_have_the_mahalanobis_length_of_their_radius(seed, order, radius, way):
    z = cloud(seed)
    circle = walk_plane(LatentPCA().fit(z), order[:2], radius, np.arange(0, 360, 20), *way)
    assert circle.shape == (18, 6) and lengths(circle, z) == pytest.approx(radius, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(6)))
def test_walks_of_two_latent_components_stay_on_the_pairs_ellipse(seed, order):
    z, pair = cloud(seed), list(order[:2])
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
    z = cloud(seed)
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
    ((np.ones(3), np.zeros(3), 1), "at least 2 vectors"), ((np.ones(3), np.zeros(3), 2.5), "at least 2 vectors")])
def test_bad_walks_between(arguments, message):
    with pytest.raises(ValueError, match=message): walk_between(*arguments)


def test_reencoding_error_is_the_way_back_and_grows_outside():
    bundle = load_bundle()
    z = bundle.z[:20].astype(float)
    error = reencoding_error(bundle, z)
    np.testing.assert_allclose(error, np.linalg.norm(bundle.encode(bundle.decode(z)) - z, axis=1), rtol=1e-4)
    mean = bundle.z.mean(0, dtype=float)
    assert error.max() < np.median(reencoding_error(bundle, mean + 4 * (z - mean)))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 23), st.integers(1, 9), st.integers(0, 4), st.integers(1, 6))
def test_every_face_is_in_the_grid_at_its_place(n, columns, gap, size):
    faces = np.random.default_rng(n).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    grid = face_grid(faces, columns, gap)
    for i, face in enumerate(faces):
        top, left = gap + i // columns * (size + gap), gap + i % columns * (size + gap)
        np.testing.assert_array_equal(grid[top:top + size, left:left + size], face)
    assert grid.shape[0] == -(-n // columns) * (size + gap) + gap


def test_float_faces_are_rounded_not_cut():
    assert (face_grid(np.full((1, 2, 2, 3), 0.999), gap=0) == 255).all() and (face_grid(np.full((1, 2, 2, 3), 1.7), gap=0) == 255).all()


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (4, 4, 3), (2, 4, 4), (2, 4, 4, 1)])
def test_arrays_that_are_no_faces_are_refused(shape):
    with pytest.raises(ValueError, match="expected faces"): face_grid(np.zeros(shape))


def test_ellipse_has_the_covariance_as_its_equation():
    covariance = np.array([[4, 1.5], [1.5, 1]])
    ellipse = plot_ellipse([1, 2], covariance, 2.2, plt.subplots()[1])
    border = ellipse.get_path().vertices[:-1]
    border = ellipse.get_patch_transform().transform(border[np.isclose(np.hypot(*border.T), 1)]) - [1, 2]
    distances = np.sqrt(np.einsum("ij,jk,ik->i", border, np.linalg.inv(covariance), border))
    np.testing.assert_allclose(distances, 2.2, rtol=1e-6)


def test_plots_draw_into_the_axis_they_are_given():
    ax = plt.subplots()[1]
    points = np.random.default_rng(0).normal(size=(50, 2))
    assert plot_cloud(points, points[:3], ax=ax) is ax and len(ax.lines) == 2 and len(ax.patches) == 1
    assert plot_faces(np.zeros((3, 4, 4, 3)), columns=2, row_labels=["a", "b"], ax=ax) is ax


def run(*args):
    return subprocess.run([sys.executable, "-m", "latentfaces", *map(str, args)], capture_output=True, text=True)


def test_command_writes_the_same_vectors_as_the_function(tiny_bundle, tmp_path):
    done = run("generate", "--bundle", tiny_bundle.path, "--count", 6, "--seed", 4, "--components", 2, "--factor", 0.6, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "faces.png") in done.stdout and str(tmp_path / "faces.npz") in done.stdout
    with np.load(tmp_path / "faces.npz") as file: written = file["z"]
    np.testing.assert_array_equal(written, generate_faces(tiny_bundle, EllipticSampler(n_components=2, factor=0.6), 6, 4)[1])


@pytest.mark.parametrize("options, message", [
    (["--factor", "0"], "factor"), (["--components", "999"], "999"), (["--count", "0"], "at least 1"), (["--bundle", "nowhere"], "not there")])
def test_command_answers_bad_input_with_one_sentence(options, message, capsys, tmp_path):
    assert main(["generate", "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("latentfaces: ") and message in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--sampler", "magic"], ["--components", "many"], ["--seed", "x"]])
def test_command_refuses_options_it_does_not_know(options, capsys):
    with pytest.raises(SystemExit) as stop: main(["generate", *options])
    assert stop.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["generate"], ["train"]])
def test_help_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop: main([*command, "--help"])
    assert stop.value.code == 0
    assert "faces" in capsys.readouterr().out


def test_train_command_without_images_says_what_it_looked_for(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "bundle")]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err and not (tmp_path / "bundle").exists()


def test_train_command_leaves_nothing_when_the_size_does_not_divide(face_folder, tmp_path, capsys):
    assert main(["train", "--quiet", "--data", str(face_folder), "--out", str(tmp_path / "bundle"), "--size", "50"]) == 2
    assert "use 48 or 64" in capsys.readouterr().err and not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("seed", ["-1", "1.5", "x", ""])
def test_a_bad_seed_is_named(seed, capsys):
    with pytest.raises(SystemExit): main(["generate", "--seed", seed])
    assert f"argument --seed: expected a whole number of at least 0, got {seed!r}" in capsys.readouterr().err
