"Samplers: the pair conditions, the laws against rejection and against the literal loop, seeds, equivariance, files, the registry, bad input."
import doctest
import importlib
import io
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import integrate, special, stats
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from clouds import cloud
from latentfaces.densities import (
    BlendSampler, CopulaSampler, EigenfaceSampler, EmpiricalRadiusSampler, GaussianizationSampler, KernelSampler, MixtureSampler,
    ScaleMixtureSampler, TruncatedGaussianSampler)
from latentfaces.distributions import DensityHistograms, half_widths
from latentfaces.moments import Moments
from latentfaces.pca import LatentPCA
from latentfaces.sampling import (
    SAMPLERS as REGISTRY, DensitySampler, EllipticSampler, GaussianSampler, IndependentSampler, UniformSampler, _random_pairs, _repair_pairs, _spike_share, _spike_weights,
    _violated_pairs, _sequential_pair_region, _uniform_pair_region, fitted_sampler, load_sampler, make_sampler)
from strange import Bomb, attempt, gridded, refused

SAMPLERS = [EllipticSampler(), EllipticSampler(method="sequential"), UniformSampler(), UniformSampler(bound=None), IndependentSampler(), GaussianSampler()]


def worst_pair(u):
    "The largest u_i^2 + u_j^2 over all pairs, pair by pair as the definition says."
    if u.shape[1] == 1: return (u**2)[:, 0]
    return np.max([u[:, i]**2 + u[:, j]**2 for i, j in itertools.combinations(range(u.shape[1]), 2)], axis=0)


def literal_pair_loop(n_samples, k, rng):
    """The published algorithm, word for word: uniform start, all pairs in a random order of its own for every vector,

    a coin for which of the two is second, and the second drawn anew in [-c, c] where the pair is outside its ellipse.
    """
    pairs = np.array(list(itertools.combinations(range(k), 2)))
    vectors = np.empty((n_samples, k))
    for u in vectors:
        u[:] = rng.uniform(-1, 1, k)
        for i, j in rng.permuted(pairs[rng.permutation(len(pairs))], axis=1):
            if u[i]**2 + u[j]**2 > 1:
                c = math.sqrt(1 - u[i]**2)
                u[j] = rng.uniform(-c, c)
    return vectors


STATISTICS = {
    "first component": lambda u: u[:, 0],
    "last component": lambda u: u[:, -1],
    "a sum, with sign": lambda u: u[:, 0] + u[:, -1],
    "largest": lambda u: np.abs(u).max(axis=1),
    "second largest": lambda u: np.sort(np.abs(u), axis=1)[:, -2],
    "smallest": lambda u: np.abs(u).min(axis=1),
    "length": lambda u: np.linalg.norm(u, axis=1),
    "joint: product of squares": lambda u: u[:, 0]**2 * u[:, 1]**2,
}


def assert_same_law(a, b):
    "Kolmogorov-Smirnov for each statistic; Bonferroni keeps the chance of a false alarm at one in ten thousand."
    p = {name: stats.ks_2samp(f(a), f(b)).pvalue for name, f in STATISTICS.items()}
    assert min(p.values()) > 1e-4 / len(p), p


def assert_same_joint_law(a, b, rng, permutations=100):
    "Permutation test of the energy distance between the magnitudes, which sees any difference of their joint laws."
    distance = cdist(np.abs(np.r_[a, b]), np.abs(np.r_[a, b]))

    def energy(first, second):
        return 2 * distance[np.ix_(first, second)].mean() - distance[np.ix_(first, first)].mean() - distance[np.ix_(second, second)].mean()

    index, n = np.arange(len(distance)), len(a)
    shuffled = [energy(mixed[:n], mixed[n:]) for mixed in (rng.permutation(index) for _ in range(permutations))]
    assert energy(index[:n], index[n:]) <= max(shuffled)


# The region and its closed form

def test_volumes_against_quadrature():
    for k in [1, 2, 3, 4, 7, 20, 50, 105, 256]:
        spikes = 2 * k * integrate.quad(lambda m: (2 * math.sqrt(1 - m * m)) ** (k - 1), math.sqrt(0.5), 1, epsabs=0, epsrel=1e-12)[0]
        assert _spike_share(k) == pytest.approx(spikes / (spikes + 2 ** (k / 2)), rel=1e-9)
    assert _spike_share(2) == pytest.approx(1 - 2 / math.pi, rel=1e-14), "caps of the disc"


def test_volumes_against_the_hypergeometric_form():
    for k in [1, 2, 5, 105, 1_000, 10_000, 1_000_000]:
        ratio = k / (k + 1) * special.hyp2f1(1, 0.5, (k + 3) / 2, -1)
        assert _spike_share(k) == pytest.approx(ratio / (1 + ratio), rel=1e-9)
        assert np.all(np.isfinite(_spike_weights(k)[1])) and _spike_weights(k)[1][-1] < 1e-18 * _spike_weights(k)[1].sum()


@pytest.mark.parametrize("k", [1, 2, 3, 20, 105, 1_000])
def test_heights_of_spikes_follow_their_density(k):
    # 1 - m^2 is a Beta((k + 1) / 2, 1/2) variable, given that it is below 1/2.
    u = _uniform_pair_region(6_000, k, np.random.default_rng(k))
    s = 1 - (u**2).max(axis=1)
    s, law = s[s < 0.5], stats.beta((k + 1) / 2, 0.5)
    assert stats.kstest(s, lambda x: law.cdf(x) / law.cdf(0.5)).pvalue > 1e-4


