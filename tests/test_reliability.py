"""Bad and strange input for samplers, metrics, files and commands: each case gives a right result, or one clear sentence.

A case is one call chain on one input. `tried` counts them, and the last test prints how many there were.
"""
import errno
import io
import json
import re
import signal
import sys
import warnings
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from latentfaces import cli
from latentfaces.densities import (
    BlendSampler, CopulaSampler, EigenfaceSampler, EmpiricalRadiusSampler, GaussianizationSampler, KernelSampler, MixtureSampler,
    ScaleMixtureSampler, TruncatedGaussianSampler)
from latentfaces.evaluation import (
    attribute_shares, density_and_coverage, extrapolated_frechet, face_rate, frechet_distance, frechet_from_moments, is_face,
    kernel_distance, memorisation, nearest_distances, pixel_spread, sharpness, variety, write_table)
from latentfaces.sampling import (
    EllipticSampler, GaussianSampler, IndependentSampler, LatentSampler, UniformSampler, load_sampler)

CHAOTIC = GaussianizationSampler(1, n_knots=9)  # its search for components magnifies rounding
CUBE = UniformSampler()                         # does not look at the spread of the points
def told(value):
    "The name of a case: its repr without the address, so that two processes agree on it."
    return re.sub(r" at 0x\w+", "", repr(value))


SAMPLERS = [EllipticSampler(), EllipticSampler(width="std", method="sequential"), CUBE, UniformSampler(None), IndependentSampler(),
            GaussianSampler(), TruncatedGaussianSampler(), EmpiricalRadiusSampler(), ScaleMixtureSampler(), CopulaSampler(9),
            MixtureSampler(2, max_iter=10, random_state=0), KernelSampler(), CHAOTIC, BlendSampler(), EigenfaceSampler(4)]
QUIET = settings(max_examples=50, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
                 suppress_health_check=list(HealthCheck))
tried, finished = Counter(), set()


def has_density(sampler): return hasattr(sampler, "score_samples")


# ---------------------------------------------------------------------------------------------------------------- the rule

class Hangs(BaseException):
    "Not an Exception, so that nothing under test can take it for a bad file."


@pytest.fixture(autouse=True)
def in_twenty_seconds(request):
    "Nothing hangs; and a note of every test that has run."
    def stop(*unused): raise Hangs("20 seconds are over")
    before = signal.signal(signal.SIGALRM, stop) if hasattr(signal, "SIGALRM") else None
    if before is not None: signal.alarm(20)
    yield
    if before is not None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    finished.add(request.node.originalname)


# What libraries and Python itself say; it tells a user nothing about the input.
RAW = ("svd did not converge", "eigenvalues did not converge", "must not contain infs", "infs or nans", "broadcast", "linalg", "singular", "not positive", "ill-defined",
       "index out of", "out of bounds", "operands", "inhomogeneous", "core dimension", "cannot reshape", "not aligned", "has no attribute", "not supported between", "unsupported operand",
       "unpack", "has no len", "not iterable", "not subscriptable", "missing 1 required", "takes from", "ufunc", "did not contain a loop", "truth value", "invalid literal", "invalid _",
       "axis 0", "axis 1", "could not be converted", "dtype='", "writing handle", "zero-size", "empty sequence", "cannot convert float", "codec", "must be aligned", "traceback", "seedsequence",
       "unhashable", "json serializable", "larger sample", "non-empty", "division by zero")
KINDS = {ValueError, TypeError, OSError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError, NotFittedError}


def assert_clear(error):
    "One sentence of a kind that a caller expects."
    text = str(error)
    assert type(error) in KINDS, f"{type(error).__name__}: {text}"
    assert "\n" not in text and len(text) >= 15, text
    assert not [raw for raw in RAW if raw in text.lower()], text


def attempt(group, call):
    "The result of a call, or None where it ended in one clear sentence; a warning is neither."
    tried[group] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of libraries among themselves
        try: return call()
        except Hangs: raise
        except (KeyboardInterrupt, Exception) as error:
            try: assert_clear(error)
            except AssertionError as problem: raise AssertionError(str(problem)) from error


def refused(group, call):
    "The same where there can be no result; returns the sentence."
    tried[group] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Exception) as caught: call()
    assert_clear(caught.value)
    return str(caught.value)


def frozen(array):
    "A copy that nobody can write to."
    array = array.copy() if isinstance(array, np.ndarray) else array
    if isinstance(array, np.ndarray): array.flags.writeable = False
    return array


def cloud(n=40, d=5, seed=0):
    "Correlated and skewed points, on a grid so fine that adding a large number to them is exact."
    rng = np.random.default_rng(seed)
    z = (rng.standard_normal((n, d)) + 0.3 * rng.exponential(size=(n, 1))) @ np.triu(np.ones((d, d))) / np.sqrt(d) + np.arange(d)
    return np.rint(z * 2**20) / 2**20


# --------------------------------------------------------------------------------------------------------- generated points

SCALES = (1.0, 1.0, 1e-3, 1e3, 1e-30, 1e30, 1e-200, 1e150, 1e-310, 1e300)
OFFSETS = (0.0, 0.0, 1.0, -1e3, 1e8, 1e15, 1e30, 1e300)


@st.composite
def points(draw, sizes=(0, 1, 2, 3, 7, 12, 40), dims=(1, 2, 5, 9)):
    "A cloud that has been through something: other scales, offsets, dead columns, repeated rows, NaN, other types and layouts."
    n, d = draw(st.sampled_from(sizes)), draw(st.sampled_from(dims))
    z = cloud(n, d, draw(st.integers(0, 9))) if draw(st.booleans()) else np.random.default_rng(draw(st.integers(0, 9))).standard_normal((n, d))
    for trouble in draw(st.lists(st.sampled_from(sorted(TROUBLES)), max_size=3)): z = TROUBLES[trouble](z, draw)
    return draw(st.sampled_from(LAYOUTS))(z)


def _columns(z, draw): return slice(draw(st.integers(0, z.shape[1] - 1)), None if draw(st.booleans()) else z.shape[1] - 1)


def _set(z, rows, columns, value):
    z = z.copy()
    z[rows, columns] = value
    return z


def _scaled(z, draw):
    z = z.astype(float)
    with np.errstate(all="ignore"): z[:, _columns(z, draw)] *= draw(st.sampled_from(SCALES))
    return z


