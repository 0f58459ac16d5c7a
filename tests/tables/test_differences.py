"""Diffs whose verdicts are known: the study as published, moved, cut, and at another scale."""

from __future__ import annotations

import math
from collections import Counter

import imitation
import numpy as np
import pytest
import synthetic_records as synthetic
from scipy import stats

import tables
from analysis.schema import published, records
from analysis.schema.facts import NOT_RUN, UNTESTED
from analysis.tests import Sample
from spactor.errors import UserError
from tables import differences
from tables.cells import MISSING, Cell, Column, Row, Table
from tables.differences import DIFFERS, EQUAL, SCALED, WITHIN_NOISE

FULL = imitation.study()
OURS, THEIRS, FAR = [80.1, 80.4, 80.9], [80.0, 80.6, 80.2, 80.8, 80.3], [85.0, 85.3, 85.1, 85.4]


def over_runs(values):
    sample = Sample.of(values)
    return Cell(sample.mean, sample.std, sample.runs)


def judged(pairs, profile="paper"):
    """What comes of cells of ours, each beside the paper's."""
    ours, paper = (
        Table(
            number=0,
            source=source,
            profile=of,
            caption="",
            label_columns=(),
            columns=(Column("number", "Number"),),
            rows=tuple(Row((str(at),), (pair[side],)) for at, pair in enumerate(pairs)),
        )
        for side, (source, of) in enumerate((("measured", profile), ("published", "")))
    )
    return differences.judge(ours, paper)


def verdicts(table):
    return Counter(row.cells[-1].text() for row in table.rows)


def row_of(table, *labels):
    (row,) = [row for row in table.rows if row.labels == labels]
    return {c.key: cell.text() for c, cell in zip(table.columns, row.cells, strict=True)}


def test_the_outcome_of_the_paper_is_equal_to_itself():
    table = differences.compute(6, FULL)
    # 12 metrics of 8 tasks in 6 rows.
    assert verdicts(table) == {EQUAL: 72}
    assert table.caption == (
        "Table 6, ours (measured, paper profile) beside published. 72 numbers, all equal: at the "
        "decimals that the paper prints."
    )
    assert row_of(table, "Base", "0", "500K", "MNLI, mismatched accuracy") == {
        "ours": "88.11 ± 0.25",
        "published": "88.11",
        "difference": "0.00",
        "test": "borrowed spread",
        "p": "1.000",
        "p_holm": "1.000",
        "verdict": "equal",
    }
    text = " ".join(table.footnotes)
    assert "two-sided, α = 0.05, p adjusted by Holm over the 72 numbers" in text
    assert "Borrowed spread (72): only one side has a spread" in text and "√(π/2)" in text


def test_averages_are_tested_by_welch():
    table = differences.compute(2, FULL)
    text = " ".join(table.footnotes)
    # 42 averages; 60K is in no breakdown, so its 7 and all FLOPs were not run.
    assert "over the 42 numbers" in text and "Welch (42)" in text
    assert verdicts(table)["not run"] == 7 + 7
    assert row_of(table, "0", "500K", "GLUE")["test"] == "Welch"


def test_a_scaled_profile_is_never_compared():
    table = differences.compute(2, records.combine(synthetic.study(), synthetic.timing()))
    # 7 FLOPs, GLUE and CNNDM of 7 rows; five suites of 7 rows were not run.
    assert verdicts(table) == {SCALED: 21, NOT_RUN: 35}
    assert table.footnotes[0].startswith("not comparable: a scaled profile's numbers do not")
    assert not any("was tested" in note for note in table.footnotes)
    assert "Left out: 6 of ours that the paper does not print." in table.footnotes
    assert not any(cell.bold for row in table.rows for cell in row.cells)


def test_settings_and_costs_are_equal_or_differ_without_a_test():
    rows = FULL.to_dict("records")
    for row in rows:
        if row["metric"] == "setting/batch_size" and row["size"] == "large":
            row["value"] = 1024
        if row["metric"] == "setting/rtd_activation" and row["size"] == "base":
            row["text"] = "ReLU"
    table = differences.compute(5, records.from_rows(rows))
    # 17 settings of both sizes.
    assert verdicts(table) == {EQUAL: 32, DIFFERS: 2}
    found = row_of(table, "Batch Size", "T5-Large")
    assert (found["ours"], found["difference"], found["verdict"]) == ("1024", "-1024", "differs")
    found = row_of(table, "RTD Head MLP Activation", "T5-Base")
    assert (found["ours"], found["difference"], found["verdict"]) == ("ReLU", "–", "differs")
    table = differences.compute(3, FULL)
    assert verdicts(table) == {EQUAL: 2, NOT_RUN: 2}
    assert "Counted numbers and settings are equal or differ without a test." in table.footnotes


