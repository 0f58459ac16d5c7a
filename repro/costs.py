"""Costs of a tree: FLOPs of its nodes, and estimates of their time on this machine.

Times are estimated from the speed of earlier nodes on this machine; before any node has run, from
the speed of a matrix product.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.flops import step_flops
from repro import folders, provenance
from repro.plan import Finetuning, Node, Tree

ASSUMED_EFFICIENCY = 0.4
"""Speed of training over that of a matrix product, assumed before any node has run."""
NODE_OVERHEAD_FLOPS = 1.2e11
"""Time of a node without its steps, in FLOPs of training that take as long.

This time is spent on loading, compiling, validating, scoring and saving. A node of ``smoke``, whose
steps take almost no time, took 4 s on average on a core with 80 GFLOP/s.
"""
GUESS_FACTOR = 2.0
"""Factor between a guess and the ends of the range that is printed for it."""


def node_flops(node: Node) -> float:
    """Counts the FLOPs of a node.

    A fine-tuning step counts as a step of span corruption at its batch size and input length;
    decoding for the scores is left out.
    """
    if not isinstance(node, Finetuning):
        return node.steps * step_flops(node.config, node.stage)
    config = dataclasses.replace(
        node.pretraining,
        batch_size=node.config.batch_size,
        input_length=node.config.input_length,
    )
    return node.steps * step_flops(config, "span_corruption")


def tree_flops(tree: Tree) -> dict[str, float]:
    """Counts the FLOPs of every node, by name."""
    return {name: node_flops(node) for name, node in tree.nodes.items()}


def duration(seconds: float) -> str:
    """Formats a duration.

    >>> duration(42.4), duration(190), duration(7500), duration(1e6)
    ('42 s', '3 min', '2 h 5 min', '11 days 13 h')
    >>> duration(5e11)
    '15,844 years'
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    if days > 3 * 365:
        return f"{days / 365.25:,.0f} years"
    return f"{days} days {hours} h"


def kind(node: Node) -> tuple[bool, str, str]:
    """Returns the kind of a node; steps of nodes of one kind take about the same time.

    Returns:
      Whether the node is a fine-tuning; its suite or stage; its size.
    """
    if isinstance(node, Finetuning):
        return True, node.suite, node.size
    return False, node.stage, node.size


@dataclass
class _Measured:
    """Seconds of nodes outside their logged steps, and seconds per step between these."""

    overheads: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


class Rates:
    """Estimates the time of nodes by kind from this run, from earlier runs, or from other kinds.

    Args:
      tree: the tree that runs.
      weights: relative work of each node, such as its FLOPs.
      earlier: seconds of nodes that finished on this machine before, by name.
    """

    def __init__(
        self, tree: Tree, weights: Mapping[str, float], earlier: Mapping[str, float]
    ) -> None:
        self._tree = tree
        self._weights = weights
        self._measured: dict[tuple[bool, str, str], _Measured] = defaultdict(_Measured)
        of_kinds = defaultdict(list)
        for name, seconds in earlier.items():
            node = tree.nodes[name]
            of_kinds[kind(node)].append(seconds / node.steps)
        self._earlier = {which: statistics.median(rates) for which, rates in of_kinds.items()}

    def add(self, name: str, start: float, per_step: float) -> None:
        """Adds the times of a finished node.

        Args:
          name: name of the node.
          start: seconds outside its logged steps, mostly compilation.
          per_step: seconds per step.
        """
        measured = self._measured[kind(self._tree.nodes[name])]
        measured.overheads.append(start)
        measured.rates.append(per_step)

    def compiling(self, running: Iterable[float]) -> float:
        """Estimates the seconds before the first step of a kind's first node: median over kinds.

        Args:
          running: seconds before the first logged step of nodes that run now.
        """
        known = [max(measured.overheads) for measured in self._measured.values()]
        return statistics.median([*known, *running] or [0.0])

    def is_known(self, name: str, running: Iterable[str]) -> bool:
        """Whether a node of the same kind has run or logged a step, so that no program is compiled.

        Args:
          name: name of the node.
          running: names of nodes that run now.
        """
        which = kind(self._tree.nodes[name])
        return (
            which in self._measured
            or which in self._earlier
            or any(kind(self._tree.nodes[other]) == which for other in running)
        )

    def seconds(self, name: str, running: Mapping[str, float]) -> float | None:
        """Estimates the seconds of a node that has not begun; None before anything is measured.

        Args:
          name: name of the node.
          running: seconds per step of nodes that run now, by name.
        """
        node = self._tree.nodes[name]
        start, rate = self._of_kind(kind(node), running)
        if rate is not None:
            return start + rate * node.steps
        work = self._per_work(kind(node)[0], running)
        return None if work is None else work * self._weights[name]

    def _of_kind(
        self, which: tuple[bool, str, str], running: Mapping[str, float]
    ) -> tuple[float, float | None]:
        if measured := self._measured.get(which):
            # Programs are compiled once, so later nodes start as fast as the fastest.
            return min(measured.overheads), statistics.median(measured.rates)
        active = [rate for name, rate in running.items() if kind(self._tree.nodes[name]) == which]
        if active:
            return 0.0, statistics.median(active)
        return 0.0, self._earlier.get(which)

    def _per_work(self, finetunes: bool, running: Mapping[str, float]) -> float | None:
        """Median seconds per weight over measured kinds of fine-tuning or of pre-training."""
        found: dict[bool, list[float]] = defaultdict(list)
        # One node of each kind suffices, since nodes of one kind have the same rate.
        for which, name in {kind(node): name for name, node in self._tree.nodes.items()}.items():
            _, rate = self._of_kind(which, running)
            if rate is not None:
                seconds = rate * self._tree.nodes[name].steps
                found[which[0]].append(seconds / self._weights[name])
        known = found[finetunes] or found[not finetunes]
        return statistics.median(known) if known else None


