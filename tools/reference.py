"Pages that are made from other files of the repository: the list of public names, the model cards, the changelog."

import importlib
import re
from pathlib import Path

import yaml
from showdoc import summary

TASKS = {
    "Read images": ("images", "labels", "drawn"),
    "Train an autoencoder": ("autoencoder", "training", "bundle"),
    "Describe a cloud of z-points": ("moments", "distributions", "correlations", "gaussian", "pca", "ellipses"),
    "Draw new z-points": ("sampling", "densities", "flow"),
    "Find, move and ask for attributes": ("attributes", "editing"),
    "Turn z-points into faces": ("generation", "pictures", "plots"),
    "Measure what was drawn": ("metrics", "features", "evaluation", "panel", "choice", "identity"),
    "Report, and explore": ("report", "explorer"),
    "Work on many machines": ("distributed",),
}
CARDS = {
    "The autoencoder and its latent vectors": "latentfaces/pretrained/model_card.md",
    "The attribute network and the reference features": "latentfaces/features/model_card.md",
}


def front_matter(title: str, description: str) -> str:
    "What stands at the top of a page."
    return f"---\n{yaml.safe_dump({'title': title, 'description': description}, allow_unicode=True)}---\n"


def public_names(stub: Path) -> list:
    "Modules and names that `latentfaces/__init__.pyi` lists, in its order."
    return re.findall(r"^from \.(\w+) import (\w+) as \2$", stub.read_text(encoding="utf-8"), re.M)


def task_of(module: str) -> str:
    "What one does with the names of a module."
    return next((task for task, modules in TASKS.items() if module in modules), "More")


def name_row(module: str, name: str, anchors: set) -> str:
    "A row of the list: the name, linked to its documentation, and its first sentence."
    obj = getattr(importlib.import_module(f"latentfaces.{module}"), name)
    anchor = f"{module}.html#{name.lower()}"
    link = f"{module}.ipynb#{name.lower()}" if anchor in anchors else f"{module}.ipynb"
    text = summary(obj) if callable(obj) else f"The {len(obj)} entries {', '.join(obj)}, each with its class, options and a sentence."
    return f"| [`{name}`]({link}) | {text.replace('|', chr(92) + '|')} | [{module}]({module}.ipynb) |"


def api_page(stub: Path, anchors: set) -> str:
    "All public names by task, a line each."
    rows = {task: [] for task in (*TASKS, "More")}
    for module, name in public_names(stub):
        rows[task_of(module)].append(name_row(module, name, anchors))
    parts = [
        front_matter("All public names", "What `from latentfaces import …` offers, by task, a line each."),
        "Everything here is imported lazily: a name costs nothing until it is used. In Python, `help(name)` or, in a "
        "notebook, `name?` says the same as the chapter that a name leads to.",
    ]
    for task, lines in rows.items():
        if lines:
            parts += [f"## {task}", "\n".join(["| name | what it is | chapter |", "|---|---|---|", *lines])]
    return "\n\n".join(parts)


def lowered(markdown: str, title: str) -> str:
    "A file of its own as a section: its heading replaced, the others one level down."
    body = re.sub(r"^# .*\n", "", markdown)
    return f"## {title}\n\n" + re.sub(r"^(#+ )", r"#\1", body, flags=re.M).strip()


def cards_page(root: Path) -> str:
    "Model cards, and the terms under which all of this is passed on."
    parts = [front_matter("Model cards and terms", "What was trained on what, how good it is, and who may use it.")]
    for title, name in CARDS.items():
        text = lowered((root / name).read_text(encoding="utf-8"), title)
        parts.append(text.replace("](../../nbs/", "]("))
    terms = (root / "LICENSES/LicenseRef-CelebA-NonCommercial.txt").read_text(encoding="utf-8").strip()
    parts += [
        "## Terms",
        "The code is under the [Apache licence 2.0](../LICENSE). For what is derived from CelebA this holds:",
        f"```text\n{terms}\n```",
    ]
    return "\n\n".join(parts)


def changelog_page(root: Path) -> str:
    "The changelog."
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    return front_matter("Changelog", "What changed, newest first.") + re.sub(r"^# .*\n", "", text)


def generated(root: Path, anchors: set) -> dict:
    "The text of every generated page, by its file name."
    return {
        "api.qmd": api_page(root / "latentfaces/__init__.pyi", anchors),
        "model_cards.qmd": cards_page(root),
        "changelog.qmd": changelog_page(root),
    }
