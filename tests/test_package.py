"What is handed on: wheel and source archive, built from a copy, with licences, model cards and the list of names in them; what they need."
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from oldest import oldest  # noqa: E402

PARTS = ("setup.py", "settings.ini", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "LICENSES", "latentfaces")
FRAMEWORKS = {"keras", "tensorflow", "onnx"}
TERMS = "LICENSES/LicenseRef-CelebA-NonCommercial.txt"
MIT = "LICENSES/MIT.txt"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "The parts of the project that a package is made of: building leaves its traces there."
    folder = tmp_path_factory.mktemp("copy")
    for name in PARTS:
        if (ROOT / name).is_dir(): shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else: shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(copy):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", copy / "out", copy], check=True)
    return zipfile.ZipFile(next((copy / "out").glob("*.whl")))


def test_wheel_has_all_licences(wheel):
    about = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(about).decode())
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT AND LicenseRef-CelebA-NonCommercial"
    assert metadata.get_all("License-File") == ["LICENSE", TERMS, MIT]
    for name in ("LICENSE", TERMS, MIT): assert wheel.read(f"{about.partition('/')[0]}/licenses/{name}") == (ROOT / name).read_bytes()


def metadata(wheel): return Parser().parsestr(wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode())


def test_the_wheel_is_small_and_has_the_model_cards(wheel):
    "Room for 38 MB; tools/try_wheel.py installs it and tries it."
    assert Path(wheel.filename).stat().st_size < 38e6
    assert {f"latentfaces/{folder}/model_card.md" for folder in ("pretrained", "features")} < set(wheel.namelist())


def test_the_wheel_asks_for_a_framework_in_an_extra_only(wheel):
    about = metadata(wheel)
    needed = [Requirement(text) for text in about.get_all("Requires-Dist")]
    assert about.get_all("Provides-Extra") == ["train", "judges", "dask", "dev"] and about["Requires-Python"] == ">=3.11"
    assert {need.name for need in needed if "extra" in str(need.marker)} >= FRAMEWORKS
    assert not {need.name for need in needed if "extra" not in str(need.marker)} & FRAMEWORKS


def test_all_data_in_the_wheel_are_named_by_the_terms(wheel):
    data = [name for name in wheel.namelist() if not name.endswith((".py", ".pyi")) and ".dist-info/" not in name]
    folders = re.findall(r"^- (\S+/) ", (ROOT / TERMS).read_text(encoding="utf-8"), re.M)
    assert {"latentfaces/pretrained/latents.npz", "latentfaces/features/reference.npz"} < set(data)
    assert not [name for name in data if not name.startswith(tuple(folders))]


def test_what_the_wheel_holds_can_be_imported(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import latentfaces as l; print(l.__file__); l.EllipticSampler; l.load_bundle().z"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0 and Path(run.stdout.strip()).is_relative_to(tmp_path), run.stderr


def test_source_archive_has_what_building_needs(copy):
    subprocess.run([sys.executable, "setup.py", "-q", "sdist", "-d", "out"], cwd=copy, check=True, capture_output=True)
    with tarfile.open(next((copy / "out").glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*PARTS, TERMS, MIT, "latentfaces/__init__.pyi"} <= names


# ---------------------------------------------------------------- how others deploy it

def test_every_step_of_the_workflow_is_a_make_target():
    "Actions are pinned by their whole version; what is run is what anybody can run."
    jobs = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    targets = re.findall(r"^([\w-]+)(?: [\w-]+)*:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    run = [step["run"] for step in steps if "run" in step]
    assert {"make test", "make test-web", "make docs", "make wheel"} < set(run) and all(line.removeprefix("make ") in targets for line in run)
    used = [step["uses"] for step in steps if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", name) for name in used)


# ---------------------------------------------------------------- what is needed

def locked(name):
    "Package: its pinned versions, one for each marker. Nothing but names, versions and markers may stand in a lock file."
    lines = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+( ; [A-Za-z0-9_ '<>=!.()]+)?", line) for line in lines)
    pins = {}
    for line in lines: pins.setdefault(line.partition("==")[0], []).append(line.partition("==")[2].partition(" ;")[0])
    return pins


def required(*keys):
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    return [Requirement(text) for key in keys for text in config["DEFAULT"][key].split()]


def test_what_draws_faces_is_locked_without_a_framework():
    small, whole = locked("requirements.lock"), locked("requirements-dev.lock")
    assert small.keys() < whole.keys() and all(whole[name] == pins for name, pins in small.items())
    assert not small.keys() & (FRAMEWORKS | {"tensorflow-cpu", "jupyter", "pytest"}) and FRAMEWORKS < whole.keys()


@pytest.mark.parametrize("lock, keys", [("requirements.lock", ["requirements"]), ("requirements-dev.lock", ["requirements", "train_requirements", "dev_requirements"])])
def test_the_locks_hold_what_settings_ask_for(lock, keys):
    pins = locked(lock)
    for need in required(*keys): assert need.name in pins and all(need.specifier.contains(version) for version in pins[need.name]), need


def test_the_oldest_versions_are_the_lower_bounds():
    for keys, extras in ((["requirements"], []), (["requirements", "train_requirements"], ["train"])):
        pins = [Requirement(line) for text in oldest(*extras) for line in text.splitlines()]
        assert {pin.name for pin in pins} - {"tensorflow-cpu"} == {need.name for need in required(*keys)}
        for need in required(*keys): assert [str(pin.specifier) for pin in pins if pin.name == need.name] == [str(need.specifier).replace(">=", "==")]
