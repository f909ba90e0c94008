"Half-widths, number densities, the origin and the shells of cubes: mathematics, scales from 1e-8 to 1e8, and bad input."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse, stats

from clouds import cloud
from latentfaces.distributions import (
    _FWHM_PER_SIGMA, DensityHistograms, component_statistics, cube_radii, half_widths, matching_bound, number_density,
    origin_position, origin_projections, radii)


def _full_width_on_a_grid(density, low, high):
    "Full width at half maximum of a known density, by brute force."
    x = np.linspace(low, high, 2_000_001)
    above = x[density(x) >= density(x).max() / 2]
    return above[-1] - above[0]


def test_fwhm_of_gaussians_is_right_at_every_scale():
    sigma = np.logspace(-8, 8, 300)
    z = np.random.default_rng(0).standard_normal((9_000, 300)) * sigma
    error = half_widths(z, "fwhm", level=_FWHM_PER_SIGMA) / (_FWHM_PER_SIGMA * sigma) - 1
    assert abs(error.mean()) < 0.005, "no bias"
    assert np.mean(abs(error) < 0.03) > 0.97 and abs(error).max() < 0.06
    narrow, wide = error[:100], error[-100:]
    assert stats.ks_2samp(narrow, wide).pvalue > 1e-3, "narrow axes are read as well as wide ones"


def test_fixed_intervals_fail_where_half_widths_do_not():
    # The series' way: one sampling interval for all components.
    rng = np.random.default_rng(1)
    values = rng.normal(0, 0.01, 9_000)
    counts, edges = np.histogram(values, np.arange(-1, 1.2, 0.2))
    naive = np.sum(counts >= counts.max() / 2) * 0.2
    assert naive > 5 * _FWHM_PER_SIGMA * 0.01
    assert half_widths(values[:, None], level=_FWHM_PER_SIGMA)[0] == pytest.approx(_FWHM_PER_SIGMA * 0.01, rel=0.05)


@pytest.mark.parametrize("n", [20, 100, 1_000, 160_000])
def test_error_falls_with_the_number_of_points(n):
    z = np.random.default_rng(n).standard_normal((n, 40))
    error = half_widths(z, level=_FWHM_PER_SIGMA) / _FWHM_PER_SIGMA - 1
    assert np.sqrt(np.mean(error**2)) < 1.3 / np.sqrt(n) * (1 + n**0.1 / 2)


@pytest.mark.parametrize("law, low, high, tolerance", [
    (stats.t(5), -10, 10, 0.06), (stats.gamma(4), 0, 30, 0.03), (stats.lognorm(0.5), 0, 10, 0.04), (stats.uniform(-1, 2), -2, 2, 0.07)])
def test_other_densities(law, low, high, tolerance):
    truth = _full_width_on_a_grid(law.pdf, low, high)
    values = law.rvs(100_000, random_state=0)[:, None]
    assert half_widths(values, level=_FWHM_PER_SIGMA)[0] == pytest.approx(truth, rel=tolerance)


def test_outliers_do_not_move_it():
    z = np.random.default_rng(2).standard_normal((5_000, 1))
    z[:20] = 1e9
    assert half_widths(z)[0] == pytest.approx(2.35, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 400), scale=st.floats(-8, 8).map(lambda e: 10**e),
       shift=st.floats(-100, 100), width=st.sampled_from(["fwhm", "std"]))
def test_shift_and_scale_do_what_they_should(seed, n, scale, shift, width):
    z = np.random.default_rng(seed).standard_normal((n, 3)) ** 3
    a = half_widths(z, width)
    assert np.allclose(half_widths(z * scale, width), a * scale, rtol=1e-7, atol=1e-12 * scale)
    assert np.allclose(half_widths(-z, width), a, rtol=1e-7, atol=1e-12)
    assert np.allclose(half_widths(z + shift, width), a, rtol=1e-6, atol=1e-9)
    assert np.all(a >= 0) and np.all(np.isfinite(a))
    assert np.allclose(half_widths(z, width, level=4.7), 2 * a)


