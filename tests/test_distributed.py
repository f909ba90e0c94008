"Beyond one machine: the summary of shards against the whole, whoever makes it; what samplers, normality and the report learn from it; drawing and encoding into shards; and what goes wrong."
import errno
import gc
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

pytest.importorskip("distributed", reason="Dask comes with latentfaces[dask]")
import dask.array as da
from distributed import Client, LocalCluster

import latentfaces
import latentfaces.distributed as distributed
import latentfaces.images as images_module
import latentfaces.report
from clouds import cloud
from conftest import KEPT
from latentfaces.bundle import images_for, load_bundle
from latentfaces.cli import main
from latentfaces.correlations import correlation_matrix
from latentfaces.distributed import Summary, encode_shards, sample_shards, summarise
from latentfaces.distributions import DensityHistograms, component_statistics, half_widths, matching_bound, origin_position
from latentfaces.gaussian import LatentGaussian, normality
from latentfaces.moments import Moments
from latentfaces.pca import LatentPCA
from latentfaces.report import latent_report
from latentfaces.sampling import EllipticSampler, load_sampler, make_sampler

Z = cloud(6000, 12, 0, fall=0.3).astype(np.float32) * [[1 + 0.3 * (i % 7)] for i in range(6000)] + 3
Z = Z.astype(np.float32)
CUTS = [0, 1, 1500, 1502, 4000, 6000]


@pytest.fixture(scope="module")
def tiny_bundle(): return load_bundle(KEPT)  # no training here


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, protocol="tcp://", dashboard_address=":0", processes=True) as found: yield found


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for i, (a, b) in enumerate(zip(CUTS, CUTS[1:])): np.save(folder / f"{i:03}.npy", Z[a:b])
    return folder


@pytest.fixture(scope="module")
def summary(shards): return summarise(shards, n_sample=500, progress=False)


@pytest.fixture
def small_pieces(monkeypatch): monkeypatch.setattr(distributed, "_PIECE", 12 * 256)


def same(a, b):
    "To the bit."
    one, other = a.arrays(), b.arrays()
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def quietly(source, **options): return summarise(source, **{"n_sample": 500, "progress": False} | options)


# ---------------------------------------------------------------- against the whole

def assert_same_covariance(a, b):
    assert a.count == b.count and abs(a.covariance - b.covariance).max() <= 1e-10 * abs(b.covariance).max()
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)


def test_moments_are_those_of_the_whole(summary):
    assert isinstance(summary, Moments) and repr(summary) == "Summary(6,000 z-points in 12 dimensions)"
    assert_same_covariance(summary, Moments().partial_fit(Z))
    np.testing.assert_array_equal([summary.low, summary.high], [Z.min(axis=0), Z.max(axis=0)])


SHARES = [0.001, 0.01, 0.25, 0.5, 0.9, 0.999]


@pytest.mark.parametrize("of", ["components", "axes", "lengths"])
def test_quantiles_are_right_within_one_step(summary, of):
    gaussian = LatentGaussian(shrinkage=0).fit(Z)
    lengths = np.column_stack([gaussian.mahalanobis(Z), np.linalg.norm(Z.astype(float), axis=1)])
    values = {"components": Z, "axes": LatentPCA().fit(Z).transform(Z), "lengths": lengths}[of]
    grid = getattr(summary, of)
    off = abs(summary.quantiles(SHARES, of) - np.quantile(values, SHARES, axis=0).T)
    low, high = grid._ends()
    inside = (np.quantile(values, SHARES, axis=0).T > low[:, None]) & (np.quantile(values, SHARES, axis=0).T < high[:, None])
    # between two points of the data a quantile is a matter of taste
    gap = np.quantile(values, np.minimum(np.add(SHARES, 2 / 6000), 1), axis=0).T - np.quantile(values, np.maximum(np.subtract(SHARES, 2 / 6000), 0), axis=0).T
    assert inside.mean() > 0.9 and (off <= grid.step * grid.spread[:, None] + gap)[inside].all()


@pytest.mark.parametrize("of", ["components", "axes", "lengths"])
def test_quantiles_beyond_the_grid_are_those_of_the_draw(of):
    z = np.random.default_rng(3).standard_t(2.5, (20_000, 6))
    z[:, 5] = 3  # distances from the origin know it
    gaussian, shares = LatentGaussian(shrinkage=0).fit(z), [0, 0.0002, 0.5, 0.9, 0.999, 0.9999, 1]
    lengths = np.column_stack([gaussian.mahalanobis(z), np.linalg.norm(z, axis=1)])
    values = {"components": z, "axes": LatentPCA().fit(z).transform(z)[:, :5], "lengths": lengths}[of]
    found, true = quietly(z, n_sample=20_000), np.quantile(values, shares, axis=0).T
    wide = np.max([true[:, -2], getattr(found, of)._ends()[1].max() + 0 * true[:, -2]], axis=0)
    assert (wide == true[:, -2]).mean() > 0.6  # there is something beyond the grid
    # between two points of the data a quantile is a matter of taste
    least, most = (np.quantile(values, np.clip(np.add(shares, by / 20_000), 0, 1), axis=0).T for by in (-2, 2))
    grid, of_draw = getattr(found, of), found.quantiles(shares, of)
    step = grid.step * (grid.spread[:, None] if of != "components" else np.append(grid.spread, 0)[:, None])
    assert ((of_draw >= least - step) & (of_draw <= most + step))[:, 1:].all()
    if of != "components": np.testing.assert_array_equal(found.without_constants().quantiles(shares, of), found.quantiles(shares, of))
    if of == "components": np.testing.assert_array_equal(found.quantiles([0, 1]), np.transpose([z.min(axis=0), z.max(axis=0)]))
    np.testing.assert_allclose(np.mean(make_sampler("radius").fit(found).radii_ ** 2), 5, rtol=0.1)


def test_what_few_points_cannot_tell():
    with pytest.raises(ValueError, match="^normality cannot be judged from 10 z-points[^\n]+at least 20$"): normality(quietly(Z[:10]))
    with pytest.raises(ValueError, match="^n_sample must be a whole number of at least 100[^\n]+$"): quietly(Z, n_sample=99)


def test_the_report_says_what_takes_shards_and_summaries(shards, summary, tmp_path):
    with pytest.raises(FileNotFoundError, match="^expected a bundle's folder, got [^\n]+: `summarise` takes shards$"): latent_report(shards)
    with pytest.raises(ValueError, match="^expected an array called z in [^\n]+: read a summary with Summary.load$"): latent_report(summary.save(tmp_path / "s.npz"))


