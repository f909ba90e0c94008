"The chapters on the landing page as cards: a picture out of each, beside what it asks."

import base64
import io
import re
from pathlib import Path

from chapters import NUMBER, has_picture, options
from PIL import Image, ImageOps

MARK = "<!-- cards -->"  # in the notebook, before the list that becomes cards
ITEM = re.compile(r"^- \[([^\]]+)\]\(([\w.]+\.ipynb)\)", re.M)
SIZE = (480, 300)
# Which picture of a chapter stands for it, counted from 0; the first one where nothing is said
PICTURE = {
    "training": 1,
    "bundle": 2,
    "distributions": 1,
    "correlations": 2,
    "gaussian": 5,
    "sampling": 2,
    "densities": 1,
    "flow": 2,
    "generation": 4,
    "comparison": 1,
    "claims": 5,
}
DIAGRAM = {"autoencoder": "images/autoencoder.svg"}  # a drawing for a chapter without pictures


def pictures(nb) -> list:
    "Pictures of a page and what they show, in order."
    found = []
    for cell in nb.cells:
        if cell.cell_type == "code" and has_picture(cell):
            alt = options(cell.source).get("fig-alt", "")
            datas = [o["data"] for o in cell.outputs if "data" in o]
            found += [(alt, data[mime]) for data in datas for mime in data if mime in ("image/png", "image/jpeg")]
    return found


def thumbnail(encoded, target: Path) -> None:
    "The left end of a picture, small."
    with Image.open(io.BytesIO(base64.b64decode("".join(encoded)))) as image:
        picture = Image.new("RGB", image.size, "white")
        picture.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    target.parent.mkdir(exist_ok=True)
    ImageOps.fit(picture, SIZE, Image.Resampling.LANCZOS, centering=(0, 0)).save(target, quality=82)


def card(match, pages: dict, work: Path) -> str:
    "A line of the list with the chapter's picture before its name; without one where the chapter has none."
    name = NUMBER.sub("", Path(match[2]).stem)
    nb = next((nb for book, nb in pages.items() if book.name == match[2]), None)
    found = pictures(nb) if nb else []
    if not found:
        drawn = DIAGRAM.get(name)
        return f"- ![Encoder and decoder]({drawn}) [{match[1]}]({match[2]})" if drawn else match[0]
    alt, encoded = found[min(PICTURE.get(name, 0), len(found) - 1)]
    thumbnail(encoded, work / f"thumbnails/{name}.jpg")
    alt = re.sub(r"[\[\]\\$]", "", str(alt))
    return f"- ![{alt}](thumbnails/{name}.jpg) [{match[1]}]({match[2]})"


def with_cards(text: str, pages: dict, work: Path) -> str:
    "The text of a cell, each list that asks for them as cards."
    before, *lists = text.split(MARK)
    for after in lists:
        listed, blank, rest = after.strip("\n").partition("\n\n")
        items = ITEM.sub(lambda m: card(m, pages, work), listed)
        before = f"{before.rstrip()}\n\n::: {{.cards}}\n\n{items}\n\n:::{blank}{rest}"
    return before


def add_cards(pages: dict, work: Path) -> None:
    "Put pictures into the lists of chapters that ask for them."
    for nb in pages.values():
        for cell in nb.cells:
            if cell.cell_type == "markdown" and MARK in cell.source:
                cell.source = with_cards(cell.source, pages, work)
