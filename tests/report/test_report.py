"""The report: what is on the page, what it may load, and the traces and costs in it."""

from __future__ import annotations

import base64
import hashlib
import re

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
    assert [column.key for column in own.columns] == ["squad/squad", "cnndm/summary"] or own
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
