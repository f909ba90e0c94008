"What every module stands on: checks, seeds, batches, warnings, bars, and files that are there whole or not at all."
import gc
import errno
import io
import os
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

from clouds import cloud
from latentfaces.core import (
    as_numbers, as_array, batches, check_choice, check_count, check_images, check_latents, check_output, check_positive, check_share, expand_path,
    in_batches, progress_bar, random_generator, read_arrays, replace_file, to_float, warn)
from latentfaces.correlations import correlation_matrix, distance_correlations, shuffle_components, strongest_pairs
from latentfaces.densities import BlendSampler, TruncatedGaussianSampler
from latentfaces.distributions import number_density
from latentfaces.ellipses import confidence_ellipse, pair_indices, sample_original_coordinates
from latentfaces.gaussian import normality_tests
from latentfaces.sampling import EllipticSampler, GaussianSampler, IndependentSampler, UniformSampler
from strange import BAD_NUMBERS, BAD_POINTS, SAME_NUMBERS, assert_clear, attempt, gridded, refused, told

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


# z-points

@pytest.mark.parametrize("z, error, message", [
    (np.ones(5), ValueError, "Reshape your data to .*got an array of shape \\(5,\\)"), (np.ones((2, 3, 4)), ValueError, "Reshape your data to .*got an array of shape \\(2, 3, 4\\)"),
    ([[1, np.nan], [3, 4]], ValueError, "NaN or infinite values in 1 of 2 z-points, the first in row 0"), ([[1, 2], [3, -np.inf]], ValueError, "NaN or infinite values in 1 of 2 z-points, the first in row 1"),
    (np.ones((1, 3)), ValueError, "1 sample"), (np.ones((0, 3)), ValueError, "0 sample"), (np.ones((5, 0)), ValueError, "0 feature"), (np.ones((5, 2)) * 1j, ValueError, "Complex data not supported"),
    ([["a", "b"], ["c", "d"]], TypeError, "pass an array of numbers"), (sparse.csr_array(np.eye(3)), TypeError, "[Ss]parse"), ([[1.0, 2.0], [3.0]], ValueError, "got rows of different lengths"),
    (np.array([[1e101, 0], [0, 1]]), ValueError, "expected z-points of at most 1e100, got 1e\\+101"), (np.array([[0, 0], [0, 1e-101]]), ValueError, "differ by at least 1e-100, got 1e-101"),
    ([[10**400, 1], [2, 3]], ValueError, "fit into float64, got larger integers: divide them all"), (np.ma.masked_array(np.eye(3), np.eye(3) > 0), ValueError, "expected z-points without gaps, got an array with masked values")])
def test_bad_latents(z, error, message):
    with pytest.raises(error, match=message) as caught: check_latents(z)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BAD_POINTS)
def test_strange_latents_are_refused_in_one_sentence(name): refused(lambda: check_latents(BAD_POINTS[name]))


@pytest.mark.parametrize("form", SAME_NUMBERS)
def test_latents_in_any_form(form):
    z = np.rint(gridded() * 2**10) / 2**10
    found = attempt(lambda: check_latents(SAME_NUMBERS[form](z)))
    assert found.dtype == (np.float32 if form == "float32" else np.float64) and np.allclose(found, z, atol=1e-3)


def test_latents_are_not_copied_and_one_may_be_enough():
    for z in (gridded(), gridded().astype(np.float32)): assert np.shares_memory(check_latents(z), z)
    assert check_latents(gridded(1), min_points=1).shape == (1, 5)
    with pytest.raises(ValueError, match="0 sample"): check_latents(gridded(0), min_points=1)


@given(value=st.floats(-1e99, 1e99), n=st.integers(2, 5))
def test_equal_points_are_no_matter_of_range(value, n): assert np.array_equal(check_latents(np.full((n, 2), value)), np.full((n, 2), value))


# Arrays

def test_masked_values_are_never_read():
    whole = np.ma.masked_array(np.eye(3))
    assert np.array_equal(as_array(whole, "points"), np.eye(3)) and not isinstance(as_array(whole, "points"), np.ma.MaskedArray)
    with pytest.raises(ValueError, match="expected points without gaps, got an array with masked values: leave those rows out"): as_array(np.ma.masked_less(np.eye(3), 1), "points")


