"Confidence ellipses: against linear algebra, chi-squared and Monte Carlo; contours; vectors inside all tilted ellipses against rejection."
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from latentfaces.ellipses import (ConfidenceEllipse, confidence_ellipse, contour_alignment, density_contours, sample_original_coordinates, n_std_for_level,
                                  pair_density, pair_indices, share_in_ellipses, confidence_level)

moderate = st.floats(0.05, 20)
covariances = st.builds(lambda a, c, r: np.array([[a * a, r * a * c], [r * a * c, c * c]]), moderate, moderate, st.floats(-0.99, 0.99))


def gaussian(n, covariance, seed=0, mean=None):
    root = np.linalg.cholesky(covariance)
    return np.random.default_rng(seed).standard_normal((n, len(covariance))) @ root.T + (0 if mean is None else mean)


def spd(d, seed=0):
    root = np.random.default_rng(seed).standard_normal((d, d + 2))
    return root @ root.T / d


# --- how much lies inside

def test_share_of_a_pair_is_the_closed_form():
    k = np.array([0.1, 1, 2, 2.2, 2.35, 3, 5])
    np.testing.assert_allclose(confidence_level(k), 1 - np.exp(-k**2 / 2))
    np.testing.assert_allclose(confidence_level([2, 2.2, 3]), [0.865, 0.911, 0.989], atol=5e-4)
    np.testing.assert_allclose(confidence_level(1, 1), 0.6827, atol=1e-4)
    np.testing.assert_allclose(n_std_for_level(confidence_level(k, 7), 7), k)


def test_share_in_many_dimensions_against_monte_carlo():
    lengths = np.linalg.norm(np.random.default_rng(0).standard_normal((20_000, 50)), axis=1)
    np.testing.assert_allclose(confidence_level([6.5, 7, 7.5], 50), [(lengths <= k).mean() for k in (6.5, 7, 7.5)], atol=0.015)


# --- one ellipse

