"""Predictions made on one machine are scored on another, and again when a metric changes."""

from pathlib import Path

import pytest
from untrained import SCORES, FakeEngine, folder_of, run_nodes

from repro import identity
from repro.collect import collect
from repro.engines.data import DataSource
from repro.engines.local import LocalEngine
from repro.plan import Tree
from repro.scoring import score
from repro.specs import load_profile
from spactor.errors import UserError

LEAVES = 6


@pytest.fixture
def elsewhere(tree: Tree, runs: Path, engine: FakeEngine) -> Path:
    """Runs of a machine that predicts and can't score."""
    engine.predicts = True
    run_nodes(tree, runs, engine)
    return runs


def test_unscored_runs_are_left_out_until_they_are_scored(
    tree: Tree, elsewhere: Path, engine: FakeEngine
) -> None:
    before = collect(tree, elsewhere)
    leaves = [node.name for node in tree.finetunings()]
    assert len(leaves) == LEAVES
    command = f"repro score --profile tiny --runs {elsewhere}"
    waiting = f"its predictions are not scored: run `{command}`"
    assert before.unfinished == dict.fromkeys(leaves, waiting)
    with pytest.raises(UserError, match="scoring needs TensorFlow"):
        score(tree, elsewhere, engine, print)
    engine.scores = True
    reported: list[str] = []
    assert list(score(tree, elsewhere, engine, reported.append)) == leaves
    assert reported == [f"scored {name}" for name in leaves]
    after = collect(tree, elsewhere)
    assert not after.unfinished
    of_one = after.metrics[after.metrics["node"] == leaves[0]]
    unselected = of_one[of_one["selection"] == ""]
    assert list(unselected["value"]) == [2.0, 4.0]
    assert score(tree, elsewhere, engine, reported.append) == ()


def test_the_next_run_scores_and_with_another_metric_scores_again_without_training(
    tree: Tree, elsewhere: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.scores = True
    for stack in (identity.SCORING_STACK, ("numpy",)):
        monkeypatch.setattr(identity, "SCORING_STACK", stack)
        engine.ran, engine.scored = [], []
        outcome = run_nodes(tree, elsewhere, engine)
        assert not outcome.ran and not engine.ran and len(engine.scored) == 2 * LEAVES
    leaf = tree.finetunings()[0]
    assert len((folder_of(elsewhere, leaf.name) / SCORES).read_text().splitlines()) == 2


def test_a_step_that_was_not_scored_is(tree: Tree, elsewhere: Path, engine: FakeEngine) -> None:
    engine.scores = True
    score(tree, elsewhere, engine, print)
    leaf = tree.finetunings()[0]
    path = folder_of(elsewhere, leaf.name) / SCORES
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    engine.scored = []
    assert score(tree, elsewhere, engine, print) == (leaf.name,)
    assert engine.scored == [(leaf.name, 4)]


def test_other_data_are_refused(tree: Tree, elsewhere: Path, engine: FakeEngine) -> None:
    engine.scores = True
    engine.files = engine.files | {"suites/glue/tokens.npy": "77"}
    with pytest.raises(UserError, match=r"trained on other examples .* with --data"):
        score(tree, elsewhere, engine, print)


def test_prepared_data_that_were_copied_here(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, DataSource(prepared=tmp_path / "copied"))
    with pytest.raises(UserError, match="cannot be read"):
        engine.prepare(load_profile("smoke"), print)