def test_float32_and_lists_are_read_in_float64():
    z = np.random.default_rng(3).standard_normal((2_000, 4)).astype(np.float32)
    for width in ("fwhm", "std"):
        assert half_widths(z, width).dtype == np.float64
        assert np.array_equal(half_widths(z, width), half_widths(z.astype(np.float64), width))
        assert np.array_equal(half_widths(z.tolist(), width), half_widths(z, width))


def test_constant_components_have_half_width_zero():
    z = np.random.default_rng(4).standard_normal((500, 4))
    z[:, 1] = 0.1
    z[:450, 2] = 0.7  # the middle half of the values are equal
    assert half_widths(z, "std")[1] == half_widths(z, "fwhm")[1] == 0
    assert half_widths(z, "fwhm")[2] == 0 < half_widths(z, "std")[2]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-8, 8).map(lambda e: 10**e), bandwidth=st.one_of(st.none(), st.floats(0.02, 3)))
def test_number_density_integrates_to_one(seed, scale, bandwidth):
    values = scale * np.random.default_rng(seed).uniform(-1, 2, 300)
    points, density = number_density(values, bandwidth)
    assert np.all(density >= 0)
    steps = np.diff(points)
    assert np.allclose(steps, steps[0])
    reach = points[-1] - np.median(values)
    if bandwidth is None or 6 * bandwidth < reach / scale - 3: assert np.sum(density) * steps[0] == pytest.approx(1, abs=1e-3)
    assert np.sum(density) * steps[0] <= 1 + 1e-9


def test_number_density_agrees_with_scipy():
    values = np.random.default_rng(5).gamma(3, size=400)
    spread = np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.3489795
    points, density = number_density(values, 0.3)
    exact = stats.gaussian_kde(values, 0.3 * spread / values.std(ddof=1))(points)
    assert abs(density - exact).max() < 0.005 * exact.max()


BAD_POINTS = [
    (np.ones(5), ValueError, "Reshape your data to .*got an array of shape \\(5,\\)"),
    (np.ones((2, 3, 4)), ValueError, "Reshape your data to .*got an array of shape \\(2, 3, 4\\)"),
    ([[1, np.nan], [3, 4]], ValueError, "NaN or infinite values in 1 of 2 z-points, the first in row 0"),
    ([[1, 2], [3, -np.inf]], ValueError, "NaN or infinite values in 1 of 2 z-points, the first in row 1"),
    (np.ones((1, 3)), ValueError, "1 sample"),
    (np.ones((0, 3)), ValueError, "0 sample"),
    (np.ones((5, 0)), ValueError, "0 feature"),
    (np.ones((5, 2)) * 1j, ValueError, "Complex data not supported"),
    ([["a", "b"], ["c", "d"]], TypeError, "pass an array of numbers"),
    (sparse.csr_array(np.eye(3)), TypeError, "[Ss]parse"),
]


@pytest.mark.parametrize("z, error, message", BAD_POINTS)
def test_bad_points(z, error, message):
    with pytest.raises(error, match=message) as caught: half_widths(z)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("level", [0, -1, np.nan, np.inf])
def test_bad_level(level):
    with pytest.raises(ValueError, match="level must be a positive number, got"): half_widths(np.eye(3), level=level)


def test_bad_names_and_types():
    with pytest.raises(ValueError, match='width must be "fwhm" or "std", got \'FWHM\''): half_widths(np.eye(3), width="FWHM")
    with pytest.raises(TypeError, match="level must be a positive number, got '2'"): half_widths(np.eye(3), level="2")
    with pytest.raises(TypeError, match="level must be a positive number, got True"): half_widths(np.eye(3), level=True)
    with pytest.raises(ValueError, match="is a spike"): number_density(np.zeros(9))
    with pytest.raises(ValueError, match="bandwidth must be a positive number, got 0"): number_density(np.arange(9.0), 0)


# Half-widths from parts