@settings(max_examples=100, deadline=None)
@given(covariances, st.floats(0.1, 5))
def test_ellipse_agrees_with_eigenvectors_pearson_and_cholesky(C, k):
    ellipse = confidence_ellipse(covariance=C, n_std=k, center=(3, -2))
    values, vectors = np.linalg.eigh(C)
    assert ellipse.semi_axes == pytest.approx(k * np.sqrt(values[::-1]), rel=1e-6)
    if values[1] > 1.01 * values[0]: assert abs(vectors[:, 1] @ ellipse.axes[0]) == pytest.approx(ellipse.semi_axes[0], rel=1e-6)
    sigma, r = np.sqrt(np.diag(C)), C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])
    turn = np.linspace(0, 2 * np.pi, 50)
    pearson = np.stack([np.sqrt(1 + r) * np.cos(turn) - np.sqrt(1 - r) * np.sin(turn), np.sqrt(1 + r) * np.cos(turn) + np.sqrt(1 - r) * np.sin(turn)])
    cholesky = np.linalg.cholesky(C) @ [np.cos(turn), np.sin(turn)]
    for border in (ellipse.border(50).T - [[3], [-2]], k * sigma[:, None] * pearson / np.sqrt(2), k * cholesky):
        assert np.einsum("in,ij,jn->n", border, np.linalg.inv(C), border) == pytest.approx(k * k, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(covariances, st.integers(0, 2**32 - 1))
def test_contains_is_the_mahalanobis_distance(C, seed):
    points = gaussian(200, C, seed) + [5, 6]
    distance = np.sqrt(np.einsum("ni,ij,nj->n", points - [5, 6], np.linalg.inv(C), points - [5, 6]))
    clear = abs(distance - 1.3) > 1e-6
    assert np.array_equal(confidence_ellipse(covariance=C, center=(5, 6), n_std=1.3).contains(points)[clear], distance[clear] <= 1.3)


@settings(max_examples=60, deadline=None)
@given(covariances, st.floats(-180, 180), st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_ellipse_moves_with_rotation_shift_and_scale(C, degrees, scale, seed):
    points = gaussian(50, C, seed)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    before, after = confidence_ellipse(points), confidence_ellipse(scale * points @ np.array([[cos, sin], [-sin, cos]]) + [7, -9])
    assert after.semi_axes == pytest.approx(scale * np.array(before.semi_axes), rel=1e-5)
    turned = (after.angle - before.angle - degrees + 90) % 180 - 90
    if before.axis_ratio > 1.05: assert turned == pytest.approx(0, abs=0.01)
    assert -90 <= after.angle <= 90


def test_confidence_and_number_of_standard_deviations_mean_the_same():
    C = [[2, 0.5], [0.5, 1]]
    assert confidence_ellipse(covariance=C, n_std=n_std_for_level(1 - np.exp(-2))).semi_axes == pytest.approx(confidence_ellipse(covariance=C, n_std=2).semi_axes)
    assert confidence_ellipse(covariance=C) == confidence_ellipse(covariance=C, n_std=2)
    assert confidence_ellipse(covariance=C, n_std=1).center == (0, 0)


def test_hand_computed_ellipse():
    ellipse = confidence_ellipse(covariance=[[5, 4], [4, 5]], n_std=1)
    assert ellipse.semi_axes == pytest.approx((3, 1)) and ellipse.angle == pytest.approx(45) and ellipse.axis_ratio == pytest.approx(3)
    tall = confidence_ellipse(covariance=[[1, 0], [0, 4]], n_std=2)
    assert tall.semi_axes == pytest.approx((4, 2)) and tall.angle == pytest.approx(90)


def test_an_ellipse_without_area():
    line = confidence_ellipse([[0, 1], [1, 1], [2, 1]])
    assert line.semi_axes[1] == 0 and line.axis_ratio == np.inf
    assert line.contains([[1, 1], [1.5, 1], [1, 2], [9, 1]]).tolist() == [True, True, False, False]
    point = confidence_ellipse([[1, 1]] * 3)
    assert point.axis_ratio == 1 and point.contains([[1, 1], [1, 1.1]]).tolist() == [True, False]


def test_frozen():
    with pytest.raises(AttributeError): ConfidenceEllipse((0, 0), (2, 1), 0).angle = 3


@pytest.mark.parametrize("arguments, message", [
    ({}, "either the points of a pair or their covariance"), ({"points": np.ones((3, 2)), "covariance": np.eye(2)}, "one of the two"),
    ({"points": [[2.0, 1.0], [1.0, 3.0]]}, "at least 3 points, got 2: give a covariance matrix as covariance="),
    ({"covariance": np.eye(2), "n_std": 0}, "n_std must be a positive number"), ({"covariance": np.eye(3)}, r"shape \(2, 2\)"),
    ({"covariance": [[1, 2], [2, 1]]}, "is not a covariance"), ({"covariance": [[-1, 0], [0, 1]]}, "is not a covariance"),
    ({"covariance": [[1, 0.5], [0, 1]]}, "is not a covariance"), ({"covariance": [[np.nan, 0], [0, 1]]}, "is not a covariance"),
    ({"points": np.ones((5, 3))}, "choose a pair"), ({"points": np.ones(5)}, "Reshape your data"), ({"points": [[1, np.nan], [0, 1]]}, "NaN or infinite")])
def test_bad_ellipses(arguments, message):
    with pytest.raises(ValueError, match=message): confidence_ellipse(**arguments)


# --- shares inside, over pairs

def test_pairs():
    assert pair_indices(5).tolist() == [[i, j] for i in range(5) for j in range(i + 1, 5)]
    some = pair_indices(40, 25, random_state=3)
    assert len(np.unique(some, axis=0)) == 25 and (some[:, 0] < some[:, 1]).all() and np.array_equal(some, pair_indices(40, 25, random_state=3))
    assert len(pair_indices(4, 100)) == 6
    with pytest.raises(ValueError, match="whole number of at least 2"): pair_indices(1)


@pytest.mark.parametrize("latent_dim, n_pairs, seed", [(2, 1, 0), (3, 2, 1), (40, 25, 3), (256, 300, 0), (1500, 4000, 7)])
def test_drawn_pairs_are_rows_of_the_list_of_all(latent_dim, n_pairs, seed):
    total = latent_dim * (latent_dim - 1) // 2
    drawn = np.sort(np.random.default_rng(seed).choice(total, min(n_pairs, total), replace=False))
    np.testing.assert_array_equal(pair_indices(latent_dim, n_pairs, seed), pair_indices(latent_dim)[drawn])


def test_few_pairs_of_many_components_need_no_list_of_all():
    tracemalloc.start()
    pairs = pair_indices(100_000, 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.unique(pairs, axis=0)) == 300 and (pairs[:, 0] < pairs[:, 1]).all() and pairs.max() < 100_000
    assert pairs.tolist() == sorted(pairs.tolist()) and peak < 20e6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(5, 60))
def test_shares_counts_what_each_ellipse_contains(seed, d, n):
    z = gaussian(n, spd(d, seed), seed) + 10
    shares = share_in_ellipses(z, (0.7, 1.9))
    for (i, j), row in zip(pair_indices(d), shares):
        expected = [confidence_ellipse(z[:, [i, j]], n_std=k).contains(z[:, [i, j]]).mean() for k in (0.7, 1.9)]
        assert row == pytest.approx(expected, abs=1.01 / n)  # a point on the border may round to either side


def test_shares_of_a_gaussian_is_the_theory():
    share = share_in_ellipses(gaussian(20_000, spd(8), mean=np.arange(8) * 100), (1, 2, 3))
    np.testing.assert_allclose(share, np.tile(confidence_level([1, 2, 3]), (28, 1)), atol=0.012)


def test_shares_takes_blocks_and_float32():
    z = gaussian(8192 + 300, spd(3)).astype(np.float32)
    share = share_in_ellipses(z, 2)
    assert share[0, 0] == pytest.approx(confidence_ellipse(z[:, :2]).contains(z[:, :2]).mean(), abs=2e-4)


def test_pairs_without_an_ellipse_are_nan_and_leave_the_others_alone():
    z = np.c_[gaussian(500, spd(2)), np.full(500, 0.1), np.zeros(500)]
    z = np.c_[z, -3 * z[:, 0] + 1]
    share = dict(zip(map(tuple, pair_indices(5)), share_in_ellipses(z, 2)[:, 0]))
    assert np.isnan([share[pair] for pair in [(0, 2), (1, 3), (2, 3), (0, 4), (3, 4)]]).all()
    assert share[0, 1] == pytest.approx(confidence_ellipse(z[:, :2]).contains(z[:, :2]).mean(), abs=0.003) and np.isfinite(share[1, 4])


# --- contours of the density

def test_contours_of_a_gaussian_are_its_ellipses():
    C = np.array([[4, 1.5], [1.5, 1]])
    points = gaussian(100_000, C, mean=[10, -5])
    ellipses, misfit = density_contours(points, (1, 1.5, 2, 2.5))
    for ellipse, k in zip(ellipses, (1, 1.5, 2, 2.5)):
        theirs = confidence_ellipse(covariance=C, n_std=k)
        assert ellipse.semi_axes == pytest.approx(theirs.semi_axes, rel=0.05) and ellipse.angle == pytest.approx(theirs.angle, abs=2)
        assert ellipse.center == pytest.approx((10, -5), abs=0.1 * k + 0.1)
    assert misfit.max() < 0.05


def test_misfit_tells_a_square_and_two_clouds_from_an_ellipse():
    rng = np.random.default_rng(0)
    square, two = rng.uniform(-1, 1, (50_000, 2)), np.r_[gaussian(25_000, np.eye(2)), gaussian(25_000, np.eye(2), 1) + [6, 0]]
    assert density_contours(square, 2)[1][0] > 0.05 > 0.03 > density_contours(gaussian(50_000, np.eye(2)), 2)[1][0]
    assert density_contours(two, 1)[1][0] > 0.3


def test_contours_may_differ_from_the_covariance():
    # A narrow core across a wide halo: the covariance is that of the halo, the inner contour that of the core.
    core, halo = gaussian(20_000, np.diag([1, 0.04])), gaussian(5_000, np.diag([0.25, 25]), 1)
    points = np.r_[core, halo]
    (inner,), _ = density_contours(points, 0.8, bandwidth=0.1)
    assert abs(inner.angle) < 10 and abs(confidence_ellipse(points).angle) > 80


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1000), st.floats(-60, 60))
def test_contours_move_with_affine_maps(seed, scale, shift):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((3000, 2)) @ np.array([[2, 0], [1, 1]]) + rng.standard_exponential((3000, 2))
    stretch = np.diag([scale, 3 * scale])
    (before,), _ = density_contours(points, 1.5)
    (after,), _ = density_contours(points @ stretch + scale * shift, 1.5)
    moved = before.axes @ stretch
    assert np.prod(after.semi_axes) == pytest.approx(abs(np.linalg.det(moved)), rel=0.03)
    assert np.array(after.center) == pytest.approx(np.array(before.center) @ stretch + scale * shift, abs=0.2 * scale)


