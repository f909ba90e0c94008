"The Gaussian of z-points: against SciPy, scikit-learn and draws by lot; laws, tests, cuts, invariances and bad input."
import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from sklearn.covariance import OAS
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from clouds import cloud
from latentfaces import gaussian
from latentfaces.gaussian import (LatentGaussian, inside_cut, untruncated_covariance, equivalent_length, normality, normality_tests,
                                  radius_law, scale_variance, tallis_factor)


@parametrize_with_checks([LatentGaussian(), LatentGaussian(0), LatentGaussian(0.5)])
def test_is_a_scikit_learn_estimator(estimator, check): check(estimator)


def student(n, d, freedom, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * np.sqrt((freedom - 2) / rng.chisquare(freedom, (n, 1)))


# The fit

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_numpy_and_scipy(dtype):
    z = cloud(2_000, 7).astype(dtype)
    fit = LatentGaussian().fit(z)
    exact = z.astype(float)
    assert fit.shrinkage_ == 0 and fit.rank_ == 7 and fit.n_points_ == 2_000
    assert np.allclose(fit.mean_, exact.mean(0)) and np.allclose(fit.covariance_, np.cov(exact.T))
    reference = stats.multivariate_normal(exact.mean(0), np.cov(exact.T))
    assert np.allclose(fit.score_samples(z), reference.logpdf(exact))
    inverse = np.linalg.inv(np.cov(exact.T))
    assert np.allclose(fit.mahalanobis(z)[:5], [np.sqrt((x - fit.mean_) @ inverse @ (x - fit.mean_)) for x in exact[:5]])
    white = fit.whiten(z)
    assert np.allclose(np.cov(white.T), np.eye(7)) and np.allclose(np.linalg.norm(white, axis=1), fit.mahalanobis(z))
    assert white.dtype == np.float64


@pytest.mark.parametrize("n", [9, 30, 60])
def test_auto_shrinkage_is_the_oracle_approximating_one_where_points_are_few(n):
    z = cloud(n, 20)
    fit, reference = LatentGaussian().fit(z), OAS().fit(z)
    assert fit.shrinkage_ == pytest.approx(reference.shrinkage_) and 0 < fit.shrinkage_ <= 1
    assert np.allclose(fit.covariance_, reference.covariance_ * n / (n - 1))  # theirs divides by n
    assert fit.rank_ == 20 and np.isfinite(fit.mahalanobis(cloud(5, 20, 1))).all()


def test_auto_shrinkage_stops_at_four_points_per_dimension():
    z = cloud(80, 20)
    assert LatentGaussian().fit(z).shrinkage_ == 0 < LatentGaussian().fit(z[:79]).shrinkage_ == pytest.approx(OAS().fit(z[:79]).shrinkage_)


def test_fewer_points_than_dimensions_without_shrinkage():
    z = cloud(6, 9)
    fit = LatentGaussian(0).fit(z)
    assert fit.rank_ == 5 and fit.whiten(z).shape == (6, 5)
    assert np.allclose(fit.mahalanobis(z), 5 / np.sqrt(6)), "all fitted points are equally far away"
    assert np.all(np.isinf(fit.mahalanobis(cloud(4, 9, 1))))


@pytest.mark.parametrize("shrinkage", [0, "auto"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_subspace(shrinkage, dtype):
    z = np.insert(cloud(300, 4), 2, 0.1, axis=1).astype(dtype)  # a constant component
    fit, without = LatentGaussian(shrinkage).fit(z), LatentGaussian(shrinkage).fit(np.delete(z, 2, axis=1))
    assert fit.rank_ == 4 and np.all(fit.covariance_[2] == 0)
    assert np.allclose(fit.mahalanobis(z), without.mahalanobis(np.delete(z, 2, axis=1)))
    assert np.allclose(fit.score_samples(z), stats.multivariate_normal(fit.mean_, fit.covariance_, allow_singular=True).logpdf(z.astype(float) * [1, 1, 0, 1, 1] + [0, 0, fit.mean_[2], 0, 0]))
    beside = z[:3] + np.array([0, 0, 1, 0, 0], dtype)
    assert np.all(np.isinf(fit.mahalanobis(beside))) and np.all(fit.score_samples(beside) == -np.inf)


def test_a_constant_component_does_not_pull_at_the_shrinkage():
    z = cloud(30, 10)
    padded = np.c_[z, np.full(30, 7.0)]
    fit = LatentGaussian().fit(padded)
    assert fit.rank_ == 10 and np.allclose(fit.covariance_[:10, :10], LatentGaussian().fit(z).covariance_)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 12), scale=st.floats(-6, 6).map(lambda e: 10**e), shift=st.floats(-50, 50))
def test_affine_maps_leave_lengths_alone(seed, d, scale, shift):
    z = cloud(8 * d + 4, d, seed)
    rotation = stats.ortho_group.rvs(d, random_state=seed) if d > 1 else np.eye(1)
    moved = (z @ rotation + shift) * scale
    before, after = LatentGaussian().fit(z), LatentGaussian().fit(moved)
    assert np.allclose(before.mahalanobis(z), after.mahalanobis(moved), rtol=1e-5)
    assert np.allclose(before.score_samples(z) - d * np.log(scale), after.score_samples(moved), atol=1e-3)


def test_shrinkage_loses_less_where_points_are_few():
    truth = np.diag(np.exp(-np.linspace(0, 3, 60)))

    def divergence(n, shrinkage):
        fit = LatentGaussian(shrinkage).fit(np.random.default_rng(n).multivariate_normal(np.zeros(60), truth, n))
        ratio = np.linalg.solve(fit.covariance_, truth)
        return (np.trace(ratio) - 60 - np.linalg.slogdet(ratio)[1] + fit.mean_ @ np.linalg.solve(fit.covariance_, fit.mean_)) / 2

    assert divergence(75, "auto") < divergence(75, 0) / 5
    assert divergence(150, "auto") < divergence(150, 0)


# The laws of the lengths

@pytest.mark.parametrize("n, d", [(60, 20), (300, 5), (40, 1)])
def test_the_laws_hold(n, d):
    # One length from each of many fits, so that they are independent.
    rng = np.random.default_rng(n)
    old, new = [], []
    for _ in range(1500):
        fit = LatentGaussian(0).fit(points := rng.standard_normal((n, d)))
        old.append(fit.mahalanobis(points[:1])[0] ** 2)
        new.append(fit.mahalanobis(rng.standard_normal((1, d)))[0] ** 2)
    assert stats.kstest(old, radius_law(d, n).cdf).pvalue > 1e-3
    assert stats.kstest(new, radius_law(d, n, new=True).cdf).pvalue > 1e-3
    assert radius_law(d, n).mean() == pytest.approx(d * (n - 1) / n)
    if n == 60:
        assert stats.kstest(old, radius_law(d).cdf).pvalue < 1e-6 and stats.kstest(new, radius_law(d).cdf).pvalue < 1e-6


def test_the_laws_meet_for_many_points():
    x = np.linspace(150, 400, 50)
    for new in (False, True): assert np.allclose(radius_law(256, 10**8, new).cdf(x), radius_law(256).cdf(x), atol=1e-4)


@pytest.mark.parametrize("d, n", [(0, None), (5, 6), (5, 3)])
def test_bad_laws(d, n):
    with pytest.raises(ValueError, match="radius_law needs at least one dimension and more than latent_dim \\+ 1 points, got"): radius_law(d, n)


# Effect sizes

def test_effect_sizes_against_scipy():
    z = cloud(3_000, 6) + 0.3 * cloud(3_000, 6, 1) ** 2
    found, fit = normality(z), LatentGaussian(0).fit(z)
    white, squared = fit.whiten(z), fit.mahalanobis(z) ** 2
    assert np.allclose(found.skewness, stats.skew(white)) and np.allclose(found.kurtosis, stats.kurtosis(white))
    assert found.max_skewness == pytest.approx(abs(stats.skew(white)).max())
    assert found.max_kurtosis == pytest.approx(abs(stats.kurtosis(white)).max())
    assert found.skewed == np.mean(abs(stats.skew(white)) > 0.1)
    p = stats.normaltest(white).pvalue
    assert found.rejected == np.mean(stats.false_discovery_control(p) <= 0.05)
    assert found.radius_variance == pytest.approx(squared.var() / 12)
    beta = stats.beta(3, (3_000 - 7) / 2)
    assert found.radius_ks == pytest.approx(stats.kstest(squared * 3_000 / 2_999**2, beta.cdf).statistic)


def test_more_rows_than_a_block():
    z = cloud(8192 + 77, 3)
    white = LatentGaussian().fit(z).whiten(z)
    assert white.shape == z.shape and np.allclose(normality(z).skewness, stats.skew(white))
    assert np.array_equal(inside_cut(z, 2, "axes"), abs(white).max(axis=1) <= 2)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-4, 4).map(lambda e: 10**e), shift=st.floats(-20, 20))
