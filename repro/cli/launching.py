"""Commands for a TPU pod: the cost of a launch, and its job files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli.answers import Format, emit
from repro.cli.app import Profile, Seeds, Sizes, Taus, Variants, app, local_path, tree_of
from spactor.errors import UserError

if TYPE_CHECKING:
    from repro.launch.jobs import Job
    from repro.plan import Tree

Tpu = Annotated[str, typer.Option("--tpu", metavar="TYPE", help="TPU type: v4, v5e, v5p or v6e.")]
Topology = Annotated[
    str | None,
    typer.Option(
        "--topology", metavar="SHAPE", help="Slice of a pre-training job; by default of 64 chips."
    ),
]
FinetuneTopology = Annotated[
    str | None,
    typer.Option(
        "--finetune-topology",
        metavar="SHAPE",
        help="Slice of a fine-tuning job; by default of 8 chips.",
    ),
]
DEFAULT_PROFILE = "paper"
DEFAULT_TPU = "v4"
CHIPS, FINETUNE_CHIPS = 64, 8


def _jobs(
    tree: Tree, tpu: str, topology: str | None, finetune_topology: str | None
) -> Sequence[Job]:
    from repro.launch import jobs
    from repro.launch.slices import Slice

    def chosen(given: str | None, chips: int) -> Slice:
        return Slice.of(tpu, given) if given is not None else Slice.with_chips(tpu, chips)

    return jobs.of_tree(tree, chosen(topology, CHIPS), chosen(finetune_topology, FINETUNE_CHIPS))


@app.command()
def launch(
    to: Annotated[str, typer.Option("--to", metavar="LAUNCHER", help="skypilot or slurm.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=local_path, metavar="PATH", help="Folder of job files to make."
        ),
    ],
    bucket: Annotated[
        str,
        typer.Option(
            "--bucket",
            metavar="PLACE",
            help="Where runs are stored: gs://NAME; for slurm a shared folder.",
        ),
    ] = "",
    data_dir: Annotated[
        str,
        typer.Option(
            "--data-dir",
            metavar="PLACE",
            help="Where C4, T5's vocabulary and the benchmarks are: gs://NAME; for slurm a shared "
            "folder.",
        ),
    ] = "",
    profile: Profile = DEFAULT_PROFILE,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    variant: Variants = None,
    tpu: Tpu = DEFAULT_TPU,
    topology: Topology = None,
    finetune_topology: FinetuneTopology = None,
    spot: Annotated[
        bool, typer.Option("--spot", help="Request preemptible machines of SkyPilot.")
    ] = False,
) -> None:
    """Writes the job files of a launcher; starts nothing."""
    from repro.engines.data import DataSource
    from repro.launch import job_files
    from repro.launch.jobs import Launch

    tree = tree_of(profile, size, tau, seed, variant)
    jobs = tuple(_jobs(tree, tpu, topology, finetune_topology))
    planned = Launch(profile=profile, jobs=jobs, bucket=bucket, spot=spot, data_dir=data_dir)
    job_files.write(job_files.files(to, planned), out)
    source = DataSource.of(tree.profile, None, Path(data_dir) if data_dir else None)
    try:
        source.require(tree.profile)
    except UserError as error:
        print(f"warning: these jobs would fail at once: {error}", file=sys.stderr)
    segments = len(tree.segments())
    print(
        f"{len(jobs)} jobs ({segments} pre-training, {len(jobs) - segments} fine-tuning) from "
        f"{len(planned.families())} roots: {out}\n"
        f"nothing was started: {out / job_files.START} submits them"
    )


@app.command()
def forecast(
    mfu: Annotated[
        float,
        typer.Option(
            "--mfu", metavar="SHARE", help="Share of a chip's peak that training reaches."
        ),
    ] = 0.4,
    price: Annotated[
        float | None,
        typer.Option(
            "--price-per-chip-hour", metavar="PRICE", help="What you pay for a chip and an hour."
        ),
    ] = None,
    profile: Profile = DEFAULT_PROFILE,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    variant: Variants = None,
    tpu: Tpu = DEFAULT_TPU,
    topology: Topology = None,
    finetune_topology: FinetuneTopology = None,
    format: Format = "text",
) -> None:
    """Forecasts the chip hours, the storage and the cost of a launch."""
    from analysis.flops import step_flops
    from analysis.parameters import checkpoint_bytes
    from repro import costs
    from repro.launch import forecast as forecasting
    from repro.launch.jobs import Launch

    tree = tree_of(profile, size, tau, seed, variant)
    jobs = tuple(_jobs(tree, tpu, topology, finetune_topology))
    found = forecasting.run(
        Launch(profile=profile, jobs=jobs, bucket=""),
        tree,
        costs.tree_flops(tree, step_flops),
        checkpoint_bytes=checkpoint_bytes,
        mfu=mfu,
        price=price,
    )
    facts = {"mfu": found.mfu, "peak_flops": found.peak_flops, "price": found.price}
    emit(format, found.text, found.rows, profile=found.title, **facts)
