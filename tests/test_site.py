"The website as a reader's browser sees it: built into a temporary folder, served under a path of its own, looked at with headless Chromium."
import functools
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml
from browser import CHROMIUM, Quiet, open_tab
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"
sys.path.insert(0, str(TOOLS))


# ---------------------------------------------------------------- the site

def pages_of(folder: Path) -> dict:
    "The pages of a site: file name to parsed HTML."
    return {p.name: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in sorted(folder.glob("*.html"))}


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    "The site, freshly built; or the one in the folder that LATENTFACES_SITE names, to look at one that is already there."
    if "LATENTFACES_SITE" in os.environ: return Path(os.environ["LATENTFACES_SITE"]).resolve()
    out = tmp_path_factory.mktemp("web") / "latentfaces"
    run = subprocess.run([sys.executable, ROOT / "tools/docs.py", "--out", out, "--with", "smalldocs"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return out


@pytest.fixture(scope="session")
def pages(site): return pages_of(site)


@pytest.fixture(scope="session")
def chapters(pages):
    "The pages that the sidebar lists."
    return {name: page for name, page in pages.items() if name != "404.html"}


@pytest.fixture(scope="session")
def books(): return sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))


def page_name(book: Path) -> str: return re.sub(r"^\d+[a-z]?_", "", book.stem) + ".html"


@pytest.fixture(scope="session")
def address(site):
    "Where the site is served: not at the root of the host, so that a link from the root would fail here as it would at a project's page."
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
        server.shutdown()


# ---------------------------------------------------------------- without a browser

def test_every_notebook_has_a_page(pages, books):
    made = {"api.html", "model_cards.html", "changelog.html"}
    assert books and set(pages) == {page_name(b) for b in books} | made | {"404.html"}


def test_links_resolve(site, pages):
    ids = {name: {e["id"] for e in page.find_all(id=True)} for name, page in pages.items()}
    broken = []
    for name, page in pages.items():
        base = page.base["href"] if page.base else f"/latentfaces/{name}"
        for a in page.find_all("a", href=True):
            link = urlsplit(urljoin(f"http://host{base}", a["href"]))
            if link.netloc != "host": continue
            target = unquote(link.path.removeprefix("/latentfaces/")) or "index.html"
            if not (site / target).is_file(): broken.append(f"{name}: {a['href']}: no such file")
            elif link.fragment and unquote(link.fragment) not in ids.get(target, ()): broken.append(f"{name}: {a['href']}: no such anchor")
    assert not broken


def test_ids_are_unique(pages):
    for name, page in pages.items():
        ids = [e["id"] for e in page.find_all(id=True)]
        assert not {i for i in ids if ids.count(i) > 1}, name


def test_images_have_alternative_text(pages):
    images = [(name, i.get("alt", "")) for name, page in pages.items() for i in page.find_all("img")]
    assert images
    assert not [(name, alt) for name, alt in images if len(alt.split()) < 2 or "#" in alt]


def test_pictures_are_files_that_keep_their_place(site, chapters):
    pictures = [(name, i) for name, page in chapters.items() for i in page.find_all("img")]
    assert not [name for name, i in pictures if i["src"].startswith("data:")]
    assert not [(name, i["src"]) for name, i in pictures if not (i.get("width", "").isdigit() and i.get("height", "").isdigit())]
    late = [i.get("loading") for page in chapters.values() for i in page.find_all("img")[1:]]
    assert set(late) == {"lazy"}
    with Image.open(site / "og.jpg") as card: assert card.size == (1200, 630)
    for page in chapters.values(): assert page.find("meta", property="og:image")["content"].endswith("/og.jpg")


def test_no_picture_is_there_for_nothing(site):
    text = "\n".join(p.read_text(encoding="utf-8") for p in [*site.glob("*.html"), *site.glob("*.md")])
    kept = [p.relative_to(site).as_posix() for folder in ("figures", "thumbnails") for p in (site / folder).iterdir()]
    assert kept and not [name for name in kept if name not in text]
    assert not list(site.glob("*_files"))


def test_pages_are_small(site):
    assert not {p.name: p.stat().st_size for p in site.glob("*.html") if p.stat().st_size > 450_000}


