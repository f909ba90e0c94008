"""Find the numbers of the prose among the numbers that were printed, and list those that are not there.

`python tools/prose_numbers.py nbs/05_distributions.ipynb README.md` names, for every document, each number of its
prose that no source prints; without arguments it goes through all notebooks and documents. `--random` adds how many
numbers of the same form, but with random digits, would have been found as well: what the check is worth.

Of a notebook the Interpretations are read (of `claims` every sentence), of a document everything outside code
blocks. A number is found when a printed number of at least its precision rounds to it ("23 %" is found in 0.2312 as
well as in 23.12%), or when the code sets it just so. One or two digits are found by chance in any long table, so such
a number must have been printed since the last Interpretation or in a chapter that its paragraph links to, or be quoted
by an Interpretation before; three digits and more may stand anywhere in the chapter or in those it links to. Numbers
that a cell computes into its text are outputs and need no check; those typed between them do.
"""

import argparse
import ast
import html
import json
import random
import re
import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"

# Which notebooks and files a document may quote. A document that is named itself quotes its own tables.
SOURCES = {
    "README.md": (
        "Makefile",
        "nbs/12c_comparison.ipynb",
        "latentfaces/pretrained/config.json",
        "nbs/10_sampling.ipynb",
        "nbs/11_generation.ipynb",
    ),
    "latentfaces/pretrained/model_card.md": ("latentfaces/pretrained/config.json", "nbs/12c_comparison.ipynb"),
    "latentfaces/features/model_card.md": ("latentfaces/features/config.json", "nbs/12c_comparison.ipynb"),
    "benchmarks/README.md": (
        "benchmarks/README.md",
        "benchmarks/sampling.py",
        "benchmarks/peers.py",
        "benchmarks/shards.py",
        "benchmarks/encoding.py",
    ),
}

# Numbers that nobody prints here, as (pattern of the words around them, reason). In the pattern the number in question
# stands between « and ».
EXCEPTIONS = (
    (r"«(19|20)\d\d»(?! *(%|times|of|z-points|points|images|vectors))", "a year"),
    (r"\b[Cc]hapters? (\d+\w? (and|to) )?«\d+»", "the number of a chapter"),
    (r"\b[Ss]ections? «\d+»", "the number of a section"),
    (r"«\d»(?! *(%|per cent))(?!\.\d)", "a single digit without a unit is a word"),
    (r"«2\.35»", "the full width of a Gaussian at half maximum, 2 sqrt(2 ln 2), as post X rounds it"),
    (r"«99\.73 ?%?»", "what three standard deviations hold of a Gaussian"),
    (r"«(170,000|120,000)»", "the number of images in the posts"),
    (r"«(200,000|202,599)»", "the number of images of CelebA"),
    (r"«40» (questions|attributes)", "the number of attributes of CelebA"),
    (r"«140» of 178 pixels|of «178»|from «178» to|«178» pixels", "the size and the crop of CelebA's images"),
    (r"x86_«64»|«64» ?x|x ?«64»|at «64» pixels", "the size of our images"),
    (r"(Python|NumPy|SciPy|Pillow|onnxruntime|TensorFlow|Keras|PyTorch|pythae|scikit-learn) «[\d.]+»", "a version"),
    (r"than «99 in 100» held-out", "from where on a picture counts as a copy, by definition"),
    (r"asked for «", "what was asked for beforehand"),
    (
        r"«0\.93» of the mixture|«42 %» of (them|the children)|says «0\.93»",
        "a face embedding's, measured outside the notebooks",
    ),
)

NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-+−]?)(?P<digits>\d{1,3}(?:[,\u2009\u202f]\d{3})+(?!\d)|\d+)"
    r"(?P<rest>(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"(?!\w|\.\d|,\d{3})(?P<unit>\s?(?:%|\\%|per ?cent\b)|\s(?:in|of) (?:every )?100\b)?"
)
COMMAND = re.compile(r"(?<=`)(?:python |make |latentfaces |--)[^`\n]*(?=`)")
HEDGE = re.compile(r"\b(about|around|nearly|some|almost|roughly|over|under|hardly|than|most|least|to) $")
_STEP = r"\s?(?:±|to|and|or|–|-|,|against|instead of|where)\s?(?:of |at )?[-+−]?\d[\d.]*"
JOINED = re.compile(rf"^\s?±|^(?:{_STEP})+\s?(?:%|per ?cent|(?:in|of) 100\b)")
OUT_OF_100 = re.compile(r"\d (?:of|in) (?:every )?100\b")