def test_density_adds_up_and_has_its_peak_in_the_middle():
    x, y, density = pair_density(gaussian(5000, [[1, 0.8], [0.8, 1]], mean=[3, 4]))
    area = abs((x[1, 0] - x[0, 0]) * (y[0, 1] - y[0, 0]) - (x[0, 1] - x[0, 0]) * (y[1, 0] - y[0, 0]))
    assert density.sum() * area == pytest.approx(1, abs=0.005)
    peak = np.unravel_index(density.argmax(), density.shape)
    assert (x[peak], y[peak]) == pytest.approx((3, 4), abs=0.4)
    assert density.max() == pytest.approx(1 / (2 * np.pi * 0.6), rel=0.15)


def test_bad_pairs():
    for points, message in (([[0, 0], [1, 2], [2, 4]], "lie on a line"), (np.ones((4, 2)), "all 4 z-points are the same point")):
        with pytest.raises(ValueError, match=message): pair_density(points)
        with pytest.raises(ValueError, match=message): density_contours(points)
    with pytest.raises(ValueError, match="bandwidth must be a positive"): pair_density(gaussian(10, np.eye(2)), bandwidth=-1)


def test_alignment_of_known_clouds():
    spread = np.diag([5.0, 2.0, 0.7])
    upright = contour_alignment(gaussian(30_000, spread**2), pair_indices(3))
    assert upright["tilt"].max() < 2.5 and upright["angle_error"].max() < 2.5 and abs(upright["ratio_error"]).max() < 0.08
    assert upright["axis_ratio"].tolist() == pytest.approx([2.5, 50 / 7, 20 / 7], rel=0.03) and abs(upright["size"] - 1).max() < 0.05
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    turned = contour_alignment(gaussian(30_000, spread[:2, :2]**2) @ np.array([[cos, sin], [-sin, cos]]))
    assert turned["tilt"][0] == pytest.approx(30, abs=2.5) and turned["expected_tilt"][0] == pytest.approx(30, abs=1)


