"""The published CSVs against a second transcription, typed by hand from the page."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from analysis.scores import strictly_higher
from repro import published, records
from spactor.errors import UserError

# tau checkpoint FLOPs, then GLUE … BBH as mean/std; * is bold.
TABLE_2 = """
0    500K 1.0   85.89/0.17  77.33/0.74  88.59/0.05  33.27/0.12  70.14/0.25  50.20/1.47  36.82/0.55
250K 500K 1.2  *86.46/0.17 *78.26/0.63 *88.91/0.11 *33.34/0.10 *71.60/0.18 *51.15/0.80 *37.30/0.33
120K 500K 1.1  *86.35/0.13 *78.23/0.81 *88.93/0.11 *33.37/0.10 *71.34/0.23 *51.01/0.40 *36.97/0.31
60K  500K 1.05 *86.28/0.22 *78.50/0.56 *88.95/0.14  33.27/0.08 *71.35/0.16 *50.67/1.02  36.72/0.30
0    1M   2.0   86.11/0.17  78.14/0.80  88.90/0.23  33.34/0.10  71.00/0.20  52.79/0.95  37.57/0.77
250K 1M   2.2  *86.48/0.29 *78.33/0.76 *89.09/0.12 *33.47/0.07 *72.27/0.29 *52.96/0.61 *38.18/0.84
120K 1M   2.1  *86.57/0.35 *78.16/0.76 *88.99/0.14 *33.53/0.09 *72.14/0.25 *52.81/0.57 *38.08/0.65
"""
TABLE_4 = """
0    500K 1.0   88.92/0.27  85.10/0.43  91.30/0.10  34.14/0.02  81.48/0.22  55.59/0.84  40.30/0.30
120K 500K 1.06 *89.66/0.19 *86.06/0.47 *91.36/0.10 *34.22/0.18 *82.68/0.23 *57.78/1.01 *42.07/1.44
0    1M   2.0   89.24/0.17  86.11/0.76  91.52/0.04  34.24/0.08  82.97/0.20  58.72/0.61  42.35/0.72
120K 1M   2.06 *89.90/0.26 *86.38/0.80 *91.53/0.13 *34.27/0.26 *83.92/0.32 *59.06/0.90 *44.22/1.52
"""
FOLDER = Path(published.__file__).parent


@pytest.mark.parametrize(
    ("table", "size", "runs", "typed", "cells"),
    [(2, "base", 5, TABLE_2, 49), (4, "large", 3, TABLE_4, 28)],
)
def test_suite_averages_equal_the_second_transcription(table, size, runs, typed, cells):
    expected = []
    for line in typed.split("\n"):
        if not line:
            continue
        tau, checkpoint, flops, *scores = line.split()
        at = {"500K": "500000", "1M": "1000000"}[checkpoint]
        decimals = str(len(flops.partition(".")[2]))
        metric = "cost/relative_pretraining_flops"
        expected.append((size, tau, at, "", metric, flops, "", "", decimals, ""))
        for suite, score in zip(records.SUITES, scores, strict=True):
            mean, std = score.lstrip("*").split("/")
            bold = str(score.startswith("*")).lower()
            expected.append((size, tau, at, suite, "average", mean, std, str(runs), "2", bold))
    with (FOLDER / f"table{table}.csv").open(newline="") as file:
        found = [tuple(row.values()) for row in csv.DictReader(file)]
    assert found == expected
    assert (published.load(table)["suite"] != "").sum() == cells


def test_table_3_is_one_speed_and_one_cost_per_stage():
    frame = published.load(3)
    assert dict(zip(frame["metric"], frame["value"], strict=True)) == {
        "timing/relative_seqs_per_second/span_corruption": 1.0,
        "timing/relative_seqs_per_second/hybrid": 0.7,
        "cost/step_flops/span_corruption": 1.6e13,
        "cost/step_flops/hybrid": 2.2e13,
    }


@pytest.mark.parametrize("table", published.TABLES)
def test_values_have_their_printed_decimals(table):
    with (FOLDER / f"table{table}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            printed = row["value"].partition("e")[0].partition(".")[2]
            assert len(printed) == int(row["decimals"]), row


@pytest.mark.parametrize("table", [2, 4])
def test_the_bold_rule_gives_the_printed_bold(table):
    frame = published.load(table)
    scores = frame[frame["suite"] != ""]
    means = {(r.tau, r.checkpoint, r.suite): r.value for r in scores.itertuples()}
    for row in scores.itertuples():
        assert row.bold == strictly_higher(row.value, means["0", row.checkpoint, row.suite])


def test_load_all_joins_them_and_an_unknown_table_is_named():
    assert len(published.load_all()) == 56 + 4 + 32
    with pytest.raises(UserError, match="published table 1 "):
        published.load(1)
