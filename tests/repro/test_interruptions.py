"""A run continues, or names the cause, after damaged files, a starved system or bad numbers.

The engine trains nothing; `tests/soak` and `tests/spactor/test_interruptions.py` do.
`test_workers` kills processes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import faults
import pytest
from commands import run as run_command
from untrained import FIRST, FakeEngine, World, rows

from repro import folders, status
from repro.engines import factory
from repro.node_state import inspect
from repro.plan import build
from repro.specs import load_profile
from spactor import files
from spactor.errors import DamagedCheckpoint, DamageWarning, Diverged, UserError

TRUNK, LEAF = "base/s0/sc/0-500K", "base/s0/sc/500K/finetune-glue/f0"
BAD = Diverged("train/grad_norm", "nan", 7, "47107671c42c1643", 5)

# Damaged files.


@pytest.mark.parametrize("length", faults.LENGTHS)
@pytest.mark.parametrize("name", [folders.DONE, folders.PROVENANCE, folders.NODE])
def test_a_node_whose_file_is_cut_short_runs_again(world: World, name: str, length: str) -> None:
    """Without its provenance a node is finished all the same, and `repro collect` names the file.

    All but one byte lacks the end of the last line alone.
    """
    world.run(TRUNK, LEAF)
    folder, ran = world.folder(LEAF), world.engine.ran
    faults.cut(folder / name, length)
    ran.clear()
    with warnings.catch_warnings(record=True, action="always") as caught:
        outcome = world.run(TRUNK, LEAF)
    printed, messages = "\n".join(world.lines), [str(each.message) for each in caught]
    if length == "all but one byte":
        assert ran == [] and messages == []
    elif name == folders.PROVENANCE:
        assert ran == []
        with pytest.raises(UserError, match=r"provenance\.json: damaged"):
            world.collect()
        (folder / folders.DONE).unlink()
        with pytest.warns(DamageWarning, match=r"provenance\.json: damaged .* damaged-prov"):
            world.run(TRUNK, LEAF)
        assert ran == [LEAF]
    elif name == folders.DONE:
        assert ran == [LEAF]
        [message] = messages
        assert message.startswith(f"{folder / name}: damaged") and "damaged-done.json" in message
    else:
        assert ran == [LEAF] and outcome.set_aside == (LEAF,)
        assert LEAF in printed and "node.json is damaged" in printed
    assert [entry["node"] for entry in world.collect().provenance] == [TRUNK, LEAF]


@pytest.mark.parametrize("heals", [True, False])
def test_a_parent_with_a_damaged_checkpoint_runs_first(world: World, heals: bool) -> None:
    child, ran = world.tree.children(FIRST)[0].name, world.engine.ran
    world.run(FIRST)

    def restore(name: str) -> None:
        if name == child and not (heals and ran.count(FIRST) == 2):
            raise DamagedCheckpoint("checkpoint 5 is damaged")

    world.engine.before = restore
    if heals:
        assert world.run(FIRST, child).ran == (FIRST, child)
        assert any(FIRST in line and "checkpoint 5 is damaged" in line for line in world.lines)
    else:
        with pytest.raises(DamagedCheckpoint):
            world.run(FIRST, child)
        assert ran == [FIRST, FIRST]


# Full and read-only disks, too few descriptors.

STARVED: dict[str, tuple[Callable[[Path], AbstractContextManager], str]] = {
    "full": (faults.full, "No space left on device"),
    "read-only": (faults.read_only, "Read-only file system"),
    "descriptors": (lambda disk: faults.few_descriptors(), "Too many open files"),
}


@pytest.mark.parametrize("when", ["at the start", "at the first node"])
@pytest.mark.parametrize("lack", STARVED)
def test_a_starved_command_prints_the_cause_and_continues_later(
    tmp_path: Path, engine: FakeEngine, monkeypatch, capsys, lack: str, when: str
) -> None:
    smoke, (starve, cause) = load_profile("smoke"), STARVED[lack]
    monkeypatch.setattr(factory, "engine_for", lambda *_, **__: engine)
    tree = build(smoke, smoke.select(["base"], ["60K"]))
    with faults.small_disk(tmp_path / "disk", "1m") as disk:
        runs = folders.open_runs(disk / "runs", create=True)
        options = ("--profile", "smoke", "--size", "base", "--tau", "60K", "--runs", str(runs))

        def conditions() -> set[str]:
            nodes = [folders.node_folder(runs, "smoke", name) for name in tree.nodes]
            return {inspect(folder, {}).condition for folder in nodes}

        with ExitStack() as starving:
            if when == "at the start":
                starving.enter_context(starve(disk))
            else:
                engine.before = lambda name: starving.enter_context(starve(disk))
            code, _, err = run_command(capsys, "run", *options)
        engine.before = lambda name: None
        assert code == 2 and err.count("\n") == 1
        assert err.startswith("repro: ") and cause in err
        # Every file with its final name can be read; none has a temporary one.
        assert not list(runs.rglob("*.tmp"))
        for path in runs.rglob("*.json"):
            folders.read_json(path)
        assert conditions() <= {"new", "partial"}
        code, _, err = run_command(capsys, "run", *options)
        assert (code, err) == (0, "")
        assert set(engine.ran) == set(tree.nodes) and conditions() == {"finished"}


def test_the_old_file_outlives_a_full_disk(tmp_path: Path) -> None:
    with faults.small_disk(tmp_path / "disk", "1m") as disk:
        path = disk / "a.json"
        folders.write_json(path, {"a": 1})
        with faults.full(disk), pytest.raises(UserError, match=re.escape(str(path))):
            files.write_atomically(path, bytes(100_000))
        assert [entry.name for entry in disk.iterdir()] == ["a.json"]
        assert folders.read_json(path) == {"a": 1}
        files.write_atomically(path, bytes(100_000))
        assert path.stat().st_size == 100_000


def test_a_lack_of_descriptors_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "done.json"
    folders.write_json(path, {"a": 1})
    with faults.few_descriptors(), pytest.raises(OSError, match="Too many open files"):
        folders.read_or_set_aside(path)
    assert folders.read_or_set_aside(path) == {"a": 1}


# Numbers that are not finite.


def test_a_diverged_node_blocks_those_that_depend_on_it(world: World) -> None:
    tree, engine, folder = world.tree, world.engine, world.folder(FIRST)

    def fail(name: str) -> None:
        if name == FIRST:
            raise BAD

    engine.before = fail
    world.run()
    printed = "\n".join(world.lines)
    below = {name for name in tree.nodes if "/sc/" not in name}
    assert set(engine.ran) == set(tree.nodes) - below
    assert FIRST in printed and str(BAD).partition(" (")[0] in printed
    known = {"metric": "train/grad_norm", "value": "nan", "step": 7, "checkpoint_step": 5}
    known |= {"batch_digest": "47107671c42c1643"}
    assert folders.read_json(folder / folders.DIVERGED)["divergence"] == known
    again = world.run()
    assert again.diverged == (FIRST,) and set(again.blocked) == below - {FIRST}
    assert again.ran == (), "the result would be the same"

    states = status.states(tree, world.runs)
    first = next(state for state in states if state.condition == "diverged")
    assert (first.node, first.reason) == (FIRST, f"diverged: {BAD}")
    assert "8 not begun, 1 diverged\n" in f"{status.states_text(tree, states)}\n"
    collected = world.collect()
    assert collected.unfinished[FIRST] == f"diverged: {BAD}"
    found = rows(collected.metrics, metric="diverged/glue")
    assert sorted(zip(found["tau"], found["checkpoint"], strict=True)) == [
        *(("250K", 500_000), ("250K", 1_000_000), ("inf", 500_000), ("inf", 1_000_000))
    ]
    assert set(found["text"]) == {f"{FIRST}: {BAD}"}

    engine.before = lambda name: None
    engine.files = {**engine.files, "tokens_train.npy": "other"}
    outcome = world.run()
    assert FIRST in outcome.ran and outcome.diverged == () == outcome.blocked
    assert inspect(folder, {}).condition == "finished"
