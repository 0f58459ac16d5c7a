"""The three sentences, worked out by hand on made-up records."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_records as synthetic

from analysis import summary
from analysis.schema import records

STEPS = range(100_000, 1_000_001, 100_000)
BASELINE = [5.0, 4.6, 4.3, 4.1, 3.9, 3.8, 3.7, 3.6, 3.5, 3.4]
EARLIER = [4.9, 4.5, 4.2, 4.0, 3.8, 3.6, 3.4, 3.5, 3.4, 3.3]
"""Ends 0.1 lower, and is at 3.4 for good from 900K on."""
FALLEN = [4.8, 4.2, 4.0, 3.9, 3.8, 3.7, 3.65, 3.6, 3.55, 3.5]
"""Leads by 0.4 at 200K, and by -0.05 and -0.1 at 900K and 1M."""


def study(seeds: int):
    shifts = 0.01 * np.arange(seeds)
    losses = {
        "0": [np.array(BASELINE) + shift for shift in shifts],
        "250K": [np.array(EARLIER) + 2 * shift for shift in shifts],
        "inf": [np.array(FALLEN) + shift for shift in shifts],
    }
    return synthetic.trained(STEPS, losses)


def test_leads_and_savings_by_hand():
    result = summary.run(study(2))
    two, one = result.two_stages, result.one_stage
    assert (two.baseline, two.model) == (pytest.approx(3.405), pytest.approx(3.31))
    assert two.lead.by_seed == pytest.approx((0.1, 0.09))
    # Seed 1: 3.42 at 900K is above its baseline's 3.41, so it has that loss at 1M alone.
    assert two.steps_saved == pytest.approx((0.1, 0.0))
    # A hybrid step costs 1.2 plain ones: 0.9 + 0.2 · 0.25 of the baseline's.
    assert two.flops_saved == pytest.approx((0.05, -0.05))
    assert one.early.by_seed == pytest.approx((0.4, 0.4))
    assert one.late.by_seed == pytest.approx((-0.075, -0.075))
    assert one.lost.mean == pytest.approx(0.475)
    assert result.sentences[2] == "Downstream: not run."


def test_a_single_seed_is_not_tested_and_savings_of_a_late_model_are_negative():
    result = summary.run(study(1))
    assert "one seed, no test" in result.sentences[0] and "p =" not in result.text()
    rows = synthetic.curve("0", 0, STEPS, BASELINE) + synthetic.curve("250K", 0, STEPS, FALLEN)
    late = summary.run(records.from_rows(rows))
    # The baseline has 3.5, the late model's last loss, at 900K.
    assert late.two_stages.steps_saved == pytest.approx((-0.1,))
    assert late.two_stages.flops_saved == ()
    assert "need 10 % more steps for the same loss" in late.sentences[0]


def test_a_study_that_has_not_finished_names_the_step_and_leaves_out_unfinished_seeds():
    frame = study(2)
    later = (frame["paper_step"] > 500_000).fillna(False)
    begun = frame[~(later & (frame["seed"] == 1).fillna(False))]
    assert summary.run(begun).sentences == summary.run(study(1)).sentences
    half = summary.run(frame[~later])
    assert half.two_stages.at == 500_000
    assert half.one_stage.early.mean == pytest.approx(0.4)
    assert half.one_stage.late.by_seed == ()
    assert "have trained to 500K and are at" in half.sentences[0]
    assert "has not trained to 1M" in half.sentences[1]


def test_downstream_counts_suites_and_shows_differences_after_holm():
    frame = synthetic.study(runs=3, seeds=3)
    downstream = summary.run(frame).downstream
    # The made-up scores rise with τ at every checkpoint, equally in all seeds.
    assert set(downstream.differences) == {"glue", "cnndm"}
    assert all(one.mean > 0 for one in downstream.differences.values())
    assert downstream.scratch == ()


def test_no_records():
    assert "not run" in summary.run(records.empty()).text()