def test_shift_scale_and_rotation_change_no_effect_size(seed, scale, shift):
    z = cloud(120, 5, seed)
    moved = (z @ stats.ortho_group.rvs(5, random_state=seed) + shift) * scale
    a, b = normality(z), normality(moved)
    for name in ("radius_ks", "radius_variance", "scale_variance", "max_skewness", "max_kurtosis"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-5, abs=1e-6)
    assert np.allclose(np.abs(a.skewness), np.abs(b.skewness), atol=1e-6)
    assert normality_tests(z).statistic["mardia_skewness"] == pytest.approx(normality_tests(moved).statistic["mardia_skewness"], abs=1e-5)


def test_known_effects():
    heavy = normality(student(20_000, 30, 20))
    assert heavy.scale_variance == pytest.approx(2 / 16, rel=0.15)  # var(s²) of a Student law is 2 / (freedom - 4)
    assert heavy.radius_variance == pytest.approx(1 + 16 * 2 / 16, rel=0.15)
    assert heavy.kurtosis.mean() == pytest.approx(6 / 16, rel=0.2)  # its excess kurtosis 6 / (freedom - 4)
    normal = normality(cloud(20_000, 30))
    assert normal.radius_ks < 0.02 and normal.radius_variance == pytest.approx(1, abs=0.05) and normal.rejected <= 0.1
    assert scale_variance(normal.radius_variance - 1, 30) == 0


