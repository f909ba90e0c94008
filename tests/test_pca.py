"Principal axes: against scikit-learn and linear algebra, far from the origin, and bad input."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from clouds import cloud
from latentfaces.pca import LatentPCA, walk_axis


@parametrize_with_checks([LatentPCA(), LatentPCA(0.5), LatentPCA(1)])
def test_is_a_scikit_learn_estimator(estimator, check): check(estimator)


@pytest.mark.parametrize("n, d", [(400, 12), (12, 12), (13, 12), (9, 30), (20_000, 5)])
@pytest.mark.parametrize("n_components", [None, 3, 1, 0.5, 0.9, 0.99])
def test_agrees_with_scikit_learn(n, d, n_components):
    z = cloud(n, d)
    ours, theirs = LatentPCA(n_components).fit(z), PCA(n_components, svd_solver="full").fit(z)
    assert ours.n_components_ == theirs.n_components_
    kept = min(ours.n_components_, ours.rank_)  # beyond the rank an axis is arbitrary
    assert np.allclose(ours.components_[:kept], theirs.components_[:kept], atol=1e-7)
    assert np.allclose(ours.explained_variance_, theirs.explained_variance_)
    assert np.allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_)
    assert np.allclose(ours.mean_, theirs.mean_)
    assert np.allclose(ours.transform(z)[:, :kept], theirs.transform(z)[:, :kept], atol=1e-6)
    assert np.allclose(ours.inverse_transform(ours.transform(z)), theirs.inverse_transform(theirs.transform(z)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 60), d=st.integers(1, 30), dtype=st.sampled_from([np.float32, np.float64]))
def test_mathematics(seed, n, d, dtype):
    z = cloud(n, d, seed).astype(dtype)
    pca = LatentPCA().fit(z)
    axes, scores = pca.components_, pca.transform(z)
    assert axes.shape == (min(n, d), d) and axes.dtype == scores.dtype == np.float64
    assert np.allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-9)
    assert np.all(np.diff(pca.explained_variance_) <= 1e-9 * pca.explained_variance_[0])
    assert pca.explained_variance_ratio_.sum() == pytest.approx(1)
    centred = z.astype(float) - z.mean(0, dtype=float)
    most, least = (np.linalg.matrix_rank(centred, tol=share * np.linalg.norm(centred)) for share in (0.5e-7, 2e-7))
    assert least <= pca.rank_ <= most, "axes below 1e-7 of the whole spread do not count"
    assert np.allclose(np.cov(scores.T).reshape(len(axes), -1), np.diag(pca.explained_variance_), atol=1e-9 * pca.explained_variance_[0])
    assert np.allclose(pca.inverse_transform(scores), z, atol=1e-6 * abs(z).max())
    assert np.all(axes[np.arange(len(axes)), abs(axes).argmax(axis=1)] > 0), "fixed signs"


@pytest.mark.parametrize("shift", [1e3, 1e5, 1e7])
def test_stays_exact_far_from_the_origin(shift):
    z = np.round(cloud(3_000, 6) * 2**20) / 2**20  # so that adding the shift loses nothing
    near, far = LatentPCA().fit(z), LatentPCA().fit(z + shift)
    assert np.allclose(far.explained_variance_, near.explained_variance_, rtol=1e-8)
    assert np.allclose(far.components_, near.components_, atol=1e-6)
    assert np.allclose(far.mean_ - shift, near.mean_, atol=1e-15 * shift)


def test_scikit_learns_shortcut_does_not():
    # Why LatentPCA centres before it multiplies; if this fails, scikit-learn has learned it too.
    z = cloud(3_000, 6)
    exact = LatentPCA().fit(z).explained_variance_
    shortcut = PCA(svd_solver="covariance_eigh").fit(z + 1e7).explained_variance_
    assert abs(shortcut / exact - 1).max() > 0.1 > 1e-6 > abs(LatentPCA().fit(z + 1e7).explained_variance_ / exact - 1).max()


def test_float32_with_a_large_mean():
    z = (cloud(20_000, 4) + 1000).astype(np.float32)
    exact = np.linalg.eigvalsh(np.cov(z.astype(np.float64).T))[::-1]
    assert np.allclose(LatentPCA().fit(z).explained_variance_, exact, rtol=1e-9)


def test_more_rows_than_a_block_and_a_remainder():
    z = cloud(8192 * 2 + 17, 3)
    assert np.allclose(LatentPCA().fit(z).explained_variance_, np.linalg.eigvalsh(np.cov(z.T))[::-1])
    assert np.allclose(LatentPCA(2).fit(z).transform(z)[8190:8195], LatentPCA(2).fit(z).transform(z[8190:8195]))


def test_both_routes_agree_where_they_meet():
    z = cloud(31, 30)
    many, few = LatentPCA(20).fit(z), LatentPCA(20).fit(np.c_[z, np.zeros((31, 2))])  # 31 points in 32 dimensions: the other route
    assert np.allclose(many.explained_variance_, few.explained_variance_)
    assert np.allclose(many.components_, few.components_[:, :30], atol=1e-6)


def test_a_share_is_the_fewest_axes_above_it():
    z = cloud(500, 10)
    ratio = np.cumsum(LatentPCA().fit(z).explained_variance_ratio_)
    for share in (0.3, 0.6, 0.9, 0.999):
        n = LatentPCA(share).fit(z).n_components_
        assert ratio[n - 1] > share and (n == 1 or ratio[n - 2] <= share)


