"Moments: against NumPy, merged parts against the whole, far from the origin, files; and all that derives from them, learned from parts."
import io
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from clouds import cloud
from latentfaces.correlations import correlation_matrix
from latentfaces.densities import TruncatedGaussianSampler
from latentfaces.distributions import DensityHistograms, half_widths
from latentfaces.ellipses import confidence_ellipse, sample_original_coordinates
from latentfaces.gaussian import LatentGaussian, oas_shrinkage
from latentfaces.moments import (
    Moments, as_moments, count_varying_axes, centred_blocks, eigen_axes, in_subspace, principal_axes, resolve_n_components)
from latentfaces.pca import LatentPCA
from latentfaces.sampling import EllipticSampler, GaussianSampler, IndependentSampler

SEEDS = st.integers(0, 2**32 - 1)
FAR = [0.0, 1e6, -1e6]
BATCHES = [1, 2, 9, 500, 501, 2500]  # where 3,000 points are cut: one row, a few, many
OF_MOMENTS = [LatentPCA(), LatentPCA(0.9), LatentGaussian(), LatentGaussian(0.3), LatentGaussian(0, n_components=4), GaussianSampler(), IndependentSampler(),
              TruncatedGaussianSampler(0.5), EllipticSampler(width="std"), EllipticSampler(3, width="std", method="sequential")]


def moments_of(*parts): return sum(Moments().partial_fit(part) for part in parts)


def far(n, d, shift=0.0, dtype=np.float64, seed=0):
    "Points on a grid of 1/64, so that they are the same numbers 1e6 from the origin in float64; in float32 they are rounded there."
    return (cloud(n, d, seed, fall=0.3, grid=64) + shift).astype(dtype)


def assert_same_covariance(one, other):
    assert one.count == other.count
    assert abs(one.covariance - other.covariance).max() <= 1e-10 * abs(one.covariance).max()
    assert np.allclose(one.mean, other.mean, rtol=1e-14, atol=1e-10)


def relative_gaps(variance):
    "Distance of each eigenvalue to the nearest other one, relative to the largest."
    apart = abs(variance[:, None] - variance) + np.diag(np.full(len(variance), np.inf))
    return apart.min(axis=1) / variance.max()


def assert_same_axes(axes, others, variance):
    "Equal to 1e-10 over the relative gap of their eigenvalues, which is as far as eigenvectors are determined."
    variance = np.pad(variance, (0, max(0, axes.shape[1] - len(variance))))  # few points: none along the directions left
    gaps = relative_gaps(variance)[:len(axes)]
    assert axes.shape == others.shape and (abs(axes - others).max(axis=1) * gaps <= 1e-10).all()


# Against NumPy

@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 60), d=st.integers(1, 12), dtype=st.sampled_from([np.float32, np.float64]))
def test_agreement_with_numpy(seed, n, d, dtype):
    z = cloud(n, d, seed).astype(dtype)
    moments, exact = Moments().partial_fit(z), z.astype(float)
    assert moments.count == n and moments.latent_dim == d and moments.covariance.dtype == np.float64
    assert np.allclose(moments.mean, exact.mean(axis=0)) and np.allclose(moments.variance, exact.var(axis=0, ddof=1))
    assert np.allclose(moments.covariance, np.cov(exact.T).reshape(d, d))
    assert np.array_equal(moments.covariance, moments.covariance.T)


def test_blocks_cover_all_rows_once():
    z = np.arange(3 * 200_000, dtype=np.float32).reshape(200_000, 3)
    whole = np.empty(z.shape)
    for rows, block in centred_blocks(z, 1.0): whole[rows] = block
    assert np.array_equal(whole, z - 1.0) and block.dtype == np.float64 and len(block) < len(z)
    assert np.allclose(Moments().partial_fit(z).covariance, np.cov(z.T.astype(float)), rtol=1e-12)


def test_blocks_smaller_than_the_width_do_not_overwrite_one_another(monkeypatch):
    module = sys.modules[Moments.__module__]
    monkeypatch.setattr(module, "_block_rows", lambda latent_dim: 3)
    z = np.random.default_rng(0).normal(size=(20, 8)) + 1e6
    part = module._part_of_points(z, np.zeros(8))  # so far away rows are kept until there are enough of them
    np.testing.assert_allclose(part.scatter / 19, np.cov(z.T), rtol=1e-8)
    np.testing.assert_allclose(LatentGaussian().fit(z).whiten(z[::-1])[::-1], LatentGaussian().fit(z).whiten(z))


