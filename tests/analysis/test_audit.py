"""The audit of the paper's numbers: hand-checked findings, the whole list, and planted mistakes."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import synthetic_records

from analysis import audit
from analysis.audit import averages, counts, patterns
from analysis.audit.finding import Printed, Row
from analysis.schema import facts, published
from spactor.errors import UserError


@pytest.fixture(scope="module")
def printed() -> pd.DataFrame:
    return published.load_all()


@pytest.fixture(scope="module")
def findings(printed):
    return {finding.id: finding for finding in audit.run(printed).findings}


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
    return {finding.id for finding in findings.values() if finding.verdict == verdict}


def test_an_average_by_hand(findings):
    # Tasks: 55.50, (88.22+88.11)/2, (93.02+90.44)/2, 92.99, (89.41+92.12)/2, 81.95, 94.61,
    # (90.05+89.91)/2: sum 685.69, /8 = 85.71125; 85.89 is 0.17875 = 1.05 × 0.17 more.
    # With MNLI's two apart 685.69 − 88.165 + 88.22 + 88.11 = 773.855, /9 = 85.98389.
    found = findings["average/base/0/500K/glue"]
    assert found.verdict == "explained"
    assert found.said == "85.89 ± 0.17"
    assert "90.765 + 81.95 + 94.61 + 89.98) / 8 = 85.711; " in found.arithmetic
    assert "85.89 − 85.711 = +0.179 = +1.05 printed standard deviations" in found.arithmetic
    assert "/ 9 = 85.984; 85.89 − 85.984 = −0.094 = −0.55" in found.arithmetic
    # (88.37 + 94.67) / 2 = 91.52, as printed.
    assert findings["average/large/0/1M/squad"].verdict == "agrees"
    assert len([one for one in findings if one.startswith("average/base/60K")]) == 7


def test_the_lost_digit_of_table_12(findings):
    # The 27 cells sum to 963.09, /27 = 35.67; 36.82 − 35.67 = 1.15 = 2.09 × 0.55.
    # 4.80 + 27 × 1.15 = 35.85, between 89/250 = 35.60 and 90/250 = 36.00.
    # With 34.80 = 87/250 the mean is 993.09/27 = 36.781, which leaves 0.039.
    found = findings["average/base/0/500K/bbh"]
    assert found.verdict == "disagrees"
    assert "963.09 / 27 = 35.67; 36.82 − 35.67 = +1.150 = +2.09" in found.arithmetic
    suspect = found.suspect
    assert suspect is not None
    assert suspect.where.startswith("Table 12, Base, τ = 0, 500K, Reasoning About Colored Objects")
    assert (suspect.printed, suspect.needed) == ("4.80", "35.85")
    assert suspect.nearest == "90/250 = 36.00"
    assert suspect.slip == "87/250 = 34.80, which leaves +0.039"
    assert suspect.reason == "the column's other 5 cells read 32 to 35.2"


def test_the_missing_cell_of_table_15(findings):
    # 57 × 52.81 = 3010.17; the 56 cells sum to 2965.88; 44.29 lies nearest 8/19 = 42.105.
    found = findings["average/base/120K/1M/mmlu"]
    assert found.verdict == "open"
    assert found.arithmetic == (
        "57 × 52.81 − 2965.88 (the other 56) = 44.29 for World Religions, nearest 8/19 = 42.11"
    )
    # ±57 × 0.57 = ±32.49: 11.80 (3/19 = 15.79) to 76.78 (14/19 = 73.68).
    assert "3/19 to 14/19 fit" in found.remark


def test_glue_divides_mnli(findings):
    assert findings["average/grouping/glue"].verdict == "disagrees"
    assert (
        "every metric of MNLI as a task (9 terms)" in findings["average/grouping/glue"].arithmetic
    )
    assert findings["average/grouping/superglue"].verdict == "agrees"
    # Ten of ten above: 2 × (1/2)¹⁰ × 7 suites = 14/1024.
    assert "2 × 1/1024 × 7 suites, p = 0.014" in findings["average/sign/glue"].arithmetic


def test_counts_by_hand(findings):
    # 254/277 = 91.697 and 255/277 = 92.058; 764/831 = 91.937 would be a mean over three runs.
    rte = findings["k-of-n/large/120K/500K/superglue/rte/accuracy"]
    assert rte.verdict == "disagrees" and "254/277 = 91.697, 255/277 = 92.058" in rte.arithmetic
    assert "764/(3·277) = 91.937" in rte.remark
    # 504/953 = 52.886 and 505/953 = 52.991; 1513/2859 = 52.921 and 1514/2859 = 52.956.
    multirc = findings["k-of-n/large/0/500K/superglue/multirc/exact_match"]
    assert multirc.verdict == "disagrees"
    assert multirc.remark == "nor is it a mean over 3 runs; one digit away: 505/953 = 52.99"
    halves = findings["k-of-n/halves"]
    assert halves.said == "5 cells are exact halves at the printed precision"
    assert "High School Biology: 40.625 → 40.63" in halves.arithmetic
    assert halves.arithmetic.endswith("rounded up: 5, to the even digit: 4")
    checked = [one for one in findings if one.startswith("k-of-n/")]
    assert len(checked) == 1059 + 1


def test_flops_by_hand(findings):
    # (60 × 1.375 + 440) / 500 = 1.045, a half that is printed 1.05.
    found = findings["FLOPs/base/60K/500K"]
    assert (found.verdict, found.arithmetic) == ("agrees", "(60 × 1.375 + 440) / 500 = 1.045")
    # (530 − 380) / 120 = 1.25 and (1030 − 880) / 120 = 1.25.
    for at, text in (("500K", "(1.06 × 500 − 380) / 120"), ("1M", "(2.06 × 500 − 880) / 120")):
        large = findings[f"FLOPs/large/120K/{at}"]
        assert large.verdict == "open" and f"{text} = 1.25 is" in large.arithmetic
    # (1.055 × 500 − 380) / 120 = 1.229 and (1.065 × 500 − 380) / 120 = 1.271.
    assert "(1.229 to 1.271)" in findings["FLOPs/large/120K/500K"].arithmetic
    # 2.15/1.65 = 1.303 and 2.25/1.55 = 1.452.
    assert "1.303 to 1.452" in findings["FLOPs/step-ratio"].arithmetic


def test_prose_by_hand(findings):
    # −6.90e-5 × 880,000 = −60.72.
    assert "= -60.7 nats" in findings["prose/slope-unit"].arithmetic
    # SuperGLUE 86.06 < 86.11, CNNDM 34.22 < 34.24.
    assert findings["prose/half-the-steps/large"].remark.startswith("SuperGLUE and CNNDM")
    # SQuAD: 91.52 − 91.36 = 0.16 > 0.10; Rainbow: 82.97 − 82.68 = 0.29 > 0.23.
    assert findings["prose/within-one-deviation/large"].remark.startswith("SQuAD and Rainbow")
    # 4·(4·768² + 2·768·1024) = 15.7 M of 12·(4·768² + 2·768·3072) = 84.9 M.
    assert "15.7 M / 84.9 M = 0.185" in findings["prose/generator/parameters"].arithmetic
    # 24·12·1024² + 24·4·1024·4096 + 32128·1024 = 737.5 M.
    assert "= 738 M" in findings["prose/large-parameters"].arithmetic
    assert findings["prose/metric-order"].arithmetic.endswith("in 40 of 40 cells")


DISAGREE = {
    "average/base/0/500K/bbh",
    "average/equal/large-flan",
    "average/grouping/glue",
    "average/sign/glue",
    "k-of-n/large/0/500K/superglue/multirc/exact_match",
    "k-of-n/large/120K/500K/superglue/rte/accuracy",
    "prose/breakdown-of-every-row",
    "prose/captions-superglue",
    "prose/datasets/flan",
    "prose/datasets/glue",
    "prose/figure-4b/difference",
    "prose/figure-4b/start",
    "prose/flops-column",
    "prose/gain/consistent",
    "prose/gain/large-margin",
    "prose/gain/one-deviation",
    "prose/generator/grows",
    "prose/generator/parameters",
    "prose/half-the-steps/large",
    "prose/lengths/target",
    "prose/one-eighth",
    "prose/runs",
    "prose/saving/at-least",
    "prose/saving/large",
    "prose/saving/scales",
    "prose/slope-unit",
    "prose/within-one-deviation/large",
}
OPEN = {
    "FLOPs/large/120K/1M",
    "FLOPs/large/120K/500K",
    "FLOPs/shapes/large",
    "FLOPs/step-absolute",
    "average/base/120K/1M/mmlu",
    *(f"average/base/60K/500K/{suite}" for suite in facts.SUITES),
    "prose/evaluation-split",
    "prose/medians-of-flan",
    "prose/saving/mmlu",
}
EQUAL = {
    ("base/0/1M", "cnndm"),
    ("base/120K/500K", "rainbow"),
    ("base/120K/500K", "bbh"),
    ("base/120K/1M", "cnndm"),
    ("base/250K/1M", "cnndm"),
    ("base/250K/1M", "squad"),
    ("large/0/500K", "cnndm"),
    ("large/0/1M", "squad"),
    ("large/0/1M", "bbh"),
    ("large/120K/500K", "squad"),
    ("large/120K/500K", "cnndm"),
    ("large/120K/500K", "rainbow"),
    ("large/120K/500K", "mmlu"),
    ("large/120K/1M", "mmlu"),
    ("large/120K/1M", "bbh"),
}
"""Rows and suites whose printed average equals the mean of its breakdown."""


def test_the_whole_list(findings):
    assert ids(findings, "disagrees") == DISAGREE
    assert ids(findings, "open") == OPEN
    rows = [
        row
        for row in ("base/0", "base/250K", "base/120K", "large/0", "large/120K")
        for row in (f"{row}/500K", f"{row}/1M")
    ]
    compared = {(row, suite) for row in rows for suite in facts.SUITES}
    expected = {f"average/{row}/{suite}" for row, suite in compared - EQUAL}
    expected -= {"average/base/0/500K/bbh", "average/base/120K/1M/mmlu"}
    assert ids(findings, "explained") == expected | {"FLOPs/shapes/base", "prose/lengths/input"}


def test_the_summary_counts_every_finding(printed, findings):
    found = audit.run(printed)
    assert sum(found.counts.values()) == len(findings) == len(found.findings)
    assert found.summary().startswith("checked 1,291: 1,194 agree, 27 disagree, 55 differ")


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
    found = {one.id: one for one in averages.check(Printed(changed(printed, value, **key)))}
    finding = found.pop(f"average/base/250K/500K/{suite}")
    assert finding.verdict == "disagrees"
    suspect = finding.suspect
    assert suspect is not None and suspect.printed == f"{value:.2f}"
    heading = {"hellaswag": "HellaSWAG", "multirc": "MultiRC", "copa": "COPA"}[task]
    assert f"τ = 250K, 500K, {heading} ({metric})" in suspect.where
    assert slip in [one.partition(",")[0] for one in suspect.slip.split(" or ")]
    others = {one for one, of in found.items() if of.verdict == "disagrees"}
    assert others == {"average/base/0/500K/bbh"}


def test_a_corrupted_average_has_no_cell_to_blame(printed):
    key = {**BREAKDOWN, "suite": "rainbow", "task": "", "metric": "average"}
    found = {one.id: one for one in averages.check(Printed(changed(printed, 76.10, **key)))}
    finding = found["average/base/250K/500K/rainbow"]
    assert finding.verdict == "disagrees" and finding.suspect is None


def test_a_score_that_is_no_count_is_found(printed):
    key = {**BREAKDOWN, "suite": "mmlu", "task": "abstract_algebra", "metric": "accuracy"}
    found = {one.id: one for one in counts.check(Printed(changed(printed, 36.63, **key)))}
    finding = found["k-of-n/base/250K/500K/mmlu/abstract_algebra/accuracy"]
    # 4/11 = 36.364, 5/11 = 45.455.
    assert finding.verdict == "disagrees" and "4/11 = 36.364, 5/11 = 45.455" in finding.arithmetic


@pytest.mark.parametrize(
    ("column", "value", "key", "id"),
    [
        ("value", 1.3, {"suite": "", "metric": published.RELATIVE_FLOPS}, "FLOPs/{}"),
        ("bold", False, {"suite": "bbh", "metric": "average"}, "bold/{}/bbh"),
    ],
)
def test_other_slips_are_found(printed, column, value, key, id):
    found = audit.run(changed(printed, value, column, **BREAKDOWN, task="", **key))
    disagree = {finding.id for finding in found.findings if finding.verdict == "disagrees"}
    assert id.format("base/250K/500K") in disagree - DISAGREE


def test_the_usual_gap_is_that_of_mean_and_median():
    draws = 200_000
    for runs, usual in patterns.USUAL_GAP.items():
        sample = np.random.default_rng(runs).normal(size=(draws, runs))
        gap = np.std(sample.mean(axis=1) - np.median(sample, axis=1))
        # The estimate of a standard deviation has an error of σ/√(2n); the constants have 3 digits.
        assert abs(gap - usual) < 4 * usual / np.sqrt(2 * draws) + 0.0005


def test_terms_of_an_average_are_exact(printed):
    cells = Printed(printed).cells(Row("base", "0", 500_000), "squad")
    assert patterns.terms_of(cells) == {("squad", ""): Fraction("88.605")}
    assert list(patterns.terms_of(cells, frozenset({"squad"})).values()) == [
        Fraction("85.01"),
        Fraction("92.20"),
    ]


def test_formats_hold_the_same_findings(printed):
    found = audit.run(printed)
    data = json.loads(audit.render(found, "json", everything=True))
    assert data["checked"] == len(data["findings"]) == len(found.findings)
    assert data["counts"] == dict(found.counts)
    listed = json.loads(audit.render(found, "json"))["findings"]
    assert [one["verdict"] for one in listed].index("open") == 27
    text, markdown = audit.render(found), audit.render(found, "markdown")
    for finding in found.findings:
        assert (f"[{finding.id}]" in text) == (finding.verdict != "agrees")
        assert (f"`{finding.id}`" in markdown) == (finding.verdict != "agrees")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in rows} == {6}
    assert text.splitlines()[-1] == markdown.splitlines()[-1] == found.summary()


def test_errors(printed):
    with pytest.raises(UserError, match="give one of text, markdown, json"):
        audit.render(audit.Audit(()), "pdf")
    with pytest.raises(UserError, match="the audit is of the paper's numbers"):
        audit.run(synthetic_records.study())
    with pytest.raises(UserError, match=r"no cost/step_flops/hybrid base; give the published"):
        audit.run(printed[printed["place"] != "Table 3"])
