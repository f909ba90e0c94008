"Build the site into _docs/ from nbs/ and _quarto.yml: with Quarto where it is installed, with smalldocs otherwise."
import argparse
import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from execnb.nbio import mk_cell, read_nb, write_nb
from nbdev.config import get_config
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor, Processor
from nbdev.processors import add_links, clean_magics, filter_stream_, hide_line, populate_language, strip_ansi
from nbdev.showdoc import show_doc

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ("assets", "styles.css")
NUMBER = re.compile(r"^(\d+)([a-z]?)_")
# A link to a notebook, as written in one: by its file or by its page, with the chapter's number or without
PAGE_LINK = re.compile(r"(\]\()(?:\./)?(?:\d+[a-z]?_)?(\w+)\.(?:ipynb|html)(?=[)#])")
OUTSIDE_LINK = re.compile(r"(\]\()\.\./([^)\s]+)")


# ---------------------------------------------------------------- the sidebar

def sidebar_files(contents: list) -> list:
    "Paths of the pages in a sidebar, in order."
    files = []
    for item in contents:
        if isinstance(item, dict): files += sidebar_files(item.get("contents", [])) + ([item["href"]] if "href" in item else [])
        else: files.append(item)
    return files


def check_sidebar(listed: list, books: list) -> None:
    "Stop with one sentence unless the sidebar lists every notebook once, chapters in the order of their numbers."
    present = [f"nbs/{b.name}" for b in books]
    lost, gone = sorted(set(present) - set(listed)), sorted(set(listed) - set(present))
    if lost: sys.exit(f"docs: {', '.join(lost)} {'is' if len(lost) == 1 else 'are'} not in the sidebar of _quarto.yml: add a line there")
    if gone: sys.exit(f"docs: the sidebar of _quarto.yml lists {', '.join(gone)}, which nbs/ does not have: take the line out")
    numbered = [p for p in listed if NUMBER.match(Path(p).name)]
    if numbered != sorted(numbered) or len(set(listed)) < len(listed):
        sys.exit(f"docs: chapters in the sidebar of _quarto.yml must stand once, in the order of their numbers, got {', '.join(listed)}")


# ---------------------------------------------------------------- figures

def words(node: ast.expr) -> str:
    "The text of a string in the source; what an f-string fills in is not known and becomes an ellipsis."
    if isinstance(node, ast.Constant): return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr): return "".join(words(v) if isinstance(v, ast.Constant) else "…" for v in node.values)
    return ""


def labels(source: str) -> dict:
    "Titles and axis labels that a cell's code gives to its figures."
    found = {"title": [], "xlabel": [], "ylabel": []}
    for call in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
        pairs = [(k.arg, k.value) for k in call.keywords if k.arg]
        if call.args and isinstance(call.func, ast.Attribute): pairs.append((call.func.attr.removeprefix("set_"), call.args[0]))
        for name, value in pairs:
            text = words(value)
            kind = "title" if name == "suptitle" else name
            if kind in found and text.strip(" …") and text not in found[kind]: found[kind].append(text)
    return found


def plain(markdown: str) -> str:
    "Markdown as text on one line."
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`$\\{}]|^[>#-]+ ", "", text, flags=re.M).split())


def lead_in(text: str) -> str:
    "The sentence with which prose introduces what follows it, if it ends in a colon and says something."
    paragraphs = [p for p in re.split(r"\n\s*\n", text) if p.strip()]
    if paragraphs and not paragraphs[-1].startswith("#"):
        sentence = re.split(r"(?<=[.!?:])\s+(?=[A-Z*`])", plain(paragraphs[-1]))[-1]
        if sentence.endswith(":") and len(sentence.split()) > 2: return sentence[:-1]
    return ""


def alternative(source: str, prose: str, heading: str) -> str:
    "What a figure shows, from the words that its code and the prose above it use."
    found = {kind: [plain(text) for text in texts] for kind, texts in labels(source).items()}
    axes = [f"{y} against {x}" for x, y in zip(found["xlabel"], found["ylabel"])] or found["xlabel"] + found["ylabel"]
    said = [t for t in found["title"] or [lead_in(prose)] if t] + axes
    kind = "Faces" if "plot_faces" in source else "Figure"
    return f"{kind}: {'; '.join(said)}" if said else f"{kind} in the section “{heading}”"


