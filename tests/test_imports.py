"The import rules of the design, read from the source and tried in a fresh interpreter."
import ast
import subprocess
import sys
from pathlib import Path

import pytest

import latentfaces

ROOT = Path(latentfaces.__file__).parent
NUMBERS = {  # module: number of its notebook
    "imagefile": 0, "data": 1, "autoencoder": 2, "training": 3, "bundle": 4, "distributions": 5, "correlations": 6, "gaussian": 7, "pca": 8,
    "ellipses": 9, "sampling": 10, "densities": 10.1, "flow": 10.2, "generation": 11, "evaluation": 12, "attributes": 13,
}
PRESENT = [name for name in NUMBERS if (ROOT / f"{name}.py").exists()]
LIGHT = [name for name in PRESENT if 5 <= NUMBERS[name] <= 10.1 or name == "attributes"]  # not the flow: it trains with Keras


def imported(module):
    "Names of all modules that a module's source imports, anywhere in it; relative ones (nbdev writes those) made absolute."
    for node in ast.walk(ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import): yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom): yield f"latentfaces.{node.module}" if node.level else node.module


def loaded(code):
    "Top-level modules in sys.modules after running code in a fresh interpreter."
    run = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*{{m.partition('.')[0] for m in sys.modules}})"],
                         capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_there_are_modules_to_check():
    assert {"data", "autoencoder", "training", "bundle", "distributions", "pca", "sampling", "generation"} <= set(PRESENT)
    assert "latentfaces.autoencoder" in imported("training")


@pytest.mark.parametrize("module", PRESENT)
def test_no_module_imports_a_later_chapter(module):
    used = {name.split(".")[1] for name in imported(module) if name.startswith("latentfaces.")}
    assert all(NUMBERS[name] < NUMBERS[module] for name in used - {"plots"})
    if NUMBERS[module] < 11: assert "plots" not in used


def test_plots_imports_no_chapter():
    assert not {name for name in imported("plots") if name.startswith("latentfaces")}


@pytest.mark.parametrize("module", LIGHT)
def test_analysis_is_numpy_scipy_and_sklearn_only(module):
    outside = {name.partition(".")[0] for name in imported(module)} - set(sys.stdlib_module_names) - {"latentfaces"}
    assert outside <= {"numpy", "scipy", "sklearn"}


@pytest.mark.parametrize("code", ["import latentfaces", "import latentfaces.cli; latentfaces.cli.parser().format_help()",
                                  "from latentfaces import load_bundle; load_bundle().z",
                                  *(f"import latentfaces.{name}" for name in LIGHT)])
def test_light_imports(code):
    assert not loaded(code) & {"tensorflow", "keras", "torch", "jax", "matplotlib", "seaborn"}


def test_every_public_name_exists():
    for name in latentfaces.__all__: assert getattr(latentfaces, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'magic'"): latentfaces.magic