@pytest.mark.parametrize("n", [3000, 9])
@pytest.mark.parametrize("shift", [1e6, 1e8, -1e8])
def test_an_offset_costs_no_digit(n, shift):
    near, there = Moments().partial_fit(far(n, 20)), Moments().partial_fit(far(n, 20, shift))
    assert np.allclose(there.mean - shift, near.mean, atol=1e-7 if abs(shift) == 1e8 else 1e-9)
    assert abs(there.covariance - near.covariance).max() <= 1e-13 * abs(near.covariance).max()


def test_scikit_learns_shortcut_fails_there():
    "What Moments are for: the sum of squares less the square of the sum has no digit left, 1e6 from the origin in float32 or 1e8 in float64."
    z = far(3000, 6)
    exact = LatentPCA().fit(z).explained_variance_
    for shift, dtype in ((1e6, np.float32), (1e8, np.float64)):
        points = far(3000, 6, shift, dtype)
        truth = np.linalg.eigvalsh(np.cov((points.astype(float) - shift).T))[::-1]
        shortcut = PCA(svd_solver="covariance_eigh").fit(points).explained_variance_
        assert abs(shortcut / truth - 1).max() > 0.1 > 1e-10 > abs(LatentPCA().fit(moments_of(*np.split(points, BATCHES))).explained_variance_ / truth - 1).max()
    assert np.allclose(exact, truth, rtol=1e-12), "float64 holds these points without rounding"


# Parts against the whole

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [*FAR, 1e8])
def test_merged_parts_are_the_whole(shift, dtype):
    z = far(3000, 20, shift, dtype)
    whole, batched = Moments().partial_fit(z), Moments()
    for part in np.split(z, BATCHES): batched.partial_fit(part)
    variance, axes = principal_axes(whole)
    for found in (batched, moments_of(*np.split(z, BATCHES)), moments_of(*np.split(z, BATCHES)[::-1]), moments_of(*np.split(z, 300))):
        assert_same_covariance(whole, found)
        assert np.allclose(principal_axes(found)[0], variance, rtol=1e-10, atol=1e-10 * variance[0])
        assert_same_axes(axes, principal_axes(found)[1], variance)


@settings(max_examples=120, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 60), d=st.integers(1, 12), shift=st.sampled_from([*FAR, 1e8]), dtype=st.sampled_from([np.float32, np.float64]), data=st.data())
def test_any_cuts_in_any_order(seed, n, d, shift, dtype, data):
    "Parts of any sizes, also one row and none, in any order, added one by one or in pairs."
    z = (cloud(n, d, seed, grid=2**10) + shift).astype(dtype)
    parts = np.split(z, sorted(data.draw(st.lists(st.integers(1, n - 1), max_size=8, unique=True))))
    pieces = [*(Moments().partial_fit(part) for part in parts), Moments(), Moments()]
    pieces = data.draw(st.permutations(pieces))
    middle, whole = data.draw(st.integers(0, len(pieces))), Moments().partial_fit(z)
    for found in (sum(pieces), sum(pieces[:middle]) + sum(pieces[middle:]) if 0 < middle < len(pieces) else sum(pieces, Moments())):
        assert found.count == n and np.allclose(found.mean, whole.mean, rtol=1e-14, atol=1e-10)
        size = max(abs(whole.covariance).max(), np.finfo(float).tiny)
        assert abs(found.covariance - whole.covariance).max() <= 1e-10 * size and abs(found.variance - whole.variance).max() <= 1e-10 * size


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 30), d=st.integers(2, 12), cut=st.integers(1, 29))
def test_few_points_merging_into_many(seed, n, d, cut):
    "While there are no more points than components the axes come from the points themselves, and so they do after a merge."
    z = cloud(n, d, seed, fall=0.3)
    whole, found = Moments().partial_fit(z), moments_of(*(part for part in np.split(z, [cut]) if len(part)))
    (variance, axes), (other, others) = principal_axes(whole), principal_axes(found)
    assert axes.shape == (min(n, d), d) and np.allclose(variance, other, rtol=1e-10, atol=1e-10 * variance[0])
    assert_same_axes(axes, others, variance)
    assert ("rows" in whole.arrays()) == ("rows" in found.arrays()) == (n <= d)