def test_alignment_of_a_degenerate_pair_is_nan():
    z = np.c_[gaussian(2000, np.diag([1.0, 9])), np.full(2000, 0.3)]
    a = contour_alignment(z, pair_indices(3))
    assert np.isfinite(a["tilt"]).tolist() == [True, False, False]
    assert a[["first", "second"]].to_numpy().tolist() == pair_indices(3).tolist() and len(a.columns) == 9


# --- vectors inside all tilted ellipses

def worst_by_hand(vectors, mean, C):
    return np.max([np.sqrt(np.einsum("ni,ij,nj->n", v, np.linalg.inv(C[np.ix_(p, p)]), v))
                   for p in pair_indices(len(C)).tolist() for v in [(vectors - mean)[:, p]]], axis=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.floats(0.1, 4))
def test_every_pair_of_every_vector_is_inside(seed, d, n_std):
    z = gaussian(300, spd(d, seed), seed) - 4
    vectors = sample_original_coordinates(z, 20, n_std, n_sweeps=5, random_state=seed)
    mean, C = z.mean(0), np.cov(z.T)
    assert vectors.shape == (20, d) and worst_by_hand(vectors, mean, C).max() <= n_std * (1 + 1e-6)


@pytest.mark.parametrize("C", [np.array([[1, 0.9], [0.9, 1]]), np.array([[1, 0.7, -0.3], [0.7, 2, 0.2], [-0.3, 0.2, 0.5]])])
def test_the_law_is_uniform_on_the_region(C):
    z = gaussian(5000, C, mean=np.arange(len(C)))
    mean, sample = z.mean(0), np.cov(z.T)
    size = np.sqrt(np.diag(sample))
    box = mean + size * np.random.default_rng(1).uniform(-1, 1, (40_000, len(C)))
    truth = box[worst_by_hand(box, mean, sample) <= 1]
    vectors = sample_original_coordinates(z, 6000, n_std=1, n_sweeps=40, random_state=0)
    for direction in [*np.eye(len(C)), np.ones(len(C)), np.arange(len(C)) - 0.5]:
        assert stats.ks_2samp(truth @ direction, vectors @ direction).pvalue > 1e-3
    assert stats.ks_2samp(worst_by_hand(truth, mean, sample), worst_by_hand(vectors, mean, sample)).pvalue > 1e-3


