"Correlations and dependence beyond them: against NumPy, SciPy, brute force, closed forms and Monte Carlo."
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from clouds import cloud
from latentfaces.correlations import (
    cluster_order, correlation_matrix, dependence, directions, distance_correlations, equivalent_correlation,
    _normal_distance_correlation, shuffle_components, strongest_pairs)

SEEDS = st.integers(0, 2**32 - 1)


def by_definition(x, y):
    "Bias-corrected squared distance correlation, written down from Székely and Rizzo (2014) with loops over the sums."
    n = len(x)
    a, b = (np.array([[abs(p - q) for q in v] for p in v]) for v in (x, y))
    def centred(a): return np.array([[0 if i == j else a[i, j] - a[i].sum() / (n - 2) - a[:, j].sum() / (n - 2) + a.sum() / ((n - 1) * (n - 2))
                                      for j in range(n)] for i in range(n)])
    A, B = centred(a), centred(b)
    scale = np.sqrt(np.sum(A * A) * np.sum(B * B))
    return np.sum(A * B) / scale if scale > 1e-9 else 0.0  # a column that varies in one point only has no distance variance


def distance_correlation(x, y): return distance_correlations(np.column_stack([x, y]))[0, 1]


# Pearson's matrix

@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 50), d=st.integers(1, 10), scale=st.floats(-6, 6).map(lambda e: 10**e), shift=st.floats(-1e3, 1e3))
def test_correlation_matrix(seed, n, d, scale, shift):
    z = cloud(n, d, seed)
    r = correlation_matrix(z)
    assert np.allclose(r, np.corrcoef(z.T).reshape(d, d), atol=1e-9)
    assert np.array_equal(r, r.T) and np.array_equal(np.diag(r), np.ones(d)) and abs(r).max() <= 1
    assert np.linalg.eigvalsh(r).min() > -1e-9
    assert np.allclose(correlation_matrix(scale * z + shift * scale), r, atol=1e-6)
    assert np.allclose(correlation_matrix(-z), r)


def test_correlation_stays_exact_far_from_the_origin():
    z = np.round(cloud(2_000, 4) * 2**20) / 2**20
    assert np.allclose(correlation_matrix(z + 1e8), correlation_matrix(z), atol=1e-7)


def test_constant_components_correlate_with_nothing(recwarn):
    z = np.insert(cloud(50, 3), [1, 3], 0.1, axis=1)
    r = correlation_matrix(z)
    assert np.array_equal(r[[1, 4]], np.eye(5)[[1, 4]]) and np.isfinite(r).all()
    assert np.allclose(r[np.ix_([0, 2, 3], [0, 2, 3])], np.corrcoef(z[:, [0, 2, 3]].T))
    assert np.array_equal(correlation_matrix(np.full((4, 3), 0.1)), np.eye(3))
    assert not recwarn.list


def test_fewer_points_than_dimensions():
    r = correlation_matrix(cloud(5, 30))
    assert np.linalg.matrix_rank(r, tol=1e-8) == 4


# Picking pairs and ordering

@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, d=st.integers(2, 12), n=st.integers(1, 80))
def test_strongest_pairs_against_a_sort_of_all(seed, d, n):
    r = correlation_matrix(cloud(40, d, seed))
    found = strongest_pairs(r, n)
    pairs, values = found[["first", "second"]].to_numpy(), found["correlation"].to_numpy()
    everything = sorted(((-abs(r[i, j]), i, j) for i in range(d) for j in range(i + 1, d)))[:n]
    assert pairs.tolist() == [[i, j] for _, i, j in everything]
    assert values.tolist() == [r[i, j] for _, i, j in everything]
    assert len({tuple(p) for p in pairs.tolist()}) == min(n, d * (d - 1) // 2)


@pytest.mark.parametrize("n", [1, 7, 500_000])
def test_strongest_pairs_of_a_large_matrix_keep_the_order_of_ties(n):
    r = np.random.default_rng(0).choice([-0.5, 0.0, 0.25, 0.5], (2500, 2500), p=[0.01, 0.4, 0.58, 0.01])
    all_pairs = np.transpose(np.triu_indices(2500, 1))
    everything = r[all_pairs[:, 0], all_pairs[:, 1]]
    best = np.argsort(-abs(everything), kind="stable")[:n]
    found = strongest_pairs(r, n)
    pairs, values = found[["first", "second"]].to_numpy(), found["correlation"].to_numpy()
    np.testing.assert_array_equal(pairs, all_pairs[best])
    np.testing.assert_array_equal(values, everything[best])


def test_few_pairs_of_a_large_matrix_need_no_list_of_all():
    r = np.random.default_rng(0).uniform(-1, 1, (6000, 6000))
    tracemalloc.start()
    strongest_pairs(r, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < r.nbytes  # the numbers of all pairs alone are as large


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, groups=st.integers(2, 5), size=st.integers(2, 4))
def test_clusters_stand_together(seed, groups, size):
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(groups), size))
    z = rng.standard_normal((500, groups))[:, label] * rng.choice([-1, 1], len(label)) + 0.2 * rng.standard_normal((500, len(label)))
    order = cluster_order(correlation_matrix(z))
    assert sorted(order) == list(range(len(label)))
    assert np.sum(np.diff(label[order]) != 0) == groups - 1