def quartiles(z):
    "The grid that `half_widths` takes: centre and spread of every component."
    low, median, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    return median, (high - low) / 1.3489795003921634


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 300), d=st.integers(1, 5), cuts=st.lists(st.integers(1, 299), max_size=5), shift=st.sampled_from([0.0, 1e6]))
def test_histograms_of_parts_add_up(seed, n, d, cuts, shift):
    z = cloud(n, d, seed, heavy=0.3, skew=0.5, grid=2**10) + shift
    grid = (*quartiles(z), n)
    if not grid[1].all(): return
    whole, batched = DensityHistograms(*grid).partial_fit(z), DensityHistograms(*grid)
    parts = [part for part in np.split(z, sorted(cuts)) if len(part)]
    for part in parts: assert batched.partial_fit(part) is batched
    for found in (batched, sum(DensityHistograms(*grid).partial_fit(part) for part in parts), sum([DensityHistograms(*grid).partial_fit(part) for part in parts[::-1]], DensityHistograms(*grid))):
        assert found.count == n and np.allclose(found.counts, whole.counts, rtol=1e-12, atol=1e-9)
        assert np.allclose(found.half_widths(), whole.half_widths(), rtol=1e-9) and np.allclose(found.half_widths(4.7), 2 * found.half_widths())
    assert np.allclose(whole.half_widths(), half_widths(z), rtol=1e-6), "and on the same grid they are those of the function"


def test_the_resolution_of_a_grid_by_mean_and_standard_deviation():
    z = cloud(5000, 4)
    counted = DensityHistograms(z.mean(axis=0), z.std(axis=0), 5000).partial_fit(z)
    assert counted.step == counted.bandwidth / 10 and (abs(counted.half_widths() - half_widths(z)) <= 2 * counted.step * z.std(axis=0)).all()


def test_adding_histograms_changes_neither():
    z = cloud(100, 3)
    a, b = (DensityHistograms(*quartiles(z), 100).partial_fit(part) for part in (z[:40], z[40:]))
    counts = a.counts.copy(), b.counts.copy()
    for both in (a + b, sum([a]), sum([a, b])):
        both.partial_fit(z)
        assert np.array_equal(a.counts, counts[0]) and np.array_equal(b.counts, counts[1]) and (a.count, b.count) == (40, 60)


def test_bad_histograms():
    z, grid = cloud(50, 3), (np.zeros(3), np.ones(3), 50)
    for centre, spread in ((np.zeros(3), [1, 0, 1]), (np.zeros(3), [1, np.nan, 1]), ([0, np.inf, 0], np.ones(3)), (np.zeros((3, 3)), 1.0)):
        with pytest.raises(ValueError, match="expected a centre and a spread above 0 for each component: leave out components that do not vary"): DensityHistograms(centre, spread, 50)
    with pytest.raises(ValueError, match="n_points must be a whole number of at least 2, got 1"): DensityHistograms(np.zeros(3), np.ones(3), 1)
    with pytest.raises(ValueError, match="expected histograms of the same components, got 3 and 2: make all parts alike"): DensityHistograms(*grid).partial_fit(z[:, :2])
    with pytest.raises(ValueError, match="expected histograms with counts, got empty ones"): DensityHistograms(*grid).half_widths()
    for other, word in (((np.ones(3), np.ones(3), 50), "centre"), ((np.zeros(3), 2 * np.ones(3), 50), "spread"), ((np.zeros(3), np.ones(3), 5000), "bandwidth")):
        with pytest.raises(ValueError, match=f"expected histograms of the same {word}, got "): DensityHistograms(*grid) + DensityHistograms(*other)
    for other in (1, None, z):
        with pytest.raises(TypeError): DensityHistograms(*grid) + other


# Statistics of components