def chains(nodes: Mapping[str, Node], work: Mapping[str, float]) -> dict[str, float]:
    """Computes the work of the longest chain of nodes that begins with each node.

    Args:
      nodes: nodes by name, every parent before its children.
      work: work of each node, such as FLOPs or seconds; other nodes are left out.
    """
    below: dict[str | None, float] = {}
    found: dict[str, float] = {}
    for name, node in reversed(list(nodes.items())):
        if name in work:
            found[name] = work[name] + below.get(name, 0.0)
            below[node.parent] = max(below.get(node.parent, 0.0), found[name])
    return found


def makespan(seconds: Mapping[str, float], tree: Tree, jobs: int) -> float:
    """Lower bound of the time to finish nodes: the sum over jobs, or the longest chain.

    Args:
      seconds: seconds of each unfinished node, by name.
      tree: tree of the nodes, every parent before its children.
      jobs: number of nodes that run at the same time.
    """
    longest = max(chains(tree.nodes, seconds).values(), default=0.0)
    return max(sum(seconds.values()) / jobs, longest)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated time of a tree on this machine.

    Attributes:
      seconds: seconds of every node, in one process.
      elapsed: seconds of the whole tree in ``jobs`` processes.
      jobs: number of processes.
      measured: number of timed nodes that the estimate uses; 0 for a guess.
    """

    seconds: Mapping[str, float]
    elapsed: float
    jobs: int
    measured: int

    @property
    def sentence(self) -> str:
        """The estimated time, in words.

        >>> Estimate(seconds={}, elapsed=1500.0, jobs=2, measured=4).sentence
        'about 25 min in 2 processes, by 4 nodes that ran on this machine'
        >>> Estimate(seconds={}, elapsed=3600.0, jobs=2, measured=0).sentence
        "30 min to 2 h 0 min in 2 processes; a guess from the CPU's speed"
        """
        if self.measured:
            nodes = "1 node" if self.measured == 1 else f"{self.measured} nodes"
            return (
                f"about {duration(self.elapsed)} in {self.jobs} processes, by {nodes} that ran on "
                "this machine"
            )
        least, most = self.elapsed / GUESS_FACTOR, self.elapsed * GUESS_FACTOR
        return (
            f"{duration(least)} to {duration(most)} in {self.jobs} processes; a guess from the "
            "CPU's speed"
        )


def estimate(tree: Tree, flops: Mapping[str, float], runs: Path, jobs: int) -> Estimate:
    """Estimates times from nodes that ran on this machine, or else from a matrix product.

    Args:
      tree: the tree.
      flops: FLOPs of each node, by name.
      runs: folder of runs; it need not exist.
      jobs: number of nodes that run at the same time.
    """
    measured = measured_seconds(tree, runs)
    if measured:
        rates = Rates(tree, flops, measured)
        seconds = {name: measured.get(name) or rates.seconds(name, {}) or 0.0 for name in flops}
    else:
        rate = ASSUMED_EFFICIENCY * matmul_flops_per_core_second()
        seconds = {name: (flops[name] + NODE_OVERHEAD_FLOPS) / rate for name in tree.nodes}
    elapsed = makespan(seconds, tree, jobs)
    return Estimate(seconds=seconds, elapsed=elapsed, jobs=jobs, measured=len(measured))


def measured_seconds(tree: Tree, runs: Path) -> dict[str, float]:
    """Returns the seconds of finished nodes that ran on this machine in one attempt, by name."""
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
    """Measures the speed of float32 matrix products on one core: the best of some repeats.

    A product has 2·size³ FLOPs and runs in one thread. The thread's processor time is measured, so
    other processes have no effect.
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
