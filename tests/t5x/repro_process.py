"""``repro`` as a process, with T5X as its engine, and what it left in a folder of runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from t5x_process import TIMEOUT

from repro import folders, t5x_folder

ROOT = Path(__file__).parent.parent.parent
PROFILE = Path(__file__).parent / "thirty.toml"
# Of τ = 250K: stage 1, stage 2, fine-tuning.
FIRST, SECOND, LEAF = (
    "base/s0/hybrid/0-250K",
    "base/s0/tau250K/250K-500K",
    "base/s0/tau250K/500K/finetune-glue/f0",
)
SELECTION = ("--tau", "250K")


def node(runs: Path, name: str) -> Path:
    """The folder of a node of that profile."""
    return folders.node_folder(runs, "thirty", name)


def start(command: str, runs: Path, *more: str, profile: Path = PROFILE) -> subprocess.Popen[str]:
    """Starts a command."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "repro", command, *more),
            *("--profile", str(profile), "--runs", str(runs)),
        ],
        cwd=ROOT,
        # One device: the tests' own setting would make two.
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A process group, which T5X is in too.
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """Kills a command that runs, and the T5X it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finish(process: subprocess.Popen[str]) -> str:
    """Returns what a command prints; its end must be a success."""
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        kill(process)
    assert process.returncode == 0, err[-4000:]
    return out


def run(command: str, runs: Path, *more: str, profile: Path = PROFILE) -> str:
    """Starts a command and returns what it prints; its end must be a success."""
    return finish(start(command, runs, *more, profile=profile))


def untimed(folder: Path) -> dict[int, dict[str, float]]:
    """A node's series without its speeds."""
    return {
        step: {key: value for key, value in values.items() if key != t5x_folder.SPEED}
        for step, values in t5x_folder.read_steps(folder).items()
    }