def _moved(z, draw):
    z = z.astype(float)
    z[:, _columns(z, draw)] += draw(st.sampled_from(OFFSETS))
    return z


def _repeated(z, draw): return np.repeat(z[:max(1, len(z) // draw(st.sampled_from([2, 5, 50])))], 50, axis=0)[:len(z)]
def _as_type(z, draw):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return z.astype(draw(st.sampled_from([np.float32, np.float16, np.int64, np.int8, bool, np.longdouble, object, ">f8"])))


TROUBLES = {
    "scaled": _scaled, "moved": _moved, "repeated": _repeated, "typed": _as_type,
    "dead column": lambda z, draw: _set(z, slice(None), _columns(z, draw), draw(st.sampled_from([0, 0.1, -7.0]))),
    "bad value": lambda z, draw: _set(z.astype(float), slice(0, 1), _columns(z, draw), draw(st.sampled_from([np.nan, np.inf, -np.inf]))),
    "outlier": lambda z, draw: _set(z.astype(float), slice(0, 1), _columns(z, draw), draw(st.sampled_from([1e6, -1e12, 1e160]))),
    "equal": lambda z, draw: np.repeat(z[:1], len(z), axis=0),
    "two values": lambda z, draw: (np.nan_to_num(z.astype(float)) > 0).astype(float),
    "centred": lambda z, draw: np.concatenate([np.zeros((1, z.shape[1])), z, -z.astype(float)]),
    "on a line": lambda z, draw: z[:, :1].astype(float) * np.ones(z.shape[1]),
}
LAYOUTS = [frozen, frozen, np.asfortranarray, lambda z: np.repeat(z, 2, axis=0)[::2], lambda z: z[::-1, ::-1], lambda z: z.T.copy().T, lambda z: z.tolist(),
           lambda z: np.ma.masked_array(z)]


def as_numbers(z):
    "What a list or an array holds, as float64; None where that makes no sense."
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(z, np.float64)


def same(a, b): return np.array_equal(as_numbers(a), as_numbers(b), equal_nan=True) and type(a) is type(b) and getattr(a, "dtype", 0) == getattr(b, "dtype", 0)


def kept(z): return z.copy() if hasattr(z, "copy") and not isinstance(z, list) else [list(row) for row in z] if z and isinstance(z[0], list) else list(z)


# ---------------------------------------------------------------------------------------------------------------- samplers

def assert_right_draws(sampler, z, drawn):
    "Finite, of the right shape and type, where the points are; constant columns stay constant."
    z = as_numbers(z)
    assert drawn.shape == (3, z.shape[1]) and drawn.dtype == np.float64 and np.isfinite(drawn).all()
    if type(sampler) is UniformSampler and sampler.bound: return
    middle, reach = z.mean(axis=0), np.ptp(z, axis=0)
    # Axes narrower than rounding of the widest count as constant.
    slack = 1e-9 * (np.abs(z).max() + reach.max())
    assert (np.abs(drawn - middle) <= 60 * reach + slack).all(), (drawn, middle, reach)


def fit_and_draw(sampler, z):
    fitted = clone(sampler)
    assert fitted.fit(z) is fitted
    return fitted, fitted.sample(3, random_state=0)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@QUIET
@given(z=points())
def test_samplers_on_generated_points(sampler, z):
    before = kept(z)
    found = attempt("samplers, generated", lambda: fit_and_draw(sampler, z))
    assert same(z, before), "input is not changed"
    if found is None: return
    fitted, drawn = found
    assert_right_draws(sampler, z, drawn)
    assert np.array_equal(drawn, fitted.sample(3, random_state=0)), "the same seed"
    if has_density(sampler):
        density = attempt("densities, generated", lambda: fitted.score_samples(z))
        assert density is not None and density.shape == (len(z),) and not np.isnan(density).any() and not np.isposinf(density).any()
        drawn_density = attempt("densities, generated", lambda: fitted.score_samples(drawn))
        assert drawn_density is not None and not np.isnan(drawn_density).any()


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if has_density(s)], ids=str)
@QUIET
@given(z=points(sizes=(2, 7, 40), dims=(5,)))
def test_densities_of_strange_points_under_a_plain_fit(sampler, z):
    fitted, before = clone(sampler).fit(cloud()), kept(z)
    density = attempt("densities, strange points", lambda: fitted.score_samples(z))
    assert same(z, before)
    if density is None: return
    assert density.shape == (len(z),) and not np.isnan(density).any() and not np.isposinf(density).any()


BAD_POINTS = {
    "empty": np.zeros((0, 5)), "no columns": np.zeros((40, 0)), "one point": cloud(1), "a row": np.ones(5), "a number": 3.0, "nothing": None, "a cube": np.ones((4, 3, 2)),
    "NaN": np.where(np.eye(40, 5) > 0, np.nan, cloud()), "all NaN": np.full((40, 5), np.nan), "infinite": np.where(np.eye(40, 5) > 0, -np.inf, cloud()), "float32 inf": np.full((9, 2), np.inf, np.float32),
    "complex": cloud() + 1j, "texts": cloud().astype(str), "bytes": cloud().astype("S"), "a text": "z.npy", "words as objects": np.array([["a", "b"]] * 9, object), "None inside": np.array([[1.0, None]] * 9, object),
    "dates": np.array([["2024-01-01", "2024-01-02"]] * 9, "M8[D]"), "times": np.ones((9, 2), "m8[s]"), "records": np.zeros(9, [("a", float), ("b", float)]), "ragged": [[1.0, 2.0], [3.0]], "dicts": [{"a": 1}, {"a": 2}],
    "a set": {1, 2}, "a generator": (row for row in [[1, 2], [3, 4]]), "masked": np.ma.masked_array(cloud(), np.eye(40, 5) > 0), "huge longdouble": np.full((9, 2), np.longdouble("1e400")) * np.arange(1, 10)[:, None],
    "huge integers": [[10**400, 1], [2, 3], [4, 5]], "a dict": {"z": cloud()}, "a function": cloud, "nested": [[[1], [2]], [[3], [4]]],
}


@pytest.mark.parametrize("name", BAD_POINTS)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_bad_points_for_every_sampler(sampler, name):
    unfitted = clone(sampler)
    refused("samplers, bad points", lambda: unfitted.fit(BAD_POINTS[name]))
    assert "call fit" in refused("samplers, bad points", lambda: unfitted.sample())
    if has_density(sampler) and name != "one point":
        fitted = clone(sampler).fit(cloud())
        refused("densities, bad points", lambda: fitted.score_samples(BAD_POINTS[name]))


@pytest.mark.parametrize("d", [1, 4, 6])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if has_density(s)], ids=str)
def test_densities_of_other_dimensions(sampler, d):
    fitted = clone(sampler).fit(cloud())
    assert "5 features" in refused("densities, bad points", lambda: fitted.score_samples(cloud(9, d)))


