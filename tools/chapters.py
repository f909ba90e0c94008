"From a notebook to a page: what is shown, what is folded, which words describe a figure, where links lead."

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import yaml
from execnb.nbio import mk_cell, read_nb
from nbdev.config import get_config
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor, Processor
from nbdev.processors import add_links, clean_magics, filter_stream_, hide_line, populate_language, strip_ansi
from nbdev.showdoc import show_doc
from showdoc import Card

NUMBER = re.compile(r"^(\d+)([a-z]?)_")
# A link to a notebook, as written in one: by its file or by its page, with the chapter's number or without
PAGE_LINK = re.compile(r"(\]\()(?:\./)?(?:\d+[a-z]?_)?(\w+)\.(?:ipynb|html)(?=[)#])")
OUTSIDE_LINK = re.compile(r"(\]\()\.\./([^)\s]+)")
# Files of the repository that are pages of the site as well
PAGES = {
    "../latentfaces/__init__.pyi": "api.qmd",
    "../latentfaces/pretrained/model_card.md": "model_cards.qmd",
    "../latentfaces/features/model_card.md": "model_cards.qmd",
    "../CHANGELOG.md": "changelog.qmd",
    "https://latentfaces.github.io/latentfaces/explorer/": "explorer/index.html",
}


def page_name(book: Path) -> str:
    "The name of a notebook's page: the notebook's without its number."
    return NUMBER.sub("", book.stem)


# ---------------------------------------------------------------- figures


def words(node: ast.expr) -> str:
    "The text of a string in the source; what an f-string fills in is not known and becomes an ellipsis."
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(words(v) if isinstance(v, ast.Constant) else "…" for v in node.values)
    return ""


def labels(source: str) -> dict:
    "Titles and axis labels that a cell's code gives to its figures."
    found = {"title": [], "xlabel": [], "ylabel": []}
    for call in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
        pairs = [(k.arg, k.value) for k in call.keywords if k.arg]
        if call.args and isinstance(call.func, ast.Attribute):
            pairs.append((call.func.attr.removeprefix("set_"), call.args[0]))
        for name, value in pairs:
            text = words(value)
            kind = "title" if name == "suptitle" else name
            if kind in found and text.strip(" …") and text not in found[kind]:
                found[kind].append(text)
    return found


def plain(markdown: str) -> str:
    "Markdown as text on one line."
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`$\\{}]|^[>#-]+ ", "", text, flags=re.M).split())


def lead_in(text: str) -> str:
    "The sentence with which prose introduces what follows it, if it ends in a colon and says something."
    blocks = [p for p in re.split(r"\n\s*\n", text) if p.strip()]
    if blocks and not blocks[-1].startswith("#"):
        sentence = re.split(r"(?<=[.!?:])\s+(?=[A-Z*`])", plain(blocks[-1]))[-1]
        if sentence.endswith(":") and len(sentence.split()) > 2:
            return sentence[:-1]
    return ""


def alternative(source: str, prose: str, heading: str) -> str:
    "What a figure shows, from the words that its code and the prose above it use."
    found = {kind: [plain(text) for text in texts] for kind, texts in labels(source).items()}
    pairs = zip(found["xlabel"], found["ylabel"])
    axes = [f"{y} against {x}" for x, y in pairs] or found["xlabel"] + found["ylabel"]
    said = [t for t in found["title"] or [lead_in(prose)] if t] + axes
    kind = "Faces" if "plot_faces" in source else "Figure"
    return f"{kind}: {'; '.join(said)}" if said else f"{kind} in the section “{heading}”"


def has_picture(cell) -> bool:
    "Whether a cell drew something."
    return any(mime.startswith("image/") for o in cell.get("outputs", []) for mime in o.get("data", {}))


def options(source: str) -> dict:
    "A cell's own `#|` options."
    lines = re.findall(r"^#\| ?(.*)$", source, re.M)
    return yaml.safe_load("\n".join(line for line in lines if ":" in line)) or {}


class Alternatives(Processor):
    "Give every figure an alternative text: the cell's fig-alt, else its fig-cap, else words found near it."

    def begin(self):
        prose = ""
        heading = self.nb.frontmatter_.get("title", "")
        for cell in self.nb.cells:
            if cell.cell_type == "markdown":
                prose = cell.source
                heading = plain((re.findall(r"^#+ (.*)$", prose, re.M) or [heading])[-1])
            elif has_picture(cell):
                self.add(cell, prose, heading)

    def add(self, cell, prose, heading):
        own = options(cell.source)
        if not own.get("fig-alt"):
            alt = own.get("fig-cap") or alternative(cell.source, prose, heading)
            cell.source = f"#| fig-alt: {json.dumps(str(alt), ensure_ascii=False)}\n{cell.source}"


# ---------------------------------------------------------------- what is printed