def test_finite_samples_are_no_effect():
    # Hardly more points than dimensions: chi-squared would be far off, the law is not.
    found = normality(cloud(150, 100))
    assert found.radius_ks < 0.12 and found.scale_variance < 0.02


def test_a_subspace_counts_as_its_own():
    z = cloud(500, 5)
    padded = np.c_[z, np.full(500, 0.1), z[:, 0]]
    a, b = normality(z), normality(padded)
    assert b.n_axes == 5 and b.n_points == 500
    # A doubled component changes the axes, not the lengths.
    assert a.radius_ks == pytest.approx(b.radius_ks, rel=1e-6) and a.radius_variance == pytest.approx(b.radius_variance)


@pytest.mark.parametrize("n, d", [(30, 40), (41, 40), (19, 2), (5, 1)])
def test_too_few_points_are_told(n, d):
    for call in (normality, normality_tests):
        with pytest.raises(ValueError, match=f"normality cannot be judged from {n} z-points that vary in {min(d, n - 1)} dimensions: it takes at least"):
            call(cloud(n, d))


# Tests

def test_mardia_by_hand():
    z = cloud(200, 3)
    y = (z - z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T, ddof=0))).T
    skew = np.mean([(y[i] @ y[j]) ** 3 for i, j in itertools.product(range(200), repeat=2)])
    freedom, k = 10, 4 * 201 * 203 / (200 * (201 * 4 - 6))
    statistic = 200 * skew / 6 * k
    found = normality_tests(z)
    assert found.statistic["mardia_skewness"] == pytest.approx((statistic - freedom) / np.sqrt(2 * freedom))
    assert found.pvalue["mardia_skewness"] == pytest.approx(stats.chi2.sf(statistic, freedom))
    kurtosis = np.mean(np.sum(y**2, axis=1) ** 2)
    assert found.statistic["mardia_kurtosis"] == pytest.approx((kurtosis - 15) / np.sqrt(8 * 15 / 200), abs=0.35)  # the limit for many points


def test_no_false_alarms():
    p = np.array([normality_tests(np.random.default_rng(k).standard_normal((400, 20))).pvalue for k in range(60)])
    assert np.all(np.mean(p < 0.05, axis=0) < 0.16), "5 % expected; 16 % has a probability below 1e-3"
    assert np.all(p.min(axis=0) > 1e-5)
    assert np.median(p[:, 1]) > 0.2 and np.median(p[:, 2]) > 0.2


@pytest.mark.parametrize("name, draw", [
    ("radii", lambda rng: student(1_500, 60, 20)), ("mardia_kurtosis", lambda rng: student(1_500, 60, 50)),
    ("axes", lambda rng: np.c_[rng.standard_normal((1_500, 59)), 3 * rng.chisquare(10, 1_500)]),
    ("mardia_skewness", lambda rng: rng.standard_normal((1_500, 60)) + 0.6 * rng.standard_normal((10, 60))[rng.integers(10, size=1_500)])])
