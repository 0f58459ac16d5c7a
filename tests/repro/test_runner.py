"""The runner with an engine that trains nothing: order, stale nodes, locks, stops, slices."""

import json
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from untrained import FIRST, FakeEngine, World, folder_of, make_display, printed, run_nodes

from repro import folders, runner, slice_runner
from repro.plan import Tree
from repro.slice_runner import SliceRunner
from spactor.errors import UserError


def test_runs_every_node_once_parents_first(world: World) -> None:
    nodes = list(world.tree.nodes)
    assert world.engine.ran == list(world.run().ran) == nodes
    assert len(world.lines) == len(nodes), "one line per node where there is no terminal"
    assert world.lines[0].startswith("[1/13] base/s0/hybrid/0-250K: 0 s, objective 95")
    again = world.run()
    assert again.ran == () and set(again.skipped) == set(nodes)
    assert len(world.engine.ran) == len(nodes)


def test_what_a_node_folder_holds(finished: World) -> None:
    folder = finished.folder("base/s0/sc/500K/finetune-glue/f0")
    files = {"digests.jsonl", "done.json", "inference_eval", "node.json", "provenance.json"}
    assert {path.name for path in folder.iterdir()} == files
    node = folders.read_json(folder / folders.NODE)
    assert node["fingerprint"] == folders.read_json(folder / folders.DONE)["fingerprint"]
    assert node["inputs"]["data"] == {"suites/glue/tokens.npy": "2e"}
    record = folders.read_json(folder / folders.PROVENANCE)
    assert record["experiments"] == [{"size": "base", "tau": "0", "seed": 0}]
    assert record["seeds"] == {"pretraining": 0, "finetuning": 0}
    assert record["device"] == "1 × fake"
    assert len(record["attempts"]) == 1 and record["attempts"][0]["seconds"] >= 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, OSError])
def test_stopped_anywhere_it_goes_on_from_there(world: World, stop: type) -> None:
    victim, engine = "base/s0/sc/0-500K", world.engine

    def interrupt(name: str) -> None:
        if name == victim and name not in stopped:
            stopped.append(name)
            raise stop

    stopped: list[str] = []
    engine.before = interrupt
    with pytest.raises(stop):
        world.run()
    done = set(engine.ran)
    assert not (world.folder(victim) / folders.DONE).exists()
    assert set(world.run().skipped) == done
    assert engine.ran == list(world.tree.nodes), "nothing ran twice"
    record = folders.read_json(world.folder(victim) / folders.PROVENANCE)
    assert len(record["attempts"]) == 2


def test_a_folder_without_its_first_file_is_set_aside(world: World) -> None:
    world.folder(FIRST).mkdir(parents=True)
    (world.folder(FIRST) / "metrics.jsonl").write_text("{}\n")
    assert world.run().set_aside == (FIRST,)
    assert (world.runs / "tiny/stale" / f"{FIRST}@unknown" / "metrics.jsonl").is_file()


def test_a_node_another_process_runs_is_waited_for(
    tree: Tree, runs: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    folder = folder_of(runs, FIRST)
    folder.mkdir(parents=True)
    folders.write_json(folder / folders.NODE, {"fingerprint": "", "inputs": {}})
    folders.write_json(folder / folders.HOLDER, {"process": 7, "machine": "elsewhere"})
    display = make_display(tree)
    other = FileLock(folders.lock_path(folder))
    other.acquire()
    thread = threading.Thread(target=lambda: run_nodes(tree, runs, engine, display=display))
    thread.start()
    try:
        waiting = f"waiting for {FIRST}: process 7 on elsewhere is running it"
        for _ in range(6000):
            if waiting in printed(display):
                break
            thread.join(0.01)
        assert printed(display).count(waiting) == 1
        # What doesn't depend on it has run meanwhile.
        assert set(engine.ran) == {name for name in tree.nodes if "/sc/" in name}
    finally:
        other.release()
        thread.join(60)
    assert set(engine.ran) == set(tree.nodes)


def test_a_runs_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="is not a runs folder of this project"):
        folders.open_runs(tmp_path, create=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]
    with pytest.raises(UserError, match="there is no runs folder"):
        folders.open_runs(tmp_path / "new", create=False)
    opened = folders.open_runs(tmp_path / "new", create=True)
    assert folders.open_runs(opened, create=False) == opened
    (opened / folders.MARKER).write_text(json.dumps({"project": "spactor", "format": 99}))
    with pytest.raises(UserError, match="another version"):
        folders.open_runs(opened, create=True)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "done.json"
    folders.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        folders.write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError):
        folders.write_json(path, {"a": object()})
    assert folders.read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["done.json"]