SAME_NUMBERS = {
    "Fortran": np.asfortranarray, "strided": lambda z: np.repeat(np.repeat(z, 2, axis=0), 3, axis=1)[::2, ::3], "reversed": lambda z: z[::-1, ::-1].copy()[::-1, ::-1], "read-only": frozen,
    "list": lambda z: z.tolist(), "tuples": lambda z: tuple(map(tuple, z)), "float32": lambda z: z.astype(np.float32), "longdouble": lambda z: z.astype(np.longdouble), "objects": lambda z: z.astype(object),
    "big-endian": lambda z: z.astype(">f8"), "big-endian float32": lambda z: z.astype(">f4"), "decimals": lambda z: np.array([[Decimal(x) for x in row] for row in z]), "fractions": lambda z: [[Fraction(x) for x in row] for row in z],
    "nothing masked": np.ma.masked_array, "unaligned": lambda z: np.frombuffer(b"x" + z.tobytes(), np.uint8)[1:].view("f8").reshape(z.shape), "a view of more": lambda z: np.c_[z, z, z][:, 5:10], "rows of an array": lambda z: list(z),
}


@pytest.mark.parametrize("form", SAME_NUMBERS)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_the_same_numbers_in_another_form_give_the_same_vectors(sampler, form):
    z = np.rint(cloud() * 2**10) / 2**10
    given, expected = SAME_NUMBERS[form](z), clone(sampler).fit(z).sample(3, random_state=0)
    before = kept(given) if not isinstance(given, tuple) else given
    found = attempt("samplers, forms", lambda: fit_and_draw(sampler, given))
    assert found is not None and same(given if isinstance(given, np.ndarray) else z, before if isinstance(given, np.ndarray) else z)
    assert_right_draws(sampler, z, found[1])
    if sampler is not CHAOTIC: assert np.allclose(found[1], expected, atol=1e-4)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int64, np.uint64, np.float16])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_coarse_numbers_count_as_what_they_are(sampler, kind):
    z = (np.abs(cloud(seed=2)) * 3).astype(kind)
    expected, found = attempt("samplers, forms", lambda: fit_and_draw(sampler, z.astype(float))), attempt("samplers, forms", lambda: fit_and_draw(sampler, z))
    assert (expected is None) == (found is None)
    if found is not None: assert np.allclose(found[1], expected[1], atol=1e-9)


@pytest.mark.parametrize("power", [-1000, -700, -300, -100, -30, 30, 100, 300, 480, 600, 1000])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not CUBE], ids=str)
def test_huge_and_tiny_scales(sampler, power):
    "A power of two changes no digit, so the draws are the same times this power, and densities move by its logarithm."
    z, scale = cloud(), 2.0**power
    plain, found = fit_and_draw(sampler, z), attempt("samplers, scales", lambda: fit_and_draw(sampler, z * scale))
    if found is None: return
    assert abs(power) <= 100 or np.isfinite(found[1]).all()
    assert np.allclose(found[1] / scale, plain[1], rtol=1e-6, atol=1e-6)
    if has_density(sampler):
        scored = attempt("samplers, scales", lambda: found[0].score_samples(z * scale))
        assert np.allclose(scored, plain[0].score_samples(z) - 5 * power * np.log(2), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("power", [-30, 30, 100])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not CUBE], ids=str)
def test_usual_scales_are_not_refused(sampler, power):
    assert attempt("samplers, scales", lambda: fit_and_draw(sampler, cloud() * 2.0**power)) is not None
    assert attempt("samplers, scales", lambda: fit_and_draw(sampler, (cloud() * 2.0**power).astype(np.float32))) is not None


@pytest.mark.parametrize("shift", [2.0**10, -2.0**20, 2.0**30])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s is not CUBE], ids=str)
def test_a_huge_offset_with_a_small_spread(sampler, shift):
    z = cloud()
    plain, (fitted, drawn) = fit_and_draw(sampler, z), fit_and_draw(sampler, z + shift)
    tried["samplers, offsets"] += 1
    if sampler is not CHAOTIC: assert np.allclose(drawn - shift, plain[1], atol=1e-3)
    else: assert_right_draws(sampler, z + shift, drawn)
    if has_density(sampler) and sampler is not CHAOTIC: assert np.allclose(fitted.score_samples(z + shift), plain[0].score_samples(z), atol=1e-2)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_equal_points_constant_columns_and_few_points(sampler):
    for z in (np.full((9, 4), 0.1), np.full((9, 1), 1e30), np.zeros((5, 3)), np.full((4, 2), 1e300), np.full((4, 2), 3, np.int8)):
        found = attempt("samplers, equal points", lambda: fit_and_draw(sampler, z))
        if found is not None: assert_right_draws(sampler, z, found[1])
    for n, d in ((2, 1), (2, 5), (3, 2), (4, 40), (9, 1)):
        found = attempt("samplers, few points", lambda: fit_and_draw(sampler, cloud(n, d)))
        if found is not None: assert_right_draws(sampler, cloud(n, d), found[1])
    for value in (0.0, 0.1, 1e6, -1e9):
        z = np.insert(cloud(), 2, value, axis=1)
        drawn = attempt("samplers, constant columns", lambda: fit_and_draw(sampler, z))[1]
        if sampler is not CUBE: assert np.allclose(drawn[:, 2], value, rtol=1e-9, atol=1e-9)


