"""Bad and strange input for what crosses modules: every sampler, every metric, files that are written, commands.

Each case gives a right result, or one clear sentence; and for every sampler most of the cases that are valid by
construction must succeed, so that one which refuses everything does not pass.
"""
import errno
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.figure import Figure
from PIL import Image
from sklearn import config_context
from sklearn.base import clone

from latentfaces import cli
from latentfaces.densities import (
    BlendSampler, CopulaSampler, EigenfaceSampler, EmpiricalRadiusSampler, GaussianizationSampler, KernelSampler, MixtureSampler,
    ScaleMixtureSampler, TruncatedGaussianSampler)
from latentfaces.evaluation import write_table
from latentfaces.metrics import (
    attribute_shares, density_and_coverage, diversity, face_rate, frechet_distance, frechet_extrapolated, is_face, kernel_distance,
    memorisation, nearest_distances, pixel_spread, sharpness)
from latentfaces.sampling import (
    EllipticSampler, GaussianSampler, IndependentSampler, LatentSampler, UniformSampler)
from strange import (
    BAD_NUMBERS, BAD_POINTS, Bomb, IMAGES, QUIET, RAW, SAME_NUMBERS, assert_right_draws, attempt, fit_and_draw, frozen, gridded,
    in_twenty_seconds, is_usual, kept, points, refused, same, told)

CHAOTIC = GaussianizationSampler(1, n_knots=9, random_state=0)  # its search for components magnifies rounding
CUBE = UniformSampler()  # does not look at the spread of the points

SAMPLERS = [EllipticSampler(), EllipticSampler(width="std", method="sequential"), CUBE, UniformSampler(bound=None), IndependentSampler(),
            GaussianSampler(), TruncatedGaussianSampler(), EmpiricalRadiusSampler(), ScaleMixtureSampler(), CopulaSampler(9),
            MixtureSampler(2, max_iter=10, random_state=0), KernelSampler(), CHAOTIC, BlendSampler(), EigenfaceSampler(4)]


def has_density(sampler): return hasattr(sampler, "score_samples")


def spiky(sampler): return getattr(sampler, "width", None) == "fwhm"


# ---------------------------------------------------------------------------------------------------------------- samplers

def check_generated_points(sampler):
    "Fit, draw and score what hypothesis makes up."
    outcomes = []

    @settings(parent=QUIET, max_examples=150)
    @given(z=points(sizes=(0, 1, 2, 3, 7, 12, 40, 40)))
    def each(z):
        before = kept(z)
        found = attempt(lambda: fit_and_draw(sampler, z))
        assert same(z, before), "input is not changed"
        if is_usual(z): outcomes.append(found is not None)
        if found is None: return
        fitted, drawn = found
        assert_right_draws(sampler, z, drawn)
        assert np.array_equal(drawn, fitted.sample(3, random_state=0)), "the same seed"
        if not has_density(sampler): return
        density = attempt(lambda: fitted.score_samples(z))
        assert density is not None and density.shape == (len(z),) and not np.isnan(density).any() and not np.isposinf(density).any()
        drawn_density = attempt(lambda: fitted.score_samples(drawn))
        assert drawn_density is not None and not np.isnan(drawn_density).any()

    each()
    assert len(outcomes) >= 20 and np.mean(outcomes) >= 0.9, f"{sum(outcomes)} of {len(outcomes)} usual clouds were taken"


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_samplers_on_generated_points(sampler): check_generated_points(sampler)


class RefusingSampler(LatentSampler):
    "It refuses everything, politely."
    def __init__(self, *, random_state=None): self.random_state = random_state
    def _fit(self, points, rng): raise ValueError("expected other z-points than these, got these: give others")


def test_a_sampler_that_refuses_everything_is_found_out():
    with pytest.raises(AssertionError, match="0 of [0-9]+ usual clouds were taken"): check_generated_points(RefusingSampler())
    with pytest.raises(AssertionError, match="so it is the points that are refused"): test_bad_points_for_every_sampler(RefusingSampler(), "NaN")
    with pytest.raises(AssertionError, match="only a density that is a spike"): test_coarse_numbers_count_as_what_they_are(RefusingSampler(), np.int8)


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if has_density(s)], ids=str)
def test_densities_of_strange_points_under_a_plain_fit(sampler):
    fitted, outcomes = clone(sampler).fit(gridded()), []

    @QUIET
    @given(z=points(sizes=(1, 2, 7, 40), dims=(5,)))
    def each(z):
        before = kept(z)
        density = attempt(lambda: fitted.score_samples(z))
        assert same(z, before)
        if is_usual(z): outcomes.append(density is not None)
        if density is None: return
        assert density.shape == (len(z),) and not np.isnan(density).any() and not np.isposinf(density).any()

    each()
    assert len(outcomes) >= 5 and all(outcomes), "finite points of the right dimension always have a density"


