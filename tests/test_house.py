"The rules of the house: short lines, one statement a line, few public names, and docstrings that name every parameter."
import ast
import dataclasses
import doctest
import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import latentfaces

ROOT = Path(latentfaces.__file__).parent
MODULES = [p for p in sorted(ROOT.glob("*.py")) if p.stem != "_modidx"]
SCRIPTS = [p for folder in ("benchmarks", "tools") for p in sorted((ROOT.parent / folder).glob("*.py"))]


def tree(path): return ast.parse(path.read_text(encoding="utf-8"))


def listed(path):
    "The names in a module's `__all__`, where it is a plain list."
    values = [node.value for node in tree(path).body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"]
    return [element.value for value in values if isinstance(value, ast.List) for element in value.elts]


def sections(doc):
    "Names of the entries in each section of a NumPy-style docstring."
    found, lines = {}, inspect.cleandoc(doc or "").splitlines()
    titles = [i for i in range(len(lines) - 1) if re.fullmatch("-+", lines[i + 1]) and len(lines[i + 1]) == len(lines[i])]
    for start, end in zip(titles, [*titles[1:], len(lines)]):
        heads = [line.partition(" : ")[0] for line in lines[start + 2:end] if line and not line[0].isspace()]
        found[lines[start]] = {name.strip().lstrip("*") for head in heads for name in head.split(",")}
    return found


def parameters(function):
    try: names = list(inspect.signature(function).parameters)
    except ValueError: return []
    return [name for name in names if name not in ("self", "cls")]


def fields(cls):
    "The fields of a NamedTuple or dataclass, which its docstring may call attributes; None for any other class."
    if dataclasses.is_dataclass(cls): return [field.name for field in dataclasses.fields(cls)]
    return getattr(cls, "_fields", None)


def methods(cls):
    "Public methods that are written in this package, a base class's too; which object asks for each, and what it is."
    for name in dir(cls):
        if name.startswith("_"): continue
        owner = next(c for c in cls.__mro__ if name in vars(c))
        member = inspect.unwrap(getattr(vars(owner)[name], "__func__", vars(owner)[name]))
        if owner.__module__.startswith("latentfaces") and inspect.isfunction(member): yield f"{owner.__name__}.{name}", member


def documented():
    "Every public function, class and method, once: its name, what it is, its docstring and the names that this must have."
    found = {}
    for path in MODULES:
        for name in listed(path):
            thing = getattr(import_module(f"latentfaces.{path.stem}"), name)
            if inspect.isclass(thing):
                wanted = fields(thing)
                if wanted is None: wanted = parameters(thing.__init__) if inspect.isfunction(thing.__init__) else []
                found[f"{path.stem}.{name}"] = (thing.__doc__, wanted)
                found |= {f"{path.stem}.{method}": (function.__doc__, parameters(function)) for method, function in methods(thing)}
            elif inspect.isfunction(thing): found[f"{path.stem}.{name}"] = (thing.__doc__, parameters(thing))
    return found


@pytest.fixture(scope="module")
def docs(): return documented()


def test_there_is_something_to_look_at(docs):
    assert {"core.check_count", "moments.Moments.partial_fit", "bundle.Bundle", "bundle.ReconstructionScores", "training.train_autoencoder"} <= set(docs)
    assert docs["bundle.Bundle.decode"][1] == ["z", "batch_size"] and "from_arrays" in " ".join(docs)
    found = sections("One.\n\nParameters\n----------\na, b : int\n    Words : more.\n**c\n    Rest.\n\nReturns\n-------\nint\n")
    assert found == {"Parameters": {"a", "b", "c"}, "Returns": {"int"}}


def test_every_parameter_is_named_with_its_meaning(docs):
    missing = {}
    for name, (doc, wanted) in docs.items():
        known = sections(doc)
        lost = set(wanted) - known.get("Parameters", set()) - known.get("Attributes", set())
        if lost: missing[name] = sorted(lost)
    assert not missing


def test_the_first_line_is_one_sentence(docs):
    bad = {}
    for name, (doc, _) in docs.items():
        first, *rest = inspect.cleandoc(doc or "").splitlines() or [""]
        whole = first.endswith((".", "?", ":")) and not (rest and rest[0].strip())
        if not whole or len(first) > 113 or re.search(r"[.?!] [A-Z]", first): bad[name] = first
    assert not bad


def test_few_lines_are_long():
    long = [f"{path.name}:{n}" for path in MODULES for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > 120]
    assert len(long) <= 20, long


def test_few_names_are_public():
    assert sum(len(listed(path)) for path in MODULES) <= 170


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_one_statement_a_line(path):
    starts = Counter(node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.stmt))
    assert not [line for line, n in starts.items() if n > 1]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_scripts_use_public_names_only(path):
    imports = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("latentfaces")]
    assert not [alias.name for node in imports for alias in node.names if alias.name.startswith("_") and not alias.name.startswith("__")]
    assert not [node.module for node in imports if "._" in node.module]
    for node in imports:
        module = import_module(node.module)
        assert not [alias.name for alias in node.names if not hasattr(module, alias.name)], node.module


@pytest.mark.parametrize("path", [p for p in MODULES if listed(p)], ids=lambda p: p.stem)
def test_examples_in_docstrings_run(path):
    failed, _ = doctest.testmod(import_module(f"latentfaces.{path.stem}"), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert not failed