def test_the_draw_is_uniform_and_does_not_depend_on_the_shards(summary, shards):
    np.testing.assert_array_equal(summary.draw, Z[summary.rows])
    assert len(np.unique(summary.rows)) == 500 and same(summary, quietly(shards))
    np.testing.assert_array_equal(quietly(Z).rows, summary.rows)
    assert not np.array_equal(quietly(shards, random_state=1).rows, summary.rows)
    hits = np.zeros(400)
    for seed in range(200): hits[quietly(Z[:400, :2], n_sample=100, random_state=seed).rows] += 1
    assert stats.chisquare(hits).pvalue > 0.001 and hits.sum() == 20_000


def test_all_points_are_drawn_where_they_are_few():
    few = quietly(Z[:300])
    np.testing.assert_array_equal(few.draw, Z[:300])


@pytest.fixture(scope="module")
def whole(): return quietly(Z, n_sample=6000)


def test_half_widths_are_those_of_the_whole(whole, summary):
    "With all points drawn the grids are the same; with a twelfth of them they are a little coarser or finer."
    axes = LatentPCA().fit(Z).transform(Z)
    for found, tolerance in ((whole, 1e-6), (summary, 0.02)):
        np.testing.assert_allclose(half_widths(found), half_widths(Z), rtol=tolerance)
        np.testing.assert_allclose(found.half_widths(), half_widths(axes), rtol=tolerance)


def test_normality_is_that_of_the_whole(whole, summary):
    for found in (whole, summary):
        a, b = normality(Z), normality(found)
        np.testing.assert_allclose([b.skewness, b.kurtosis], [a.skewness, a.kurtosis], atol=1e-8)
        assert b.n_points == 6000 and b.n_axes == 12
        np.testing.assert_allclose([b.radius_variance, b.scale_variance], [a.radius_variance, a.scale_variance], rtol=1e-8)
        assert abs(a.radius_ks - b.radius_ks) < 0.01
    assert normality(whole).rejected == normality(Z).rejected


def test_the_origin_is_where_it_was(summary):
    a, b = origin_position(Z), origin_position(summary)
    np.testing.assert_allclose(b, a, rtol=1e-5)
    assert np.isnan(origin_position(Moments().partial_fit(Z)).beyond)
    np.testing.assert_allclose(origin_position(Moments().partial_fit(Z))[:4], a[:4], rtol=1e-5)


def test_correlations_are_those_of_the_whole(summary): np.testing.assert_allclose(correlation_matrix(summary), correlation_matrix(Z), atol=1e-10)


OF_ALL = ["elliptic", "sequential", "gaussian", "truncated", "independent", "scale", "range", "uniform"]
OF_DRAW = ["blend", "kernel", "copula", "mixture"]


@pytest.mark.parametrize("name", OF_ALL)
def test_samplers_learn_from_all_points(whole, name):
    a, b = (make_sampler(name).fit(z).sample(50, random_state=0) for z in (Z, whole))
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", OF_DRAW)
def test_samplers_that_need_points_take_the_draw(summary, name):
    a, b = (make_sampler(name, random_state=0).fit(z).sample(50) for z in (summary.draw, summary))
    np.testing.assert_array_equal(a, b)


def test_the_law_of_the_lengths(whole):
    sampler = make_sampler("radius").fit(whole)
    lengths = LatentGaussian(shrinkage=0).fit(Z).mahalanobis(Z)
    assert stats.ks_2samp(sampler.radii_, lengths).statistic < 0.01
    assert stats.ks_2samp(LatentGaussian(shrinkage=0).fit(Z).mahalanobis(sampler.sample(5000, random_state=0)), lengths).statistic < 0.05


def test_a_sampler_of_a_summary_is_kept(summary, tmp_path):
    sampler = EllipticSampler(5, random_state=0).fit(summary)
    assert sampler.n_components_ == 5 and sampler.n_features_in_ == 12 and type(sampler.moments_) is Moments
    np.testing.assert_array_equal(load_sampler(sampler.save(tmp_path / "e.npz")).sample(3), sampler.sample(3))


def test_a_summary_is_kept_whole(summary, tmp_path):
    kept = Summary.load(summary.save(tmp_path / "s.npz"))
    assert same(kept, summary) and isinstance(kept, Summary)
    np.testing.assert_array_equal(EllipticSampler().fit(kept).half_widths_, EllipticSampler().fit(summary).half_widths_)
    np.testing.assert_array_equal(normality(kept).kurtosis, normality(summary).kurtosis)
    Moments().partial_fit(Z).save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="^expected a file that Summary.save wrote[^\n]+$"): Summary.load(tmp_path / "m.npz")


def test_a_summary_adds_up_to_moments(summary):
    assert type(summary + summary) is Moments and (summary + summary).count == 12_000
    with pytest.raises(TypeError, match="^expected a Summary as it is[^\n]+$"): summary.partial_fit(Z)


def test_moments_alone_are_no_points():
    with pytest.raises(TypeError, match="^expected z-points, got Moments[^\n]+$"): matching_bound(Moments().partial_fit(Z))
    with pytest.raises(TypeError, match="^expected z-points, got Moments[^\n]+$"): make_sampler("blend").fit(Moments().partial_fit(Z))


def test_constant_components_and_spikes():
    z = Z.copy()
    z[:, 3] = 7
    z[:5500, 5] = 1  # the middle half is one number
    found = quietly(z)
    assert found.half_widths(of="components")[[3, 5]].tolist() == [0, 0] and found.quantiles([0.5])[3] == 7 and half_widths(z)[5] == 0
    np.testing.assert_allclose(half_widths(found)[[0, 1]], half_widths(z)[[0, 1]], rtol=0.05)
    assert found.axes.counts.shape[0] == 11 and EllipticSampler().fit(found).pca_.rank_ == 11


def test_points_on_a_sphere_and_few_points():
    sphere = Z / np.linalg.norm(Z, axis=1)[:, None]
    np.testing.assert_allclose(quietly(sphere).quantiles([0.5], "lengths")[1], 1, rtol=1e-5)
    assert quietly(Z[:8]).axes.counts.shape[0] == 7  # fewer points than components


def test_histograms_tell_what_lies_below_the_grid():
    values = np.concatenate([np.full(10, -1e3), np.linspace(-1, 1, 80), np.full(10, 1e3)])[:, None]
    found = DensityHistograms([0], [1], 100).partial_fit(values[:60]) + DensityHistograms([0], [1], 100).partial_fit(values[60:])
    assert found.below.tolist() == [10] and abs(found.quantiles([0.5, 0.3])[0] - [0, -0.5]).max() < found.step
    assert np.all(np.isfinite(found.quantiles([0, 0.05, 0.99, 1]))) and found.shares_below()[1].max() == pytest.approx(0.9)
    with pytest.raises(ValueError, match="^expected shares[^\n]+$"): found.quantiles([1.5])


# ---------------------------------------------------------------- on a cluster