class Alternatives(Processor):
    "Give every figure an alternative text: the cell's fig-alt, else its fig-cap, else words found near it."
    def begin(self):
        prose, heading = "", self.nb.frontmatter_.get("title", "")
        for cell in self.nb.cells:
            if cell.cell_type == "markdown":
                prose = cell.source
                heading = plain((re.findall(r"^#+ (.*)$", prose, re.M) or [heading])[-1])
            elif any(m.startswith("image/") for o in cell.get("outputs", []) for m in o.get("data", {})):
                self.add(cell, prose, heading)

    def add(self, cell, prose, heading):
        options = yaml.safe_load("\n".join(re.findall(r"^#\| ?(.*)$", cell.source, re.M))) or {}
        alt = options.get("fig-alt") or options.get("fig-cap") or alternative(cell.source, prose, heading)
        if not options.get("fig-alt"): cell.source = f"#| fig-alt: {json.dumps(str(alt), ensure_ascii=False)}\n{cell.source}"


# ---------------------------------------------------------------- printed output

LOG_LINE = re.compile(r"^(?:WARNING: All log messages before absl|WARNING:tensorflow:|[IWE]\d{4} \d\d:\d\d:\d\d|[IWE]0000 |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] ).*\n?", re.M)


def tidy_streams(cell):
    "Join what a cell printed in one go but the kernel sent in pieces; leave out TensorFlow's log."
    outputs = []
    for out in cell.get("outputs", []):
        if out.output_type == "stream":
            out.text = "".join(out.text)
            if out.name == "stderr": out.text = LOG_LINE.sub("", out.text)
            if not out.text.strip(): continue
            if outputs and outputs[-1].get("name") == out.name:
                outputs[-1].text += out.text
                continue
        outputs.append(out)
    if cell.cell_type == "code": cell.outputs = outputs


# ---------------------------------------------------------------- the API

def members(cls: type) -> dict:
    "Public, documented methods and properties that a class defines itself."
    return {n: m for n, m in vars(cls).items() if n[0] != "_" and getattr(m, "__doc__", None) and (callable(m) or isinstance(m, property))}


def inherited(cls: type, own: dict) -> str:
    "A sentence that names what comes from other classes of this package."
    bases = [b for b in cls.__mro__[1:] if b.__module__.startswith("latentfaces.")]
    names = [f"`{b.__name__}.{n}`" for b in bases for n in members(b) if n not in own]
    return f"Inherited: {', '.join(dict.fromkeys(names))}." if names else ""


def api(obj, name: str):
    "A markdown cell that documents a function, or a class and its methods."
    entries = [show_doc(obj, name=name)._repr_markdown_()]
    if isinstance(obj, type):
        own = members(obj)
        entries[0] += f"\n\n{inherited(obj, own)}"
        entries += [show_doc(m, name=f"{name}.{n}", title_level=4)._repr_markdown_() for n, m in own.items()]
    return mk_cell("\n\n".join([":::: {.api}", *(f"::: {{.entry}}\n\n{e}\n\n:::" for e in entries), "::::"]), "markdown")


class Exports(Processor):
    "Show an exported cell as documentation of what is public in it, and its source folded. Nothing is executed: the names come from the package."
    def begin(self):
        module, cells = None, []
        for cell in self.nb.cells:
            directives = cell.directives_ if cell.cell_type == "code" else {}
            module = directives.get("default_exp", [module])[0]
            if directives.keys() & {"hide", "default_exp", "exporti"}: continue
            cells += self.shown(cell, module) if directives.keys() & {"export", "exports"} else [cell]
        self.nb.cells = cells

    def shown(self, cell, module) -> list:
        nodes = ast.parse(cell.source).body
        names = [n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        public, private = [n for n in names if n[0] != "_"], [n for n in names if n[0] == "_"]
        imports = all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in nodes)
        title = "Imports of this module" if imports else "Source" if public else f"Source of {', '.join(private)}" if private else "Source of the constants"
        package = importlib.import_module(f"latentfaces.{module}")
        lost = [n for n in public if not hasattr(package, n)]
        if lost: sys.exit(f"docs: latentfaces/{module}.py has no {', '.join(lost)}: run nbdev_export")
        docs = [api(getattr(package, n), n) for n in public]
        anchors = [mk_cell("".join(f"[]{{#{n}}}" for n in private), "markdown")] if private else []
        cell.source, cell.outputs = f'#| code-fold: true\n#| code-summary: "{title}"\n{cell.source}', []
        return docs + anchors + [cell]


