"""What it costs to be stoppable: saving, going on, and asking a crowded folder how far it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import paired
import pytest
import resuming

from repro import folders, identity, plan
from repro.specs import load_profile
from spactor import step
from spactor.checkpoints import Checkpoints

pytestmark = pytest.mark.benchmark

CROWDED = """
extends = "micro"
purpose = "10,000 nodes"
[matrix.base]
runs = 117
[matrix.large]
runs = 40
"""


class NoCheckpoints(Checkpoints):
    """Of a run that saves nothing."""

    def save(self, state: step.TrainState, step: int) -> None:
        """Leaves the state alone."""


def _training(kind: type[Checkpoints], folder: Path) -> Callable[[], None]:
    """Trains micro's Base through two checkpoint periods in a folder of its own each time."""
    profile = load_profile("micro")

    def run() -> None:
        home = Path(tempfile.mkdtemp(dir=folder))
        with closing(kind(home, resuming.CONFIG, "hybrid")) as checkpoints:
            resuming.fit(home, checkpoints, end_step=2 * profile.checkpoint_period_steps)

    return run


def test_saving(benchmark: Any, tmp_path: Path) -> None:
    """Aimed at: 3 % of a run's time, checkpoints being written while it goes on."""
    paired.measure(
        benchmark,
        _training(Checkpoints, tmp_path),
        _training(NoCheckpoints, tmp_path),
        rounds=5,
        what="two checkpoint periods of micro, saved",
        against="the same steps, nothing saved",
        at_most=1.03,
    )


def test_resuming(benchmark: Any, tmp_path: Path) -> None:
    """Aimed at: 15 seconds from a process's start to its first step, compilation left out."""
    folder = tmp_path / "run"
    with closing(Checkpoints(folder, resuming.CONFIG, "hybrid")) as checkpoints:
        resuming.fit(folder, checkpoints, end_step=20)
    compiling: list[float] = []
    told = None

    def resume() -> None:
        nonlocal told
        command = [sys.executable, resuming.__file__, str(folder)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        compiling.append(told["compiling_seconds"])

    benchmark.pedantic(resume, rounds=3)
    if benchmark.stats is None:  # --benchmark-disable
        return
    whole = benchmark.stats.stats.data
    benchmark.extra_info.update(
        what="a new process from its start to the first step after a checkpoint",
        seconds_beyond_compilation=float(np.median(np.subtract(whole, compiling))),
        seconds_aimed_at=15,
    )


def test_status_of_a_crowd(benchmark: Any, tmp_path: Path) -> None:
    """Aimed at: 2 seconds for a folder of 10,000 nodes."""
    file = tmp_path / "crowded.toml"
    file.write_text(CROWDED)
    profile = load_profile(str(file))
    tree = plan.build(profile)
    runs = folders.open_runs(tmp_path / "runs", create=True)
    for name, node in tree.nodes.items():
        folder = folders.node_folder(runs, profile.name, name)
        folder.mkdir(parents=True)
        inputs = identity.settings(tree, node)
        node_file = {"format": 1, "name": name, "fingerprint": name, "inputs": inputs}
        (folder / folders.NODE).write_text(json.dumps(node_file, indent=1))
        (folder / folders.DONE).write_text(json.dumps({"format": 1, "fingerprint": name}))
    command = [sys.executable, "-m", "repro"]
    of = ["--profile", str(file), "--runs", str(runs)]

    def process(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)

    paired.measure(
        benchmark,
        process("status", *of),
        process("--help"),
        rounds=5,
        what=f"`repro status` on {len(tree.nodes):,} nodes, one process",
        against="`repro --help`, one process",
        seconds_aimed_at=2,
    )
