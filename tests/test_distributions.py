"Half-widths and number densities: mathematics, scales from 1e-8 to 1e8, and bad input."
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse, stats

from latentfaces.distributions import FWHM_PER_SIGMA, check_latents, half_widths, number_density


def _full_width_on_a_grid(density, low, high):
    "Full width at half maximum of a known density, by brute force."
    x = np.linspace(low, high, 2_000_001)
    above = x[density(x) >= density(x).max() / 2]
    return above[-1] - above[0]


def test_fwhm_of_gaussians_is_right_at_every_scale():
    sigma = np.logspace(-8, 8, 300)
    z = np.random.default_rng(0).standard_normal((9_000, 300)) * sigma
    error = half_widths(z, "fwhm", level=FWHM_PER_SIGMA) / (FWHM_PER_SIGMA * sigma) - 1
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
    assert naive > 5 * FWHM_PER_SIGMA * 0.01
    assert half_widths(values[:, None], level=FWHM_PER_SIGMA)[0] == pytest.approx(FWHM_PER_SIGMA * 0.01, rel=0.05)


@pytest.mark.parametrize("n", [20, 100, 1_000, 160_000])
def test_error_falls_with_the_number_of_points(n):
    z = np.random.default_rng(n).standard_normal((n, 40))
    error = half_widths(z, level=FWHM_PER_SIGMA) / FWHM_PER_SIGMA - 1
    assert np.sqrt(np.mean(error**2)) < 1.3 / np.sqrt(n) * (1 + n**0.1 / 2)


@pytest.mark.parametrize("law, low, high, tolerance", [
    (stats.t(5), -10, 10, 0.06), (stats.gamma(4), 0, 30, 0.03), (stats.lognorm(0.5), 0, 10, 0.04), (stats.uniform(-1, 2), -2, 2, 0.07)])
def test_other_densities(law, low, high, tolerance):
    truth = _full_width_on_a_grid(law.pdf, low, high)
    values = law.rvs(100_000, random_state=0)[:, None]
    assert half_widths(values, level=FWHM_PER_SIGMA)[0] == pytest.approx(truth, rel=tolerance)


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
    ([["a", "b"], ["c", "d"]], ValueError, "could not convert string to float"),
    (sparse.csr_array(np.eye(3)), TypeError, "[Ss]parse"),
]


@pytest.mark.parametrize("z, error, message", BAD_POINTS)
def test_bad_points(z, error, message):
    for call in (check_latents, half_widths):
        with pytest.raises(error, match=message) as caught: call(z)
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