def test_two_processes_find_the_same(shards, cluster, small_pieces):
    alone = quietly(shards)
    assert same(quietly(shards, scheduler=cluster), alone)
    with Client(cluster.scheduler_address, set_as_default=False) as client: assert same(quietly(shards, scheduler=client), alone)
    assert same(quietly(shards, scheduler=cluster.scheduler_address), alone)


def test_sources_of_other_kinds_differ_by_rounding(shards, summary, cluster, tmp_path):
    np.save(tmp_path / "z.npy", Z)
    sources = [tmp_path / "z.npy", np.load(tmp_path / "z.npy", mmap_mode="r"), np.load(tmp_path / "z.npy", mmap_mode="r")[:], Z, da.from_array(Z, chunks=(1000, 5))]
    for i, source in enumerate(sources):
        for scheduler in (None, cluster):
            found = quietly(source, scheduler=scheduler)
            assert_same_covariance(found, summary)
            np.testing.assert_array_equal(found.draw, summary.draw)
            np.testing.assert_allclose(found.half_widths(), summary.half_widths(), rtol=1e-9, err_msg=str(i))


def test_smaller_numbers_and_integers(tmp_path):
    for dtype in (np.float16, np.int16, ">f4", np.float64):
        np.save(tmp_path / "z.npy", (10 * Z).astype(dtype))
        assert_same_covariance(quietly(tmp_path / "z.npy"), Moments().partial_fit((10 * Z).astype(dtype).astype(float)))


def kill_soon(client, after):
    "SIGKILL to the worker that has begun most tasks."
    def kill():
        time.sleep(after)
        os.kill(client.run(os.getpid)[next(iter(client.run(os.getpid)))], signal.SIGKILL)
    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def slowly(look):
    def wait(*args):
        time.sleep(0.15)
        return look(*args)
    return wait


def test_a_worker_is_killed_and_the_result_is_the_same(shards, cluster, small_pieces, monkeypatch):
    alone = quietly(shards)
    slow = slowly(distributed._first_look)
    monkeypatch.setattr(distributed, "_first_look", slow)
    with Client(cluster, set_as_default=False) as client:
        before = set(client.run(os.getpid).values())
        thread = kill_soon(client, 0.7)
        found = quietly(shards, scheduler=client)
        thread.join()
        client.wait_for_workers(2, timeout=30)
        assert len(before & set(client.run(os.getpid).values())) == 1
    assert same(found, alone)


def test_a_scheduler_that_is_not_there_is_one_sentence(shards, monkeypatch):
    monkeypatch.setattr(distributed, "_ANSWER", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match="^expected a scheduler at tcp://[^\n]+start one with `dask scheduler`$"): quietly(shards, scheduler=f"tcp://127.0.0.1:{port}")
    assert time.monotonic() - begun < 20
    with pytest.raises(TypeError, match="^expected the address[^\n]+$"): quietly(shards, scheduler=5)


def refused(error, said, scheduler):
    begun = time.monotonic()
    with pytest.raises(error, match=f"^expected [^\n]*{said}[^\n]*$"): quietly(Z[:100], scheduler=scheduler)
    gc.collect()  # where half a client would wait ten seconds, and print a traceback
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("address, said", [
    ("127.0.0.1", r"got '127.0.0.1' \(missing port"), ("nonsense", r"\(missing port"), ("", r"\(missing port"), ("http://a:1", r"\(unknown address scheme 'http'"), ("tcp://a:b", "'b'"),
    ("tcp://127.0.0.1:99999", "a port from 1 to 65535"), ("tcp://:8786", "the name of a machine"), ("tcp://a..b:1", "label empty"), ("tcp://::1:80", "brackets"),
    ("tls://127.0.0.1:8786", "keys for tls://127.0.0.1:8786, got none"), ("wss://127.0.0.1:1", "keys for wss"), ("inproc://1/2/3", "inproc address")])
def test_what_is_no_address_is_one_sentence_at_once(address, said, capfd):
    refused(ValueError, said, address)
    assert capfd.readouterr() == ("", "")


