"""Checks against trivial predictors and against models from scratch, on made-up numbers."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import synthetic_records as synthetic

from analysis import learning
from analysis.schema import records
from analysis.schema.facts import NOT_RUN, UNTESTED
from analysis.tests import Sample, paired
from spactor.data.suites import EMBEDDED
from tables.cells import Cell


def checks(frame):
    return {(check.size, check.name): check for check in learning.run(frame).checks}


def final(name, value, tau="inf", size="base", step=1000, seed=0):
    at = {"size": size, "tau": tau, "seed": seed, "step": step, "metric": f"validation/{name}"}
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
    assert all(check.passed for check in learning.run(synthetic.study()).checks)


@pytest.mark.parametrize(
    ("loss", "verdict"), [(5.0, "yes, clearly"), (5.9, "yes, barely"), (6.0, "no"), (6.5, "no")]
)
def test_verdicts_are_plain_and_have_the_numbers(loss, verdict):
    frame = records.from_rows([*synthetic.facts(), final("sc_loss_clean", loss, tau="0")])
    check = checks(frame)["base", "text"]
    assert check.verdict == verdict and check.passed is verdict.startswith("yes")
    assert f"{loss:.4f}" in check.sentence and "6.0000 nats" in check.sentence


def test_over_seeds_a_better_mean_has_to_be_shown():
    def check(losses):
        rows = [final("sc_loss_clean", x, tau="0", seed=seed) for seed, x in enumerate(losses)]
        return checks(records.from_rows([*synthetic.facts(), *rows]))["base", "text"]

    # One of five seeds learned: the mean is a tenth below 6.0, and t = 1.
    one = check([3.0, 6.0, 6.0, 6.0, 6.0])
    assert one.verdict == learning.NOT_SHOWN and not one.passed
    assert "5.4000 is 0.6000 below 6.0000 nats, p = 0.374 over 5 seeds (" in one.sentence
    assert check([5.3, 5.2, 5.4, 5.3, 5.3]).verdict == learning.CLEARLY
    # Worse than trivial is no, by the mean, whatever the seeds.
    assert check([6.5, 6.5, 5.9]).verdict == learning.NOT
    # References by seed: the entropy of each seed's replaced fraction, 0.3251 and 0.5004.
    rows = [final("rtd_loss", 0.2, seed=0), final("rtd_loss", 0.4, seed=1)]
    rows += [final("replaced_fraction", p, seed=seed) for seed, p in enumerate((0.1, 0.2))]
    loss = checks(records.from_rows(rows))["base", "detection loss"]
    margins = [0.3250830 - 0.2, 0.5004024 - 0.4]
    assert loss.reference - loss.measured == pytest.approx(sum(margins) / 2)
    assert f"p = {paired(margins):.3f} over 2 seeds" in loss.sentence


def test_seeds_that_have_not_trained_as_far_as_others_are_left_out():
    rows = [final("sc_loss_clean", 3.0, tau="0"), final("sc_loss_clean", 3.4, tau="0", seed=1)]
    begun = final("sc_loss_clean", 5.5, tau="0", step=400, seed=2)
    check = checks(records.from_rows([*synthetic.facts(), *rows, begun]))["base", "text"]
    assert check.measured == pytest.approx(3.2)
    assert "over 2 seeds" in check.sentence


def test_a_head_that_never_flags_has_not_learned():
    rows = [final("rtd_loss", 0.33), final("rtd_recall", 0.0), final("rtd_precision", 0.0)]
    found = checks(records.from_rows([*rows, final("replaced_fraction", 0.1)]))
    for what in ("loss", "recall", "precision"):
        assert found["base", f"detection {what}"].verdict == "no"


def test_the_last_step_of_the_longest_hybrid_stage_counts():
    rows = [final("rtd_recall", 0.7, tau="250K", step=60)]
    for tau, step, recall in (("60K", 60, 0.9), ("250K", 250, 0.2)):
        rows += [final("rtd_recall", recall, tau=tau, step=step)]
        rows += [final("rtd_loss", 0.1, tau=tau, step=step)]
    assert checks(records.from_rows(rows))["base", "detection recall"].measured == 0.2


def test_missing_numbers_are_not_run_and_never_pass():
    result = learning.run(records.empty())
    assert {check.verdict for check in result.checks} == {"not run"}
    assert all(math.isnan(check.measured) and not check.passed for check in result.checks)
    assert all("is not in the records" in check.sentence for check in result.checks)


def test_large_is_checked_where_it_was_run():
    frame = records.from_rows(
        [*synthetic.facts(), final("sc_loss_clean", 7.0, tau="0", size="large")]
    )
    found = checks(frame)
    assert found["large", "text"].verdict == "no"
    assert found["base", "text"].verdict == "not run"


def score(suite: str, value: float, checkpoint: int, seed: int, **more: object) -> dict:
    task, metric = {"glue": ("rte", "accuracy"), "squad": ("squad", "f1")}[suite]
    of = {"checkpoint": checkpoint, "seed": seed, "suite": suite, "task": task, "metric": metric}
    return synthetic.score(value, **of | more)


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
    # Earlier checkpoints and variants do not count.
    rows += [score("glue", 1.0, 500_000, seed) for seed in range(3)]
    rows += [score("glue", 1.0, 0, seed, variant="fade") for seed in range(3)]
    return learning.compare_with_scratch(records.from_rows(rows))


def test_paired_and_holm(result: learning.ScratchResult) -> None:
    found = {one.suite: one for one in result.comparisons}
    assert len(found) == 7 and found["glue"].checkpoint == 1_000_000
    p = {
        suite: scipy.stats.ttest_rel(pretrained, scratch).pvalue
        for suite, pretrained, scratch in (("glue", GLUE, FRESH), ("squad", SQUAD, NO_BETTER))
    }
    assert (found["glue"].seeds, found["squad"].seeds) == (5, 3)
    assert found["glue"].p_holm == pytest.approx(2 * p["glue"])
    assert found["squad"].p_holm == pytest.approx(p["squad"])
    assert found["glue"].difference == pytest.approx(61.1 - 51.4)
    assert [found[suite].verdict for suite in ("glue", "squad", "bbh")] == [
        learning.BETTER,
        learning.NOT_SHOWN,
        NOT_RUN,
    ]
    text = result.text()
    assert text.count("not run       not run") == 5 and "on 1 of 7 suites" in " ".join(text.split())


def test_against_chance_where_every_task_has_one() -> None:
    # One task of the embedded SuperGLUE has two choices; SQuAD's answers cannot be guessed.
    superglue, squad = [70.0, 74.0, 72.0], [40.0, 41.0, 42.0]
    of_suite = {"suite": "superglue", "metric": "accuracy"}
    rows = [
        score("glue", value + shift, at, seed) | of_suite | {"task": task}
        for at, shift in ((1_000_000, 0.0), (0, -20.0))
        for seed, value in enumerate(superglue)
        for task in [t.name for t in EMBEDDED["superglue"].tasks if t.chance == 50.0]
    ]
    rows += [score("squad", value, 1_000_000, seed) for seed, value in enumerate(squad)]
    compared = learning.compare_with_scratch(records.from_rows(rows))
    found = {one.suite: one for one in compared.comparisons}
    p = scipy.stats.ttest_1samp(superglue, 50.0).pvalue
    assert found["superglue"].over_chance == pytest.approx(22.0)
    assert found["superglue"].p_chance == pytest.approx(p)
    assert found["superglue"].chance_verdict == learning.BETTER
    assert math.isnan(found["squad"].chance) and found["squad"].chance_verdict == NOT_RUN
    assert "chance on 1 of 1 suites" in compared.summary("base", "0")
    # The official suite's task states no score of guessing.
    one = next(task.name for task in EMBEDDED["superglue"].tasks if task.chance == 50.0)
    official = [row | {"task": "copa"} for row in rows if row["task"] == one]
    rest = learning.compare_with_scratch(records.from_rows([*rows, *official])).comparisons
    assert all(math.isnan(one.chance) for one in rest)


def test_seeds_without_a_partner_make_no_test() -> None:
    rows = [score("glue", 60.0 + seed, 1_000_000, seed) for seed in (0, 1)]
    rows += [score("glue", 50.0 + seed, 0, seed) for seed in (1, 2)]
    (glue, *_) = learning.compare_with_scratch(records.from_rows(rows)).comparisons
    assert (glue.seeds, glue.verdict) == (1, UNTESTED)
    # Fine-tuning seeds of one pre-training are no repetitions of it.
    rows = [score("glue", 60.0 + n, at, 0, finetune_seed=n) for n in range(3) for at in (0, 1)]
    (glue, *_) = learning.compare_with_scratch(records.from_rows(rows)).comparisons
    assert (glue.seeds, glue.verdict, glue.pretrained.mean) == (1, UNTESTED, 61.0)


def test_without_runs_from_scratch_the_command_is_named() -> None:
    text = learning.compare_with_scratch(synthetic.study()).text()
    assert text.count("\n") == 0 and "not run: `repro run --profile scratch`" in text


def test_an_exact_half_is_printed_as_in_tables():
    score = Cell(93.125, 4.125).text()
    assert learning._sample_text(Sample(93.125, 4.125, 8)) == score == "93.13 ± 4.13"