def test_rows_kept_give_axes_that_a_covariance_cannot():
    z, turn = np.zeros((3, 40)), np.linalg.qr(np.random.default_rng(0).standard_normal((40, 40)))[0]
    z[:, 0], z[1, 1] = [-1e9, 0, 1e9], 1.0  # the second axis is 1e-9 of the first: its square is beyond the digits of a covariance
    z = z @ turn
    variance, axes = principal_axes(moments_of(z[:1], z[1:2], z[2:]))
    assert variance[:2] == pytest.approx([1e18, 1 / 3], rel=1e-5) and abs(axes[1] @ turn[1]) == pytest.approx(1, abs=1e-5)
    assert np.linalg.eigvalsh(np.cov(z.T))[-2] != pytest.approx(1 / 3, rel=0.5)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e8 + 0.1])
@pytest.mark.parametrize("n", [5, 500])
def test_constant_components_are_exactly_zero(value, n):
    z = np.insert(cloud(n, 6), 2, value, axis=1)
    for moments in (Moments().partial_fit(z), moments_of(*np.array_split(z, 4)), moments_of(z[:1], z[1:3], z[3:])):
        assert moments.variance[2] == 0 and not moments.covariance[2].any() and not moments.covariance[:, 2].any()
        assert moments.mean[2] == value
        variance, axes = principal_axes(moments)
        assert not axes[:count_varying_axes(variance), 2].any()
        assert np.allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-12)


def test_a_component_that_is_constant_in_each_part_varies():
    a, b = (np.insert(cloud(50, 3, seed), 1, value, axis=1) for seed, value in ((0, 2.0), (1, 4.0)))
    assert (Moments().partial_fit(a) + Moments().partial_fit(b)).variance[1] == pytest.approx(np.r_[a, b][:, 1].var(ddof=1), rel=1e-14)


def test_addition_leaves_both_as_they_were():
    a, b = Moments().partial_fit(cloud(9, 12)), Moments().partial_fit(cloud(300, 12, 1))
    before = [(m.count, m.mean.copy(), m.covariance.copy()) for m in (a, b)]
    both = a + b
    copy = a + Moments()
    both.partial_fit(cloud(20, 12, 2)), copy.partial_fit(cloud(20, 12, 3))
    for m, (count, mean, covariance) in zip((a, b), before):
        assert m.count == count and np.array_equal(m.mean, mean) and np.array_equal(m.covariance, covariance)
    a.mean[:] = a.covariance[:] = a.variance[:] = 1e9
    assert np.array_equal(a.mean, before[0][1]) and np.array_equal(a.covariance, before[0][2])


def test_points_changed_later_change_nothing():
    z = cloud(8, 12)
    moments = Moments().partial_fit(z)
    covariance = moments.covariance
    z[:] = 0
    assert np.array_equal(moments.covariance, covariance)


def test_sums_and_what_cannot_be_added():
    pieces = [Moments().partial_fit(part) for part in np.split(cloud(30, 3), 3)]
    assert sum(pieces).count == 30 and sum([]) == 0 and repr(sum(pieces)) == "Moments(30 z-points in 3 dimensions)"
    assert repr(Moments()) == "Moments(0 z-points in 0 dimensions)"
    for other in (1, 1.5, None, "x", cloud(30, 3)):
        with pytest.raises(TypeError): pieces[0] + other
    with pytest.raises(TypeError): 1 + pieces[0]


def test_bad_batches_and_too_few():
    moments = Moments().partial_fit(cloud(4, 3))
    for bad in (np.full((2, 3), np.nan), np.ones(3), np.ma.masked_array(np.ones((2, 3)), [[0, 0, 1]] * 2), cloud(2, 3) * 1j):
        with pytest.raises(ValueError): moments.partial_fit(bad)
    message = "expected z-points with 3 features, as in the batches before, got 5: keep the z-points of different encoders apart"
    with pytest.raises(ValueError, match=message): moments.partial_fit(cloud(4, 5))
    with pytest.raises(ValueError, match=message): moments + Moments().partial_fit(cloud(4, 5))
    assert moments.count == 4, "and what was there stays"
    with pytest.raises(ValueError, match="expected moments of at least 1 z-point.*got 0"): Moments().mean
    for name in ("variance", "covariance"):
        with pytest.raises(ValueError, match="expected moments of at least 2 z-points, got 1: give partial_fit more"): getattr(Moments().partial_fit(cloud(1, 3)), name)
    for few in (Moments(), Moments().partial_fit(cloud(1, 3))):
        for estimator in OF_MOMENTS:
            with pytest.raises(ValueError, match="expected moments of at least [12] z-points, got [01]"): clone(estimator).fit(few)