def test_missing_values_of_tables():
    table = pd.DataFrame({"a": pd.array([1, 2, pd.NA], "Int64"), "b": [0.5, 1.5, 2.5]})
    found = as_array(table, "points")
    assert found.dtype == np.float64 and np.array_equal(found, [[1, 0.5], [2, 1.5], [np.nan, 2.5]], equal_nan=True)
    with pytest.raises(ValueError, match="NaN or infinite values in 1 of 3 z-points, the first in row 2"): check_latents(table)
    for kind in ("Int64", "Float64", "float64", "Float32", "boolean"):
        whole = pd.DataFrame({"a": pd.array([1, 0, 1], kind), "b": pd.array([0, 1, 1], kind)})
        assert np.array_equal(check_latents(whole), [[1, 0], [0, 1], [1, 1]])
        assert np.array_equal(check_latents(whole.astype(object)), [[1, 0], [0, 1], [1, 1]])
    mixed = pd.DataFrame({"name": ["a", "b", None], "b": [1, 2, 3]})
    assert as_array(mixed, "points").dtype == object
    refused(lambda: check_latents(mixed))
    assert np.isnan(as_array(pd.Series([1, pd.NA, 3], dtype="Int64"), "values")[1])


def test_rows_of_different_lengths():
    with pytest.raises(ValueError, match="expected points as one array, got rows of different lengths: give each row as many numbers as the others"): as_array([[1], [1, 2]], "points")


# Numbers and words

