"""Predictions made on one machine are scored on another, and again when a metric changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from untrained import LEAF, SCORES, World, edited, lines_of, rows

from repro import identity
from repro.engines.data import DataSource
from repro.engines.local import LocalEngine
from repro.scoring import score
from repro.specs import load_profile
from spactor.errors import UserError

LEAVES = 6


@pytest.fixture
def elsewhere(world: World) -> World:
    """Runs of a machine that predicts and can't score."""
    world.engine.predicts = True
    world.run()
    return world


def scored(world: World, report: Callable[[str], None] = print) -> tuple[str, ...]:
    """What `repro score` scores."""
    return score(world.tree, world.runs, world.engine, report)


def test_unscored_runs_are_left_out_until_they_are_scored(elsewhere: World) -> None:
    leaves = tuple(node.name for node in elsewhere.tree.finetunings())
    assert len(leaves) == LEAVES
    command = f"repro score --profile tiny --runs {elsewhere.runs}"
    waiting = f"its predictions are not scored: run `{command}`"
    assert elsewhere.collect().unfinished == dict.fromkeys(leaves, waiting)
    with pytest.raises(UserError, match="scoring needs TensorFlow"):
        scored(elsewhere)
    elsewhere.engine.scores = True
    reported: list[str] = []
    assert scored(elsewhere, reported.append) == leaves
    assert reported == [f"scored {name}" for name in leaves]
    after = elsewhere.collect()
    assert not after.unfinished
    assert list(rows(after.metrics, node=leaves[0], selection="")["value"]) == [2.0, 4.0]
    assert scored(elsewhere) == ()


def test_the_next_run_scores_and_with_another_metric_scores_again_without_training(
    elsewhere: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = elsewhere.engine
    engine.scores = True
    for stack in (identity.SCORING_STACK, ("numpy",)):
        monkeypatch.setattr(identity, "SCORING_STACK", stack)
        engine.ran, engine.scored = [], []
        outcome = elsewhere.run()
        assert not outcome.ran and not engine.ran and len(engine.scored) == 2 * LEAVES
    assert len(lines_of(elsewhere.folder(LEAF) / SCORES)) == 2


def test_a_step_that_was_not_scored_is(elsewhere: World) -> None:
    elsewhere.engine.scores = True
    scored(elsewhere)
    edited(elsewhere.folder(LEAF) / SCORES, lambda lines: lines[:1])
    elsewhere.engine.scored = []
    assert scored(elsewhere) == (LEAF,)
    assert elsewhere.engine.scored == [(LEAF, 4)]


def test_other_data_are_refused(elsewhere: World) -> None:
    elsewhere.engine.scores = True
    elsewhere.engine.files |= {"suites/glue/tokens.npy": "77"}
    with pytest.raises(UserError, match=r"trained on other examples .* with --data"):
        scored(elsewhere)


def test_prepared_data_that_were_copied_here(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, DataSource(prepared=tmp_path / "copied"))
    with pytest.raises(UserError, match="cannot be read"):
        engine.prepare(load_profile("smoke"), print)
