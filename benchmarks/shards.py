"""What does it cost to look at millions of latent vectors in shards, with one process and with two?

    python benchmarks/shards.py [--points 160000 1000000 10000000] [--dim 256] [--workers 1 2] [--folder DIR]

Makes shards of float32 numbers in a temporary folder (10 million x 256 are 10 GB), with heavy tails and correlated, forgets them
in the system's cache, reads them once as a plain program does, forgets them again and lets `summarise` look at them in two passes,
on a LocalCluster over TCP. Seconds of each pass, what the first pass reads in a second beside the plain reading, microseconds of each
worker for a row of the second, and the peak memory of the greatest worker and of the client. Removes the shards.
"""
import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # as the workers have it
import numpy as np  # noqa: E402

SHARD = 250_000


def write_shards(folder: Path, n: int, d: int, seed: int = 0) -> None:
    "n points in d dimensions; every shard has a stream of its own."
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0] * np.logspace(0, -2, d)[:, None]
    turn = turn.astype(np.float32)
    for number, start in enumerate(range(0, n, SHARD)):
        rng = np.random.default_rng([seed, number])
        z = rng.standard_normal((min(SHARD, n - start), d), dtype=np.float32) @ turn
        z *= np.exp(0.2 * rng.standard_normal((len(z), 1), dtype=np.float32))
        z += 1
        np.save(folder / f"{number:05}.npy", z)


def forget(folder: Path) -> None:
    "Ask the system to drop what it keeps of the files."
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_plainly(folder: Path) -> float:
    "Bytes in a second."
    start, total, buffer = time.perf_counter(), 0, bytearray(2**24)
    for path in sorted(folder.glob("*.npy")):
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                total += count
    return total / (time.perf_counter() - start)


def peak() -> float:
    "Of this process, in GB."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def look(folder: Path, workers: int) -> None:
    "In a process of its own: one line of JSON."
    from distributed import Client, LocalCluster

    from latentfaces import summarise

    with LocalCluster(n_workers=workers, threads_per_worker=1, protocol="tcp://", dashboard_address=":0", memory_limit="4GB") as cluster, Client(cluster) as client:
        before = client.run(time.process_time)
        found = summarise(folder, scheduler=client, progress=False)
        after = client.run(time.process_time)
        used = sum(after.values()) - sum(before.values())
        answer = {"seconds": found.seconds, "worker": max(client.run(peak).values()), "client": peak(), "used": used, "trace": float(np.trace(found.covariance)), "width": float(found.half_widths()[0])}
    print(json.dumps(answer))


def moments_alone(d: int) -> float:
    "Microseconds of processor time that the mathematics of the first pass takes for a row, without reading."
    from latentfaces import Moments

    z = np.random.default_rng(0).standard_normal((65_536, d), dtype=np.float32)
    moments = Moments().partial_fit(z[:8192])
    start = time.process_time()
    for begin in range(0, len(z), 8192):
        moments.partial_fit(z[begin:begin + 8192])
    return 1e6 * (time.process_time() - start) / len(z)


def measure(folder: Path, n: int, d: int, workers: int) -> dict:
    "A row of the table."
    forget(folder)
    plain = read_plainly(folder)
    forget(folder)
    command = [sys.executable, __file__, "--look", str(folder), "--workers", str(workers)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    first, second = answer["seconds"]
    read = 4 * n * d / first
    print(
        f"{n:,} x {d}, {workers} worker{'s' * (workers > 1)}: pass 1 {first:.1f} s, {read / 1e6:,.0f} MB/s, plain reading {plain / 1e6:,.0f} MB/s ({read / plain:.2f}); "
        f"pass 2 {second:.1f} s, {1e6 * second * workers / n:.1f} microseconds of a worker for a row; processor time of the workers {answer['used']:.0f} s; "
        f"peak {answer['worker']:.2f} GB a worker, {answer['client']:.2f} GB the client; trace {answer['trace']:.12g}, half-width {answer['width']:.12g}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--points", type=int, nargs="+", default=[160_000, 1_000_000, 10_000_000])
    p.add_argument("--dim", type=int, default=256)
    p.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    p.add_argument("--folder", type=Path, help="where the temporary folder is made")
    p.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.look:
        look(a.look, *a.workers)
        return
    row = moments_alone(a.dim)
    print(f"Moments alone: {row:.1f} microseconds of processor time for a row of {a.dim}, {4 * a.dim / row:,.0f} MB/s", flush=True)
    for n in a.points:
        folder = Path(tempfile.mkdtemp(dir=a.folder))
        try:
            write_shards(folder, n, a.dim)
            for workers in a.workers:
                measure(folder, n, a.dim, workers)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__": main()
