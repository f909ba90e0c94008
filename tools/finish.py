"""From what the renderer wrote to what is served.

Pictures become files, formulas are rendered, whatever scrolls can be reached by keyboard, nothing comes from another
host, and what a reader without JavaScript needs is there.
"""

import base64
import hashlib
import logging
import re
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup
from fontTools.subset import Options, Subsetter, load_font, save_font
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
DATA_URI = re.compile(r"data:image/(\w+);base64,(.+)", re.S)
NARROW = 40  # columns of code that a phone shows
COLUMNS = re.compile(r"\S {2,}\S")  # more than one space between words sets them apart as columns
WIDEST = 124  # columns that fit beside both sidebars, in the smallest letters


# ---------------------------------------------------------------- formulas


@cache
def katex():
    "KaTeX in a JavaScript engine of its own."
    from py_mini_racer import MiniRacer

    engine = MiniRacer()
    engine.eval((HERE / "katex/katex.min.js").read_text(encoding="utf-8"))
    return engine


@cache
def formula(tex: str, display: bool) -> str:
    "A formula as HTML, with MathML for those who listen."
    return katex().call("katex.renderToString", tex, {"displayMode": display})


def take_formulas(soup) -> list:
    "Leave a mark where a formula stands, and return them all; the page needs KaTeX's style sheet, and no script."
    for script in soup.find_all("script"):
        if "katex" in script.get("src", "") or "katex" in script.text:
            script.decompose()
    for sheet in soup.find_all("link", rel="stylesheet"):
        if "katex" in sheet["href"]:
            sheet.decompose()
    found = []
    for span in soup.find_all("span", class_="math"):
        tex = re.sub(r"^\\[(\[]|\\[)\]]$", "", span.text.strip())
        found.append(formula(tex, "display" in span["class"]))
        span.string = f"@@formula {len(found) - 1}@@"
    if found:
        own = soup.new_tag("link", rel="stylesheet", href="assets/katex/katex.min.css")
        soup.head.find_all("link", rel="stylesheet")[-1].insert_after(own)
    return found


def put_formulas(page: str, formulas: list) -> str:
    "The text of a page with its formulas where the marks are; parsing them first would take longer than all the rest."
    return re.sub(r"@@formula (\d+)@@", lambda m: formulas[int(m[1])], page)


# ---------------------------------------------------------------- pictures


def keep_picture(data: bytes, kind: str, out: Path) -> str:
    "Write a picture once, under a name made of what is in it; returns its address."
    name = f"figures/{hashlib.sha256(data).hexdigest()[:16]}.{'jpg' if kind == 'jpeg' else kind}"
    file = out / name
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_bytes(data)
    return name


def picture_size(file: Path) -> tuple:
    "Width and height in pixels; of a drawing (SVG) what it says itself."
    if file.suffix != ".svg":
        with Image.open(file) as image:
            return image.size
    box = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', file.read_text(encoding="utf-8"))
    return (round(float(box[1])), round(float(box[2]))) if box else ()


def place_pictures(soup, out: Path) -> None:
    "Pictures as files that keep their place while they load; all but the first wait until they are near the screen."
    for i, img in enumerate(soup.find_all("img")):
        inside = DATA_URI.match(img.get("src", ""))
        if inside:
            img["src"] = keep_picture(base64.b64decode(inside[2]), inside[1], out)
        file = out / img["src"]
        size = picture_size(file) if file.is_file() else ()
        if size and not img.has_attr("width"):
            img["width"], img["height"] = map(str, size)
        if i:
            img["loading"] = "lazy"
        img["decoding"] = "async"


def share_pictures(out: Path) -> None:
    "The pages for language models name the same picture files as the pages for people; copies go."
    for file in sorted(out.glob("*_files/*")):
        name = keep_picture(file.read_bytes(), file.suffix[1:].replace("jpg", "jpeg"), out)
        page = out / f"{file.parent.name.removesuffix('_files')}.llms.md"
        old = f"{file.parent.name}/{file.name}"
        page.write_text(page.read_text(encoding="utf-8").replace(old, name), encoding="utf-8")
        file.unlink()
    for folder in out.glob("*_files"):
        folder.rmdir()


# ---------------------------------------------------------------- blocks that may be wider than the screen


def reachable(element, label: str) -> None:
    "Let the keyboard scroll an element; a group, as a region each would flood the list of landmarks."
    element["tabindex"] = "0"
    element["role"] = "group"
    element["aria-label"] = label


def fit_code(soup) -> None:
    """Tell the style sheet how many columns a block has, so that it fits where it can, and let the keyboard scroll it.

    What is printed without columns, or in very long lines, is no table: it is wrapped.
    """
    for pre in soup.select("main pre"):
        text = pre.get_text().expandtabs(4)
        columns = max((len(line) for line in text.splitlines()), default=0)
        printed = pre.find_parent(class_="cell-output") is not None
        sentences = printed and not COLUMNS.search(text)
        if sentences or (columns > WIDEST and "python" not in pre.get("class", [])):
            pre["class"] = [*pre.get("class", []), "wrapped"]
            continue
        pre["style"] = f"--columns: {columns}"
        if columns > NARROW:
            reachable(pre, "Output" if printed else "Code")