def test_share_of_spikes_drawn():
    for k in [2, 105]:
        u = _uniform_pair_region(50_000, k, np.random.default_rng(k))
        spikes = np.sum((u**2).max(axis=1) > 0.5)
        assert stats.binomtest(int(spikes), len(u), _spike_share(k)).pvalue > 1e-4


def test_one_component_is_uniform_and_two_are_the_disc():
    for draw in (_uniform_pair_region, _sequential_pair_region):
        assert stats.kstest(draw(20_000, 1, np.random.default_rng(0))[:, 0], stats.uniform(-1, 2).cdf).pvalue > 1e-4
    u = _uniform_pair_region(40_000, 2, np.random.default_rng(1))
    assert stats.kstest((u**2).sum(axis=1), "uniform").pvalue > 1e-4, "squared radius of the uniform disc"
    assert stats.kstest(np.arctan2(*u.T), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-4


@pytest.mark.parametrize("k", [2, 3, 4])
def test_uniform_agrees_with_rejection(k):
    rng = np.random.default_rng(100 + k)
    candidates = rng.uniform(-1, 1, (150_000, k))
    truth = candidates[worst_pair(candidates) <= 1]
    ours = _uniform_pair_region(len(truth), k, rng)
    assert_same_law(truth, ours)
    assert_same_joint_law(truth[:600], ours[:600], rng)
    cells = [np.histogramdd(np.abs(u), bins=4, range=[(0, 1)] * k)[0].ravel() for u in (truth, ours)]
    filled = np.sum(cells, axis=0) > 20
    assert stats.chi2_contingency([c[filled] for c in cells]).pvalue > 1e-4
    assert np.all(cells[1][cells[0] == 0] < 5), "nothing where rejection has nothing"


@pytest.mark.parametrize("k, n", [(2, 6_000), (3, 6_000), (5, 4_000), (12, 1_500), (40, 250)])
def test_sequential_has_the_law_of_the_literal_loop(k, n):
    rng = np.random.default_rng(200 + k)
    truth, ours = literal_pair_loop(n, k, rng), _sequential_pair_region(20_000, k, rng)
    assert_same_law(truth, ours)
    assert_same_joint_law(truth[:600], ours[:600], rng)


def test_the_tests_of_law_can_fail():
    "Uniform and sequential are different laws, and so is a loop without the coin."
    rng = np.random.default_rng(5)
    with pytest.raises(AssertionError): assert_same_law(_uniform_pair_region(6_000, 5, rng), _sequential_pair_region(20_000, 5, rng))
    with pytest.raises(AssertionError): assert_same_joint_law(_uniform_pair_region(600, 12, rng), _sequential_pair_region(600, 12, rng), rng)
    no_coin = rng.uniform(-1, 1, (4_000, 5))
    for u in no_coin:
        for p in rng.permutation(10):
            i, j = list(itertools.combinations(range(5), 2))[p]
            if u[i]**2 + u[j]**2 > 1: u[j] = rng.uniform(-1, 1) * math.sqrt(1 - u[i]**2)
    with pytest.raises(AssertionError): assert_same_law(no_coin, _sequential_pair_region(20_000, 5, rng))


def test_any_number_of_random_visits_gives_the_same_law():
    "The lemma behind the fast form: listing the violated pairs at once, or after many random visits."
    def draw(n_batches, rng):
        u = rng.uniform(-1, 1, (15_000, 6))
        w = u**2
        for _ in range(n_batches): _repair_pairs(w, *_random_pairs(*w.shape, 6, rng), rng)
        _repair_pairs(w, *_violated_pairs(w, rng), rng)
        return np.copysign(np.sqrt(w), u)
    rng = np.random.default_rng(6)
    at_once = draw(0, rng)
    for n_batches in (1, 20): assert_same_law(at_once, draw(n_batches, rng))


def test_components_are_exchangeable_and_symmetric():
    for draw in (_uniform_pair_region, _sequential_pair_region):
        u = draw(30_000, 7, np.random.default_rng(7))
        assert stats.kstest(u[:, 0], -u[:, 0]).pvalue > 1e-4
        assert min(stats.ks_2samp(u[:15_000, 0], u[15_000:, j]).pvalue for j in range(7)) > 1e-4
        assert abs(np.corrcoef(u.T) - np.eye(7)).max() < 0.03


def test_every_vector_has_an_order_of_its_own():
    """With one order of the pairs for all vectors of a batch, some components would be larger than others throughout it.

    (Correlation 0.04 between the sizes of two vectors for four components, so about nine standard errors here.)
    """
    p = [stats.ttest_rel(w[:, 0], w[:, 1]).pvalue for w in (_sequential_pair_region(2_000, 4, np.random.default_rng(seed))**2 for seed in range(20))]
    assert stats.kstest(p, "uniform").pvalue > 1e-4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), k=st.integers(1, 60), method=st.sampled_from([_uniform_pair_region, _sequential_pair_region]))
def test_every_pair_of_scaled_components_is_in_the_disc(seed, n, k, method):
    u = method(n, k, np.random.default_rng(seed))
    assert u.shape == (n, k) and u.dtype == np.float64
    assert np.all(worst_pair(u) <= 1 + 1e-12)


