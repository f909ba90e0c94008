"""What the tests of bad and strange input share: the rule for errors, and points, images and numbers that have been through something.

Each case gives a right result, or one clear sentence: `attempt` gives the result or None, `refused` the sentence.
"""
import re
import signal
import sys
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clouds import cloud

QUIET = settings(max_examples=50, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
                 suppress_health_check=list(HealthCheck))


def told(value):
    "The name of a case: its repr without the address, so that two processes agree on it."
    return re.sub(r" at 0x\w+", "", repr(value))


def gridded(n=40, d=5, seed=0):
    "Correlated and skewed points, on a grid so fine that adding a large number to them is exact."
    return cloud(n, d, seed, skew=0.5, heavy=0.2, grid=2**20)


# ---------------------------------------------------------------------------------------------------------------- the rule

class Hangs(BaseException):
    "Not an Exception, so that nothing under test can take it for a bad file."


@pytest.fixture(autouse=True)
def in_twenty_seconds():
    "Nothing hangs: a fixture for test files that import it."
    def stop(*unused): raise Hangs("20 seconds are over")
    before = signal.signal(signal.SIGALRM, stop) if hasattr(signal, "SIGALRM") else None
    if before is not None: signal.alarm(20)
    yield
    if before is not None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# What libraries and Python itself say; it tells a user nothing about the input.
RAW = ("svd did not converge", "eigenvalues did not converge", "must not contain infs", "infs or nans", "broadcast", "linalg", "singular", "not positive", "ill-defined",
       "index out of", "out of bounds", "operands", "inhomogeneous", "core dimension", "cannot reshape", "not aligned", "has no attribute", "not supported between", "unsupported operand",
       "unpack", "has no len", "not iterable", "not subscriptable", "missing 1 required", "takes from", "ufunc", "did not contain a loop", "truth value", "invalid literal", "invalid _",
       "for axis 0", "for axis 1", "axis=0", "axis=1", "could not be converted", "dtype='", "writing handle", "zero-size", "empty sequence", "cannot convert float", "codec", "must be aligned", "traceback", "seedsequence",
       "unhashable", "json serializable", "larger sample", "non-empty", "division by zero")
KINDS = {ValueError, TypeError, OSError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError, NotFittedError}


def assert_clear(error):
    "One sentence of a kind that a caller expects."
    text = str(error)
    assert type(error) in KINDS, f"{type(error).__name__}: {text}"
    assert "\n" not in text and len(text) >= 15, text
    assert not [raw for raw in RAW if raw in text.lower()], text


def attempt(call):
    "The result of a call, or None where it ended in one clear sentence; a warning is neither, unless it says that a fit did not converge."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of libraries among themselves
        warnings.simplefilter("ignore", ConvergenceWarning)
        try: return call()
        except Hangs: raise
        except (KeyboardInterrupt, Exception) as error:
            try: assert_clear(error)
            except AssertionError as problem: raise AssertionError(str(problem)) from error


def refused(call):
    "The same where there can be no result; returns the sentence."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Exception) as caught: call()
    assert_clear(caught.value)
    return str(caught.value)


class Bomb:
    "Whoever unpickles it, or calls it, is found out."
    def __reduce__(self): return (sys.exit, ("executed",))


def frozen(array):
    "A copy that nobody can write to."
    array = array.copy() if isinstance(array, np.ndarray) else array
    if isinstance(array, np.ndarray): array.flags.writeable = False
    return array


# --------------------------------------------------------------------------------------------------------- generated points

SCALES = (1.0, 1.0, 1e-3, 1e3, 1e-30, 1e30, 1e-200, 1e150, 1e-310, 1e300)
OFFSETS = (0.0, 0.0, 1.0, -1e3, 1e8, 1e15, 1e30, 1e300)


@st.composite
def points(draw, sizes=(0, 1, 2, 3, 7, 12, 40), dims=(1, 2, 5, 9)):
    "A cloud that has been through something: other scales, offsets, dead columns, repeated rows, NaN, other types and layouts."
    n, d = draw(st.sampled_from(sizes)), draw(st.sampled_from(dims))
    z = gridded(n, d, draw(st.integers(0, 9))) if draw(st.booleans()) else np.random.default_rng(draw(st.integers(0, 9))).standard_normal((n, d))
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

