"""The report: what is on the page, what it may load, its traces and costs, and what it escapes."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import re

import pandas as pd
import pytest
import synthetic_records as synthetic
from blocked import run_blocked
from html_page import Page, unfolded, unpacked

import tables
from analysis.flops import step_flops
from analysis.schema import records
from analysis.schema.nodes import Nodes
from repro import report
from repro.report import choices, numbers, tree, tree_map
from repro.report.traces import Traces
from spactor.config import PAPER
from spactor.errors import UserError
from tables import rendering
from tables.cells import Cell, Column, Row, Table


def test_the_page_is_whole_and_self_contained(page):
    parsed = Page(unfolded(page))
    assert parsed.foreign_links == []
    assert {link for link in parsed.links if link[0] == "#"} <= {f"#{n}" for n in parsed.ids}
    assert len(parsed.ids) == len(set(parsed.ids))
    assert not re.search(r"@import|url\((?!#|%23)", page)


def test_what_is_heavy_starts_folded(page):
    """At first paint at most 1.5 MB and 15,000 elements; the rest is one block for the script."""
    assert len(page.encode()) < 1_500_000
    assert Page(page).count < 15_000 < Page(unfolded(page)).count
    folded = {"all-numbers", "nodes", *(f"table{number}" for number in range(6, 18))}
    assert unpacked(page)["sections"].keys() == folded


def test_the_policy_admits_the_one_script_and_sheet_and_nothing_else(page):
    parsed = Page(page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    kinds, (_data, script) = zip(*parsed.scripts, strict=True)
    assert kinds == ("text/plain", "")
    sheet = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]

    def digest(text):
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest(sheet)}'; "
        f"script-src 'sha256-{digest(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert parsed.styles == [], "attributes that the policy would refuse"
    assert not re.search(r"\b(eval|Function|innerHTML|insertAdjacentHTML)\b", script)


def test_everything_is_on_it(page):
    text = Page(unfolded(page)).words
    for words in (
        "Table 2 (measured, micro profile: not comparable with the paper's cells)",
        "scaled profile micro",
        # ours, the paper's, the difference
        "39.63 ± 0.18 85.89 ± 0.17 -46.27",
        "not run 77.33 ± 0.74",
        "Table 17: The other 25 of the 57 tasks of MMLU, direct answers, Large",
        "Figure 4b's caption",
        "no unit",
        "yes, clearly",
        "no task of this suite is in the records",
        "cola (matthews_corrcoef); mrpc (accuracy, f1)",
        "base/s0/hybrid/0-120K",
        "Learning checks passed 6 of 6",
        "Machine time",
        "36 ● holds",
        "For Large, 35 % of the compute is saved.",
        "published 1 − 1.06 / 2.00 = 47 % are saved at 500K; stated: 35 %",
        "FLOPs saved, analytic, %",
        "By the published means and spreads",
        "Where the profile departs from the paper",
    ):
        assert words in text, words


def test_what_the_paper_leaves_open_is_on_it_with_choice_and_reason(page):
    text = Page(page).words
    for words in (
        "dropout in pre-training 0.1, in the generator too; in micro none T5X's T5.1.0",
        "z-loss 1e-4 · log²Z on the decoder's logits",
        "weight of a position in a loss sums over positions",
        "generator's width and heads the discriminator's",
        "documents concatenated without eos and cut into chunks T5 packs",
    ):
        assert words in text, words
    assert "<h3>Objective</h3>" in choices.deviations(), "two levels below the section's"


def test_every_number_of_every_table_is_in_the_list(page):
    listed = re.findall(r'<tr data-cell="(\d+)-\d+-\d+" data-table="(\d+)"', unfolded(page))
    assert all(cell == table for cell, table in listed)
    assert {int(table) for table, _ in listed} == set(tables.REGISTRY)
    # The paper's legible numbers: 28 + 7 ... counted by the tables' own diffs.
    frame = records.empty()
    expected = sum(
        len(numbers.pair(tables.get(number).compute(frame)).numbers) for number in tables.REGISTRY
    )
    assert expected >= 1300 and len(listed) >= expected


def test_records_of_two_profiles_are_refused(tmp_path):
    rows = synthetic.costs()
    mixed = records.from_rows([*rows, {**rows[0], "profile": "smoke"}])
    with pytest.raises(UserError, match="several profiles"):
        report.write_report(report.Outcomes(mixed), Nodes.of(), tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_columns_the_paper_has_and_we_ran_none_of_follow_ours(study):
    paired = numbers.pair(tables.get(10).compute(study))
    own, theirs = paired.grids[0], paired.grids[-1]
    assert [column.key for column in own.columns][:2] == ["squad/squad", "cnndm/summary"]
    assert [column.key for column in theirs.columns] == ["cnndm/cnn_dailymail"]
    assert theirs.caption.startswith("Table 10: the paper's tasks, none of which was run")
    cells = [cell for section in theirs.sections for row in section for cell in row.cells]
    assert all(cell.ours.missing for cell in cells) and any(cell.published for cell in cells)
    assert len(set(paired.ids.values())) == len(paired.ours.rows) * len(paired.ours.columns)


def test_a_cell_is_traced_to_its_runs_and_a_paper_s_to_its_line(study, nodes):
    traces = Traces(study, nodes)
    paired = numbers.pair(tables.get(2).compute(study))
    traces.add(paired)
    cell = traces.data["cells"][paired.ids[("120K", "500K"), "glue"]]
    assert cell["paper"] == [
        "average: analysis/schema/published/table2.csv, line 19; "
        "mean and standard deviation of 5 runs"
    ]
    group = traces.data["groups"][cell["group"]]
    first, second = group
    # As synthetic_records has it: 10, and 60 and 70, each plus 2 for τ, 1 for the checkpoint and
    # 1 for the later step.
    assert first["score"] == pytest.approx(((10 + 4) + (65 + 4)) / 2)
    assert second["score"] == pytest.approx(first["score"] + 0.25)
    assert (first["seeds"], second["seeds"], first["step"]) == ([0, 0], [0, 1], 60)
    node = traces.data["nodes"][first["at"]]
    assert node["node"] == first["node"] == "base/s0/tau120K/500K/finetune-glue/f0"
    parent = traces.data["nodes"][node["parent"]]
    assert traces.data["nodes"][parent["parent"]]["node"] == "base/s0/hybrid/0-120K"
    assert traces.data["shared"][node["shared"]]["code"] == "c0ffee"
    assert traces.common.keys() == {"code", "data", "training tokens", "packages", "command"}


def test_a_node_of_the_same_name_but_another_fingerprint_is_not_taken_for_the_run(study):
    other = [{"node": "base/s0/tau120K/500K/finetune-glue/f0", "fingerprint": "another"}]
    traces = Traces(study, Nodes.of(other))
    traces.add(numbers.pair(tables.get(2).compute(study)))
    runs = [run for group in traces.data["groups"] for run in group]
    assert runs and not any("at" in run for run in runs)


def test_the_tree_s_costs_are_those_of_its_nodes(nodes):
    grown = tree.grow(nodes)
    plain, hybrid = (step_flops(PAPER["base"], one) for one in ("span_corruption", "hybrid"))
    # 240 hybrid steps serve two experiments; 760 and 1,000 plain ones serve one each.
    assert grown.pretraining.steps == 2000 and grown.pretraining.seconds == 30.0
    spent = 240 * hybrid + 1760 * plain
    assert grown.pretraining.flops == pytest.approx(spent)
    assert grown.saved == pytest.approx(1 - spent / (spent + 240 * hybrid))
    assert [segment.parent for segment in grown.segments] == [
        None,
        ("base", "hybrid", "0-120K"),
        None,
    ]
    assert grown.segments[1].finetunings.nodes == grown.finetuning.nodes > 0
    (drawn,) = tree_map.maps(grown.segments)
    assert [name for _, name in drawn.lanes] == ["hybrid", "SPACTOR(120K)", "baseline"]
    assert [stretch.segment.first.end for stretch in drawn.stretches] == [240, 1000, 1000]
    assert drawn.stretches[0].until == pytest.approx(drawn.stretches[1].x), "it branches there"


def test_what_provenance_does_not_know_is_unknown():
    grown = tree.grow(Nodes.of([{"node": "base/s0/sc/0-500K"}, {"node": "x"}]))
    assert grown.segments == () and grown.total.flops is None
    assert tree.seconds_text(grown.total.seconds) == tree.flops_text(None) == "unknown"
    odd = {"inputs": {"kind": "pretraining", "stage": "hybrid", "config": {"of": "old"}}}
    assert tree.flops_of(Nodes.of([odd]).nodes[0]) is None


def test_settings_that_depart_from_the_paper_s_are_listed():
    rows = [
        {**synthetic.COMMON, "size": "base", "metric": f"setting/{name}", "value": value}
        for name, value in (("input_length", 64), ("discriminator_layers", 12))
    ]
    table = tables.get(5).compute(records.from_rows([{**row, "decimals": 0} for row in rows]))
    paired = numbers.pair(table)
    assert [(one.setting, one.ours, one.published) for one in choices.departures(paired)] == [
        ("Input Length", "64", "512")
    ]


TABLE_AND_PAGE = """
from pathlib import Path

import tables
from analysis.schema import records

folder = Path(sys.argv[1])
print(tables.render(tables.get(2).compute(records.read(folder / "m.parquet"))))
slow = {"matplotlib", "statsmodels", "scipy"} & sys.modules.keys()
data = {name for name in sys.modules if name.startswith("spactor.data.")}
builders = {name for name in data if not name.startswith("spactor.data.suites")}
assert not slow | builders, slow | builders

from analysis.schema.nodes import Nodes
from repro import report

report.write_report(report.Outcomes(records.empty()), Nodes.of(), folder / "new" / "one.html")
"""


def test_tables_and_a_page_of_nothing_need_neither_jax_nor_tensorflow(tmp_path):
    """And a table from a file loads no library that is slow to import, and no suite's builder."""
    records.write(synthetic.study(), tmp_path / "m.parquet")
    done = run_blocked(TABLE_AND_PAGE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "39.50" in done.stdout
    text = Page((tmp_path / "new" / "one.html").read_text(encoding="utf-8")).words
    assert "No provenance was recorded." in text and "0 of 7" in text and "0 of 6" in text
    assert "not known: no provenance of pre-training" in text


# Text from data stays text: in the report, and in every format of a table.

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