# Shuffling

@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 50), d=st.integers(1, 8), dtype=st.sampled_from([np.float32, np.float64]))
def test_shuffling_keeps_every_density(seed, n, d, dtype):
    z = cloud(n, d, 1).astype(dtype)
    before, shuffled = z.copy(), shuffle_components(z, seed)
    assert np.array_equal(np.sort(shuffled, axis=0), np.sort(z, axis=0)) and np.array_equal(z, before)
    assert shuffled.dtype == dtype and np.array_equal(shuffled, shuffle_components(z, seed))


def test_shuffling_cuts_correlations():
    z = np.repeat(np.random.default_rng(0).standard_normal((20_000, 1)), 12, axis=1)
    r = correlation_matrix(shuffle_components(z, 0))[np.triu_indices(12, 1)]
    assert stats.kstest(r**2, stats.beta(0.5, (20_000 - 2) / 2).cdf).pvalue > 1e-3
    assert not np.array_equal(shuffle_components(z, 0), shuffle_components(z, 1))


# Distance correlation

@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, n=st.integers(4, 25), ties=st.booleans())
def test_distance_correlation_by_definition(seed, n, ties):
    x, y = np.random.default_rng(seed).standard_normal((2, n))
    y = y + x**2
    if ties: x = np.round(x) + np.r_[5, np.zeros(n - 1)]
    assert distance_correlation(x, y) == pytest.approx(by_definition(x, y), abs=1e-10)


@pytest.mark.parametrize("far", [1e2, 1e4])
def test_an_outlier_costs_few_digits(far):
    x, y = np.random.default_rng(8).standard_normal((2, 20))
    x[3] = far
    assert distance_correlation(x, y) == pytest.approx(by_definition(x, y), abs=1e-6)


def test_all_pairs_over_several_blocks():
    z = cloud(900, 5)  # 5 * 900 numbers per row: two blocks
    assert 2**21 // z.size < len(z)
    r = distance_correlations(z)
    assert r.shape == (5, 5) and np.array_equal(r, r.T) and np.array_equal(np.diag(r), np.ones(5))
    a = abs(z[:, :, None].transpose(1, 0, 2) - z.T[:, None, :])
    n = len(z)
    A = a - a.sum(2, keepdims=True) / (n - 2) - a.sum(1, keepdims=True) / (n - 2) + a.sum((1, 2))[:, None, None] / ((n - 1) * (n - 2))
    A[:, np.arange(n), np.arange(n)] = 0
    A = A.reshape(5, -1)
    assert np.allclose(r, A @ A.T / np.outer(np.linalg.norm(A, axis=1), np.linalg.norm(A, axis=1)), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, scale=st.floats(-8, 8).map(lambda e: 10**e), shift=st.floats(-100, 100))
def test_distance_correlation_ignores_shift_scale_sign_and_order(seed, scale, shift):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, 60))
    y += abs(x)
    d, order = distance_correlation(x, y), rng.permutation(60)
    assert distance_correlation(scale * (x + shift), -y) == pytest.approx(d, abs=1e-6)
    assert distance_correlation(y, x) == pytest.approx(d, abs=1e-12)
    assert distance_correlation(x[order], y[order]) == pytest.approx(d, abs=1e-12)
    assert distance_correlation(x, scale * x + shift) == pytest.approx(1, abs=1e-6)


