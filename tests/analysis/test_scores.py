from __future__ import annotations

import pandas as pd
import pytest
from synthetic_records import score

from analysis import scores
from analysis.paper import patterns
from analysis.paper.breakdown import Breakdown
from analysis.schema import published, records
from analysis.schema.quantities import DIVIDED_TASKS
from spactor.errors import UserError


@pytest.mark.parametrize(
    ("task", "metrics", "expected"),
    [
        # mrpc: (60 + 80) / 2 = 70; suite: (10 + 70) / 2 = 40. All three at once would give 50.
        ("mrpc", ("accuracy", "f1"), 40.0),
        # The two sets of MNLI count as two tasks: (10 + 60 + 80) / 3.
        ("mnli", ("accuracy_matched", "accuracy_mismatched"), 50.0),
    ],
)
def test_metrics_within_a_task_come_first(task, metrics, expected):
    rows = [score(10.0)]
    rows += [score(v, task=task, metric=m) for m, v in zip(metrics, (60.0, 80.0), strict=True)]
    assert scores.suite_scores(records.from_rows(rows))["score"].tolist() == [expected]


def test_fine_tuning_seeds_are_no_seeds_of_their_own():
    rows = [score(10.0), score(30.0, finetune_seed=1), score(50.0, seed=1)]
    found = scores.seed_scores(records.from_rows(rows))
    assert found == {("base", "0", 500_000, "glue"): {0: 20.0, 1: 50.0}}
    assert scores.seed_scores(published.load(2)) == {}


def test_what_is_divided_is_what_the_published_averages_divide():
    found = patterns.divided_tasks(Breakdown(published.load_all()))
    divided = {(suite, task) for suite, tasks in found.items() for task in tasks}
    assert divided == DIVIDED_TASKS


def test_best_average_takes_all_tasks_at_one_step():
    # Averages: step 30 → 20, step 60 → 25, step 90 → 24; each task alone peaks elsewhere.
    rows = []
    for step, rte, mrpc in ((30, 35.0, 5.0), (60, 30.0, 20.0), (90, 8.0, 40.0)):
        rows += [score(rte, step=step), score(mrpc, task="mrpc", step=step)]
    frame = records.from_rows(rows)
    best = scores.select(frame)
    assert (best["step"].unique().tolist(), best["value"].tolist()) == ([60], [30.0, 20.0])
    assert best["selection"].unique().tolist() == ["best_average"]
    last = scores.select(frame, "last")
    assert (last["step"].unique().tolist(), last["value"].tolist()) == ([90], [8.0, 40.0])


@pytest.mark.parametrize("rule", records.SELECTIONS)
def test_steps_without_every_task_are_not_eligible(rule):
    rows = [score(1.0), score(1.0, task="mrpc"), score(99.0, step=60)]
    assert scores.select(records.from_rows(rows), rule)["step"].unique().tolist() == [30]


def test_a_run_that_lacks_a_task_is_named():
    rows = [score(1.0), score(1.0, task="mrpc"), score(1.0, finetune_seed=1)]
    with pytest.raises(
        UserError, match=r"base, τ = 0, checkpoint 500000, seeds 0/1: .* suite glue"
    ):
        scores.summary(records.from_rows(rows))


def test_both_rules_are_marked_and_the_marked_rows_are_what_is_read():
    # The average peaks at 60, the last step is 90.
    rows = [score(value, step=step) for step, value in ((30, 1.0), (60, 7.0), (90, 5.0))]
    frame = records.from_rows(rows)
    marked = scores.select_by_all_rules(frame)
    named = dict(zip(marked["selection"], marked["step"], strict=True))
    assert named == {"best_average": 60, "last": 90}
    whole = records.combine(frame, marked)
    for rule in records.SELECTIONS:
        assert scores.select(whole, rule)["step"].tolist() == [named[rule]]
        pd.testing.assert_frame_equal(scores.summary(whole, rule), scores.summary(frame, rule))