# Files

@pytest.mark.parametrize("n", [1, 3, 50])
def test_to_a_file_and_back(n, tmp_path):
    z = cloud(n, 6) + 1e6
    moments = Moments().partial_fit(z)
    path = moments.save(tmp_path / "new" / "moments.npz")
    assert path == tmp_path / "new" / "moments.npz" and [p.name for p in path.parent.iterdir()] == ["moments.npz"]
    back = Moments.load(str(path))
    assert back.count == n and np.array_equal(back.mean, moments.mean)
    more = cloud(40, 6, 1) + 1e6
    assert np.array_equal(back.partial_fit(more).covariance, moments.partial_fit(more).covariance), "goes on as if nothing had been"
    assert_same_covariance(back, Moments().partial_fit(np.r_[z, more]))


def test_damaged_and_foreign_files(tmp_path):
    path = Moments().partial_fit(cloud(50, 4)).save(tmp_path / "m.npz")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    truth = Moments.load(path).covariance
    damaged = [b"", b"x", content[:100], content[:-20], content[::-1], *(content[:n] for n in rng.integers(0, len(content), 10))]
    damaged += [content[:i] + bytes([content[i] ^ 255]) + content[i + 1:] for i in rng.integers(0, len(content), 40)]
    refused = 0
    for one in damaged:
        path.write_bytes(one)
        try: found = Moments.load(path)
        except ValueError as error:
            refused += 1
            assert str(error).startswith("expected a file that Moments.save wrote, got ") and "\n" not in str(error)
        else: assert np.array_equal(found.covariance, truth)
    assert refused >= len(damaged) / 2
    with pytest.raises(FileNotFoundError, match="expected a file that Moments.save wrote, got .*nowhere.npz, which is not there"): Moments.load(tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match="expected moments of at least 1 z-point to keep, got none"): Moments().save(tmp_path / "empty.npz")
    assert not (tmp_path / "empty.npz").exists()


GOOD = {"count": 5, "origin": np.zeros(2), "shift": np.zeros(2), "scatter": np.eye(2)}


@pytest.mark.parametrize("change", [
    {"count": 0}, {"count": -3}, {"origin": np.zeros(3)}, {"shift": np.array([0, np.nan])}, {"scatter": np.eye(3)}, {"scatter": np.full((2, 2), np.inf)}, {"more": np.ones(2)},
    {"rows": np.ones((4, 2))}, {"origin": np.array(["a", "b"])}, {"origin": np.array([None, 1], object)}], ids=str)
def test_arrays_that_are_no_moments(change, tmp_path):
    assert Moments.from_arrays(GOOD).count == 5, "so the others are refused for what is changed"
    file = io.BytesIO()
    np.savez(file, **GOOD | change)
    (tmp_path / "m.npz").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="expected a file that Moments.save wrote, got .*m.npz, which is none, or damaged"): Moments.load(tmp_path / "m.npz")


# Axes

@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, d=st.integers(1, 9), dead=st.sets(st.integers(0, 8), max_size=4))
def test_eigen_axes(seed, d, dead):
    covariance = np.atleast_2d(np.cov(cloud(40, d, seed).T))
    dead = sorted(i for i in dead if i < d)
    covariance[dead], covariance[:, dead] = 0, 0
    variance, axes = eigen_axes(covariance)
    assert np.allclose(axes.T * variance @ axes, covariance, atol=1e-12 * (1 + abs(covariance).max())) and np.allclose(axes @ axes.T, np.eye(d), atol=1e-12)
    assert (np.diff(variance) <= 0).all() and (axes[np.arange(d), abs(axes).argmax(axis=1)] > 0).all()
    n = d - len(dead)
    assert not axes[:n, dead].any() and not variance[n:].any() and (axes[n:].sum(axis=1) == 1).all()