@pytest.mark.parametrize("name", BAD_POINTS)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_bad_points_for_every_sampler(sampler, name):
    unfitted = clone(sampler)
    refused(lambda: unfitted.fit(BAD_POINTS[name]))
    assert attempt(lambda: clone(sampler).fit(gridded())) is not None, "so it is the points that are refused"
    assert "call fit" in refused(lambda: unfitted.sample())
    if has_density(sampler) and name != "one point":
        fitted = clone(sampler).fit(gridded())
        refused(lambda: fitted.score_samples(BAD_POINTS[name]))


@pytest.mark.parametrize("d", [1, 4, 6])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if has_density(s)], ids=str)
def test_densities_of_other_dimensions(sampler, d):
    fitted = clone(sampler).fit(gridded())
    assert "5 features" in refused(lambda: fitted.score_samples(gridded(9, d)))


@pytest.mark.parametrize("form", SAME_NUMBERS)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_the_same_numbers_in_another_form_give_the_same_vectors(sampler, form):
    z = np.rint(gridded() * 2**10) / 2**10
    given, expected = SAME_NUMBERS[form](z), clone(sampler).fit(z).sample(3, random_state=0)
    before = kept(given) if not isinstance(given, tuple) else given
    found = attempt(lambda: fit_and_draw(sampler, given))
    assert found is not None and same(given if isinstance(given, np.ndarray) else z, before if isinstance(given, np.ndarray) else z)
    assert_right_draws(sampler, z, found[1])
    if sampler is not CHAOTIC: assert np.allclose(found[1], expected, atol=1e-4)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int64, np.uint64, np.float16])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_coarse_numbers_count_as_what_they_are(sampler, kind):
    z = np.abs(gridded(seed=2)) * 3
    z = z > z.mean(axis=0) if kind is bool else z.astype(kind)
    expected, found = attempt(lambda: fit_and_draw(sampler, z.astype(float))), attempt(lambda: fit_and_draw(sampler, z))
    assert (expected is None) == (found is None)
    assert found is not None or spiky(sampler), "only a density that is a spike may be refused"
    if found is not None: assert np.allclose(found[1], expected[1], atol=1e-9)


@pytest.mark.parametrize("power", [-1000, -700, -300, -100, -30, 30, 100, 300, 480, 600, 1000])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not CUBE], ids=str)
def test_huge_and_tiny_scales(sampler, power):
    "A power of two changes no digit, so the draws are the same times this power, and densities move by its logarithm."
    z, scale = gridded(), 2.0**power
    plain, found = fit_and_draw(sampler, z), attempt(lambda: fit_and_draw(sampler, z * scale))
    if found is None: return
    assert abs(power) <= 100 or np.isfinite(found[1]).all()
    if sampler is CHAOTIC and abs(power) > 100: return  # LAPACK scales such matrices, not by a power of two
    assert np.allclose(found[1] / scale, plain[1], rtol=1e-6, atol=1e-6)
    if has_density(sampler):
        scored = attempt(lambda: found[0].score_samples(z * scale))
        assert np.allclose(scored, plain[0].score_samples(z) - 5 * power * np.log(2), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("power", [-30, 30, 100])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not CUBE], ids=str)
def test_usual_scales_are_not_refused(sampler, power):
    assert attempt(lambda: fit_and_draw(sampler, gridded() * 2.0**power)) is not None
    assert attempt(lambda: fit_and_draw(sampler, (gridded() * 2.0**power).astype(np.float32))) is not None


@pytest.mark.parametrize("shift", [2.0**10, -2.0**20, 2.0**30])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not CUBE], ids=str)
def test_a_huge_offset_with_a_small_spread(sampler, shift):
    z = gridded()
    plain, (fitted, drawn) = fit_and_draw(sampler, z), fit_and_draw(sampler, z + shift)
    if sampler is not CHAOTIC: assert np.allclose(drawn - shift, plain[1], atol=1e-3)
    else: assert_right_draws(sampler, z + shift, drawn)
    if has_density(sampler) and sampler is not CHAOTIC: assert np.allclose(fitted.score_samples(z + shift), plain[0].score_samples(z), atol=1e-2)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_equal_points_constant_columns_and_few_points(sampler):
    for z in (np.full((9, 4), 0.1), np.full((9, 1), 1e30), np.zeros((5, 3)), np.full((4, 2), 1e300), np.full((4, 2), 3, np.int8)):
        found = attempt(lambda: fit_and_draw(sampler, z))
        if found is not None: assert_right_draws(sampler, z, found[1])
    taken = 0
    for n, d in ((2, 1), (2, 5), (3, 2), (4, 40), (9, 1)):
        found = attempt(lambda: fit_and_draw(sampler, gridded(n, d)))
        if found is None: continue
        taken += 1
        assert_right_draws(sampler, gridded(n, d), found[1])
    # Two parents take three points, Gaussianisation two more than there are axes.
    assert taken == {BlendSampler: 3, GaussianizationSampler: 1}.get(type(sampler), 5)
    for value in (0.0, 0.1, 1e6, -1e9):
        z = np.insert(gridded(), 2, value, axis=1)
        drawn = attempt(lambda: fit_and_draw(sampler, z))[1]
        if sampler is not CUBE: assert np.allclose(drawn[:, 2], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=told)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_bad_counts_and_seeds(sampler, value):
    fitted = clone(sampler).fit(gridded())
    if not isinstance(value, int) or value < 1 or value is True: refused(lambda: fitted.sample(value))
    found = attempt(lambda: fitted.sample(2, random_state=value))
    if found is not None: assert found.shape == (2, 5) and np.isfinite(found).all()


