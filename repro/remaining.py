"""The remaining time of a tree, from rates that were measured on this machine."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from repro.plan import Finetuning, Node, Tree


def kind(node: Node) -> tuple[bool, str, str]:
    """Nodes of one kind take about the same time a step.

    Returns:
      Whether it is a fine-tuning; its suite or stage; its size.
    """
    if isinstance(node, Finetuning):
        return True, node.suite, node.size
    return False, node.stage, node.size


@dataclass
class _Measured:
    """Seconds before the first logged step and after the last, and per step between them."""

    overheads: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


class Rates:
    """Times of nodes by kind: this run's, else those of earlier runs, else of other kinds.

    Args:
      tree: what runs.
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
        """Adds a node's seconds outside its logged steps, mostly compilation, and per step."""
        measured = self._measured[kind(self._tree.nodes[name])]
        measured.overheads.append(start)
        measured.rates.append(per_step)

    def compiling(self, running: Iterable[float]) -> float:
        """Seconds before the first step of a kind's first node: the median over kinds.

        Args:
          running: seconds before the first logged step of nodes that run now.
        """
        known = [max(measured.overheads) for measured in self._measured.values()]
        return statistics.median([*known, *running] or [0.0])

    def is_known(self, name: str, running: Iterable[str]) -> bool:
        """Whether a node of the same kind has run or logged a step, so that none compiles."""
        which = kind(self._tree.nodes[name])
        return (
            which in self._measured
            or which in self._earlier
            or any(kind(self._tree.nodes[other]) == which for other in running)
        )

    def seconds(self, name: str, running: Mapping[str, float]) -> float | None:
        """Seconds of a node that has not begun; None while nothing was measured.

        Args:
          name: of the node.
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
            # Programs are compiled once, so later nodes begin as the quickest did.
            return min(measured.overheads), statistics.median(measured.rates)
        active = [rate for name, rate in running.items() if kind(self._tree.nodes[name]) == which]
        if active:
            return 0.0, statistics.median(active)
        return 0.0, self._earlier.get(which)

    def _per_work(self, finetunes: bool, running: Mapping[str, float]) -> float | None:
        """Seconds per weight: the median over measured kinds, of fine-tuning or of pre-training."""
        found: dict[bool, list[float]] = defaultdict(list)
        # One node per kind, since all its nodes have one rate.
        for which, name in {kind(node): name for name, node in self._tree.nodes.items()}.items():
            _, rate = self._of_kind(which, running)
            if rate is not None:
                seconds = rate * self._tree.nodes[name].steps
                found[which[0]].append(seconds / self._weights[name])
        known = found[finetunes] or found[not finetunes]
        return statistics.median(known) if known else None


def makespan(seconds: Mapping[str, float], tree: Tree, jobs: int) -> float:
    """The least time in which some jobs finish nodes: their share of it all, or the longest chain.

    Args:
      seconds: of each node that is left, by name.
      tree: has these nodes, every parent before its children.
      jobs: number of nodes that run at the same time.
    """
    ends: dict[str | None, float] = {}
    for name, node in tree.nodes.items():
        if name in seconds:
            ends[name] = ends.get(node.parent, 0.0) + seconds[name]
    return max(sum(seconds.values()) / jobs, max(ends.values(), default=0.0))
