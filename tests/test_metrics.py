"Measures against closed forms, SciPy and Monte Carlo; their invariances; bad input."
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist

from clouds import cloud
from latentfaces.bundle import load_bundle
from latentfaces.drawn import synthetic_faces
from latentfaces.metrics import (
    attribute_shares, density_and_coverage, diversity, face_rate, frechet_distance, frechet_extrapolated, is_face, kernel_distance, memorisation,
    nearest_distances, pixel_spread, sharpness, standard_error)
from latentfaces.moments import Moments

MEASURES = [frechet_distance, frechet_extrapolated, kernel_distance, lambda x, y: density_and_coverage(x, y, k=2), diversity,
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
        white = rng.standard_normal((500, 12))
        white = np.linalg.qr(white - white.mean(0))[0] * 499**0.5  # mean 0, covariance 1
        found = frechet_distance(white * s @ axes.T, white * t @ axes.T + mean)
        assert found == pytest.approx((mean**2).sum() + ((s - t) ** 2).sum())

    def test_moments_serve_as_well_as_vectors(self):
        x, y = cloud(300, 6, 1), cloud(200, 6, 2)
        merged = Moments().partial_fit(x[:100]) + Moments().partial_fit(x[100:])
        assert frechet_distance(merged, Moments().partial_fit(y)) == pytest.approx(frechet_distance(x, y), rel=1e-9)

    @pytest.mark.parametrize("scale", [1e-80, 1e-30, 1e30, 1e80])
    def test_moments_of_any_scale(self, scale):
        x, y = cloud(60, 4, 1), cloud(50, 4, 2)[:, ::-1] * [1, 1, 0, 1]
        found = frechet_distance(Moments().partial_fit(x * scale), Moments().partial_fit(y * scale))
        assert found / scale**2 == pytest.approx(frechet_distance(x, y), rel=1e-6)

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
        plain, limit = np.array([[(frechet_distance(x, y), frechet_extrapolated(x, y, random_state=i))] for i in range(10)
                                 for x, y in [np.random.default_rng(i).standard_normal((2, 400, 30))]]).reshape(-1, 2).mean(axis=0)
        assert plain > 0.5 and abs(limit) < 0.1 * plain

    def test_extrapolation_keeps_a_true_distance(self):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((3000, 10)), rng.standard_normal((3000, 10)) * 2 + 1
        assert frechet_extrapolated(x, y) == pytest.approx(20, rel=0.05)


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


class TestDiversityAndCopies:
    def test_diversity_is_the_mean_pairwise_distance(self):
        x, y = cloud(700, 6, 1), cloud(50, 6, 2)
        assert diversity(x, y) == pytest.approx(pdist(x).mean() / pdist(y).mean())
        assert diversity(3 * y + 1, y) == pytest.approx(3)

    def test_nearest_distances_agree_with_scipy_in_features_and_pixels(self):
        x, y = cloud(30, 6, 1), cloud(2100, 6, 2)
        assert nearest_distances(x, y) == pytest.approx(cdist(x, y).min(axis=1))
        images = synthetic_faces(12, size=16)[0]
        flat = images.reshape(12, -1) / 255
        assert nearest_distances(images[:4], images[4:]) == pytest.approx(cdist(flat[:4], flat[4:]).min(axis=1), rel=1e-4)

    def test_copies_are_counted(self):
        rng = np.random.default_rng(0)
        train, new, fresh = (rng.standard_normal((n, 20)) for n in (1500, 2000, 2000))
        assert memorisation(fresh, train, new).copies == pytest.approx(0.01, abs=0.012)
        assert memorisation(fresh, train, new).nearest == pytest.approx(1, abs=0.02)
        mixed = np.concatenate([fresh[:900], train[:100]])
        assert memorisation(mixed, train, new).copies == pytest.approx(0.11, abs=0.012)
        assert memorisation(train, train, new).copies == 1


def test_attribute_shares_by_hand():
    samples = pd.DataFrame([[1, 1, 0]] * 3 + [[0, 1, 0]], columns=list("abc"))
    found = attribute_shares(samples, pd.DataFrame([[1, 0, 0], [1, 1, 0]], columns=list("abc")))
    expected = pd.DataFrame({"samples": [1, 0.75, 0], "real": [0.5, 1, 0], "difference": [0.5, -0.25, 0]}, list("bac"))
    pd.testing.assert_frame_equal(found, expected)


def test_attributes_are_matched_by_name_and_probabilities_are_counted():
    real = pd.DataFrame({"a": [True, False], "b": [True, True]})
    probable = pd.DataFrame({"b": [0.4, 0.6], "a": [0.51, 0.9]})
    found = attribute_shares(probable, real)
    assert found.loc["a", "samples"] == 1 and found.loc["a", "real"] == 0.5 and found.loc["b", "difference"] == -0.5
    assert list(attribute_shares([[1, 0]], [[0, 0]]).index) == [0, 1]


@pytest.mark.parametrize("samples", [pd.DataFrame({"a": [1], "c": [0]}), pd.DataFrame({"a": [1]}), [[1, 0]], [[1, 0, 1]]])
def test_other_attributes_are_refused(samples):
    with pytest.raises(ValueError, match="^expected [^\n]+ the same[^\n]+$"): attribute_shares(samples, pd.DataFrame({"a": [0], "b": [1]}))


def test_moments_of_other_features_are_refused():
    x, other = (Moments().partial_fit(cloud(9, d)) for d in (3, 4))
    with pytest.raises(ValueError, match="^expected moments of features of the same length, got 3 and 4: [^\n]+$"): frechet_distance(x, other)
    for pair in ((x, cloud(9, 3)), (cloud(9, 3), x)):
        with pytest.raises(TypeError, match="^expected the (first|second) features to be real numbers[^\n]+$"): frechet_distance(*pair)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_standard_errors_are_those_of_repeated_counts(share):
    counts = np.random.default_rng(0).binomial(400, share, 20_000) / 400
    assert standard_error(share, 400) == pytest.approx(counts.std(), rel=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_are_not_certain(share): assert 1 / 400 < standard_error(share, 200) < 1.2 / 200


class TestPictures:
    def test_a_repeated_face_passes_every_time_and_has_no_spread(self):
        face = np.repeat(load_bundle().decode(load_bundle().z.mean(axis=0, keepdims=True)), 3, axis=0)
        assert face_rate(face) == 1 and is_face(face).all() and pixel_spread(face) == pytest.approx(0, abs=1e-6)

    def test_noise_is_no_face(self): assert not is_face(np.random.default_rng(0).random((4, 64, 64, 3))).any()

    def test_spread_and_sharpness_by_hand(self):
        rng = np.random.default_rng(0)
        assert pixel_spread(rng.random((2000, 8, 8, 3))) == pytest.approx(12**-0.5, abs=0.01)
        images = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
        assert pixel_spread(images) == pytest.approx(pixel_spread(images / 255), rel=1e-5)
        stripes = np.zeros((1, 8, 8, 3))
        stripes[:, ::2] = 1
        assert sharpness(stripes) == pytest.approx(4)

    @pytest.mark.parametrize("shape, says", [((3, 8, 8), "a single image needs"), ((3, 2, 8, 3), "at least 3 x 3 pixels")])
    def test_bad_images(self, shape, says):
        with pytest.raises(ValueError, match=says): sharpness(np.zeros(shape))


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


@pytest.mark.parametrize("call, says", [(lambda: density_and_coverage(cloud(5, 2), cloud(5, 2), 5), "k between 1 and 4"), (lambda: diversity(cloud(9, 2), np.ones((9, 2))), "that differ"),
                                        (lambda: memorisation(cloud(9, 2), cloud(9, 2), cloud(9, 2)), "not among the training"), (lambda: nearest_distances(cloud(9, 2), np.zeros((0, 2))), "got none")])
def test_impossible_questions(call, says):
    with pytest.raises(ValueError, match=says): call()