@pytest.mark.parametrize("draw, k", [(_uniform_pair_region, 5_000), (_sequential_pair_region, 600)])
def test_thousands_of_components(draw, k):
    u = draw(40, k, np.random.default_rng(0))
    largest = np.sort(u**2, axis=1)[:, -2:].sum(axis=1)
    assert np.all(largest <= 1 + 1e-12) and np.all(np.isfinite(u)) and largest.max() > 0.9


# The estimators

@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_is_a_scikit_learn_estimator(sampler):
    results = check_estimator(sampler, on_fail=None)  # no check is expected to fail
    assert {r["status"] for r in results} <= {"passed", "skipped"}, [r for r in results if r["status"] == "failed"]
    assert sum(r["status"] == "passed" for r in results) > 30


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_components=st.one_of(st.integers(1, 12), st.sampled_from([0.5, 0.9, None])),
       factor=st.floats(1e-9, 1e9), width=st.sampled_from(["fwhm", "std"]), method=st.sampled_from(["uniform", "sequential"]))
def test_every_pair_of_every_vector_is_in_its_ellipse(seed, n_components, factor, width, method):
    z = cloud(200, 12, seed)
    sampler = EllipticSampler(n_components, factor=factor, width=width, method=method, random_state=seed).fit(z)
    vectors = sampler.sample(30)
    pca = LatentPCA(12).fit(z)
    scores, k = pca.transform(vectors), sampler.n_components_
    a = half_widths(pca.transform(z), width)[:k]
    # Rounding on the way to z and back is relative to the mean, so tiny ellipses get that much room.
    slack = 1e-12 * (1 + np.abs(pca.mean_).max())
    x = np.maximum(np.abs(scores[:, :k]) - slack, 0)
    assert np.all(worst_pair(x / (factor * a)) <= 1 + 1e-9)
    assert np.allclose(scores[:, k:], 0, atol=slack + 1e-12 * factor * a.max()), "dropped components sit at the mean"
    assert vectors.shape == (30, 12) and vectors.dtype == np.float64 and np.all(np.isfinite(vectors.astype(np.float32)))


def test_the_half_widths_are_those_of_the_principal_axes():
    z = cloud(5_000)
    sampler = EllipticSampler(5, width="std").fit(z)
    assert np.allclose(sampler.half_widths_, 2.35 * np.sqrt(LatentPCA(5).fit(z).explained_variance_))
    reached = np.abs(sampler.pca_.transform(sampler.sample(60_000, random_state=0))).max(axis=0)
    assert np.all(reached <= 0.7 * sampler.half_widths_) and np.all(reached > 0.65 * sampler.half_widths_)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_same_seed_same_vectors(sampler):
    z = cloud(400, 12)
    fixed, fresh = clone(sampler).set_params(random_state=3).fit(z), clone(sampler).fit(z)
    assert np.array_equal(fixed.sample(5), fixed.sample(5)), "an int gives the same at every call"
    assert np.array_equal(fixed.sample(5), fresh.sample(5, random_state=3)), "the argument does what the parameter does"
    assert np.array_equal(fixed.sample(5, random_state=4), fresh.sample(5, random_state=4)), "and wins over it"
    assert not np.array_equal(fixed.sample(5, random_state=4), fixed.sample(5))
    assert not np.array_equal(fresh.sample(5), fresh.sample(5)), "None is fresh"
    for kind in (np.random.default_rng, np.random.RandomState):
        going, again = kind(8), kind(8)
        first, second = fresh.sample(5, random_state=going), fresh.sample(5, random_state=going)
        assert not np.array_equal(first, second), "a generator goes on"
        assert np.array_equal(first, fresh.sample(5, random_state=again)) and np.array_equal(second, fresh.sample(5, random_state=again))
    assert np.array_equal(fresh.sample(3, random_state=np.random.SeedSequence(5)), fresh.sample(3, random_state=5))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_the_global_seed_is_neither_read_nor_moved(sampler):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    fitted = clone(sampler).fit(cloud(400, 12))
    a = fitted.sample(2)
    np.random.seed(0)
    assert not np.array_equal(a, fitted.sample(2)) and np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if not (isinstance(s, UniformSampler) and s.bound)], ids=str)
