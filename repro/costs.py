"""Costs of a tree: FLOPs of each node, and an estimate of its time on this machine."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro import folders, provenance
from repro.plan import Finetuning, Node, Tree
from spactor.config import PretrainConfig, Stage

StepFlops = Callable[[PretrainConfig, Stage], float]
"""FLOPs of one training step, whole batch, forward and backward."""

ASSUMED_EFFICIENCY = 0.12
"""Share of a plain matrix product's speed that training reaches, until a run has been timed."""


def node_flops(node: Node, step_flops: StepFlops) -> float:
    """FLOPs of a node.

    Fine-tuning counts as span corruption at its batch size and input length; decoding for the
    scores is left out.
    """
    if not isinstance(node, Finetuning):
        return node.steps * step_flops(node.config, node.stage)
    config = dataclasses.replace(
        node.pretraining,
        batch_size=node.config.batch_size,
        input_length=node.config.input_length,
    )
    return node.steps * step_flops(config, "span_corruption")


def tree_flops(tree: Tree, step_flops: StepFlops) -> dict[str, float]:
    """FLOPs of every node, by name."""
    return {name: node_flops(node, step_flops) for name, node in tree.nodes.items()}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of every node, and a description of their source."""

    seconds: Mapping[str, float]
    source: str


def estimate(tree: Tree, flops: Mapping[str, float], runs: Path) -> Estimate:
    """Estimates times from nodes that ran on this machine, else from a matrix product.

    Args:
      tree: of the plan.
      flops: of each node.
      runs: folder of runs; need not exist.
    """
    measured = measured_rates(tree, runs)
    if measured:
        overall = {
            kind: statistics.median(
                seconds / flops[name]
                for (kind_of, name), seconds in measured.items()
                if kind_of == kind
            )
            for kind in {kind for kind, _ in measured}
        }
        fallback = next(iter(overall.values()))
        return Estimate(
            seconds={
                name: measured.get(
                    (_kind(node), name), flops[name] * overall.get(_kind(node), fallback)
                )
                for name, node in tree.nodes.items()
            },
            source=f"estimated from {len(measured)} nodes that ran on this machine",
        )
    speed = matmul_flops_per_second()
    return Estimate(
        seconds={name: flops[name] / (speed * ASSUMED_EFFICIENCY) for name in tree.nodes},
        source=(
            f"rough estimate: a matrix product runs at {speed / 1e9:.0f} GFLOP/s on this machine's "
            f"CPU and training is assumed to reach {ASSUMED_EFFICIENCY:.0%} of it"
        ),
    )


def _kind(node: Node) -> str:
    return "finetuning" if isinstance(node, Finetuning) else "pretraining"


def measured_rates(tree: Tree, runs: Path) -> dict[tuple[str, str], float]:
    """Seconds of finished nodes that ran here in one attempt, by kind and name."""
    found = {}
    for name, node in tree.nodes.items():
        folder = folders.node_folder(runs, tree.profile.name, name)
        path = folder / folders.PROVENANCE
        if not (folder / folders.DONE).is_file() or not path.is_file():
            continue
        record = provenance.read(path)
        attempts = record.get("attempts", [])
        seconds = attempts[0].get("seconds", 0.0) if len(attempts) == 1 else 0.0
        if record.get("machine") == provenance.machine() and seconds > 0:
            found[_kind(node), name] = float(seconds)
    return found


def matmul_flops_per_second(size: int = 768, repeats: int = 5) -> float:
    """Speed of a float32 matrix product here, best of a few: 2·size³ FLOPs each."""
    generator = np.random.default_rng(0)
    left, right = generator.random((2, size, size), dtype=np.float32)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best