def test_how_many_axes():
    variance = np.array([6.0, 3.0, 1.0, 1e-20])
    assert count_varying_axes(variance) == 3 and resolve_n_components(None, variance, (9, 4)) == 4 and resolve_n_components(None, variance, (9, 4), only_varying=True) == 3
    assert [resolve_n_components(share, variance, (9, 4)) for share in (0.5, 0.6, 0.89, 0.95, 1 - 1e-16)] == [1, 2, 2, 3, 3]
    with pytest.raises(ValueError, match="n_components=4 asks for more axes than the 3 along which"): resolve_n_components(4, variance, (9, 4), only_varying=True)


def test_points_beside_a_subspace():
    z = np.insert(cloud(50, 3), 1, 5.0, axis=1)
    pca = LatentPCA(3).fit(z)
    spread = np.sqrt(pca.explained_variance_)
    for dtype in (np.float32, np.float64): assert in_subspace(z.astype(dtype), pca.mean_, pca.components_, spread).all()
    assert not in_subspace(z + 0.01 * np.eye(4)[1], pca.mean_, pca.components_, spread).any()


# What derives

def learned(estimator):
    "All numbers that an estimator has learned, but axes, which are compared on their own."
    inner = getattr(estimator, "gaussian_", estimator)
    if isinstance(inner, EllipticSampler): return {"mean": inner.pca_.mean_, "std": inner.half_widths_}, inner.pca_.components_, inner.pca_.explained_variance_
    if isinstance(inner, LatentPCA): return {"mean": inner.mean_, "variance": inner.explained_variance_, "ratio": inner.explained_variance_ratio_}, inner.components_, inner.explained_variance_
    if isinstance(inner, LatentGaussian): return {"mean": inner.mean_, "std": inner.std_, "shrinkage": inner.shrinkage_}, inner.axes_, inner.std_**2
    return {"mean": inner.mean_, "std": inner.std_}, np.zeros((0, 0)), np.ones(1)