def test_refitting_forgets():
    pca = LatentPCA(2).fit(cloud(50, 5))
    assert np.array_equal(pca.fit(cloud(60, 7, 1)).components_, clone(pca).fit(cloud(60, 7, 1)).components_)


def test_constant_components_get_no_weight():
    z = np.insert(cloud(200, 4), 2, 0.1, axis=1)
    pca = LatentPCA().fit(z)
    assert pca.rank_ == 4 and np.allclose(pca.components_[:4, 2], 0) and pca.mean_[2] == pytest.approx(0.1)


@pytest.mark.parametrize("n_components, error, message", [
    (0, ValueError, "n_components=0 is not between 1 and 5, the most that 20 z-points in 5 dimensions can have"),
    (6, ValueError, "n_components=6 is not between 1 and 5"), (-1, ValueError, "n_components=-1 is not between"),
    (1.0, ValueError, "between 0 and 1, got 1.0: give an integer for a count"), (-0.5, ValueError, "between 0 and 1, got -0.5"),
    (np.nan, ValueError, "between 0 and 1, got nan"), ("mle", TypeError, "or None, got 'mle'"), (True, TypeError, "or None, got True")])
def test_bad_n_components(n_components, error, message):
    pca = LatentPCA(n_components)
    with pytest.raises(error, match=message): pca.fit(cloud(20, 5))
    with pytest.raises(NotFittedError, match="this LatentPCA has not been fitted yet"): pca.transform(cloud(20, 5))


def test_more_components_than_points():
    with pytest.raises(ValueError, match="n_components=6 is not between 1 and 4, the most that 4 z-points in 9 dimensions can have"):
        LatentPCA(6).fit(cloud(4, 9))


def test_bad_arrays():
    z = cloud(20, 5)
    with pytest.raises(ValueError, match="all 7 z-points are the same point"): LatentPCA().fit(np.full((7, 3), 0.1))
    with pytest.raises(ValueError, match="NaN or infinite values in 1 of 20 z-points, the first in row 3"):
        LatentPCA().fit(np.where(np.arange(20)[:, None] == 3, np.inf, z))
    with pytest.raises(ValueError, match="Reshape your data"): LatentPCA().fit(z[0])
    with pytest.raises(NotFittedError, match="call fit"): LatentPCA().inverse_transform(z)
    fitted = LatentPCA(3).fit(z)
    with pytest.raises(ValueError, match="X has 4 features, but LatentPCA is expecting 5 features"): fitted.transform(z[:, :4])
    with pytest.raises(ValueError, match="expected 3 coordinates per point, one for each principal axis, got 5"): fitted.inverse_transform(z)


# Walks along an axis

@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(2, 12), stops=st.lists(st.floats(-5, 5), min_size=1, max_size=9), data=st.data())
def test_a_walk_stays_on_its_axis(seed, d, stops, data):
    z = cloud(40, d, seed)
    pca = LatentPCA(data.draw(st.integers(1, d))).fit(z)
    axis = data.draw(st.integers(0, pca.n_components_ - 1))
    walk = walk_axis(pca, axis, stops)
    expected = np.zeros((len(stops), pca.n_components_))
    expected[:, axis] = np.array(stops) * pca.transform(z)[:, axis].std(ddof=1)
    assert walk.shape == (len(stops), d) and walk.dtype == np.float64
    assert np.allclose(pca.transform(walk), expected, atol=1e-8 * abs(z).max())
    moved = LatentPCA(pca.n_components_).fit(z + 7.0)
    assert np.allclose(walk_axis(moved, axis, stops), walk + 7.0, atol=1e-5 * abs(z).max())


def test_a_walk_by_hand():
    z = np.array([[0.0, 0], [4, 0], [0, 1], [4, 1]])
    std = np.sqrt(16 / 3)
    assert np.allclose(walk_axis(LatentPCA().fit(z), 0, [-1, 0, 2]), [[2 - std, 0.5], [2, 0.5], [2 + 2 * std, 0.5]])
    assert np.allclose(walk_axis(LatentPCA().fit(z), np.int64(1), (3,)), [[2, 0.5 + 3 * np.sqrt(1 / 3)]])


@pytest.mark.parametrize("axis, sigmas, error, message", [
    (3, [1], ValueError, "axis must lie between 0 and 2, got 3"), (-1, [1], ValueError, "axis must be a whole number of at least 0, got -1"),
    (0.0, [1], TypeError, "axis must be a whole number of at least 0, got 0.0"), (True, [1], TypeError, "axis must be a whole number of at least 0, got True"),
    (0, 2.0, ValueError, "sigmas must be a list of finite numbers, got 2.0"), (0, [], ValueError, "sigmas must be a list of finite numbers"),
    (0, [0, np.nan], ValueError, "sigmas must be a list of finite numbers"), (0, [[1]], ValueError, "sigmas must be a list of finite numbers")])
def test_bad_walks(axis, sigmas, error, message):
    with pytest.raises(error, match=message): walk_axis(LatentPCA(3).fit(cloud(20, 5)), axis, sigmas)
    with pytest.raises(NotFittedError, match="this LatentPCA has not been fitted yet"): walk_axis(LatentPCA(), 0, [1])