def join_heads(table) -> None:
    "pandas writes the name of the index in a row of its own: move it into the empty corner above."
    rows = table.select("thead tr")
    if len(rows) == 2:
        corner, *_ = rows[0].find_all(["th", "td"])
        name, *others = rows[1].find_all(["th", "td"])
        if not corner.get_text(strip=True) and not any(cell.get_text(strip=True) for cell in others):
            corner.string = name.get_text(strip=True)
            rows[1].decompose()


def fit_tables(soup) -> None:
    "A table scrolls in a box of its own."
    for old in soup.select("main table[border]"):
        del old["border"]
    for table in soup.select("main table"):
        join_heads(table)
        box = table.parent
        if "sd-table" not in box.get("class", []):
            box = table.wrap(soup.new_tag("div"))
        box["class"] = "table-box"
        for head in table.find_all("th"):
            if not head.get_text(strip=True):  # the corner of a table heads nothing
                head.name = "td"
        caption = table.find("caption")
        reachable(box, caption.get_text(" ", strip=True) if caption else "Table")


def plain_output(soup) -> None:
    "Colours that a terminal would show (Keras's summary) are too pale on paper: leave them out."
    for span in soup.select(".cell-output pre span[style], .cell-output pre[style*=font]"):
        del span["style"]


def fit_formulas(soup) -> None:
    "Long formulas scroll as well."
    for block in soup.select("span.math.display"):
        reachable(block, "Formula")


# ---------------------------------------------------------------- landmarks and names

LANDMARKS = {
    "#quarto-header nav.navbar": "Site",
    "nav.quarto-secondary-nav": "Page",
    "#quarto-header .quarto-page-breadcrumbs": "Path",
    "main .quarto-page-breadcrumbs": "Path to this page",
    "#quarto-sidebar": "Chapters",
    "nav#TOC": "On this page",
    "nav.page-navigation": "Previous and next page",
}


def name_landmarks(soup) -> None:
    "Parts of the page under names of their own, links that are buttons as buttons, icons that say nothing silent."
    for selector, label in LANDMARKS.items():
        for nav in soup.select(selector):
            nav["aria-label"] = label
    for margin in soup.find_all(id="quarto-margin-sidebar"):
        margin["role"] = "complementary"
        margin["aria-label"] = "About this page"
    for icon in soup.find_all("i", class_="bi"):
        icon["aria-hidden"] = "true"
        icon.attrs.pop("role", None)
    for link in soup.find_all("a"):
        name_link(link)


def name_link(link) -> None:
    "A link that does something on the page is a button; one that is only an icon has a name."
    classes = link.get("class", [])
    if link.get("role") == "navigation":
        link["aria-controls"] = link.get("data-bs-target", "").lstrip("#")
    elif "quarto-color-scheme-toggle" in classes:
        link["aria-label"] = "Dark or light"
    elif link.get("id") != "quarto-back-to-top":
        return
    link["role"] = "button"
    link["tabindex"] = "0"
    if link.get("aria-label") == "Toggle section":
        link["aria-label"] = f"Fold {link.parent.find(class_='menu-text').get_text(strip=True)}"


def break_names(soup) -> None:
    "Long names break at their dots and underscores on a narrow screen."
    for heading in soup.select(".api h3, .api h4"):
        pieces = re.split(r"(?<=[._])", heading.get_text())
        heading.clear()
        for i, piece in enumerate(pieces):
            heading.extend([soup.new_tag("wbr"), piece] if i else [piece])


def add_skip_link(soup) -> None:
    "The first thing that the keyboard reaches."
    main = soup.find("main")
    main["id"] = main.get("id") or "quarto-document-content"
    main["tabindex"] = "-1"
    link = soup.new_tag("a", href=f"#{main['id']}")
    link["class"] = "skip-link"
    link.string = "Skip to the text"
    soup.body.insert(0, link)


def load_early(soup) -> None:
    "The page is shown before the scripts in its head have come, and in the letters that it will keep."
    for script in soup.head.find_all("script", src=True):
        script["defer"] = ""
    font = "assets/fonts/source-sans-3-latin-wght-normal.woff2"
    kind = {"rel": "preload", "as": "font", "type": "font/woff2", "crossorigin": "anonymous"}
    soup.head.find("link", rel="stylesheet").insert_before(soup.new_tag("link", href=font, attrs=kind))


def add_fallbacks(soup) -> None:
    "What a page looks like where scripts do not run."
    block = soup.new_tag("noscript")
    block.append(soup.new_tag("link", rel="stylesheet", href="assets/noscript.css"))
    soup.head.append(block)


def add_card(soup, site_url: str) -> None:
    "The picture that other sites show beside a link to this one."
    fields = {
        "og:image": f"{site_url}/og.jpg",
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": "Faces drawn at random from the latent space of an autoencoder",
        "twitter:card": "summary_large_image",
    }
    for name, content in fields.items():
        kind = "name" if name.startswith("twitter") else "property"
        for old in soup.find_all("meta", {kind: name}):
            old.decompose()
        soup.head.append(soup.new_tag("meta", attrs={kind: name, "content": content}))


