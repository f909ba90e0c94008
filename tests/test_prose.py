"Prose equals print: every number of an Interpretation, of the claims and of the documents is printed where it comes from."
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import prose_numbers as prose  # noqa: E402


def id_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", prose.everything(), ids=id_of)
def test_every_number_of_the_prose_is_printed(path):
    absent, _ = prose.missing(path)
    assert not absent, "\n" + "\n".join(f"{n.text}: ...{n.around}..." for n in absent)


def test_there_is_something_to_check():
    totals = {path: prose.missing(path)[1] for path in prose.everything()}
    assert sum(totals.values()) > 200
    assert all(totals[ROOT / name] > 10 for name in prose.SOURCES)


def test_few_wrong_numbers_would_be_found_by_chance(capsys):
    counts = {}
    for path in prose.everything():
        for digits, (tried, hits) in prose.by_chance(path, repeats=3).items():
            tally = counts.setdefault(digits, [0, 0])
            tally[0], tally[1] = tally[0] + tried, tally[1] + hits
    shares = {digits: hits / tried for digits, (tried, hits) in sorted(counts.items())}
    with capsys.disabled():
        print(" random numbers found, by digits: " + ", ".join(f"{d}: {s:.0%}" for d, s in shares.items()), end=" ")
    assert shares[3] < 0.10 and shares[4] < 0.02


SAMPLERS = {  # how the README's table calls the rows of nbs/comparison.json
    "reconstructions": "reconstructions",
    "`MixtureSampler(n_gaussians=40": "mixture of 40",
    "`BlendSampler()`": "two parents",
    "`MixtureSampler(n_gaussians=10": "mixture of 10",
    "`GaussianSampler()`": "Gaussian",
    "`EigenfaceSampler()`": "eigenfaces",
    "`EllipticSampler()`": "elliptic, factor 0.7",
}


def test_the_table_of_the_readme_is_that_of_the_comparison():
    "In long tables any two digits are found by chance, so this one is compared cell by cell."
    measured = json.loads((ROOT / "nbs" / "comparison.json").read_text(encoding="utf-8"))
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Which sampler?")[2].partition("## ")[0]
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(SAMPLERS)
    for (label, *cells, verified), (start, name) in zip(rows, SAMPLERS.items()):
        assert label.startswith(start)
        for cell, judge in zip(cells, ("own", "onet", "dlib"), strict=True):
            found = measured["panel"][f"{judge} frechet"]
            ratio = sum(found[name]) / sum(found["mixture of 10"])
            assert prose.agrees(one(cell), printed(f"{ratio:.6f}")), (label, cell, ratio)
        share = measured["leak"]["rows"].get(name, {}).get("as_rebuilt")
        assert verified == "has none" if share is None else prose.agrees(one(verified), printed(f"{share[0]:.6f}"))


def one(text):
    (number,) = prose.numbers(text)
    return number


def printed(text):
    (number,) = prose.numbers(text, prose=False)
    return number


@pytest.mark.parametrize(("text", "output"), [
    ("0.23", "0.2312"), ("0.23", "0.23"), ("23 %", "23.1%"), ("23 %", "0.2312"), ("0.231", "23.1 %"), ("8,500", "8500"),
    ("8500", "8,500"), ("-0.42", "-0.4213"), ("−0.42", "-0.42"), ("$-1.74$ nats", "-1.7378"), ("99 in 100", "99.3%"),
    (r"$4\cdot10^{-15}$", "3.9e-15"), (r"$7{,}500$", "7500"), ("about 30", "29.3"), ("nearly 200", "231"), ("45", "44.8"),
    ("skewness 0.35", "-0.351"), ("100 %", "100.00%"), ("0.5", "0.45"), ("1.80", "1.8012"), ("23 per cent", "23.4%"),
])  # fmt: skip
def test_a_rounded_number_is_found(text, output):
    assert prose.agrees(one(text), printed(output))


@pytest.mark.parametrize(("text", "output"), [
    ("0.32", "0.2312"), ("0.24", "0.2312"), ("23 %", "32.1%"), ("23 %", "23.1"), ("2.3 %", "0.2312"), ("8,500", "8,400"),
    ("-0.42", "0.42"), ("0.231", "0.23"), ("0.80", "0.8"), ("30", "29.3"), ("1.74", "1.47"), ("450", "45"), ("0.5", "0.44"),
])  # fmt: skip
def test_a_wrong_number_is_not(text, output):
    assert not prose.agrees(one(text), printed(output))