PARAMETERS = [(sampler, name) for sampler in SAMPLERS for name in sampler.get_params() if name not in ("random_state", "progress")]


@pytest.mark.parametrize("sampler, name", PARAMETERS, ids=[f"{type(s).__name__}-{n}-{i}" for i, (s, n) in enumerate(PARAMETERS)])
def test_bad_parameters(sampler, name):
    "Whatever a parameter is set to, fitting and drawing end well or in a sentence; and set after the fit, drawing does."
    z = gridded()
    for value in BAD_NUMBERS + [1e-300, 1e300, 0.999, "uniform", 40, 5, 1, 1e-9]:
        huge = isinstance(value, (int, float)) and value > 1e6
        if huge and name in ("n_layers", "n_knots", "max_iter"): continue  # asks for work without end, and gets it
        found = attempt(lambda: fit_and_draw(clone(sampler).set_params(**{name: value}), z))
        if found is not None: assert found[1].shape == (3, 5) and np.isfinite(found[1]).all(), value
        later = clone(sampler).fit(z).set_params(**{name: value})
        drawn = attempt(lambda: later.sample(3, random_state=0))
        if drawn is not None: assert drawn.shape == (3, 5) and np.isfinite(drawn).all(), value


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_scikit_learn_asked_for_tables_changes_nothing(sampler):
    z = gridded()
    plain = clone(sampler).fit(z)
    drawn = plain.sample(4, random_state=0)
    with config_context(transform_output="pandas"):
        fitted = clone(sampler).fit(z)
        inside = fitted.sample(4, random_state=0)
        assert type(inside) is np.ndarray and np.array_equal(inside, drawn)
        if has_density(sampler): assert type(fitted.score_samples(z)) is np.ndarray and np.array_equal(fitted.score_samples(z), plain.score_samples(z))
        if hasattr(fitted, "partial_fit"): fitted.partial_fit(z)


def test_learned_from_a_table_it_is_the_same():
    "Names of columns are kept, and a table with the same columns is scored."
    table = pd.DataFrame(gridded(), columns=list("abcde"))
    for sampler in SAMPLERS:
        fitted = clone(sampler).fit(table)
        assert np.array_equal(fitted.sample(4, random_state=0), clone(sampler).fit(table.to_numpy()).sample(4, random_state=0))
        assert fitted.feature_names_in_.tolist() == list("abcde")
        if has_density(sampler): assert np.array_equal(fitted.score_samples(table), clone(sampler).fit(gridded()).score_samples(gridded()))


# Eigenfaces take images


BAD_IMAGES = {
    "grey": IMAGES[..., 0], "one": IMAGES[0], "four channels": np.concatenate([IMAGES, IMAGES[..., :1]], axis=-1), "none": IMAGES[:0], "no pixels": IMAGES[:, :0], "to 255": IMAGES.astype(float), "negative": IMAGES / -255.0,
    "integers": IMAGES.astype(int), "booleans": IMAGES > 100, "NaN": np.where(IMAGES == IMAGES[0, 0, 0, 0], np.nan, IMAGES / 255), "infinite": np.where(IMAGES == IMAGES[0, 0, 0, 0], np.inf, IMAGES / 255),
    "texts": IMAGES.astype(str), "objects": IMAGES.astype(object), "complex": IMAGES / 255 + 1j, "a text": "face.png", "nothing": None, "a number": 1.0, "ragged": [[1, 2], [3]], "a dict": {}, "huge": IMAGES * 1e300,
    "NaN float32": np.full((3, 6, 6, 3), np.nan, np.float32), "dates": np.zeros((2, 4, 4, 3), "M8[s]"), "empty list": [],
}
SAME_IMAGES = {
    "floats": lambda x: x / 255, "float32": lambda x: x.astype(np.float32) / 255, "Fortran": np.asfortranarray, "strided": lambda x: np.repeat(x, 2, axis=2)[:, :, ::2], "reversed": lambda x: x[::-1].copy()[::-1], "read-only": frozen,
    "list": lambda x: x.tolist(), "list of arrays": lambda x: list(x / 255), "big-endian": lambda x: (x / 255).astype(">f8"), "longdouble": lambda x: x / np.longdouble(255),
}
OF_IMAGES = {"is_face": is_face, "face_rate": face_rate, "pixel_spread": pixel_spread, "sharpness": sharpness, "nearest_distances": lambda x: nearest_distances(x, IMAGES[:3]),
             "eigenfaces": lambda x: EigenfaceSampler(3).fit(x).sample(2, random_state=0)}