def test_each_test_sees_what_it_is_for(name, draw):
    assert normality_tests(draw(np.random.default_rng(1))).pvalue[name] < 1e-6


def test_the_subsample_is_seeded():
    z = student(400, 5, 9)
    a, b, c = (normality_tests(z, 100, seed) for seed in (0, 0, 1))
    assert a.equals(b) and (a.statistic != c.statistic)["mardia_skewness"] and (a.statistic == c.statistic)["radii"]
    assert normality_tests(z, 400, 0).equals(normality_tests(z, 10**6, 5)), "all points, in their own order"


def test_many_points_are_thinned_for_the_test_per_axis():
    z = student(25_000, 3, 9)
    white = LatentGaussian(0).fit(z).whiten(z)
    assert normality_tests(z).statistic["axes"] == pytest.approx(stats.normaltest(white[::3]).statistic.max())
    assert np.allclose(normality(z).kurtosis, stats.kurtosis(white)), "effect sizes come from all points"


def test_bad_subsamples():
    z = cloud(300, 30)
    with pytest.raises((TypeError, ValueError), match="n_points must be a whole number of at least 32, got 31"): normality_tests(z, n_points=31)
    with pytest.raises((TypeError, ValueError), match="n_points must be a whole number of at least 32, got 50.0"): normality_tests(z, n_points=50.0)
    with pytest.raises((TypeError, ValueError), match="n_points must be a whole number of at least 32, got True"): normality_tests(z, n_points=True)


# The core

@pytest.mark.parametrize("d", [1, 2, 16, 256])
def test_equivalent_lengths_hold_equal_shares(d):
    for n_std in (0.5, 1, 2, 3, 5):
        share = 1 - 2 * stats.norm.sf(n_std)
        assert stats.chi2.cdf(equivalent_length(n_std, d) ** 2, d) == pytest.approx(share)
    assert equivalent_length(3, 1) == pytest.approx(3)


def test_three_ways_to_cut():
    z = np.insert(cloud(5_000, 4), 1, 0.1, axis=1)
    fit, std = LatentGaussian().fit(z), z.std(axis=0, ddof=1)
    std[1] = np.inf
    assert np.array_equal(inside_cut(z, 2), fit.mahalanobis(z) <= 2)
    assert np.array_equal(inside_cut(z, 2, "components"), np.all(abs(z - z.mean(0)) <= 2 * std, axis=1))
    assert np.array_equal(inside_cut(z, 2, "axes"), np.all(abs(fit.whiten(z)) <= 2, axis=1))
    assert inside_cut(z, equivalent_length(2, 4)).mean() == pytest.approx(0.9545, abs=0.01)
    assert inside_cut(z, 2, "axes").mean() == pytest.approx(0.9545**4, abs=0.02)
    assert inside_cut(z, 1e6, "components").all() and inside_cut(z, 1e-6).sum() == 0


@pytest.mark.parametrize("cut", [0.3, 1, 2.5, 4, 8])
@pytest.mark.parametrize("d", [1, 2, 10, 60])
def test_tallis_factor_by_integration(cut, d):
    r = np.linspace(0, cut, 200_001)[1:]
    density = np.exp((d - 1) * np.log(r) - r**2 / 2)
    assert tallis_factor(cut, d) == pytest.approx((density * r**2).sum() / density.sum() / d, rel=1e-3)


def test_tallis_factor_by_lot():
    z = np.random.default_rng(0).standard_normal((200_000, 5)) @ np.random.default_rng(1).standard_normal((5, 5))
    covariance = np.random.default_rng(1).standard_normal((5, 5))
    covariance = covariance.T @ covariance
    inside = np.einsum("ij,ij->i", z, np.linalg.solve(covariance, z.T).T) <= 2**2
    assert np.allclose(np.cov(z[inside].T), covariance * tallis_factor(2, 5), atol=0.01 * abs(covariance).max())


def test_tallis_factor_at_the_ends():
    assert tallis_factor(100, 256) == 1
    factors = [tallis_factor(c, 256) for c in np.geomspace(1e-3, 40, 300)]
    assert np.all(np.diff(factors) >= 0) and np.all(np.array(factors) > 0), "no gap where the chi-squared shares underflow"
    assert tallis_factor(1e-3, 256) == pytest.approx(1e-6 / 258, rel=1e-3)


