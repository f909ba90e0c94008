"Build the site into _docs/ from nbs/ and _quarto.yml: with Quarto where it is installed, with smalldocs otherwise."

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from chapters import NUMBER, anchors, front, linked, links, page, page_name, separate
from execnb.nbio import write_nb
from finish import finish
from landing import add_cards
from nbdev.config import get_config
from reference import generated

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ("assets", "styles.css")
GENERATED = ("api.qmd", "model_cards.qmd", "changelog.qmd")
EXPLORER = "explorer"  # a folder of its own, which no renderer touches
FONT = (
    '<link rel="preload" href="../assets/fonts/source-sans-3-latin-wght-normal.woff2" as="font" type="font/woff2" '
    'crossorigin="anonymous">'
)
BACK = (
    '<p class="small">What to try here, and what stands behind it: <a href="../explorer.html">Explorer</a>. How the ellipses '
    'come about: <a href="../index.html">the story</a>, chapter by chapter.</p>'
)


# ---------------------------------------------------------------- the sidebar


def sidebar_files(contents: list) -> list:
    "Paths of the pages in a sidebar, in order; what leads into a page (`#…`) or out of the chapters (`/`) is none."
    files = []
    for item in contents:
        if isinstance(item, dict):
            files += sidebar_files(item.get("contents", []))
            item = item.get("href", "#")
        if "#" not in item and not item.startswith(f"{EXPLORER}/"):
            files.append(item)
    return files


def sections(contents: list) -> list:
    "The files of each section of a sidebar."
    return [sidebar_files([item]) for item in contents]


def check_sidebar(contents: list, books: list) -> None:
    "Stop with one sentence unless the sidebar lists every notebook once, in the order of numbers in each section."
    listed = sidebar_files(contents)
    present = [f"nbs/{b.name}" for b in books] + list(GENERATED)
    lost = sorted(set(present) - set(listed))
    gone = sorted(set(listed) - set(present))
    if lost:
        verb = "is" if len(lost) == 1 else "are"
        sys.exit(f"docs: {', '.join(lost)} {verb} not in the sidebar of _quarto.yml: add a line there")
    if gone:
        sys.exit(
            f"docs: the sidebar of _quarto.yml lists {', '.join(gone)}, which nbs/ does not have: take the line out"
        )
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        sys.exit(f"docs: {', '.join(twice)} must stand once in the sidebar of _quarto.yml")
    for files in sections(contents):
        numbered = [name for name in files if NUMBER.match(Path(name).name)]
        if numbered != sorted(numbered):
            sys.exit(
                "docs: in a section of the sidebar of _quarto.yml chapters must stand in the order of their numbers, "
                f"got {', '.join(numbered)}"
            )


# ---------------------------------------------------------------- the project that is rendered


def renamed(config, titles: dict):
    "The config with the names of the prepared pages; numbered chapters show their number in the sidebar."
    if isinstance(config, dict):
        return {k: address(v) if k == "href" else renamed(v, titles) for k, v in config.items()}
    if isinstance(config, list):
        return [renamed(v, titles) for v in config]
    if config == "nbs/*.ipynb":
        return "*.ipynb"
    if not isinstance(config, str) or not config.startswith("nbs/"):
        return config
    name = Path(config).name
    number = NUMBER.match(name)
    text = f"{int(number[1])}{number[2]} {titles[name]}" if number else titles[name]
    return {"text": text, "href": address(config)}


def address(href: str) -> str:
    "Where a notebook's page is, or a section of it."
    return NUMBER.sub("", href.removeprefix("nbs/")) if href.startswith("nbs/") else href


