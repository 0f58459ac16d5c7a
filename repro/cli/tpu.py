"""Commands for TPUs: forecast, launch, compile."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import Experiments, Profile, local_path
from spactor.errors import UserError

if TYPE_CHECKING:
    from repro.launch.jobs import Job
    from repro.plan import Tree

CHIPS, FINETUNE_CHIPS = 64, 8


@dataclass(frozen=True)
class OnSlices(Experiments):
    """Options that select experiments and the TPU slices that train them."""

    profile: Profile = "paper"
    tpu: Annotated[
        str, typer.Option("--tpu", metavar="TYPE", help="TPU type: v4, v5e, v5p or v6e.")
    ] = "v4"
    topology: Annotated[
        str | None,
        typer.Option(
            "--topology",
            metavar="SHAPE",
            help="Slice of a pre-training job, such as 4x4x4; by default of 64 chips.",
        ),
    ] = None
    finetune_topology: Annotated[
        str | None,
        typer.Option(
            "--finetune-topology",
            metavar="SHAPE",
            help="Slice of a fine-tuning job; by default of 8 chips.",
        ),
    ] = None

    def jobs(self, tree: Tree) -> tuple[Job, ...]:
        """Divides a tree of the experiments into jobs."""
        from analysis.tpu_slices import Slice
        from repro.launch import jobs

        def chosen(given: str | None, chips: int) -> Slice:
            if given is None:
                return Slice.with_chips(self.tpu, chips)
            return Slice.of(self.tpu, given)

        pretraining = chosen(self.topology, CHIPS)
        return jobs.of_tree(tree, pretraining, chosen(self.finetune_topology, FINETUNE_CHIPS))


@command(app)
def launch(
    launcher: Annotated[str, typer.Option("--launcher", metavar="NAME", help="skypilot or slurm.")],
    to: Annotated[
        Path,
        typer.Option(
            "--to", parser=local_path, metavar="PATH", help="New folder for the job files."
        ),
    ],
    chosen: OnSlices,
    bucket: Annotated[
        str,
        typer.Option(
            "--bucket",
            metavar="PLACE",
            help="Bucket for the runs, gs://NAME; for slurm a shared folder.",
        ),
    ] = "",
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            metavar="PLACE",
            help="Bucket with C4, T5's vocabulary and the benchmarks, gs://NAME; for slurm a "
            "shared folder.",
        ),
    ] = "",
    spot: Annotated[
        bool, typer.Option("--spot", help="Requests preemptible machines (SkyPilot only).")
    ] = False,
) -> None:
    """Writes the job files of a launcher; starts nothing."""
    from repro.engines.data import DataSource
    from repro.launch import job_files
    from repro.launch.jobs import Launch

    tree = chosen.tree()
    jobs = chosen.jobs(tree)
    planned = Launch(profile=chosen.profile, jobs=jobs, bucket=bucket, spot=spot, data_dir=data_dir)
    job_files.write(job_files.files(launcher, planned), to)
    source = DataSource.of(tree.profile, None, Path(data_dir) if data_dir else None)
    try:
        source.require(tree.profile)
    except UserError as error:
        print(f"warning: these jobs would fail at once: {error}", file=sys.stderr)
    segments = len(tree.segments())
    print(
        f"{len(jobs)} jobs ({segments} pre-training, {len(jobs) - segments} fine-tuning) from "
        f"{len(planned.families())} roots: {to}\n"
        f"nothing was started: {to / job_files.START} submits them"
    )


@command(app)
def forecast(
    chosen: OnSlices,
    mfu: Annotated[
        float,
        typer.Option(
            "--mfu", metavar="SHARE", help="Share of a chip's peak that training reaches."
        ),
    ] = 0.4,
    price: Annotated[
        float | None,
        typer.Option(
            "--price-per-chip-hour", metavar="PRICE", help="Price of one chip for one hour."
        ),
    ] = None,
    format: Format = "text",
) -> None:
    """Forecasts the chip hours, the storage and the cost of a launch."""
    from repro import costs
    from repro.launch import forecast as forecasting
    from repro.launch.jobs import Launch

    tree = chosen.tree()
    jobs = chosen.jobs(tree)
    found = forecasting.run(
        Launch(profile=chosen.profile, jobs=jobs, bucket=""),
        tree,
        costs.tree_flops(tree),
        mfu=mfu,
        price=price,
    )
    facts = {"mfu": found.mfu, "peak_flops": found.peak_flops, "price": found.price}
    emit(format, found.text, found.rows, profile=found.title, **facts)


@command(app, "compile")
def compile_steps(
    t5x: Annotated[
        bool,
        typer.Option("--t5x", help="Compiles T5X's step, for v4 and v5e; takes hours, needs T5X."),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Compiles all programs, not only missing and outdated ones."),
    ] = False,
) -> None:
    """Compiles the paper's step for 64 TPU chips; needs no TPU.

    Stores FLOPs and memory in analysis/compiled. Takes about an hour.
    """
    # On another platform JAX would try an installed libtpu, which prints errors without chips.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from analysis.compiled import local_step, t5x_step

    if t5x:
        print(t5x_step.summary(t5x_step.ARTIFACT.update(everything=everything)))
    else:
        print(local_step.summary(local_step.ARTIFACT.update(everything=everything)))