def test_formulas_are_rendered_when_the_site_is_built(pages):
    formulas = [(name, span) for name, page in pages.items() for span in page.select("span.math")]
    assert len(formulas) > 100
    assert not [(name, span.text[:60]) for name, span in formulas if not span.select_one(".katex math")]
    assert not [name for name, page in pages.items() if page.find("script", src=re.compile("katex")) or page.select(".katex-error")]


def test_whatever_may_be_wider_than_the_screen_can_be_reached_by_keyboard(pages):
    wide = [e for page in pages.values() for e in page.select(".table-box, span.math.display, pre[style]")
            if e.name != "pre" or int(re.search(r"\d+", e["style"])[0]) > 40]
    assert len(wide) > 300 and not [e for e in wide if e.get("tabindex") != "0" or not e.get("aria-label") or e.get("role") != "group"]
    assert not [name for name, page in pages.items() for table in page.select("main table") if "table-box" not in table.parent.get("class", [])]


def test_landmarks_links_and_icons_have_names(pages):
    for name, page in pages.items():
        marks = [e.get("aria-label") for e in page.find_all("nav")]
        assert all(marks) and len(set(marks)) == len(marks), (name, marks)
        assert len(page.find_all("main")) == len(page.find_all("h1")) == 1, name
        silent = [str(a)[:90] for a in page.find_all(["a", "button"]) if not (a.get("aria-label") or a.get("title") or a.get_text(strip=True) or a.find("img", alt=True))]
        assert not silent, (name, silent)
        assert not page.select("i.bi:not([aria-hidden])") and not page.select("main .cell-output pre [style*=color]"), name
        if name != "404.html": assert page.find(id=page.body.a["href"][1:]) is page.find("main"), name


def test_tables_of_pandas_have_one_row_of_heads():
    from finish import fit_tables
    table = ("<main><table border='1' class='dataframe'><thead><tr><th></th><th>a</th></tr><tr><th>name</th><th></th></tr></thead>"
             "<tbody><tr><th>x</th><td>1</td></tr></tbody></table></main>")
    soup = BeautifulSoup(table, "html.parser")
    fit_tables(soup)
    assert [cell.get_text() for cell in soup.select("thead tr th")] == ["name", "a"] and not soup.table.get("border")
    assert soup.select_one("div.table-box[tabindex='0'] > table")


@pytest.mark.parametrize("printed, wrapped", [
    ("8,500 z-points with 256 components; held-out error 0.00268", True), ("name   value\nx      1", False), ("a  b " + "x" * 130, True)])
def test_sentences_that_are_printed_are_wrapped(printed, wrapped):
    from finish import fit_code
    soup = BeautifulSoup(f"<main><div class='cell-output'><pre><code>{printed}</code></pre></div></main>", "html.parser")
    fit_code(soup)
    assert ("wrapped" in soup.pre.get("class", [])) == wrapped


def test_a_lost_reader_is_shown_the_way(pages):
    lost = pages["404.html"]
    assert lost.base["href"] == "/latentfaces/" and {"index.html", "api.html"} <= {a["href"] for a in lost.find("main").find_all("a")}


def loaded_files(site, pages):
    "Addresses that pages and style sheets make a browser load, with the file that names them."
    for name, page in pages.items():
        for e in page.find_all(["script", "img", "iframe", "source"], src=True): yield name, e["src"]
        for e in page.find_all("link", href=True):
            if set(e.get("rel", ())) & {"stylesheet", "icon", "preload", "preconnect"}: yield name, e["href"]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        for url in re.findall(r"url\(\s*[\"']?([^\"')]+)", text) + re.findall(r"@import\s+[\"']([^\"']+)", text): yield sheet.relative_to(site).as_posix(), url


def test_everything_loaded_is_in_the_site(site, pages):
    lost = []
    for name, url in loaded_files(site, {name: page for name, page in pages.items() if not page.base}):
        if url.startswith(("data:", "#", "%23")): continue
        link = urlsplit(urljoin(f"http://host/{name}", url))
        if link.netloc != "host" or not (site / unquote(link.path[1:])).is_file(): lost.append((name, url))
    assert not lost


def test_chapters_are_a_path(chapters):
    "From the home page, `next` leads into the story and through all pages, and `previous` leads back."
    def step(name, side):
        a = chapters[name].select_one(f".nav-page-{side} a")
        return a and a["href"].split("#")[0].removeprefix("./")
    path = ["index.html"]
    while (name := step(path[-1], "next")) and name not in path: path.append(name)
    story = ["autoencoder", "training", "bundle", "distributions", "correlations", "gaussian", "pca", "ellipses", "sampling", "densities", "flow", "generation"]
    assert path[1:len(story) + 1] == [f"{name}.html" for name in story]
    assert sorted(path) == sorted(chapters)
    assert [step(n, "previous") for n in path[1:]] == path[:-1]


