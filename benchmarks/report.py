"""How long does a latent report take, and how much memory, for as many points as CelebA has?

    python benchmarks/report.py [--points 160000] [--dim 256]

Makes a cloud with heavy tails and a covariance over four orders of magnitude, writes it to a temporary .npy file (float32)
and times `latentfaces report` on it in a process of its own, start-up included.
"""
import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_cloud(path: Path, n: int, d: int) -> None:
    "n points in d dimensions, block by block."
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.logspace(0, -2, d)[:, None]
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, 8192):
        rows = out[start:start + 8192]
        rows[:] = (rng.standard_normal(rows.shape) * np.exp(0.2 * rng.standard_normal((len(rows), 1)))) @ turn + 1
    out.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--points", type=int, default=160_000)
    p.add_argument("--dim", type=int, default=256)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_cloud(Path(folder) / "z.npy", a.points, a.dim)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "latentfaces", "report", "--bundle", f"{folder}/z.npy", "--out", f"{folder}/report.html", "--quiet"], check=True)
        seconds = time.perf_counter() - start
        size = (Path(folder) / "report.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{a.points:,} x {a.dim}: {seconds:.1f} s, peak memory {peak:.2f} GB, page {size / 1e6:.1f} MB")


if __name__ == "__main__": main()