@pytest.mark.parametrize("name", BAD_IMAGES)
@pytest.mark.parametrize("measure", OF_IMAGES)
def test_bad_images(measure, name):
    if measure == "nearest_distances" and name in ("grey",): return
    refused(lambda: OF_IMAGES[measure](BAD_IMAGES[name]))


@pytest.mark.parametrize("form", SAME_IMAGES)
@pytest.mark.parametrize("measure", OF_IMAGES)
def test_the_same_images_in_another_form(measure, form):
    given, expected = SAME_IMAGES[form](IMAGES), OF_IMAGES[measure](IMAGES)
    before = given.copy() if isinstance(given, np.ndarray) else None
    found = attempt(lambda: OF_IMAGES[measure](given))
    if found is None: assert form in ("list",), "a list of integers may be refused, nothing else"
    else: assert np.allclose(found, expected, atol=2e-3)
    assert before is None or np.array_equal(before, given)


@QUIET
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0, 1, 0.5, None]), st.sampled_from([np.uint8, np.float16, np.float32, np.float64]))
def test_images_of_any_size(n, height, width, value, kind):
    x = np.random.default_rng(n).random((n, height, width, 3)) if value is None else np.full((n, height, width, 3), value)
    x = frozen((x * 255).astype(kind) if kind == np.uint8 else x.astype(kind))
    faces, spread = attempt(lambda: is_face(x)), attempt(lambda: pixel_spread(x))
    if faces is not None: assert faces.shape == (n,) and faces.dtype == bool
    assert 0 <= spread <= 0.5 and (value is None or spread < 1e-6)
    sharp = attempt(lambda: sharpness(x))
    assert (sharp is None) == (min(height, width) < 3)
    if sharp is not None: assert sharp.shape == (n,) and np.isfinite(sharp).all() and (sharp >= 0).all() and (value is None or sharp.max() < 1e-9)
    drawn = attempt(lambda: EigenfaceSampler(2).fit(x).sample(2, random_state=0))
    if drawn is None: return
    assert drawn.shape == (2, height, width, 3) and drawn.dtype == np.float32 and 0 <= drawn.min() and drawn.max() <= 1
    if value is not None: assert np.allclose(drawn, x[0].astype(float) / (255 if kind == np.uint8 else 1), atol=1e-3)


# ----------------------------------------------------------------------------------------------------------------- metrics

METRICS = {
    "frechet_distance": frechet_distance, "frechet_extrapolated": lambda x, y: frechet_extrapolated(x, y, 2, 1), "kernel_distance": lambda x, y: kernel_distance(x, y, 20, 3),
    "density_and_coverage": lambda x, y: density_and_coverage(x, y, 2), "diversity": diversity, "nearest_distances": nearest_distances, "memorisation": lambda x, y: memorisation(x, y, x),
    "attribute_shares": attribute_shares,
}


def flat(result):
    "All numbers in what a metric returned."
    return np.atleast_1d(np.asarray(result, float))


def assert_right_numbers(metric, result, x):
    numbers = flat(result)
    assert np.isfinite(numbers).all(), numbers
    if metric not in ("frechet_extrapolated", "kernel_distance", "attribute_shares"): assert (numbers >= 0).all()
    if metric == "nearest_distances": assert result.shape == (len(x),) and result.dtype == np.float64
    if metric == "density_and_coverage": assert result[1] <= 1
    if metric == "memorisation": assert result.copies <= 1


@pytest.mark.parametrize("metric", METRICS)
@settings(parent=QUIET, max_examples=120)
@given(x=points(), y=points(dims=(5,)))
def test_metrics_on_generated_features(metric, x, y):
    for pair in ((x, y), (y, x), (x, x)):
        before = [kept(rows) for rows in pair]
        result = attempt(lambda: METRICS[metric](*pair))
        assert all(same(a, b) for a, b in zip(pair, before)), "input is not changed"
        if result is not None: assert_right_numbers(metric, result, pair[0])


@pytest.mark.parametrize("name", [name for name in BAD_POINTS if name not in ("a cube", "one point", "nested")])
@pytest.mark.parametrize("metric", METRICS)
def test_bad_features(metric, name):
    refused(lambda: METRICS[metric](BAD_POINTS[name], gridded()))
    refused(lambda: METRICS[metric](gridded(), BAD_POINTS[name]))


@pytest.mark.parametrize("metric", METRICS)
def test_mismatched_features_and_few_of_them(metric):
    for d in (1, 4, 6): refused(lambda: METRICS[metric](gridded(), gridded(40, d)))
    for n in (0, 1, 2, 3, 4, 5):
        for pair in ((gridded(n), gridded()), (gridded(), gridded(n)), (gridded(n), gridded(n))):
            result = attempt(lambda: METRICS[metric](*pair))
            assert n or result is None
            if result is not None: assert_right_numbers(metric, result, pair[0])