def test_walks_stand_in_the_sidebar(pages):
    assert pages["index.html"].select_one('#quarto-sidebar a[href="generation.html#walks-post-vi"]')


def test_the_explorer_is_the_first_link_after_the_faces(site, pages):
    "And in the bar at the top of every page; it leads back, and has the letters of the site."
    assert pages["index.html"].main.img.find_next("a")["href"].endswith("explorer/index.html")
    for name, page in pages.items(): assert page.select_one('#quarto-header a[href$="explorer/index.html"]'), name
    own = BeautifulSoup((site / "explorer/index.html").read_text(encoding="utf-8"), "html.parser")
    assert {"../index.html", "../explorer.html"} <= {a["href"] for a in own.find_all("a", href=True)}
    for a in own.find_all(["a", "link"], href=True):
        if not a["href"].startswith(("#", "data:")): assert (site / "explorer" / a["href"]).is_file(), a["href"]
    assert "../assets/fonts/" in (site / "explorer/explorer.css").read_text(encoding="utf-8")


def test_icons_that_no_page_shows_are_left_out(site):
    sheet = (site / "site_libs/bootstrap-icons/bootstrap-icons.min.css").read_text(encoding="utf-8")
    assert "bi-github::before" in sheet and len(sheet) < 5000
    font = site / "site_libs/bootstrap-icons/fonts/bootstrap-icons.woff"
    codes = {int(code, 16) for code in re.findall(r'content:"\\([0-9a-f]+)"', sheet)}
    assert codes <= set(TTFont(font).getBestCmap()) and font.stat().st_size < 10_000


def test_api_is_documented(pages):
    index = json.loads(subprocess.run([sys.executable, "-c", "import json; from latentfaces._modidx import d; print(json.dumps(d['syms']))"],
                                      capture_output=True, text=True, check=True).stdout)
    public = {module: set(importlib.import_module(module).__all__) for module in index}
    names = {place.split("#")[1]: place.split("#")[0] for module, syms in index.items() for name, (place, _) in syms.items()
             if name.count(".") == 2 and name.rpartition(".")[2] in public[module]}
    assert "ellipticsampler" in names
    for anchor, name in names.items():
        heading = pages[name].find(id=anchor)
        assert heading and heading.name in ("h3", "h4"), f"{name}#{anchor}"
        source = heading.find_parent(class_="entry").select_one("a.api-source")["href"]
        file, first, last = re.search(r"/blob/\w+/(latentfaces/\w+\.py)#L(\d+)-L(\d+)$", source).groups()
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()[int(first) - 1:int(last)]
        assert re.search(rf"\b(def|class) {anchor}\b", "\n".join(lines), re.I), source
    box = pages["sampling.html"].find(id="ellipticsampler").find_parent(class_="entry")
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in box.select("tbody tr")]
    assert [row[0] for row in rows][:3] == ["n_components", "factor", "width"] and all(row[-1] for row in rows), rows


def test_all_public_names_are_listed_with_a_line_each(pages):
    names = re.findall(r"^from \.\w+ import (\w+) as", (ROOT / "latentfaces/__init__.pyi").read_text(encoding="utf-8"), re.M)
    rows = {row.td.get_text(): row.find_all("td")[1].get_text() for row in pages["api.html"].select("tbody tr")}
    assert set(rows) == set(names)
    assert not [name for name, text in rows.items() if len(text.split()) < 3]


PAPER = re.compile(r"((?:[A-Z][\w’'-]+)(?:,? (?:and|&) [A-Z][\w’'-]+| et al\.?|, [A-Z][\w’'-]+)*),? \(?((?:19|20)\d\d)\b")
NO_PAPERS = {"July", "August", "May", "June", "November", "The", "ICCV", "CelebA", "In", "Mönchmeyer"}