BAD_NUMBERS = [0, -1, 1.5, 2.0, np.nan, np.inf, -np.inf, "3", None, True, [3], np.array([2, 3]), 1 + 1j, 10**30, object(), b"2"]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=told)
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_bad_counts_and_seeds(sampler, value):
    fitted = clone(sampler).fit(cloud())
    if not isinstance(value, int) or value < 1 or value is True: refused("samplers, counts", lambda: fitted.sample(value))
    found = attempt("samplers, seeds", lambda: fitted.sample(2, random_state=value))
    if found is not None: assert found.shape == (2, 5) and np.isfinite(found).all()


PARAMETERS = [(sampler, name) for sampler in SAMPLERS for name in sampler.get_params() if name != "random_state"]


@pytest.mark.parametrize("sampler, name", PARAMETERS, ids=[f"{type(s).__name__}-{n}-{i}" for i, (s, n) in enumerate(PARAMETERS)])
def test_bad_parameters(sampler, name):
    "Whatever a parameter is set to, fitting and drawing end well or in a sentence; and set after the fit, drawing does."
    z = cloud()
    for value in BAD_NUMBERS + [1e-300, 1e300, 0.999, "uniform", 40, 5, 1, 1e-9]:
        huge = isinstance(value, (int, float)) and value > 1e6
        if huge and name in ("n_layers", "n_knots", "max_iter"): continue  # asks for work without end, and gets it
        found = attempt("samplers, parameters", lambda: fit_and_draw(clone(sampler).set_params(**{name: value}), z))
        if found is not None: assert found[1].shape == (3, 5) and np.isfinite(found[1]).all(), value
        later = clone(sampler).fit(z).set_params(**{name: value})
        drawn = attempt("samplers, parameters", lambda: later.sample(3, random_state=0))
        if drawn is not None: assert drawn.shape == (3, 5) and np.isfinite(drawn).all(), value


# Eigenfaces take images

IMAGES = np.random.default_rng(0).integers(40, 200, (12, 6, 6, 3)).astype(np.uint8)
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
    refused("images, bad", lambda: OF_IMAGES[measure](BAD_IMAGES[name]))


@pytest.mark.parametrize("form", SAME_IMAGES)
@pytest.mark.parametrize("measure", OF_IMAGES)
def test_the_same_images_in_another_form(measure, form):
    given, expected = SAME_IMAGES[form](IMAGES), OF_IMAGES[measure](IMAGES)
    before = given.copy() if isinstance(given, np.ndarray) else None
    found = attempt("images, forms", lambda: OF_IMAGES[measure](given))
    if found is None: assert form in ("list",), "a list of integers may be refused, nothing else"
    else: assert np.allclose(found, expected, atol=2e-3)
    assert before is None or np.array_equal(before, given)


@QUIET
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0, 1, 0.5, None]), st.sampled_from([np.uint8, np.float16, np.float32, np.float64]))
def test_images_of_any_size(n, height, width, value, kind):
    x = np.random.default_rng(n).random((n, height, width, 3)) if value is None else np.full((n, height, width, 3), value)
    x = frozen((x * 255).astype(kind) if kind == np.uint8 else x.astype(kind))
    faces, spread = attempt("images, generated", lambda: is_face(x)), attempt("images, generated", lambda: pixel_spread(x))
    if faces is not None: assert faces.shape == (n,) and faces.dtype == bool
    assert 0 <= spread <= 0.5 and (value is None or spread < 1e-6)
    sharp = attempt("images, generated", lambda: sharpness(x))
    assert (sharp is None) == (min(height, width) < 3)
    if sharp is not None: assert sharp.shape == (n,) and np.isfinite(sharp).all() and (sharp >= 0).all() and (value is None or sharp.max() < 1e-9)
    drawn = attempt("images, generated", lambda: EigenfaceSampler(2).fit(x).sample(2, random_state=0))
    if drawn is None: return
    assert drawn.shape == (2, height, width, 3) and drawn.dtype == np.float32 and 0 <= drawn.min() and drawn.max() <= 1
    if value is not None: assert np.allclose(drawn, x[0].astype(float) / (255 if kind == np.uint8 else 1), atol=1e-3)


# ----------------------------------------------------------------------------------------------------------------- metrics

def names(x): return tuple(f"attribute {i}" for i in range(x.shape[1] if getattr(x, "ndim", 0) == 2 else 5))


METRICS = {
    "frechet_distance": frechet_distance, "extrapolated_frechet": lambda x, y: extrapolated_frechet(x, y, 2, 1), "kernel_distance": lambda x, y: kernel_distance(x, y, 20, 3),
    "density_and_coverage": lambda x, y: density_and_coverage(x, y, 2), "variety": variety, "nearest_distances": nearest_distances, "memorisation": lambda x, y: memorisation(x, y, x),
    "attribute_shares": lambda x, y: attribute_shares(x, y, names(np.asarray(x, object) if isinstance(x, list) else x)),
}


def flat(result):
    "All numbers in what a metric returned."
    if isinstance(result, dict): result = [number for value in result.values() for number in np.atleast_1d(value)]
    return np.atleast_1d(np.asarray(result, float))


def assert_right_numbers(metric, result, x):
    numbers = flat(result)
    assert np.isfinite(numbers).all(), numbers
    if metric not in ("extrapolated_frechet", "kernel_distance", "attribute_shares"): assert (numbers >= 0).all()
    if metric == "nearest_distances": assert result.shape == (len(x),) and result.dtype == np.float64
    if metric == "density_and_coverage": assert result[1] <= 1
    if metric == "memorisation": assert result["copies"] <= 1


@pytest.mark.parametrize("metric", METRICS)
@settings(parent=QUIET, max_examples=120)
@given(x=points(), y=points(dims=(5,)))
def test_metrics_on_generated_features(metric, x, y):
    for pair in ((x, y), (y, x), (x, x)):
        before = [kept(rows) for rows in pair]
        result = attempt("metrics, generated", lambda: METRICS[metric](*pair))
        assert all(same(a, b) for a, b in zip(pair, before)), "input is not changed"
        if result is not None: assert_right_numbers(metric, result, pair[0])


@pytest.mark.parametrize("name", [name for name in BAD_POINTS if name not in ("a cube", "one point", "nested")])
@pytest.mark.parametrize("metric", METRICS)
def test_bad_features(metric, name):
    refused("metrics, bad features", lambda: METRICS[metric](BAD_POINTS[name], cloud()))
    refused("metrics, bad features", lambda: METRICS[metric](cloud(), BAD_POINTS[name]))