@pytest.mark.parametrize("form", SAME_NUMBERS)
@pytest.mark.parametrize("metric", METRICS)
def test_the_same_features_in_another_form_give_the_same_numbers(metric, form):
    x, y = (np.rint(gridded(seed=s) * 2**10) / 2**10 for s in (1, 2))
    given = SAME_NUMBERS[form](x), SAME_NUMBERS[form](y)
    result = attempt(lambda: METRICS[metric](*given))
    if result is None: assert form in ("objects", "decimals", "fractions"), "nothing else is refused"
    else: assert np.allclose(flat(result), flat(METRICS[metric](x, y)), rtol=1e-4, atol=1e-6)
    if isinstance(given[0], np.ndarray): assert same(given[0], SAME_NUMBERS[form](x))


POWERS = {"frechet_distance": 2, "frechet_extrapolated": 2, "density_and_coverage": 0, "diversity": 0, "nearest_distances": 1, "memorisation": 0}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("power", [-1000, -500, -100, -40, -10, 10, 40, 100, 300, 500, 1000])
@pytest.mark.parametrize("metric", METRICS)
def test_metrics_at_huge_and_tiny_scales(metric, power, kind):
    with np.errstate(all="ignore"): x, y = ((gridded(seed=s) * 2.0**power).astype(kind) for s in (1, 2))
    if not x.any(): return  # nothing is left of them in float32
    result = attempt(lambda: METRICS[metric](x, y))
    assert result is not None or abs(power) > 10
    if result is None or metric not in POWERS: return
    plain = flat(METRICS[metric](gridded(seed=1).astype(kind), gridded(seed=2).astype(kind)))
    assert np.allclose(flat(result) / 2.0**(POWERS[metric] * power), plain, rtol=1e-4)


@pytest.mark.parametrize("shift", [2.0**10, -2.0**20, 2.0**30])
@pytest.mark.parametrize("metric", POWERS)
def test_metrics_of_differences_do_not_mind_an_offset(metric, shift):
    x, y = gridded(seed=1), gridded(seed=2)
    measure = METRICS[metric] if metric != "memorisation" else lambda x, y: memorisation(x, y, y[::-1] + 0.25)
    result = attempt(lambda: measure(x + shift, y + shift))
    assert result is not None and np.allclose(flat(result), flat(measure(x, y)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6])
def test_equal_features(value):
    same_rows, x = np.full((30, 5), value), gridded()
    assert frechet_distance(same_rows, same_rows) == pytest.approx(0, abs=1e-6 * (1 + value**2)) and frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert diversity(same_rows, x) == pytest.approx(0, abs=1e-5) and diversity(x, x) == 1
    assert nearest_distances(x + value, x + value).max() <= 1e-6 * (1 + abs(value)) and kernel_distance(same_rows * 0, same_rows * 0) == 0
    for rows in (same_rows, same_rows.astype(np.float32), np.c_[same_rows, same_rows]): assert "differ" in refused(lambda: diversity(rows, rows))
    for held_out in (x + value, (x + value)[::-1]): assert "copies" in refused(lambda: memorisation(x, x + value, held_out))
    density, coverage = density_and_coverage(same_rows, same_rows, 3)
    assert coverage == 1 and density == 10


OPTIONS = [("frechet_extrapolated", name) for name in ("n_sizes", "n_repeats", "random_state")] + [("kernel_distance", name) for name in ("subset_size", "n_subsets", "random_state")] + [("density_and_coverage", "k")]


@pytest.mark.parametrize("metric, option", OPTIONS)
def test_bad_options_of_metrics(metric, option):
    for value in BAD_NUMBERS + [39, 40, 41, 1e300, 0.5, 3]:
        if isinstance(value, int) and value > 1e6 and option in ("n_sizes", "n_repeats", "n_subsets"): continue  # work without end
        result = attempt(lambda: {f.__name__: f for f in (frechet_extrapolated, kernel_distance, density_and_coverage)}[metric](gridded(seed=1), gridded(seed=2), **{option: value}))
        if result is not None: assert_right_numbers(metric, result, gridded())


# ------------------------------------------------------------------------------------------------------ interrupted writes

ROWS = pd.DataFrame({"n_samples": [40, 3], "frechet": [1.5, 2.25], "frechet_ratio": [np.nan, 0.5]}, ["real images", "a, \"b\"\n"])
STOPS = {"full disk": OSError(errno.ENOSPC, "No space left on device"), "read-only": OSError(errno.EROFS, "Read-only file system"), "interrupted": KeyboardInterrupt(), "out of memory": MemoryError("Unable to allocate 9 GiB")}


