"""Worker processes: the numbers for any number of them, kills, errors and their environment."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from untrained import FIRST, FakeEngine, folder_of, lines_of, make_display, printed, run_nodes

from repro import costs, folders, plan, workers
from repro.engines.contract import Work
from repro.plan import Tree
from repro.progress import Display
from repro.runner import Outcome, Runner, in_order
from repro.specs import Profile
from spactor import numerics
from spactor.errors import Diverged, UserError

CPU = "1 × cpu cpu"
VARIABLES = (*numerics.ONE_THREAD, "JAX_ENABLE_X64", "TF_XLA_FLAGS")
TUNABLES = "GLIBC_TUNABLES"


class WatchedEngine(FakeEngine):
    """Writes down which process runs a node, and its environment; the first run of FIRST may fail.

    Args:
      device: as an engine describes it.
      failure: raised there, or a signal that the process sends itself.
    """

    def __init__(
        self, device: str = CPU, failure: Exception | signal.Signals | None = None
    ) -> None:
        super().__init__(device)
        self._failure = failure

    def run(self, work: Work, observer: Callable[..., None]) -> None:
        journal = work.folder / "journal.txt"
        is_first = not journal.exists()
        line = {name: os.environ.get(name, "") for name in (*VARIABLES, TUNABLES)}
        line |= {"process": os.getpid()}
        with journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
        time.sleep(0.02)
        if work.node.name == FIRST and is_first and self._failure:
            if isinstance(self._failure, Exception):
                raise self._failure
            os.kill(os.getpid(), self._failure)
        super().run(work, observer)


def run(
    tree: Tree, runs: Path, engine: FakeEngine, jobs: int = 1, display: Display | None = None
) -> Outcome:
    return Runner(tree, runs, engine, display or make_display(tree), jobs).run()


def journal(runs: Path, node: str) -> list[dict]:
    return lines_of(folder_of(runs, node) / "journal.txt")


def environments(tree: Tree, runs: Path) -> set[tuple[str, ...]]:
    """Values of `VARIABLES` in the workers of all nodes."""
    found = [line for name in tree.nodes for line in journal(runs, name)]
    return {tuple(line[name] for name in VARIABLES) for line in found}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell with settings that a worker does not take over."""
    for name in (*numerics.ONE_THREAD, TUNABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=2")


def logs(tree: Tree, runs: Path) -> dict[tuple[str, str], bytes]:
    return {
        (name, path.name): path.read_bytes()
        for name in tree.nodes
        for path in folder_of(runs, name).glob("*.jsonl")
    }


@pytest.mark.parametrize(
    ("runners", "jobs", "failure"),
    [(1, 2, signal.SIGKILL), (2, 1, None)],
    ids=["two workers, one is killed", "two runs share a folder"],
)
def test_every_node_runs_once_with_the_numbers_of_one_process(
    tree: Tree, runs: Path, tmp_path: Path, runners: int, jobs: int, failure: signal.Signals | None
) -> None:
    displays = [make_display(tree) for _ in range(runners)]
    with ThreadPoolExecutor(runners) as threads:
        engine = WatchedEngine(CPU, failure)
        outcomes = threads.map(lambda shown: run(tree, runs, engine, jobs, shown), displays)
        ran = [name for outcome in outcomes for name in outcome.ran]
    assert sorted(ran) == sorted(tree.nodes)
    processes = {line["process"] for name in tree.nodes for line in journal(runs, name)}
    assert len(processes) >= jobs and os.getpid() not in processes
    assert environments(tree, runs) == {("1", "1", "False", "")}, "one thread on a CPU"
    for name in tree.nodes:
        attempts = folders.read_json(folder_of(runs, name) / folders.PROVENANCE)["attempts"]
        killed = name == FIRST and failure is not None
        assert len(attempts) == len(journal(runs, name)) == 1 + killed
        assert "ended" in attempts[-1]
    line = f"{FIRST}: its process ended by itself (SIGKILL); another continues"
    assert any(line in each for each in printed(displays[0])) == (failure is not None)
    alone = folders.open_runs(tmp_path / "alone", create=True)
    run_nodes(tree, alone, FakeEngine(CPU))
    assert logs(tree, runs) == logs(tree, alone) and len(logs(tree, alone)) > len(tree.nodes)


@pytest.mark.parametrize("own", ["", "glibc.malloc.arena_max=1"])
def test_a_worker_retains_freed_memory_unless_the_allocator_is_configured(
    tree: Tree, runs: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    if own:
        monkeypatch.setenv(TUNABLES, own)
    run(tree, runs, WatchedEngine())
    settings = {line[TUNABLES] for name in tree.nodes for line in journal(runs, name)}
    assert settings == ({own} if own else {workers.RETAIN_MEMORY})
    assert os.environ.get(TUNABLES, "") == own


def test_a_workers_error_is_the_commands(tree: Tree, runs: Path) -> None:
    error = OSError(28, "No space left on device", "x")
    with pytest.raises(UserError, match=r"No space left on device \(x\): fix that"):
        run(tree, runs, WatchedEngine(CPU, error))


def test_a_diverged_node_blocks_what_is_below_it(tree: Tree, runs: Path) -> None:
    error = Diverged(metric="train/loss", value="nan", step=3, batch_digest="b", checkpoint_step=2)
    outcome = run(tree, runs, WatchedEngine(CPU, error))
    assert outcome.diverged == (FIRST,)
    assert outcome.blocked and set(outcome.blocked).isdisjoint(outcome.ran)


def test_an_accelerator_has_one_worker_with_all_its_threads(tree: Tree, runs: Path) -> None:
    run(tree, runs, WatchedEngine("4 × gpu H100"), jobs=2)
    assert environments(tree, runs) == {("", "", "False", "")}
    assert len({line["process"] for name in tree.nodes for line in journal(runs, name)}) == 1


def test_another_device_or_other_flags_need_another_folder(
    tree: Tree, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_nodes(tree, runs, FakeEngine("4 × gpu H100"))
    assert folders.environment_of(runs, "tiny")["device"] == "gpu H100"  # type: ignore[index]
    done = folder_of(runs, FIRST) / folders.DONE
    done.unlink()
    with pytest.raises(UserError, match="device 'gpu H100', and here it is 'gpu A100'"):
        run_nodes(tree, runs, FakeEngine("8 × gpu A100"))
    flags = "--xla_force_host_platform_device_count=4 --xla_dump_to=/tmp/x"
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {flags}")
    assert run_nodes(tree, runs, FakeEngine("8 × gpu H100")).ran == (FIRST,)
    done.unlink()
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_fast_min_max=true")
    with pytest.raises(UserError, match="and here it is '--xla_gpu_enable_fast_min_max=true'"):
        run_nodes(tree, runs, FakeEngine("8 × gpu H100"))


def test_nodes_are_ordered_by_seed_and_by_their_longest_chain(tiny: Profile) -> None:
    matrix = {size: dataclasses.replace(row, runs=2) for size, row in tiny.matrix.items()}
    tree = plan.build(dataclasses.replace(tiny, matrix=matrix))
    weights = dict.fromkeys(tree.nodes, 1.0)
    chains, ordered = costs.chains(tree.nodes, weights), in_order(tree.nodes, weights)
    for name in tree.nodes:
        children = [chains[child.name] for child in tree.children(name)]
        assert chains[name] == 1.0 + max(children, default=0.0)
    keys = [(node.seed, -chains[name]) for name, node in ordered.items()]
    assert ordered == tree.nodes and keys == sorted(keys)
    assert {seed for seed, _ in keys} == {0, 1}
