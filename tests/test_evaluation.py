"Measures against closed forms, SciPy and Monte Carlo; their invariances; tables, files and the command; bad input."
import csv
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from math import comb
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist

from clouds import cloud
from latentfaces import cli
from latentfaces.bundle import Bundle, mismatched_images, load_bundle
from latentfaces.drawn import synthetic_faces
from latentfaces.evaluation import (
    FEATURES, Features, attribute_shares, build_reference, check_features, check_table_path, density_and_coverage, evaluate, extrapolated_frechet,
    format_table, frechet_distance, frechet_from_moments, kernel_distance, load_features, load_reference, memorisation, nearest_distances, reference_for,
    save_features, standard_error, train_attribute_network, variety, write_table)
from latentfaces.densities import BlendSampler, EigenfaceSampler
from latentfaces.sampling import SAMPLERS, GaussianSampler, make_sampler

MEASURES = [frechet_distance, extrapolated_frechet, kernel_distance, lambda x, y: density_and_coverage(x, y, k=2), variety,
            lambda x, y: memorisation(x, y, np.asarray(y) + 1)]


def rotation(d, seed=0): return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


class TestFrechet:
    @pytest.mark.parametrize("n, m, d", [(200, 300, 1), (200, 300, 2), (500, 400, 30), (150, 90, 64)])
    def test_agrees_with_scipys_matrix_root(self, n, m, d):
        x, y = cloud(n, d, 1), cloud(m, d, 2)
        a, b = np.cov(x.T).reshape(d, d), np.cov(y.T).reshape(d, d)
        expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
        assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)

    def test_commuting_covariances_have_a_closed_form(self):
        rng, axes = np.random.default_rng(0), rotation(12)
        s, t, mean = rng.random(12), rng.random(12), rng.standard_normal(12)
        found = frechet_from_moments(np.zeros(12), axes * s**2 @ axes.T, mean, axes * t**2 @ axes.T)
        assert found == pytest.approx((mean**2).sum() + ((s - t) ** 2).sum())

    def test_singular_covariances(self):
        x = np.zeros((50, 40))
        x[:, :3] = cloud(50, 3)
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-5)
        assert frechet_distance(x, np.zeros((5, 40))) == pytest.approx((x.mean(0) ** 2).sum() + np.trace(np.cov(x.T)))
        few, many = cloud(10, 40, 1), cloud(300, 40, 2)
        assert frechet_distance(few, many) == pytest.approx(frechet_distance(many, few), rel=1e-6)

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60), m=st.integers(2, 60), d=st.integers(1, 20), scale=st.floats(1e-3, 1e3))
    def test_invariances(self, seed, n, m, d, scale):
        x, y, turn = cloud(n, d, seed), cloud(m, d, seed + 1), rotation(d, seed)
        found = frechet_distance(x, y)
        close = dict(rel=1e-5, abs=1e-5 * (np.trace(np.cov(x.T).reshape(d, d)) + 1))
        assert found >= 0
        assert frechet_distance(y, x) == pytest.approx(found, **close)
        assert frechet_distance(x @ turn + 5, y @ turn + 5) == pytest.approx(found, **close)
        assert frechet_distance(scale * x, scale * y) / scale**2 == pytest.approx(found, **close)
        assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=close["abs"])

    def test_extrapolation_removes_the_bias_that_falls_like_one_over_n(self):
        plain, limit = np.array([[(frechet_distance(x, y), extrapolated_frechet(x, y, random_state=i))] for i in range(10)
                                 for x, y in [np.random.default_rng(i).standard_normal((2, 400, 30))]]).reshape(-1, 2).mean(axis=0)
        assert plain > 0.5 and abs(limit) < 0.1 * plain

    def test_extrapolation_keeps_a_true_distance(self):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((3000, 10)), rng.standard_normal((3000, 10)) * 2 + 1
        assert extrapolated_frechet(x, y) == pytest.approx(20, rel=0.05)