class Failing(io.FileIO):
    "A file of which the n-th write, and every later one, fails; half of what was to be written is."
    left, error, writes = 0, None, 0

    def write(self, data):
        Failing.writes += 1
        if Failing.writes > Failing.left:
            super().write(bytes(data)[:len(bytes(data)) // 2])
            raise Failing.error
        return super().write(data)


def fail_after(monkeypatch, left, error):
    "Files that are opened for writing fail after so many writes."
    usual = Path.open
    Failing.left, Failing.error, Failing.writes = left, error, 0
    monkeypatch.setattr(Path, "open", lambda self, mode="r", *args, **kwargs: Failing(self, mode) if {"w", "x"} & set(mode) else usual(self, mode, *args, **kwargs))


def faces_and_settings():
    from latentfaces.generation import write_faces
    return lambda folder: write_faces(folder, IMAGES[:2] / np.float32(255), np.zeros((2, 3), np.float32), {"seed": 0})


def report_writer():
    from latentfaces import report
    found = report.LatentReport("x", 20, 2, ["one"])
    return lambda folder: found.write(folder / "a.html")


WRITERS = {
    "sampler": lambda: lambda folder: GaussianSampler().fit(gridded()).save(folder / "s.npz"), "eigenfaces": lambda: lambda folder: EigenfaceSampler(2).fit(IMAGES).save(folder / "s.npz"),
    "table.csv": lambda: lambda folder: write_table(ROWS, folder / "t.csv"), "table.json": lambda: lambda folder: write_table(ROWS, folder / "t.json"), "faces": faces_and_settings, "report": report_writer,
}


def contents(folder): return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_write_that_fails_anywhere_leaves_the_old_files(writer, stop, tmp_path, monkeypatch):
    write, error = WRITERS[writer](), STOPS[stop]
    write(tmp_path)
    whole = contents(tmp_path)
    old = {name: b"old" for name in whole}
    with monkeypatch.context() as patch:
        fail_after(patch, 10**9, error)
        write(tmp_path)
        count = Failing.writes
    assert count and {name: len(data) for name, data in contents(tmp_path).items()} == {name: len(data) for name, data in whole.items()}
    for left in range(count):
        for name, data in old.items(): (tmp_path / name).write_bytes(data)
        with monkeypatch.context() as patch:
            fail_after(patch, left, error)
            with pytest.raises(type(error)) as caught: write(tmp_path)
            assert caught.value is error or caught.value.args == error.args
        after = contents(tmp_path)
        assert set(after) == set(old) and all(len(data) == len(whole[name]) or data == b"old" for name, data in after.items())
        assert b"old" in after.values()


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_cannot_take_its_place_leaves_the_old_one(writer, stop, tmp_path, monkeypatch):
    write, error = WRITERS[writer](), STOPS[stop]
    write(tmp_path)
    before = contents(tmp_path)

    def fail(*unused): raise error
    for function in ("os.replace", "pathlib.Path.open"):
        with monkeypatch.context() as patch:
            patch.setattr(function, fail)
            with pytest.raises(type(error)): write(tmp_path)
        assert contents(tmp_path) == before


def test_tables_at_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "t.csv", tmp_path / ("x" * 300), "", "\0", None, 3, []): refused(lambda: write_table(ROWS, path))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("rows", [pd.DataFrame(), pd.DataFrame({"frechet": []}), pd.DataFrame({"frechet": [np.nan, np.inf]}), pd.DataFrame({"n": [np.float32(2)], "frechet": np.int64(3)}), pd.DataFrame({"name": ["a"]}), pd.DataFrame({"a": [object()]}), pd.DataFrame({1: [2.0]}), [], None, 3, "rows", {"name": 1}], ids=told)
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_tables_of_anything(rows, suffix, tmp_path):
    path = tmp_path / f"t.{suffix}"
    if attempt(lambda: write_table(rows, path)) is None: assert list(tmp_path.iterdir()) == []
    else:
        text = path.read_text()
        if suffix == "json": json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


# ---------------------------------------------------------------------------------------------------------------- commands

@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    "A bundle of untrained networks, and the images it comes from."
    from latentfaces.autoencoder import build_decoder, build_encoder
    from latentfaces.bundle import Bundle
    from latentfaces.drawn import synthetic_faces
    folder = tmp_path_factory.mktemp("bundle")
    images = synthetic_faces(60, size=16, random_state=0)[0]
    (folder / "images").mkdir()
    for i, image in enumerate(images): Image.fromarray(image).save(folder / "images" / f"{i:02d}.png")
    encoder, decoder = build_encoder(16, 4, (4,)), build_decoder(16, 4, (4,))
    z = Bundle(np.zeros((1, 4)), None, {}, encoder, decoder).encode(images[:50])
    Bundle(z, [f"{i:02d}.png" for i in range(50)], {"crop": None, "size": 16}, encoder, decoder).save(folder / "bundle")
    return folder


def run(arguments, capsys):
    "Exit status and what was written to standard error; anything else that leaves main fails the test."
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try: status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop: status = stop.code  # an option that there is not
    error = capsys.readouterr().err
    if status:
        assert status == 2 and error.startswith("latentfaces: ") and error.count("\n") == 1 and error.endswith("\n") and len(error) > 28, (status, error)
        assert not [raw for raw in RAW if raw in error.lower()], error
    else: assert error == "", error
    return status


def drawn_only(panel):
    "Draw a panel, but turn nothing into pixels."
    panel.draw(**panel.arrays, ax=Figure().subplots()).set(**panel.labels)
    return b""


def arrays_for_reports():
    z = gridded(60, 4)
    yield from {"fine": z, "float32": z.astype(np.float32), "integers": (z * 10).astype(int), "Fortran": np.asfortranarray(z), "big-endian": z.astype(">f8"), "float16": z.astype(np.float16), "longdouble": z.astype(np.longdouble),
                "NaN": np.where(np.eye(60, 4) > 0, np.nan, z), "all NaN": z * np.nan, "infinite": np.where(np.eye(60, 4) > 0, np.inf, z), "constant column": np.insert(z, 1, 0.1, axis=1), "equal": z * 0 + 1, "two values": (z > 1) * 1.0,
                "1e-200": z * 1e-200, "1e-30": z * 1e-30, "1e30": z * 1e30, "1e150": z * 1e150, "1e300": z * 1e300, "offset": z + 1e8, "outlier": np.where(np.eye(60, 4) > 0, 1e12, z), "on a line": z[:, :1] * np.ones(4), "mostly equal": np.repeat(z[:4], [57, 1, 1, 1], axis=0),
                "none": z[:0], "one": z[:1], "two": z[:2], "nineteen": z[:19], "twenty": z[:20], "one column": z[:, :1], "no column": z[:, :0], "a row": z[0], "a cube": z[None], "a number": np.array(1.0), "booleans": z > 1, "texts": z.astype(str), "complex": z * 1j, "dates": z.astype("M8[s]"), "records": np.zeros(30, [("a", float)])}.items()


@pytest.mark.parametrize("name, z", list(arrays_for_reports()), ids=[name for name, _ in arrays_for_reports()])
def test_report_of_any_array(name, z, tmp_path, capsys, monkeypatch):
    if name not in ("fine", "on a line"): monkeypatch.setattr("latentfaces.plots.Panel.png", drawn_only)  # drawn, but not turned into pixels
    np.save(tmp_path / "z.npy", z)
    status = run(["report", "--bundle", tmp_path / "z.npy", "--out", tmp_path / "a.html", "--quiet"], capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == (["z.npy"] if status else ["a.html", "z.npy"])
    if name in ("fine", "float32", "integers", "Fortran", "big-endian", "float16", "longdouble", "NaN", "infinite", "constant column", "twenty", "1e-30", "1e30"): assert status == 0
    if not status: assert (tmp_path / "a.html").read_text().endswith("</html>\n")


def test_report_of_bad_files_and_paths(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("latentfaces.plots.Panel.png", lambda panel: b"")
    np.save(tmp_path / "z.npy", gridded(60, 4))
    np.savez(tmp_path / "z.npz", z=gridded(60, 4))
    plain, packed_points = ((tmp_path / name).read_bytes() for name in ("z.npy", "z.npz"))
    np.savez(tmp_path / "two.npz", a=1, b=2)
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "objects.npy", np.array([Bomb()], object))
    for i in (6, 8, 9, 12, 20, 30, 60): (tmp_path / f"flip{i}.npy").write_bytes(plain[:i] + bytes([plain[i] ^ 255]) + plain[i + 1:])
    for n in (0, 3, 20, 128, 500): (tmp_path / f"cut{n}.npy").write_bytes(plain[:n])
    for n in (4, 60, 300, len(packed_points) - 9): (tmp_path / f"cut{n}.npz").write_bytes(packed_points[:n])
    for i in (3, 9, 20, 40, 200, 500, len(packed_points) - 90, len(packed_points) - 10): (tmp_path / f"flip{i}.npz").write_bytes(packed_points[:i] + bytes([packed_points[i] ^ 255]) + packed_points[i + 1:])
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "folder").mkdir()
    before = contents_of_files(tmp_path)
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "nowhere", "", "\0", "x" * 300, tmp_path / "z.npy" / "z.npy"]:
        if path == "": continue  # no path is the pretrained bundle
        status = run(["report", "--bundle", path, "--out", tmp_path / "a.html", "--quiet"], capsys)
        if not status: (tmp_path / "a.html").unlink()
        assert status or str(path).endswith(("z.npy", ".npz"))
    for out in (tmp_path, tmp_path / "z.npy" / "a.html", tmp_path / ("x" * 300), "/proc/nowhere/a.html", ""):
        assert run(["report", "--bundle", tmp_path / "z.npy", "--out", out, "--quiet"], capsys) == 2
    assert contents_of_files(tmp_path) == before


