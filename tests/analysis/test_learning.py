"""Checks against trivial predictors and against models from scratch, on made-up numbers."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import synthetic_records as synthetic

from analysis import learning
from analysis.schema import records
from analysis.tests import NOT_RUN, UNTESTED


def checks(frame):
    return {(check.size, check.name): check for check in learning.run(frame).checks}


def final(name, value, tau="inf", size="base", step=1000):
    at = {"size": size, "tau": tau, "seed": 0, "step": step, "metric": f"validation/{name}"}
    return {**synthetic.COMMON, **at, "value": value}


def test_numbers_and_references_of_a_study_that_learned():
    found = checks(synthetic.study(seeds=2))
    numbers = {name: (check.measured, check.reference) for (_, name), check in found.items()}
    assert numbers == {
        "text": (pytest.approx(2 + 100 / 1020), 6.0),
        "text and format": (pytest.approx(2 + 100 / 1020), 4.5),
        "generator": (pytest.approx(0.3), 0.05),
        # 0.1 ln 10 + 0.9 ln(10/9)
        "detection loss": (pytest.approx(0.2), pytest.approx(0.3250830)),
        "detection recall": (pytest.approx(0.4), 0.0),
        "detection precision": (pytest.approx(0.6), pytest.approx(0.1)),
    }
    assert learning.run(synthetic.study()).passed


@pytest.mark.parametrize(
    ("loss", "verdict", "words"),
    [
        (5.0, "yes, well", "5.0000 is 1.0000 below 6.0000 nats ("),
        (5.9, "yes, barely", "5.9000 is 0.1000 below 6.0000 nats ("),
        (6.0, "no", "6.0000 equals 6.0000 nats; it should be below"),
        (6.5, "no", "6.5000 is 0.5000 above 6.0000 nats; it should be below"),
    ],
)
def test_verdicts_are_plain(loss, verdict, words):
    frame = records.from_rows([*synthetic.facts(), final("sc_loss_clean", loss, tau="0")])
    check = checks(frame)["base", "text"]
    assert check.verdict == verdict
    assert words in check.sentence
    assert check.passed is verdict.startswith("yes")


def test_a_head_that_never_flags_has_not_learned():
    rows = [final("rtd_loss", 0.33), final("rtd_recall", 0.0), final("rtd_precision", 0.0)]
    found = checks(records.from_rows([*rows, final("replaced_fraction", 0.1)]))
    assert {
        found["base", f"detection {what}"].verdict for what in ("loss", "recall", "precision")
    } == {"no"}


def test_the_last_step_of_the_longest_hybrid_stage_counts():
    rows = [
        final("rtd_recall", 0.9, tau="60K", step=60),
        final("rtd_loss", 0.1, tau="60K", step=60),
    ]
    rows += [
        final("rtd_recall", 0.2, tau="250K", step=250),
        final("rtd_loss", 0.1, tau="250K", step=250),
    ]
    rows += [final("rtd_recall", 0.7, tau="250K", step=60)]
    assert checks(records.from_rows(rows))["base", "detection recall"].measured == 0.2


def test_missing_numbers_are_not_run_and_never_pass():
    result = learning.run(records.empty())
    assert {check.verdict for check in result.checks} == {"not run"}
    assert not result.passed and all(math.isnan(check.measured) for check in result.checks)
    assert "is not in the records" in result.text()


def test_large_is_checked_where_it_was_run():
    frame = records.from_rows(
        [*synthetic.facts(), final("sc_loss_clean", 7.0, tau="0", size="large")]
    )
    found = checks(frame)
    assert found["large", "text"].verdict == "no"
    assert found["base", "text"].verdict == "not run"


def score(suite: str, value: float, checkpoint: int, seed: int, **more: object) -> dict:
    task, metric = {"glue": ("rte", "accuracy"), "squad": ("squad", "f1")}[suite]
    return {
        **synthetic.COMMON,
        **{"size": "base", "tau": "0", "seed": 0, "finetune_seed": seed, "step": 30},
        **{"checkpoint": checkpoint, "suite": suite, "task": task, "metric": metric},
        "value": value,
        **more,
    }


GLUE, FRESH = [60.0, 61.0, 62.5, 60.5, 61.5], [50.0, 55.0, 51.0, 52.0, 49.0]
SQUAD, NO_BETTER = [10.0, 12.0, 11.0], [11.0, 12.5, 10.5]


@pytest.fixture
def result() -> learning.ScratchResult:
    rows = []
    for suite, checkpoint, values in (
        ("glue", 1_000_000, GLUE),
        ("glue", 0, FRESH),
        ("squad", 1_000_000, SQUAD),
        ("squad", 0, NO_BETTER),
    ):
        rows += [score(suite, value, checkpoint, seed) for seed, value in enumerate(values)]
    # Earlier checkpoints and variants are nobody's business here.
    rows += [score("glue", 1.0, 500_000, seed) for seed in range(3)]
    rows += [score("glue", 1.0, 0, seed, variant="fade") for seed in range(3)]
    return learning.compare_with_scratch(records.from_rows(rows))


def test_welch_and_holm(result: learning.ScratchResult) -> None:
    found = {one.suite: one for one in result.comparisons}
    assert len(found) == 7 and found["glue"].checkpoint == 1_000_000
    p = {
        "glue": scipy.stats.ttest_ind(GLUE, FRESH, equal_var=False, alternative="greater").pvalue,
        "squad": scipy.stats.ttest_ind(
            SQUAD, NO_BETTER, equal_var=False, alternative="greater"
        ).pvalue,
    }
    assert found["glue"].p_holm == pytest.approx(2 * p["glue"])
    assert found["squad"].p_holm == pytest.approx(p["squad"])
    assert found["glue"].difference == pytest.approx(61.1 - 51.4)
    assert [found[suite].verdict for suite in ("glue", "squad", "bbh")] == [
        learning.BETTER,
        learning.NOT_SHOWN,
        NOT_RUN,
    ]
    assert result.better("base", "0") == 1


def test_the_text_names_what_was_not_run(result: learning.ScratchResult) -> None:
    lines = result.text().splitlines()
    assert "better" in lines[1] and "61.10 ± 0.96 (n = 5) pre-trained, 51.40 ± 2.30" in lines[1]
    assert sum("not run pre-trained, not run from scratch" in line for line in lines) == 5
    assert lines[-1] == "base, τ = 0: better on 1 of 7"


def test_one_run_of_each_is_not_tested() -> None:
    rows = [score("glue", 60.0, 1_000_000, 0), score("glue", 50.0, 0, 0)]
    (glue, *_) = learning.compare_with_scratch(records.from_rows(rows)).comparisons
    assert glue.verdict == UNTESTED


def test_without_runs_from_scratch_it_says_how_to_make_them() -> None:
    text = learning.compare_with_scratch(synthetic.study()).text()
    assert text.count("\n") == 0 and "not run: `repro run --profile scratch`" in text
