"""What a night can do to a folder of runs: power, full disks, numbers that go bad."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import collect, folders, show
from repro.node_state import inspect
from repro.plan import Tree
from repro.progress import Display
from repro.runner import Runner
from spactor.errors import DamagedCheckpoint, DamageWarning, Diverged, UserError

FIRST = "base/s0/hybrid/0-250K"
LEAF = "base/s0/sc/500K/finetune-glue/f0"
LENGTHS = {"nothing": 0, "one byte": 1, "half": 0.5, "all but one byte": -1}
BAD = Diverged("train/grad_norm", "nan", 7, "47107671c42c1643", 5)


def printed(display: Display) -> str:
    return display._console.file.getvalue()


def cut(path: Path, length: str) -> None:
    size, wanted = path.stat().st_size, LENGTHS[length]
    os.truncate(path, size + wanted if wanted < 0 else int(size * wanted) if wanted < 1 else wanted)


def records_of(tree: Tree, runs: Path) -> collect.Collected:
    return collect.collect(
        tree,
        runs,
        step_flops=lambda config, stage: 1.0,
        pretraining_flops=lambda config, tau, steps: 1.0,
        select=lambda frame: frame[:0],
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", [folders.DONE, folders.PROVENANCE, folders.NODE])
def test_a_node_whose_file_is_cut_short_runs_again(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display], name: str, length: str
) -> None:
    """Without its provenance a node is finished all the same, and `repro collect` names the file.

    All but one byte lacks the end of the last line alone.
    """
    Runner(tree, runs, engine, displays(tree)).run()
    folder = folders.node_folder(runs, "tiny", LEAF)
    cut(folder / name, length)
    engine.ran.clear()
    display = displays(tree)
    with warnings.catch_warnings(record=True, action="always") as caught:
        outcome = Runner(tree, runs, engine, display).run()
    told = [str(each.message) for each in caught]
    if length == "all but one byte":
        assert engine.ran == [] and told == []
    elif name == folders.PROVENANCE:
        assert engine.ran == []
        with pytest.raises(UserError, match=r"provenance\.json: damaged"):
            records_of(tree, runs)
        (folder / folders.DONE).unlink()
        with pytest.warns(DamageWarning, match=r"provenance\.json: damaged .* damaged-prov"):
            Runner(tree, runs, engine, display).run()
        assert engine.ran == [LEAF]
    elif name == folders.DONE:
        assert engine.ran == [LEAF]
        [line] = told
        assert line.startswith(f"{folder / name}: damaged (no JSON object)")
        assert "damaged-done.json" in line
    else:
        assert engine.ran == [LEAF] and outcome.set_aside == (LEAF,)
        assert f"{LEAF} runs again, because its node.json is damaged; the old" in printed(display)
    assert len(records_of(tree, runs).provenance) == len(tree.nodes)


def test_a_parent_with_a_damaged_checkpoint_goes_on_first(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display]
) -> None:
    child = tree.children(FIRST)[0].name
    Runner(tree, runs, engine, displays(tree)).run([FIRST])
    damaged = [True]

    def restore(name: str) -> None:
        if name == child and damaged:
            raise DamagedCheckpoint("checkpoint 5 is damaged")
        if name == FIRST:
            damaged.clear()

    engine.before = restore
    display = displays(tree)
    assert Runner(tree, runs, engine, display).run([FIRST, child]).ran == (FIRST, child)
    assert f"{FIRST} goes on from the checkpoint before its last: checkpoint 5" in printed(display)


def test_a_checkpoint_that_stays_damaged_stops_the_run(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display]
) -> None:
    child = tree.children(FIRST)[0].name

    def restore(name: str) -> None:
        if name == child:
            raise DamagedCheckpoint("checkpoint 5 is damaged")

    engine.before = restore
    with pytest.raises(DamagedCheckpoint):
        Runner(tree, runs, engine, displays(tree)).run([FIRST, child])
    assert engine.ran == [FIRST, FIRST]


@pytest.fixture
def diverged(tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display]) -> Display:
    """The tree after a run in which its hybrid trunk diverged."""

    def fail(name: str) -> None:
        if name == FIRST:
            raise BAD

    engine.before = fail
    display = displays(tree)
    Runner(tree, runs, engine, display).run()
    return display


def test_what_does_not_hang_on_a_diverged_node_still_runs(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display], diverged: Display
) -> None:
    below = [name for name in tree.nodes if "/sc/" not in name]
    assert engine.ran == [name for name in tree.nodes if name not in below]
    assert f"{FIRST} diverged: train/grad_norm became nan at step 7" in printed(diverged)
    folder = folders.node_folder(runs, "tiny", FIRST)
    assert folders.read_json(folder / folders.DIVERGED)["divergence"] == {
        "metric": "train/grad_norm",
        "value": "nan",
        "step": 7,
        "batch_digest": "47107671c42c1643",
        "checkpoint_step": 5,
    }
    again = Runner(tree, runs, engine, displays(tree)).run()
    assert again.diverged == (FIRST,) and set(again.blocked) == set(below) - {FIRST}
    assert again.ran == (), "the same numbers would come of it"


def test_a_diverged_node_is_said_to_be_one(tree: Tree, runs: Path, diverged: Display) -> None:
    lines = show.status_lines(tree, runs)
    assert lines[0] == f"{FIRST}: diverged: {BAD}"
    assert lines[-1].endswith("8 not begun, 1 diverged")
    collected = records_of(tree, runs)
    assert collected.unfinished[FIRST] == f"diverged: {BAD}"
    frame = collected.metrics[collected.metrics["metric"] == "diverged/glue"]
    assert sorted(zip(frame["tau"], frame["checkpoint"], strict=True)) == [
        ("250K", 500_000),
        ("250K", 1_000_000),
        ("inf", 500_000),
        ("inf", 1_000_000),
    ]
    assert set(frame["text"]) == {f"{FIRST}: {BAD}"}


def test_moved_away_or_changed_it_runs_again(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display], diverged: Display
) -> None:
    engine.before = lambda name: None
    engine.files = {**engine.files, "tokens_train.npy": "other"}
    outcome = Runner(tree, runs, engine, displays(tree)).run()
    assert FIRST in outcome.ran and outcome.diverged == () == outcome.blocked
    folder = folders.node_folder(runs, "tiny", FIRST)
    assert inspect(folder, {}).condition == "finished"