def test_what_answers_but_is_no_scheduler_is_one_sentence(cluster, monkeypatch, capfd):
    monkeypatch.setattr(distributed, "_ANSWER", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        refused(ConnectionError, "got something that does not answer like one", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    refused(ConnectionError, "got no answer within 0.3 seconds", "tcp://127.0.0.1:1")
    refused(ConnectionError, "got a (worker|nanny)", next(iter(cluster.scheduler_info["workers"])))
    assert capfd.readouterr() == ("", "")


MORTAL = """
import asyncio
import os
import latentfaces.distributed
from distributed import Scheduler, Worker

async def work():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler, Worker(scheduler.address, nthreads=1, dashboard=False):
        os.write(1, f"{scheduler.address}\\n".encode())  # in one go, since all three write
        await scheduler.finished()

for _ in range(3):
    if not os.fork():  # what takes long is to import all that
        asyncio.run(work())
        os._exit(0)
for _ in range(3): os.wait()
"""


@pytest.fixture(scope="module")
def mortals():
    "Processes with a scheduler and a worker each, which die one by one."
    parent = subprocess.Popen([sys.executable, "-c", MORTAL], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    with parent:
        yield [parent.stdout.readline().strip() for _ in range(3)]
        os.killpg(parent.pid, signal.SIGKILL)  # whoever is left


@pytest.fixture
def mortal(mortals): return mortals.pop()


def fatally(work, when):
    "A task that kills the process which does it, scheduler and all."
    def kill(*args):
        if when(args): os.kill(os.getpid(), signal.SIGKILL)
        return work(*args)
    return kill


LOST = "expected a scheduler until the end, got none any more: start one, and begin again"


def test_a_scheduler_that_dies_in_the_second_pass_is_one_sentence(shards, mortal, small_pieces, monkeypatch, capfd):
    monkeypatch.setattr(distributed, "_second_look", fatally(distributed._second_look, lambda args: any(start > 2000 for _, start in args[1])))
    with pytest.raises(ConnectionError, match=f"^{LOST}$"): quietly(shards, scheduler=mortal)
    assert capfd.readouterr() == ("", "")


def test_a_scheduler_that_dies_while_vectors_are_drawn_is_one_sentence(summary, mortal, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_write_vectors", fatally(distributed._write_vectors, lambda args: args[0].start == 20_000))
    with Client(mortal, set_as_default=False) as client, pytest.raises(ConnectionError, match=f"^{LOST}$"):
        sample_shards(make_sampler("gaussian").fit(summary), 100_000, tmp_path / "out", scheduler=client, shard_size=1000, progress=False)


def test_a_scheduler_that_dies_while_images_are_encoded_is_one_line(some_faces, tiny_bundle, mortal, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(distributed, "_encode_shard", fatally(distributed._encode_shard, lambda args: args[0].number == 3))
    monkeypatch.setattr("latentfaces.distributed.encode_shards", partial(encode_shards, shard_size=5))
    assert main(["encode", "--data", str(some_faces), "--bundle", str(tiny_bundle.path), "--quiet", "--out", str(tmp_path / "out"), "--scheduler", mortal]) == 2
    assert capfd.readouterr().err == f"latentfaces: {LOST}\n"


def test_what_a_task_raises_is_raised_while_the_scheduler_lives(tmp_path, cluster):
    "Not taken for a lost scheduler."
    np.save(tmp_path / "z.npy", Z)
    with Client(cluster, set_as_default=False) as client, pytest.raises(ZeroDivisionError), distributed._connected(client): client.submit(lambda: 1 / 0).result()


def test_a_scheduler_without_workers_is_one_sentence(shards, monkeypatch):
    monkeypatch.setattr(distributed, "_ANSWER", 1)
    with LocalCluster(n_workers=0, protocol="tcp://", dashboard_address=":0", processes=False) as empty:
        with pytest.raises(RuntimeError, match="^expected workers at tcp[^\n]+got none[^\n]+dask worker tcp[^\n]+$"): quietly(shards, scheduler=empty)


BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "latentfaces": raise ModuleNotFoundError("No module named 'latentfaces'", name="latentfaces")

sys.meta_path.insert(0, Missing())
import asyncio
from distributed import Worker

async def work():
    async with Worker(sys.argv[1], nthreads=1, dashboard_address=None) as worker: await worker.finished()

asyncio.run(work())
"""


def test_a_worker_without_latentfaces_is_one_sentence(shards, tmp_path):
    with LocalCluster(n_workers=0, protocol="tcp://", dashboard_address=":0", processes=False) as empty:
        worker = subprocess.Popen([sys.executable, "-c", BARE, empty.scheduler_address], cwd=tmp_path, stderr=subprocess.DEVNULL)
        try:
            with Client(empty, set_as_default=False) as client: client.wait_for_workers(1, timeout=30)
            with pytest.raises(RuntimeError, match="^expected a worker with latentfaces [^\n]+No module named 'latentfaces'[^\n]+pip install 'latentfaces.dask.'[^\n]+$"):
                quietly(shards, scheduler=empty)
        finally:
            worker.kill()
            worker.wait()


def test_a_worker_with_another_version_or_another_disk_is_one_sentence(shards, cluster, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(latentfaces, "__version__", "9.9")
        with pytest.raises(RuntimeError, match="^expected latentfaces 9.9 everywhere, got [^\n]+$"): quietly(shards, scheduler=cluster)
    monkeypatch.setattr(os.path, "getsize", lambda path: 5)
    with pytest.raises(FileNotFoundError, match="^expected [^\n]+000.npy to be the same for all workers[^\n]+$"): quietly(shards, scheduler=cluster)


def broken(folder, **shards):
    for name, array in shards.items(): np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize("shards, error, said", [
    ({"a": Z, "b": Z[:, :5]}, ValueError, "one width, got 12 components in a.npy and 5 in b.npy"),
    ({"a": Z, "b": Z[0]}, ValueError, r"got \(12,\) in b.npy"), ({"a": Z, "b": Z > 0}, TypeError, "bool in b.npy"),
    ({"a": Z.astype(complex)}, TypeError, "complex"), ({"a": Z, "b": np.asfortranarray(Z)}, ValueError, "b.npy, got columns"), ({"a": Z[:1]}, ValueError, "at least 2 z-points, got 1"),
    ({"a": Z, "b": np.array(["x"])}, ValueError, r"in b.npy|<U1 in b"), ({"a": Z, "b": np.full((99, 99), None)}, TypeError, "real numbers, got object in b.npy"), ({}, FileNotFoundError, "a folder of them")])
def test_bad_shards_are_one_sentence_before_any_work(shards, error, said, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_merged", None)
    with pytest.raises(error, match=f"^expected [^\n]*{said}[^\n]*$"): quietly(broken(tmp_path, **shards))


def test_damaged_files_are_one_sentence_before_any_work(tmp_path):
    broken(tmp_path, a=Z, b=Z)
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-1])
    with pytest.raises(ValueError, match="^expected an array [^\n]+b.npy, got a file that ends before[^\n]+$"): quietly(tmp_path)
    (tmp_path / "b.npy").write_text("text")
    with pytest.raises(ValueError, match="^expected an array that numpy.save wrote in [^\n]+b.npy[^\n]+$"): quietly(tmp_path)
    with pytest.raises(FileNotFoundError, match="^expected a .npy file, or a folder[^\n]+$"): quietly(tmp_path / "nowhere")
    for header in (b"{'shape': (2, 3)", b"((((" * 1000, b"[]", b"{'descr': ('',), 'fortran_order': False, 'shape': (2, 3), }", b"\xff"):
        (tmp_path / "b.npy").write_bytes(np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header)
        with pytest.raises(ValueError, match="^expected an array that numpy.save wrote in [^\n]+b.npy[^\n]+$"): quietly(tmp_path)
    for shape in ((-1, 12), (2**40, 2**40)):
        with open(tmp_path / "b.npy", "wb") as file: np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        with pytest.raises(ValueError, match="^expected an array of shape [^\n]+b.npy, got a file that ends before[^\n]+$"): quietly(tmp_path)
    with pytest.raises(ValueError, match="^expected a dask.array of known size[^\n]+$"): quietly(da.from_array(Z)[da.from_array(Z)[:, 0] > 0])
    with pytest.raises(ValueError, match="same point"): quietly(np.ones((10, 3)))


@pytest.mark.parametrize("make, error, said", [
    (lambda path: path.mkdir(), IsADirectoryError, "is a directory"), (lambda path: path.symlink_to("nowhere"), FileNotFoundError, "no such file or directory"), (lambda path: path.symlink_to(path), OSError, "too many levels")])
@pytest.mark.parametrize("name", ["0.npy", "b.npy"])
def test_what_cannot_be_read_is_one_sentence_before_any_work(name, make, error, said, tmp_path):
    make(broken(tmp_path, a=Z) / name)
    with pytest.raises(error, match=f"^expected a .npy file that can be read in [^\n]+{name}, got {said}[^\n]+$"): quietly(tmp_path)


def test_a_file_that_goes_while_it_is_read_is_one_sentence(tmp_path, monkeypatch):
    plan = distributed._plan
    monkeypatch.setattr(distributed, "_plan", lambda *args: (tmp_path / "a.npy").unlink() or plan(*args))
    with pytest.raises(FileNotFoundError, match="^expected a .npy file that can be read in [^\n]+a.npy, got no such file or directory: [^\n]+$"): quietly(broken(tmp_path, a=Z))


def test_headers_of_all_versions_are_read(tmp_path):
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(tmp_path / "z.npy", "wb") as file: np.lib.format.write_array(file, Z, version)
        np.testing.assert_array_equal(quietly(tmp_path).draw, quietly(Z).draw)


def test_what_was_written_into_a_map_counts(tmp_path):
    np.save(tmp_path / "z.npy", Z)
    for mode in ("c", "r+"):
        changed = np.load(tmp_path / "z.npy", mmap_mode=mode)
        changed += 100
        np.testing.assert_allclose(quietly(changed).mean, Z.mean(axis=0) + 100, rtol=1e-4)


def test_nan_in_one_shard_of_a_thousand(tmp_path, cluster):
    for i in range(1000): np.save(tmp_path / f"{i:04}.npy", Z[6 * i : 6 * i + 6])
    assert quietly(tmp_path).count == 6000
    bad = Z[4002:4008].copy()
    bad[4, 7] = np.nan
    np.save(tmp_path / "0667.npy", bad)
    for scheduler in (None, cluster):
        with pytest.raises(ValueError, match="^expected finite z-points, got NaN or infinity in row 4 of 0667.npy: leave it out$"): quietly(tmp_path, scheduler=scheduler)


def test_values_beyond_float64_name_their_shard():
    z = Z[:100].astype(float)
    z[50] = 1e200
    with pytest.raises(ValueError, match="^the array, row 0 and those behind it: [^\n]*1e100[^\n]+$"): quietly(z)


# ---------------------------------------------------------------- drawing and encoding

def read(folder): return np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))])


def test_the_same_vectors_whoever_draws_them(summary, cluster, tmp_path):
    sampler = make_sampler("blend").fit(summary)
    one = read(sample_shards(sampler, 20_001, tmp_path / "a", 5, progress=False))
    assert one.shape == (20_001, 12) and one.dtype == np.float32
    for size, scheduler in ((1000, None), (4097, cluster), (20_001, cluster)):
        other = read(sample_shards(sampler, 20_001, tmp_path / f"{size}", 5, scheduler, size, progress=False))
        np.testing.assert_array_equal(other, one)
    spawned = np.random.SeedSequence(int(np.random.default_rng(5).integers(2**63))).spawn(3)[2]
    np.testing.assert_array_equal(one[8192:12_288], sampler.sample(4096, random_state=spawned).astype(np.float32))
    assert len(np.unique(one[:, 0])) > 19_000
    assert abs(np.cov(one.T) - np.cov(sampler.sample(20_000, random_state=1).T)).max() < 0.1 * np.cov(one.T).max()


def test_drawing_into_a_folder_of_something_else_is_refused(summary, tmp_path):
    np.save(tmp_path / "mine.npy", Z)
    with pytest.raises(FileExistsError, match="^expected a folder for shards alone, got [^\n]+mine.npy[^\n]+$"): sample_shards(make_sampler("gaussian").fit(summary), 10, tmp_path)
    with pytest.raises(Exception, match="not been fitted"): sample_shards(make_sampler("gaussian"), 10, tmp_path / "x")


def test_a_second_draw_goes_into_a_folder_of_its_own(summary, tmp_path):
    sampler = make_sampler("gaussian").fit(summary)
    one = read(sample_shards(sampler, 100, tmp_path, 1, shard_size=30, progress=False))
    (tmp_path / "z-000001.npy").unlink()
    np.testing.assert_array_equal(read(sample_shards(sampler, 100, tmp_path, 1, shard_size=30, progress=False)), one)
    for seed, n, size, other in ((2, 100, 30, "sampler and seed"), (1, 90, 30, "number of vectors"), (1, 100, 40, "shard size")):
        with pytest.raises(FileExistsError, match=f"^expected a folder of the same [^\n]*{other}[^\n]+$"): sample_shards(sampler, n, tmp_path, seed, shard_size=size, progress=False)
    with pytest.raises(FileExistsError, match="the same sampler and seed"): sample_shards(make_sampler("elliptic").fit(summary), 100, tmp_path, 1, shard_size=30, progress=False)
    np.testing.assert_array_equal(read(tmp_path), one)


@pytest.mark.parametrize("name", ["encoding.json", "z-000000.json", "z-000000.npy"])
def test_a_draw_never_goes_over_encoded_shards(summary, name, tmp_path):
    (tmp_path / name).write_text("kept")
    with pytest.raises(FileExistsError, match=f"^expected a folder for shards alone, got [^\n]+{name}[^\n]+$"): sample_shards(make_sampler("gaussian").fit(summary), 10, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]


def test_nothing_is_made_before_the_scheduler_answers(summary, some_faces, tiny_bundle, tmp_path, monkeypatch):
    def nobody(scheduler): raise ConnectionError
    monkeypatch.setattr(distributed, "_connected", nobody)
    for make in (partial(sample_shards, make_sampler("gaussian").fit(summary), 10), partial(encode_shards, some_faces, bundle=tiny_bundle)):
        with pytest.raises(ConnectionError): make(out=tmp_path / "out", progress=False)
        assert not (tmp_path / "out").exists()


HERE = Path("/proc/self/cwd")  # one path, and another folder for every process that has another working directory


@pytest.mark.skipif(not HERE.exists(), reason="needs Linux")
def test_a_folder_of_the_same_name_on_every_machine_is_refused(summary, some_faces, tiny_bundle, cluster, tmp_path, monkeypatch):
    "Workers see a folder that they could write to, and it is not the one that the client sees."
    monkeypatch.chdir(tmp_path)
    for make in (partial(sample_shards, make_sampler("gaussian").fit(summary), 10), partial(encode_shards, some_faces, bundle=tiny_bundle)):
        for out, there in ((HERE, {"faces"}), (HERE / "new", {"faces"})):
            with pytest.raises(FileNotFoundError, match="^expected /proc/self/cwd[^\n]* to be the same for all workers, got one at tcp[^\n]+all machines share$"): make(out=out, scheduler=cluster, progress=False)
            assert {path.name for path in tmp_path.iterdir()} == there


def test_who_comes_later_and_sees_another_folder_writes_nothing(summary, some_faces, tiny_bundle, tmp_path):
    marked = distributed._begin(None, tmp_path / "out", "encoding.json", {}, 1)
    job, network = distributed._jobs(tiny_bundle, [some_faces], True, 100)[0][0], (tiny_bundle.encoder.content, 4)
    for path in ("out", "elsewhere"):
        if path == "out": (tmp_path / "out" / "encoding.json").write_text(marked.content + " ")
        other = marked._replace(path=tmp_path / path)
        for work in (lambda: distributed._encode_shard(job, other, network), lambda: distributed._write_vectors(slice(0, 9), "z-000000.npy", other, make_sampler("gaussian").fit(summary), 1),
                     lambda: other.write("z-000000.npy", lambda file: file.write(b"z"))):
            with pytest.raises(FileNotFoundError, match="^expected [^\n]+ to be the same for all workers, got one at [^\n]+all machines share it$"): work()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent != some_faces) == ["encoding.json"] and not (tmp_path / "elsewhere").exists()


def test_shards_that_do_not_arrive_are_named(summary, some_faces, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_PATIENCE", 0)
    monkeypatch.setattr(distributed._Folder, "write", lambda *args: None)
    for make in (partial(sample_shards, make_sampler("gaussian").fit(summary), 10), partial(encode_shards, some_faces, bundle=tiny_bundle)):
        with pytest.raises(FileNotFoundError, match="^expected 1 shards in [^\n]+, got none called z-000000.npy[^\n]+$"): make(out=tmp_path / make.func.__name__, progress=False)


@pytest.fixture
def some_faces(face_folder, tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    for path in sorted(face_folder.iterdir())[:50]: (folder / path.name).write_bytes(path.read_bytes())
    (folder / "020.png").write_bytes(b"nothing")
    (folder / "021.png").write_bytes(b"")
    return folder


def test_images_become_shards(some_faces, tiny_bundle, cluster, tmp_path):
    (some_faces / "020.png").unlink()
    (some_faces / "021.png").unlink()
    images, names = images_for(tiny_bundle, some_faces, progress=False)
    for scheduler in (None, cluster):
        out = tmp_path / f"out{scheduler is None}"
        found = encode_shards(some_faces, out, tiny_bundle, scheduler=scheduler, shard_size=7, progress=False)
        assert (found.n_vectors, found.latent_dim, found.n_shards, found.skipped) == (48, 4, 7, {})
        np.testing.assert_allclose(read(out), tiny_bundle.encode(images), atol=1e-6)
        assert [name for path in sorted(out.glob("z-*.json")) for name in json.loads(path.read_text())["names"]] == names.tolist()
        assert quietly(out).count == 48 and not (out / "skipped.txt").exists()


def test_a_second_start_goes_on(some_faces, tiny_bundle, tmp_path, monkeypatch):
    out, begun = tmp_path / "out", []
    whole = distributed._encode_shard
    options = dict(bundle=tiny_bundle, shard_size=10, progress=False)

    def stops(job, *rest):
        begun.append(job.number)
        if job.number == 3: raise KeyboardInterrupt
        return whole(job, *rest)
    monkeypatch.setattr(distributed, "_encode_shard", stops)
    with pytest.raises(KeyboardInterrupt): encode_shards(some_faces, out, **options)
    (out / "z-000001.npy").write_bytes((out / "z-000001.npy").read_bytes()[:-1] + b"x")  # damaged since
    begun.clear()
    monkeypatch.setattr(distributed, "_encode_shard", lambda job, *rest: begun.append(job.number) or whole(job, *rest))
    found = encode_shards(some_faces, out, **options)
    assert {1, 3} <= set(begun) and 0 not in begun and 2 not in begun
    assert found.n_vectors == 48 and set(found.skipped) == {"020.png", "021.png"} and len(read(out)) == 48
    assert (out / "skipped.txt").read_text().splitlines()[1] == "021.png\tempty file"
    begun.clear()
    assert encode_shards(some_faces, out, **options) == found and not begun
    with pytest.raises(FileExistsError, match="^expected a folder of the same shard size, got [^\n]+$"): encode_shards(some_faces, out, **options | {"shard_size": 5})
    (some_faces / "000.png").unlink()
    with pytest.raises(FileExistsError, match="^expected a folder of the same images and framing[^\n]+$"): encode_shards(some_faces, out, **options)


def test_other_images_under_the_same_names_are_refused(some_faces, tiny_bundle, tmp_path):
    others = tmp_path / "others"
    shutil.copytree(some_faces, others)
    out, options = tmp_path / "out", dict(bundle=tiny_bundle, progress=False)
    encode_shards(some_faces, out, **options)
    same = (some_faces / "003.png").read_bytes()
    zips = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for number, path in enumerate(zips):
        with zipfile.ZipFile(path, "w") as archive: archive.writestr(zipfile.ZipInfo("a.bmp", (2020, 1, 1, 0, 0, 0)), bmp(number))
    encode_shards(zips[0], tmp_path / "zip", **options)
    for path in others.iterdir(): os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    (some_faces / "003.png").write_bytes(same[::-1])
    for source, place in ((some_faces, out), (others, out), (zips[1], tmp_path / "zip")):
        with pytest.raises(FileExistsError, match="^expected a folder of the same images and framing, got [^\n]+$"): encode_shards(source, place, **options)


def bmp(value):
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (value, 0, 0)).save(file, "BMP")
    return file.getvalue()


def test_the_way_in_which_faces_are_found_belongs_to_a_run(some_faces, tiny_bundle, monkeypatch):
    jobs, _ = distributed._jobs(tiny_bundle, [some_faces], True, 10)
    for align in ("cascade", None):
        of_one = [job._replace(align=align) for job in jobs]
        before = distributed._recipe(tiny_bundle, of_one, 10)
        with monkeypatch.context() as patch:
            patch.setattr(images_module, "_ALIGNMENT", -1)
            assert (distributed._recipe(tiny_bundle, of_one, 10) == before) == (align is None)


def test_images_that_a_disk_did_not_give_are_tried_again(some_faces, tiny_bundle, tmp_path, monkeypatch):
    for name in ("020.png", "021.png"): (some_faces / name).unlink()
    options = dict(out=tmp_path / "out", bundle=tiny_bundle, shard_size=10, progress=False)
    read_one, begun, whole = images_module._read, [], distributed._encode_shard

    def fails(error, source, item):
        if item == "013.png": raise error
        return read_one(source, item)
    with monkeypatch.context() as patch:
        patch.setattr(images_module, "_read", partial(fails, MemoryError()))
        with pytest.raises(MemoryError): encode_shards(some_faces, **options)
        assert not (tmp_path / "out" / "z-000001.npy").exists()
        patch.setattr(images_module, "_read", partial(fails, OSError(errno.EIO, os.strerror(errno.EIO))))
        found = encode_shards(some_faces, **options)
    assert found.skipped == {"013.png": "input/output error"} and found.n_vectors == 47 and (tmp_path / "out" / "skipped.txt").exists()
    monkeypatch.setattr(distributed, "_encode_shard", lambda job, *rest: begun.append(job.number) or whole(job, *rest))
    found = encode_shards(some_faces, **options)
    assert found.skipped == {} and found.n_vectors == 48 and begun == [1] and not (tmp_path / "out" / "skipped.txt").exists()


def test_folders_that_are_not_finished_are_no_source(some_faces, tiny_bundle, summary, tmp_path):
    encode_shards(some_faces, tmp_path / "e", tiny_bundle, shard_size=20, progress=False)
    sample_shards(make_sampler("gaussian").fit(summary), 100, tmp_path / "s", shard_size=50, progress=False)
    assert quietly(tmp_path / "e").count == 48 and quietly(tmp_path / "s").count == 100
    for lost in ("e/z-000002.npy", "e/z-000001.json", "s/z-000001.npy"):
        (tmp_path / lost).rename(tmp_path / "aside")
        with pytest.raises(ValueError, match="^expected [23] shards in [^\n]+, got [12]: what wrote them was begun and not finished, run the same command again$"): quietly((tmp_path / lost).parent)
        (tmp_path / "aside").rename(tmp_path / lost)
    np.save(tmp_path / "e" / "mine.npy", Z)
    with pytest.raises(ValueError, match="^expected shards alone in [^\n]+, got mine.npy too[^\n]+$"): quietly(tmp_path / "e")
    (tmp_path / "s" / "sampling.json").write_text("[]")
    with pytest.raises(ValueError, match="^expected what a drawing wrote in [^\n]+sampling.json[^\n]+$"): quietly(tmp_path / "s")


def test_the_old_words_go_before_the_new_vectors(some_faces, tiny_bundle, tmp_path, monkeypatch):
    "Else an end between the two would leave vectors beside the names of others."
    options = dict(out=tmp_path / "out", bundle=tiny_bundle, shard_size=30, progress=False)
    encode_shards(some_faces, **options)
    (tmp_path / "out" / "z-000001.npy").write_bytes(b"damaged")
    write = distributed._Folder.write

    def ends(self, name, content):
        if name.endswith(".json"): raise KeyboardInterrupt
        write(self, name, content)
    monkeypatch.setattr(distributed._Folder, "write", ends)
    with pytest.raises(KeyboardInterrupt): encode_shards(some_faces, **options)
    with pytest.raises(ValueError, match="begun and not finished"): quietly(tmp_path / "out")


def test_a_source_is_listed_once(some_faces, tiny_bundle, monkeypatch):
    bundle, listed, whole = latentfaces.Bundle(tiny_bundle.z, encoder=tiny_bundle.encoder, config={"size": 16, "crop": 140}), [], images_module._listing
    monkeypatch.setattr(images_module, "_listing", lambda path: listed.append(path) or whole(path))
    for align in (True, False):
        jobs, _ = distributed._jobs(bundle, [some_faces], align, 10)
        assert [(job.crop, bool(job.align)) for job in jobs] == 5 * [(140, True) if align else (178, False)]
    assert len(listed) == 2


def test_little_is_kept_of_an_image(tiny_bundle, tmp_path, monkeypatch):
    "Names of 28 characters, and one long name, which must not cost all others its length."
    n, size = 20_000, 1000
    names = [f"people/portrait-{i:08}.jpg" for i in range(n - 1)] + ["long" * 250]
    monkeypatch.setattr(images_module, "list_images", lambda source: (tmp_path, {name: name for name in names}, {}, 178, "stamp"))
    tracemalloc.start()
    jobs, _ = distributed._jobs(tiny_bundle, [tmp_path], True, size)
    assert len(jobs) == n / size and max(tracemalloc.get_traced_memory()) < 120 * n
    for job in jobs:
        about = {"names": job.names, "skipped": {}, "crc32": 0}
        (tmp_path / f"z-{job.number:06}.npy").touch()
        (tmp_path / f"z-{job.number:06}.json").write_text(json.dumps(about))
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    # all that the files say would be 1.7 MB; Dask's threads beside it take a tenth or two
    assert distributed._missing(jobs, tmp_path, {}) == ([], n) and tracemalloc.get_traced_memory()[1] - before < 1000 * size
    tracemalloc.stop()


def test_few_images_are_in_memory_at_a_time(some_faces, tiny_bundle, tmp_path, monkeypatch):
    for name in ("020.png", "021.png"): (some_faces / name).unlink()
    images, _ = images_for(tiny_bundle, some_faces, progress=False)
    whole, counts = images_module._decode_chunk, []
    monkeypatch.setattr(images_module, "_CHUNK", 7)
    monkeypatch.setattr(images_module, "_decode_chunk", lambda path, items, *rest: counts.append(len(items)) or whole(path, items, *rest))
    found = encode_shards(some_faces, tmp_path / "out", tiny_bundle, progress=False)
    assert max(counts) == 7 and sum(counts) == 48 and found.n_shards == 1
    np.testing.assert_allclose(read(tmp_path / "out"), tiny_bundle.encode(images), atol=1e-6)


def contents(folder): return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "encoding.json"}


def test_a_worker_is_killed_while_it_encodes(some_faces, tiny_bundle, cluster, tmp_path, monkeypatch):
    options = dict(bundle=tiny_bundle, shard_size=5, progress=False)
    alone = encode_shards(some_faces, tmp_path / "alone", **options)
    monkeypatch.setattr(distributed, "_encode_shard", slowly(distributed._encode_shard))
    with Client(cluster, set_as_default=False) as client:
        before = set(client.run(os.getpid).values())
        thread = kill_soon(client, 0.7)
        found = encode_shards(some_faces, tmp_path / "out", scheduler=client, **options)
        assert not thread.is_alive()  # or it would have been killed behind the work
        client.wait_for_workers(2, timeout=30)
        assert len(before & set(client.run(os.getpid).values())) == 1
    assert found[1:] == alone[1:] and contents(tmp_path / "out") == contents(tmp_path / "alone")


SLOW_CLIENT = """
import sys, time
import latentfaces.distributed as distributed

whole = distributed._encode_shard

def slow(*args):
    time.sleep(1)
    return whole(*args)

distributed._encode_shard = slow
if __name__ == "__main__":
    faces, out, bundle, *scheduler = sys.argv[1:]
    from latentfaces.bundle import load_bundle
    distributed.encode_shards(faces, out, load_bundle(bundle), scheduler=scheduler and scheduler[0] or None, shard_size=4, progress=False)
"""


def test_a_client_is_killed_and_started_again(some_faces, tiny_bundle, cluster, tmp_path):
    options = dict(bundle=tiny_bundle, shard_size=4, progress=False)
    alone = encode_shards(some_faces, tmp_path / "alone", **options)
    schedulers = {tmp_path / "here": None, tmp_path / "there": cluster.scheduler_address}
    clients = [subprocess.Popen([sys.executable, "-c", SLOW_CLIENT, some_faces, out, tiny_bundle.path, *filter(None, [address])]) for out, address in schedulers.items()]
    until = time.monotonic() + 60
    for client, out in zip(clients, schedulers):
        while not (out / "z-000000.json").exists() and time.monotonic() < until: time.sleep(0.02)  # the first one is made alone
        client.kill()
        assert client.wait() == -signal.SIGKILL and 1 <= len([*out.glob("z-*.json")]) < alone.n_shards
    for out, address in schedulers.items():
        found = encode_shards(some_faces, out, scheduler=address, **options)
        assert found[1:] == alone[1:] and contents(out) == contents(tmp_path / "alone")


def test_folders_that_hold_something_else_are_refused(some_faces, tiny_bundle, tmp_path):
    np.save(tmp_path / "mine.npy", Z)
    with pytest.raises(FileExistsError, match="^expected a folder for shards alone[^\n]+$"): encode_shards(some_faces, tmp_path, tiny_bundle, progress=False)
    with pytest.raises(ValueError, match="^expected a folder or zip of images, got synthetic:20[^\n]+$"): encode_shards("synthetic:20", tmp_path / "x", tiny_bundle)
    (tmp_path / "y").mkdir()
    for text in ("{", "[]", "{}"):
        (tmp_path / "y" / "encoding.json").write_text(text)
        with pytest.raises(ValueError, match="^expected what an encoding wrote [^\n]+$"): encode_shards(some_faces, tmp_path / "y", tiny_bundle)
    with pytest.raises(ValueError, match="^expected a source of images, got an empty list[^\n]+$"): encode_shards([], tmp_path / "x", tiny_bundle)
    with pytest.raises(TypeError, match="^expected a bundle, got 'path'[^\n]+$"): encode_shards(some_faces, tmp_path / "x", "path")
    assert not (tmp_path / "x").exists()
    with pytest.raises(TypeError, match="^expected a bundle whose encoder is an ONNX network[^\n]+$"):
        encode_shards(some_faces, tmp_path / "x", latentfaces.Bundle(tiny_bundle.z, encoder=lambda x: np.zeros((len(x), 4)), decoder=tiny_bundle.decode))


def test_images_without_faces_are_refused_and_nothing_stays(some_faces, tmp_path):
    for path in some_faces.iterdir(): Image.new("RGB", (64, 64), (path.stat().st_mtime_ns % 200, 0, 0)).save(path)
    with pytest.raises(ValueError, match="^expected faces in [^\n]+--no-align.$"): encode_shards(some_faces, tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").iterdir())


def test_the_command_encodes_into_a_folder(some_faces, tiny_bundle, cluster, tmp_path, capsys):
    command = ["encode", "--data", str(some_faces), "--bundle", str(tiny_bundle.path), "--quiet", "--out"]
    for more in ([], ["--scheduler", cluster.scheduler_address]):
        out = tmp_path / f"out{len(more)}"
        assert main([*command, str(out), *more]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"2 images could not be read, named in {out / 'skipped.txt'}"
        assert quietly(out).count == 48
    assert main([*command, str(tmp_path / "z.npz"), "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "expected a folder" in capsys.readouterr().err


# ---------------------------------------------------------------- the report

def test_the_report_says_what_came_from_the_draw(summary, whole, monkeypatch):
    monkeypatch.setattr(latentfaces.report, "_SECTIONS", {name: section for name, section in latentfaces.report._SECTIONS.items() if name != "choice"})  # which sees the draw alone
    report = latent_report(summary)
    assert report.n_points == 6000 and report.summary[0] == "6,000 points with 12 components."
    assert any("random draw of 500" in note for note in report.notes) and not report.left_out
    full, same_draw = latent_report(Z), latent_report(whole)
    for section, keys in {"axes": ["90%", "widths", "rank"], "correlations": ["largest", "mean", "above"], "distributions": ["mean", "std", "hwhm", "distance", "sigmas", "beyond"],
                          "normal": ["radius_ratio", "skewness", "kurtosis"]}.items():
        a, b = full.tables[section].loc[keys, ["value", "low", "high"]].to_numpy(float), same_draw.tables[section].loc[keys, ["value", "low", "high"]].to_numpy(float)
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5, err_msg=section)
        np.testing.assert_allclose(report.tables[section].loc[keys, "value"].to_numpy(float), a[:, 0], rtol=0.03, atol=1e-5, err_msg=section)
    of_draw = component_statistics(summary.draw)[["skewness", "excess_kurtosis"]]  # as the note says
    assert any("skewness and kurtosis of the components among it" in note for note in report.notes)
    np.testing.assert_allclose(report.tables["distributions"].loc[list(of_draw), "value"].to_numpy(float), of_draw.median(), rtol=1e-6)
    np.testing.assert_allclose(component_statistics(Z)[["mean"]].median(), report.tables["distributions"].loc["mean", "value"], rtol=1e-5)


# ---------------------------------------------------------------- ten gigabytes: make test-slow

SLOW = pytest.mark.skipif("LATENTFACES_SLOW" not in os.environ, reason="ten gigabytes on disk and many minutes: make test-slow")
N, D, SHARD = int(os.environ.get("LATENTFACES_SLOW_POINTS", 10_000_000)), 256, 250_000


def peak():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@pytest.fixture
def ten_gigabytes(tmp_path):
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))[0].astype(np.float32) * np.logspace(0, -2, D, dtype=np.float32)[:, None]
    for number in range(-(-N // SHARD)):
        rng = np.random.default_rng([0, number])
        z = rng.standard_normal((min(SHARD, N - number * SHARD), D), dtype=np.float32) @ turn
        np.save(tmp_path / f"{number:05}.npy", z * np.exp(0.2 * rng.standard_normal((len(z), 1), dtype=np.float32)) + 1)
    yield tmp_path, turn.astype(float)
    for path in tmp_path.glob("*.npy"): path.unlink()


@SLOW
def test_slow_ten_million_points_in_bounded_memory_with_a_worker_killed(ten_gigabytes):
    folder, turn = ten_gigabytes
    with LocalCluster(n_workers=2, threads_per_worker=1, protocol="tcp://", dashboard_address=":0", memory_limit="1.5GB") as cluster, Client(cluster, set_as_default=False) as client:
        undisturbed = quietly(folder, scheduler=client, n_sample=100_000)
        before = set(client.run(os.getpid).values())
        thread = kill_soon(client, max(0.5, undisturbed.seconds[0] / 2))
        disturbed = quietly(folder, scheduler=client, n_sample=100_000)
        thread.join()
        memory = client.run(peak)
        client.wait_for_workers(2, timeout=60)
        assert len(before & set(client.run(os.getpid).values())) == 1
    print(f"{N:,} x {D}: {undisturbed.seconds} s, {disturbed.seconds} s with a worker killed, peak memory of the workers {memory} GB")
    assert same(undisturbed, disturbed) and max(memory.values()) < 1.5
    # what the cloud was made of, and one shard looked at in one piece
    spread, count = 1.0833 * turn.T @ turn, undisturbed.count
    assert count == N and abs(undisturbed.covariance - spread).max() < 20 / np.sqrt(N) * spread.max()
    one = np.load(folder / "00000.npy")
    few = quietly(folder / "00000.npy", n_sample=len(one))
    assert_same_covariance(few, Moments().partial_fit(one))
    np.testing.assert_allclose(few.half_widths()[:20], half_widths(LatentPCA(20).fit(one).transform(one)), rtol=1e-6)