def test_a_node_runs_if_its_parent_is_finished(world: World) -> None:
    second = world.tree.children(FIRST)[0].name
    with pytest.raises(UserError, match=f"{second} starts from {FIRST}, which is not begun"):
        world.run(second)
    world.run(FIRST)
    done = world.folder(FIRST) / folders.DONE
    content = done.read_text()
    done.unlink()
    with pytest.raises(UserError, match=f"which is not finished: .* --node {FIRST}"):
        world.run(second)
    done.write_text(content)
    assert world.run(FIRST, second).skipped == (FIRST,)
    assert world.engine.ran == [FIRST, second]
    world.engine.files = {"tokens_train.npy": "other"}
    with pytest.raises(UserError, match="which is stale"):
        world.run(second)


def test_nodes_of_several_patterns_are_in_the_trees_order(tree: Tree) -> None:
    trunk = "base/s0/sc/0-500K"
    assert tree.named(["base/s0/sc/0-*", FIRST]) == (FIRST, trunk)
    with pytest.raises(UserError, match="matches 'base/s9/\\*'"):
        tree.named([FIRST, "base/s9/*"])


def test_other_hosts_train_along_and_write_nothing_of_the_runner(
    tree: Tree, runs: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host 1 comes first, waits for host 0 to begin each node, and goes through the same ones.

    What an earlier start of host 0 began, and was killed in, it doesn't take for begun.
    """
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(slice_runner, "REPORT_SECONDS", 0.05)
    only = tree.named(["base/s0/sc/*"])

    def stop(name: str) -> None:
        raise KeyboardInterrupt

    engine.before = stop
    with pytest.raises(KeyboardInterrupt):
        run_nodes(tree, runs, engine, *only)
    other, shown, found = FakeEngine(), make_display(tree), []
    engine.run_id = other.run_id = "started again"
    joined = threading.Thread(
        target=lambda: found.append(SliceRunner(tree, runs, other, shown).run(only))
    )
    # Host 0 ends no node before host 1 has had its part, as the collectives of a slice have it.
    began = threading.Semaphore(0)
    other.before = lambda name: began.release()
    engine.before = lambda name: began.acquire(timeout=20) or pytest.fail("host 1 is not there")
    joined.start()
    end = time.monotonic() + 20
    while not any("check whether host 0 still runs" in line for line in printed(shown)):
        assert time.monotonic() < end, printed(shown)
        time.sleep(0.01)
    assert other.ran == []
    assert run_nodes(tree, runs, engine, *only).ran == only
    joined.join(20)
    assert other.ran == engine.ran == list(only)
    assert found[0].ran == only and found[0].set_aside == ()
    assert any("waiting for host 0 to begin base/s0/sc/0-500K" in line for line in printed(shown))
    attempts = [
        folders.read_json(folder_of(runs, name) / folders.PROVENANCE)["attempts"] for name in only
    ]
    assert [len(each) for each in attempts] == [2] + [1] * (len(only) - 1)
    again = SliceRunner(tree, runs, other, make_display(tree)).run(only)
    assert again.ran == () and again.skipped == only


def test_a_host_with_other_data_is_refused(world: World) -> None:
    other, tree = FakeEngine(), world.tree
    other.files = other.files | {"tokens_train.npy": "other"}
    joined = SliceRunner(tree, world.runs, other, make_display(tree))
    world.engine.before = lambda name: joined.run([FIRST])
    with pytest.raises(UserError, match=f"{FIRST} is another node on this host, because .*tokens"):
        world.run(FIRST)
    assert other.ran == []