@dataclass(frozen=True)
class Number:
    "A number as it was written; `place` is the exponent of its last digit, `either` says that it may be per cent."

    text: str
    value: Decimal
    place: int
    signed: bool = False
    percent: bool = False
    either: bool = False
    around: str = ""

    @property
    def digits(self):
        "How many digits were written from the first to the last that counts: 0.0031 has two, 8,500 has four."
        return len(str(abs(int(self.value.scaleb(-self.place)))))


def plain(text):
    "Prose without what is no number of it: addresses, images, formatting, exponents and indices of formulas."
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<!--.*?-->|https?://\S+", " ", text, flags=re.S)
    text = text.replace("{,}", ",").replace("\\,", " ").replace("\\%", "%").replace("**", "")
    text = re.sub(r"([\d.]+)\s*\\(?:cdot|times)\s*10\^\{?(-?\d+)\}?", r"\1e\2", text)
    text = re.sub(r"(?<![\d.])10\^\{?(-?\d+)\}?", r"1e\1", text)
    text = re.sub(r"\\sqrt\s*\{?\d*\}?|[\^_]\{[^}]*\}|[\^_]\w", " ", text) if "$" in text else text
    return text.replace("$", "").replace("\u00a0", " ")


def numbers(text, prose=True):
    "All numbers of a text, in order."
    text = plain(text) if prose else text
    found = []
    for match in NUMBER.finditer(text):
        digits = re.sub(r"[,\u2009\u202f]", "", match["digits"])
        value, place = Decimal(digits + match["rest"]), Decimal(digits + match["rest"]).as_tuple().exponent
        before, after = text[: match.start()], text[match.end() :]
        if prose and place == 0 and HEDGE.search(before):
            place = len(digits) - len(digits.rstrip("0"))
        negative = match["sign"] in ("-", "−") and match["sign"] != ""
        if prose and re.match(r"\s(million|thousand)\b", after):
            power = 6 if "million" in after[:9] else 3
            value, place = value.scaleb(power), place + power
        around = before[-60:] + "«" + match[0] + "»" + after[:60]
        number = Number(
            match[0].strip(), -value if negative else value, place, bool(match["sign"]), bool(match["unit"])
        )
        joined = not number.percent and bool(JOINED.match(after) or before.rstrip().endswith("±"))
        joined |= place == 0 and 1 < value <= 100 and bool(OUT_OF_100.search(text))
        found.append(replace(number, either=joined, around=" ".join(around.split())))
    return found


def agrees(prose, printed, loose=False):
    "Whether a printed number rounds to the one in the prose; `loose`: a printed number without % may mean per cent."
    if prose.either:
        kinds = (replace(prose, either=False), replace(prose, either=False, percent=True))
        return any(agrees(kind, printed, loose) for kind in kinds)
    value, place, shift = prose.value, prose.place, 0
    if prose.percent and not printed.percent:
        if loose and _rounds(value, place, printed.value, printed.place, prose.signed):
            return True
        shift = -2 if abs(printed.value) <= 1 else None
    elif printed.percent and not prose.percent:
        shift = 2 if abs(value) <= 1 and place < 0 else None
    if shift is None:
        return False
    return _rounds(value.scaleb(shift), place + shift, printed.value, printed.place, prose.signed)


def _rounds(value, place, printed, printed_place, signed):
    "Whether `printed`, at least as precise, rounds to `value`; without a sign only the size counts."
    if printed_place > place:
        return False
    distance = abs(printed - value) if signed else abs(abs(printed) - abs(value))
    return distance <= Decimal(5).scaleb(place - 1)


@dataclass(frozen=True)
class Printed:
    "A printed number and the cell that printed it."

    number: Number
    cell: int
    loose: bool = False
    literal: bool = False


def source_of(cell):
    return "".join(cell["source"])


def cells_of(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))["cells"]


def output_texts(cell):
    "The texts that a code cell shows: streams, plain text, Markdown and HTML tables; none of `show_doc`."
    if "show_doc(" in source_of(cell):
        return
    for output in cell.get("outputs", []):
        if "text" in output:
            yield "".join(output["text"])
        for kind, data in output.get("data", {}).items():
            text = "".join(data) if kind.startswith("text/") else ""
            if kind == "text/html":
                text = re.sub(r"<(style|script)\b.*?</\1>|\s*<[^>]+>\s*", " ", text.replace("</tr>", "\n"), flags=re.S)
                text = html.unescape(text)
            if text and not text.startswith(("<Figure", "<IPython", "<Axes")):
                yield text