def test_ranges_spreads_and_lists_share_their_unit():
    low, high = prose.numbers("from 2.5 to 5.3 %")
    assert prose.agrees(low, printed("2.51%")) and prose.agrees(high, printed("5.3%"))
    for text, outputs in (
        ("40.2, 86.6 and 98.6 %", ("40.2%", "0.8661", "98.62 %")),
        ("95 of 100 here and 76 there", ("95%", "76.3%")),
    ):
        assert all(prose.agrees(n, printed(output)) for n, output in zip(prose.numbers(text), outputs, strict=True))
    share, spread = prose.numbers("6.5 ± 1.7 %")
    assert prose.agrees(share, printed("0.065")) and not prose.agrees(spread, printed("0.17"))


@pytest.mark.parametrize("text", ["x86_64", "uint8", "12c", "3.11.7", "64x64", "[chapter](10_sampling.ipynb)", "$x_3$", "$K^2$"])
def test_what_is_no_number(text):
    assert not prose.numbers(text)


@pytest.mark.parametrize("text", ["in 2023 he wrote", "chapter 10 has", "5 of them", "the width 2.35 of a bell"])
def test_exceptions_are_excused_by_rule(text):
    assert prose.excused(one(text))


@pytest.mark.parametrize("text", ["2023 times as far", "5 % of them", "10 chapters", "2.36", "170,001", "0.5"])
def test_what_only_looks_like_an_exception_is_not(text):
    assert not prose.excused(one(text))


def notebook(tmp_path, *cells):
    "A notebook of (text) or (code, printed) cells."
    made = [
        {"cell_type": "markdown", "source": c} if isinstance(c, str)
        else {"cell_type": "code", "source": c[0], "outputs": [{"output_type": "stream", "name": "stdout", "text": c[1]}]}
        for c in cells
    ]  # fmt: skip
    path = tmp_path / "a_chapter.ipynb"
    path.write_text(json.dumps({"cells": made}))
    return path


def absent(path):
    return [n.text for n in prose.missing(path)[0]]


def test_an_interpretation_is_compared_with_what_was_printed_before_it(tmp_path):
    first = ("f(n=300)", "error 0.1234, share 41.27%")
    assert not absent(notebook(tmp_path, first, "**Interpretation.** It is 0.12, of 41 %, with 300 points."))
    assert absent(notebook(tmp_path, first, "**Interpretation.** It is 0.21, of 14 %, with 400 points.")) == ["0.21", "14 %", "400"]
    assert not absent(notebook(tmp_path, first, "Here is 0.99, which nobody checks."))


def test_two_digits_must_be_near_and_three_may_be_far(tmp_path):
    before, after = ("", "0.1234 and 41.27%"), "**Interpretation.** Now 0.123 and 41 %."
    assert absent(notebook(tmp_path, before, "**Interpretation.** Well.", ("", "0.5"), after)) == ["41 %"]
    assert not absent(notebook(tmp_path, before, "**Interpretation.** It is 41 %.", ("", "0.5"), after))


def test_what_is_typed_between_computed_numbers_is_checked(tmp_path):
    choice = '{y if y else "another text of some words, with 7.89"}'
    cell = (f"Markdown(f'**Interpretation.** Computed {{x:.12f}}, typed 0.123 and 0.456. {choice}')", "0.98, 0.123, 0.456, 7.89")
    assert absent(notebook(tmp_path, ("", "0.1234"), cell)) == ["0.456", "7.89"]


def test_a_section_goes_on_to_the_next_heading(tmp_path):
    cells = ("", "0.1234"), "## Interpretation", "Thus 0.13.", "## Next", "And 0.14."
    assert absent(notebook(tmp_path, *cells)) == ["0.13"]
    assert absent(notebook(tmp_path, ("", "0.1234"), "**Interpretation.** Thus.\n\nAlso 0.13.\n\n## Next\n\nAnd 0.14.")) == ["0.13"]


def test_tables_are_print_and_drawing_is_not(tmp_path):
    path = notebook(tmp_path, ("plot(figsize=(61, 62), n=63)", ""), "**Interpretation.** Of 61, 62, 63, 64 and 65.")
    book = json.loads(path.read_text())
    book["cells"][0]["outputs"] += [
        {"output_type": "display_data", "data": {"text/html": "<style>td {width: 65}</style><table><tr><td>64.2</td></tr></table>"}},
        {"output_type": "display_data", "data": {"text/plain": "<Figure size 61x62 with 65 Axes>"}},
    ]
    path.write_text(json.dumps(book))
    assert absent(path) == ["61", "62", "65"]