def quarto_is_older(than: tuple) -> bool:
    "Whether the installed Quarto comes before a version."
    said = subprocess.run(["quarto", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(n) for n in re.findall(r"\d+", said)[:2]) < than


def write_config(work: Path, config: dict, titles: dict, quarto: bool) -> None:
    "The renderer's configuration."
    config = renamed(config, titles)
    if not quarto:  # smalldocs never executes, and formulas are rendered in `finish`
        del config["execute"], config["format"]["html"]["html-math-method"]
    elif quarto_is_older((1, 9)):  # an unknown key is an error there
        del config["website"]["llms-txt"]
    (work / "_quarto.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def copy_assets(work: Path) -> None:
    "What pages load beside their own text."
    folders = [f"nbs/{p.name}" for p in (ROOT / "nbs").iterdir() if p.is_dir() and p.name[0] not in "._"]
    for name in [*ASSETS, *folders]:
        source = ROOT / name
        target = work / Path(name).name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def warn_of_bare(pages: dict) -> None:
    "Notebooks whose code has never been run, or whose outputs are lost."
    code = {book: [c for c in nb.cells if c.cell_type == "code"] for book, nb in pages.items()}
    bare = [book.name for book, cells in code.items() if cells and not any(c.get("outputs") for c in cells)]
    if bare:
        print(f"docs: no saved output in {', '.join(bare)}: execute with tools/run_notebooks.py", file=sys.stderr)


def prepare(work: Path, quarto: bool) -> list:
    "Write the pages, the config and the assets that the renderer reads; returns the pages' names in their order."
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    contents = config["website"]["sidebar"]["contents"]
    books = sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))
    check_sidebar(contents, books)
    pages = {book: page(book) for book in books}
    warn_of_bare(pages)
    known = set().union(*(anchors(nb, page_name(book)) for book, nb in pages.items()))
    add_cards(pages, work)
    for book, nb in pages.items():
        front(nb, book)
        separate(nb)
        links(nb, known)
        write_nb(nb, work / f"{page_name(book)}.ipynb")
    for name, text in generated(ROOT, known).items():
        (work / name).write_text(linked(text, known), encoding="utf-8")
    titles = {book.name: nb.frontmatter_["title"] for book, nb in pages.items()} | {"index.ipynb": "Home"}
    write_config(work, config, titles, quarto)
    copy_assets(work)
    return [page_name(Path(name)) for name in sidebar_files(contents)]


def add_explorer(folder: Path) -> None:
    "The page on which one drags a point, in the letters of the site, with the way back to it."
    from latentfaces.explorer import explore

    explore(None, folder)
    sheet, page = folder / "explorer.css", folder / "index.html"
    faces = re.findall(r"^@font-face .*$", (ROOT / "styles.css").read_text(encoding="utf-8"), re.M)
    fonts = "\n".join(faces).replace("url(assets/", "url(../assets/")
    sheet.write_text(f"{fonts}\n{sheet.read_text(encoding='utf-8')}", encoding="utf-8")
    text = page.read_text(encoding="utf-8").replace('<link rel="stylesheet"', f'{FONT}\n<link rel="stylesheet"', 1)
    text = text.replace('<span class="brand">latentfaces</span>', '<a class="brand" href="../index.html">latentfaces</a>')
    page.write_text(text.replace("<!-- more -->", BACK), encoding="utf-8")


def build(out: Path, quarto: bool) -> None:
    "Build in a temporary folder; the site in `out` is replaced when the new one is whole."
    if out.exists() and any(out.iterdir()) and not (out / "site_libs").is_dir():
        sys.exit(f"docs: {out} is not empty and holds no site: name a new folder, or the one of a site to replace")
    smalldocs = [sys.executable, "-m", "smalldocs.cli", "render", "--strict"]
    cfg = get_config()
    with tempfile.TemporaryDirectory(prefix="latentfaces-site-") as folder:
        work = Path(folder)
        order = prepare(work, quarto)
        add_explorer(work / EXPLORER)
        subprocess.run(["quarto", "render", work, "--no-execute"] if quarto else [*smalldocs, work], check=True)
        site = work / "_docs"
        finish(site, order, f"{cfg.doc_host}{cfg.doc_baseurl}", f"{cfg.doc_baseurl}/")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(site, out)


def main() -> int:
    "The command line."
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--out",
        type=lambda text: Path(text).resolve(),
        default=ROOT / "_docs",
        help="folder of the site (default: _docs)",
    )
    p.add_argument(
        "--with",
        dest="tool",
        choices=("quarto", "smalldocs"),
        default="quarto" if shutil.which("quarto") else "smalldocs",
        help="what renders (default: Quarto if it is installed)",
    )
    a = p.parse_args()
    os.chdir(ROOT)  # nbdev looks for settings.ini there
    # TensorFlow is imported, but not used: spare its log
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    try:
        build(a.out, a.tool == "quarto")
    except subprocess.CalledProcessError as e:
        return e.returncode
    print(f"{len(list(a.out.glob('*.html')))} pages in {a.out}, rendered by {a.tool}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