def test_it_is_unbiased_for_independent_components():
    # The covariance in the numerator has mean zero, so the mean over many trials must vanish; the plain form's would not.
    rng = np.random.default_rng(0)
    values = np.array([distance_correlation(*rng.standard_normal((2, 20))) for _ in range(1_500)])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))
    assert values.min() < 0


@pytest.mark.parametrize("r", [-0.8, 0.0, 0.3, 0.6, 0.95])
def test_closed_form_for_the_bivariate_normal(r):
    rng = np.random.default_rng(1)
    found = [distance_correlation(*rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=1_500).T) for _ in range(8)]
    assert np.mean(found) == pytest.approx(_normal_distance_correlation(r), abs=0.015)


def test_closed_form_has_the_known_limits():
    assert _normal_distance_correlation(0.0) == pytest.approx(0, abs=1e-15) and _normal_distance_correlation(1.0) == pytest.approx(1)
    assert _normal_distance_correlation(-0.4) == pytest.approx(_normal_distance_correlation(0.4))
    slope = 1 / (4 * (1 + np.pi / 3 - np.sqrt(3)))  # of R^2 over r^2 at 0, by the expansion in the paper
    assert _normal_distance_correlation(0.01) / 1e-4 == pytest.approx(slope, rel=1e-3)


@settings(deadline=None)
@given(r=st.floats(0.001, 1))
def test_reading_the_closed_form_backwards(r): assert equivalent_correlation(_normal_distance_correlation(r)) == pytest.approx(r, abs=1e-6)


def test_negative_estimates_are_no_correlation(): assert equivalent_correlation(-0.01) == equivalent_correlation(0) == 0


def test_sees_what_correlation_does_not():
    angle = np.random.default_rng(2).uniform(0, 2 * np.pi, 400)
    x, y = np.cos(angle), np.sin(angle)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1
    null = [distance_correlation(x, np.random.default_rng(s).permutation(y)) for s in range(100)]
    assert distance_correlation(x, y) > max(null)


# Dependence and directions

def test_dependence_of_independent_components_is_chance():
    d = dependence(np.random.default_rng(3).standard_normal((3_000, 30)), 800, 15)
    assert d.pairs.shape == (105, 2) and d.distance.shape == d.magnitude.shape == (105,)
    assert d.distance_null.shape == d.magnitude_null.shape == (5, 105)
    for name in ("distance", "magnitude"):
        assert stats.ks_2samp(getattr(d, name), getattr(d, f"{name}_null").ravel()).pvalue > 1e-3
        assert getattr(d, f"{name}_above") < 0.08


def test_dependence_agrees_with_scipy_on_all_points():
    z = cloud(300, 4)
    d = dependence(z, 300, 4)
    (i, j), centred = d.pairs[2], z - z.mean(0)
    assert d.distance[2] == pytest.approx(distance_correlation(z[:, i], z[:, j]), abs=1e-10)
    assert d.magnitude[2] == pytest.approx(stats.spearmanr(abs(centred[:, i]), abs(centred[:, j])).statistic, abs=1e-10)


def test_a_common_radius_is_seen_and_removed():
    rng = np.random.default_rng(4)
    z = rng.standard_normal((3_000, 60)) / np.sqrt(rng.chisquare(6, 3_000) / 6)[:, None] * np.linspace(3, 1, 60)
    before, after = dependence(z, 1_000, 12), dependence(directions(z), 1_000, 12)
    assert before.magnitude.mean() > 0.08 and before.magnitude_above > 0.5
    assert abs(after.magnitude.mean()) < 0.04 and after.magnitude_above < 0.1