def test_datasets_are_compared_and_words_are_not():
    table = differences.compute(1, FULL)
    assert [(row.labels, row.cells[0].text(), row.cells[1].text()) for row in table.rows] == [
        (("GLUE", "No. Datasets"), "8", "7"),
        (("SuperGLUE", "No. Datasets"), "8", "8"),
        (("SQuAD", "No. Datasets"), "1", "1"),
        (("CNN/DailyMail", "No. Datasets"), "1", "1"),
        (("Rainbow", "No. Datasets"), "6", "6"),
        (("FLAN", "No. Datasets"), "84", "6"),
    ]
    assert verdicts(table) == {EQUAL: 4, DIFFERS: 2}


def test_an_illegible_cell_is_left_out_with_a_note():
    table = differences.compute(15, FULL)
    # 25 tasks in 6 rows, but for one.
    assert len(table.rows) == 149
    assert "Left out: 1 published, illegible." in table.footnotes


@pytest.mark.parametrize("number", sorted(tables.REGISTRY))
def test_every_published_number_has_a_verdict(number):
    table = differences.compute(number, records.empty())
    frame = published.load(number)
    lost = frame["value"].isna() & (frame["text"] == "")
    words = frame["metric"].str.endswith(("/description", "/reference"))
    assert verdicts(table) == {"not run": len(frame) - int((lost | words).sum())}


def test_published_records_are_no_side_of_ours():
    with pytest.raises(UserError, match="a diff compares measured records"):
        differences.compute(2, published.load(2))


def test_two_spreads_are_tested_by_welch():
    near, far = judged([(over_runs(OURS), over_runs(THEIRS)), (over_runs(OURS), over_runs(FAR))])
    assert (near.test, near.verdict) == ("Welch", WITHIN_NOISE)
    assert (far.test, far.verdict) == ("Welch", DIFFERS)
    for found, values in ((near, THEIRS), (far, FAR)):
        assert found.p == pytest.approx(stats.ttest_ind(OURS, values, equal_var=False).pvalue)
    # Holm on two: the smaller is doubled, the greater stays.
    assert far.p_holm == pytest.approx(2 * far.p) and near.p_holm == pytest.approx(near.p)
    assert far.difference.value == pytest.approx(np.mean(OURS) - np.mean(FAR))


def test_the_borrowed_spread_of_a_median_is_greater():
    (found,) = judged([(Cell(80.0, 0.5, 4), Cell(79.0, None, 5, statistic="median"))])
    assert (found.test, found.verdict) == ("borrowed spread", WITHIN_NOISE)
    # Δ = 1; a spread over 4 runs has 3 degrees of freedom.
    error = 0.5 * math.sqrt(math.pi / 2) * math.sqrt(1 / 5 + 1 / 4)
    assert found.p == pytest.approx(2 * stats.t.sf(1 / error, 3))


def test_the_factor_is_the_most_a_normal_median_errs():
    # Standard error of the median of n = 3 and 5 standard normal values over that of the mean,
    # from tables of order statistics (Sarhan and Greenberg 1962): variances 0.44867 and 0.28683.
    ratios = [math.sqrt(3 * 0.44867), math.sqrt(5 * 0.28683)]
    factor = differences.MEDIAN_FACTOR
    assert 1.0 < ratios[0] < ratios[1] < factor == pytest.approx(1.2533, abs=1e-4)


def test_the_order_of_the_verdicts():
    far = over_runs(FAR)
    counted, other = Cell(2.0, statistic="exact"), Cell(2.1, statistic="exact")
    pairs = [
        (MISSING, far),
        (far, far),
        (other, counted),
        (counted, counted),
        (Cell(label="ReLU"), Cell(label="GEGLU")),
        (Cell(80.0, None, 1), Cell(79.0, None, 5, statistic="median")),
    ]
    verdicts = [found.verdict for found in judged(pairs)]
    assert verdicts == [NOT_RUN, *2 * [EQUAL, DIFFERS], UNTESTED]
    scaled = judged(pairs, profile="micro")
    assert [found.verdict for found in scaled] == [NOT_RUN, *5 * [SCALED]]
    assert all(found.p is None for found in scaled)


def test_equal_numbers_stay_in_the_family():
    # p of about 0.03 alone; with two more that can be tested Holm multiplies it by three.
    base, other = Cell(80.0, 0.5, 4), Cell(81.05, 0.5, 4)
    (alone,) = judged([(other, base)])
    assert 0.02 < alone.p < 0.04 and alone.verdict == DIFFERS
    three = judged([(other, base), (base, base), (base, base)])
    assert three[0].p_holm == pytest.approx(3 * alone.p)
    assert three[0].verdict == WITHIN_NOISE
