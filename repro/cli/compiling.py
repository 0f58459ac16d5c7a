"""The command that compiles training steps for TPU slices."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from repro.cli.app import app


@app.command(name="compile")
def compile_steps(
    t5x: Annotated[
        bool, typer.Option("--t5x", help="T5X's step, for v4 and v5e: hours. Needs T5X.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All programs, not only what is missing or out of date.")
    ] = False,
) -> None:
    """Compiles the paper's step for 64 TPU chips; needs no TPU.

    Stores FLOPs and memory in analysis/compiled. About an hour.
    """
    # An installed libtpu would look for chips and print errors.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from analysis.compiled import local_step, t5x_step

    if t5x:
        print(t5x_step.summary(t5x_step.ARTIFACT.update(everything=everything)))
    else:
        print(local_step.summary(local_step.ARTIFACT.update(everything=everything)))
