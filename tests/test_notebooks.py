"The rules for notebooks: small, executed, cleaned, with short exported cells whose imports stand alone."
import ast
import itertools
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))


def code_cells(path): return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]


def source(cell): return "".join(cell["source"])


def exported(path): return [source(c) for c in code_cells(path) if re.match(r"#\|\s*export", source(c))]


def code_lines(text):
    "How many lines of code: docstrings, comments and blank lines are prose."
    tree = ast.parse(text)
    prose = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return len([line for n, line in lines if n not in prose and line.strip() and not line.lstrip().startswith("#")])


def is_import_cell(text): return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(text).body)


def test_the_chapters_are_there():
    assert {"index", "01_images", "01a_labels", "01b_drawn", "01d_pictures", "02_autoencoder", "03_training", "04_bundle", "05_distributions", "06_correlations", "07_gaussian", "08_pca", "09_ellipses",
            "10_sampling", "10a_densities", "10b_flow", "11_generation", "12_metrics", "12a_features", "12b_evaluation", "12c_comparison", "12d_panel", "12e_choice", "12f_identity", "13_attributes", "13a_editing", "14_explorer", "15_distributed", "claims", "report", "plots", "cli"} <= {p.stem for p in NOTEBOOKS}


def speaks(cell):
    "Is it prose, a rendered table or a picture: something for the reader between two pieces of code?"
    if cell["cell_type"] == "markdown": return True
    kinds = {kind for o in cell.get("outputs", []) for kind in o.get("data", {})}
    return any(kind in ("text/markdown", "text/html") or kind.startswith("image/") for kind in kinds)


def longest_stretch(path):
    "The most lines of code in a row, hidden ones too, without a word or a picture; and how the last cell of them begins."
    longest, run = (0, ""), 0
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            run += code_lines(source(cell))
            longest = max(longest, (run, source(cell)[:80]))
        if speaks(cell): run = 0
    return longest


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
class TestNotebook:
    def test_opens_with_a_title_and_a_purpose(self, path):
        first = next(c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "markdown")
        assert re.match(r"# \S.*\n+> \S.*", source(first))

    def test_is_small(self, path): assert path.stat().st_size < 1e6

    def test_is_executed_without_errors(self, path):
        shown = [o for c in code_cells(path) for o in c["outputs"]]
        assert not [o for o in shown if o["output_type"] == "error"]
        if path.stem not in ("cli",) and code_cells(path): assert shown

    def test_says_nothing_of_where_it_ran(self, path):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(work|root|home|tmp)/\w", text)

    def test_leaves_no_warnings_behind(self, path):
        errors = [o for c in code_cells(path) for o in c["outputs"] if o.get("name") == "stderr"]
        assert not errors

    def test_keeps_no_state_of_widgets(self, path):
        "Progress bars leave it behind under random names: a second run would not give the same bytes."
        assert "widgets" not in json.loads(path.read_text(encoding="utf-8"))["metadata"]

    def test_what_was_printed_in_one_go_is_one_piece(self, path):
        for cell in code_cells(path):
            names = [o.get("name") for o in cell["outputs"]]
            assert not [a for a, b in itertools.pairwise(names) if a and a == b], source(cell)[:200]

    def test_every_figure_says_what_it_shows(self, path):
        pictures = [source(c) for c in code_cells(path) if any(m.startswith("image/") for o in c["outputs"] for m in o.get("data", {}))]
        assert not [text[:200] for text in pictures if not re.search(r"^#\| fig-alt: .{20}", text, re.M)]

    def test_no_long_stretch_of_code_without_a_word_or_a_picture(self, path):
        lines, where = longest_stretch(path)
        assert lines <= 40, where

    def test_one_variable_names_the_bundle(self, path):
        code = "\n".join(source(c) for c in code_cells(path))
        if path.stem not in ("index", "04_bundle"): assert "BUNDLE = " not in code and not re.search(r"load_bundle\(\)", code)

    def test_exported_cells_are_short_and_imports_stand_alone(self, path):
        for text in exported(path):
            if not is_import_cell(text):
                assert code_lines(text) <= 45, text[:200]
                assert not [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))], text[:200]


def test_exported_cells_are_short_on_the_whole():
    lengths = sorted(code_lines(text) for path in NOTEBOOKS for text in exported(path) if not is_import_cell(text))
    assert lengths[len(lengths) // 2] <= 14


def functions():
    for path in sorted((ROOT / "latentfaces").glob("[!_]*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef): yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("node", list(functions()))
def test_functions_are_short(node):
    assert code_lines(ast.unparse(node)) <= 45


def public():
    for path in sorted((ROOT / "latentfaces").glob("[!_]*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"): yield pytest.param(node, id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("node", list(public()))
def test_every_public_name_has_a_docstring(node): assert ast.get_docstring(node)