STYLE = set("figsize dpi alpha lw linewidth ms markersize fontsize s xlim ylim width height".split())


def literals(code):
    "The numbers that are written in code as settings: those of drawing left out."
    try:
        tree = ast.parse(re.sub(r"^\s*[%!].*$", "", code, flags=re.M))
    except SyntaxError:
        return
    style = {id(x) for k in ast.walk(tree) if isinstance(k, ast.keyword) and k.arg in STYLE for x in ast.walk(k)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and id(node) not in style:
            value = Decimal(repr(node.value))
            yield Number(repr(node.value), value, value.as_tuple().exponent)


def exact(prose, literal):
    "A setting is quoted as it is written, not rounded; a share may be quoted in per cent."
    return abs(prose.value) in (literal.value, literal.value * 100 if prose.percent or prose.either else literal.value)


def printed_by(path):
    "Every number that a notebook, a JSON file, a script or the tables and commands of a document print."
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [Printed(n, 0) for n in _json_numbers(json.loads(text))]
    if path.suffix == ".py":
        return [Printed(n, 0, literal=True) for n in literals(text)]
    if path.suffix != ".ipynb":
        rows = [line for line in text.splitlines() if line.startswith("|") or path.suffix != ".md"]
        found = [Printed(n, 0, "%" in row) for row in rows for n in numbers(plain(row), prose=False)]
        commands = " ".join(COMMAND.findall(text))
        return found + [Printed(n, 0, literal=True) for n in numbers(commands, prose=False)]
    found = []
    for i, cell in enumerate(cells_of(path)):
        if cell["cell_type"] != "code":
            continue
        found += [Printed(n, i, literal=True) for n in literals(source_of(cell))]
        for text in output_texts(cell):
            head = bool(re.search("%|per cent", "".join(text.splitlines()[:2])))
            for line in text.splitlines():
                found += [Printed(n, i, head or "%" in line) for n in numbers(line, prose=False)]
    return found


def _json_numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [n for item in value for n in _json_numbers(item)]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    return numbers(f"{value:.12f}".rstrip("0") if isinstance(value, float) else str(value), prose=False)


@dataclass(frozen=True)
class Passage:
    """A paragraph of prose, the cell it stands in, and the cell after which printing counts as near.

    `typed` is what somebody wrote between the numbers that a cell computes into its text.
    """

    text: str
    cell: int
    since: int
    linked: tuple = ()
    typed: bool = False


def passages(path):
    "The paragraphs to be checked: Interpretations of a notebook, everything of `claims` and of a document."
    path = Path(path)
    if path.suffix == ".md":
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        text = COMMAND.sub("", text)  # options of a command are no results
        text = "\n\n".join(re.split(r"\n(?=[|-] |\|)", text))
        return [Passage(p, 10**9, -1) for p in re.split(r"\n\s*\n", text) if p.strip()]
    cells = cells_of(path)
    return list(_sections(cells) if path.stem == "claims" else _interpretations(cells))


def _interpretations(cells):
    "The paragraphs of all Interpretations, and all that is typed into computed text."
    since, section = -1, False
    for i, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            typed = _typed(source_of(cell))
            yield from (_passage(paragraph, i, since, typed=True) for paragraph in typed)
            since = i if any("**Interpretation" in paragraph for paragraph in typed) else since
        else:
            chosen, section = _chosen(source_of(cell), section)
            yield from (_passage(paragraph, i, since) for paragraph in chosen)
            since = i if chosen else since


def _typed(code):
    "The paragraphs that a cell writes as Markdown, each computed number replaced by a box."
    if "Markdown(" not in code:
        return []
    texts = [text for text in _strings(ast.parse(code)) if len(text.split()) > 5]
    return [paragraph for text in texts for paragraph in re.split(r"\n\s*\n", text)]


def _strings(node):
    "The texts in a syntax tree."
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "\u25a1" for part in node.values)
        for part in node.values:
            yield from _strings(part.value) if isinstance(part, ast.FormattedValue) else ()
    elif isinstance(node, ast.Constant):
        yield from [node.value] if isinstance(node.value, str) else []
    else:
        for child in ast.iter_child_nodes(node):
            yield from _strings(child)


def _passage(paragraph, cell, since, typed=False):
    linked = re.findall(r"\]\((\w+)\.(?:html|ipynb)", paragraph)
    return Passage(re.sub(r"^#.*", "", paragraph), cell, since, tuple(linked), typed)