def contents_of_files(folder): return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


BAD_OPTIONS = {
    "generate": [["--count", x] for x in (0, -1, "1.5", "many", "nan", 10**15, 10**30)] + [["--seed", x] for x in (-1, "x", "1.5", 10**40)] + [["--components", x] for x in (0, -1, 1.5, "nan", "inf", "-inf", "x", "", 5, 10**20, "0.0")]
    + [["--factor", x] for x in (0, -1, "nan", "inf", "x", "1e300", "1e-300")] + [["--sampler", "magic"], ["--sampler", ""], ["--bundle", "nowhere"], ["--bundle", "\0"], ["--bundle", __file__], ["--magic"], ["more"]],
    "evaluate": [["--n", x] for x in (0, 19, -1, "x", 2.5)] + [["--seed", x] for x in (-1, "x")] + [["--sampler", x] for x in ("magic", "elliptic:x", "elliptic:0", "elliptic:nan", "elliptic:-1", "mixture:2", "gaussian:inf", ":", "")]
    + [["--components", x] for x in ("x", 0, 9)] + [["--features", "nowhere.keras"], ["--features", __file__], ["--features", "dlib"], ["--feature-range", "0"], ["--feature-range", "a", "b"], ["--data", "nowhere"], ["--data", __file__], ["--bundle", "nowhere"],
                                                       ["--out", "table.txt"], ["--out", __file__ + "/table.csv"], ["--out", ""]],
    "report": [["--seed", x] for x in (-1, "x", 1.5)] + [["--bundle", "nowhere.npy"], ["--magic"]],
    "train": [["--data", "nowhere"], ["--data", __file__], ["--size", "0"], ["--size", "x"], ["--filters", "a-b"], ["--filters", ""], ["--filters", "8--4"], ["--limit", "-1"], ["--latent-dim", "0"], ["--batch-size", "0"], ["--epochs", "-1"], ["--learning-rate", "nan"], ["--learning-rate", "x"],
              ["--kernel-size", "0"], ["--shift", "-1"], ["--held-out", "0"], ["--crop", "-3"], ["--seed", "-1"], ["--dtype", "int8"], ["--optimizer", "magic"]],
}