LOG_LINE = re.compile(
    r"^(?:WARNING: All log messages before absl|WARNING:tensorflow:|[IWE]\d{4} \d\d:\d\d:\d\d|[IWE]0000 "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] ).*\n?",
    re.M,
)


def tidy_streams(cell):
    "Join what a cell printed in one go but the kernel sent in pieces; leave out TensorFlow's log."
    outputs = []
    for out in cell.get("outputs", []):
        if out.output_type == "stream":
            out.text = "".join(out.text)
            if out.name == "stderr":
                out.text = LOG_LINE.sub("", out.text)
            if not out.text.strip():
                continue
            if outputs and outputs[-1].get("name") == out.name:
                outputs[-1].text += out.text
                continue
        outputs.append(out)
    if cell.cell_type == "code":
        cell.outputs = outputs


# ---------------------------------------------------------------- what is folded

OPEN_LINES = 12  # a cell that computes stays open up to this many lines of code
SHORT_LINES = 3  # a cell that draws or tests, too, if it has no more than so many
TESTS = re.compile(r"^(?:test_\w+|assert_\w+|expect_\w*|raises|ExceptionExpected)$")


def code_lines(source: str) -> int:
    "Lines of code: neither blank nor a comment."
    lines = (line.strip() for line in source.splitlines())
    return len([line for line in lines if line and not line.startswith("#")])


def is_test(node: ast.stmt) -> bool:
    "An assertion, a call of a test function, or a block that holds one."
    called = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    names = (f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in called)
    return any(isinstance(n, ast.Assert) for n in ast.walk(node)) or any(TESTS.match(name) for name in names)


def told(source: str) -> str:
    "The comment with which a cell begins, if it is a short one."
    first = next((line for line in source.splitlines() if line.strip() and not line.startswith("#|")), "")
    text = first.lstrip("# ").strip()
    return f": {text}" if first.startswith("# ") and len(text) <= 80 else ""


def fold_summary(cell) -> str:
    """Under which words a cell's code is folded; empty where it stays open.

    Imports are folded; what draws or only tests, if it is longer than a few lines; and any other cell that is long.
    """
    count = code_lines(cell.source)
    body = ast.parse(cell.source).body
    if body and all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in body):
        return "Imports"
    if count > SHORT_LINES and has_picture(cell):
        return f"Code of the figure{told(cell.source)}"
    if count > SHORT_LINES and not cell.get("outputs") and body and is_test(body[-1]):
        return f"Checks{told(cell.source)}"
    return f"Code, {count} lines{told(cell.source)}" if count > OPEN_LINES else ""


class Folds(Processor):
    "Fold the code that a reader of the text can do without; a cell's own options come first."

    def begin(self):
        for cell in self.nb.cells:
            if cell.cell_type == "code" and not options(cell.source).keys() & {"code-fold", "echo", "include"}:
                summary = fold_summary(cell)
                if summary:
                    title = json.dumps(summary, ensure_ascii=False)
                    cell.source = f"#| code-fold: true\n#| code-summary: {title}\n{cell.source}"


# ---------------------------------------------------------------- the API


def members(cls: type) -> dict:
    "Public, documented methods and properties that a class defines itself."
    own = {name: m for name, m in vars(cls).items() if name[0] != "_" and getattr(m, "__doc__", None)}
    return {name: m for name, m in own.items() if callable(m) or isinstance(m, property)}


def inherited(cls: type, own: dict) -> str:
    "A sentence that names what comes from other classes of this package."
    bases = [b for b in cls.__mro__[1:] if b.__module__.startswith("latentfaces.")]
    names = [
        f"`{n}`" if b.__name__[0] == "_" else f"`{b.__name__}.{n}`" for b in bases for n in members(b) if n not in own
    ]
    return f"Inherited: {', '.join(dict.fromkeys(names))}." if names else ""


def card(obj, name: str, title_level=3) -> str:
    "Markdown that documents one object."
    return show_doc(obj, renderer=Card, name=name, title_level=title_level)._repr_markdown_()


def api(obj, name: str):
    "A markdown cell that documents a function, or a class and its methods."
    cards = [card(obj, name)]
    if isinstance(obj, type):
        own = members(obj)
        cards[0] += f"\n\n{inherited(obj, own)}"
        cards += [card(m, f"{name}.{n}", 4) for n, m in own.items()]
    return mk_cell("\n\n".join([":::: {.api}", *(f"::: {{.entry}}\n\n{c}\n\n:::" for c in cards), "::::"]), "markdown")


def source_title(nodes: list, documented: list, inner: list) -> str:
    "Under which words the source of an exported cell is folded."
    if all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in nodes):
        return "Imports of this module"
    if documented:
        return "Source"
    return f"Source of {', '.join(inner)}" if inner else "Source of the constants"