# ---------------------------------------------------------------- pages

def page_name(book: Path) -> str: return NUMBER.sub("", book.stem)


def page(book: Path):
    "The processed copy of a notebook."
    nb = read_nb(book)
    procs = [FrontmatterProc, populate_language, strip_ansi, hide_line, filter_stream_, tidy_streams, clean_magics, Alternatives, Exports, add_links]
    NBProcessor(nb=nb, procs=procs).process()
    return nb


def front(nb, book: Path) -> None:
    "The page's front matter: title, purpose, and links to the notebook and to the module exported from it."
    cfg, fm = get_config(), {k: v for k, v in nb.frontmatter_.items() if k != "output-file"}
    blob = f"{cfg.git_url}/blob/{cfg.branch}"
    exported = re.search(r"latentfaces/(\w+)\.py#", "\n".join(c.source for c in nb.cells))
    fm["code-links"] = [{"text": book.name, "icon": "journal-code", "href": f"{blob}/nbs/{book.name}"}]
    if exported: fm["code-links"].append({"text": f"{exported[1]}.py", "icon": "filetype-py", "href": f"{blob}/{exported[0][:-1]}"})
    nb.cells[0].source = f"---\n{yaml.safe_dump(fm, sort_keys=False, allow_unicode=True)}---\n"


def links(nb, anchors: set) -> None:
    "Make links between pages relative, links to other files of the repository absolute, and drop nbdev's links to names without documentation."
    cfg = get_config()
    base = re.escape(f"{cfg.doc_host}{cfg.doc_baseurl}/")

    def known(m): return f"[{m[1]}]({m[2]})" if m[2] in anchors else m[1]
    for cell in nb.cells:
        if cell.cell_type != "markdown": continue
        text = re.sub(rf"^\| \[(`[^`]+`)\]\({base}[^)]+\)", r"| \1", cell.source, flags=re.M)  # a parameter may be called like a function
        text = re.sub(rf"\[(`[^`]+`)\]\({base}([^)]+)\)", known, text)
        text = PAGE_LINK.sub(r"\1\2.ipynb", text)
        cell.source = OUTSIDE_LINK.sub(rf"\1{cfg.git_url}/blob/{cfg.branch}/\2", text)


def separate(nb) -> None:
    "Give a heading of the text an id of its own where it reads like a documented name: `## generate` above `generate`."
    taken = set(re.findall(r"^#+ .*\{#([\w.]+)\}$", "\n".join(c.source for c in nb.cells), re.M))

    def other(m):
        slug = re.sub(r"\s+", "-", re.sub(r"[^\w\s.-]", "", m[2]).strip().lower())
        return f"{m[0]} {{#{slug}-section}}" if slug in taken else m[0]
    for cell in nb.cells:
        if cell.cell_type == "markdown": cell.source = re.sub(r"^(#+) ((?:(?!\{#).)+)$", other, cell.source, flags=re.M)


def anchors(nb, name: str) -> set:
    "Addresses of the names that a page documents."
    ids = re.findall(r"\{#([\w.]+)\}", "\n".join(c.source for c in nb.cells if c.cell_type == "markdown"))
    return {f"{name}.html#{i}" for i in ids}


# ---------------------------------------------------------------- the project that is rendered

def renamed(config, titles: dict):
    "The config with the names of the prepared pages; numbered chapters show their number in the sidebar."
    if isinstance(config, dict): return {k: renamed(v, titles) for k, v in config.items()}
    if isinstance(config, list): return [renamed(v, titles) for v in config]
    if config == "nbs/*.ipynb": return "*.ipynb"
    if not isinstance(config, str) or not config.startswith("nbs/"): return config
    book = Path(config)
    number = NUMBER.match(book.name)
    return {"text": f"{int(number[1])}{number[2]} {titles[book.name]}" if number else titles[book.name], "href": f"{page_name(book)}.ipynb"}