@pytest.mark.parametrize("command, options", [(command, options) for command, several in BAD_OPTIONS.items() for options in several], ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)))
def test_bad_options_of_commands(command, options, bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest = {"generate": ["--bundle", bundle / "bundle", "--count", 2], "evaluate": ["--bundle", bundle / "bundle", "--data", bundle / "images", "--n", 20, "--quiet"],
            "report": ["--quiet"], "train": ["--data", bundle / "images", "--out", "new", "--no-align", "--quiet", "--size", 16, "--filters", "4-8", "--epochs", 1]}[command]
    status = run([command, *rest, *options], capsys)
    harmless = options in (["--factor", "1e-300"], ["--seed", 10**40], ["--factor", "1e300"], ["--features", "dlib"])
    assert status == 2 or harmless
    if status: assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_commands_that_go_well(bundle, tmp_path, capsys):
    assert run(["generate", "--bundle", bundle / "bundle", "--count", 1, "--out", tmp_path / "out"], capsys) == 0
    with np.load(tmp_path / "out" / "faces.npz") as file: assert file["z"].shape == (1, 4) and np.isfinite(file["z"]).all()
    assert run(["evaluate", "--bundle", bundle / "bundle", "--data", bundle / "images", "--n", 20, "--sampler", "gaussian", "--quiet", "--out", tmp_path / "t.json"], capsys) == 0
    assert [row["name"] for row in json.loads((tmp_path / "t.json").read_text())][3:] == ["N(0, I)", "gaussian"]


@pytest.mark.parametrize("name", ["config.json", "encoder.onnx", "decoder.onnx", "latents.npz", "history.csv", "sampler.npz"])
def test_damaged_bundles(name, bundle, tmp_path, capsys):
    whole = {p.name: p.read_bytes() for p in (bundle / "bundle").iterdir()}
    content = whole[name]
    broken = [None, b"", content[:len(content) // 2], content[:-1] if content else b"x", b"{}", b"null", b"[" * 20000, b"\xff" * 99, bytes([*content[:9], 255, *content[10:]])]
    if name == "config.json":
        config = json.loads(content)
        broken += [json.dumps(config | change).encode() for change in ({"format": 9}, {"size": "x"}, {"size": 32}, {"latent_dim": 9}, {"latent_dim": None}, {"sha256": {}}, {"sha256": []}, {"sha256": {"encoder.onnx": 3}}, {"format": [2]}, {"size": "16"})]
    for i, data in enumerate(broken):
        folder = tmp_path / str(i)
        folder.mkdir()
        for other, usual in whole.items(): (folder / other).write_bytes(usual)
        (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
        if data == content or name == "config.json" and data == content[:-1]: continue
        assert run(["generate", "--bundle", folder, "--count", 1, "--out", tmp_path / "out"], capsys) == 2, i
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop", STOPS)
def test_commands_that_cannot_write(stop, bundle, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "z.npy", gridded(60, 4))
    monkeypatch.setattr("latentfaces.plots.Panel.png", lambda panel: b"")
    commands = {"generate": ["--bundle", bundle / "bundle", "--count", 1, "--out", tmp_path / "out"], "report": ["--bundle", tmp_path / "z.npy", "--out", tmp_path / "out" / "a.html", "--quiet"]}
    for command, options in commands.items():
        with monkeypatch.context() as patch:
            fail_after(patch, 0, STOPS[stop])
            if stop == "interrupted":
                assert cli.main([command, *map(str, options)]) == 130 and "interrupted" in capsys.readouterr().err
            else: assert run([command, *options], capsys) == 2
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "z.npy"]