def test_component_statistics_agree_with_scipy():
    rng = np.random.default_rng(7)
    z = np.c_[rng.normal(3, 2, 3_000), rng.gamma(2, size=3_000), rng.standard_t(6, 3_000), rng.uniform(-1, 1, 3_000)].astype(np.float32)
    found, z = component_statistics(z), z.astype(float)
    standard = (z - z.mean(0)) / z.std(0, ddof=1)
    assert np.allclose(found["mean"], z.mean(0)) and np.allclose(found["std"], z.std(0, ddof=1))
    assert np.allclose(found["ks"], [stats.kstest(x, "norm").statistic for x in standard.T], atol=1e-12)
    assert np.allclose(found["skewness"], stats.skew(z)) and np.allclose(found["excess_kurtosis"], stats.kurtosis(z))
    assert np.allclose(found["hwhm"], half_widths(z, level=_FWHM_PER_SIGMA / 2))
    assert found.shape == (4, 6) and (found.dtypes == np.float64).all()


def test_half_width_of_gaussians_has_no_bias():
    sigma = np.logspace(-6, 6, 100)
    found = component_statistics(np.random.default_rng(8).standard_normal((5_000, 100)) * sigma + 3 * sigma)
    assert (found["hwhm"] / sigma).mean() == pytest.approx(np.sqrt(2 * np.log(2)), abs=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 300), scale=st.floats(-6, 6).map(lambda e: 10**e), shift=st.floats(-100, 100))
def test_statistics_move_with_shift_and_scale(seed, n, scale, shift):
    z = np.random.default_rng(seed).standard_normal((n, 2)) ** 3
    a, b = component_statistics(z), component_statistics(scale * (z + shift))
    for name in a:
        expected = a[name] * (scale if name in ("mean", "std", "hwhm") else 1)
        if name == "mean": expected = expected + scale * shift
        assert np.allclose(b[name], expected, rtol=1e-4, atol=1e-5 * (scale if name not in ("ks", "skewness", "excess_kurtosis") else 1)), name


def test_statistics_of_dead_components(recwarn):
    z = np.random.default_rng(10).standard_normal((500, 3))
    z[:, 1] = 0.1
    z[:450, 2] = 0.7  # the middle half of the values are equal
    found = component_statistics(z)
    assert found["mean"][1] == 0.1 and found["std"][1] == found["hwhm"][1] == found["hwhm"][2] == 0
    assert all(np.isnan(found[name][1]) for name in ("ks", "skewness", "excess_kurtosis"))
    assert np.isfinite(found["ks"][2])
    assert np.isfinite(found.iloc[0]).all() and not recwarn.list


# The origin

def test_origin_position_by_hand():
    found = origin_position([[3, 1], [5, 1], [4, -1], [4, 3]])  # the mean is (4, 1)
    along = np.sqrt((4 * 4 / 17 * 2 + 1 / 17 * 8) / 3)
    assert found == pytest.approx((np.sqrt(17), np.sqrt(2.5), along, np.sqrt(17) / along, 0.0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 100), d=st.integers(1, 12), scale=st.floats(-6, 6).map(lambda e: 10**e))
def test_origin_position_ignores_rotation_and_scale(seed, n, d, scale):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, d)) * rng.uniform(0.2, 3, d) + rng.normal(0, 2, d)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    a, b = origin_position(z), origin_position(scale * z @ turn)
    assert b.distance == pytest.approx(scale * a.distance) and b.spread == pytest.approx(scale * a.spread)
    assert b.sigmas == pytest.approx(a.sigmas) and b.beyond == a.beyond
    p = origin_projections(z)
    assert p.shape == (n,) and abs(p.mean()) < 1e-9 * max(1, a.distance) and a.along == pytest.approx(p.std(ddof=1))
    assert a.along == pytest.approx(np.sqrt((m := z.mean(0)) @ np.atleast_2d(np.cov(z.T)) @ m) / np.linalg.norm(m))


def test_the_share_beyond_the_origin():
    z = np.random.default_rng(11).standard_normal((200_000, 3)).astype(np.float32) + np.float32([0, 1.5, 0])
    found = origin_position(z)
    assert found.sigmas == pytest.approx(1.5, abs=0.02) and found.beyond == pytest.approx(stats.norm.sf(1.5), abs=0.002)


