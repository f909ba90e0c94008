"Execute notebooks in place and clean them, so that what is committed is what a fresh run shows."
import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


# The kernel and TensorFlow write these to standard error before any setting can stop it.
GREETING = re.compile(r"\[IPKernelApp\] WARNING|\s*$|WARNING: All log messages before absl|WARNING:tensorflow:|[IWE]\d{4} \d\d:\d\d:")


def joined(outputs: list) -> list:
    "Outputs in which what was printed in one go is one piece: the kernel sends it in as many as the machine's load makes of it."
    out = []
    for o in outputs:
        if out and o["output_type"] == "stream" == out[-1]["output_type"] and o["name"] == out[-1]["name"]:
            out[-1]["text"] = "".join([*out[-1]["text"], *o["text"]]).splitlines(keepends=True)
        else: out.append(o)
    return out


def tidy(book: Path) -> None:
    "Remove what is different every time (TensorFlow's start-up messages, the random names of progress bars), and join printed pieces."
    nb = json.loads(book.read_text(encoding="utf-8"))
    nb["metadata"].pop("widgets", None)
    for cell in nb["cells"]:
        outputs = cell.get("outputs", [])
        for o in outputs:
            if o.get("name") == "stderr": o["text"] = [line for line in o["text"] if not GREETING.match(line)]
        if outputs: cell["outputs"] = joined([o for o in outputs if o.get("name") != "stderr" or o["text"]])
    book.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def run(book: Path, env: dict) -> int:
    "Execute one notebook in place; returns the exit status."
    start = time.perf_counter()
    status = subprocess.run([BIN / "jupyter", "nbconvert", "--log-level=ERROR", "--to", "notebook", "--execute", "--inplace", book], env=env, cwd=ROOT).returncode
    if not status: tidy(book)
    print(f"{book.name}: {'failed' if status else f'{time.perf_counter() - start:.0f} s'}", flush=True)
    return status


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("names", nargs="*", help="notebooks, by a part of their names; none means all")
    p.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="notebooks to run at the same time")
    a = p.parse_args()
    books = sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))
    if a.names: books = [b for b in books if any(n in b.name for n in a.names)]
    # One thread each: notebooks side by side share the cores, and sums come out the same on every number of them.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
           "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    if env.get("LATENTFACES_BUNDLE"): env["LATENTFACES_BUNDLE"] = str(Path(env["LATENTFACES_BUNDLE"]).expanduser().resolve())  # notebooks run in nbs/
    env.pop("MPLBACKEND", None)  # the kernel's inline backend draws the figures
    start = time.perf_counter()
    largest_first = sorted(books, key=lambda b: -b.stat().st_size)  # lest a long one begins when all others are done
    with ThreadPoolExecutor(a.workers) as pool: failed = any(list(pool.map(lambda b: run(b, env), largest_first)))
    for b in books: subprocess.run([BIN / "nbdev_clean", "--fname", b], cwd=ROOT, check=True)
    print(f"{len(books)} notebooks in {time.perf_counter() - start:.0f} s")
    return int(failed)


if __name__ == "__main__": sys.exit(main())
