"The website as a reader's browser sees it: built into a temporary folder, served under a path of its own, looked at with headless Chromium."
import functools
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import websocket
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
         "--disable-sync --disable-extensions --disable-dev-shm-usage --mute-audio --hide-scrollbars --remote-debugging-port=0 --remote-allow-origins=*").split()


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
def books(): return sorted((ROOT / "nbs").glob("[!_.]*.ipynb"))


def page_name(book: Path) -> str: return re.sub(r"^\d+[a-z]?_", "", book.stem) + ".html"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope="session")
def address(site):
    "Where the site is served: not at the root of the host, so that a link from the root would fail here as it would at a project's page."
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
        server.shutdown()


# ---------------------------------------------------------------- without a browser

def test_every_notebook_has_a_page(pages, books):
    assert books and set(pages) == {page_name(b) for b in books}


def test_links_resolve(site, pages):
    ids = {name: {e["id"] for e in page.find_all(id=True)} for name, page in pages.items()}
    broken = []
    for name, page in pages.items():
        for a in page.find_all("a", href=True):
            link = urlsplit(urljoin(f"http://host/{name}", a["href"]))
            if link.netloc != "host": continue
            target = unquote(link.path[1:]) or "index.html"
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
    for name, url in loaded_files(site, pages):
        if url.startswith(("data:", "#", "%23")): continue
        link = urlsplit(urljoin(f"http://host/{name}", url))
        if link.netloc != "host" or not (site / unquote(link.path[1:])).is_file(): lost.append((name, url))
    assert not lost


def test_chapters_are_a_path(pages, books):
    "From the home page, `next` leads through all pages, numbered chapters in the order of their numbers, and `previous` leads back."
    def step(name, side):
        a = pages[name].select_one(f".nav-page-{side} a")
        return a and a["href"].split("#")[0].removeprefix("./")
    path = ["index.html"]
    while (name := step(path[-1], "next")) and name not in path: path.append(name)
    numbered = [page_name(b) for b in books if b.name[0].isdigit()]
    assert [n for n in path if n in numbered] == numbered
    assert sorted(path) == sorted(pages)
    assert [step(n, "previous") for n in path[1:]] == path[:-1]


def test_api_is_documented(pages):
    index = json.loads(subprocess.run([sys.executable, "-c", "import json; from latentfaces._modidx import d; print(json.dumps(d['syms']))"],
                                      capture_output=True, text=True, check=True).stdout)
    names = {place.split("#")[1]: place.split("#")[0] for syms in index.values() for name, (place, _) in syms.items()
             if name.count(".") == 2 and not name.rpartition(".")[2].startswith("_")}
    assert "ellipticsampler" in names
    for anchor, name in names.items():
        heading = pages[name].find(id=anchor)
        assert heading and heading.name in ("h3", "h4"), f"{name}#{anchor}"
        source = heading.find_parent(class_="entry").select_one("a.api-source")["href"]
        file, first, last = re.search(r"/blob/\w+/(latentfaces/\w+\.py)#L(\d+)-L(\d+)$", source).groups()
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()[int(first) - 1:int(last)]
        assert re.search(rf"\b(def|class) {anchor}\b", "\n".join(lines), re.I), source
    box = pages["sampling.html"].find(id="ellipticsampler").find_parent(class_="entry")
    assert [row.td.text for row in box.select("tbody tr")][:3] == ["n_components", "factor", "width"]


def test_chapters_link_to_notebook_and_module(pages, books):
    for book in books:
        links = [a["href"] for a in pages[page_name(book)].select(".quarto-code-links a")]
        assert any(a.endswith(f"/nbs/{book.name}") for a in links), book.name
    assert any(a.endswith("/latentfaces/sampling.py") for a in [a["href"] for a in pages["sampling.html"].select(".quarto-code-links a")])


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


def test_llms_txt(site, pages):
    listed = re.findall(r"\]\(\S+/(\S+)\.llms\.md\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert listed[0] == "index" and {f"{n}.html" for n in listed} == set(pages)
    assert not [n for n in listed if re.search(r"data:image/\w+;base64,\w{40}", (site / f"{n}.llms.md").read_text(encoding="utf-8"))]


# ---------------------------------------------------------------- how it is built

@pytest.fixture(scope="session")
def docs():
    "tools/docs.py as a module."
    spec = importlib.util.spec_from_file_location("docs", ROOT / "tools/docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("listed, message", [
    (["nbs/index.ipynb", "nbs/01_images.ipynb"], "nbs/02_autoencoder.ipynb is not in the sidebar"),
    (["nbs/index.ipynb", "nbs/01_images.ipynb", "nbs/02_autoencoder.ipynb", "nbs/99_magic.ipynb"], "lists nbs/99_magic.ipynb, which nbs/ does not have"),
    (["nbs/index.ipynb", "nbs/02_autoencoder.ipynb", "nbs/01_images.ipynb"], "in the order of their numbers"),
    (["nbs/index.ipynb", "nbs/01_images.ipynb", "nbs/01_images.ipynb", "nbs/02_autoencoder.ipynb"], "must stand once"),
])
def test_sidebar_must_fit_the_notebooks(docs, listed, message):
    books = [Path(n) for n in ("index.ipynb", "01_images.ipynb", "02_autoencoder.ipynb")]
    docs.check_sidebar(["nbs/index.ipynb", "nbs/01_images.ipynb", "nbs/02_autoencoder.ipynb"], books)
    with pytest.raises(SystemExit, match=re.escape(message)): docs.check_sidebar(listed, books)