class TestKernelDistance:
    def test_by_hand(self):
        x, y = np.array([[1.0, 0], [2, 1]]), np.array([[0.0, 3], [1, 1]])
        k = lambda a, b: (a @ b / 2 + 1) ** 3
        cross = np.mean([k(a, b) for a in x for b in y])
        assert kernel_distance(x, y) == pytest.approx(k(*x) + k(*y) - 2 * cross)

    def test_is_unbiased(self):
        rng = np.random.default_rng(0)
        values = [kernel_distance(*rng.standard_normal((2, 60, 8)), n_subsets=1) for _ in range(300)]
        assert abs(np.mean(values)) < 4 * np.std(values) / 300**0.5 and min(values) < 0

    def test_of_a_shift_in_one_dimension(self):
        # for x ~ N(0, 1), y ~ N(t, 1) and k = (xy + 1)^3: squared differences of the moments 1 to 3, with weights 3, 3, 1
        t, rng = 0.7, np.random.default_rng(1)
        x, y = rng.standard_normal((4000, 1)), rng.standard_normal((4000, 1)) + t
        assert kernel_distance(x, y, n_subsets=25) == pytest.approx(3 * t**2 + 3 * t**4 + (t**3 + 3 * t) ** 2, rel=0.15)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), d=st.integers(1, 10))
    def test_invariances(self, seed, n, d):
        x, y, turn = cloud(n, d, seed), cloud(n, d, seed + 1), rotation(d, seed)
        found = kernel_distance(x, y)
        assert kernel_distance(y, x) == pytest.approx(found, rel=1e-6, abs=1e-6)
        assert kernel_distance(x @ turn, y @ turn) == pytest.approx(found, rel=1e-6, abs=1e-6)
        assert kernel_distance(x, y, n_subsets=2, random_state=3) == kernel_distance(x, y, n_subsets=2, random_state=3)


class TestDensityAndCoverage:
    @pytest.mark.parametrize("n, m, k", [(300, 300, 5), (200, 600, 5), (400, 100, 3), (150, 150, 1)])
    def test_expected_values_of_equal_distributions(self, n, m, k):
        rng = np.random.default_rng(0)
        found = np.array([density_and_coverage(rng.standard_normal((n, 4)), rng.standard_normal((m, 4)), k) for _ in range(40)])
        error = found.std(axis=0) / 40**0.5
        # the first k of a picture's n - 1 + m neighbours are all real
        expected = 1, 1 - comb(n - 1, k) / comb(n - 1 + m, k)
        assert np.all(abs(found.mean(axis=0) - expected) < 4 * error)

    def test_by_brute_force(self):
        real, fake = cloud(70, 5, 1), cloud(1200, 5, 1)[:900]
        radii = np.sort(cdist(real, real), axis=1)[:, 3]
        inside = cdist(fake, real) <= radii
        assert density_and_coverage(real, fake, 3) == pytest.approx((inside.sum() / (3 * 900), inside.any(axis=0).mean()))

    def test_blocks_make_no_difference(self):
        real, fake = cloud(1300, 3, 1), cloud(1100, 3, 1)
        whole = cdist(fake, real) <= np.sort(cdist(real, real), axis=1)[:, 5]
        assert density_and_coverage(real, fake) == pytest.approx((whole.sum() / 5500, whole.any(axis=0).mean()))

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(6, 50), d=st.integers(1, 10), scale=st.floats(1e-3, 1e3))
    def test_invariances(self, seed, n, d, scale):
        real, fake, turn = cloud(n, d, seed), cloud(n, d, seed + 1), rotation(d, seed)
        found = density_and_coverage(real, fake)
        assert density_and_coverage(scale * real @ turn, scale * fake @ turn) == pytest.approx(found)
        assert density_and_coverage(real, np.concatenate([fake, fake])) == pytest.approx(found)
        assert 0 <= found[1] <= 1 and found[0] <= n / 5

    def test_far_away_is_nothing(self): assert density_and_coverage(cloud(50, 3), cloud(50, 3) + 1e4) == (0, 0)


