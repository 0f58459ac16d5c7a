"""Commands that compile training steps for TPU slices."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from repro.cli.app import app

Everything = Annotated[
    bool, typer.Option("--all", help="All programs, not only what is missing or out of date.")
]


@app.command()
def compile_flops(everything: Everything = False) -> None:
    """Compiles the paper's step for 64 TPU chips and stores its FLOPs; about an hour, no TPU."""
    _without_tpu()
    from analysis.compiled import local_step

    print(local_step.summary(local_step.ARTIFACT.update(everything=everything)))


@app.command(name="compile-t5x")
def compile_t5x(everything: Everything = False) -> None:
    """Compiles T5X's step for 64 v4 and 64 v5e chips and stores its cost; hours, no TPU."""
    _without_tpu()
    from analysis.compiled import t5x_step

    print(t5x_step.summary(t5x_step.ARTIFACT.update(everything=everything)))


def _without_tpu() -> None:
    """Keeps JAX on the CPU; an installed libtpu would look for chips and print errors."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