def test_chapters_show_their_number_and_letter(docs):
    titles = {"00_core.ipynb": "Core", "10a_densities.ipynb": "Densities", "cli.ipynb": "Command line"}
    shown = docs.renamed([f"nbs/{name}" for name in titles], titles)
    assert [(item["text"], item["href"]) for item in shown] == [
        ("0 Core", "core.ipynb"), ("10a Densities", "densities.ipynb"), ("Command line", "cli.ipynb")]


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
def notebook(tmp_path, docs, monkeypatch):
    "Writes a notebook and gives the page that the site makes of it."
    monkeypatch.chdir(ROOT)  # nbdev looks for settings.ini there
    def page(*cells):
        path = tmp_path / "08_pca.ipynb"
        path.write_text(json.dumps({"cells": [cell("# Axes\n> of a cloud", "markdown"), *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return docs.page(path)
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


def test_links_in_notebooks(docs, notebook):
    page = notebook(cell("[a](10_sampling.ipynb#x) [b](10_sampling.html) [c](cli.ipynb) [d](../latentfaces/pretrained/model_card.md) [e](https://x.org/1_a.html)"
                         " `LatentPCA` `LatentPCA.rank_` `_blocks`", "markdown"))
    docs.links(page, {"pca.html#latentpca"})
    assert page.cells[-1].source == ("[a](sampling.ipynb#x) [b](sampling.ipynb) [c](cli.ipynb) [d](https://github.com/latentfaces/latentfaces/blob/main/"
                                     "latentfaces/pretrained/model_card.md) [e](https://x.org/1_a.html) [`LatentPCA`](pca.ipynb#latentpca) `LatentPCA.rank_` `_blocks`")


# ---------------------------------------------------------------- with a browser

class Tab:
    "A page of headless Chromium, driven over the DevTools protocol."
    def __init__(self, endpoint):
        self.socket = websocket.create_connection(endpoint, timeout=60)
        self.ids, self.events = itertools.count(1), []
        for domain in ("Page", "Runtime", "Log", "Network"): self.call(f"{domain}.enable")

    def call(self, method, **params):
        "The result of a command; events that arrive before it are kept."
        number = next(self.ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message: raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def js(self, expression):
        "The value of an expression; a promise is waited for."
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer: raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, expression, seconds=30):
        "Wait until an expression is true, and return it."
        end = time.monotonic() + seconds
        while not (value := self.js(expression)):
            if time.monotonic() > end: raise TimeoutError(f"not true after {seconds} s: {expression}")
            time.sleep(0.05)
        return value

    def open(self, url):
        "Load a page and wait until its scripts have run."
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")
        self.js("document.fonts.ready.then(() => true)")

    def view(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def of(self, method): return [e["params"] for e in self.events if e.get("method") == method]

    def complaints(self):
        "What the console shows as an error, exceptions, and files that did not load."
        return ([e["exceptionDetails"]["text"] for e in self.of("Runtime.exceptionThrown")]
                + [str(e["args"][:1]) for e in self.of("Runtime.consoleAPICalled") if e["type"] in ("error", "assert")]
                + [e["entry"]["text"] for e in self.of("Log.entryAdded") if e["entry"]["level"] == "error"]
                + [e["response"]["url"] for e in self.of("Network.responseReceived") if e["response"]["status"] >= 400]
                + [e["errorText"] for e in self.of("Network.loadingFailed")])

    def hosts(self):
        return {urlsplit(e["request"]["url"]).netloc for e in self.of("Network.requestWillBeSent") if not e["request"]["url"].startswith(("data:", "blob:"))}


def start_chromium(profile):
    "A running Chromium and the port it listens on."
    process = subprocess.Popen([CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = profile / "DevToolsActivePort"
    for _ in range(600):
        if port.exists() and port.read_text().strip(): return process, int(port.read_text().split()[0])
        if process.poll() is not None: break
        time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"{CHROMIUM} did not start")


@pytest.fixture(scope="session")
def tab(tmp_path_factory):
    if CHROMIUM is None: pytest.skip("no Chromium found: install the package chromium to test the site in a browser")
    process, port = start_chromium(tmp_path_factory.mktemp("profile"))
    try:
        targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=60))
        yield Tab(next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page"))
    finally:
        process.terminate()
        process.wait(30)


LOOK = """(() => {
  const shown = e => e.getClientRects().length > 0;
  const scrolls = e => e && e.tagName !== 'MAIN' && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const maths = [...document.querySelectorAll('main .math')];
  return {
    title: document.title,
    formulas: maths.length,
    unrendered: maths.filter(m => !m.querySelector('.katex')).map(m => m.textContent),
    errors: [...document.querySelectorAll('.katex-error')].map(e => e.title),
    dollars: [...document.querySelectorAll('main p, main li, main td')].filter(e => !e.querySelector('.math') && /\\$[^$]*[\\\\^_][^$]*\\$/.test(e.textContent)).map(e => e.textContent),
    images: [...document.images].filter(i => shown(i) && !(i.complete && i.naturalWidth)).map(i => i.alt),
    cut: [...document.querySelectorAll('main *')].filter(e => !e.closest('svg, .katex-mathml') && e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e)).map(e => e.outerHTML.slice(0, 80)),
  };
})()"""


@pytest.fixture(scope="session")
def looks(tab, address, pages):
    "Every page once, on a narrow screen: what it shows and what it asked for."
    tab.view(390, 844)
    found = {}
    for name in pages:
        tab.open(address + name)
        found[name] = tab.js(LOOK) | {"complaints": tab.complaints(), "hosts": tab.hosts()}
    return found


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
