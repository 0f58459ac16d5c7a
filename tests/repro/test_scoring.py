"""Predictions made on one machine are scored on another, and again when a metric changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import scores
from repro import collect, folders, identity
from repro.engines.data import DataSource
from repro.engines.local import LocalEngine
from repro.plan import Tree
from repro.progress import Display
from repro.rescoring import score
from repro.runner import Runner
from repro.specs import load_profile
from spactor.errors import UserError

LEAVES = 6


@pytest.fixture
def elsewhere(tree: Tree, runs: Path, engine, display: Display) -> Path:
    """Runs of a machine that predicts and can't score."""
    engine.predicts = True
    Runner(tree, runs, engine, display).run()
    return runs


def collected(tree: Tree, runs: Path) -> collect.Collected:
    return collect.collect(
        tree,
        runs,
        step_flops=lambda *_: 1.0,
        pretraining_flops=lambda *_: 1.0,
        select=scores.marked,
    )


def test_unscored_runs_are_left_out_until_they_are_scored(
    tree: Tree, elsewhere: Path, engine
) -> None:
    before = collected(tree, elsewhere)
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
    after = collected(tree, elsewhere)
    assert not after.unfinished
    of_one = after.metrics[after.metrics["node"] == leaves[0]]
    unselected = of_one[of_one["selection"] == ""]
    assert list(unselected["value"]) == [2.0, 4.0]
    assert score(tree, elsewhere, engine, reported.append) == ()


def test_the_next_run_scores_and_trains_nothing(
    tree: Tree, elsewhere: Path, engine, displays: Callable[[Tree], Display]
) -> None:
    engine.scores, engine.ran = True, []
    outcome = Runner(tree, elsewhere, engine, displays(tree)).run()
    assert not outcome.ran and not engine.ran and len(engine.scored) == 2 * LEAVES


def test_another_metric_means_scoring_again_and_not_training(
    tree: Tree,
    elsewhere: Path,
    engine,
    displays: Callable[[Tree], Display],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine.scores = True
    Runner(tree, elsewhere, engine, displays(tree)).run()
    engine.ran, engine.scored = [], []
    monkeypatch.setattr(identity, "SCORING_STACK", ("numpy",))
    Runner(tree, elsewhere, engine, displays(tree)).run()
    assert not engine.ran and len(engine.scored) == 2 * LEAVES
    leaf = tree.finetunings()[0]
    home = folders.node_folder(elsewhere, "tiny", leaf.name) / "inference_eval"
    assert len((home / "spactor_glue_pair-metrics.jsonl").read_text().splitlines()) == 2


def test_a_step_that_was_not_scored_is(tree: Tree, elsewhere: Path, engine) -> None:
    engine.scores = True
    score(tree, elsewhere, engine, print)
    leaf = tree.finetunings()[0]
    home = folders.node_folder(elsewhere, "tiny", leaf.name) / "inference_eval"
    path = home / "spactor_glue_pair-metrics.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    engine.scored = []
    assert score(tree, elsewhere, engine, print) == (leaf.name,)
    assert engine.scored == [(leaf.name, 4)]


def test_other_data_are_refused(tree: Tree, elsewhere: Path, engine) -> None:
    engine.scores = True
    engine.files = engine.files | {"suites/glue/tokens.npy": "77"}
    with pytest.raises(UserError, match=r"trained on other examples .* with --data"):
        score(tree, elsewhere, engine, print)


def test_prepared_data_that_were_copied_here(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, DataSource(prepared=tmp_path / "copied"))
    with pytest.raises(UserError, match="cannot be read"):
        engine.prepare(load_profile("smoke"), tmp_path, print)