class Exports(Processor):
    """Show an exported cell as documentation of what is public in it, and its source folded.

    Nothing is executed: the names come from the package.
    """

    def begin(self):
        module = None
        cells = []
        for cell in self.nb.cells:
            directives = cell.directives_ if cell.cell_type == "code" else {}
            module = directives.get("default_exp", [module])[0]
            if directives.keys() & {"hide", "default_exp"}:
                continue
            exported = directives.keys() & {"export", "exports", "exporti"}
            cells += self.shown(cell, module, "exporti" not in exported) if exported else [cell]
        self.nb.cells = cells

    def shown(self, cell, module, public: bool) -> list:
        nodes = ast.parse(cell.source).body
        names = [n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        documented = [name for name in names if public and name[0] != "_"]
        package = importlib.import_module(f"latentfaces.{module}")
        lost = [name for name in documented if not hasattr(package, name)]
        if lost:
            sys.exit(f"docs: latentfaces/{module}.py has no {', '.join(lost)}: run nbdev_export")
        docs = [api(getattr(package, name), name) for name in documented]
        inner = [name for name in names if name not in documented]
        marks = [mk_cell("".join(f"[]{{#{name}}}" for name in inner), "markdown")] if inner else []
        title = source_title(nodes, documented, inner)
        cell.source = f'#| code-fold: true\n#| code-summary: "{title}"\n{cell.source}'
        cell.outputs = []
        return docs + marks + [cell]


# ---------------------------------------------------------------- the page

PROCESSORS = (
    FrontmatterProc,
    populate_language,
    strip_ansi,
    hide_line,
    filter_stream_,
    tidy_streams,
    clean_magics,
    Alternatives,
    Exports,
    Folds,
    add_links,
)


def page(book: Path):
    "The processed copy of a notebook."
    nb = read_nb(book)
    NBProcessor(nb=nb, procs=list(PROCESSORS)).process()
    return nb


def front(nb, book: Path) -> None:
    "The page's front matter: title, purpose, and links to the notebook and to the module exported from it."
    cfg = get_config()
    fields = {k: v for k, v in nb.frontmatter_.items() if k != "output-file"}
    blob = f"{cfg.git_url}/blob/{cfg.branch}"
    exported = re.search(r"latentfaces/(\w+)\.py#", "\n".join(c.source for c in nb.cells))
    fields["code-links"] = [{"text": book.name, "icon": "journal-code", "href": f"{blob}/nbs/{book.name}"}]
    if exported:
        link = {"text": f"{exported[1]}.py", "icon": "filetype-py", "href": f"{blob}/{exported[0][:-1]}"}
        fields["code-links"].append(link)
    nb.cells[0].source = f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---\n"


def linked(text: str, anchors: set) -> str:
    """Markdown with relative links between pages and absolute ones to other files of the repository.

    nbdev's links to names without documentation are dropped.
    """
    cfg = get_config()
    base = re.escape(f"{cfg.doc_host}{cfg.doc_baseurl}/")

    def known(m):
        return f"[{m[1]}]({m[2]})" if m[2] in anchors else m[1]

    # a parameter may be called like a function
    text = re.sub(rf"^\| \[(`[^`]+`)\]\({base}[^)]+\)", r"| \1", text, flags=re.M)
    text = re.sub(rf"\[(`[^`]+`)\]\({base}([^)]+)\)", known, text)
    text = PAGE_LINK.sub(r"\1\2.ipynb", text)
    for file, own in PAGES.items():
        text = text.replace(f"]({file})", f"]({own})")
    return OUTSIDE_LINK.sub(rf"\1{cfg.git_url}/blob/{cfg.branch}/\2", text)


def links(nb, anchors: set) -> None:
    "Set the links of a page's prose, and of the prose that its cells computed."
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, anchors)
        for out in cell.get("outputs", []):
            data = out.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = linked("".join(data["text/markdown"]), anchors)


def separate(nb) -> None:
    "Give a heading of the text an id of its own where it reads like a documented name: `## generate` above `generate`."
    taken = set(re.findall(r"^#+ .*\{#([\w.]+)\}$", "\n".join(c.source for c in nb.cells), re.M))

    def other(m):
        slug = re.sub(r"\s+", "-", re.sub(r"[^\w\s.-]", "", m[2]).strip().lower())
        return f"{m[0]} {{#{slug}-section}}" if slug in taken else m[0]

    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^(#+) ((?:(?!\{#).)+)$", other, cell.source, flags=re.M)


def anchors(nb, name: str) -> set:
    "Addresses of the names that a page documents."
    ids = re.findall(r"\{#([\w.]+)\}", "\n".join(c.source for c in nb.cells if c.cell_type == "markdown"))
    return {f"{name}.html#{i}" for i in ids}
