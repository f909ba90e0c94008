"""Is the wheel enough? Builds it from a clean clone of HEAD, installs it into an empty environment, and draws, reports and measures
there, in an empty folder, where neither a deep-learning framework may be imported nor anything be asked of the network:

    .venv/bin/python tools/try_wheel.py

Needs build, setuptools and wheel, which `make setup` brings, and pip's way to the packages of requirements.lock.
"""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = {"keras", "tensorflow", "torch", "jax", "onnx"}
LARGEST = 38e6  # bytes of the wheel
COMMANDS = ("generate --count 20 --seed 7 --out faces", "report --out report.html", "evaluate --n 20 --sampler elliptic --quiet --out table.csv",
            "decode faces/faces.npz --out again", "encode --data again --out z.npz --quiet", "explore --out page")


class Forbidden:
    "A finder of modules that refuses the frameworks, and remembers who was asked for."
    asked = []

    def find_spec(self, name, path=None, target=None):
        if name not in FRAMEWORKS: return None
        self.asked.append(name)
        raise ImportError(f"{name} is forbidden here", name=name)


def forbid_network(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"): raise RuntimeError(f"{event} {args}: the network is forbidden")


def use():
    "What the base can do, in the environment that has nothing but the wheel and what it brought."
    sys.meta_path.insert(0, Forbidden())
    sys.addaudithook(forbid_network)
    import numpy as np

    import latentfaces
    from latentfaces.cli import main
    assert Path(latentfaces.__file__).is_relative_to(sys.prefix), f"latentfaces comes from {latentfaces.__file__}, not from the wheel"
    for command in COMMANDS:
        start = time.perf_counter()
        assert main(command.split()) == 0, f"latentfaces {command} failed"
        print(f"== latentfaces {command}: {time.perf_counter() - start:.0f} s", flush=True)
    bundle = latentfaces.load_bundle()
    again = bundle.encode(bundle.decode(bundle.z[:8]))
    assert again.shape == (8, bundle.z.shape[1]) and np.corrcoef(again.ravel(), bundle.z[:8].ravel())[0, 1] > 0.8
    assert not Forbidden.asked, f"asked for: {Forbidden.asked}"
    assert main("train --data synthetic:50 --out small".split()) != 0 and Forbidden.asked == ["keras"]
    print("== all of it without", ", ".join(sorted(FRAMEWORKS)), "and without the network")


def build(folder):
    "Archive and wheel of HEAD; the path of the wheel."
    subprocess.run(["git", "clone", "-q", ROOT, folder / "clone"], check=True)
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder / "clone"], check=True, stdout=subprocess.DEVNULL)
    wheel = next(folder.glob("*.whl"))
    size = wheel.stat().st_size
    print(f"== {wheel.name}: {size / 1e6:.1f} MB", flush=True)
    if size > LARGEST: sys.exit(f"expected a wheel of at most {LARGEST / 1e6:.0f} MB, got {size / 1e6:.1f} MB: leave something out")
    return wheel


def install(wheel, folder):
    "The Python of an empty environment with the wheel in it, and what it needs, in the versions of requirements.lock."
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = next(path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists())
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-compile", "-c", ROOT / "requirements.lock", wheel], check=True)
    subprocess.run([*pip, "check"], check=True)
    return python


if __name__ == "__main__":
    if sys.argv[1:] == ["use"]: use()
    else:
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            (place / "empty").mkdir()
            python = install(build(place), place / "env")
            kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"LATENTFACES_CACHE": str(place / "cache"), "MPLBACKEND": "Agg"}
            sys.exit(subprocess.run([python, "-I", __file__, "use"], cwd=place / "empty", env=kept).returncode)
