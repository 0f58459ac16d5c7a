"""What the tests of collecting share: folders of the fake engine, read and doctored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from analysis import scores as selecting
from repro import collect, folders
from repro.plan import Tree

FIRST = "base/s0/hybrid/0-250K"
BASELINE = "base/s0/sc/500K-1M"
LEAF = "base/s0/tau250K/1M/finetune-glue/f0"


def step_flops(config, stage: str) -> float:
    return 3.0 if stage == "hybrid" else 2.0


def pretraining_flops(config, tau_steps: float, steps: int) -> float:
    return 3.0 * min(tau_steps, steps) + 2.0 * max(0.0, steps - tau_steps)


def collected(tree: Tree, runs: Path) -> collect.Collected:
    return collect.collect(
        tree,
        runs,
        step_flops=step_flops,
        pretraining_flops=pretraining_flops,
        select=selecting.marked,
    )


def folder_of(runs: Path, node: str) -> Path:
    return folders.node_folder(runs, "tiny", node)


def rows(frame: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    return frame


def edited(path: Path, edit: Callable[[list[dict]], list[dict]]) -> None:
    lines = edit([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def bytes_of(tree: Tree, runs: Path, folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in collect.write(collected(tree, runs), folder)]