@pytest.mark.parametrize("metric", METRICS)
def test_mismatched_features_and_few_of_them(metric):
    for d in (1, 4, 6): refused("metrics, bad features", lambda: METRICS[metric](cloud(), cloud(40, d)))
    for n in (0, 1, 2, 3, 4, 5):
        for pair in ((cloud(n), cloud()), (cloud(), cloud(n)), (cloud(n), cloud(n))):
            result = attempt("metrics, few", lambda: METRICS[metric](*pair))
            assert n or result is None
            if result is not None: assert_right_numbers(metric, result, pair[0])


@pytest.mark.parametrize("form", SAME_NUMBERS)
@pytest.mark.parametrize("metric", METRICS)
def test_the_same_features_in_another_form_give_the_same_numbers(metric, form):
    x, y = (np.rint(cloud(seed=s) * 2**10) / 2**10 for s in (1, 2))
    given = SAME_NUMBERS[form](x), SAME_NUMBERS[form](y)
    result = attempt("metrics, forms", lambda: METRICS[metric](*given))
    if result is None: assert form in ("objects", "decimals", "fractions"), "nothing else is refused"
    else: assert np.allclose(flat(result), flat(METRICS[metric](x, y)), rtol=1e-4, atol=1e-6)
    if isinstance(given[0], np.ndarray): assert same(given[0], SAME_NUMBERS[form](x))


POWERS = {"frechet_distance": 2, "extrapolated_frechet": 2, "density_and_coverage": 0, "variety": 0, "nearest_distances": 1, "memorisation": 0}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("power", [-1000, -500, -100, -40, -10, 10, 40, 100, 300, 500, 1000])
@pytest.mark.parametrize("metric", METRICS)
def test_metrics_at_huge_and_tiny_scales(metric, power, kind):
    with np.errstate(all="ignore"): x, y = ((cloud(seed=s) * 2.0**power).astype(kind) for s in (1, 2))
    if not x.any(): return  # nothing is left of them in float32
    result = attempt("metrics, scales", lambda: METRICS[metric](x, y))
    assert result is not None or abs(power) > 10
    if result is None or metric not in POWERS: return
    plain = flat(METRICS[metric](cloud(seed=1).astype(kind), cloud(seed=2).astype(kind)))
    assert np.allclose(flat(result) / 2.0**(POWERS[metric] * power), plain, rtol=1e-4)


@pytest.mark.parametrize("shift", [2.0**10, -2.0**20, 2.0**30])
@pytest.mark.parametrize("metric", POWERS)
def test_metrics_of_differences_do_not_mind_an_offset(metric, shift):
    x, y = cloud(seed=1), cloud(seed=2)
    measure = METRICS[metric] if metric != "memorisation" else lambda x, y: memorisation(x, y, y[::-1] + 0.25)
    result = attempt("metrics, offsets", lambda: measure(x + shift, y + shift))
    assert result is not None and np.allclose(flat(result), flat(measure(x, y)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6])
def test_equal_features(value):
    same_rows, x = np.full((30, 5), value), cloud()
    assert frechet_distance(same_rows, same_rows) == pytest.approx(0, abs=1e-6 * (1 + value**2)) and frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert variety(same_rows, x) == pytest.approx(0, abs=1e-5) and variety(x, x) == 1
    assert nearest_distances(x + value, x + value).max() <= 1e-6 * (1 + abs(value)) and kernel_distance(same_rows * 0, same_rows * 0) == 0
    for rows in (same_rows, same_rows.astype(np.float32), np.c_[same_rows, same_rows]): assert "differ" in refused("metrics, equal", lambda: variety(rows, rows))
    for held_out in (x + value, (x + value)[::-1]): assert "copies" in refused("metrics, equal", lambda: memorisation(x, x + value, held_out))
    density, coverage = density_and_coverage(same_rows, same_rows, 3)
    assert coverage == 1 and density == 10
    tried["metrics, equal"] += 8


BAD_MOMENTS = {
    "NaN mean": (np.array([0, np.nan]), np.eye(2)), "infinite mean": (np.array([0, np.inf]), np.eye(2)), "NaN covariance": (np.zeros(2), np.full((2, 2), np.nan)), "infinite covariance": (np.zeros(2), np.full((2, 2), np.inf)),
    "longer mean": (np.zeros(3), np.eye(2)), "not square": (np.zeros(2), np.ones((2, 3))), "vector": (np.zeros(2), np.ones(2)), "number": (0.0, 1.0), "texts": (["a", "b"], np.eye(2)), "nothing": (None, None), "empty": (np.zeros(0), np.zeros((0, 0))),
    "not symmetric": (np.zeros(2), np.array([[1, 0.9], [0, 1]])), "negative": (np.zeros(2), -np.eye(2)), "complex": (np.zeros(2), np.eye(2) * 1j), "ragged": ([0, 0], [[1], [1, 2]]),
}


@pytest.mark.parametrize("name", BAD_MOMENTS)
def test_bad_moments(name):
    good, bad = (np.zeros(2), np.eye(2)), BAD_MOMENTS[name]
    for first, second in ((good, bad), (bad, good)): refused("metrics, moments", lambda: frechet_from_moments(*first, *second))


@QUIET
@given(st.integers(1, 6), st.integers(0, 99), st.sampled_from([1e-200, 1e-100, 1e-30, 1.0, 1e30, 1e100, 1e200, 1e300]), st.sampled_from([0, 1, 2]))
def test_moments_of_any_scale(d, seed, scale, rank):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal((d, max(1, d - rank))) for _ in range(2))
    moments = [rng.standard_normal(d) * np.sqrt(scale), a @ a.T * scale, rng.standard_normal(d) * np.sqrt(scale), b @ b.T * scale]
    found = attempt("metrics, moments", lambda: frechet_from_moments(*moments))
    if found is None: assert not 1e-30 <= scale <= 1e30
    else:
        plain = frechet_from_moments(moments[0] / np.sqrt(scale), a @ a.T, moments[2] / np.sqrt(scale), b @ b.T)
        assert found / scale == pytest.approx(plain, rel=1e-5, abs=1e-5)


OPTIONS = [("extrapolated_frechet", name) for name in ("n_sizes", "repeats", "random_state")] + [("kernel_distance", name) for name in ("subset_size", "n_subsets", "random_state")] + [("density_and_coverage", "k")]


