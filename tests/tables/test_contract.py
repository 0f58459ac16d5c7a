"""One list drives the contract: every table, every format, and every source of records."""

from __future__ import annotations

import functools

import imitation
import pytest
import synthetic_records as synthetic
from table_readers import READERS, expected

import tables
from analysis.required import RequiredRun
from analysis.schema import published, records
from spactor.errors import UserError
from tables import breakdowns, differences

NUMBERS = sorted(tables.REGISTRY)
# Breakdowns differ in their columns alone: one of a single block, a wide one, and one with a cell
# that is lost.
KINDS = [number for number in NUMBERS if number not in breakdowns.TABLES or number in (6, 12, 15)]
EVERY = pytest.mark.parametrize("number", NUMBERS)
# JSON has the rows of CSV; see tests/test_answers.py.
FORMATS = pytest.mark.parametrize("format", READERS)
MEASURED = records.combine(synthetic.study(runs=2), synthetic.timing())
FRAMES = {"measured": MEASURED, "full": imitation.study(), "none": records.empty()}


@functools.cache
def computed(number, source):
    frame = published.load(number) if source == "published" else FRAMES[source]
    return tables.get(number).compute(frame)


@functools.cache
def differing(number, source):
    return differences.compute(number, FRAMES[source])


def test_every_table_of_the_paper_is_there_and_every_format_is_read():
    assert set(READERS) | {"json"} == set(tables.FORMATS)
    assert tuple(tables.REGISTRY) == published.TABLES == tuple(range(1, 18))
    with pytest.raises(UserError, match="there is no table 18; there are 1 to 17"):
        tables.get(18)


@pytest.mark.parametrize(
    ("number", "source"),
    [
        *((number, "published") for number in NUMBERS),
        *((number, source) for number in KINDS for source in FRAMES),
    ],
)
@FORMATS
def test_every_format_prints_the_same_cells(number, source, format):
    table = computed(number, source)
    text = tables.render(table, format)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert READERS[format](text, table) == expected(table)


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize("source", FRAMES)
@FORMATS
def test_every_format_prints_the_same_diff(number, source, format):
    table = differing(number, source)
    assert {row.cells[-1].text() for row in table.rows} <= set(differences.VERDICTS)
    assert READERS[format](tables.render(table, format), table) == expected(table)


@EVERY
def test_every_table_has_its_number_and_claims(number):
    module = tables.get(number)
    assert module.DOC.startswith(f"Table {number}: ") and "Claims:" in module.DOC
    assert number == module.NUMBER
    assert all(isinstance(run, RequiredRun) for run in module.requires)
    # Settings are known before anything runs.
    assert module.requires or number == 5


@EVERY
def test_nothing_run_is_printed_as_not_run_in_every_cell(number):
    table = computed(number, "none")
    assert {cell.text() for row in table.rows for cell in row.cells} == {"not run"}
    assert table.footnotes[-1].startswith("not run: the records hold no such ")
    assert "(no records)" in table.caption


@EVERY
def test_compute_leaves_the_records_alone_and_refuses_a_mixture(number):
    before = MEASURED.copy()
    tables.get(number).compute(MEASURED)
    assert MEASURED.equals(before)
    with pytest.raises(UserError, match="several profiles"):
        tables.get(number).compute(records.combine(MEASURED, published.load(number)))


@EVERY
def test_notes_on_published_records_become_footnotes(number):
    frame = published.load(number)
    table = computed(number, "published")
    for note in set(frame["note"]) - {""}:
        assert sum(note in footnote for footnote in table.footnotes) == 1


def test_unknown_formats_are_named():
    with pytest.raises(UserError, match="unknown format 'pdf': give one of text, markdown"):
        tables.render(computed(2, "none"), "pdf")


def test_a_wide_table_is_broken_where_the_paper_breaks_it():
    blocks = computed(12, "published").blocks()
    assert [len(block.columns) for block in blocks] == [8, 8, 8, 3]
    assert blocks[1].columns[0].heading == "Logical Deduction 5 Objects"
    assert blocks[3].caption == "Table 12, continued: columns 25 to 27 of 27"
    assert computed(15, "published").blocks()[3].caption.endswith("column 25 of 25")
    assert len(computed(6, "published").blocks()) == 1
