"""Diffs whose verdicts are known: the study as published, moved, cut, and at another scale."""

from __future__ import annotations

from collections import Counter

import imitation
import pytest
import synthetic_records as synthetic

import tables
from analysis import tests
from analysis.schema import published, records
from spactor.errors import UserError
from tables import differences

FULL = imitation.study()


def verdicts(table):
    return Counter(row.cells[-1].text() for row in table.rows)


def row_of(table, *labels):
    (row,) = [row for row in table.rows if row.labels == labels]
    return {c.key: cell.text() for c, cell in zip(table.columns, row.cells, strict=True)}


def test_the_outcome_of_the_paper_is_equal_to_itself():
    table = differences.compute(6, FULL)
    # 12 metrics of 8 tasks in 6 rows.
    assert verdicts(table) == {tests.EQUAL: 72}
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


def test_a_little_off_is_noise_and_far_off_differs():
    assert verdicts(differences.compute(6, imitation.study(shift=0.1))) == {tests.WITHIN_NOISE: 72}
    far = verdicts(differences.compute(6, imitation.study(runs=9, shift=-20.0)))
    assert far == {tests.DIFFERS: 72}


def test_one_run_against_a_median_has_no_spread():
    table = differences.compute(7, imitation.study(runs=1, shift=0.1))
    assert verdicts(table) == {tests.UNTESTED: 48}
    assert "48 numbers, all not tested: neither side has a spread over runs." in table.caption
    assert not any(note.startswith(tests.UNTESTED) for note in table.footnotes)


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
    assert verdicts(table) == {tests.SCALED: 21, tests.NOT_RUN: 35}
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
    assert verdicts(table) == {tests.EQUAL: 32, tests.DIFFERS: 2}
    found = row_of(table, "Batch Size", "T5-Large")
    assert (found["ours"], found["difference"], found["verdict"]) == ("1024", "-1024", "differs")
    found = row_of(table, "RTD Head MLP Activation", "T5-Base")
    assert (found["ours"], found["difference"], found["verdict"]) == ("ReLU", "–", "differs")
    table = differences.compute(3, FULL)
    assert verdicts(table) == {tests.EQUAL: 2, tests.NOT_RUN: 2}
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
    assert verdicts(table) == {tests.EQUAL: 4, tests.DIFFERS: 2}


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
    with pytest.raises(UserError, match="these are the published numbers"):
        differences.compute(2, published.load(2))
