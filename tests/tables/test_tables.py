"""One list drives the contract: every table, every format, published and measured alike."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import synthetic_records as synthetic

import tables
from analysis import compiled
from analysis.required import RequiredRun
from repro import published, records
from spactor.errors import UserError
from tables import rendering

NUMBERS = sorted(tables.REGISTRY)
EVERY = pytest.mark.parametrize("number", NUMBERS)
MEASURED = records.combine(synthetic.study(runs=2), synthetic.timing())


def computed(number, source):
    frame = {"published": published.load(number), "measured": MEASURED, "none": records.empty()}
    return tables.get(number).compute(frame[source])


def expected(table):
    """Heading and printed cells with bold flags, straight from the typed result."""
    return [[*row.labels, *((cell.text(), cell.bold) for cell in row.cells)] for row in table.rows]


def read_text(text, table):
    lines = text.split("\n")
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    rows = []
    for line in lines[rule + 1 :]:
        if line:
            parts = re.split(r"\s{2,}", line.strip())
            labels, cells = parts[: len(table.label_columns)], parts[len(table.label_columns) :]
            rows.append([*labels, *((c.lstrip("*"), c.startswith("*")) for c in cells)])
        if len(rows) == len(table.rows):
            return rows
    raise AssertionError("rows are missing")


def read_markdown(text, table):
    lines = [line for line in text.split("\n") if line.startswith("|")][2:]
    rows = []
    for line in lines:
        parts = [part.strip() for part in line.strip("|").split("|")]
        labels, cells = parts[: len(table.label_columns)], parts[len(table.label_columns) :]
        rows.append([*labels, *((c.replace("**", ""), c.startswith("**")) for c in cells)])
    return rows


def read_latex(text, table):
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    back = {r"$\pm$": "±", r"$\infty$": "∞", r"$\tau$": "τ", r"$\times$": "×"}
    rows = []
    for line in body.split("\n"):
        if "&" not in line:
            continue
        for code, sign in back.items():
            line = line.replace(code, sign)
        digits = lambda found: found[1].translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))  # noqa: E731
        line = re.sub(r"\$\^\{(\d+)\}\$", digits, line)
        parts = [part.strip() for part in line.strip().removesuffix(r"\\").split("&")]
        labels, cells = parts[: len(table.label_columns)], parts[len(table.label_columns) :]
        plain = [re.sub(r"\\textbf\{([^}]*)\}", r"\1", cell) for cell in cells]
        rows.append([*labels, *((p, r"\textbf" in c) for p, c in zip(plain, cells, strict=True))])
    return rows


class Rows(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.part, self.cell = [], "", None

    def handle_starttag(self, tag, attributes):
        if tag in ("tbody", "tfoot", "thead", "caption"):
            self.part = tag
        elif tag == "tr" and self.part == "tbody":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = [tag, "", False]
        elif tag == "strong":
            self.cell[2] = True

    def handle_data(self, data):
        if self.cell:
            self.cell[1] += data

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.part == "tbody":
            kind, text, bold = self.cell
            self.rows[-1].append(text if kind == "th" else (text, bold))
        if tag in ("td", "th"):
            self.cell = None


def read_html(text, table):
    parser = Rows()
    parser.feed(text)
    return parser.rows


def read_csv(text, table):
    rows = {}
    for line in csv.DictReader(io.StringIO(text)):
        labels = tuple(line[column.key] for column in table.label_columns)
        rows.setdefault(labels, []).append((line["printed"], line["bold"] == "true"))
    return [[*labels, *cells] for labels, cells in rows.items()]


READERS = {
    "text": read_text,
    "markdown": read_markdown,
    "latex": read_latex,
    "html": read_html,
    "csv": read_csv,
}


@EVERY
@pytest.mark.parametrize("source", ["published", "measured", "none"])
@pytest.mark.parametrize("format", tables.FORMATS)
def test_every_format_prints_the_same_cells(number, source, format):
    table = computed(number, source)
    text = tables.get(number).render(table, format)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert READERS[format](text, table) == expected(table)


@pytest.mark.parametrize("number", [2, 4])
def test_published_cells_are_printed_as_published(number):
    """Cell by cell against the CSV's own characters, bold and FLOPs included."""
    path = published._FOLDER / f"table{number}.csv"
    printed = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            column = row["suite"] or "relative_flops"
            text = f"{row['value']} ± {row['std']}" if row["std"] else row["value"]
            at = {"500000": "500K", "1000000": "1M"}[row["checkpoint"]]
            printed[row["tau"], at, column] = (text, row["bold"] == "true")
    table = computed(number, "published")
    found = {
        (*row.labels, column.key): (cell.text(), cell.bold)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    }
    assert found == printed


