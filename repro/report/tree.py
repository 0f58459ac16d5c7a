"""The tree that was run, and what it cost: nodes from provenance, segments over their seeds.

FLOPs are counted from the configuration in a node's provenance, seconds are those its attempts
took; what provenance doesn't know is None and printed as unknown, never as nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.flops import step_flops
from analysis.rounding import rounded
from analysis.schema.nodes import Nodes, TrainedNode
from repro.costs import duration
from spactor.config import STAGES, PretrainConfig
from spactor.errors import UserError
from spactor.plain_data import from_mapping

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cost:
    """A sum over nodes; FLOPs and seconds of those where they are known."""

    nodes: int
    steps: int
    flops: float | None
    seconds: float | None

    @property
    def text(self) -> str:
        """The sum as a phrase."""
        return (
            f"{self.nodes:,} {'node' if self.nodes == 1 else 'nodes'}, {self.steps:,} steps, "
            f"{flops_text(self.flops)} FLOPs, {seconds_text(self.seconds)}"
        )


@dataclass(frozen=True)
class Segment:
    """A segment of pre-training over its seeds, and the fine-tunings that start where it ends.

    Attributes:
      first: one of the nodes; the others differ in their seed.
      parent: key of the segment it continues; None at step 0.
      seeds: of the nodes.
      flops, seconds: of one node, the median; None where unknown.
      finetunings: all of them.
    """

    first: TrainedNode
    parent: tuple[str, str, str] | None
    seeds: tuple[int, ...]
    flops: float | None
    seconds: float | None
    finetunings: Cost

    @property
    def key(self) -> tuple[str, str, str]:
        """Size, lane and label, which its seeds share."""
        return _key(self.first)


@dataclass(frozen=True)
class Grown:
    """The tree of trained nodes and its costs.

    Attributes:
      nodes: as in the provenance.
      segments: in the order of the tree.
      pretraining, finetuning: what was spent.
      alone: FLOPs of pre-training if every experiment had run by itself; None where unknown.
    """

    nodes: Sequence[TrainedNode]
    segments: tuple[Segment, ...]
    pretraining: Cost
    finetuning: Cost
    alone: float | None

    @property
    def total(self) -> Cost:
        """What all nodes cost."""
        return cost(self.nodes)

    @property
    def saved(self) -> float | None:
        """Share of pre-training's FLOPs that sharing steps saved."""
        spent = self.pretraining.flops
        return 1.0 - spent / self.alone if spent is not None and self.alone else None


def flops_text(flops: float | None) -> str:
    """FLOPs as printed.

    >>> flops_text(7.114e11), flops_text(None)
    ('7.11×10¹¹', 'unknown')
    """
    return UNKNOWN if flops is None else rounded(flops, 2, "scientific")


def seconds_text(seconds: float | None) -> str:
    """A time as printed; "unknown" for None."""
    return UNKNOWN if seconds is None else duration(seconds)


def cost(nodes: Iterable[TrainedNode]) -> Cost:
    """What nodes cost together."""
    listed = list(nodes)
    return Cost(
        nodes=len(listed),
        steps=sum(node.steps for node in listed),
        flops=_sum(map(flops_of, listed)),
        seconds=_sum(node.seconds for node in listed),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """The exact sum of what is known, the same in every version of Python; None of nothing.

    >>> _sum([0.1] * 10), _sum([None])
    (1.0, None)
    """
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def grow(nodes: Nodes) -> Grown:
    """The tree of the nodes of ``repro collect``'s provenance."""
    trained = [node for node in nodes.nodes if node.stage]
    tuned = [node for node in nodes.nodes if node.suite]
    alone = [
        None if (flops := flops_of(node)) is None else flops * len(node.taus) for node in trained
    ]
    return Grown(
        nodes=nodes.nodes,
        segments=_segments(trained, tuned, nodes),
        pretraining=cost(trained),
        finetuning=cost(tuned),
        alone=_sum(alone),
    )


def flops_of(node: TrainedNode) -> float | None:
    """As ``repro.costs`` counts a node; None where its configuration isn't known here."""
    if node.suite:
        lengths = {"batch_size": node.batch_size, "input_length": node.input_length}
        changed = {name: length for name, length in lengths.items() if length is not None}
        model = json.dumps(node.pretraining, sort_keys=True)
        of_step = _step_flops(model, json.dumps(changed), "span_corruption")
    else:
        of_step = _step_flops(json.dumps(node.config, sort_keys=True), "{}", node.stage)
    return None if of_step is None else node.steps * of_step


@functools.cache
def _step_flops(config: str, changed: str, stage: Any) -> float | None:
    if stage not in STAGES:
        return None
    try:
        read = from_mapping(PretrainConfig, json.loads(config), "provenance")
        return step_flops(dataclasses.replace(read, **json.loads(changed)), stage)
    except UserError:
        # Written by another version, with other settings.
        return None


def _segments(
    trained: Sequence[TrainedNode], tuned: Sequence[TrainedNode], nodes: Nodes
) -> tuple[Segment, ...]:
    leaves: dict[str, list[TrainedNode]] = {}
    for node in tuned:
        leaves.setdefault(node.parent or "", []).append(node)
    groups: dict[tuple[str, str, str], list[TrainedNode]] = {}
    for node in trained:
        groups.setdefault(_key(node), []).append(node)
    found = []
    for alike in groups.values():
        before = nodes.parent(alike[0])
        known = [flops for node in alike if (flops := flops_of(node)) is not None]
        times = [node.seconds for node in alike if node.seconds is not None]
        seeds = [node.seed for node in alike]
        found.append(
            Segment(
                first=alike[0],
                parent=_key(before) if before and before.stage else None,
                seeds=tuple(sorted(seed for seed in seeds if seed is not None)),
                flops=statistics.median(known) if known else None,
                seconds=statistics.median(times) if times else None,
                finetunings=cost(
                    leaf for node in alike for leaf in leaves.get(node.fingerprint, ())
                ),
            )
        )
    return tuple(found)


def _key(node: TrainedNode) -> tuple[str, str, str]:
    return (node.size, *node.lane)
