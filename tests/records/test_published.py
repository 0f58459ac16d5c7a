"""The published CSVs against a second transcription, typed by hand from the page."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest

from analysis.schema import facts, published, quantities
from spactor.errors import UserError

FOLDER = Path(published.__file__).parent
TYPED = Path(__file__).parent / "second_transcription"
STEPS = {"500K": "500000", "1M": "1000000"}
EVERY = pytest.mark.parametrize("table", published.TABLES)
BREAKDOWNS = range(6, 18)


def typed(table):
    lines = (TYPED / f"table{table}.txt").read_text("utf-8").splitlines()[1:]
    return [[part.strip() for part in line.split("|")] for line in lines]


def rows_of(table):
    with (FOLDER / f"table{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("table", "runs", "cells"), [(2, "5", 49), (4, "3", 28)], ids=["table2", "table4"]
)
def test_suite_averages_equal_the_second_transcription(table, runs, cells):
    expected = []
    for run, flops, *scores in typed(table):
        size, tau, checkpoint = run.split()
        at = (size, tau, STEPS[checkpoint])
        decimals = str(len(flops.partition(".")[2]))
        expected.append((*at, "", published.RELATIVE_FLOPS, flops, "", "", decimals, ""))
        for suite, score in zip(facts.SUITES, scores, strict=True):
            mean, std = score.lstrip("*").split("/")
            bold = str(score.startswith("*")).lower()
            expected.append((*at, suite, "average", mean, std, runs, "2", bold))
    columns = ("size", "tau", "checkpoint", "suite", "metric")
    columns += ("value", "std", "runs", "decimals", "bold")
    assert [tuple(row[name] for name in columns) for row in rows_of(table)] == expected
    assert (published.load(table)["suite"] != "").sum() == cells


@pytest.mark.parametrize("table", BREAKDOWNS)
def test_breakdowns_equal_the_second_transcription(table):
    found = []
    rows = rows_of(table)
    for run, cells in itertools.groupby(rows, lambda row: (row["tau"], row["checkpoint"])):
        tasks = itertools.groupby(cells, lambda row: (row["suite"], row["task"]))
        printed = ["/".join(cell["value"] or "?" for cell in task) for _, task in tasks]
        found.append([*run, *printed])
    expected = [
        [tau, STEPS[checkpoint], *cells]
        for (_, tau, checkpoint), *cells in ([run.split(), *rest] for run, *rest in typed(table))
    ]
    assert found == expected
    size = {run.split()[0] for run, *_ in typed(table)}
    assert {row["size"] for row in rows} == size
    assert len(found) == (6 if size == {"base"} else 4)
    assert {row["runs"] for row in rows} == {"5" if size == {"base"} or table == 11 else "3"}


def test_every_task_has_its_column():
    frame = published.load_all()
    tasks = frame[frame["task"] != ""].groupby("suite")["task"].nunique().to_dict()
    assert tasks == {
        "glue": 8, "superglue": 8, "squad": 1, "cnndm": 1, "rainbow": 6, "bbh": 27, "mmlu": 57
    }  # fmt: skip
    named = {(item.suite, item.task, item.metric) for item in quantities.paper_tasks()}
    scored = frame.loc[frame["task"] != "", ["suite", "task", "metric"]]
    assert set(scored.itertuples(index=False, name=None)) == named


def test_the_damaged_cells_have_notes():
    frame = published.load_all()
    lost = frame[frame["value"].isna() & (frame["text"] == "")]
    assert lost[["tau", "checkpoint", "task"]].values.tolist()[0] == [
        "120K", 1_000_000, "world_religions"
    ]  # fmt: skip
    assert len(lost) == 2 and lost["metric"].iloc[1] == "finetuning/default/reset_optimizer"
    odd = frame[(frame["task"] == "reasoning_about_colored_objects") & (frame["value"] == 4.8)]
    assert odd["note"].iloc[0].startswith("as printed")
    stacked = frame[(frame["place"] == "Table 15") & frame["note"].str.startswith("OCR stacks")]
    assert len(stacked) == 6 * 8


def test_facts_and_settings_equal_the_second_transcription():
    facts = {row["metric"]: row["text"] or row["value"] for row in rows_of(1)}
    for line, name in zip(
        typed(1), ("glue", "superglue", "squad", "cnndm", "rainbow", "flan"), strict=True
    ):
        parts = ("description", "datasets", "reference")
        assert [facts[f"benchmark/{name}/{part}"] for part in parts] == line[1:]
    settings = {(row["size"], row["metric"]): row["text"] or row["value"] for row in rows_of(5)}
    for position, size in enumerate(("base", "large"), start=1):
        numbers = [settings[size, metric] for of, metric in settings if of == size]
        noise, span, mlm, warmup, schedule, rtd, sc = numbers[-7:]
        composed = [
            f"(r = {float(noise):.0%}, μ = {span})",
            f"{float(mlm):.0%}",
            f"κ = {int(warmup):,}",
            schedule.replace("√max(n, κ)", "sqrt(max(n, κ))"),
            f"({rtd}, {sc})",
        ]
        assert [*numbers[:-7], *composed] == [line[position] for line in typed(5)]


def test_finetuning_settings():
    frame = published.load_finetuning().set_index("metric")["value"]
    lines = (TYPED / "a2.txt").read_text("utf-8").splitlines()[1:]
    by_hand = {line.split("|")[0].strip(): line.split("|")[1:] for line in lines}
    for position, kind in enumerate(("default", "flan")):
        for name in ("learning rate", "dropout rate", "batch size"):
            key = f"finetuning/{kind}/{name.replace(' ', '_')}"
            assert frame[key] == float(by_hand[name][position])
        steps = [frame[f"finetuning/{kind}/{end}_steps"] for end in ("least", "most")]
        assert steps == [250_000, 300_000]


def test_table_3_is_one_speed_and_one_cost_per_stage():
    frame = published.load(3)
    assert dict(zip(frame["metric"], frame["value"], strict=True)) == {
        "timing/relative_seqs_per_second/span_corruption": 1.0,
        "timing/relative_seqs_per_second/hybrid": 0.7,
        "cost/step_flops/span_corruption": 1.6e13,
        "cost/step_flops/hybrid": 2.2e13,
    }


@EVERY
def test_values_have_their_printed_decimals_and_their_place(table):
    assert set(published.load(table)["place"]) == {f"Table {table}"}
    for row in rows_of(table):
        if row["value"]:
            printed = row["value"].partition("e")[0].partition(".")[2]
            assert len(printed) == int(row["decimals"]), row


def test_prose_numbers_equal_those_read_again_from_the_text():
    # Place, metric and number in the order of the paper; fractions and units as it writes them.
    by_hand = """
        Abstract: 50 40 | Section 1: 1/8 1/4 | Section 3.1: 32000 27 57 | Section 3.2.1: 250e3 200e3
        | Section 3.2.2: 1 3 75 | Section 3.2.3: 37.5 2 1.2 1.1 40 | Section 3.2.4: 700e6 6 3 35 20
        | Appendix A.1: 1 10 20 50 5 10 15 20 25 15 3 4 6 1/4 1/3 2048 250e3
        | Appendix B: 120e3 -6.90e-5 0.01 | Appendix C: 20
        | Table 2: 5 3 | Table 4: 3 | Table 8: 9 | Table 14: 32 | Table 15: 25
    """
    expected = {}
    for part in by_hand.split("|"):
        place, _, numbers = " ".join(part.split()).partition(": ")
        pairs = [number.partition("/") for number in numbers.split()]
        expected[place] = [float(above) / float(below or 1) for above, _, below in pairs]
    found = published.load_prose().groupby("place")["value"].agg(list).to_dict()
    assert found.keys() == expected.keys()
    for place, values in expected.items():
        assert found[place] == pytest.approx(values, abs=1e-4 if place.endswith("A.1") else 1e-12)


def test_load_all_joins_them_and_an_unknown_table_is_named():
    assert len(published.load_all()) == 1385
    with pytest.raises(UserError, match="the paper has no table 18; it has 1 to 17"):
        published.load(18)
