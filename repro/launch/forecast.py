"""Forecast of a launch's cost: chip-hours from FLOPs, storage of checkpoints, and their price.

The share of a chip's peak that training reaches (MFU) is an assumption, which the output states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.parameters import checkpoint_bytes
from repro.launch.jobs import Job, Launch
from repro.plan import Finetuning, Node, Tree
from spactor.errors import UserError
from spactor.text_table import align, wrap

_LEFT_OUT = (
    "TB are of checkpoints. Left out: compilation, saving, validation, decoding for the scores, "
    "waiting for machines, and what a preemption loses, at most a checkpoint period each time"
)
_HEADINGS = (
    *("", "jobs", "nodes", "M steps", "FLOPs"),
    *("chip hours", "TB, all", "TB, last"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Cost of the jobs of one size and kind.

    Attributes:
      name: size and kind.
      jobs, nodes, steps: numbers of jobs, nodes and steps.
      flops: FLOPs of training.
      chip_hours: hours of training, summed over chips.
      slice: slice of each job; "" in the total.
      checkpoints: number of stored checkpoints, including the one at a node's first step.
      all_bytes, last_bytes: bytes of all checkpoints, and of the last one of each node.
    """

    name: str
    jobs: int
    nodes: int
    steps: int
    flops: float
    chip_hours: float
    slice: str
    checkpoints: int
    all_bytes: int
    last_bytes: int


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Cost of a launch.

    Attributes:
      title: name and purpose of the profile.
      rows: costs by size and kind; the last row is the total.
      mfu: assumed share of the peak.
      peak_flops: peak FLOPs per second of a chip.
      price: price of a chip-hour; None if not given.
    """

    title: str
    rows: tuple[Row, ...]
    mfu: float
    peak_flops: float
    price: float | None

    @property
    def answer(self) -> str:
        """Sentence with the total cost."""
        total = self.rows[-1]
        cost = "" if self.price is None else f", which cost {total.chip_hours * self.price:,.0f}"
        return (
            f"{total.jobs} jobs take {total.chip_hours:,.0f} chip hours{cost}, and store "
            f"{total.all_bytes / 1e12:.1f} TB."
        )

    def text(self) -> str:
        """Formats a table for the terminal, with the assumption and omitted costs."""
        cells = [[*_HEADINGS, *["price"] * (self.price is not None)]]
        for row in self.rows:
            line = [
                row.name,
                *(f"{number:,}" for number in (row.jobs, row.nodes)),
                f"{row.steps / 1e6:,.2f}",
                f"{row.flops:.2e}",
                f"{row.chip_hours:,.0f}",
                *(f"{size / 1e12:.2f}" for size in (row.all_bytes, row.last_bytes)),
            ]
            if self.price is not None:
                line.append(f"{row.chip_hours * self.price:,.0f}")
            cells.append(line)
        assumed = (
            f"assumed: training reaches {self.mfu:.0%} of {self.peak_flops / 1e12:.0f} TFLOP/s per "
            "chip"
        )
        slices = ", ".join(f"{row.name} on {row.slice}" for row in self.rows if row.slice)
        table = align(cells, right=range(1, len(cells[0])))
        return "\n".join(
            [
                *wrap(self.answer),
                *wrap(self.title),
                *wrap(assumed),
                *wrap(slices),
                "",
                *table,
                "",
                *wrap(_LEFT_OUT),
            ]
        )


def run(
    launch: Launch,
    tree: Tree,
    flops: Mapping[str, float],
    *,
    mfu: float,
    price: float | None = None,
) -> Forecast:
    """Forecasts the cost of a launch.

    Args:
      launch: jobs of the tree, all on one type of TPU.
      tree: tree of the jobs' nodes.
      flops: FLOPs of each node, by name.
      mfu: share of a chip's peak that training reaches, above 0 and up to 1.
      price: price of a chip-hour.

    Raises:
      UserError: the share or the price is out of range.
    """
    if not 0.0 < mfu <= 1.0:
        raise UserError(f"--mfu {mfu:g} is no share of the peak: give a number above 0, up to 1")
    if price is not None and not 0.0 <= price < math.inf:
        raise UserError(f"--price-per-chip-hour {price:g}: give 0 or more")
    peak = launch.jobs[0].slice.type.peak_flops
    groups: dict[str, list[Job]] = {}
    for job in launch.jobs:
        first = tree.nodes[job.nodes[0]]
        kind = "fine-tuning" if isinstance(first, Finetuning) else "pre-training"
        groups.setdefault(f"{first.size} {kind}", []).append(job)

    def row(name: str, slice_name: str, jobs: Sequence[Job]) -> Row:
        nodes = [tree.nodes[each] for job in jobs for each in job.nodes]
        work = sum(flops[node.name] for node in nodes)
        counts = [checkpoints_of(node, tree.profile.checkpoint_period_steps) for node in nodes]
        sizes = [_bytes_of(node) for node in nodes]
        return Row(
            name=name,
            jobs=len(jobs),
            nodes=len(nodes),
            steps=sum(node.steps for node in nodes),
            flops=work,
            chip_hours=work / (peak * mfu * 3600.0),
            slice=slice_name,
            checkpoints=sum(counts),
            all_bytes=sum(count * size for count, size in zip(counts, sizes, strict=True)),
            last_bytes=sum(sizes),
        )

    rows = [row(name, str(jobs[0].slice), jobs) for name, jobs in groups.items()]
    return Forecast(
        title=f"{tree.profile.name}: {tree.profile.purpose}",
        rows=(*rows, row("total", "", launch.jobs)),
        mfu=mfu,
        peak_flops=peak,
        price=price,
    )


def checkpoints_of(node: Node, period: int) -> int:
    """Counts a node's checkpoints in T5X: at its first step, after every period, at its end.

    Args:
      node: a segment, or a fine-tuning, which is saved as often as it is scored.
      period: checkpoint period of pre-training, in steps.
    """
    every = node.config.evaluation_period_steps if isinstance(node, Finetuning) else period
    return 1 + -(-node.steps // every)


def _bytes_of(node: Node) -> int:
    if isinstance(node, Finetuning):
        return checkpoint_bytes(node.pretraining, "span_corruption")
    return checkpoint_bytes(node.config, node.stage)