class TestVarietyAndCopies:
    def test_variety_is_the_mean_pairwise_distance(self):
        x, y = cloud(700, 6, 1), cloud(50, 6, 2)
        assert variety(x, y) == pytest.approx(pdist(x).mean() / pdist(y).mean())
        assert variety(3 * y + 1, y) == pytest.approx(3)

    def test_nearest_distances_agree_with_scipy_in_features_and_pixels(self):
        x, y = cloud(30, 6, 1), cloud(2100, 6, 2)
        assert nearest_distances(x, y) == pytest.approx(cdist(x, y).min(axis=1))
        images = synthetic_faces(12, size=16)[0]
        flat = images.reshape(12, -1) / 255
        assert nearest_distances(images[:4], images[4:]) == pytest.approx(cdist(flat[:4], flat[4:]).min(axis=1), rel=1e-4)

    def test_copies_are_counted(self):
        rng = np.random.default_rng(0)
        train, new, fresh = (rng.standard_normal((n, 20)) for n in (1500, 2000, 2000))
        assert memorisation(fresh, train, new)["copies"] == pytest.approx(0.01, abs=0.012)
        assert memorisation(fresh, train, new)["nearest"] == pytest.approx(1, abs=0.02)
        mixed = np.concatenate([fresh[:900], train[:100]])
        assert memorisation(mixed, train, new)["copies"] == pytest.approx(0.11, abs=0.012)
        assert memorisation(train, train, new)["copies"] == 1


def test_attribute_shares_by_hand():
    found = attribute_shares([[1, 1, 0]] * 3 + [[0, 1, 0]], [[1, 0, 0], [1, 1, 0]], ("a", "b", "c"))
    assert found == {"b": (1, 0.5), "a": (0.75, 1), "c": (0, 0)} and list(found) == ["b", "a", "c"]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("bad, error", [(np.zeros(5), ValueError), (np.zeros((0, 3)), ValueError), (np.full((9, 3), np.nan), ValueError),
                                        (np.full((9, 3), np.inf), ValueError), (np.zeros((9, 2)), ValueError), (np.array([["a"] * 3] * 9), TypeError),
                                        (np.zeros((9, 3), complex), TypeError), (np.zeros((9, 0)), ValueError)])
def test_bad_features_get_one_sentence(measure, bad, error):
    good = cloud(9, 3)
    with pytest.raises(error, match="^expected [^\n]+$"): measure(bad, good)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("change", [lambda x: np.asfortranarray(x), lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x.tolist()])
def test_layout_makes_no_difference(measure, change):
    x, y = cloud(40, 3, 1), cloud(30, 3, 2)
    assert measure(change(x), change(y)) == pytest.approx(measure(x, y))


def test_integers_are_numbers():
    x = np.random.default_rng(0).integers(0, 255, (40, 3), dtype=np.uint8)
    assert frechet_distance(x, x[:20]) == pytest.approx(frechet_distance(x.astype(float), x[:20].astype(float)))
    assert check_features(x).dtype == np.float64


@pytest.mark.parametrize("call, says", [(lambda: density_and_coverage(cloud(5, 2), cloud(5, 2), 5), "k between 1 and 4"), (lambda: variety(cloud(9, 2), np.ones((9, 2))), "that differ"),
                                        (lambda: memorisation(cloud(9, 2), cloud(9, 2), cloud(9, 2)), "not among the training"), (lambda: nearest_distances(cloud(9, 2), np.zeros((0, 2))), "got none")])
def test_impossible_questions(call, says):
    with pytest.raises(ValueError, match=says): call()


# ---------------------------------------------------------------------------------------------------------------- features

def test_the_shipped_features_are_small_whole_and_of_the_pretrained_bundle():
    files = sorted(path.name for path in FEATURES.iterdir())
    assert files == ["attributes.keras", "config.json", "model_card.md", "reference.npz"]
    assert all((FEATURES / name).stat().st_size < 5e6 for name in files)
    reference = load_reference()
    assert list(reference.names) == list(load_bundle().names) and reference.images == ()
    assert reference.train.shape == (8500, 128) and reference.held_out.shape == (500, 128) and reference.seen.shape == (8500, 40)


def test_the_shipped_reference_on_real_images(celeba):
    from latentfaces.images import load_images
    from latentfaces.labels import load_attributes
    images, names = load_images(celeba, limit=600, return_names=True, progress=False)
    reference, features = load_reference(), Features()
    kept = np.isin(names, reference.names)
    found, seen = features.see(images[kept])
    row = {name: i for i, name in enumerate(reference.names)}
    rows = [row[name] for name in np.asarray(names)[kept]]
    assert np.abs(found - reference.train[rows]).max() < 0.02
    assert (seen == reference.seen[rows]).mean() > 0.999
    truth = load_attributes(celeba).loc[np.asarray(names)[~kept]].values
    assert (features.see(images[~kept])[1] == truth).mean() > 0.86