def assert_same_estimator(one, other):
    assert_same_covariance(one.moments_, other.moments_)
    (numbers, axes, _), (others, other_axes, _) = learned(one), learned(other)
    for name in numbers: assert np.allclose(numbers[name], others[name], rtol=1e-10, atol=1e-10 * np.max(numbers[name])), name
    if axes.size: assert_same_axes(axes, other_axes, principal_axes(one.moments_)[0])
    assert one.n_features_in_ == other.n_features_in_
    if hasattr(one, "sample"):
        drawn, others = one.sample(200, random_state=0), other.sample(200, random_state=0)
        assert abs(drawn - others).max() <= 1e-8 * (abs(drawn - drawn.mean(axis=0)).max() + 1e-7 * abs(one.moments_.mean).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", FAR)
@pytest.mark.parametrize("estimator", OF_MOMENTS, ids=str)
def test_learned_from_parts_it_is_the_same(estimator, shift, dtype):
    z = far(3000, 12, shift, dtype)
    whole, batched, backwards = clone(estimator).fit(z), clone(estimator), clone(estimator)
    for part in np.split(z, BATCHES[2:]): assert batched.partial_fit(part) is batched
    for part in np.split(z, BATCHES[:-1])[::-1]: backwards.partial_fit(part)
    for found in (batched, backwards, clone(estimator).fit(moments_of(*np.split(z, BATCHES))), clone(estimator).partial_fit(moments_of(z[:7])).partial_fit(moments_of(z[7:]))):
        assert_same_estimator(whole, found)


@pytest.mark.parametrize("estimator", OF_MOMENTS, ids=str)
def test_the_first_batch_may_hold_fewer_points_than_dimensions(estimator):
    z = far(60, 12)
    assert_same_estimator(clone(estimator).fit(z), clone(estimator).partial_fit(z[:5]).partial_fit(z[5:9]).partial_fit(z[9:10]).partial_fit(z[10:]))


@pytest.mark.parametrize("estimator", OF_MOMENTS, ids=str)
def test_an_estimator_has_moments_of_its_own(estimator):
    z, moments = far(300, 6), Moments().partial_fit(far(300, 6))
    fitted = clone(estimator).fit(moments)
    mean = learned(fitted)[0]["mean"].copy()
    moments.partial_fit(z + 9)
    assert fitted.moments_.count == 300 and np.array_equal(learned(fitted)[0]["mean"], mean)
    again = clone(estimator).fit(moments)
    again.partial_fit(z)
    assert moments.count == 600 and again.moments_.count == 900


@pytest.mark.parametrize("estimator", OF_MOMENTS, ids=str)
def test_fit_forgets_and_a_bad_batch_changes_nothing(estimator):
    z = far(300, 6)
    fitted = clone(estimator).fit(far(200, 9)).fit(z)
    for bad in (far(20, 5), np.full((4, 6), np.nan), far(20, 9)):
        with pytest.raises(ValueError): fitted.partial_fit(bad)
    assert_same_estimator(clone(estimator).fit(z), fitted)


@pytest.mark.parametrize("estimator", [e for e in OF_MOMENTS if hasattr(e, "save")], ids=str)
def test_partial_fit_goes_on_after_a_file(estimator, tmp_path):
    z = far(3000, 12)
    half = clone(estimator).fit(z[:1000])
    back = type(estimator).load(half.save(tmp_path / "s.npz"))
    assert np.array_equal(back.sample(9, random_state=0), half.sample(9, random_state=0))
    assert_same_estimator(clone(estimator).fit(z), back.partial_fit(z[1000:]))


def test_only_half_widths_by_standard_deviation_are_learned_by_partial_fit():
    assert hasattr(EllipticSampler(width="std"), "partial_fit") and not hasattr(EllipticSampler(), "partial_fit")
    with pytest.raises(TypeError, match="half-widths by half-maximum are no function of moments"): EllipticSampler().fit(Moments().partial_fit(far(50, 4)))
    with pytest.raises(NotFittedError): LatentPCA().transform(far(50, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", FAR)
def test_functions_of_moments(shift, dtype):
    z = far(3000, 6, shift, dtype)
    moments, pair = moments_of(*np.split(z, BATCHES)), moments_of(*np.split(z[:, [1, 4]], BATCHES))
    assert np.allclose(correlation_matrix(moments), correlation_matrix(z), rtol=0, atol=1e-10)
    one, other = confidence_ellipse(z[:, [1, 4]], n_std=1.5), confidence_ellipse(pair, n_std=1.5)
    assert one.center == pytest.approx(other.center, rel=1e-13) and one.semi_axes == pytest.approx(other.semi_axes, rel=1e-9) and one.angle == pytest.approx(other.angle, abs=1e-6)
    drawn = sample_original_coordinates(z, 50, random_state=3)
    assert abs(sample_original_coordinates(moments, 50, random_state=3) - drawn).max() <= 1e-8 * (np.ptp(drawn) + 1e-7 * abs(shift))
    assert np.allclose(half_widths(moments, "std"), half_widths(z, "std"), rtol=1e-10)
    assert oas_shrinkage(moments) == pytest.approx(oas_shrinkage(as_moments(z)), rel=1e-9)
    assert as_moments(moments) is moments


# Half-widths from parts

def histograms(sampler, moments, parts, centre, spread):
    axes = sampler.principal_axes(moments)
    return sum(DensityHistograms(centre, spread, moments.count).partial_fit(axes.transform(part)) for part in parts)


@pytest.mark.parametrize("shift", FAR)
def test_fit_parts_is_one_pass_over_the_same_grids(shift):
    z = far(3000, 8, shift)
    sampler, moments, parts = EllipticSampler(5), moments_of(*np.split(z, BATCHES)), np.split(z, BATCHES)
    spread = np.sqrt(sampler.principal_axes(moments).explained_variance_)
    pieces, one = (clone(sampler).fit_parts(moments, histograms(sampler, moments, some, np.zeros(5), spread)) for some in (parts, [z]))
    assert np.allclose(pieces.half_widths_, one.half_widths_, rtol=1e-10)
    assert_same_estimator(one, pieces)
    assert pieces.n_features_in_ == 8 and pieces.n_components_ == 5


def test_fit_parts_agrees_with_fit_where_the_grids_do():
    z = far(3000, 8)
    sampler = EllipticSampler(5).fit(z)
    scores = sampler.pca_.transform(z)
    low, median, high = np.quantile(scores, [0.25, 0.5, 0.75], axis=0)
    moments, parts = moments_of(*np.split(z, BATCHES)), np.split(z, BATCHES)
    found = EllipticSampler(5).fit_parts(moments, histograms(sampler, moments, parts, median, (high - low) / 1.3489795003921634))
    assert np.allclose(found.half_widths_, sampler.half_widths_, rtol=1e-9)
    assert abs(found.sample(50, random_state=0) - sampler.sample(50, random_state=0)).max() < 1e-8 * np.ptp(z)


@pytest.mark.parametrize("n", [500, 5000])
def test_with_other_grids_half_widths_agree_within_the_resolution(n):
    "Mean and standard deviation in place of median and quartiles: a tenth of the smoothing is the step, and the half-widths differ by less than two."
    z = far(n, 8, seed=n)
    sampler, moments = EllipticSampler(5).fit(z), moments_of(*np.array_split(z, 7))
    spread = np.sqrt(sampler.principal_axes(moments).explained_variance_)
    counted = histograms(sampler, moments, np.array_split(z, 7), np.zeros(5), spread)
    found = EllipticSampler(5).fit_parts(moments, counted)
    assert (abs(found.half_widths_ - sampler.half_widths_) <= 2 * counted.step * spread).all(), (found.half_widths_ / sampler.half_widths_, counted.step)


def test_histograms_of_other_axes_are_refused():
    moments = Moments().partial_fit(far(300, 6))
    counted = DensityHistograms(np.zeros(4), np.ones(4), 300).partial_fit(cloud(300, 4))
    with pytest.raises(ValueError, match="expected histograms of 300 points along the 3 axes that principal_axes gives, got 300 points along 4"): EllipticSampler(3).fit_parts(moments, counted)
    with pytest.raises(ValueError, match="got 0 points along 4: count all parts"): EllipticSampler(4).fit_parts(moments, DensityHistograms(np.zeros(4), np.ones(4), 300))


def test_moments_need_their_scatter_or_their_points():
    arrays = Moments().partial_fit(cloud(9, 3)).arrays()
    del arrays["scatter"]
    with pytest.raises(ValueError, match="no moments"): Moments.from_arrays(arrays)


def test_a_fit_on_moments_forgets_the_names_of_columns():
    table = pd.DataFrame(cloud(50, 4), columns=list("abcd"))
    pca = LatentPCA().fit(table)
    assert list(pca.feature_names_in_) == list("abcd")
    pca.fit(Moments().partial_fit(cloud(50, 3)))
    assert not hasattr(pca, "feature_names_in_") and pca.transform(cloud(5, 3)).shape == (5, 3)


@pytest.mark.parametrize("batches_of", [lambda z: [z], lambda z: [z[:50], z[50:]], lambda z: [z[:1], z[1:]]])
@pytest.mark.parametrize("first", [1e3, 1e6, 1e9])
def test_a_first_point_far_from_all_others_leaves_ten_digits(first, batches_of):
    "The rest of the points is measured from there: their own scatter must survive, and so must the scatter of all."
    z = cloud(2000, 4)
    z[0] = first
    one = Moments()
    for batch in batches_of(z): one.partial_fit(batch)
    mean = z.astype(np.longdouble).mean(axis=0)
    exact = ((z - mean).T @ (z - mean) / (len(z) - 1)).astype(float)
    assert abs(one.covariance - exact).max() < 1e-10 * exact.max()  # the loss at a hundred standard deviations
    seen_from_there = Moments().partial_fit(z[:1]).partial_fit(z[1:])._part.scatter
    alone = np.cov(z[1:].T) * (len(z) - 2)
    apart = (z[0] - z[1:].mean(axis=0)).astype(np.longdouble)
    between = (np.outer(apart, apart) * (len(z) - 1) / len(z)).astype(float)
    assert abs(seen_from_there - between - alone).max() < 1e-14 * between.max() + 1e-9 * alone.max()


def test_a_later_batch_far_from_the_first_keeps_its_own_scatter():
    "A hundred standard deviations is where products lose digits; beyond, the rows are centred first."
    near, far_away = cloud(300, 4), cloud(3000, 4, seed=1)
    for distance in (10, 1e4, 1e8):
        part = Moments().partial_fit(near)
        batch = Moments().partial_fit(far_away + distance)
        found = (part + batch).covariance
        both = np.concatenate([near, far_away + distance]).astype(np.longdouble)
        both -= both.mean(axis=0)
        assert abs(found - (both.T @ both / (len(both) - 1)).astype(float)).max() < 1e-12 * found.max()
        assert abs(part.partial_fit(far_away + distance).covariance - found).max() < 1e-12 * found.max()