def quarto_is_older(than: tuple) -> bool:
    said = subprocess.run(["quarto", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(n) for n in re.findall(r"\d+", said)[:2]) < than


def prepare(work: Path, quarto: bool) -> list:
    "Write the pages, the config and the assets that the renderer reads; returns the names of the pages in the order of the sidebar."
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    books = sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))
    listed = sidebar_files(config["website"]["sidebar"]["contents"])
    check_sidebar(listed, books)
    pages = {book: page(book) for book in books}
    bare = [book.name for book, nb in pages.items() if not any(c.get("outputs") for c in nb.cells)]
    if bare: print(f"docs: no saved output in {', '.join(bare)}: execute with tools/run_notebooks.py", file=sys.stderr)
    known = set().union(*(anchors(nb, page_name(book)) for book, nb in pages.items()))
    for book, nb in pages.items():
        front(nb, book)
        separate(nb)
        links(nb, known)
        write_nb(nb, work / f"{page_name(book)}.ipynb")
    titles = {book.name: nb.frontmatter_["title"] for book, nb in pages.items()} | {"index.ipynb": "Home"}
    config = renamed(config, titles)
    if not quarto:  # smalldocs never executes, and its KaTeX is made local in `finish`
        del config["execute"], config["format"]["html"]["html-math-method"]
    elif quarto_is_older((1, 9)):  # an unknown key is an error there
        del config["website"]["llms-txt"]
    (work / "_quarto.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for name in [*ASSETS, *(f"nbs/{p.name}" for p in (ROOT / "nbs").iterdir() if p.is_dir() and p.name[0] not in "._")]:
        source, target = ROOT / name, work / Path(name).name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return [page_name(Path(name)) for name in listed]


def finish(out: Path) -> None:
    "Leave nothing to load from another host: KaTeX from the site's own copy, no web fonts."
    cdn = re.compile(r"https://cdn\.jsdelivr\.net/npm/katex@[\d.]+/dist/(?:contrib/)?")
    fonts = re.compile(r"@import\s*(?:url\(\s*[\"']?https?://[^)]*\)|([\"'])https?://.*?\1)\s*;")
    for pattern, unwanted, own in [("*.html", cdn, "assets/katex/"), ("*.css", fonts, "")]:
        for file in out.rglob(pattern):
            text = file.read_text(encoding="utf-8")
            clean = unwanted.sub(own, text)
            if clean != text: file.write_text(clean, encoding="utf-8")


def in_order(llms: Path, names: list) -> None:
    "List the pages for language models in the order of the sidebar."
    head, *entries = re.split(r"^(?=- \[)", llms.read_text(encoding="utf-8"), flags=re.M)

    def place(entry): return next((i for i, name in enumerate(names) if f"/{name}." in entry), len(names))
    llms.write_text(head + "".join(sorted(entries, key=place)), encoding="utf-8")


def build(out: Path, quarto: bool) -> None:
    "Build in a temporary folder; the site in `out` is replaced when the new one is whole."
    if out.exists() and any(out.iterdir()) and not (out / "site_libs").is_dir():
        sys.exit(f"docs: {out} is not empty and holds no site: name a new folder, or the one of a site to replace")
    with tempfile.TemporaryDirectory(prefix="latentfaces-site-") as folder:
        work = Path(folder)
        order = prepare(work, quarto)
        command = ["quarto", "render", work, "--no-execute"] if quarto else [sys.executable, "-m", "smalldocs.cli", "render", work, "--strict"]
        subprocess.run(command, check=True)
        finish(work / "_docs")
        if (work / "_docs/llms.txt").exists(): in_order(work / "_docs/llms.txt", order)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work / "_docs", out)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=lambda text: Path(text).resolve(), default=ROOT / "_docs", help="folder of the site (default: _docs)")
    p.add_argument("--with", dest="tool", choices=("quarto", "smalldocs"), default="quarto" if shutil.which("quarto") else "smalldocs",
                   help="what renders (default: Quarto if it is installed)")
    a = p.parse_args()
    os.chdir(ROOT)  # nbdev looks for settings.ini there
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}  # TensorFlow is imported, but not used: spare its log
    try: build(a.out, a.tool == "quarto")
    except subprocess.CalledProcessError as e: return e.returncode
    print(f"{len(list(a.out.glob('*.html')))} pages in {a.out}, rendered by {a.tool}")
    return 0


if __name__ == "__main__": sys.exit(main())