def test_every_paper_that_is_named_is_in_the_bibliography(pages, books):
    listed = [li.get_text().replace("’", "'") for li in pages["bibliography.html"].select("main li")]
    texts = {b.name: "\n".join("".join(c["source"]) for c in json.loads(b.read_text(encoding="utf-8"))["cells"])
             for b in books if b.stem != "bibliography"}
    named = {(names, year, file) for file, text in texts.items() for names, year in PAPER.findall(text) if names.split()[0] not in NO_PAPERS}
    assert len(named) > 15
    lost = [n for n in named if not any(n[1] in line and any(word in line for word in re.split(r",? ", n[0]) if word not in ("and", "et", "al.")) for line in listed)]
    assert not lost
    posts = pages["bibliography.html"].select_one("table").select("tbody tr")
    assert len(posts) == 10 and all(row.find("a", href=re.compile("anracom.com")) for row in posts)


@pytest.mark.parametrize("page, words", [
    ("questions.html", ["confidence ellipses directly", "original coordinate system", "micro-correlations", "hair-color"]),
    ("glossary.html", ["Mahalanobis", "FWHM", "nats", "z-point", "latent space", "shell"]),
    ("index.html", ["git clone", "pip install"]), ("model_cards.html", ["non-commercial", "Trained on"]), ("changelog.html", ["renamed"]),
    ("bibliography.html", ["bibtex", "How to cite"]), ("guide.html", ["Your own images", "Your own latent vectors", "Your own decoder"]),
])
def test_pages_have_what_they_are_for(pages, page, words):
    text = pages[page].find("main").get_text() + str(pages[page].select("code.sourceCode"))
    assert not [w for w in words if w not in text]


def test_chapters_link_to_notebook_and_module(pages, books):
    for book in books:
        links = [a["href"] for a in pages[page_name(book)].select(".quarto-code-links a")]
        assert any(a.endswith(f"/nbs/{book.name}") for a in links), book.name
    assert any(a.endswith("/latentfaces/sampling.py") for a in [a["href"] for a in pages["sampling.html"].select(".quarto-code-links a")])


def test_every_chapter_of_the_story_has_a_card(pages):
    main = pages["index.html"].find("main")
    cards = main.select(".cards li")
    assert len(main.select(".cards")) == 2 and len(cards) == 20 and all(card.img and card.a for card in cards)
    assert ":::" not in main.get_text()


def test_code_of_figures_and_tests_is_folded(pages):
    "What stands open is short."
    opened = [e for page in pages.values() for e in page.select(".cell > .code-copy-outer-scaffold code.python")]
    lines = [len([x for x in e.get_text().splitlines() if x.strip() and not x.strip().startswith("#")]) for e in opened]
    assert len(lines) > 200 and max(lines) <= 12
    summaries = {s.get_text().split(":")[0].split(",")[0] for page in pages.values() for s in page.select("details.code-fold > summary")}
    assert {"Code of the figure", "Checks", "Source"} <= summaries


def test_every_page_says_whom_it_may_show(pages):
    "Pages show reconstructions of photographs beside drawn faces, so none may promise that nobody is shown."
    said = ("research only", "reconstructions of photographs of real persons", "may resemble")
    footers = {name: page.select_one("footer").text for name, page in pages.items()}
    assert not {name: text for name, text in footers.items() if not all(words in text for words in said)}


PROMISES = r"people (who )?(do not )?exists?\b|(?i:none of the(se)? people)|show(s)? nobody"


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "_quarto.yml", *ROOT.glob("latentfaces/*/model_card.md"), *ROOT.glob("nbs/[!_.]*.ipynb")],
                         ids=lambda p: p.name)
def test_nothing_promises_that_nobody_is_shown(path):
    assert not re.search(PROMISES, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["None of these people exists.", "None of the people shown exists.", "faces of people who do not exist",
                                  "Faces decoded from random vectors show nobody"])
def test_promises_are_recognised(text): assert re.search(PROMISES, text)


def test_nothing_of_nbdev_is_left(pages):
    for name, page in pages.items():
        assert not re.search(r"^#\| ?\w+|default_exp|show_doc\(", page.find("main").text, re.M), name


