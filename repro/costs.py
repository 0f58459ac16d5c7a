"""Costs of a tree: FLOPs of each node, and an estimate of its time on this machine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro import folders, provenance
from repro.plan import Finetuning, Node, Tree
from repro.progress import duration
from repro.remaining import Rates, makespan
from spactor.config import PretrainConfig, Stage

StepFlops = Callable[[PretrainConfig, Stage], float]
"""FLOPs of one training step, whole batch, forward and backward."""

ASSUMED_EFFICIENCY = 0.4
"""Share of a plain matrix product's speed that training reaches, until a run has been timed."""
GUESS_FACTOR = 2.0
"""A guess is stated as the range from its half to its double."""


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
    """What a tree takes on this machine.

    Attributes:
      seconds: of every node, in one process.
      elapsed: of the whole tree in ``jobs`` processes, which wait for parents.
      jobs: number of processes.
      measured: number of nodes of this machine that it rests on; 0 for a guess.
    """

    seconds: Mapping[str, float]
    elapsed: float
    jobs: int
    measured: int

    @property
    def sentence(self) -> str:
        """The time, in words.

        >>> Estimate(seconds={}, elapsed=1500.0, jobs=2, measured=4).sentence
        'about 25 min in 2 processes, by 4 nodes that ran on this machine'
        >>> Estimate(seconds={}, elapsed=3600.0, jobs=2, measured=0).sentence
        "30 min to 2 h 0 min in 2 processes, a guess from the speed of this CPU's matrix products"
        """
        if self.measured:
            nodes = "1 node" if self.measured == 1 else f"{self.measured} nodes"
            return (
                f"about {duration(self.elapsed)} in {self.jobs} processes, by {nodes} that ran on "
                "this machine"
            )
        least, most = self.elapsed / GUESS_FACTOR, self.elapsed * GUESS_FACTOR
        return (
            f"{duration(least)} to {duration(most)} in {self.jobs} processes, a guess from the "
            "speed of this CPU's matrix products"
        )


def estimate(tree: Tree, flops: Mapping[str, float], runs: Path, jobs: int) -> Estimate:
    """Estimates times from nodes that ran on this machine, else from a matrix product.

    Args:
      tree: of the plan.
      flops: of each node.
      runs: folder of runs; need not exist.
      jobs: processes that run nodes at the same time.
    """
    measured = measured_seconds(tree, runs)
    if measured:
        rates = Rates(tree, flops, measured)
        seconds = {name: measured.get(name) or rates.seconds(name, {}) or 0.0 for name in flops}
    else:
        rate = ASSUMED_EFFICIENCY * matmul_flops_per_core_second()
        seconds = {name: flops[name] / rate for name in tree.nodes}
    elapsed = makespan(seconds, tree, jobs)
    return Estimate(seconds=seconds, elapsed=elapsed, jobs=jobs, measured=len(measured))


def measured_seconds(tree: Tree, runs: Path) -> dict[str, float]:
    """Seconds of finished nodes that ran here in one attempt, by name."""
    found = {}
    for name in tree.nodes:
        folder = folders.node_folder(runs, tree.profile.name, name)
        path = folder / folders.PROVENANCE
        if not (folder / folders.DONE).is_file() or not path.is_file():
            continue
        record = provenance.read(path)
        attempts = record.get("attempts", [])
        seconds = attempts[0].get("seconds", 0.0) if len(attempts) == 1 else 0.0
        if record.get("machine") == provenance.machine() and seconds > 0:
            found[name] = float(seconds)
    return found


def matmul_flops_per_core_second(size: int = 64, products: int = 200, repeats: int = 20) -> float:
    """Speed of float32 matrix products on one core, best of some repeats: 2·size³ FLOPs each.

    Products of this size run in one thread; its own time counts, whatever else the machine does.
    """
    generator = np.random.default_rng(0)
    left, right = generator.random((2, size, size), dtype=np.float32)
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(products):
            left @ right
        best = min(best, (time.process_time() - began) / products)
    return 2.0 * size**3 / best