NUMBERS = [*BAD_NUMBERS, 2, 3, np.int8(4), 0.5, np.float64(0.25), 0.0, 1, 1.0, -0.5]
TAKEN = {
    "count": (lambda v: check_count("n", v), [10**30, 2, 3, 4, 1]), "three": (lambda v: check_count("n", v, 3), [10**30, 3, 4]), "none": (lambda v: check_count("n", v, 0), [0, 10**30, 2, 3, 4, 1]),
    "positive": (lambda v: check_positive("n", v), [1.5, 2.0, 1e30, 2, 3, 4, 0.5, 0.25, 1, 1.0]), "share": (lambda v: check_share("n", v), [0.5, 0.25]),
    "from 0": (lambda v: check_share("n", v, low=True), [0, 0.5, 0.25, 0.0]), "to 1": (lambda v: check_share("n", v, high=True), [0.5, 0.25, 1, 1.0]),
    "0 to 1": (lambda v: check_share("n", v, low=True, high=True), [0, 0.5, 0.25, 0.0, 1, 1.0]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_numbers_are_taken_or_refused(name):
    check, right = TAKEN[name]
    found = [attempt(lambda: check(value)) for value in NUMBERS]
    assert [value for value in found if value is not None] == right


@pytest.mark.parametrize("call, error, message", [
    (lambda: check_count("n", 0), ValueError, "n must be a whole number of at least 1, got 0"), (lambda: check_count("n", 2.0), TypeError, "n must be a whole number of at least 1, got 2.0"),
    (lambda: check_count("n", True, 0), TypeError, "n must be a whole number of at least 0, got True"), (lambda: check_positive("x", np.nan), ValueError, "x must be a positive number, got nan"),
    (lambda: check_positive("x", "1"), TypeError, "x must be a positive number, got '1'"), (lambda: check_share("s", 1), ValueError, "s must be above 0 and below 1, got 1"),
    (lambda: check_share("s", 0, high=True), ValueError, "s must be above 0 and at most 1, got 0"), (lambda: check_share("s", -1, low=True, high=True), ValueError, "s must be at least 0 and at most 1, got -1"),
    (lambda: check_share("s", "x", low=True), TypeError, "s must be a number at least 0 and below 1, got 'x'"), (lambda: check_choice("w", "c", ("a", "b")), ValueError, "w must be \"a\" or \"b\", got 'c'"),
    (lambda: check_choice("w", ["a"], ("a", "b", "c")), ValueError, "w must be \"a\", \"b\" or \"c\", got \\['a'\\]")])
def test_what_is_said_of_bad_values(call, error, message):
    with pytest.raises(error, match=f"^{message}$"): call()


def test_good_values_come_back_as_plain_python():
    assert type(check_count("n", np.int64(3))) is int and type(check_positive("x", np.float32(0.5))) is float and type(check_share("s", np.float64(0.5))) is float
    assert check_choice("w", "b", {"a": 1, "b": 2}) == "b"


# Images

@pytest.mark.parametrize("images, message", [
    (np.zeros((4, 4, 3), np.uint8), "got \\(4, 4, 3\\): a single image needs a first axis of length 1"), (np.zeros((2, 4, 4, 1)), "grey ones three equal channels"), (np.zeros((0, 4, 4, 3)), "got \\(0, 4, 4, 3\\)"),
    (np.full((1, 2, 2, 3), 2), "got int64: convert them"), (np.full((1, 2, 2, 3), 1.5), "expected values in \\[0, 1\\], got \\[1.5, 1.5\\]: divide by 255"), (np.full((1, 2, 2, 3), np.nan), "got NaN or infinity"),
    ([np.zeros((2, 2, 3)), np.zeros((3, 2, 3))], "got parts of different sizes"), ("face.png", "load_images reads it")])
def test_bad_images(images, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught: check_images(images)
    assert_clear(caught.value)


def test_a_bad_pixel_is_found_in_any_piece():
    images = np.zeros((2100, 1, 1, 3), np.float32)
    assert check_images(images) is images
    for row in (0, 1023, 1024, 2099):
        for value in (np.nan, np.inf, -0.1, 1.1):
            bad = images.copy()
            bad[row, 0, 0, 1] = value
            with pytest.raises(ValueError, match="expected values in \\[0, 1\\]"): check_images(bad)


def test_floats_of_images():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    assert to_float(levels).dtype == np.float32 and np.array_equal(np.rint(to_float(levels) * 255), levels) and to_float(levels).max() == 1
    assert np.array_equal(to_float(np.full((1, 1, 1, 3), 0.25)), np.full((1, 1, 1, 3), 0.25, np.float32))


# Seeds

def test_random_generators():
    draw = lambda seed: random_generator(seed).random(4)
    assert not np.array_equal(draw(None), draw(None)), "None is fresh"
    for make in (lambda: 5, lambda: np.int64(5), lambda: np.random.SeedSequence(5), lambda: np.random.default_rng(5), lambda: np.random.RandomState(5)): assert np.array_equal(draw(make()), draw(make()))
    assert np.array_equal(draw(5), draw(np.uint8(5))) and not np.array_equal(draw(5), draw(6)) and np.isfinite(draw(10**40)).all()
    for going in (np.random.default_rng(1), np.random.RandomState(1)): assert not np.array_equal(draw(going), draw(going)), "it goes on"
    generator = np.random.default_rng(1)
    assert random_generator(generator) is generator
    before = np.random.get_state()[1].copy()
    draw(None), draw(3)
    assert np.array_equal(before, np.random.get_state()[1]), "the global seed is not moved"


@pytest.mark.parametrize("seed", ["x", 1.5, True, [1], np.array([1, 2]), object(), -1, np.int64(-3), b"1"], ids=told)
def test_bad_seeds(seed):
    said = refused(lambda: random_generator(seed))
    assert said.startswith("random_state must ")


# Batches

@given(n=st.integers(0, 200), size=st.integers(1, 60))
def test_batches_cover_everything_once(n, size):
    pieces = list(batches(n, size))
    assert [i for piece in pieces for i in range(n)[piece]] == list(range(n))
    assert all(piece.stop - piece.start == size for piece in pieces[:-1]) and (not pieces or 1 <= pieces[-1].stop - pieces[-1].start <= size)


@settings(max_examples=40)
@given(n=st.integers(0, 50), size=st.integers(1, 20))
def test_functions_batch_by_batch(n, size):
    rows, seen = np.arange(3.0 * n).reshape(n, 3), []
    found = in_batches(lambda part: (seen.append(len(part)), part.sum(axis=1))[1], rows, size)
    assert np.array_equal(found, rows.sum(axis=1)) and found.shape == (n,) and sum(seen) == n and max(seen) <= size and len(seen) == max(1, -(-n // size))


def test_bad_batch_sizes():
    for size in (0, -1, 2.5, True, "3"):
        with pytest.raises((TypeError, ValueError), match="batch_size must be a whole number of at least 1, got"): in_batches(lambda rows: rows, np.ones(3), size)


# Paths

def test_home_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_path("~/x") == tmp_path / "x" and expand_path("x") == Path("x") and expand_path(Path("a") / "~") == Path("a/~")
    with pytest.raises(FileNotFoundError, match="there is no home folder for the ~ in ~nosuchuser/x: write the path out"): expand_path("~nosuchuser/x")
    for bad in (None, 3, 1.5, [], object(), np.zeros(3)):
        with pytest.raises(TypeError, match="expected a path, got") as caught: expand_path(bad)
        assert_clear(caught.value)


def test_no_home_at_all():
    "Neither the variable nor an entry in the password file: as for a process in a container with a foreign user id."
    code = "import pwd\npwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))\nfrom latentfaces.core import expand_path\nprint(expand_path('x'))\ntry: expand_path('~/x')\nexcept FileNotFoundError as error: print(error)"
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert found.stdout.splitlines() == ["x", "there is no home folder for the ~ in ~/x: write the path out"], found.stderr


# Files

def write(path, content=b"new"): return replace_file(path, lambda file: file.write(content))


def names(folder): return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "er" / "file.txt"
    assert write(path) == path and path.read_bytes() == b"new" and write(str(path), b"newer") == path and path.read_bytes() == b"newer"
    assert names(path.parent) == ["file.txt"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write("~/at home").read_bytes() == b"new" and (tmp_path / "at home").exists()
    monkeypatch.chdir(tmp_path)
    assert write("here") == Path("here") and (tmp_path / "here").read_bytes() == b"new"


def test_long_names(tmp_path):
    name = "x" * 250 + ".npz"
    assert write(tmp_path / name).read_bytes() == b"new" and names(tmp_path) == [name]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o440 | stat.S_IWUSR])
def test_permissions_are_kept(mode, tmp_path):
    path = write(tmp_path / "file", b"old")
    path.chmod(mode)
    assert stat.S_IMODE(write(path).stat().st_mode) == mode


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    assert write(tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("there", [True, False], ids=["link", "dangling link"])
def test_a_link_is_followed(there, tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "file", tmp_path / "link"
    if there: target.write_bytes(b"old")
    link.symlink_to("real/file")
    chain = tmp_path / "chain"
    chain.symlink_to(link)
    for path, content in ((link, b"one"), (chain, b"two")):
        assert check_output(path) == write(path, content) == path
        assert link.is_symlink() and chain.is_symlink() and not target.is_symlink() and target.read_bytes() == content
    assert names(tmp_path) == ["chain", "link", "real"] and names(tmp_path / "real") == ["file"]


def test_a_link_into_a_folder_that_is_not_there(tmp_path):
    (tmp_path / "link").symlink_to("nowhere/file")
    assert write(tmp_path / "link").read_bytes() == b"new" and (tmp_path / "nowhere" / "file").exists() and (tmp_path / "link").is_symlink()


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    assert check_output(tmp_path / "pipe") == write(tmp_path / "pipe")
    reader.join(10)
    assert read == [b"new"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and names(tmp_path) == ["pipe"]


@as_root
def test_a_device_stays_a_device(tmp_path):
    try: os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null, but ours
    except PermissionError: pytest.skip("this root may not make a device")
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"): write(check_output(tmp_path / name))
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode) and (tmp_path / "link").is_symlink() and names(tmp_path) == ["link", "null"]


def test_the_usual_devices():
    assert check_output("/dev/null") == write("/dev/null") == Path("/dev/null") and stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_no_file_can_be_there(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, error, message in [(tmp_path, IsADirectoryError, "expected the name of a file to write, got the folder .*: name a file in it"), ("", IsADirectoryError, "expected the name of a file"), (".", IsADirectoryError, "got the folder"),
                                 (tmp_path / "file" / "x", NotADirectoryError, "expected a folder for x, got .*file, which is none: choose another place"),
                                 (tmp_path / "file" / "x" / "y", NotADirectoryError, "expected a folder for y, got .*file, which is none")]:
        for call in (check_output, write):
            with pytest.raises(error, match=message): call(path)
    for path in (None, 3, b"x", tmp_path / ("x" * 300), "\0"): refused(lambda: write(path))
    (tmp_path / "folder link").symlink_to(tmp_path)
    with pytest.raises(IsADirectoryError): check_output(tmp_path / "folder link")
    assert names(tmp_path) == ["file", "folder link"] and (tmp_path / "file").read_text() == "x"


def test_checking_makes_nothing(tmp_path):
    assert check_output(tmp_path / "new" / "x") == tmp_path / "new" / "x" and names(tmp_path) == []


@not_as_root
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    try:
        for path in (tmp_path / "x", tmp_path / "new" / "x"):
            with pytest.raises(PermissionError, match="where nothing can be written: choose another place"): check_output(path)
    finally: tmp_path.chmod(0o755)


def test_a_folder_where_nothing_can_be_written(tmp_path, monkeypatch):
    "As the system says it; a pipe or a device may be written to all the same."
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for path in (tmp_path / "x", tmp_path / "new" / "x"):
        for call in (check_output, write):
            with pytest.raises(PermissionError, match=f"expected a folder for x, got {tmp_path}, where nothing can be written: choose another place"): call(path)
    assert check_output(tmp_path / "pipe") == tmp_path / "pipe" and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x"), MemoryError()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_the_old_file_and_no_rest(there, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    if there: path.write_bytes(b"old")

    def fail(*unused): raise error
    def half(file):
        file.write(b"ne")
        raise error
    with pytest.raises(type(error)): replace_file(path, half)
    for place in ("os.replace", "pathlib.Path.open"):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            with pytest.raises(type(error)): write(path)
    assert names(tmp_path) == (["file"] if there else []) and (not there or path.read_bytes() == b"old")


def test_threads_may_write_the_same_file(tmp_path):
    path, errors, start = tmp_path / "file", [], threading.Barrier(8)

    def often(content):
        start.wait()
        try:
            for _ in range(30): write(path, content)
        except Exception as error: errors.append(error)
    threads = [threading.Thread(target=often, args=(bytes([i]) * 100_000,)) for i in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    content = path.read_bytes()
    assert not errors and len(content) == 100_000 and len(set(content)) == 1 and names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["\u6f22" * 83, "x" * 249, "x" * 255], ids=("83 characters, 249 bytes", "249", "255"))
def test_a_name_as_long_as_a_file_may_have(name, tmp_path):
    assert write(tmp_path / name).read_bytes() == write(tmp_path / name).read_bytes() == b"new" and names(tmp_path) == [name]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_usual_permissions(umask, tmp_path):
    before = os.umask(umask)
    try: write(tmp_path / "file")
    finally: os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


# Arrays

def test_arrays_there_and_back(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    replace_file(tmp_path / "a.npz", lambda file: np.savez(file, a=np.eye(3), b=np.array("text")))
    for path in (tmp_path / "a.npz", str(tmp_path / "a.npz"), "~/a.npz"):
        found = read_arrays(path)
        assert list(found) == ["a", "b"] and (found["a"] == np.eye(3)).all() and str(found["b"]) == "text"


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"", lambda b: b"text", lambda b: b[:60] + bytes([b[60] ^ 1] * 100) + b[160:]])
def test_damaged_arrays_leave_no_file_open(damage, tmp_path):
    path = replace_file(tmp_path / "a.npz", lambda file: np.savez(file, a=np.arange(99)))
    path.write_bytes(damage(path.read_bytes()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Exception): read_arrays(path)
        gc.collect()
    assert not caught


def test_arrays_with_pickle_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"): read_arrays(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError): read_arrays(tmp_path / "b.npz")


# Warnings

def test_a_warning_points_outside_the_package():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("something is odd", RuntimeWarning)
        from latentfaces.densities import MixtureSampler
        MixtureSampler(6, max_iter=1, random_state=0).fit(cloud(50, 3))
    assert [w.filename for w in caught] == [__file__] * 2 and caught[0].category is RuntimeWarning and str(caught[0].message) == "something is odd"
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert "warn(" in lines[caught[0].lineno - 1] and "MixtureSampler(6" in lines[caught[1].lineno - 1]


def test_a_warning_points_through_scikit_learn():
    from sklearn.pipeline import make_pipeline
    from latentfaces.densities import MixtureSampler
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_pipeline(MixtureSampler(6, max_iter=1, random_state=0)).fit(cloud(50, 3))
    assert [w.filename for w in caught] == [__file__]


# Bars

@pytest.mark.parametrize("progress", [True, False])
def test_bars_go_through_everything(progress, capsys):
    assert list(progress_bar(range(5), "words", progress=progress, delay=0)) == list(range(5))
    with progress_bar(total=3, description="by hand", progress=progress, delay=0) as bar: bar.update(3)
    shown = capsys.readouterr()
    assert shown.out == "" and ("words" in shown.err) == ("by hand" in shown.err) == progress


def test_what_is_quick_shows_nothing(capsys):
    list(progress_bar(range(5), "words"))
    assert capsys.readouterr().err == ""


def test_a_bar_that_is_left_raises_what_was_raised(capsys):
    with pytest.raises(KeyError), progress_bar(total=3, delay=0): raise KeyError("x")


@pytest.mark.parametrize("call", [
    lambda x: number_density(x[:, 0]), lambda x: distance_correlations(x),
    lambda x: check_latents(list(x)), lambda x: check_images(np.ma.masked_array(np.zeros((2, 4, 4, 3)), mask=np.ones((2, 4, 4, 3)))),
    lambda x: correlation_matrix(x), lambda x: confidence_ellipse(x[:, :2]), lambda x: strongest_pairs(x[:5, :5])])
def test_masked_values_are_used_nowhere(call):
    masked = np.ma.masked_array(np.random.default_rng(0).standard_normal((50, 5)), mask=np.zeros((50, 5), bool))
    masked[3, :2] = np.ma.masked
    with pytest.raises(ValueError, match="masked values"): call(masked)


@pytest.mark.parametrize("bad", ["a", [1j], ["1"], [None], np.array(["2020"], "M8[Y]")])
def test_as_numbers_takes_real_numbers_only(bad):
    with pytest.raises(TypeError, match="expected weights to be real numbers"): as_numbers(bad, "weights")
    assert as_numbers([True, 2], "weights").dtype == np.float64


@pytest.mark.parametrize("call", [
    lambda seed: shuffle_components(np.eye(4), seed), lambda seed: normality_tests(np.random.default_rng(0).standard_normal((60, 3)), random_state=seed),
    lambda seed: sample_original_coordinates(np.random.default_rng(0).standard_normal((60, 3)), 2, random_state=seed), lambda seed: pair_indices(9, 3, seed),
    *(lambda seed, cls=cls: cls(random_state=seed).fit(np.random.default_rng(0).standard_normal((60, 3)))
      for cls in (GaussianSampler, IndependentSampler, EllipticSampler, UniformSampler, TruncatedGaussianSampler, BlendSampler))])
@pytest.mark.parametrize("seed", [-1, "x", True, 0.5])
def test_one_rule_for_seeds(call, seed):
    with pytest.raises((TypeError, ValueError), match="random_state must"): call(seed)


@pytest.mark.parametrize("through", ["for", "with"])
def test_a_bar_that_ends_early_ends_well(through):
    bar = progress_bar(range(9), "early", delay=0)
    if through == "for":
        for step in bar:
            if step == 3: break
        bar.close()
    else:
        with bar: bar.update(4)
    assert bar.n == bar.total


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_named():
    with pytest.raises(OSError, match="/dev/full") as caught: replace_file("/dev/full", lambda file: file.write(b"x" * 9999))
    assert caught.value.errno == errno.ENOSPC


def test_arrays_come_through_a_pipe(tmp_path):
    content, pipe = io.BytesIO(), tmp_path / "pipe"
    np.savez(content, a=np.arange(5))
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content.getvalue(),))
    writer.start()
    assert np.array_equal(read_arrays(pipe)["a"], np.arange(5))
    writer.join()


def test_a_path_is_no_array_of_images():
    with pytest.raises(TypeError, match="got the path faces.zip: load_images reads it"): check_images("faces.zip")
