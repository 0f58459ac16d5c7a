"""The tree that was run, and what it cost: nodes from provenance, segments over their seeds.

FLOPs are counted from the configuration in a node's provenance, seconds are those its attempts
took; what provenance doesn't know is None and printed as unknown, never as nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.flops import step_flops
from repro.progress import duration
from spactor.config import STAGES, PretrainConfig
from spactor.errors import UserError
from spactor.plain_data import from_mapping
from tables.cells import rounded

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Node:
    """One trained node.

    Attributes:
      name, fingerprint, parent: parent is a fingerprint, "" at step 0.
      size, seed, finetune_seed: as its provenance has them; seeds None where it doesn't.
      suite: "" of a segment of pre-training.
      stage: of a segment; "" of fine-tuning.
      start, end: steps of the profile; of fine-tuning 0 and its length.
      flops, seconds: None where unknown.
      taus: the experiments it serves.
    """

    name: str
    fingerprint: str
    parent: str
    size: str
    seed: int | None
    finetune_seed: int | None
    suite: str
    stage: str
    start: int
    end: int
    flops: float | None
    seconds: float | None
    taus: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Steps it trained."""
        return self.end - self.start

    @property
    def place(self) -> tuple[str, str]:
        """Lane and label of a segment: the end of its name."""
        parts = self.name.split("/")
        return (parts[-2] if len(parts) > 1 else "", parts[-1])


@dataclass(frozen=True)
class Cost:
    """A sum over nodes; FLOPs and seconds of those where they are known."""

    nodes: int
    steps: int
    flops: float | None
    seconds: float | None

    @property
    def text(self) -> str:
        """In a phrase."""
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

    first: Node
    parent: tuple[str, str, str] | None
    seeds: tuple[int, ...]
    flops: float | None
    seconds: float | None
    finetunings: Cost

    @property
    def key(self) -> tuple[str, str, str]:
        """Size, lane and label."""
        return (self.first.size, *self.first.place)


@dataclass(frozen=True)
class Grown:
    """The tree of trained nodes and its costs.

    Attributes:
      nodes: as in the provenance.
      segments: in the order of the tree.
      pretraining, finetuning: what was spent.
      alone: FLOPs of pre-training if every experiment had run by itself; None where unknown.
    """

    nodes: tuple[Node, ...]
    segments: tuple[Segment, ...]
    pretraining: Cost
    finetuning: Cost
    alone: float | None

    @property
    def total(self) -> Cost:
        """Both together."""
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
    """A time as printed."""
    return UNKNOWN if seconds is None else duration(seconds)


def cost(nodes: Iterable[Node]) -> Cost:
    """What nodes cost together."""
    listed = list(nodes)
    return Cost(
        nodes=len(listed),
        steps=sum(node.steps for node in listed),
        flops=_sum(node.flops for node in listed),
        seconds=_sum(node.seconds for node in listed),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def grow(provenance: Sequence[Mapping[str, Any]]) -> Grown:
    """The tree, from one mapping per finished node as ``repro collect`` writes them."""
    nodes = tuple(map(_node, provenance))
    trained = [node for node in nodes if not node.suite and node.stage]
    tuned = [node for node in nodes if node.suite]
    segments = _segments(trained, tuned)
    alone = [None if node.flops is None else node.flops * len(node.taus) for node in trained]
    return Grown(
        nodes=nodes,
        segments=segments,
        pretraining=cost(trained),
        finetuning=cost(tuned),
        alone=_sum(alone),
    )


def _node(entry: Mapping[str, Any]) -> Node:
    inputs = entry.get("inputs") or {}
    seeds = entry.get("seeds")
    seeds = seeds if isinstance(seeds, Mapping) else {}
    experiments = entry.get("experiments") or ()
    attempts = entry.get("attempts") or ()
    tuning = inputs.get("kind") == "finetuning"
    config = inputs.get("config") or {}
    end = config.get("total_steps", 0) if tuning else inputs.get("end_step", 0)
    return Node(
        name=str(entry.get("node", "")),
        fingerprint=str(entry.get("fingerprint", "")),
        parent=str(inputs.get("parent") or ""),
        size=str(inputs.get("size") or (experiments[0].get("size", "") if experiments else "")),
        seed=seeds.get("pretraining"),
        finetune_seed=seeds.get("finetuning"),
        suite=str(inputs.get("suite", "")) if tuning else "",
        stage="" if tuning else str(inputs.get("stage", "")),
        start=0 if tuning else int(inputs.get("start_step", 0)),
        end=int(end),
        flops=_flops(inputs),
        seconds=sum(one.get("seconds", 0.0) for one in attempts) if attempts else None,
        taus=tuple(str(one.get("tau", "")) for one in experiments),
    )


def _flops(inputs: Mapping[str, Any]) -> float | None:
    """As ``repro.costs`` counts a node; None where its configuration isn't known here."""
    config = inputs.get("config") or {}
    if inputs.get("kind") == "finetuning":
        steps = config.get("total_steps", 0)
        changed = {name: config[name] for name in ("batch_size", "input_length") if name in config}
        model = json.dumps(inputs.get("pretraining"), sort_keys=True)
        of_step = _step_flops(model, json.dumps(changed), "span_corruption")
    else:
        steps = inputs.get("end_step", 0) - inputs.get("start_step", 0)
        of_step = _step_flops(json.dumps(config, sort_keys=True), "{}", inputs.get("stage", ""))
    return None if of_step is None else steps * of_step


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


def _segments(trained: Sequence[Node], tuned: Sequence[Node]) -> tuple[Segment, ...]:
    by_print = {node.fingerprint: node for node in trained}
    leaves: dict[str, list[Node]] = {}
    for node in tuned:
        leaves.setdefault(node.parent, []).append(node)
    groups: dict[tuple[str, str, str], list[Node]] = {}
    for node in trained:
        groups.setdefault((node.size, *node.place), []).append(node)
    found = []
    for nodes in groups.values():
        before = by_print.get(nodes[0].parent)
        known = [node.flops for node in nodes if node.flops is not None]
        times = [node.seconds for node in nodes if node.seconds is not None]
        found.append(
            Segment(
                first=nodes[0],
                parent=(before.size, *before.place) if before else None,
                seeds=tuple(sorted(node.seed for node in nodes if node.seed is not None)),
                flops=statistics.median(known) if known else None,
                seconds=statistics.median(times) if times else None,
                finetunings=cost(
                    leaf for node in nodes for leaf in leaves.get(node.fingerprint, ())
                ),
            )
        )
    return tuple(found)


__all__ = ["Grown", "Segment", "cost", "flops_text", "grow", "seconds_text"]