def use_of_labels(classes, invalid=0.0, **more):
    return [
        score(classes, metric="predicted_classes", **more),
        score(invalid, metric="invalid_rate", **more),
    ]


def test_diagnostics_go_with_the_selected_step_and_are_in_no_average():
    rows = [score(10.0), score(20.0, step=60), *use_of_labels(2.0, 50.0)]
    rows += use_of_labels(1.0, 0.0, step=60)
    frame = records.from_rows(rows)
    assert scores.suite_scores(frame)["score"].tolist() == [20.0]
    assert set(scores.select(frame)["metric"]) == {
        *("accuracy", "predicted_classes", "invalid_rate")
    }
    assert scores.breakdown(frame)["metric"].tolist() == ["accuracy"]


def test_runs_that_collapsed_are_counted_per_cell_and_stay_in_the_mean():
    rows = [
        score(50.0),
        *use_of_labels(1.0),
        score(50.0, finetune_seed=1),
        *use_of_labels(2.0, finetune_seed=1),
    ]
    rows += [score(40.0, finetune_seed=2), *use_of_labels(1.0, 100.0, finetune_seed=2)]
    frame = records.from_rows(rows)
    (cell,) = scores.collapsed(frame).to_dict("records")
    assert (cell["suite"], cell["task"], cell["runs"]) == ("glue", "rte", 2)
    assert scores.summary(frame).iloc[0]["runs"] == 3


def test_a_run_that_collapsed_on_one_or_both_sets_of_mnli_counts_once():
    rows = []
    for seed, matched, mismatched in ((0, 1.0, 1.0), (1, 3.0, 1.0), (2, 3.0, 2.0)):
        for half, classes in (("matched", matched), ("mismatched", mismatched)):
            more = {"task": "mnli", "finetune_seed": seed}
            rows.append(score(50.0, metric=f"accuracy_{half}", **more))
            rows.append(score(classes, metric=f"predicted_classes_{half}", **more))
            rows.append(score(12.5, metric=f"invalid_rate_{half}", **more))
    frame = records.from_rows(rows)
    (cell,) = scores.collapsed(frame).to_dict("records")
    assert (cell["suite"], cell["task"], cell["runs"]) == ("glue", "mnli", 2)
    of_classes = frame["metric"].str.startswith("predicted_classes")
    assert set(frame["unit"][of_classes]) == {"classes"}
    assert set(frame["unit"][~of_classes]) == {"percent"}
    assert scores.suite_scores(frame)["score"].tolist() == [50.0] * 3
    assert set(scores.breakdown(frame)["metric"]) == {"accuracy_matched", "accuracy_mismatched"}


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        # Of equal averages the earliest step.
        ([score(5.0, step=90), score(5.0, step=60), score(4.0, step=30)], [("", 60)]),
        # A selection that is marked is taken as it is; the other run has none.
        (
            [
                score(1.0, selection="best_average"),
                score(9.0, step=60),
                score(4.0, finetune_seed=1),
            ],
            [("", 30), ("", 30)],
        ),
        # Two variants are two runs.
        (
            [score(5.0), score(4.0, step=60), score(1.0, variant="a", step=60)],
            [("", 30), ("a", 60)],
        ),
    ],
)
def test_the_best_step_of_each_run_is_selected(rows, chosen):
    found = scores.select(records.from_rows(rows))
    assert sorted(zip(found["variant"], found["step"], strict=True)) == chosen


def test_an_unknown_rule_is_named():
    with pytest.raises(UserError, match="unknown selection rule 'median'"):
        scores.select(records.empty(), "median")


def test_bold_compares_before_rounding_and_equal_is_not_higher():
    rows = [score(33.2701), score(33.2749, tau="120K"), score(33.2701, tau="250K")]
    rows += [score(99.0, tau="60K", checkpoint=1_000_000)]
    bold = scores.summary(records.from_rows(rows)).set_index("tau")["bold"]
    assert bold.to_dict() == {"0": False, "120K": True, "250K": False, "60K": False}
