"The import rules of the design, read from the source and tried in a fresh interpreter; the names of the top level, and how they come."
import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

import latentfaces

ROOT = Path(latentfaces.__file__).parent
NUMBERS = {  # module: number of its notebook
    "core": 0, "moments": 0.1, "images": 1, "labels": 1.1, "drawn": 1.2, "alignment": 1.25, "pictures": 1.4, "autoencoder": 2, "training": 3, "networks": 3.1, "bundle": 4,
    "distributions": 5, "correlations": 6, "gaussian": 7, "pca": 8, "ellipses": 9, "sampling": 10, "densities": 10.1, "flow": 10.2,
    "generation": 11, "metrics": 12, "features": 12.1, "evaluation": 12.2, "panel": 12.4, "choice": 12.5, "identity": 12.6, "attributes": 13, "editing": 13.1, "explorer": 14, "distributed": 15,
}
PRESENT = [name for name in NUMBERS if (ROOT / f"{name}.py").exists()]
MATHS = [name for name in PRESENT if NUMBERS[name] < 1 or 5 <= NUMBERS[name] < 11 or name == "attributes"]
NUMERICAL = {"numpy", "scipy", "sklearn", "pandas"}
HEAVY = {"PIL", "tqdm", "platformdirs", "matplotlib", "seaborn", "keras", "tensorflow", "torch", "jax"}


@cache
def tree(module):
    "The parsed source of a module."
    return ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))


def names_of(node):
    "What an import statement imports; relative names (nbdev writes those) made absolute."
    if isinstance(node, ast.Import): return [alias.name for alias in node.names]
    return [f"latentfaces.{node.module}" if node.level else node.module]


def imported(module, nodes=ast.walk):
    "Names of all modules that a module's source imports, anywhere in it."
    return [name for node in nodes(tree(module)) if isinstance(node, (ast.Import, ast.ImportFrom)) for name in names_of(node)]


def at_import(tree):
    "The statements that run when a module is imported: not those inside functions."
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)): yield from at_import(node)


def chapters(module): return {name.split(".")[1] for name in imported(module) if name.startswith("latentfaces.")}


def needed(module):
    "A module, and all modules of the package that are imported with it, one by the other."
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in found: continue
        found.add(name)
        waiting += [part.split(".")[1] for part in imported(name, at_import) if part.startswith("latentfaces.")]
    return found


def outside(module, nodes=ast.walk): return {name.partition(".")[0] for name in imported(module, nodes)} - {"latentfaces"}


def loaded(code):
    "Top-level modules in sys.modules after running code in a fresh interpreter."
    run = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*{{m.partition('.')[0] for m in sys.modules}})"],
                         capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


# ---------------------------------------------------------------- modules

def test_there_are_modules_to_check():
    assert {"core", "images", "labels", "drawn", "autoencoder", "training", "bundle", "distributions", "pca", "sampling", "generation"} <= set(PRESENT)
    assert "latentfaces.autoencoder" in imported("training")
    assert {"core", "sampling", "distributions", "gaussian", "pca"} < needed("densities")
    assert "PIL" in outside("images")  # so that the rule below has something to find


@pytest.mark.parametrize("module", PRESENT)
def test_no_module_imports_a_later_chapter(module):
    "But for what is imported where it is asked for: drawn faces by `synthetic:1000`, what finds faces by `align`, what a bundle draws by."
    used = chapters(module) - {"images": {"drawn", "alignment"}, "labels": {"drawn"}, "bundle": {"sampling"}}.get(module, set())
    assert not needed("labels") & {"drawn", "alignment"} and "sampling" not in needed("bundle")
    assert "plots" not in used and all(NUMBERS[name] < NUMBERS[module] for name in used)


@pytest.mark.parametrize("module, needs", [("core", set()), ("pictures", {"core"}), ("plots", {"core", "pictures"})])
def test_imports_no_chapter(module, needs):
    assert {name for name in imported(module) if name.startswith("latentfaces")} <= {f"latentfaces.{name}" for name in needs}


@pytest.mark.parametrize("module", MATHS)
def test_mathematics_stands_on_numpy_scipy_and_sklearn(module):
    "Read transitively. scikit-learn itself loads `subprocess`, so no fresh interpreter can tell."
    standard = set(sys.stdlib_module_names) - {"subprocess"}
    for name in needed(module): assert outside(name, at_import) - standard <= NUMERICAL, name


@pytest.mark.parametrize("module", MATHS)
def test_mathematics_imports_nothing_heavy_in_its_functions(module):
    "The one bar of the package is core's, and what trains a flow is Keras."
    allowed = {"core": {"tqdm"}, "flow": {"keras"}}
    for name in needed(module): assert outside(name) & (HEAVY | {"subprocess"}) <= allowed.get(name, set()), name


@pytest.mark.parametrize("module", MATHS)
def test_mathematics_is_light(module): assert not loaded(f"import latentfaces.{module}") & HEAVY


@pytest.mark.parametrize("code", ["import latentfaces", "import latentfaces.cli; latentfaces.cli.parser().format_help()",
                                  "from latentfaces import load_bundle; load_bundle().z"])
def test_light_imports(code):
    assert not loaded(code) & {"tensorflow", "keras", "torch", "jax", "matplotlib", "seaborn"}


def test_generating_faces_loads_neither_figures_nor_keras(tmp_path):
    seen = loaded(f"from latentfaces.cli import main; main(['generate', '--count', '2', '--quiet', '--out', {str(tmp_path)!r}])")
    assert (tmp_path / "faces.png").exists() and "PIL" in seen
    assert not seen & {"matplotlib", "seaborn", "IPython", "ipywidgets", "keras", "tensorflow"}


