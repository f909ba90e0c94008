"What is handed on: wheel and source archive, built from a copy, with the licences and the list of names in them."
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("setup.py", "settings.ini", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "LICENSES", "latentfaces")
TERMS = "LICENSES/LicenseRef-CelebA-NonCommercial.txt"


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


def test_wheel_has_both_licences(wheel):
    about = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(about).decode())
    assert metadata["License-Expression"] == "Apache-2.0 AND LicenseRef-CelebA-NonCommercial"
    assert metadata.get_all("License-File") == ["LICENSE", TERMS]
    for name in ("LICENSE", TERMS): assert wheel.read(f"{about.partition('/')[0]}/licenses/{name}") == (ROOT / name).read_bytes()


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
    assert {*PARTS, TERMS, "latentfaces/__init__.pyi"} <= names