def test_features_do_not_depend_on_batches_type_or_company():
    faces, _ = synthetic_faces(258, size=64)
    features = Features()
    whole = features(faces)
    assert np.abs(features(faces[:3]) - whole[:3]).max() < 1e-4
    assert np.abs(features(faces / np.float32(255)) - whole).max() < 1e-4
    assert features(faces[:2, ::2, ::2]).shape == (2, 128)


def test_networks_of_your_own(tmp_path):
    import keras
    maps = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(5, 3)])
    maps.save(tmp_path / "maps.keras")
    faces, _ = synthetic_faces(4, size=16)
    zero_to_one, wide = load_features(tmp_path / "maps.keras"), load_features(tmp_path / "maps.keras", (-1, 1))
    kernel, bias = (np.asarray(w) for w in maps.get_weights())
    by_hand = sum((faces / 255.0)[:, i:14 + i, j:14 + j] @ kernel[i, j] for i in range(3) for j in range(3)).mean(axis=(1, 2)) + bias
    assert zero_to_one(faces) == pytest.approx(by_hand, abs=1e-5) and zero_to_one.see(faces)[1] is None
    assert wide(faces) == pytest.approx(2 * by_hand - kernel.sum(axis=(0, 1, 2)) - bias, abs=1e-5)
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match="does not load"): Features(tmp_path / "broken.keras")
    with pytest.raises(ValueError, match="takes images"): Features(keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)]))


def test_the_same_seed_trains_the_same_network():
    faces, known = synthetic_faces(96, size=16)
    first, again, other = (train_attribute_network(faces, known.values, epochs=1, batch_size=32, random_state=seed, n_features=4, filters=(4, 8)) for seed in (0, 0, 1))
    outputs = [np.asarray(network(faces / np.float32(255))["features"]) for network in (first, again, other)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])


# ------------------------------------------------------------------------------------------------------------------- table

@pytest.fixture(scope="module")
def small_world(tiny_bundle, face_folder):
    "Tiny bundle, tiny features, and a reference with images."
    from latentfaces.images import load_images
    from latentfaces.evaluation import build_attribute_network
    features = Features(build_attribute_network(16, 40, 6, (4, 8)))
    images, names = load_images(face_folder, size=16, return_names=True, progress=False)
    return tiny_bundle, features, build_reference(images, names, tiny_bundle, features, progress=False)


def table(world, **options):
    bundle, features, reference = world
    return evaluate(bundle, options.pop("samplers", {"Gaussian": GaussianSampler()}), reference, features=features, **{"n": 40, "progress": False, "n_faces": 5} | options)


def test_a_table_always_has_the_four_rows(small_world):
    rows = table(small_world)
    assert [row["name"] for row in rows] == ["real images", "reconstructions", "mean face", "N(0, I)", "Gaussian"]
    assert rows[2]["variety"] == pytest.approx(0, abs=1e-5) and rows[1]["ratio"] == pytest.approx(1) or rows[1]["ratio"] is None
    assert all(0 <= row["coverage"] <= 1 and row["frechet"] >= 0 and row["n"] <= 54 for row in rows)
    assert rows[4]["copies_pixels"] is not None and rows[0].get("copies_pixels") is None


def test_the_same_seed_gives_the_same_table(small_world):
    first = table(small_world)
    assert first == table(small_world) and first != table(small_world, random_state=1)


def test_rows_may_be_samplers_fitted_or_not_z_vectors_or_images(small_world):
    bundle = small_world[0]
    z = GaussianSampler().fit(bundle.z).sample(40, random_state=0)
    given = {"unfitted": GaussianSampler(), "fitted": GaussianSampler().fit(bundle.z), "vectors": z, "images": bundle.decode(z)}
    rows = table(small_world, samplers=given)[4:]
    for row in rows[1:]: assert row | {"name": ""} == pytest.approx(rows[0] | {"name": ""})


@pytest.mark.parametrize("samplers, names", [
    (["elliptic", "blend"], ["elliptic", "blend"]), ("blend", ["blend"]), (("gaussian",), ["gaussian"]), (BlendSampler(), ["BlendSampler"]),
    ({"two parents": "blend"}, ["two parents"]), ({}, []), (None, [name for name, entry in SAMPLERS.items() if entry.compared_by_default])])
def test_rows_may_be_named(small_world, samplers, names):
    assert [row["name"] for row in table(small_world, samplers=samplers)[4:]] == names


