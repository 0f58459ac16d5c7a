"""The audit of the paper's numbers: hand-checked findings, the whole list, and planted mistakes."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import synthetic_records
from commands import run

from analysis import paper
from analysis.paper import Verdict, audit_view, averages, patterns
from analysis.paper.breakdown import Breakdown
from analysis.schema import published
from analysis.schema.facts import SUITES
from spactor.errors import UserError

HOLDS, EXPLAINED = Verdict.HOLDS, Verdict.EXPLAINED
INCONSISTENT, NOT_TESTABLE = Verdict.INCONSISTENT, Verdict.NOT_TESTABLE


@pytest.fixture(scope="module")
def printed() -> pd.DataFrame:
    return published.load_all()


@pytest.fixture(scope="module")
def findings(printed):
    return by_id(paper.audit(printed))


def by_id(judgements):
    return {one.statement.id: one for one in judgements}


def changed(frame, value, column="value", **key):
    """The records with one number of one record changed."""
    frame = frame.copy()
    mask = pd.Series(True, index=frame.index)
    for name, wanted in key.items():
        mask &= frame[name].eq(wanted).fillna(False)
    assert mask.sum() == 1
    frame.loc[mask, column] = value
    return frame


def ids(findings, verdict):
    return {id for id, one in findings.items() if one.verdict is verdict}


def test_an_average_by_hand(findings):
    # Tasks: 55.50, (88.22+88.11)/2, (93.02+90.44)/2, 92.99, (89.41+92.12)/2, 81.95, 94.61,
    # (90.05+89.91)/2: sum 685.69, /8 = 85.71125; 85.89 is 0.17875 = 1.05 × 0.17 more.
    # With MNLI's two apart 685.69 − 88.165 + 88.22 + 88.11 = 773.855, /9 = 85.98389.
    found = findings["average/base/0/500K/glue"]
    assert found.verdict is EXPLAINED
    assert found.statement.text == "85.89 ± 0.17"
    assert "90.765 + 81.95 + 94.61 + 89.98) / 8 = 85.711; " in found.sentence
    assert "85.89 − 85.711 = +0.179 = +1.05 printed standard deviations" in found.sentence
    assert "/ 9 = 85.984; 85.89 − 85.984 = −0.094 = −0.55" in found.sentence
    # (88.37 + 94.67) / 2 = 91.52, as printed.
    assert findings["average/large/0/1M/squad"].verdict is HOLDS
    assert len([one for one in findings if one.startswith("average/base/60K")]) == 7


def test_the_lost_digit_of_table_12(findings):
    # The 27 cells sum to 963.09, /27 = 35.67; 36.82 − 35.67 = 1.15 = 2.09 × 0.55.
    # 4.80 + 27 × 1.15 = 35.85, between 89/250 = 35.60 and 90/250 = 36.00.
    # With 34.80 = 87/250 the mean is 993.09/27 = 36.781, which leaves 0.039.
    found = findings["average/base/0/500K/bbh"]
    assert found.verdict is INCONSISTENT
    assert "963.09 / 27 = 35.67; 36.82 − 35.67 = +1.150 = +2.09" in found.sentence
    suspect = found.finding.suspect
    assert suspect is not None
    assert suspect.where.startswith("Table 12, Base, τ = 0, 500K, Reasoning About Colored Objects")
    assert (suspect.printed, suspect.needed) == ("4.80", "35.85")
    assert suspect.nearest == "90/250 = 36.00"
    assert suspect.slip == "87/250 = 34.80, which leaves +0.039"
    assert suspect.reason == "the column's other 5 cells read 32 to 35.2"


def test_the_missing_cell_of_table_15(findings):
    # 57 × 52.81 = 3010.17; the 56 cells sum to 2965.88; 44.29 lies nearest 8/19 = 42.105.
    found = findings["average/base/120K/1M/mmlu"]
    assert found.verdict is NOT_TESTABLE
    assert found.sentence == (
        "57 × 52.81 − 2965.88 (the other 56) = 44.29 for World Religions, nearest 8/19 = 42.11"
    )
    # ±57 × 0.57 = ±32.49: 11.80 (3/19 = 15.79) to 76.78 (14/19 = 73.68).
    assert "3/19 to 14/19 fit" in found.finding.remark


def test_glue_divides_mnli(findings):
    assert findings["average/grouping/glue"].verdict is INCONSISTENT
    assert "every metric of MNLI as a task (9 terms)" in findings["average/grouping/glue"].sentence
    assert findings["average/grouping/superglue"].verdict is HOLDS
    # Ten of ten above: 2 × (1/2)¹⁰ × 7 suites = 14/1024.
    assert "7 suites (Bonferroni): p = 0.014" in findings["average/sign/glue"].sentence


def test_counts_by_hand(findings):
    # 254/277 = 91.697 and 255/277 = 92.058; 764/831 = 91.937 would be a mean over three runs.
    rte = findings["k-of-n/large/120K/500K/superglue/rte/accuracy"]
    assert rte.verdict is INCONSISTENT and "254/277 = 91.697, 255/277 = 92.058" in rte.sentence
    assert "764/(3·277) = 91.937" in rte.finding.remark
    # 504/953 = 52.886 and 505/953 = 52.991; 1513/2859 = 52.921 and 1514/2859 = 52.956.
    multirc = findings["k-of-n/large/0/500K/superglue/multirc/exact_match"]
    assert multirc.verdict is INCONSISTENT
    assert multirc.finding.remark == "nor is it a mean over 3 runs; one digit away: 505/953 = 52.99"
    halves = findings["k-of-n/halves"]
    assert halves.statement.text == "5 cells are exact halves at the printed precision"
    assert "High School Biology: 40.625 → 40.63" in halves.sentence
    assert halves.sentence.endswith("rounded up: 5, to the even digit: 4")
    checked = [one for one in findings if one.startswith("k-of-n/")]
    assert len(checked) == 1059 + 1


def test_captions_by_hand(findings):
    # Large: 4/12 to 6/24 of the layers; 15.7 of 84.9 M to 50.3 of 302.0 M of the weights.
    assert "0.333 to 0.250" in findings["large.generator-grows"].sentence
    assert "0.185 to 0.167" in findings["large.generator-grows"].sentence
    # (530 − 380) / 120 = 1.25; with 1.055 and 1.065 in place of 1.06 it is 1.229 and 1.271.
    column = findings["table4.flops-column"].sentence
    assert "(1.06 × 500 − 380) / 120 = 1.25 (1.229 to 1.271 with rounding) at 500K" in column
    assert "(2.06 × 500 − 880) / 120 = 1.25" in column
    assert findings["appendix-d.metric-order"].sentence.endswith("in 40 of 40 cells")
    assert findings["appendix-d.flan-medians"].sentence.startswith("839 of 839 cells")
    assert "1,531 questions; Abstract Algebra 36.36 = 4/11" in (
        findings["setup.evaluation-split"].sentence
    )
    assert findings["base.60k-not-at-1m"].sentence == "Table 2 has τ = 60K at 500K"


CELLS_INCONSISTENT = {
    "average/base/0/500K/bbh",
    "average/equal/large-flan",
    "average/grouping/glue",
    "average/sign/glue",
    "k-of-n/large/0/500K/superglue/multirc/exact_match",
    "k-of-n/large/120K/500K/superglue/rte/accuracy",
}
PRINT_INCONSISTENT = {
    "appendix-b.fit-start",  # from 120K on, though the gap closes until 200K
    "appendix-d.every-row",  # τ = 60K has no breakdown
    "appendix-d.superglue-metrics",  # RTE twice
    "large.generator-grows",
}
OPEN = {
    "average/base/120K/1M/mmlu",
    *(f"average/base/60K/500K/{suite}" for suite in SUITES),
    "table4.flops-column",
    "setup.evaluation-split",
    "appendix-d.flan-medians",
}
EQUAL = {
    *itertools.product(["base/0/1M"], ["cnndm"]),
    *itertools.product(["base/120K/500K"], ["rainbow", "bbh"]),
    *itertools.product(["base/120K/1M"], ["cnndm"]),
    *itertools.product(["base/250K/1M"], ["cnndm", "squad"]),
    *itertools.product(["large/0/500K"], ["cnndm"]),
    *itertools.product(["large/0/1M"], ["squad", "bbh"]),
    *itertools.product(["large/120K/500K"], ["squad", "cnndm", "rainbow", "mmlu"]),
    *itertools.product(["large/120K/1M"], ["mmlu", "bbh"]),
}
"""Rows and suites whose printed average equals the mean of its breakdown."""


def test_the_whole_list(findings):
    claimed = {one.statement.id: one.verdict for one in paper.judge(published.load_all())}
    of_claims = {id for id in findings if claimed.get(id) is INCONSISTENT}
    assert len(of_claims) == 8
    assert ids(findings, INCONSISTENT) == CELLS_INCONSISTENT | PRINT_INCONSISTENT | of_claims
    assert ids(findings, NOT_TESTABLE) == OPEN
    rows = [
        row
        for row in ("base/0", "base/250K", "base/120K", "large/0", "large/120K")
        for row in (f"{row}/500K", f"{row}/1M")
    ]
    compared = {(row, suite) for row in rows for suite in SUITES}
    expected = {f"average/{row}/{suite}" for row, suite in compared - EQUAL}
    expected -= {"average/base/0/500K/bbh", "average/base/120K/1M/mmlu"}
    assert ids(findings, EXPLAINED) == expected


def test_a_statement_has_one_verdict_in_both_views(findings):
    claimed = {one.statement.id: one for one in paper.judge(published.load_all())}
    both = findings.keys() & claimed.keys()
    assert len(both) == 47
    assert all(findings[id].finding == claimed[id].finding for id in both)


BREAKDOWN = {"size": "base", "tau": "250K", "checkpoint": 500_000}


@pytest.mark.parametrize(
    ("suite", "task", "metric", "value", "slip"),
    [
        # 66.80 and 77.09 with their first digit lost, 73.00 with another first digit.
        ("rainbow", "hellaswag", "accuracy", 6.80, "6708/10042 = 66.80"),
        ("superglue", "multirc", "f1", 7.09, "77.09"),
        ("superglue", "copa", "accuracy", 13.00, "73/100 = 73.00"),
    ],
)
def test_one_corrupted_cell_is_found_and_named(printed, suite, task, metric, value, slip):
    key = {**BREAKDOWN, "suite": suite, "task": task, "metric": metric}
    found = by_id(averages.check(Breakdown(changed(printed, value, **key))))
    finding = found.pop(f"average/base/250K/500K/{suite}")
    assert finding.verdict is INCONSISTENT
    suspect = finding.finding.suspect
    assert suspect is not None and suspect.printed == f"{value:.2f}"
    heading = {"hellaswag": "HellaSWAG", "multirc": "MultiRC", "copa": "COPA"}[task]
    assert f"τ = 250K, 500K, {heading} ({metric})" in suspect.where
    assert slip in [one.partition(",")[0] for one in suspect.slip.split(" or ")]
    others = {one for one, of in found.items() if of.verdict is INCONSISTENT}
    assert others == {"average/base/0/500K/bbh"}


@pytest.mark.parametrize(
    ("column", "value", "key", "id", "numbers"),
    [
        # No one cell explains a wrong average.
        ("value", 76.10, ("rainbow", "", "average"), "average/base/250K/500K/rainbow", ""),
        (
            *("value", 36.63, ("mmlu", "abstract_algebra", "accuracy")),
            "k-of-n/base/250K/500K/mmlu/abstract_algebra/accuracy",
            "4/11 = 36.364, 5/11 = 45.455",
        ),
        ("value", 1.3, ("", "", published.RELATIVE_FLOPS), "table2.flops-column", "250K 500K"),
        ("bold", False, ("bbh", "", "average"), "table2.bold", "not BBH"),
    ],
)
def test_other_slips_are_found(printed, column, value, key, id, numbers):
    where = dict(zip(("suite", "task", "metric"), key, strict=True))
    found = by_id(paper.audit(changed(printed, value, column, **BREAKDOWN, **where)))[id]
    assert found.verdict is INCONSISTENT and found.finding.suspect is None
    assert numbers in found.sentence


def test_the_usual_gap_is_that_of_mean_and_median():
    draws = 200_000
    for runs, usual in patterns.USUAL_GAP.items():
        sample = np.random.default_rng(runs).normal(size=(draws, runs))
        gap = np.std(sample.mean(axis=1) - np.median(sample, axis=1))
        # The estimate of a standard deviation has an error of σ/√(2n); the constants have 3 digits.
        assert abs(gap - usual) < 4 * usual / np.sqrt(2 * draws) + 0.0005


def test_formats_list_the_same_findings(printed):
    found = paper.audit(printed)
    assert len(audit_view.plain(audit_view.groups(found, everything=True))) == len(found)
    groups = audit_view.groups(found)
    listed = audit_view.plain(groups)
    assert [one["verdict"] for one in listed] == ["inconsistent"] * 18 + ["partly"] * 5
    text = audit_view.text(found, groups, details=True)
    for one in found:
        shown = one.verdict.value in ("inconsistent", "partly")
        assert (f"[{one.statement.id}]" in text) == shown
    assert audit_view.summary(found) in " ".join(text.split())
    assert len(audit_view.text(found, groups).splitlines()) < 40
    assert audit_view.summary(found) == (
        "1,209 checks: 1,122 holds, 53 explained, 5 partly, 18 inconsistent, 11 not testable"
    )


def test_errors_and_the_command(printed, capsys):
    with pytest.raises(UserError, match="the audit is of the paper's numbers"):
        paper.audit(synthetic_records.study())
    code, out, _ = run(capsys, "audit")
    assert code == 0 and "Table 2, Base, τ = 0, 500K, BBH" in out
    code, everything, _ = run(capsys, "audit", "--all", "--details")
    assert code == 0 and "[average/large/0/1M/squad]" in everything
    assert len(everything.splitlines()) > 2_000 > len(out.splitlines())