@pytest.mark.parametrize("scale, shift", [(1, 100), (1e-4, 0), (1e5, -3), (1e-8, 1e-8)])
def test_shifted_and_scaled_data_give_shifted_and_scaled_vectors(sampler, scale, shift):
    z = cloud(400, 12)
    a = clone(sampler).fit(z).sample(20, random_state=0)
    b = clone(sampler).fit(z * scale + shift).sample(20, random_state=0)
    assert np.allclose(b, a * scale + shift, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("sampler", [EllipticSampler(), EllipticSampler(method="sequential"), GaussianSampler()], ids=str)
def test_rotated_data_give_rotated_vectors(sampler):
    z, turn = cloud(400, 12), np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    plain, turned = clone(sampler).fit(z), clone(sampler).fit(z @ turn)
    axes = LatentPCA().fit(z)
    a = axes.transform(plain.sample(20, random_state=0))
    b = axes.transform(turned.sample(20, random_state=0) @ turn.T)
    # The sign of an axis is fixed in the coordinates at hand, so a rotation may mirror it; the law is symmetric.
    assert np.allclose(np.abs(a), np.abs(b), atol=1e-7)


def test_factor_and_method_need_no_new_fit():
    z = cloud(400, 12)
    sampler = EllipticSampler(factor=0.5).fit(z)
    other = clone(sampler).set_params(factor=0.8, method="sequential").fit(z)
    assert np.array_equal(sampler.set_params(factor=0.8, method="sequential").sample(4, random_state=0), other.sample(4, random_state=0))
    small, large = [clone(other).set_params(factor=f).fit(z).sample(4, random_state=0) - z.mean(axis=0) for f in (0.4, 0.8)]
    assert np.allclose(2 * small, large)


def test_refitting_forgets():
    for sampler in SAMPLERS:
        again = clone(sampler).fit(cloud(50, 5)).fit(cloud(60, 8, 1))
        assert np.array_equal(again.sample(3, random_state=0), clone(sampler).fit(cloud(60, 8, 1)).sample(3, random_state=0))


def test_gaussian_has_mean_and_covariance():
    z = cloud(400, 12)
    for scale in (0.5, 1.0, 1.3):
        sampler = GaussianSampler(scale).fit(z)
        vectors = sampler.sample(100_000, random_state=0)
        assert np.allclose(sampler.covariance_, np.cov(z.T)) and np.allclose(sampler.mean_, z.mean(axis=0))
        assert np.allclose(np.cov(vectors.T), scale**2 * np.cov(z.T), atol=0.02 * scale**2 * np.cov(z.T).max())
        assert np.allclose(vectors.mean(axis=0), z.mean(axis=0), atol=0.02)
        whitened = np.linalg.solve(np.linalg.cholesky(np.cov(z.T)), (vectors[:20_000] - z.mean(axis=0)).T) / scale
        assert stats.kstest((whitened**2).sum(axis=0), stats.chi2(12).cdf).pvalue > 1e-4


def test_independent_sampler():
    z = cloud(400, 12)
    vectors = IndependentSampler().fit(z).sample(50_000, random_state=0)
    assert abs(np.corrcoef(vectors.T) - np.eye(12)).max() < 0.03
    for j in range(12): assert stats.kstest(vectors[:, j], stats.norm(z[:, j].mean(), z[:, j].std(ddof=1)).cdf).pvalue > 1e-4


def test_uniform_samplers():
    z = cloud(400, 12)
    cube, own = UniformSampler(2).fit(z).sample(20_000, random_state=0), UniformSampler(None).fit(z).sample(20_000, random_state=0)
    for j in range(12):
        assert stats.kstest(cube[:, j], stats.uniform(-2, 4).cdf).pvalue > 1e-4
        assert stats.kstest(own[:, j], stats.uniform(z[:, j].min(), np.ptp(z[:, j])).cdf).pvalue > 1e-4


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("n, d", [(8, 30), (2, 5), (30, 1), (2, 1)])
def test_few_points_and_few_dimensions(sampler, n, d):
    z = cloud(n, d)
    vectors = clone(sampler).fit(z).sample(7, random_state=0)
    assert vectors.shape == (7, d) and np.all(np.isfinite(vectors))
    if isinstance(sampler, (EllipticSampler, GaussianSampler)):
        assert np.linalg.matrix_rank(vectors - z.mean(axis=0), tol=1e-6) <= n - 1, "only where the points vary"


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_constant_components_stay_constant(sampler):
    z = np.insert(cloud(400, 12), 3, 0.1, axis=1)
    vectors = clone(sampler).fit(z).sample(50, random_state=0)
    if getattr(sampler, "bound", None) is None: assert np.allclose(vectors[:, 3], 0.1, atol=1e-9)
    assert np.all(np.isfinite(vectors)) and np.all(vectors.std(axis=0)[[0, 1, 2, 4]] > 0)
    if hasattr(sampler, "n_components"):
        fitted = clone(sampler).set_params(n_components=None).fit(z)
        assert (fitted.rank_ if isinstance(sampler, GaussianSampler) else fitted.n_components_) == 12


def test_float32_points():
    z = cloud(400, 12).astype(np.float32)
    for sampler in SAMPLERS:
        assert np.allclose(clone(sampler).fit(z).sample(4, random_state=0), clone(sampler).fit(z.astype(float)).sample(4, random_state=0), rtol=1e-5, atol=1e-6)


# Bad input: one sentence each, and nothing half-fitted

BAD_POINTS = [
    (np.ones(5), ValueError, "Reshape your data to .*got an array of shape \\(5,\\)"),
    (np.ones((2, 3, 4)), ValueError, "Reshape your data"),
    (np.where(np.arange(400)[:, None] == 7, np.nan, cloud(400, 12)), ValueError, "NaN or infinite values in 1 of 400 z-points, the first in row 7"),
    (np.where(np.arange(400)[:, None] == 7, np.inf, cloud(400, 12)), ValueError, "NaN or infinite values in 1 of 400 z-points, the first in row 7"),
    (cloud(400, 12)[:1], ValueError, "1 sample"),
    (cloud(400, 12)[:, :0], ValueError, "0 feature"),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("z, error, message", BAD_POINTS)
def test_bad_points(sampler, z, error, message):
    sampler = clone(sampler)
    with pytest.raises(error, match=message) as caught: sampler.fit(z)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFittedError): sampler.sample()


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_sampling_before_fitting(sampler):
    with pytest.raises(NotFittedError, match=f"this {type(sampler).__name__} has not been fitted yet: call fit\\(z\\) before sample"): clone(sampler).sample(3)


@pytest.mark.parametrize("sampler, error, message", [
    (EllipticSampler(factor=0), ValueError, "factor must be a positive number, got 0"),
    (EllipticSampler(factor=-0.7), ValueError, "factor must be a positive number, got -0.7"),
    (EllipticSampler(factor=np.nan), ValueError, "factor must be a positive number, got nan"),
    (EllipticSampler(factor="0.7"), TypeError, "factor must be a positive number, got '0.7'"),
    (EllipticSampler(width="hwhm"), ValueError, 'width must be "fwhm" or "std", got \'hwhm\''),
    (EllipticSampler(method="loop"), ValueError, 'method must be "uniform" or "sequential", got \'loop\''),
    (EllipticSampler(n_components=13), ValueError, "n_components=13 is not between 1 and 12, the most that 400 z-points in 12 dimensions can have"),
    (EllipticSampler(n_components=0), ValueError, "n_components=0 is not between 1 and 12"),
    (EllipticSampler(n_components=1.5), ValueError, "between 0 and 1, got 1.5"),
    (GaussianSampler(n_components=13), ValueError, "n_components=13 is not between 1 and 12"),
    (GaussianSampler(scale=0), ValueError, "scale must be a positive number, got 0"),
    (GaussianSampler(scale=-1), ValueError, "scale must be a positive number, got -1"),
    (UniformSampler(bound=0), ValueError, "bound must be a positive number, got 0"),
    (UniformSampler(bound="range"), TypeError, "bound must be a positive number, got 'range'"),
], ids=str)
def test_bad_parameters(sampler, error, message):
    with pytest.raises(error, match=message): sampler.fit(cloud(400, 12))
    with pytest.raises(NotFittedError): sampler.sample()


@pytest.mark.parametrize("sampler", [EllipticSampler, GaussianSampler])
def test_more_components_than_the_points_have(sampler):
    with pytest.raises(ValueError, match="n_components=9 is not between 1 and 6, the most that 6 z-points in 12 dimensions can have"): sampler(n_components=9).fit(cloud(6, 12))
    with pytest.raises(ValueError, match="n_components=6 asks for more axes than the 5 along which these z-points vary: ask for at most 5"): sampler(n_components=6).fit(cloud(6, 12))
    with pytest.raises(ValueError, match="n_components=13 asks for more axes than the 12 along which"): sampler(n_components=13).fit(np.insert(cloud(400, 12), 3, 0.1, axis=1))
    with pytest.raises(ValueError, match="all 9 z-points are the same point"): sampler().fit(np.full((9, 4), 0.1))


def test_a_spike_in_the_density():
    z = cloud(400, 12)
    z[:300] = z[0]
    with pytest.raises(ValueError, match='number density along principal axis 1 is a spike.*use width="std"'): EllipticSampler().fit(z)
    assert np.all(np.isfinite(EllipticSampler(width="std").fit(z).sample(5)))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_bad_sample_arguments(sampler):
    fitted = clone(sampler).fit(cloud(400, 12))
    for n in (0, -1, 2.5, "3", True, None):
        with pytest.raises((TypeError, ValueError), match="n_samples must be a whole number of at least 1, got"): fitted.sample(n)
    for seed in ("seven", 1.5, True):
        with pytest.raises(TypeError, match="random_state must be None, an integer, a numpy Generator or a RandomState, got"): fitted.sample(2, random_state=seed)
    with pytest.raises(ValueError, match="random_state must not be negative, got -3"): fitted.sample(2, random_state=-3)
    assert fitted.sample(np.int64(2)).shape == (2, 12)
    if isinstance(sampler, EllipticSampler):
        with pytest.raises(ValueError, match="factor must be a positive number, got 0"): fitted.set_params(factor=0).sample()


# The density of the elliptic sampler

@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_the_elliptic_density_is_one_over_the_volume(k):
    z = np.random.default_rng(0).standard_normal((400, k)) * np.arange(1, k + 1) + 5
    sampler = EllipticSampler(n_components=None, factor=0.8).fit(z)
    box = 0.8 * sampler.half_widths_
    darts = np.random.default_rng(1).uniform(-1, 1, (100_000, k)) * box
    density = sampler.score_samples(sampler.pca_.inverse_transform(darts))
    inside = np.isfinite(density)
    assert np.ptp(density[inside]) < 1e-9
    volume = inside.mean() * np.prod(2 * box)
    assert np.exp(density[inside][0]) * volume == pytest.approx(1, abs=4 * np.sqrt((1 - inside.mean()) / inside.sum()) + 1e-9)
    assert np.isfinite(sampler.score_samples(sampler.sample(2000, random_state=0))).all()


def test_only_the_uniform_law_has_a_density():
    z = np.random.default_rng(0).standard_normal((200, 5))
    sampler = EllipticSampler(n_components=3).fit(z)
    assert hasattr(sampler, "score_samples") and np.isneginf(sampler.score_samples(z)).all(), "z-points leave the three axes"
    assert not hasattr(sampler.set_params(method="sequential"), "score_samples") and not hasattr(sampler, "score")
    assert np.isfinite(sampler.set_params(method="uniform").score(sampler.sample(10, random_state=0)))


# Files: damaged, foreign, and paths that lead nowhere

ONE_OF_EACH = [EllipticSampler(), GaussianSampler(), UniformSampler(bound=None), IndependentSampler(), CopulaSampler(5), MixtureSampler(2, max_iter=10, random_state=0), KernelSampler(),
               GaussianizationSampler(1, n_knots=5, random_state=0), BlendSampler(), EmpiricalRadiusSampler(), ScaleMixtureSampler(), TruncatedGaussianSampler(), EigenfaceSampler(3)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    "Bytes of a file of each sampler, and the vectors it draws."
    folder, found = tmp_path_factory.mktemp("saved"), {}
    for i, sampler in enumerate(ONE_OF_EACH):
        fitted = clone(sampler).fit(gridded(9, 3))
        found[str(sampler)] = fitted.save(folder / f"{i}.npz").read_bytes(), fitted.sample(3, random_state=0)
    return found


def load_bytes(content, path):
    path.write_bytes(content)
    loaded = load_sampler(path)
    return loaded, loaded.sample(3, random_state=0)


@pytest.mark.parametrize("sampler", ONE_OF_EACH, ids=str)
def test_damaged_files(sampler, saved, tmp_path):
    "One byte changed, cut short, or with more behind it: the same vectors as before, or one sentence."
    content, drawn = saved[str(sampler)]
    rng = np.random.default_rng(len(content))
    damaged = [content[:n] for n in [0, 1, 4, 30, *rng.integers(0, len(content), 12)]]
    damaged += [content[:i] + bytes([content[i] ^ int(flip)]) + content[i + 1:] for i in rng.integers(0, len(content), 30) for flip in (1, 1 << rng.integers(8), 255)]
    damaged += [content + b"\0" * 9, b"\0" * 9 + content, content[::-1], content * 2, content[:200] + content[260:]]
    for one in damaged:
        found = attempt(lambda: load_bytes(one, tmp_path / "s.npz"))
        if found is None: continue
        assert type(found[0]) is type(sampler) and np.array_equal(found[1], drawn)


@pytest.mark.parametrize("place", ["local header", "names", "directory", "end"])
def test_every_byte_of_the_zip_around_the_arrays(place, saved, tmp_path):
    content, drawn = saved["GaussianSampler()"]
    directory = content.index(b"PK\x01\x02")
    start, stop = {"local header": (0, 60), "names": (60, 200), "directory": (directory, directory + 140), "end": (len(content) - 40, len(content))}[place]
    for i in range(start, stop):
        for flip in (1, 255):
            one = content[:i] + bytes([content[i] ^ flip]) + content[i + 1:]
            found = attempt(lambda: load_bytes(one, tmp_path / "s.npz"))
            assert found is None or np.array_equal(found[1], drawn)


def packed(tree, **arrays):
    "A file as save writes it, with any tree."
    file = io.BytesIO()
    np.savez(file, sampler=np.array(tree if isinstance(tree, str) else json.dumps(tree)), **arrays)
    return file.getvalue()


def tree(**changes):
    return {"class": "IndependentSampler", "module": "latentfaces.sampling", "parameters": {"random_state": None}, "values": {"n_features_in_": 2}, "inside": {}} | changes


GOOD = {"mean_": np.zeros(2), "std_": np.ones(2)}
FOREIGN = {
    "another array": (b"", {"z": np.ones(3)}), "objects": (b"", {"sampler": np.array([Bomb()], object)}), "objects beside": (json.dumps(tree()), GOOD | {"more_": np.array([Bomb()], object)}),
    "no JSON": ("{", GOOD), "null": ("null", GOOD), "a list": (json.dumps(["class", "module", "parameters", "values", "inside"]), GOOD), "a number": ("3", GOOD), "deep": ("[" * 20000, GOOD), "NaN": ("NaN", GOOD),
    "too few": (tree() | {"class": None}, GOOD), "no class": (tree(**{"class": "Sampler"}), GOOD), "a class that is no sampler": (tree(**{"class": "LatentPCA"}), GOOD), "base class": (tree(**{"class": "LatentSampler"}), GOOD),
    "a list as class": (tree(**{"class": ["IndependentSampler"]}), GOOD), "another module": (tree(**{"class": "system", "module": "os"}), GOOD), "command line": (tree(**{"class": "main", "module": "latentfaces.cli"}), GOOD),
    "unknown parameter": (tree(parameters={"random_state": None, "factor": 1}), GOOD), "parameters as list": (tree(parameters=[1]), GOOD), "nothing learned": (tree(), {}), "a part missing": (tree(), {"mean_": np.zeros(2)}),
    "other lengths": (tree(), {"mean_": np.zeros(2), "std_": np.ones(3)}), "a number for an array": (tree(), {"mean_": np.float64(0), "std_": np.ones(2)}), "NaN inside": (tree(), {"mean_": np.array([0, np.nan]), "std_": np.ones(2)}),
    "texts inside": (tree(), {"mean_": np.array(["a", "b"]), "std_": np.ones(2)}), "a method replaced": (tree(values={"sample": "x", "n_features_in_": 2}), GOOD), "an inner method replaced": (tree(values={"_sample": "x"}), GOOD),
    "density replaced": (tree(values={"score_samples": "x"}), GOOD), "the class replaced": (tree(values={"__class__": "x"}), GOOD), "all attributes replaced": (tree(values={"__dict__": {}}), GOOD), "values as list": (tree(values=["a"]), GOOD),
    "inside as list": (tree(inside=["pca_"]), GOOD), "inside of another class": (tree(inside={"pca_": tree()}), GOOD), "inside of no class": (tree(inside={"pca_": {}}), GOOD),
    "complex": (tree(), {"mean_": np.zeros(2) * 1j, "std_": np.ones(2)}), "empty": (tree(), {"mean_": np.zeros(0), "std_": np.zeros(0)}), "three axes": (tree(), {"mean_": np.zeros((2, 2, 2)), "std_": np.ones((2, 2, 2))}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files(name, tmp_path):
    text, arrays = FOREIGN[name]
    content = packed(text, **arrays) if text else None
    if content is None:
        file = io.BytesIO()
        np.savez(file, **arrays)
        content = file.getvalue()
    said = refused(lambda: load_bytes(content, tmp_path / "s.npz"))
    assert "s.npz" in said or "import the module" in said


def test_a_file_that_is_as_it_should_be(tmp_path):
    assert load_bytes(packed(tree(), **GOOD), tmp_path / "s.npz")[1].shape == (3, 2), "so the foreign ones are refused for what is foreign"


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, b"\x93NUMPY\x01\x00", b"{}", "ä".encode() * 999, bytes(10_000), b"\x80\x04cos\nsystem\n(S'true'\ntR."])
def test_files_that_are_no_samplers(content, tmp_path):
    refused(lambda: load_bytes(content, tmp_path / "s.npz"))


def test_paths_that_lead_nowhere(tmp_path):
    fitted = GaussianSampler().fit(gridded())
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file" / "s.npz", tmp_path / ("x" * 300), "", "\0", None, 3, b"x", []):
        refused(lambda: load_sampler(path))
        refused(lambda: GaussianSampler.load(path))
    for path in (tmp_path, tmp_path / "file" / "s.npz", tmp_path / ("x" * 300), "", "\0", None, 3, []):
        refused(lambda: fitted.save(path))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert load_sampler(fitted.save(tmp_path / "new" / "s.npz")).n_features_in_ == 5, "a folder that is not there is made"


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    for seed in (np.random.default_rng(0), np.random.RandomState(0), object(), {1: 2}): refused(lambda: GaussianSampler(random_state=seed).fit(gridded()).save(tmp_path / "s.npz"))
    for sampler in ONE_OF_EACH: refused(lambda: clone(sampler).save(tmp_path / "s.npz"))
    assert list(tmp_path.iterdir()) == []


# The registry

BY_NAME = [name for name in REGISTRY if name != "flow"]  # test_flow has that one, which needs Keras


def make(name, seed, z=gridded(60)): return make_sampler(name, random_state=seed).fit(z)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", BY_NAME)
def test_each_name_makes_a_sampler_that_follows_its_seed(name):
    check_seeds(lambda seed: make(name, seed))


def check_seeds(fit):
    "`fit(seed)` gives a fitted sampler: an int gives the same every time, None something fresh, and a Generator goes on."
    drawn = fit(0).sample(5)
    assert drawn.shape == (5, 5) and np.isfinite(drawn).all()
    again = fit(0)
    assert np.array_equal(again.sample(5), drawn) and np.array_equal(again.sample(5), drawn)
    assert not np.array_equal(fit(1).sample(5), drawn)
    fresh = fit(None)
    assert not np.array_equal(fresh.sample(5), fresh.sample(5)) and not np.array_equal(fit(None).sample(5), fit(None).sample(5))
    assert np.array_equal(fresh.sample(5, random_state=3), fresh.sample(5, random_state=3))
    going, anew = np.random.default_rng(7), np.random.default_rng(7)
    first, second = fit(going), fit(anew)
    one, two = first.sample(5), first.sample(5)
    assert not np.array_equal(one, two) and np.array_equal(one, second.sample(5)) and np.array_equal(two, second.sample(5))


@pytest.mark.parametrize("name", REGISTRY)
def test_knobs_of_a_name(name):
    entry, plain = REGISTRY[name], make_sampler(name).get_params()
    assert type(make_sampler(name)) is entry.cls and entry.fixed.items() <= plain.items()
    assert entry.description[0].islower() and not entry.description.endswith(".")
    for knob, value in {"n_components": 3, "factor": 0.625}.items():
        if getattr(entry, knob):
            assert make_sampler(name, **{knob: value}).get_params() == plain | {getattr(entry, knob): value}
            assert entry.default(knob) == plain[getattr(entry, knob)]
        else:
            with pytest.raises(ValueError, match=f"the sampler {name} has no {knob}, got {knob}={value}: leave it out"): make_sampler(name, **{knob: value})
            assert entry.default(knob) is None
    with pytest.raises(TypeError): make_sampler(name, magic=1)


@pytest.mark.parametrize("name", ["magic", "", "Elliptic", None, 3, ["elliptic"]])
def test_other_names(name):
    with pytest.raises(ValueError, match="expected one of the samplers elliptic, .*, got .*: choose one of these"): make_sampler(name)


def test_fitted_samplers():
    z = gridded(60)
    assert np.array_equal(fitted_sampler("gaussian", z, random_state=0).sample(3), GaussianSampler(random_state=0).fit(z).sample(3))
    fitted, plain = GaussianSampler().fit(z), GaussianSampler(0.5, random_state=4)
    assert fitted_sampler(fitted, z[:5]) is fitted
    copy = fitted_sampler(plain, z, random_state=0)
    assert copy is not plain and not hasattr(plain, "mean_") and copy.get_params() == plain.get_params(), "its own seed wins"
    for wrong in (GaussianSampler, 3, None, z):
        with pytest.raises(TypeError, match="expected a sampler such as EllipticSampler\\(\\), or the name of one, got"): fitted_sampler(wrong, z)
    with pytest.raises(TypeError, match="EigenfaceSampler learns from images, not from z-points: fit it first"): fitted_sampler(EigenfaceSampler(), z)


# A sampler from outside: public names only

class ShellSampler(DensitySampler):
    "Uniform directions from the mean, lengths uniform between the 5 % and 95 % quantiles of the data's."
    def __init__(self, *, random_state=None): self.random_state = random_state

    def _fit(self, points, rng):
        self.mean_ = points.mean(axis=0, dtype=np.float64)
        self.low_, self.high_ = np.quantile(np.linalg.norm(points - self.mean_, axis=1), [0.05, 0.95])

    def _sample(self, n_samples, rng):
        normal = rng.standard_normal((n_samples, len(self.mean_)))
        lengths = rng.uniform(self.low_, self.high_, (n_samples, 1))
        return self.mean_ + lengths * normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def _score(self, points):
        lengths, d = np.linalg.norm(points - self.mean_, axis=1), len(self.mean_)
        surface = np.log(2) + d / 2 * np.log(np.pi) - special.gammaln(d / 2) + (d - 1) * np.log(lengths)
        inside = (lengths >= self.low_) & (lengths <= self.high_)
        return np.where(inside, -np.log(self.high_ - self.low_) - surface, -np.inf)


def test_a_sampler_from_outside_is_one_of_the_family(tmp_path):
    test_is_a_scikit_learn_estimator(ShellSampler())
    check_seeds(lambda seed: ShellSampler(random_state=seed).fit(gridded(60)))
    z = cloud(300, 2)
    fitted = ShellSampler().fit(z)
    x = np.linspace(-8, 8, 400)
    grid = fitted.mean_ + np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    assert np.exp(fitted.score_samples(grid)).sum() * (x[1] - x[0]) ** 2 == pytest.approx(1, abs=0.02)
    assert np.array_equal(load_sampler(fitted.save(tmp_path / "s.npz")).sample(5, random_state=0), fitted.sample(5, random_state=0))
    with pytest.raises(NotFittedError, match="this ShellSampler has not been fitted yet: call fit\\(z\\) before sample"): ShellSampler().sample()


def test_every_class_of_the_registry_is_checked_as_an_estimator():
    import test_densities
    assert {entry.cls for entry in REGISTRY.values()} - {type(s) for s in [*SAMPLERS, *test_densities.SAMPLERS]} == {REGISTRY["flow"].cls}


def test_parts_are_taken_as_they_are_said_to_be():
    z = cloud(400, 5)
    moments = Moments().partial_fit(z)
    sampler = EllipticSampler(3)
    axes = sampler.principal_axes(moments)
    def counted(points): return DensityHistograms(np.zeros(3), np.sqrt(axes.explained_variance_), 400).partial_fit(axes.transform(points))
    sampler.fit_parts(moments, counted(z))
    moments.partial_fit(z[:100])
    assert sampler.moments_.count == 400, "what is added later is no concern of the sampler"
    moments = Moments().partial_fit(z)
    for parts in (counted(z[:100]), DensityHistograms(np.zeros(2), np.ones(2), 400)):
        with pytest.raises(ValueError, match="expected histograms of 400 points along the 3 axes"): EllipticSampler(3).fit_parts(moments, parts)
    for bad in ({"factor": -1}, {"method": "x"}, {"width": "x"}, {"random_state": "x"}):
        with pytest.raises((ValueError, TypeError), match=next(iter(bad))): EllipticSampler(3, **bad).fit_parts(moments, counted(z))
    by_std = EllipticSampler(3, width="std").fit_parts(moments, counted(z))
    np.testing.assert_allclose(by_std.half_widths_, EllipticSampler(3, width="std").fit(z).half_widths_)


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
def test_a_generator_goes_on_where_a_sampler_is_fitted_on_the_way(source):
    z, sampler = cloud(100, 3), GaussianSampler(random_state=source(0))
    first, second = (fitted_sampler(sampler, z).sample(3) for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ["sampling.EllipticSampler", "sampling.make_sampler", "densities.BlendSampler", "generation.generate_faces"])
def test_the_examples_of_the_docstrings_run(name):
    module, thing = name.split(".")
    module = importlib.import_module(f"latentfaces.{module}")
    (example,) = [found for found in doctest.DocTestFinder(recurse=False).find(getattr(module, thing), thing, globs=vars(module) | {}) if found.examples]
    assert doctest.DocTestRunner().run(example).failed == 0
