"""Pre-trained against from scratch, on made-up scores."""

from __future__ import annotations

import pytest
import scipy.stats
import synthetic_records as synthetic

from analysis import scratch
from analysis.schema import records


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
def result() -> scratch.ScratchResult:
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
    return scratch.run(records.from_rows(rows))


def test_welch_and_holm(result: scratch.ScratchResult) -> None:
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
        scratch.BETTER,
        scratch.NOT_SHOWN,
        scratch.NOT_RUN,
    ]
    assert result.better("base", "0") == 1


def test_the_text_names_what_was_not_run(result: scratch.ScratchResult) -> None:
    lines = result.text().splitlines()
    assert "better" in lines[1] and "61.10 ± 0.96 (n = 5) pre-trained, 51.40 ± 2.30" in lines[1]
    assert sum("not run pre-trained, not run from scratch" in line for line in lines) == 5
    assert lines[-1] == "base, τ = 0: better on 1 of 7"


def test_one_run_of_each_is_not_tested() -> None:
    rows = [score("glue", 60.0, 1_000_000, 0), score("glue", 50.0, 0, 0)]
    (glue, *_) = scratch.run(records.from_rows(rows)).comparisons
    assert glue.verdict == scratch.NO_SPREAD


def test_without_runs_from_scratch_it_says_how_to_make_them() -> None:
    text = scratch.run(synthetic.study()).text()
    assert text.count("\n") == 0 and "not run: `repro run --study scratch`" in text