def test_origin_at_the_mean_and_points_without_spread(recwarn):
    square = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
    found = origin_position(square)
    assert found.distance == found.sigmas == 0 and found.spread == pytest.approx(np.sqrt(2)) and np.isnan(found.along)
    with pytest.raises(ValueError, match="the mean of these z-points is the origin"): origin_projections(square)
    same = origin_position(np.ones((5, 2)))
    assert same.spread == 0 and same.sigmas > 1e9 and same.beyond == 0
    assert not recwarn.list


# Radii and shells

def test_radii():
    z = np.random.default_rng(12).standard_normal((1_000, 7)).astype(np.float32)
    assert np.allclose(radii(z), np.linalg.norm(z.astype(float), axis=1)) and radii(z).dtype == np.float64
    assert radii([[3, 4]]) == pytest.approx([5])


def test_shells_by_hand():
    assert cube_radii(1, 1) == pytest.approx((1 / 2, 1 / np.sqrt(12)), abs=1e-9)
    square = (np.sqrt(2) + np.log(1 + np.sqrt(2))) / 3
    assert cube_radii(1, 2) == pytest.approx((square, np.sqrt(2 / 3 - square**2)), abs=1e-9)
    cube = (6 * np.sqrt(3) - np.pi) / 24 + np.log(2 + np.sqrt(3)) / 2  # B_3(1), Robbins and Bolis (1978)
    assert cube_radii(1, 3) == pytest.approx((cube, np.sqrt(1 - cube**2)), abs=1e-9)


@pytest.mark.parametrize("latent_dim", [4, 30, 256, 1000])
def test_shells_by_monte_carlo(latent_dim):
    drawn = radii(np.random.default_rng(13).uniform(-1.5, 1.5, (20_000, latent_dim)))
    mean, std = cube_radii(1.5, latent_dim)
    assert mean == pytest.approx(drawn.mean(), abs=4.5 * std / np.sqrt(20_000)) and std == pytest.approx(drawn.std(), rel=0.03)


@pytest.mark.parametrize("latent_dim", [50, 256, 4096, 1_000_000])
def test_shells_of_many_components_follow_the_simple_formula(latent_dim):
    mean, std = cube_radii(1, latent_dim)
    assert mean == pytest.approx(np.sqrt(latent_dim / 3) * (1 - 1 / (10 * latent_dim)), rel=1 / latent_dim**2)
    assert std == pytest.approx(1 / np.sqrt(15), rel=0.3 / latent_dim)


@given(bound=st.floats(-6, 6).map(lambda e: 10**e), latent_dim=st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_shells_scale_with_the_bound(bound, latent_dim):
    mean, std = cube_radii(bound, latent_dim)
    assert (mean, std) == pytest.approx(tuple(bound * x for x in cube_radii(1, latent_dim)))
    assert mean**2 + std**2 == pytest.approx(bound**2 * latent_dim / 3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bound=st.floats(-6, 6).map(lambda e: 10**e), latent_dim=st.integers(20, 200))
def test_matching_bound_finds_the_cube(seed, bound, latent_dim):
    z = np.random.default_rng(seed).uniform(-bound, bound, (400, latent_dim))
    assert matching_bound(z) == pytest.approx(bound, rel=0.03)
    assert matching_bound(z[:, ::-1] * 7) == pytest.approx(7 * matching_bound(z))


@pytest.mark.parametrize("call", [component_statistics, origin_position, origin_projections, matching_bound])
@pytest.mark.parametrize("z, error, message", BAD_POINTS)
def test_bad_points_elsewhere(call, z, error, message):
    with pytest.raises(error, match=message) as caught: call(z)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5, True, "9"])
def test_bad_number_of_components(latent_dim):
    with pytest.raises((TypeError, ValueError), match="latent_dim must be a whole number of at least 1, got"): cube_radii(1, latent_dim)


def test_bad_shells():
    with pytest.raises(ValueError, match="bound must be a positive number, got 0"): cube_radii(0, 9)
    with pytest.raises(ValueError, match="most of these z-points are the origin itself"): matching_bound(np.zeros((3, 4)))