def test_a_name_is_the_sampler_that_it_names(small_world):
    by_name, by_class = table(small_world, samplers=["blend"]), table(small_world, samplers={"blend": BlendSampler()})
    assert by_name == by_class


@pytest.mark.parametrize("samplers, says", [
    (["magic"], "expected one of the samplers"), ([GaussianSampler()], "expected names of samplers, a sampler or a dict"), (3, "expected names"), (GaussianSampler, "expected names"),
    ({"a": GaussianSampler}, r"call it, GaussianSampler\(\)"), ({"a": None}, "expected"), ({"a": np.zeros((30, 7))}, r"shape \(n, 4\)"), ({"a": np.full((30, 4), np.nan)}, "NaN"),
    ({"a": GaussianSampler().fit(cloud(50, 7))}, r"shape \(n, 4\)"), ({"a": np.full((30, 4, 4, 3), 7.0)}, r"in \[0, 1\]"), ({"a": "magic"}, "expected one of the samplers")])
def test_what_is_no_sampler_is_refused_before_the_work(small_world, samplers, says):
    bundle, _, _ = small_world
    class Never:
        def see(self, images): raise AssertionError("worked")
    with pytest.raises((ValueError, TypeError), match=f"^[^\n]*{says}[^\n]*$"): evaluate(bundle, samplers, features=Never(), progress=False)


def test_a_sampler_of_images_has_a_row_when_it_is_fitted(small_world):
    class Eigenfaces(EigenfaceSampler): learns_from = "images"
    images = small_world[2].images[0][np.arange(60)]
    fitted = Eigenfaces(5).fit(images)
    named, drawn = table(small_world, samplers={"eigenfaces": fitted, "images": fitted.sample(40, random_state=0)})[4:]
    assert named | {"name": ""} == pytest.approx(drawn | {"name": ""})
    with pytest.raises(TypeError, match="learns from images, not from z-points: call its fit first"): table(small_world, samplers={"a": Eigenfaces()})