def test_a_normal_core_is_found_among_outliers():
    rng = np.random.default_rng(0)
    truth = np.array([[4, 1.2, 0], [1.2, 1, 0], [0, 0, 0.5]])
    z = np.concatenate([rng.multivariate_normal([1, 2, 3], truth, 9_000), rng.uniform(-15, 15, (1_000, 3))])
    found = untruncated_covariance(z, 2.5, tol=1e-5)
    assert found.converged and 1 < found.n_iter < 200
    assert np.allclose(found.covariance, truth, atol=0.2) and np.allclose(found.mean, [1, 2, 3], atol=0.1)
    assert np.linalg.norm(np.cov(z.T) - truth) > 5 * np.linalg.norm(found.covariance - truth)
    assert found.inside[:9_000].mean() == pytest.approx(stats.chi2.cdf(6.25, 3), abs=0.03)


@pytest.mark.parametrize("cut", [1.5, 2.5, 5])
def test_a_normal_cloud_is_its_own_core(cut):
    z = cloud(20_000, 3)
    found = untruncated_covariance(z, cut)
    assert np.allclose(found.covariance, np.cov(z.T), atol=0.08 * abs(np.cov(z.T)).max())
    assert found.inside.mean() == pytest.approx(stats.chi2.cdf(cut**2, 3), abs=0.03)


def test_no_core_is_said():
    with pytest.raises(ValueError, match="the core has shrunk to 0 z-points in 20 dimensions: there is no normal core inside this cut, try a larger one"):
        untruncated_covariance(cloud(500, 20), 1.0)
    assert not untruncated_covariance(student(5_000, 2, 5), 1.5, max_iter=2).converged


# Bad input

BAD = [(np.ones(5), "Reshape your data"), ([[1, np.nan], [3, 4]], "NaN or infinite values in 1 of 2 z-points"), (np.ones((1, 3)), "1 sample"),
       (np.full((30, 3), 0.1), "all 30 z-points are the same point")]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("call", [LatentGaussian().fit, normality, normality_tests, lambda z: inside_cut(z, 3), lambda z: untruncated_covariance(z, 3)])
@pytest.mark.parametrize("z, message", BAD)
def test_bad_points(call, z, message):
    with pytest.raises(ValueError, match=message) as caught: call(z)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shrinkage, error", [(-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("lw", TypeError), (None, TypeError), (True, TypeError)])
def test_bad_shrinkage(shrinkage, error):
    with pytest.raises(error, match='shrinkage, if not "auto", must be'): LatentGaussian(shrinkage).fit(cloud(20, 3))


def test_bad_cuts_and_order():
    z = cloud(50, 3)
    with pytest.raises(ValueError, match='by must be "length", "components" or "axes", got \'sigma\''): inside_cut(z, 3, "sigma")
    for call in (lambda c: inside_cut(z, c), lambda c: untruncated_covariance(z, c), lambda c: tallis_factor(c, 3)):
        with pytest.raises(ValueError, match="cut must be a positive number, got 0"): call(0)
        with pytest.raises(TypeError, match="cut must be a positive number, got '3'"): call("3")
    with pytest.raises((TypeError, ValueError), match="max_iter must be a whole number of at least 1, got 0"): untruncated_covariance(z, 3, max_iter=0)
    with pytest.raises(NotFittedError, match="this LatentGaussian has not been fitted yet: call fit"): LatentGaussian().whiten(z)
    with pytest.raises(ValueError, match="X has 2 features, but LatentGaussian is expecting 3"): LatentGaussian().fit(z).mahalanobis(z[:, :2])


def test_each_number_of_normality_has_a_word():
    rng = np.random.default_rng(3)
    for n, d in [(60, 5), (400, 3), (2000, 40)]:
        words = [normality(rng.standard_normal((n, d))).amount(name) for name in gaussian._AMOUNTS]
        assert words.count("little") >= len(words) - 1, (n, d, words)
    heavy = normality(student(5000, 30, 5))
    assert heavy.amount("radius_ks") == heavy.amount("scale_variance") == "much"
    assert normality(rng.gamma(1, size=(3000, 4))).amount("max_skewness") == "much"
    lines = str(heavy).splitlines()
    assert lines[0] == "5,000 points along 30 axes" and len(lines) == 1 + len(gaussian._AMOUNTS)
    assert lines[1] == f"radius_ks: {heavy.radius_ks:.3g}, much (normal: 0)"
    with pytest.raises(KeyError): heavy.amount("skewness")
