"How a public name looks on the site: signature, source link, prose, and its NumPy-style sections as tables."

import inspect
import re
from pathlib import Path
from typing import NamedTuple

from nbdev.config import get_config

EMPTY = inspect.Parameter.empty
SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}[ ]*(?:\n|\Z)", re.M)
TABLES = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")


class Entry(NamedTuple):
    "One name of a section: `name : type`, and what it means."

    name: str
    kind: str
    text: str


def sections(docstring: str) -> dict:
    "The parts of a NumPy-style docstring by title; the prose before the first title is under the empty one."
    head, *rest = SECTION.split(inspect.cleandoc(docstring or ""))
    return {"": head.strip()} | {title: body.strip("\n") for title, body in zip(rest[::2], rest[1::2])}


def entries(body: str) -> list:
    "The names of a section: each begins at the margin, what it means is indented below."
    found = []
    for block in re.split(r"\n(?=\S)", body.strip("\n")):
        head, _, text = block.partition("\n")
        name, _, kind = head.partition(" : ")
        found.append(Entry(name.strip(), kind.strip(), paragraphs(text)))
    return [entry for entry in found if entry.name]


def paragraphs(text: str) -> str:
    "Indented text as one line, its paragraphs apart."
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return "<br>".join(" ".join(block.split()) for block in blocks if block.strip())


def summary(obj) -> str:
    "The first sentence of a docstring, on one line."
    first = sections(inspect.getdoc(obj) or "")[""].split("\n\n")[0]
    return " ".join(first.split())


def type_name(annotation) -> str:
    "A type as it is written in the source."
    if annotation in (EMPTY, None):
        return ""
    plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    return annotation.__name__ if plain else re.sub(r"\b(?:[a-z_]\w*\.)+", "", str(annotation))


def row(*cells: str) -> str:
    "A row of a Markdown table."
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(heads: tuple, rows: list) -> str:
    "A Markdown table without the columns that have nothing to say."
    used = [i for i in range(len(heads)) if any(cells[i] for cells in rows)]
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(row(*(cells[i] for i in used)) for cells in lines)


def escaped(kind: str) -> str:
    "A type that Markdown leaves as it is."
    return re.sub(r"([<*_\[\]])", r"\\\1", kind)


def source_url(function) -> str:
    "Where the lines of a function or class stand in the repository."
    cfg = get_config()
    file = Path(inspect.getsourcefile(function))
    lines, first = inspect.getsourcelines(function)
    place = f"{cfg.lib_path.name}/{file.name}#L{first}-L{first + len(lines) - 1}"
    return f"{cfg.git_url}/blob/{cfg.branch}/{place}"


class Card:
    "Markdown for a function, class or property; a renderer in the sense of `nbdev.showdoc.show_doc`."

    def __init__(self, sym, name=None, title_level=3):
        self.sym = sym
        self.title_level = title_level
        self.is_property = isinstance(sym, property)
        self.function = sym.fget if self.is_property else inspect.unwrap(sym)
        self.name = name or self.function.__qualname__
        self.sections = sections(inspect.getdoc(sym))
        signature = inspect.signature(self.function)
        named = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
        self.parameters = [] if self.is_property else named
        self.returns = signature.return_annotation

    def signature(self) -> str:
        "A call with its defaults and the type of its result, on one line if it fits."
        shown = [str(p.replace(annotation=EMPTY)) for p in self.parameters]
        keyword_only = [i for i, p in enumerate(self.parameters) if p.kind is p.KEYWORD_ONLY]
        if keyword_only and not any(p.kind is p.VAR_POSITIONAL for p in self.parameters):
            shown.insert(keyword_only[0], "*")
        call = self.name.rpartition(".")[2]
        result = type_name(self.returns)
        arrow = f" -> {result}" if result else ""
        line = f"{call}({', '.join(shown)}){arrow}"
        return line if len(line) < 77 else f"{call}(\n    " + ",\n    ".join(shown) + f",\n){arrow}"

    def parameter_rows(self) -> list:
        "Name, type, default and meaning of every parameter; names documented together share what is said of them."
        said = {}
        for entry in entries(self.sections.get("Parameters", "")):
            said |= {name.strip().lstrip("*"): entry for name in entry.name.split(",")}
        rows = []
        for p in self.parameters:
            entry = said.get(p.name, Entry(p.name, "", ""))
            kind = re.sub(r",? (?:optional|default:? .*)$", "", entry.kind) or type_name(p.annotation)
            name = str(p.replace(annotation=EMPTY, default=EMPTY))
            rows.append((f"`{name}`", escaped(kind), "" if p.default is EMPTY else f"`{p.default!r}`", entry.text))
        return rows

    def result_rows(self) -> list:
        "What comes back; a line at the margin is a type, unless it gives a name and a type."
        rows = []
        for entry in entries(self.sections.get("Returns", "") + "\n" + self.sections.get("Yields", "")):
            name, kind = (f"`{entry.name}`", entry.kind) if entry.kind else ("", entry.name)
            rows.append((f"**returns** {name}".strip(), escaped(kind), "", entry.text))
        return rows

    def parameter_table(self) -> str:
        "Parameters and results; nothing where names are all there is to tell."
        rows = self.parameter_rows() + self.result_rows()
        if not any(kind or text for _, kind, _, text in rows):
            return ""
        return table(("Parameter", "Type", "Default", "What it is"), rows)

    def other_tables(self) -> list:
        "Attributes, errors and warnings: a table each."
        heads = {"Attributes": "Attribute", "Raises": "Raises", "Warns": "Warns"}
        found = []
        for title, head in heads.items():
            rows = [(f"`{e.name}`", escaped(e.kind), e.text) for e in entries(self.sections.get(title, ""))]
            if rows:
                found.append(table((head, "Type", "What it is"), rows))
        return found

    def rest(self) -> list:
        "Sections that are no tables: examples as code, all others as prose under their title."
        found = []
        for title, body in self.sections.items():
            if title == "Examples":
                found.append(f"```python\n{body.strip()}\n```")
            elif title and title not in TABLES:
                found.append(f"**{title}.** {body.strip()}")
        return found

    def _repr_markdown_(self):
        heading = f"{'#' * self.title_level} {self.name} {{#{self.name.lower()}}}"
        source = f"[source]({source_url(self.function)}){{.api-source}}"
        call = "" if self.is_property else f"```python\n{self.signature()}\n```"
        tables = [] if self.is_property else [self.parameter_table()]
        parts = [heading, source, call, self.sections[""], *tables, *self.other_tables(), *self.rest()]
        return "\n\n".join(part for part in parts if part)