def test_llms_txt(site, chapters):
    listed = re.findall(r"\]\(\S+/(\S+)\.llms\.md\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert listed[0] == "index" and {f"{n}.html" for n in listed} == set(chapters)
    assert not [n for n in listed if re.search(r"data:image/\w+;base64,\w{40}", (site / f"{n}.llms.md").read_text(encoding="utf-8"))]


# ---------------------------------------------------------------- how it is built

@pytest.fixture(scope="session")
def docs():
    "tools/docs.py as a module."
    return importlib.import_module("docs")


@pytest.fixture(scope="session")
def tools():
    "The module that makes pages of notebooks."
    return importlib.import_module("chapters")


PAGES = ["nbs/index.ipynb", {"section": "Story", "contents": ["nbs/02_autoencoder.ipynb", {"text": "Walks", "href": "nbs/02_autoencoder.ipynb#walks"}]},
         {"section": "Behind", "contents": ["nbs/01_images.ipynb", "api.qmd", "model_cards.qmd", "changelog.qmd"]}]


@pytest.mark.parametrize("more, less, message", [
    ([], ["nbs/02_autoencoder.ipynb"], "nbs/02_autoencoder.ipynb is not in the sidebar"),
    (["nbs/99_magic.ipynb"], [], "lists nbs/99_magic.ipynb, which nbs/ does not have"),
    (["nbs/01_images.ipynb"], [], "nbs/01_images.ipynb must stand once"),
    ([{"section": "Two", "contents": ["nbs/04_bundle.ipynb", "nbs/03_training.ipynb"]}], [], "in the order of their numbers"),
])
def test_sidebar_must_fit_the_notebooks(docs, more, less, message):
    books = [Path(n) for n in ("index.ipynb", "01_images.ipynb", "02_autoencoder.ipynb")]
    docs.check_sidebar(PAGES, books)  # sections have an order of their own
    books += [Path(n) for n in ("03_training.ipynb", "04_bundle.ipynb") if "Two" in str(more)]
    listed = [p if isinstance(p, str) else p | {"contents": [c for c in p["contents"] if c not in less]} for p in PAGES]
    with pytest.raises(SystemExit, match=re.escape(message)): docs.check_sidebar(listed + more, books)


def test_chapters_show_their_number_and_letter(docs):
    titles = {"00_core.ipynb": "Core", "10a_densities.ipynb": "Densities", "cli.ipynb": "Command line"}
    shown = docs.renamed([*(f"nbs/{name}" for name in titles), {"text": "Walks", "href": "nbs/11_generation.ipynb#walks"}, "api.qmd"], titles)
    assert [(item["text"], item["href"]) for item in shown[:-1]] == [
        ("0 Core", "core.ipynb"), ("10a Densities", "densities.ipynb"), ("Command line", "cli.ipynb"), ("Walks", "generation.ipynb#walks")]
    assert shown[-1] == "api.qmd"


def test_only_a_site_is_replaced(docs, tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="is not empty and holds no site"): docs.build(tmp_path, quarto=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_names_must_be_exported(notebook):
    with pytest.raises(SystemExit, match="latentfaces/pca.py has no Magic: run nbdev_export"):
        notebook(cell("#| default_exp pca"), cell("#| export\nclass Magic: pass"))


def cell(source, kind="code", outputs=()):
    return {"cell_type": kind, "metadata": {}, "source": source} | ({"outputs": list(outputs), "execution_count": None} if kind == "code" else {})


def printed(*pieces, name="stdout"): return [{"output_type": "stream", "name": name, "text": piece} for piece in pieces]


@pytest.fixture
def notebook(tmp_path, tools, monkeypatch):
    "Writes a notebook and gives the page that the site makes of it."
    monkeypatch.chdir(ROOT)  # nbdev looks for settings.ini there
    def page(*cells):
        path = tmp_path / "08_pca.ipynb"
        path.write_text(json.dumps({"cells": [cell("# Axes\n> of a cloud", "markdown"), *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return tools.page(path)
    return page


def test_building_executes_nothing(notebook, tmp_path):
    write = f"from pathlib import Path\nPath({str(tmp_path / 'trained')!r}).touch()"
    page = notebook(cell("#| default_exp pca"), cell(f"#| export\n{write}"), cell(write, outputs=printed("saved ", "output\n")), cell(f"#| hide\n{write}"))
    assert not (tmp_path / "trained").exists()
    assert [o.text for c in page.cells for o in c.get("outputs", [])] == ["saved output\n"]
    assert len(page.cells) == 3  # front matter, the exported cell folded, the cell with output


def test_exported_cell_becomes_documentation(notebook):
    page = notebook(cell("#| default_exp pca"), cell("#| export\ndef _blocks(): pass\nclass LatentPCA: pass"))
    api, anchor, source = (c.source for c in page.cells[1:])
    assert "### LatentPCA {#latentpca}" in api and "#### LatentPCA.transform {#latentpca.transform}" in api and "| `n_components` |" in api
    assert "{#_blocks}" in anchor and source.startswith('#| code-fold: true\n#| code-summary: "Source"')


DOCUMENTED = '''"""Draw a thing.

    More of it: `x` or $y$.

    Parameters
    ----------
    n, m : int
        How many,
        and of what.

        A second paragraph.
    *parts : {"a", "b"} | None
        Pieces.
    where

    Returns
    -------
    dict
        By name.

    Raises
    ------
    ValueError
        For less than one.

    Examples
    --------
    >>> draw(1, 2)
    {}
    """'''


def test_numpy_docstrings_become_tables():
    from showdoc import Card, entries, sections, summary
    scope = {}
    exec(f"def draw(n, m=2, *parts, where: str = None) -> dict:\n    {DOCUMENTED}", scope)
    draw = scope["draw"]
    assert summary(draw) == "Draw a thing."
    assert list(sections(draw.__doc__)) == ["", "Parameters", "Returns", "Raises", "Examples"]
    assert entries("x : int\n    One.\ny\n    Two.") == [("x", "int", "One."), ("y", "", "Two.")]
    card = Card.__new__(Card)
    card.sym, card.function, card.name, card.is_property = draw, draw, "draw", False
    card.sections, card.returns = sections(draw.__doc__), dict
    card.parameters = list(inspect.signature(draw).parameters.values())
    assert card.parameter_table().splitlines() == [
        "| Parameter | Type | Default | What it is |", "| --- | --- | --- | --- |", "| `n` | int |  | How many, and of what.<br>A second paragraph. |",
        "| `m` | int | `2` | How many, and of what.<br>A second paragraph. |", '| `*parts` | {"a", "b"} \\| None |  | Pieces. |',
        "| `where` | str | `None` |  |", "| **returns** | dict |  | By name. |"]
    assert card.other_tables() == ["| Raises | What it is |\n| --- | --- |\n| `ValueError` | For less than one. |"]
    assert card.rest() == ["```python\n>>> draw(1, 2)\n{}\n```"]


LONG = "\n".join(f"x{i} = {i}" for i in range(13))


@pytest.mark.parametrize("source, outputs, summary", [
    ("import numpy as np\nfrom x import y", (), "Imports"),
    ("plot_faces(faces)", "picture", ""),
    ("# the tilted one\na = 1\nb = 2\nc = 3\nplot(a, b, c)", "picture", "Code of the figure: the tilted one"),
    ("a = 1\nb = 2\nc = 3\ntest_eq(a + b, c)", (), "Checks"),
    ("a = 1\nb = 2\nc = 3\nassert a + b == c", (), "Checks"),
    ("with pytest.raises(ValueError):\n    f(1)\n    f(2)\n    f(3)", (), "Checks"),
    ("test_eq(1, 1)", (), ""),
    ("a = 1\nb = 2\nc = 3\ntest_eq(a + b, c)", "printed", ""),
    ("a = 1\nb = 2\nc = 3\nd = 4", (), ""),
    (LONG, (), "Code, 13 lines"),
])
def test_what_is_folded(notebook, source, outputs, summary):
    shown = {"picture": FIGURE, "printed": printed("one\n")}.get(outputs, ())
    last = notebook(cell(source, outputs=shown)).cells[-1].source
    assert (f'#| code-fold: true\n#| code-summary: "{summary}"\n' in last) if summary else "code-fold" not in last


def test_a_cells_own_options_come_first(notebook):
    for option in ("#| echo: false", "#| code-fold: false"):
        assert "code-summary" not in notebook(cell(f"{option}\n{LONG}")).cells[-1].source


FIGURE = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo="}}]


@pytest.mark.parametrize("source, prose, alt", [
    ("#| fig-alt: \"a cloud: tilted\"\nplot()", "", "a cloud: tilted"),
    ("#| fig-cap: A tilted cloud\nplot()", "", "A tilted cloud"),
    ("ax.set(title=f'{n} axes', xlabel='axis', ylabel='width')", "", "Figure: … axes; width against axis"),
    ("ax.set_title('the cloud'); fig.suptitle(r'in units of $\\sigma$')", "", "Figure: the cloud; in units of sigma"),
    ("plot_faces(faces)", "Now *decode* them. The `decoder` paints this:", "Faces: The decoder paints this"),
    ("plot_faces(faces)", "## The look\n\nNothing is said here.", "Faces in the section “The look”"),
    ("plot()", "", "Figure in the section “Axes”"),
])
def test_alternative_text(notebook, source, prose, alt):
    page = notebook(*([cell(prose, "markdown")] if prose else []), cell(source, outputs=FIGURE))
    assert yaml.safe_load(re.search(r"^#\| (fig-alt: .*)$", page.cells[-1].source, re.M)[1])["fig-alt"] == alt


def test_logs_are_left_out(notebook):
    log = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\nI0000 00:00:1795349207.700321   16665 port.cc:153] oneDNN\n"
    page = notebook(cell("run()", outputs=printed(log, name="stderr") + printed("one\n", "two\n") + printed(log + "UserWarning: skipped 2\n", name="stderr")))
    assert [o.text for o in page.cells[-1].outputs] == ["one\ntwo\n", "UserWarning: skipped 2\n"]


def test_links_in_notebooks(tools, notebook):
    page = notebook(cell("[a](10_sampling.ipynb#x) [b](10_sampling.html) [c](cli.ipynb) [d](../latentfaces/pretrained/model_card.md) [f](../LICENSE) [e](https://x.org/1_a.html)"
                         " `LatentPCA` `LatentPCA.rank_` `_blocks`", "markdown"))
    tools.links(page, {"pca.html#latentpca"})
    assert page.cells[-1].source == ("[a](sampling.ipynb#x) [b](sampling.ipynb) [c](cli.ipynb) [d](model_cards.qmd) [f](https://github.com/latentfaces/latentfaces/"
                                     "blob/main/LICENSE) [e](https://x.org/1_a.html) [`LatentPCA`](pca.ipynb#latentpca) `LatentPCA.rank_` `_blocks`")


# ---------------------------------------------------------------- with a browser

@pytest.fixture(scope="session")
def tab(tmp_path_factory):
    if CHROMIUM is None: pytest.skip("no Chromium found: install the package chromium to test the site in a browser")
    with open_tab(tmp_path_factory.mktemp("profile")) as tab: yield tab


LOOK = """(() => {
  const shown = e => e.getClientRects().length > 0;
  const scrolls = e => e && e.tagName !== 'MAIN' && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const maths = [...document.querySelectorAll('main .math')];
  return {
    title: document.title,
    width: document.documentElement.scrollWidth,
    formulas: maths.length,
    unrendered: maths.filter(m => !m.querySelector('.katex')).map(m => m.textContent),
    errors: [...document.querySelectorAll('.katex-error')].map(e => e.title),
    dollars: [...document.querySelectorAll('main p, main li, main td')].filter(e => !e.querySelector('.math') && /\\$[^$]*[\\\\^_][^$]*\\$/.test(e.textContent)).map(e => e.textContent),
    images: [...document.images].filter(i => shown(i) && !(i.complete && i.naturalWidth)).map(i => i.alt),
    cut: [...document.querySelectorAll('main *')].filter(e => !e.closest('svg, .katex-mathml') && e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e)).map(e => e.outerHTML.slice(0, 80)),
  };
})()"""


CUT = """[...document.querySelectorAll('main .cell-output pre')]
  .filter(e => e.getClientRects().length && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60))"""


@pytest.fixture(scope="session")
def looks(tab, address, pages):
    "Every page once, on a narrow screen and then on a wide one: what it shows and what it asked for."
    found = {}
    for name in pages:
        tab.view(390, 844)
        tab.open(address + name)
        tab.js("document.querySelectorAll('img[loading]').forEach(i => i.loading = 'eager'); Promise.all([...document.images].map(i => i.decode().catch(() => 0))).then(() => 1)")
        found[name] = tab.js(LOOK) | {"complaints": tab.complaints(), "hosts": tab.hosts()}
        tab.view(1280, 900)
        found[name]["printed"] = tab.js(CUT)
    return found


def test_no_output_is_cut_on_a_wide_screen(looks):
    assert {name: look["printed"] for name, look in looks.items() if look["printed"]} == {}


def test_no_page_scrolls_sideways(looks):
    assert [name for name, look in looks.items() if look["width"] > 390] == []


def test_pages_load_without_errors(looks):
    assert {name: look["complaints"] for name, look in looks.items() if look["complaints"]} == {}
    assert all(look["title"] for look in looks.values())


def test_no_request_to_another_host(looks, address):
    assert {host for look in looks.values() for host in look["hosts"]} == {urlsplit(address).netloc}


def test_formulas_are_rendered(looks):
    assert looks["sampling.html"]["formulas"] > 10
    assert {name: look["unrendered"] + look["errors"] + look["dollars"] for name, look in looks.items()} == {name: [] for name in looks}


def test_images_are_shown(looks):
    assert {name: look["images"] for name, look in looks.items() if look["images"]} == {}


def test_nothing_is_cut_on_a_narrow_screen(looks):
    "What is wider than the screen scrolls in a box of its own."
    assert {name: look["cut"] for name, look in looks.items() if look["cut"]} == {}


def test_search_finds_how_to_install(tab, address):
    tab.view(1280, 900)
    tab.open(address + "pca.html")
    tab.js("""(() => { const box = document.querySelector('.smalldocs-search input, #quarto-search input'); box.focus(); box.value = 'install';
               box.dispatchEvent(new Event('input', {bubbles: true})); })()""")
    hits = tab.wait("[...document.querySelectorAll('a.search-result')].map(a => a.href)")
    assert f"{address}index.html" in [link.split("#")[0] for link in hits]


def test_without_scripts_a_phone_has_a_menu_and_formulas(tab, address):
    tab.view(390, 844)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.call("Page.navigate", url=address + "sampling.html")
        box = "(s => { const r = document.querySelector(s).getBoundingClientRect(); return r.width > 20 && r.left >= 0 && r.right <= 390; })"
        tab.wait(f"location.href.endsWith('sampling.html') && document.readyState === 'complete' && {box}('#quarto-sidebar a[href=\"pca.html\"]')")
        assert tab.js(f"{box}('main .katex-html')")
        assert not tab.js("getComputedStyle(document.querySelector('.quarto-btn-toggle')).display !== 'none'")
    finally: tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_search_finds_a_function(tab, address):
    tab.view(1280, 900)
    tab.open(address + "index.html")
    tab.js("""(() => { const box = document.querySelector('.smalldocs-search input, #quarto-search input'); box.focus(); box.value = 'EllipticSampler';
               box.dispatchEvent(new Event('input', {bubbles: true})); })()""")
    hits = tab.wait("[...document.querySelectorAll('a.search-result')].map(a => [a.href, a.textContent])")
    found = [link for link, text in hits if link.startswith(f"{address}sampling.html") and "EllipticSampler" in text]
    assert found
    tab.open(found[0])
    assert "EllipticSampler" in tab.js("(document.getElementById(decodeURIComponent(location.hash.slice(1))) || document.querySelector('main')).closest('section, main').textContent")
    assert not tab.complaints()


BRIGHTNESS = "(s => { const c = getComputedStyle(document.querySelector(s))['{}'].match(/[\\d.]+/g).map(Number); return (c[0] + c[1] + c[2]) / 3; })"


def test_dark_mode(tab, address, pages):
    "Dark page, light text, figures on a white card; the button goes back to the light mode and the choice is kept."
    back, ink = BRIGHTNESS.replace("{}", "backgroundColor"), BRIGHTNESS.replace("{}", "color")
    with_figure = next(name for name, page in pages.items() if page.select_one(".cell-output-display img"))
    tab.view(1280, 900, dark=True)
    tab.open(address + with_figure)
    assert tab.js(f"{back}('body')") < 70 and tab.js(f"{ink}('main p')") > 180
    assert tab.js(f"{back}('.cell-output-display img')") == 255
    assert tab.js("getComputedStyle(document.querySelector('.cell-output-display img')).filter") == "none"
    tab.js("document.querySelector('.quarto-color-scheme-toggle').click()")
    tab.wait(f"{back}('body') > 240")
    tab.open(address + "index.html")
    assert tab.js(f"{back}('body')") > 240
    tab.js("localStorage.clear()")


def test_sidebar_opens_on_a_narrow_screen(tab, address):
    tab.view(390, 844)
    tab.open(address + "sampling.html")
    seen = "(() => { const r = document.querySelector('#quarto-sidebar a[href$=\"pca.html\"]').getBoundingClientRect(); return r.width > 0 && r.left >= 0 && r.right <= 390; })()"
    assert not tab.js(seen)
    tab.js("document.querySelector('.quarto-btn-toggle').click()")
    tab.wait(seen)