@pytest.mark.parametrize("metric, option", OPTIONS)
def test_bad_options_of_metrics(metric, option):
    for value in BAD_NUMBERS + [39, 40, 41, 1e300, 0.5, 3]:
        if isinstance(value, int) and value > 1e6 and option in ("n_sizes", "repeats", "n_subsets"): continue  # work without end
        result = attempt("metrics, options", lambda: {f.__name__: f for f in (extrapolated_frechet, kernel_distance, density_and_coverage)}[metric](cloud(seed=1), cloud(seed=2), **{option: value}))
        if result is not None: assert_right_numbers(metric, result, cloud())


@pytest.mark.parametrize("given_names", [(), ("a",) * 4, ("a",) * 6, None, 5, "abcde", list("abcde")], ids=told)
def test_names_of_attributes(given_names):
    found = attempt("metrics, options", lambda: attribute_shares(cloud() > 0, cloud() > 1, given_names))
    assert (found is None) == (not isinstance(given_names, (list, str)))
    if found: assert sorted(found) == list("abcde")
    if found is None: assert refused("metrics, options", lambda: attribute_shares(cloud() > 0, cloud() > 1, given_names))


# ------------------------------------------------------------------------------------------------------- files of samplers

ONE_OF_EACH = [EllipticSampler(), GaussianSampler(), UniformSampler(None), IndependentSampler(), CopulaSampler(5), MixtureSampler(2, max_iter=10, random_state=0), KernelSampler(),
               GaussianizationSampler(1, n_knots=5), BlendSampler(), EmpiricalRadiusSampler(), ScaleMixtureSampler(), TruncatedGaussianSampler(), EigenfaceSampler(3)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    "Bytes of a file of each sampler, and the vectors it draws."
    folder, found = tmp_path_factory.mktemp("saved"), {}
    for i, sampler in enumerate(ONE_OF_EACH):
        fitted = clone(sampler).fit(cloud(9, 3))
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
        found = attempt("files, damaged", lambda: load_bytes(one, tmp_path / "s.npz"))
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
            found = attempt("files, damaged", lambda: load_bytes(one, tmp_path / "s.npz"))
            assert found is None or np.array_equal(found[1], drawn)


class Bomb:
    "Whoever unpickles it, or calls it, is found out."
    def __reduce__(self): return (sys.exit, ("executed",))


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
    said = refused("files, foreign", lambda: load_bytes(content, tmp_path / "s.npz"))
    assert "s.npz" in said or "import the module" in said


def test_a_file_that_is_as_it_should_be(tmp_path):
    assert load_bytes(packed(tree(), **GOOD), tmp_path / "s.npz")[1].shape == (3, 2), "so the foreign ones are refused for what is foreign"


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, b"\x93NUMPY\x01\x00", b"{}", "ä".encode() * 999, bytes(10_000), b"\x80\x04cos\nsystem\n(S'true'\ntR."])
def test_files_that_are_no_samplers(content, tmp_path):
    refused("files, foreign", lambda: load_bytes(content, tmp_path / "s.npz"))


def test_paths_that_lead_nowhere(tmp_path):
    fitted = GaussianSampler().fit(cloud())
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file" / "s.npz", tmp_path / ("x" * 300), "", "\0", None, 3, b"x", []):
        refused("files, paths", lambda: load_sampler(path))
        refused("files, paths", lambda: GaussianSampler.load(path))
    for path in (tmp_path, tmp_path / "nowhere" / "s.npz", tmp_path / "file" / "s.npz", tmp_path / ("x" * 300), "", "\0", None, 3, []):
        refused("files, paths", lambda: fitted.save(path))
        refused("files, paths", lambda: write_table(ROWS, path))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    for seed in (np.random.default_rng(0), np.random.RandomState(0), object(), {1: 2}): refused("files, paths", lambda: GaussianSampler(random_state=seed).fit(cloud()).save(tmp_path / "s.npz"))
    for sampler in SAMPLERS: refused("files, paths", lambda: clone(sampler).save(tmp_path / "s.npz"))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------ interrupted writes

ROWS = [{"name": "real images", "n": 40, "frechet": 1.5, "ratio": None}, {"name": "a, \"b\"\n", "n": 3, "frechet": 2.25, "ratio": 0.5}]
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
    monkeypatch.setattr(Path, "open", lambda self, mode="r", *args, **kwargs: Failing(self, mode) if "w" in mode else usual(self, mode, *args, **kwargs))


def faces_and_settings():
    from latentfaces.generation import write_faces
    return lambda folder: write_faces(folder, IMAGES[:2] / np.float32(255), np.zeros((2, 3), np.float32), {"seed": 0})


def report_writer():
    from latentfaces import report
    found = {"points": {"n_points": 20, "latent_dim": 2, "name": "x"}, "notes": [], "sections": {}, "summary": ["one"]}
    return lambda folder: report.write_report(found, folder / "a.html")