def test_published_table_3():
    assert expected(computed(3, "published")) == [
        ["Base", "Baseline", ("1.0", False), ("1.6×10⁴", False)],
        ["Base", "SPACTOR(τ), 1st stage", ("0.7", False), ("2.2×10⁴", False)],
    ]


@EVERY
def test_every_module_says_what_it_is(number):
    module = tables.get(number)
    assert module.__doc__.startswith(f"Table {number}: ") and "Claims:" in module.__doc__
    assert module.requires and all(isinstance(run, RequiredRun) for run in module.requires)
    assert number == module.NUMBER


@EVERY
def test_nothing_run_is_printed_as_not_run_in_every_cell(number):
    table = computed(number, "none")
    assert {cell.text() for row in table.rows for cell in row.cells} == {"not run"}
    assert "not run: the records hold no such number." in table.footnotes
    assert "(no records)" in table.caption


@EVERY
def test_compute_leaves_the_records_alone_and_refuses_a_mixture(number):
    before = MEASURED.copy()
    tables.get(number).compute(MEASURED)
    assert MEASURED.equals(before)
    with pytest.raises(UserError, match="several profiles"):
        tables.get(number).compute(records.combine(MEASURED, published.load(number)))


def test_a_measured_table_2():
    table = computed(2, "measured")
    assert table.caption == (
        "Table 2 (measured, micro profile: not comparable with the paper's cells). "
        "Mean score of each suite, SPACTOR-Base(τ). n = 2 runs."
    )
    rows = {row.labels: [cell.text() for cell in row.cells] for row in table.rows}
    assert list(rows) == [
        *[(tau, "500K") for tau in ("0", "250K", "120K", "60K", "∞")],
        *[(tau, "1M") for tau in ("0", "250K", "120K", "∞")],
    ]
    # τ = 0 at 500K, runs at gain 1 and 1.25, selected step 60: cola 12 and 12.25, mrpc 67 and
    # 67.25; mean of the tasks 39.5 and 39.75; mean of the runs 39.625, std 0.25/√2.
    assert rows["0", "500K"][:2] == ["1.00", "39.62 ± 0.18"]
    assert rows["0", "500K"][2:4] == ["not run", "not run"]
    # ROUGE falls with fine-tuning, so step 30 is selected: 21 and 21.25, 11 and 11.25.
    assert rows["0", "500K"][4] == "16.12 ± 0.18"
    assert rows["∞", "1M"][0] == "2.40"
    assert {(row.labels[0], row.cells[1].bold) for row in table.rows} == {
        ("0", False), ("60K", True), ("120K", True), ("250K", True), ("∞", True)
    }  # fmt: skip


def test_one_run_has_no_spread_and_says_so():
    table = tables.get(2).compute(synthetic.study(runs=1))
    assert table.rows[0].cells[1].text() == "39.50"
    assert "n = 1 run." in table.caption
    assert "A cell of one run has no standard deviation, so none is printed." in table.footnotes


def test_unequal_numbers_of_runs_are_listed():
    rows = synthetic.scores(runs=2)
    dropped = [
        row
        for row in rows
        if (row["tau"], row["checkpoint"], row["suite"], row["finetune_seed"])
        != ("120K", 500_000, "glue", 1)
    ]
    table = tables.get(2).compute(records.from_rows(dropped))
    assert "n = 1 to 2 runs" in table.caption
    assert "Runs per cell: 2, except GLUE τ = 120K 500K: 1." in table.footnotes


