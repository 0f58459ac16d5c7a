"""What a launch would cost: chip-hours from FLOPs, days from the tree, bytes from checkpoints.

Prices are the user's; none is known here. The share of a chip's peak that training reaches (MFU) is
an assumption, and the forecast says which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from repro.launch.jobs import Job, Launch
from repro.plan import Finetuning, Node, Tree
from spactor.config import PretrainConfig, Stage
from spactor.errors import UserError

CheckpointBytes = Callable[[PretrainConfig, Stage], int]
_LEFT_OUT = (
    "left out: compilation, saving, validation, decoding for the scores, waiting for machines, and "
    "what a preemption loses, at most a checkpoint period each time"
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Jobs of one size and kind.

    Attributes:
      name: size and kind.
      jobs, nodes, steps: how many.
      flops: of training.
      chip_hours: of all chips together.
      slice: what each job runs on; "" in the total.
      checkpoints: that stay, the one at a node's first step included.
      all_bytes, last_bytes: of all these, and of the last of each node.
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
class Schedule:
    """One way of running the jobs.

    Attributes:
      hours: from the first job's begin to the last one's end.
      chips: most that are in use at once.
      last: name of the job that ends last.
    """

    hours: float
    chips: int
    last: str


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a launch would cost.

    Attributes:
      rows: by size and kind, the total last.
      as_soon: every job begins when its parent has ended (Slurm, XManager).
      pipelines: jobs of one root one after another, roots side by side (SkyPilot).
      alone: one job after another.
      mfu: assumed share of the peak.
      peak_flops: of a chip, per second.
      price: of a chip-hour in the user's money; None where none was given.
    """

    title: str
    rows: tuple[Row, ...]
    as_soon: Schedule
    pipelines: Schedule
    alone: Schedule
    mfu: float
    peak_flops: float
    price: float | None

    def text(self) -> str:
        """A table, then days, storage and what is left out."""
        head = [
            "",
            "jobs",
            "nodes",
            "steps",
            "FLOPs",
            "chip-hours",
            "checkpoints",
            "TB",
            "TB, last only",
        ]
        cells = [head + ["price"] * (self.price is not None)]
        for row in self.rows:
            line = [
                f"{row.name} on {row.slice}" if row.slice else row.name,
                *(f"{number:,}" for number in (row.jobs, row.nodes, row.steps)),
                f"{row.flops:.2e}",
                f"{row.chip_hours:,.0f}",
                f"{row.checkpoints:,}",
                *(f"{size / 1e12:.2f}" for size in (row.all_bytes, row.last_bytes)),
            ]
            if self.price is not None:
                line.append(f"{row.chip_hours * self.price:,.0f}")
            cells.append(line)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = [
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        ways = (
            ("each job as soon as its parent has ended (slurm, xmanager)", self.as_soon),
            ("a pipeline per root, side by side (skypilot)", self.pipelines),
            ("one job after another", self.alone),
        )
        return "\n".join(
            [
                self.title,
                f"assumed: training reaches {self.mfu:.0%} of {self.peak_flops / 1e12:.0f} TFLOP/s "
                "per chip",
                *table,
                *(
                    f"{what}: {way.hours / 24:.1f} days, up to {way.chips:,} chips at once"
                    for what, way in ways
                ),
                f"the last to end: {self.as_soon.last}; of the pipelines: {self.pipelines.last}",
                _LEFT_OUT,
            ]
        )


def run(
    launch: Launch,
    tree: Tree,
    flops: Mapping[str, float],
    *,
    checkpoint_bytes: CheckpointBytes,
    mfu: float,
    price: float | None = None,
) -> Forecast:
    """Forecasts a launch.

    Args:
      launch: jobs of the tree, all on one type of TPU.
      tree: whose nodes the jobs run.
      flops: of each node.
      checkpoint_bytes: of a checkpoint of a stage.
      mfu: share of a chip's peak that training reaches, over 0 and up to 1.
      price: of a chip-hour.

    Raises:
      UserError: a share or a price that can't be.
    """
    if not 0.0 < mfu <= 1.0:
        raise UserError(f"--mfu {mfu:g} is no share of the peak: give more than 0 and up to 1")
    if price is not None and not 0.0 <= price < math.inf:
        raise UserError(f"--price-per-chip-hour {price:g}: give 0 or more")
    peak = launch.jobs[0].slice.type.peak_flops
    rate = peak * mfu * 3600.0
    hours = {
        job.name: sum(flops[name] for name in job.nodes) / (rate * job.slice.chips)
        for job in launch.jobs
    }
    groups: dict[str, list[Job]] = {}
    for job in launch.jobs:
        first = tree.nodes[job.nodes[0]]
        kind = "fine-tuning" if isinstance(first, Finetuning) else "pre-training"
        groups.setdefault(f"{first.size} {kind}", []).append(job)
    rows = [
        _row(name, str(jobs[0].slice), jobs, tree, flops, rate, checkpoint_bytes)
        for name, jobs in groups.items()
    ]
    rows.append(_row("total", "", launch.jobs, tree, flops, rate, checkpoint_bytes))
    queue = {job.name: job.parent for job in launch.jobs}
    chains = {
        job.name: before.name if before else None
        for family in launch.families().values()
        for before, job in zip((None, *family), family, strict=False)
    }
    line = {
        job.name: before.name if before else None
        for before, job in zip((None, *launch.jobs), launch.jobs, strict=False)
    }
    return Forecast(
        title=f"{tree.profile.name}: {tree.profile.purpose}",
        rows=tuple(rows),
        as_soon=_schedule(launch.jobs, hours, queue),
        pipelines=_schedule(launch.jobs, hours, chains),
        alone=_schedule(launch.jobs, hours, line),
        mfu=mfu,
        peak_flops=peak,
        price=price,
    )


def _row(
    name: str,
    slice_name: str,
    jobs: Sequence[Job],
    tree: Tree,
    flops: Mapping[str, float],
    rate: float,
    checkpoint_bytes: CheckpointBytes,
) -> Row:
    nodes = [tree.nodes[each] for job in jobs for each in job.nodes]
    work = sum(flops[node.name] for node in nodes)
    counts = [checkpoints_of(node, tree.profile.checkpoint_period_steps) for node in nodes]
    sizes = [_bytes_of(node, checkpoint_bytes) for node in nodes]
    return Row(
        name=name,
        jobs=len(jobs),
        nodes=len(nodes),
        steps=sum(node.steps for node in nodes),
        flops=work,
        chip_hours=work / rate,
        slice=slice_name,
        checkpoints=sum(counts),
        all_bytes=sum(count * size for count, size in zip(counts, sizes, strict=True)),
        last_bytes=sum(sizes),
    )


def checkpoints_of(node: Node, period: int) -> int:
    """Checkpoints that T5X leaves of a node: at its first step, every period, and at its end.

    Args:
      node: pre-training or fine-tuning, which saves as often as it is scored.
      period: of pre-training, in steps.
    """
    every = node.config.evaluation_period_steps if isinstance(node, Finetuning) else period
    return 1 + -(-node.steps // every)


def _bytes_of(node: Node, checkpoint_bytes: CheckpointBytes) -> int:
    if isinstance(node, Finetuning):
        return checkpoint_bytes(node.pretraining, "span_corruption")
    return checkpoint_bytes(node.config, node.stage)


def _schedule(
    jobs: Sequence[Job], hours: Mapping[str, float], after: Mapping[str, str | None]
) -> Schedule:
    """When each job begins as soon as another one has ended, and machines are there at once."""
    ends: dict[str, float] = {}
    changes: list[tuple[float, int]] = []
    for job in jobs:
        before = after[job.name]
        begin = ends[before] if before else 0.0
        ends[job.name] = begin + hours[job.name]
        changes += [(begin, job.slice.chips), (ends[job.name], -job.slice.chips)]
    used = most = 0
    # Chips given back at a moment are free for what begins then.
    for _, change in sorted(changes):
        used += change
        most = max(most, used)
    last = max(ends, key=lambda name: ends[name])
    return Schedule(hours=ends[last], chips=most, last=last)