def _sections(cells):
    "Every paragraph of a notebook, with the section that it may quote; the last Interpretation quotes the whole."
    heads = [i for i, cell in enumerate(cells) if cell["cell_type"] == "markdown" and source_of(cell).startswith("#")]
    for i, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            yield from (_passage(paragraph, i, -1, typed=True) for paragraph in _typed(source_of(cell)))
        else:
            since = max([h for h in heads if h <= i], default=0) - 1
            until = min([h for h in heads if h > i], default=len(cells))
            for paragraph in re.split(r"\n\s*\n", source_of(cell)):
                yield _passage(paragraph, until, -1 if "**Interpretation" in source_of(cell) else since)


def _chosen(text, section):
    "The paragraphs of an Interpretation in a cell, and whether a section of that name goes on after it."
    chosen, here = [], False
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith("#"):
            section, here = "Interpretation" in paragraph.splitlines()[0], False
        here |= section or paragraph.startswith("**Interpretation")
        if here:
            chosen.append(paragraph)
    return chosen, section


def excused(number):
    "The reason why a number need not be printed, or an empty text."
    return next((reason for pattern, reason in EXCEPTIONS if re.search(pattern, number.around)), "")


def is_found(number, passage, own, others, quoted=()):
    "Whether the number was printed where its passage may quote it from, or quoted by an Interpretation before."
    if number.text in quoted:
        return True
    near = number.digits < 3
    for p in own:
        if passage.typed and p.cell == passage.cell and not p.literal:
            continue
        if near and not passage.since < p.cell <= passage.cell:
            continue
        if exact(number, p.number) if p.literal else agrees(number, p.number, p.loose):
            return True
    return any(not p.literal and agrees(number, p.number, p.loose) for p in others)


def document(path):
    "The passages of a document, each with the numbers that it may quote: from itself, and from what it links to."
    path = Path(path)
    name = path.resolve().relative_to(ROOT).as_posix() if path.resolve().is_relative_to(ROOT) else path.name
    if name in SOURCES:
        own, cache = [replace(p, cell=0) for s in SOURCES[name] for p in printed_by(ROOT / s)], {}
    else:
        own, cache = printed_by(path), {}
    for passage in passages(path):
        links = [path.parent / f"{stem}.ipynb" for stem in passage.linked]
        for link in links:
            if link.exists() and link not in cache:
                cache[link] = printed_by(link)
        yield passage, own, [p for link in links for p in cache.get(link, [])]


def missing(path):
    "The numbers of a document's prose that are printed nowhere, and how many were looked for."
    absent, total, quoted = [], 0, set()
    for passage, own, others in document(path):
        wanted = [number for number in numbers(passage.text) if not excused(number)]
        lost = [number for number in wanted if not is_found(number, passage, own, others, quoted)]
        quoted |= {number.text for number in wanted} - {number.text for number in lost}
        absent, total = absent + lost, total + len(wanted)
    return absent, total


def scrambled(number, rng):
    "A number of the same form with other digits."
    size = len(str(abs(int(number.value.scaleb(-number.place)))))
    digits = Decimal(rng.randint(10 ** (size - 1), 10**size - 1))
    value = digits.scaleb(number.place).copy_sign(number.value)
    return replace(number, value=value, text=f"{value:,f}" + " %" * number.percent)


def by_chance(path, repeats=20, seed=0):
    "Of numbers with random digits: how many were tried and how many found, for each count of digits."
    rng, counts, quoted = random.Random(seed), {}, set()
    for passage, own, others in document(path):
        wanted = [number for number in numbers(passage.text) if not excused(number)]
        for number in wanted:
            tally = counts.setdefault(min(number.digits, 4), [0, 0])
            trials = [scrambled(number, rng) for _ in range(repeats)]
            tally[0] += repeats
            tally[1] += sum(is_found(trial, passage, own, others, quoted) for trial in trials)
        quoted |= {number.text for number in wanted}
    return counts


def everything():
    "All notebooks and documents that are checked."
    return [*sorted(NBS.glob("[!_.]*.ipynb")), *(ROOT / name for name in SOURCES)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--random", action="store_true", help="how many random numbers would have been found")
    args = parser.parse_args()
    lost = 0
    for path in args.paths or everything():
        absent, total = missing(path)
        lost += len(absent)
        print(f"{path.name}: {len(absent)} of {total} numbers not found")
        for number in absent:
            print(f"    {number.text:>10}   ...{number.around}...")
        if args.random:
            for digits, (tried, hits) in sorted(by_chance(path).items()):
                print(f"    by chance, {digits} digits{' or more' * (digits == 4)}: {hits / tried:.0%} of {tried}")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