def test_table_4_holds_large_alone():
    large = records.from_rows(synthetic.scores(size="large", taus=("0", "120K")))
    table = tables.get(4).compute(records.combine(MEASURED, large))
    assert [row.labels for row in table.rows] == [
        ("0", "500K"), ("120K", "500K"), ("0", "1M"), ("120K", "1M")
    ]  # fmt: skip
    assert table.rows[1].cells[1] == rendering.Cell(40.5, None, 1, 2, bold=True)
    assert table.rows[0].cells[0].text() == "not run"


def test_a_measured_table_3():
    table = computed(3, "measured")
    # Medians of 35, 40, 60 and of 25, 30, 50; 100 and 120 GFLOPs.
    assert [row[:5] for row in expected(table)] == [
        ["Base", "Baseline", ("1.00", False), ("1.00×10²", False), ("1.000", False)],
        ["Base", "SPACTOR(τ), 1st stage", ("0.75", False), ("1.20×10²", False), ("1.200", False)],
    ]
    assert any("Baseline 40 per second (n = 3)" in note for note in table.footnotes)
    assert any("1st stage 30 per second (n = 3)" in note for note in table.footnotes)


def test_table_3_without_a_baseline_has_no_relative_speed():
    timing = synthetic.timing()
    hybrid = timing[timing["metric"].str.endswith("hybrid")]
    table = tables.get(3).compute(records.combine(synthetic.study(), hybrid))
    assert [row.cells[0].text() for row in table.rows] == ["not run", "not run"]


def test_table_3_has_the_compiled_flops_beside_what_was_measured(monkeypatch):
    kept = {
        compiled.Program(size="base", stage=stage, variant="paper_faithful"): SimpleNamespace(
            cost=SimpleNamespace(flops=flops)
        )
        for stage, flops in (("span_corruption", 1.568e13), ("hybrid", 2.196e13))
    }
    monkeypatch.setattr(compiled, "load", lambda: kept)
    table = computed(3, "measured")
    assert [column.key for column in table.columns[3:]] == [
        *("paper_faithful_step_gflops", "paper_faithful_flops_ratio"),
        *("ours_step_gflops", "ours_flops_ratio"),
    ]
    # 2.196 / 1.568 = 1.4005; what is not compiled is not run.
    assert [[cell.text() for cell in row.cells[3:]] for row in table.rows] == [
        ["1.57×10⁴", "1.000", "not run", "not run"],
        ["2.20×10⁴", "1.401", "not run", "not run"],
    ]
    printed = "The paper prints 1.6×10⁴ and 2.2×10⁴ GFLOPs for Base, 1.375 to 1."
    assert printed in table.footnotes
    assert len(computed(3, "published").columns) == 2


def test_unknown_numbers_and_formats_are_named():
    with pytest.raises(UserError, match="there is no table 9; there are 2, 3, 4"):
        tables.get(9)
    with pytest.raises(UserError, match="unknown format 'pdf': give one of text, markdown"):
        tables.render(computed(2, "none"), "pdf")


def test_names_from_data_are_escaped():
    nasty = rendering.Table(
        number=2,
        source="measured",
        profile="x",
        caption="<b>50 % & more_</b> | ~^\\",
        label_columns=(rendering.Column("tau", "τ"),),
        columns=(rendering.Column("a", "A|B"),),
        rows=(rendering.Row(("<i>",), (rendering.MISSING,)),),
    )
    html = tables.render(nasty, "html")
    assert "<b>" not in html and "&lt;b&gt;50 % &amp; more_" in html and "&lt;i&gt;" in html
    latex = tables.render(nasty, "latex")
    assert r"50 \% \& more\_</b> | \textasciitilde{}\textasciicircum{}\textbackslash{}" in latex
    assert r"| τ | A\|B |" in tables.render(nasty, "markdown")


@pytest.mark.parametrize(
    ("value", "decimals", "printed"),
    [
        (85.885, 2, "85.89"),
        (0.125, 2, "0.12"),
        (0.375, 2, "0.38"),
        (-0.004, 2, "0.00"),
        (2.0, 1, "2.0"),
    ],
)
def test_the_one_rounding_rule(value, decimals, printed):
    # 85.885 is stored as 85.88500000000000511…, above the half; 0.125 and 0.375 are exact halves.
    assert rendering.rounded(value, decimals) == printed