def test_the_table_says_how_sure_the_share_of_faces_is(small_world):
    rows = table(small_world, n_faces=40)
    for row in rows[1:2] + rows[3:]: assert row["faces_error"] == standard_error(row["faces"], 40)
    assert rows[0]["faces_error"] is None is rows[2]["faces_error"] and "error" in format_table(rows)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_standard_errors_are_those_of_repeated_counts(share):
    counts = np.random.default_rng(0).binomial(400, share, 20_000) / 400
    assert standard_error(share, 400) == pytest.approx(counts.std(), rel=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_are_not_certain(share): assert 1 / 400 < standard_error(share, 200) < 1.2 / 200


def test_other_images_of_the_same_names_are_refused(small_world, face_folder, tmp_path):
    from PIL import Image
    bundle, features, _ = small_world
    assert len(reference_for(bundle, face_folder, features, progress=False).train) == 108
    for i, face in enumerate(synthetic_faces(120, size=16, random_state=99)[0]): Image.fromarray(face).save(tmp_path / f"{i:03d}.png")
    with pytest.raises(ValueError, match="got others under 108 of their names, such as [0-9]+.png"): reference_for(bundle, tmp_path, features, progress=False)


def changed_config(bundle, encoder=True, **data):
    "A bundle with other data in its config, in memory, with or without its encoder."
    config = bundle.config | {"data": {name: value for name, value in (bundle.config["data"] | data).items() if value is not None}}
    return Bundle(bundle.z, bundle.names, config, bundle.encoder if encoder else None, bundle.decoder)


@pytest.mark.parametrize("fingerprint, images_are", [("right", "accepted"), ("0" * 32, "encoded"), (None, "encoded")])
def test_the_fingerprint_is_asked_before_the_encoder(fingerprint, images_are, small_world, face_folder, monkeypatch):
    bundle, features, _ = small_world
    asked = []
    monkeypatch.setattr("latentfaces.evaluation.mismatched_images", lambda *args: asked.append(1) or mismatched_images(*args))
    bundle = changed_config(bundle, **{} if fingerprint == "right" else {"fingerprint": fingerprint})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(reference_for(bundle, face_folder, features, progress=False).train) == 108
    assert bool(asked) == (images_are == "encoded")


@pytest.mark.parametrize("fingerprint, says", [("0" * 32, "another fingerprint"), (None, "no fingerprint"), ("right", None)])
def test_without_an_encoder_what_cannot_be_compared_is_said_once(fingerprint, says, small_world, face_folder):
    bundle, features, _ = small_world
    bundle = changed_config(bundle, encoder=False, **{} if fingerprint == "right" else {"fingerprint": fingerprint})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(reference_for(bundle, face_folder, features, progress=False).train) == 108
    found = [str(warning.message) for warning in caught]
    assert len(found) == (says is not None) and all(f"without an encoder and with {says}: make sure" in text for text in found)


@pytest.mark.parametrize("missing", [("size",), ("crop",), ("size", "crop")])
def test_what_the_config_does_not_say_the_decoder_does(missing, small_world, face_folder):
    bundle, features, reference = small_world
    config = {name: value for name, value in bundle.config.items() if name not in missing}
    for decoder in (bundle.decoder, lambda z: bundle.decode(z)):
        found = reference_for(Bundle(bundle.z, bundle.names, config, bundle.encoder, decoder), face_folder, features, progress=False)
        np.testing.assert_allclose(found.train, reference.train, atol=1e-5)
    with pytest.raises(ValueError, match="got z-points without one"): reference_for(Bundle(bundle.z, bundle.names), face_folder, features, progress=False)


@pytest.mark.parametrize("n", [30, 100])
def test_the_bar_ends_where_its_total_is(n, small_world, monkeypatch):
    class Bar:
        def __init__(self, total): self.total, self.n = total, 0
        def __enter__(self): return self
        def __exit__(self, *error): pass
        def update(self, steps=1): self.n += steps
        def set_description(self, text): pass
    bars = []
    monkeypatch.setattr("latentfaces.evaluation.progress_bar", lambda *args, total, **options: bars.append(Bar(total)) or bars[-1])
    table(small_world, n=n, samplers={"Gaussian": GaussianSampler(), "vectors": small_world[0].z[:25]})  # 54 reconstructions, 25 vectors
    assert bars[0].n == bars[0].total > 0


def test_reconstructions_come_from_the_half_that_is_not_the_yardstick(small_world):
    from latentfaces.evaluation import _sources, _yardstick
    bundle, _, reference = small_world
    by = _yardstick(reference, bundle, 0)
    _, z = next(_sources(bundle, {}, by, 1000, 0))
    assert len(z) == len(by.other) == 54
    np.testing.assert_array_equal(np.sort(z, axis=0), np.sort(bundle.z[np.isin(bundle.names, reference.names[by.other])], axis=0))


@pytest.mark.parametrize("n", [0, 19, -5, 2.5, True, "many"])
def test_too_few_pictures(small_world, n):
    with pytest.raises((ValueError, TypeError), match="n must be a whole number of at least 20"): table(small_world, n=n)
    with pytest.raises(ValueError, match="n_faces must be a whole number of at least 1"): table(small_world, n_faces=0)


def test_the_shipped_reference_is_refused_where_it_does_not_fit(tiny_bundle):
    with pytest.raises(ValueError, match="pass data"): reference_for(tiny_bundle)
    assert reference_for(load_bundle()) is load_reference()
    with pytest.raises(ValueError, match="got none of them"): build_reference(synthetic_faces(3, size=16)[0], ["x", "y", "z"], tiny_bundle, lambda x: x)


def test_without_held_out_images_copies_are_left_out(small_world):
    bundle, features, reference = small_world
    rows = evaluate(bundle, {}, reference._replace(held_out=reference.held_out[:0]), n=30, progress=False, features=features, n_faces=3)
    assert "copies" not in rows[1] and "copies" not in format_table(rows)


def test_tables_are_written_whole_or_not_at_all(tmp_path):
    rows = [{"name": "a, b", "n": 3, "frechet": 1.5, "ratio": None}, {"name": "c", "n": 4, "frechet": 2.25, "ratio": None}]
    with (write_table(rows, tmp_path / "t.csv")).open(newline="") as file: found = list(csv.DictReader(file))
    assert found == [{"name": "a, b", "n": "3", "frechet": "1.5"}, {"name": "c", "n": "4", "frechet": "2.25"}]
    assert json.loads(write_table(rows, tmp_path / "t.json").read_text())[1] == {"name": "c", "n": 4, "frechet": 2.25}
    with pytest.raises(TypeError): write_table([{"name": object(), "n": 1}], tmp_path / "bad.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.json"]
    assert format_table(rows).splitlines()[1].split() == ["a,", "b", "3", "1.50"]
    assert [line.split() for line in format_table(rows, 12).splitlines()] == [["n"], ["a,", "b", "3"], ["c", "4"], [], ["Fréchet"], ["a,", "b", "1.50"], ["c", "2.25"]]
    with pytest.raises(ValueError, match="ends in .csv or .json"): check_table_path(tmp_path / "t.txt")
    assert write_table(rows, tmp_path / "new" / "t.csv").is_file()
    with pytest.raises(NotADirectoryError, match="which is none"): check_table_path(tmp_path / "t.csv" / "t.csv")


def test_a_table_goes_through_links_and_pipes(tmp_path):
    rows, link, pipe, read = [{"name": "a", "n": 3}], tmp_path / "link.csv", tmp_path / "pipe.csv", []
    link.symlink_to("there.csv")
    assert write_table(rows, link) == link and link.is_symlink() and (tmp_path / "there.csv").read_text() == "name,n\na,3\n"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_table(rows, pipe)
    reader.join(10)
    assert read == ["name,n\na,3\n"] and pipe.is_fifo()


def test_saved_features_are_read_again(tmp_path, small_world):
    bundle, features, reference = small_world
    seen = np.random.default_rng(0).random((len(reference.train), 40)) < 0.3
    save_features(tmp_path / "f", features.network, reference._replace(seen=seen), ("a",) * 40, {})
    with np.load(tmp_path / "f" / "reference.npz") as file:
        assert np.abs(file["train"].astype(float) - reference.train).max() < 2e-3 * np.abs(reference.train).max()
        np.testing.assert_array_equal(np.unpackbits(file["seen"], axis=1, count=40), seen)
        assert list(file["names"]) == list(reference.names)


def test_a_network_is_saved_whole_or_not_at_all(tmp_path, small_world):
    _, features, reference = small_world
    good = reference._replace(seen=np.zeros((len(reference.train), 40), bool))
    save_features(tmp_path, features.network, good, ("a",) * 40, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    class Full:
        def save(self, path):
            Path(path).write_bytes(b"half")
            raise OSError("No space left on device")
    with pytest.raises(OSError, match="No space left"): save_features(tmp_path, Full(), good, ("a",) * 40, {})
    with pytest.raises(TypeError): save_features(tmp_path, features.network, reference._replace(seen=None), ("a",) * 40, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ----------------------------------------------------------------------------------------------------------------- command

def test_the_command_on_your_own_images(tiny_bundle, face_folder, tmp_path, capsys):
    out = tmp_path / "table.json"
    assert cli.main(["evaluate", "--bundle", str(tiny_bundle.path), "--data", str(face_folder), "--sampler", "gaussian:0.5", "--n", "30", "--quiet", "--out", str(out)]) == 0
    assert [row["name"] for row in json.loads(out.read_text())][4:] == ["gaussian:0.5"]
    shown = capsys.readouterr()
    assert "gaussian:0.5" in shown.out and "copies" in shown.out and shown.err == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp932"])
def test_the_table_is_written_and_shown_on_any_terminal(encoding, tiny_bundle, face_folder, tmp_path):
    out = tmp_path / "table.csv"
    done = subprocess.run([sys.executable, "-m", "latentfaces", "evaluate", "--bundle", tiny_bundle.path, "--data", face_folder, "--sampler", "gaussian",
                           "--n", "20", "--quiet", "--out", out], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True)
    assert done.returncode == 0 and b"Fr?chet" in done.stdout and out.read_text().startswith("name,n,frechet,"), done.stderr


@pytest.mark.parametrize("options, samplers", [
    ([], {name: make_sampler(name) for name, entry in SAMPLERS.items() if entry.compared_by_default}),
    (["--sampler", "gaussian:0.5", "--sampler", "blend", "--components", "3"], {"gaussian:0.5": make_sampler("gaussian", factor=0.5, n_components=3), "blend": make_sampler("blend")}),
    (["--sampler", "gaussian:"], {"gaussian": make_sampler("gaussian")}), (["--components", "0.5", "--sampler", "sequential"], {"sequential": make_sampler("sequential", n_components=0.5)})])
def test_the_rows_of_the_command(options, samplers):
    rows = cli._rows(cli.parser().parse_args(["evaluate", *options]))
    assert {label: repr(row) for label, row in rows.items()} == {label: repr(row) for label, row in samplers.items()}
