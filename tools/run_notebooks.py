"Execute notebooks in place and clean them, so that what is committed is what a fresh run shows."
import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


# TensorFlow writes these to standard error before any setting can stop it.
GREETING = re.compile(r"\s*$|WARNING: All log messages before absl|WARNING:tensorflow:|[IWE]\d{4} \d\d:\d\d:")


def drop_greetings(book: Path) -> None:
    "Remove TensorFlow's start-up messages, with their times and process numbers, from a notebook's saved output."
    nb = json.loads(book.read_text(encoding="utf-8"))
    for cell in nb["cells"]:
        outputs = cell.get("outputs", [])
        for o in outputs:
            if o.get("name") == "stderr": o["text"] = [line for line in o["text"] if not GREETING.match(line)]
        if outputs: cell["outputs"] = [o for o in outputs if o.get("name") != "stderr" or o["text"]]
    book.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("names", nargs="*", help="notebooks, by a part of their names; none means all")
    a = p.parse_args()
    books = sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))
    if a.names: books = [b for b in books if any(n in b.name for n in a.names)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    env.pop("MPLBACKEND", None)  # the kernel's inline backend draws the figures
    for b in books:
        start = time.perf_counter()
        run = subprocess.run([BIN / "jupyter", "nbconvert", "--log-level=ERROR", "--to", "notebook", "--execute", "--CoalesceStreamsPreprocessor.enabled=True", "--inplace", b], env=env, cwd=ROOT)
        if run.returncode: return run.returncode
        drop_greetings(b)
        print(f"{b.name}: {time.perf_counter() - start:.0f} s", flush=True)
    for b in books: subprocess.run([BIN / "nbdev_clean", "--fname", b], cwd=ROOT, check=True)
    return 0


if __name__ == "__main__": sys.exit(main())