def test_seeds_and_independence():
    z = gaussian(500, spd(6))
    assert np.array_equal(sample_original_coordinates(z, 9, random_state=4), sample_original_coordinates(z, 9, random_state=4))
    vectors = sample_original_coordinates(z, 300, random_state=4)
    assert not np.array_equal(vectors[:9], sample_original_coordinates(z, 9, random_state=5)) and len(np.unique(vectors, axis=0)) == 300
    neighbours = np.corrcoef(vectors[:-1, 0], vectors[1:, 0])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(300)


def test_vectors_move_with_shift_and_scale_of_each_component():
    z, scale = gaussian(500, spd(5)), np.array([0.01, 1, 50, 3, 7])
    moved = sample_original_coordinates(z * scale + 1000, 20, random_state=1)
    np.testing.assert_allclose(moved, sample_original_coordinates(z, 20, random_state=1) * scale + 1000, rtol=1e-6)


def test_a_constant_component_keeps_its_value():
    z = np.insert(gaussian(300, spd(3)), 1, 0.1, axis=1)
    vectors = sample_original_coordinates(z, 50, n_std=2, random_state=0)
    assert np.allclose(vectors[:, 1], 0.1) and vectors[:, [0, 2, 3]].std(0).min() > 0.1
    np.testing.assert_allclose(vectors[:, [0, 2, 3]], sample_original_coordinates(z[:, [0, 2, 3]], 50, n_std=2, random_state=0))


def test_fewer_points_than_dimensions():
    z = gaussian(12, spd(30))
    vectors = sample_original_coordinates(z, 10, n_std=1, random_state=0)
    assert worst_by_hand(vectors, z.mean(0), np.cov(z.T)).max() <= 1 + 1e-6


@pytest.mark.parametrize("change, message", [
    ({"n_samples": 0}, "n_samples must be a whole number of at least 1, got 0"), ({"n_samples": 2.5}, "n_samples must be a whole number of at least 1, got 2.5"), ({"n_sweeps": 0}, "n_sweeps must be a whole number of at least 1"),
    ({"n_std": -1}, "n_std must be a positive number"), ({"z": np.ones(4)}, "Reshape your data"), ({"z": np.full((4, 2), np.nan)}, "NaN or infinite"),
    ({"z": np.arange(8.0).reshape(4, 2)}, "components 0 and 1 are perfectly correlated")])
def test_bad_draws(change, message):
    with pytest.raises((TypeError, ValueError), match=message): sample_original_coordinates(**({"z": gaussian(50, spd(3)), "n_samples": 3} | change))