def is_usual(z):
    "Is it valid by construction, so that a refusal would need a good reason? A dozen different rows of finite numbers that are not all rounding."
    x = as_numbers(z)
    if len(x) < 12 or not np.isfinite(x).all() or abs(x).max() > 1e30: return False
    spread = np.ptp(x, axis=0)
    return bool(spread.max() > max(1e-30, 1e-6 * abs(x).max()) and len(np.unique(x, axis=0)) > len(x) / 2)


# ---------------------------------------------------------------------------------------------------------------- samplers

def assert_right_draws(sampler, z, drawn):
    "Finite, of the right shape and type, where the points are; constant columns stay constant."
    z = as_numbers(z)
    assert drawn.shape == (3, z.shape[1]) and drawn.dtype == np.float64 and np.isfinite(drawn).all()
    if getattr(sampler, "bound", None): return  # a cube that does not look at the points
    middle, reach = z.mean(axis=0), np.ptp(z, axis=0)
    # Axes narrower than rounding of the widest count as constant.
    slack = 1e-9 * (np.abs(z).max() + reach.max())
    assert (np.abs(drawn - middle) <= 60 * reach + slack).all(), (drawn, middle, reach)


def fit_and_draw(sampler, z):
    fitted = clone(sampler)
    assert fitted.fit(z) is fitted
    return fitted, fitted.sample(3, random_state=0)


# ------------------------------------------------------------------------------------------------------ by name

BAD_POINTS = {
    "empty": np.zeros((0, 5)), "no columns": np.zeros((40, 0)), "one point": gridded(1), "a row": np.ones(5), "a number": 3.0, "nothing": None, "a cube": np.ones((4, 3, 2)),
    "NaN": np.where(np.eye(40, 5) > 0, np.nan, gridded()), "all NaN": np.full((40, 5), np.nan), "infinite": np.where(np.eye(40, 5) > 0, -np.inf, gridded()), "float32 inf": np.full((9, 2), np.inf, np.float32),
    "complex": gridded() + 1j, "texts": gridded().astype(str), "bytes": gridded().astype("S"), "a text": "z.npy", "words as objects": np.array([["a", "b"]] * 9, object), "None inside": np.array([[1.0, None]] * 9, object),
    "dates": np.array([["2024-01-01", "2024-01-02"]] * 9, "M8[D]"), "times": np.ones((9, 2), "m8[s]"), "records": np.zeros(9, [("a", float), ("b", float)]), "ragged": [[1.0, 2.0], [3.0]], "dicts": [{"a": 1}, {"a": 2}],
    "a set": {1, 2}, "a generator": (row for row in [[1, 2], [3, 4]]), "masked": np.ma.masked_array(gridded(), np.eye(40, 5) > 0), "huge longdouble": np.full((9, 2), np.longdouble("1e400")) * np.arange(1, 10)[:, None],
    "huge integers": [[10**400, 1], [2, 3], [4, 5]], "a dict": {"z": gridded()}, "a function": gridded, "nested": [[[1], [2]], [[3], [4]]],
}
SAME_NUMBERS = {
    "Fortran": np.asfortranarray, "strided": lambda z: np.repeat(np.repeat(z, 2, axis=0), 3, axis=1)[::2, ::3], "reversed": lambda z: z[::-1, ::-1].copy()[::-1, ::-1], "read-only": frozen,
    "list": lambda z: z.tolist(), "tuples": lambda z: tuple(map(tuple, z)), "float32": lambda z: z.astype(np.float32), "longdouble": lambda z: z.astype(np.longdouble), "objects": lambda z: z.astype(object),
    "big-endian": lambda z: z.astype(">f8"), "big-endian float32": lambda z: z.astype(">f4"), "decimals": lambda z: np.array([[Decimal(x) for x in row] for row in z]), "fractions": lambda z: [[Fraction(x) for x in row] for row in z],
    "nothing masked": np.ma.masked_array, "unaligned": lambda z: np.frombuffer(b"x" + z.tobytes(), np.uint8)[1:].view("f8").reshape(z.shape), "a view of more": lambda z: np.c_[z, z, z][:, 5:10], "rows of an array": lambda z: list(z),
}
BAD_NUMBERS = [0, -1, 1.5, 2.0, np.nan, np.inf, -np.inf, "3", None, True, [3], np.array([2, 3]), 1 + 1j, 10**30, object(), b"2"]
IMAGES = np.random.default_rng(0).integers(40, 200, (12, 6, 6, 3)).astype(np.uint8)
