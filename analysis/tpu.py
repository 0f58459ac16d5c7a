"""TPU slices, and the process that compiles for one on a host without TPUs."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spactor import provenance
from spactor.errors import UserError

_STEERING = ("ALLOW_MULTIPLE_LIBTPU_LOAD", "JAX_", "LIBTPU_", "TPU_", "XLA_")


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A generation of TPUs, by Cloud TPU's documentation.

    Attributes:
      memory_bytes: of a chip.
      cores: of a chip, by which slices of the generation are named.
      slices: how those names begin.
      config: libtpu's name of how a chip shows itself to JAX; None where there is one way.
    """

    memory_bytes: int
    cores: int
    slices: str
    config: str | None


CHIPS: Mapping[str, Chip] = {
    # Both cores of a v4 are one device, as they are when JAX runs on one.
    "v4": Chip(memory_bytes=32 * 2**30, cores=2, slices="v4", config="megacore"),
    "v5e": Chip(memory_bytes=16 * 2**30, cores=1, slices="v5litepod", config=None),
}


def chip_of(topology: str) -> Chip:
    """The chips of a slice.

    Raises:
      UserError: of another generation.

    >>> chip_of("v5e:8x8").memory_bytes // 2**30
    16
    """
    generation = topology.partition(":")[0]
    if generation not in CHIPS:
        raise UserError(f"unknown slice {topology!r}: give one of {', '.join(CHIPS)}, as v4:4x4x4")
    return CHIPS[generation]


def environment(topology: str) -> dict[str, str]:
    """This process's variables, except those that steer XLA: the same program everywhere."""
    chip = chip_of(topology)
    chips = math.prod(map(int, topology.partition(":")[2].split("x")))
    paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
    return kept | {
        "PYTHONPATH": os.pathsep.join(paths),
        "JAX_PLATFORMS": "cpu",
        "JAX_TRACEBACK_FILTERING": "off",
        # Without these libtpu asks a cloud's metadata server what machine it is on.
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": f"{chip.slices}-{chip.cores * chips}",
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
        # No TPU is touched, so two may compile at a time; libtpu locks them out otherwise.
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }


def steering(topology: str) -> dict[str, str]:
    """The part of :func:`environment` that steers XLA, to be recorded."""
    given = environment(topology).items()
    steers = {name: value for name, value in given if name.startswith(_STEERING)}
    return steers | {"LIBTPU_INIT_ARGS": "", "XLA_FLAGS": ""}


def ask(module: str, request: Mapping[str, Any], topology: str, what: object) -> dict[str, Any]:
    """Has a module compile in a process of its own, and gives its answer.

    Args:
      module: run as a program; takes a request in JSON and answers with its last line.
      request: what it is asked.
      topology: slice it compiles for.
      what: to call it in an error.

    Raises:
      UserError: libtpu is missing, or XLA could not compile it.
    """
    if provenance.versions(("libtpu",))["libtpu"] == "missing":
        raise UserError(
            "compiling for a TPU needs libtpu, which the extra 'tpu-compile' brings: "
            "python -m pip install -c constraints.txt -e '.[train,tpu-compile]' in the checkout"
        )
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=environment(topology),
    )
    if done.returncode:
        errors = re.findall(r"^[A-Za-z_][\w.]*: .*", done.stderr, re.MULTILINE)
        raise UserError(f"{what} did not compile: {errors[-1] if errors else done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
