"""Worker processes: the numbers for any number of them, kills, errors and their environment."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from untrained import FakeEngine

from repro import folders, plan
from repro.plan import Tree
from repro.progress import Display
from repro.runner import Outcome
from repro.specs import Profile
from repro.workers import WorkerRunner, _chains, _in_order
from spactor import numerics
from spactor.errors import Diverged, UserError

Displays = Callable[[Tree], Display]
FIRST = "base/s0/hybrid/0-250K"


class Journal(FakeEngine):
    """Writes down which process runs a node; the first to run the victim kills itself."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self._victim = victim

    def device(self) -> str:
        return "1 × cpu cpu"

    def run(self, *arguments: Any, **more: Any) -> None:
        path = more["folder"] / "journal.txt"
        is_first = not path.exists()
        with path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.02)
        if is_first and arguments[1].name == self._victim:
            os.kill(os.getpid(), signal.SIGKILL)
        super().run(*arguments, **more)


class Failing(FakeEngine):
    """Raises at a node."""

    def __init__(self, device: str, error: Exception | None = None) -> None:
        super().__init__()
        self._device, self._error = device, error

    def device(self) -> str:
        return self._device

    def run(self, *arguments: Any, **more: Any) -> None:
        keys = (*numerics.ONE_THREAD, "JAX_ENABLE_X64", "TF_XLA_FLAGS")
        folders.write_json(
            more["folder"] / "environment.json",
            {key: os.environ.get(key, "") for key in keys} | {"process": os.getpid()},
        )
        if self._error is not None and arguments[1].name == FIRST:
            raise self._error
        super().run(*arguments, **more)


def run(tree: Tree, runs: Path, engine: FakeEngine, display: Display, jobs: int) -> Outcome:
    return WorkerRunner(tree, runs, engine, display, jobs).run()  # type: ignore[arg-type]


def test_any_number_of_workers_runs_every_node_once(
    tree: Tree, tmp_path: Path, displays: Displays
) -> None:
    series = []
    for jobs in (1, 2):
        runs = folders.open_runs(tmp_path / str(jobs), create=True)
        outcome = run(tree, runs, Journal(""), displays(tree), jobs)
        assert sorted(outcome.ran) == sorted(tree.nodes) and not outcome.skipped
        homes = {name: folders.node_folder(runs, "tiny", name) for name in tree.nodes}
        series.append(
            {
                (name, path.name): path.read_bytes()
                for name, home in homes.items()
                for path in home.glob("*.jsonl")
            }
        )
        journals = [(home / "journal.txt").read_text().splitlines() for home in homes.values()]
        assert all(len(lines) == 1 for lines in journals)
        assert len({line for lines in journals for line in lines}) == jobs
    assert series[0] == series[1] and len(series[0]) > len(tree.nodes)


def test_a_killed_worker_costs_one_node_and_not_the_run(
    tree: Tree, runs: Path, display: Display
) -> None:
    outcome = run(tree, runs, Journal(FIRST), display, 2)
    assert sorted(outcome.ran) == sorted(tree.nodes)
    printed = display._console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{FIRST}: its process ended by itself (SIGKILL); another continues" in printed
    record = folders.read_json(folders.node_folder(runs, "tiny", FIRST) / folders.PROVENANCE)
    assert len(record["attempts"]) == 2


def test_a_workers_error_is_the_commands(tree: Tree, runs: Path, displays: Displays) -> None:
    error = OSError(28, "No space left on device", "x")
    with pytest.raises(UserError, match=r"No space left on device \(x\): fix that"):
        run(tree, runs, Failing("1 × cpu cpu", error), displays(tree), 1)


def test_a_diverged_node_blocks_what_is_below_it(
    tree: Tree, runs: Path, displays: Displays
) -> None:
    error = Diverged(metric="train/loss", value="nan", step=3, batch_digest="b", checkpoint_step=2)
    outcome = run(tree, runs, Failing("1 × cpu cpu", error), displays(tree), 1)
    assert outcome.diverged == (FIRST,)
    assert outcome.blocked and set(outcome.blocked).isdisjoint(outcome.ran)


@pytest.mark.parametrize(("device", "threads"), [("2 × cpu cpu", "1"), ("4 × gpu H100", "")])
def test_the_environment_of_a_worker(
    tree: Tree,
    runs: Path,
    displays: Displays,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    threads: str,
) -> None:
    """One thread on a CPU, and one worker on an accelerator; settings pinned on both."""
    for name in numerics.ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=2")
    run(tree, runs, Failing(device), displays(tree), 2)
    found = [
        folders.read_json(folders.node_folder(runs, "tiny", name) / "environment.json")
        for name in tree.nodes
    ]
    assert {(one["NPROC"], one["PJRT_NPROC"]) for one in found} == {(threads, threads)}
    assert {(one["JAX_ENABLE_X64"], one["TF_XLA_FLAGS"]) for one in found} == {("False", "")}
    assert device.startswith("2") or len({one["process"] for one in found}) == 1
    assert {one["process"] for one in found}.isdisjoint({os.getpid()})


def test_another_device_or_other_flags_need_another_folder(
    tree: Tree, runs: Path, displays: Displays, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tree, runs, Failing("4 × gpu H100"), displays(tree), 1)
    assert folders.environment_of(runs, "tiny")["device"] == "gpu H100"  # type: ignore[index]
    first = folders.node_folder(runs, "tiny", FIRST)
    (first / folders.DONE).unlink()
    with pytest.raises(UserError, match="device 'gpu H100', and here it is 'gpu A100'"):
        run(tree, runs, Failing("8 × gpu A100"), displays(tree), 1)
    flags = "--xla_force_host_platform_device_count=4 --xla_dump_to=/tmp/x"
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {flags}")
    assert run(tree, runs, Failing("8 × gpu H100"), displays(tree), 1).ran == (FIRST,)
    (first / folders.DONE).unlink()
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_fast_min_max=true")
    with pytest.raises(UserError, match="and here it is '--xla_gpu_enable_fast_min_max=true'"):
        run(tree, runs, Failing("8 × gpu H100"), displays(tree), 1)


def test_chains_are_sums_along_the_longest_path(tree: Tree) -> None:
    chains = _chains(tree.nodes, dict.fromkeys(tree.nodes, 1.0))
    for name in tree.nodes:
        children = [chains[child.name] for child in tree.children(name)]
        assert chains[name] == 1.0 + max(children, default=0.0)


def test_nodes_are_fed_seed_by_seed_and_by_their_chains(tiny: Profile) -> None:
    matrix = {size: dataclasses.replace(row, runs=2) for size, row in tiny.matrix.items()}
    nodes = plan.build(dataclasses.replace(tiny, matrix=matrix)).nodes
    weights = dict.fromkeys(nodes, 1.0)
    chains, ordered = _chains(nodes, weights), _in_order(nodes, weights)
    keys = [(node.seed, -chains[name]) for name, node in ordered.items()]
    assert ordered == nodes and keys == sorted(keys)
    assert {seed for seed, _ in keys} == {0, 1}
