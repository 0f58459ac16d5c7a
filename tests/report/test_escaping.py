"""Text from data stays text: in the report, and in every format of a table."""

from __future__ import annotations

import csv
import dataclasses
import io
import re

import pandas as pd
import pytest
import synthetic_records as synthetic
from html_page import Page, unfolded, unpacked

import tables
from analysis.schema import published, records
from analysis.schema.nodes import Nodes
from repro import report
from tables import rendering
from tables.cells import Cell, Column, Row, Table

EVIL = (
    "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'><marquee onload='x'>"
)


def assert_harmless(page: str) -> Page:
    parsed = Page(page)
    assert not parsed.tags & {"script", "iframe", "object", "embed", "form", "marquee"}
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.foreign_links == []
    return parsed


def evil_records() -> pd.DataFrame:
    """A study whose every free text is markup, and one record more of each kind of free name."""
    frame = synthetic.study()
    free = [name for name in ("node", "fingerprint", "place", "note") if name in frame]
    frame = frame.assign(**dict.fromkeys(free, EVIL))
    named = {**synthetic.COMMON, "size": "base", "tau": "inf", "seed": 0}
    more = records.from_rows(
        [
            {**named, "metric": EVIL, "value": 1.0, "unit": EVIL},
            {**named, "metric": f"validation/{EVIL}", "step": 40, "paper_step": 40_000, "value": 1},
            {**named, "metric": f"setting/{EVIL}", "value": None, "text": EVIL},
            {**named, "tau": "", "metric": "setting/rtd_activation", "value": None, "text": EVIL},
            {**named, "variant": EVIL, "metric": "cost/pretraining_flops", "value": 1e12},
        ]
    )
    examples = frame["metric"].str.startswith(records.EXAMPLE)
    pieces = frame["text"].where(~examples, frame["text"].str.replace("▁name", "<script>"))
    return records.combine(frame.assign(text=pieces), more)


def test_the_report_escapes_everything_that_comes_from_data() -> None:
    evil: dict[str, object] = {"a": EVIL, EVIL: [EVIL, {EVIL: EVIL}]}
    provenance = [{"node": EVIL, "commit": EVIL, EVIL: evil, "machine": n} for n in (EVIL, "m")]
    frame = evil_records()
    outcomes = report.Outcomes(frame[frame["variant"] == ""], synthetic.timing())
    page = report.page(outcomes, Nodes.of(provenance))
    assert EVIL in [facts.get("code") for facts in unpacked(page)["traces"]["shared"]]
    own = re.findall("<script[^>]*", page)
    assert own == ['<script type="text/plain" id="packed" data-options=""', "<script"]
    whole = re.sub("<script.*?</script>", "", unfolded(page), flags=re.DOTALL)
    parsed = assert_harmless(whole)
    assert EVIL in "".join(parsed.text), "it is shown, as text"
    assert "onerror=alert(1)>" not in page


def evil_table() -> Table:
    """A table with markup, formulas and separators in every text."""
    words = Cell(label=f"=1|{EVIL}\n| x |", note=f"@{EVIL}")
    numbers = Cell(-0.5, 0.25, runs=3)
    column = Column("c", f"a|b {EVIL}", is_text=True)
    return Table(
        number=2,
        source="measured",
        profile=EVIL,
        caption=EVIL,
        label_columns=(Column("label", EVIL, is_text=True),),
        columns=(column, Column("n", "n", spread=True)),
        rows=(Row((f"=HYPERLINK(1)|{EVIL}",), (words, numbers)),),
        footnotes=(EVIL, "[x](javascript:y)", "50 % & more_ | ~^\\"),
    )


def test_html_tables_escape() -> None:
    parsed = assert_harmless(rendering.render(evil_table(), "html"))
    assert EVIL in "".join(parsed.text)


def test_markdown_tables_escape() -> None:
    """No HTML, no link, and as many cells as there are columns."""
    text = rendering.render(evil_table(), "markdown")
    assert "<" not in text and "](" not in text.replace("\\[x](", "")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


def test_latex_tables_escape() -> None:
    text = rendering.render(evil_table(), "latex")
    assert "<" not in text and "\\textless{}script" in text
    assert r"50 \% \& more\_ \textbar{} \textasciitilde{}\textasciicircum{}\textbackslash{}" in text
    # A label, a cell of words and a cell of numbers: two signs that part them.
    [row] = [line for line in text.splitlines() if "HYPERLINK" in line]
    assert len(re.findall(r"(?<!\\)&", row)) == 2


def test_csv_tables_hold_no_formula() -> None:
    """Text that a spreadsheet would compute stands behind an apostrophe; numbers stay numbers."""
    [header, *rows] = csv.reader(io.StringIO(rendering.render(evil_table(), "csv")))
    assert len(rows) == 2 and all(len(row) == len(header) for row in rows)
    for row in rows:
        for field in row:
            assert field[:1] not in ("=", "+", "@", "\t", "\r")
            assert field[:1] != "-" or re.fullmatch(r"-0\.50?( ± 0\.25)?", field)
    words, numbers = (dict(zip(header, row, strict=True)) for row in rows)
    assert words["label"].startswith("'=HYPERLINK(1)|</title>")
    assert (numbers["value"], numbers["std"]) == ("-0.5", "0.25")
    assert numbers["printed"] == "-0.50 ± 0.25"


@pytest.mark.parametrize("format", tables.FORMATS)
def test_a_table_without_rows_is_written(format: str) -> None:
    bare = dataclasses.replace(evil_table(), rows=())
    assert rendering.render(bare, format).endswith("\n")


@pytest.mark.parametrize("number", tables.REGISTRY)
def test_published_tables_need_no_apostrophe(number: int) -> None:
    text = rendering.render(tables.get(number).compute(published.load(number)), "csv")
    assert not [f for row in csv.reader(io.StringIO(text)) for f in row if f.startswith("'")]