WITHOUT = """
import sys

class Forbidden:
    "What nobody may import, whether it is installed or not."
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"keras", "tensorflow", "torch", "jax", "onnx"}: raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Forbidden())
import numpy as np
from latentfaces import Features, evaluate, generate_faces, latent_report, load_bundle
"""
USES = {
    "forbidden": "import onnx",
    "generate": "faces, z = generate_faces(load_bundle(), n=3, random_state=0); assert faces.shape == (3, 64, 64, 3)",
    "sampler of one's own": "generate_faces(load_bundle(), 'gaussian', n=3, random_state=0)",
    "encode": "bundle = load_bundle(); assert np.abs(bundle.encode(bundle.decode(bundle.z[:3])) - bundle.z[:3]).mean() < bundle.z.std()",
    "save": "bundle = load_bundle(); load_bundle(bundle.save(OUT + '/bundle')).decode(bundle.z[:1])",
    "page": "assert '<img' in load_bundle()._repr_html_()",
    "attributes": "Features().attributes(np.zeros((2, 64, 64, 3), np.uint8))",
    "edit": "from latentfaces import edit_face; bundle = load_bundle(); edit_face(bundle, bundle.z[0], {'Smiling': 2})",
    "report": "bundle = load_bundle(); bundle.z = bundle.z[:300, :3]; latent_report(bundle.z)",
    "evaluate": "evaluate(load_bundle(), ['gaussian'], n_samples=20, n_faces=20, n_seeds=1, progress=False)",
    "command": "from latentfaces.cli import main; main(['generate', '--count', '3', '--quiet', '--out', OUT]); assert not {'keras', 'onnx'} & {*sys.modules}",
}


@pytest.mark.parametrize("use", USES)
def test_networks_are_used_without_what_trained_them(use, tmp_path):
    run = subprocess.run([sys.executable, "-c", f"{WITHOUT}OUT = {str(tmp_path)!r}\n{USES[use]}"], capture_output=True, text=True, cwd=tmp_path)
    if use == "forbidden": assert "onnx was imported" in run.stderr and run.returncode
    else: assert run.returncode == 0, run.stderr


OLDER = {"check_whole", "check_points", "generator"}  # what such functions were called before there was a core


@pytest.mark.parametrize("module", [p.stem for p in sorted(ROOT.glob("[!_]*.py")) if p.stem != "core"])
def test_only_core_checks(module):
    "What every chapter needs is written once."
    shared = {node.name for node in tree("core").body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
    assert {"as_array", "replace_file"} < shared
    defined = {node.name.lstrip("_") for node in tree(module).body if isinstance(node, ast.FunctionDef)}
    assert not defined & (shared | OLDER)


# ---------------------------------------------------------------- the top level

def test_every_public_name_exists():
    for name, module in latentfaces._PUBLIC.items():
        assert getattr(latentfaces, name) is getattr(sys.modules[f"latentfaces.{module}"], name)
    with pytest.raises(AttributeError, match="no attribute 'magic'"): latentfaces.magic


def test_the_stub_is_the_list():
    "It is read by what does not run it: each name must be said to be exported, once, and hide no module."
    stub = ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8"))
    aliases = [alias for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert [alias.name for alias in aliases] == [alias.asname for alias in aliases]
    names = [alias.name for alias in aliases]
    assert len(names) == len(set(names)) == len(latentfaces._PUBLIC)
    assert not set(names) & {p.stem for p in ROOT.glob("*.py")}
    assert set(names) - set(latentfaces.__all__) == {"train_autoencoder"}
    assert {"EllipticSampler", "Moments", "train_bundle", "evaluate", "plot_faces", "LatentSampler", "train_autoencoder"} <= set(dir(latentfaces))


def test_importing_all_names_loads_no_keras():
    assert not loaded("from latentfaces import *; EllipticSampler, evaluate, plot_faces") & {"keras", "tensorflow", "torch", "jax"}


def test_a_name_can_be_replaced(monkeypatch):
    whole = latentfaces.half_widths
    with monkeypatch.context() as patch:
        patch.setattr(latentfaces, "half_widths", len)
        assert latentfaces.half_widths is len
    assert latentfaces.half_widths is whole
    del latentfaces.half_widths
    assert latentfaces.half_widths is whole


COMPLETE = """
import rlcompleter, sys
import latentfaces
completer = rlcompleter.Completer({"latentfaces": latentfaces})
found = [completer.complete("latentfaces.", i) for i in range(200)]
assert "latentfaces.EllipticSampler" in found and "latentfaces.train_bundle" in found, found
assert "latentfaces.ast" not in found and "latentfaces.__version__" not in found
"""


def test_completion_in_the_interpreter_loads_nothing():
    assert not loaded(COMPLETE) & (HEAVY | NUMERICAL)


def test_completion_in_a_notebook_loads_nothing():
    "The first Tab on `latentfaces.` shows the names, and imports neither what they stand for nor what that needs."
    manager, client = start_new_kernel()
    try:
        client.execute("import sys, latentfaces; before = set(sys.modules)", reply=True, timeout=60)
        for text, some in {"latentfaces.": {"Bundle", "evaluate", "plot_faces"}, "latentfaces.Ell": {"EllipticSampler"}}.items():
            found = client.complete(text, reply=True, timeout=60)["content"]["matches"]
            assert some <= {name.removeprefix("latentfaces.") for name in found}
        new = "{m.partition('.')[0] for m in set(sys.modules) - before}"
        seen = client.execute("", user_expressions={"new": new}, reply=True, timeout=60)["content"]["user_expressions"]["new"]
        assert not ast.literal_eval(seen["data"]["text/plain"]) & (HEAVY | NUMERICAL)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
