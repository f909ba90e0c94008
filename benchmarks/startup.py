"""How long until the first twenty faces, against importing what any statistics in Python imports: python benchmarks/startup.py

Whole processes, from their start to their end, take turns: `latentfaces generate` (20 faces of the pretrained bundle), `latentfaces
--help`, `import latentfaces`, and `python -c "import numpy, scipy.stats, sklearn.decomposition"`, with which the others are compared.
A round before the first one reads everything from the disk and compiles it, into a cache of its own. The ratios are those of the wall
times of a round, as a user waits, and of the processor times, which say more where other programs run at the same time.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = "import numpy, scipy.stats, sklearn.decomposition"
LIMITS = {"latentfaces generate": 1.8}


def timed(command, env):
    "Seconds of a process, and seconds that it kept processors busy."
    start = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode: raise subprocess.CalledProcessError(process.returncode, command)
    return wall, used.ru_utime + used.ru_stime


def span(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=10, help="rounds of all processes (default: %(default)s)")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = str(Path(scratch, "compiled"))
        commands = {
            IMPORTS: ["-c", IMPORTS],
            "latentfaces generate": ["-m", "latentfaces", "generate", "--count", "20", "--out", str(Path(scratch, "out"))],
            "latentfaces --help": ["-m", "latentfaces", "--help"],
            "import latentfaces": ["-c", "import latentfaces"],
        }
        turns = {name: [] for name in commands}
        for turn in range(a.rounds + 1):
            for name, command in commands.items():
                took = timed([sys.executable, *command], env)
                if turn: turns[name].append(took)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians of {a.rounds} rounds, least and greatest in brackets")
    for name, taken in turns.items():
        wall, processor = zip(*taken)
        print(f"{name}: {span(wall, 2)} s, of processors {span(processor, 2)} s")
    for name in [name for name in turns if name != IMPORTS]:
        wall, processor = ([ours / theirs for ours, theirs in zip(*kinds)] for kinds in zip(zip(*turns[name]), zip(*turns[IMPORTS])))
        asked = f" (at most {LIMITS[name]} asked for)" if name in LIMITS else ""
        print(f"{name} / {IMPORTS}: {span(wall, 2)} times the time{asked}; of processors {span(processor, 2)} times")


if __name__ == "__main__": main()