def draw_card(out: Path) -> None:
    "The first picture of the landing page, in the shape that other sites show."
    soup = BeautifulSoup((out / "index.html").read_text(encoding="utf-8"), "html.parser")
    with Image.open(out / soup.main.img["src"]) as image:
        ImageOps.pad(image.convert("RGB"), (1200, 630), Image.Resampling.LANCZOS, "white").save(
            out / "og.jpg", quality=85
        )


# ---------------------------------------------------------------- the whole site


def finish_page(file: Path, out: Path, site_url: str) -> None:
    "One page."
    soup = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
    formulas = take_formulas(soup)
    place_pictures(soup, out)
    plain_output(soup)
    fit_code(soup)
    fit_tables(soup)
    fit_formulas(soup)
    name_landmarks(soup)
    break_names(soup)
    add_skip_link(soup)
    load_early(soup)
    add_fallbacks(soup)
    add_card(soup, site_url)
    file.write_text(put_formulas(str(soup), formulas), encoding="utf-8")


def no_web_fonts(out: Path) -> None:
    "Nothing is loaded from another host."
    pattern = re.compile(r"@import\s*(?:url\(\s*[\"']?https?://[^)]*\)|([\"'])https?://.*?\1)\s*;")
    for file in out.rglob("*.css"):
        text = file.read_text(encoding="utf-8")
        clean = pattern.sub("", text)
        if clean != text:
            file.write_text(clean, encoding="utf-8")


def fewer_icons(out: Path) -> None:
    "Of two thousand icons the style sheet keeps those that stand on a page: it is waited for before anything is seen."
    sheet = out / "site_libs/bootstrap-icons/bootstrap-icons.min.css"
    if not sheet.exists():
        return
    styles = list((out / "site_libs").glob("*.css"))
    users = [*out.glob("*.html"), *(out / "site_libs").glob("*.js"), *styles]
    used = {name for file in users for name in re.findall(r"bi-[a-z0-9-]+", file.read_text(encoding="utf-8"))}
    rule = re.compile(r"\.(bi-[a-z0-9-]+)::before\{content:[^}]*\}")
    text = rule.sub(lambda m: m[0] if m[1] in used else "", sheet.read_text(encoding="utf-8"))
    codes = re.findall(r'content:\s*"\\([0-9a-f]{4,5})"', text + "".join(f.read_text("utf-8") for f in styles))
    fewer_glyphs(sheet.parent / "fonts", {int(code, 16) for code in codes})
    source = 'src:url("fonts/bootstrap-icons.woff") format("woff")}'
    sheet.write_text(re.sub(r"src:url\([^}]*\}", lambda _: source, text, count=1), encoding="utf-8")


def fewer_glyphs(fonts: Path, codes: set) -> None:
    "The font of the icons with no more than these characters, in the one format that every browser reads."
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it finds two bytes too many in this font
    font = load_font(fonts / "bootstrap-icons.woff", Options(flavor="woff"))
    chosen = Subsetter(Options())
    chosen.populate(unicodes=codes)
    chosen.subset(font)
    save_font(font, fonts / "bootstrap-icons.woff", Options(flavor="woff"))
    (fonts / "bootstrap-icons.woff2").unlink()


def add_not_found(out: Path, base: str) -> None:
    "The page for addresses that lead nowhere; it is served under any address, so its links start at the site's root."
    soup = BeautifulSoup((out / "index.html").read_text(encoding="utf-8"), "html.parser")
    soup.title.string = "Not here – latentfaces"
    for old in soup.select("#quarto-margin-sidebar, .page-navigation, meta[name=description], meta[property^=og]"):
        old.decompose()
    soup.head.insert(0, soup.new_tag("base", href=base))
    main = soup.find("main")
    main.clear()
    text = (
        "<h1 class='title'>There is no page here</h1><p>It may have moved. <a href='index.html'>The first page</a> and "
        "<a href='api.html'>the list of all public names</a> lead to everything.</p>"
    )
    main.append(BeautifulSoup(text, "html.parser"))
    soup.select_one(".skip-link").decompose()  # an address that begins with `#` would lead to the site's root
    (out / "404.html").write_text(str(soup), encoding="utf-8")


def in_order(llms: Path, names: list) -> None:
    "List the pages for language models in the order of the sidebar."
    head, *entries = re.split(r"^(?=- \[)", llms.read_text(encoding="utf-8"), flags=re.M)

    def place(entry):
        return next((i for i, name in enumerate(names) if f"/{name}." in entry), len(names))

    llms.write_text(head + "".join(sorted(entries, key=place)), encoding="utf-8")


def finish(out: Path, order: list, site_url: str, base: str) -> None:
    "Everything that the renderer leaves to do."
    for file in sorted(out.glob("*.html")):
        finish_page(file, out, site_url)
    share_pictures(out)
    no_web_fonts(out)
    fewer_icons(out)
    add_not_found(out, base)
    draw_card(out)
    if (out / "llms.txt").exists():
        in_order(out / "llms.txt", order)