def test_a_bend_is_found_and_survives_the_removal_of_the_radius():
    z = np.random.default_rng(5).standard_normal((3_000, 40))
    z[:, 7] = 0.6 * (z[:, 2] ** 2 - 1) / np.sqrt(2) + 0.8 * z[:, 7]
    for points in (z, directions(z)):
        d = dependence(points, 800, 10)
        assert d.pairs[d.distance.argmax()].tolist() == [2, 7] and d.distance.max() > 3 * d.distance_level


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, n=st.integers(4, 60), d=st.integers(2, 6))
def test_dependence_shapes_and_seeds(seed, n, d):
    z = cloud(n, d, 1)
    first, again = (dependence(z, 40, 4, random_state=seed, n_shuffles=2) for _ in range(2))
    assert all(map(np.array_equal, first, again))
    k = min(d, 4)
    assert first.pairs.tolist() == [[i, j] for i in range(k) for j in range(i + 1, k)]
    assert np.isfinite(np.concatenate([np.ravel(v) for v in first])).all()


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n=st.integers(3, 60), d=st.integers(1, 8), scale=st.floats(-6, 6).map(lambda e: 10**e), shift=st.floats(-100, 100))
def test_directions(seed, n, d, scale, shift):
    z = np.random.default_rng(seed).standard_normal((n, d))
    u = directions(z)
    assert u.shape == z.shape and np.allclose(np.linalg.norm(u, axis=1), np.sqrt(d))
    standard = (z - z.mean(0)) / z.std(0, ddof=1)
    assert np.allclose(u, standard * np.sqrt(d) / np.linalg.norm(standard, axis=1, keepdims=True))
    assert np.allclose(directions(scale * (z + shift)), u, atol=1e-5)


def test_directions_of_odd_data(recwarn):
    z = np.insert(cloud(50, 2), 1, 0.1, axis=1)
    u = directions(z)
    assert np.array_equal(u[:, 1], np.zeros(50)) and np.allclose(np.linalg.norm(u, axis=1), np.sqrt(2))
    assert np.array_equal(directions([[-1.0, 1], [1, -1], [0, 0]])[2], [0, 0]), "a point at the mean stays there"
    assert np.array_equal(directions(np.full((5, 3), 0.1)), np.zeros((5, 3)))
    d = dependence(np.insert(cloud(50, 3), 1, 0.1, axis=1), 50)
    assert np.isfinite(d.distance).all() and d.distance[0] == d.magnitude[0] == 0
    assert not recwarn.list


def test_distance_correlation_of_a_constant_is_zero(recwarn):
    x = np.random.default_rng(6).standard_normal(30)
    for constant in (0.0, 0.1, 1e9): assert distance_correlation(x, np.full(30, constant)) == 0
    assert not recwarn.list


# Bad input

@pytest.mark.parametrize("call", [correlation_matrix, shuffle_components, distance_correlations, dependence, directions])
@pytest.mark.parametrize("z, message", [
    (np.ones(9), "Reshape your data to .*got an array of shape \\(9,\\)"),
    (np.where(np.eye(9) > 0, np.nan, 1.0), "NaN or infinite values in 9 of 9 z-points, the first in row 0"),
    (np.ones((1, 3)), "1 sample"), (np.ones((9, 0)), "0 feature"), (np.ones((9, 2)) * 1j, "Complex data not supported")])
def test_bad_points(call, z, message):
    with pytest.raises(ValueError, match=message) as caught: call(z)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", [strongest_pairs, cluster_order])
@pytest.mark.parametrize("matrix, shape", [(np.ones((3, 2)), "\\(3, 2\\)"), (np.ones(3), "\\(3,\\)"), (np.ones((1, 1)), "\\(1, 1\\)"),
                                           (np.full((3, 3), np.nan), "\\(3, 3\\)")])
def test_bad_matrices(call, matrix, shape):
    with pytest.raises(ValueError, match=f"expected a finite square correlation matrix of at least 2 components, got shape {shape}"): call(matrix)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "3"])
def test_bad_counts(bad):
    with pytest.raises((TypeError, ValueError), match="n must be a whole number of at least 1, got"): strongest_pairs(np.eye(3), bad)
    with pytest.raises((TypeError, ValueError), match="n_points must be a whole number of at least 4, got"): dependence(np.eye(9), bad)
    with pytest.raises((TypeError, ValueError), match="n_components must be a whole number of at least 2, got"): dependence(np.eye(9), n_components=bad)
    with pytest.raises((TypeError, ValueError), match="n_shuffles must be a whole number of at least 1, got"): dependence(np.eye(9), n_shuffles=bad)


def test_too_little_to_compare():
    with pytest.raises(ValueError, match="minimum of 4"): distance_correlations(np.ones((3, 2)))
    with pytest.raises(ValueError, match="these points have only one"): dependence(np.arange(9.0)[:, None])
    with pytest.raises(ValueError, match="between -1 and 1, got 1.5"): equivalent_correlation(1.5)