WRITERS = {
    "sampler": lambda: lambda folder: GaussianSampler().fit(cloud()).save(folder / "s.npz"), "eigenfaces": lambda: lambda folder: EigenfaceSampler(2).fit(IMAGES).save(folder / "s.npz"),
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
            tried["files, stopped"] += 1
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
            tried["files, stopped"] += 1
            with pytest.raises(type(error)): write(tmp_path)
        assert contents(tmp_path) == before


@pytest.mark.parametrize("rows", [[], [{}], [{"name": "a"}], [{"name": "a", "n": np.nan}], [{"name": "a", "frechet": np.inf}], [{"name": "a", "n": np.float32(2), "frechet": np.int64(3)}], [{"name": object()}], None, 3, "rows", [3], {"name": 1}, [None]], ids=told)
@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_tables_of_anything(rows, suffix, tmp_path):
    path = tmp_path / f"t.{suffix}"
    if attempt("metrics, tables", lambda: write_table(rows, path)) is None: assert list(tmp_path.iterdir()) == []
    else:
        text = path.read_text()
        if suffix == "json": json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


# ---------------------------------------------------------------------------------------------------------------- commands

@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    "A bundle of untrained networks, and the images it claims to come from."
    from latentfaces.autoencoder import build_decoder, build_encoder
    from latentfaces.bundle import Bundle
    from latentfaces.data import synthetic_faces
    folder = tmp_path_factory.mktemp("bundle")
    images = synthetic_faces(60, size=16, random_state=0)[0]
    (folder / "images").mkdir()
    for i, image in enumerate(images): Image.fromarray(image).save(folder / "images" / f"{i:02d}.png")
    encoder, decoder = build_encoder(16, 4, (4,)), build_decoder(16, 4, (4,))
    z = np.random.default_rng(0).standard_normal((50, 4))
    Bundle(z, [f"{i:02d}.png" for i in range(50)], {"crop": None, "size": 16}, encoder, decoder).save(folder / "bundle")
    return folder


def run(arguments, capsys, group):
    "Exit status and what was written to standard error; anything else that leaves main fails the test."
    tried[group] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try: status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse: usage, then the sentence
            lines = capsys.readouterr().err.splitlines()
            assert stop.code == 2 and lines[0].startswith("usage: ") and re.match(r"latentfaces( \w+)?: error: .{15,}", lines[-1]) and "invalid _" not in lines[-1], lines
            return 2
    error = capsys.readouterr().err
    if status:
        assert status == 2 and error.startswith("latentfaces: ") and error.count("\n") == 1 and error.endswith("\n") and len(error) > 28, (status, error)
        assert not [raw for raw in RAW if raw in error.lower()], error
    else: assert error == "", error
    return status


def arrays_for_reports():
    z = cloud(60, 4)
    yield from {"fine": z, "float32": z.astype(np.float32), "integers": (z * 10).astype(int), "Fortran": np.asfortranarray(z), "big-endian": z.astype(">f8"), "float16": z.astype(np.float16), "longdouble": z.astype(np.longdouble),
                "NaN": np.where(np.eye(60, 4) > 0, np.nan, z), "all NaN": z * np.nan, "infinite": np.where(np.eye(60, 4) > 0, np.inf, z), "constant column": np.insert(z, 1, 0.1, axis=1), "equal": z * 0 + 1, "two values": (z > 1) * 1.0,
                "1e-200": z * 1e-200, "1e-30": z * 1e-30, "1e30": z * 1e30, "1e150": z * 1e150, "1e300": z * 1e300, "offset": z + 1e8, "outlier": np.where(np.eye(60, 4) > 0, 1e12, z), "on a line": z[:, :1] * np.ones(4), "mostly equal": np.repeat(z[:4], [57, 1, 1, 1], axis=0),
                "none": z[:0], "one": z[:1], "two": z[:2], "nineteen": z[:19], "twenty": z[:20], "one column": z[:, :1], "no column": z[:, :0], "a row": z[0], "a cube": z[None], "a number": np.array(1.0), "booleans": z > 1, "texts": z.astype(str), "complex": z * 1j, "dates": z.astype("M8[s]"), "records": np.zeros(30, [("a", float)])}.items()


@pytest.mark.parametrize("name, z", list(arrays_for_reports()), ids=[name for name, _ in arrays_for_reports()])
def test_report_of_any_array(name, z, tmp_path, capsys, monkeypatch):
    if name not in ("fine", "on a line"): monkeypatch.setattr("latentfaces.report._picture", lambda figure, text: "")  # drawn, but not turned into pixels
    np.save(tmp_path / "z.npy", z)
    status = run(["report", "--bundle", tmp_path / "z.npy", "--out", tmp_path / "a.html", "--quiet"], capsys, "commands, report")
    assert sorted(p.name for p in tmp_path.iterdir()) == (["z.npy"] if status else ["a.html", "z.npy"])
    if name in ("fine", "float32", "integers", "Fortran", "big-endian", "float16", "longdouble", "NaN", "infinite", "constant column", "twenty", "1e-30", "1e30"): assert status == 0
    if not status: assert (tmp_path / "a.html").read_text().endswith("</html>\n")


def test_report_of_bad_files_and_paths(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("latentfaces.report._picture", lambda figure, text: "")
    np.save(tmp_path / "z.npy", cloud(60, 4))
    np.savez(tmp_path / "z.npz", z=cloud(60, 4))
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
        status = run(["report", "--bundle", path, "--out", tmp_path / "a.html", "--quiet"], capsys, "commands, report")
        if not status: (tmp_path / "a.html").unlink()
        assert status or str(path).endswith(("z.npy", ".npz"))
    for out in (tmp_path, tmp_path / "z.npy" / "a.html", tmp_path / ("x" * 300), "/proc/nowhere/a.html", ""):
        assert run(["report", "--bundle", tmp_path / "z.npy", "--out", out, "--quiet"], capsys, "commands, report") == 2
    assert contents_of_files(tmp_path) == before


def contents_of_files(folder): return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


BAD_OPTIONS = {
    "generate": [["--count", x] for x in (0, -1, "1.5", "many", "nan", 10**15, 10**30)] + [["--seed", x] for x in (-1, "x", "1.5", 10**40)] + [["--components", x] for x in (0, -1, 1.5, "nan", "inf", "-inf", "x", "", 5, 10**20, "0.0")]
    + [["--factor", x] for x in (0, -1, "nan", "inf", "x", "1e300", "1e-300")] + [["--sampler", "magic"], ["--sampler", ""], ["--bundle", "nowhere"], ["--bundle", "\0"], ["--bundle", __file__], ["--magic"], ["more"]],
    "evaluate": [["--n", x] for x in (0, 19, -1, "x", 2.5)] + [["--seed", x] for x in (-1, "x")] + [["--sampler", x] for x in ("magic", "elliptic:x", "elliptic:0", "elliptic:nan", "elliptic:-1", "mixture:2", "gaussian:inf", ":", "")]
    + [["--components", x] for x in ("x", 0, 9)] + [["--features", "nowhere.keras"], ["--features", __file__], ["--features", "dlib"], ["--feature-range", "0"], ["--feature-range", "a", "b"], ["--data", "nowhere"], ["--data", __file__], ["--bundle", "nowhere"],
                                                       ["--out", "table.txt"], ["--out", "nowhere/table.csv"], ["--out", ""]],
    "report": [["--seed", x] for x in (-1, "x", 1.5)] + [["--bundle", "nowhere.npy"], ["--magic"]],
    "train": [["--data", "nowhere"], ["--data", __file__], ["--size", "0"], ["--size", "x"], ["--filters", "a-b"], ["--filters", ""], ["--filters", "8--4"], ["--limit", "-1"], ["--latent-dim", "0"], ["--batch-size", "0"], ["--epochs", "-1"], ["--learning-rate", "nan"], ["--learning-rate", "x"],
              ["--kernel-size", "0"], ["--shift", "-1"], ["--held-out", "0"], ["--crop", "-3"], ["--seed", "-1"], ["--dtype", "int8"], ["--optimizer", "magic"]],
}


@pytest.mark.parametrize("command, options", [(command, options) for command, several in BAD_OPTIONS.items() for options in several], ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)))
def test_bad_options_of_commands(command, options, bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest = {"generate": ["--bundle", bundle / "bundle", "--count", 2], "evaluate": ["--bundle", bundle / "bundle", "--data", bundle / "images", "--n", 20, "--quiet"],
            "report": ["--quiet"], "train": ["--data", bundle / "images", "--out", "new", "--quiet", "--size", 16, "--filters", "4-8", "--epochs", 1]}[command]
    status = run([command, *rest, *options], capsys, f"commands, {command}")
    harmless = options in (["--factor", "1e-300"], ["--seed", 10**40], ["--factor", "1e300"], ["--features", "dlib"])
    assert status == 2 or harmless
    if status: assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_commands_that_go_well(bundle, tmp_path, capsys):
    assert run(["generate", "--bundle", bundle / "bundle", "--count", 1, "--out", tmp_path / "out"], capsys, "commands, generate") == 0
    with np.load(tmp_path / "out" / "faces.npz") as file: assert file["z"].shape == (1, 4) and np.isfinite(file["z"]).all()
    assert run(["evaluate", "--bundle", bundle / "bundle", "--data", bundle / "images", "--n", 20, "--sampler", "gaussian", "--quiet", "--out", tmp_path / "t.json"], capsys, "commands, evaluate") == 0
    assert [row["name"] for row in json.loads((tmp_path / "t.json").read_text())][3:] == ["N(0, I)", "gaussian"]


@pytest.mark.parametrize("name", ["config.json", "encoder.keras", "decoder.keras", "latents.npz", "history.csv"])
def test_damaged_bundles(name, bundle, tmp_path, capsys):
    whole = {p.name: p.read_bytes() for p in (bundle / "bundle").iterdir()}
    content = whole[name]
    broken = [None, b"", content[:len(content) // 2], content[:-1] if content else b"x", b"{}", b"null", b"[" * 20000, b"\xff" * 99, bytes([*content[:9], 255, *content[10:]])]
    if name == "config.json":
        config = json.loads(content)
        broken += [json.dumps(config | change).encode() for change in ({"format": 9}, {"size": "x"}, {"size": 32}, {"latent_dim": 9}, {"latent_dim": None}, {"sha256": {}}, {"sha256": []}, {"sha256": {"encoder.keras": 3}})]
    for i, data in enumerate(broken):
        folder = tmp_path / str(i)
        folder.mkdir()
        for other, usual in whole.items(): (folder / other).write_bytes(usual)
        (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
        if data == content or name == "config.json" and data == content[:-1]: continue
        assert run(["generate", "--bundle", folder, "--count", 1, "--out", tmp_path / "out"], capsys, "commands, generate") == 2, i
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop", STOPS)
def test_commands_that_cannot_write(stop, bundle, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "z.npy", cloud(60, 4))
    monkeypatch.setattr("latentfaces.report._picture", lambda figure, text: "")
    commands = {"generate": ["--bundle", bundle / "bundle", "--count", 1, "--out", tmp_path / "out"], "report": ["--bundle", tmp_path / "z.npy", "--out", tmp_path / "out" / "a.html", "--quiet"]}
    for command, options in commands.items():
        with monkeypatch.context() as patch:
            fail_after(patch, 0, STOPS[stop])
            if stop == "interrupted":
                tried[f"commands, {command}"] += 1
                assert cli.main([command, *map(str, options)]) == 130 and "interrupted" in capsys.readouterr().err
            else: assert run([command, *options], capsys, f"commands, {command}") == 2
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "z.npy"]


# -------------------------------------------------------------------------------------------------------------------- flow

def test_flows(tmp_path):
    "The one sampler that trains: a handful of cases."
    from latentfaces.flow import FlowSampler
    quick, z = FlowSampler(n_couplings=1, hidden=4, dropout=0, max_epochs=1), cloud()
    for given in (frozen(z)[::-1], z * 2.0**-100, np.asfortranarray((z + 2.0**10).astype(np.float32))):
        before = given.copy()
        fitted, drawn = attempt("samplers, flow", lambda: fit_and_draw(quick, given))
        assert same(given, before)
        assert_right_draws(quick, given, drawn)
        assert not np.isnan(attempt("samplers, flow", lambda: fitted.score_samples(given))).any()
    content = fitted.save(tmp_path / "flow.npz").read_bytes()
    for one in (content[:-9], content[:200] + b"\xff" + content[201:], content[:len(content) // 2]): refused("samplers, flow", lambda: load_bytes(one, tmp_path / "s.npz"))
    for name in ("NaN", "masked", "one point", "a row", "texts", "ragged", "empty"): refused("samplers, flow", lambda: clone(quick).fit(BAD_POINTS[name]))
    for parameter, values in {"hidden": (0, 1.5, None), "dropout": (1, -1, np.nan, np.array([0, 1])), "held_out": (0, 1, "x"), "batch_size": (0,), "learning_rate": (0, np.inf), "max_epochs": (True,), "random_state": ("x", -1)}.items():
        for value in values: refused("samplers, flow", lambda: clone(quick).set_params(**{parameter: value}).fit(z))


# ------------------------------------------------------------------------------------------------------------------ the sum

def test_the_number_of_cases(request, capsys):
    "Says how many cases were tried; only a run of the whole file can say so."
    mine = {item.originalname for item in request.session.items if item.fspath == request.node.fspath} - {request.node.originalname}
    everything = {name for name in globals() if name.startswith("test_")} - {request.node.originalname}
    if mine != everything or finished != everything: pytest.skip("only a part of the tests ran")
    total = sum(tried.values())
    with capsys.disabled(): print(f"\n{total:,} cases tried: " + ", ".join(f"{count:,} {group}" for group, count in sorted(tried.items())))
    assert total > 12_500
