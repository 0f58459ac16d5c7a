"""Starting a process that compiles for a TPU slice, on a host without TPUs.

A ``topology`` is a text such as ``v4:4x4x4`` (``analysis.tpu_slices.Slice.parse``).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.tpu_slices import Slice
from spactor import provenance
from spactor.errors import UserError

_XLA_PREFIXES = ("ALLOW_MULTIPLE_LIBTPU_LOAD", "JAX_", "LIBTPU_", "TPU_", "XLA_")


def environment(topology: str) -> dict[str, str]:
    """Environment variables of the compiling process.

    These are this process's variables, with fixed values for all that XLA reads, so that settings
    of the shell do not change the compiled program.
    """
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    others = {
        name: value for name, value in os.environ.items() if not name.startswith(_XLA_PREFIXES)
    }
    return others | {
        "PYTHONPATH": os.pathsep.join(paths),
        "JAX_PLATFORMS": "cpu",
        "JAX_TRACEBACK_FILTERING": "off",
        # Without these libtpu queries a cloud's metadata server for the type of machine.
        "TPU_SKIP_MDS_QUERY": "1",
        "TPU_ACCELERATOR_TYPE": Slice.parse(topology).cloud_name,
        "TPU_WORKER_HOSTNAMES": "localhost",
        "TPU_WORKER_ID": "0",
        # No TPU is used, so two processes may compile at a time; libtpu's lock forbids it.
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }


def xla_environment(topology: str) -> dict[str, str]:
    """Variables of :func:`environment` that XLA reads; the file of measurements records them."""
    found = {
        name: value
        for name, value in environment(topology).items()
        if name.startswith(_XLA_PREFIXES)
    }
    return found | {"LIBTPU_INIT_ARGS": "", "XLA_FLAGS": ""}


def compile_in_process(
    module: str, request: Mapping[str, Any], topology: str, name: object
) -> dict[str, Any]:
    """Compiles a program in a new process.

    Args:
      module: module to run with ``python -m``; it reads a JSON request from standard input and
        prints its JSON result as the last line.
      request: JSON object for the module.
      topology: slice to compile for.
      name: the program's name in error messages.

    Returns:
      The JSON object that the module printed.

    Raises:
      UserError: libtpu is missing, or XLA could not compile the program.
    """
    if provenance.versions(("libtpu",))["libtpu"] == "missing":
        raise UserError(
            "compiling for a TPU needs libtpu, which the extra 'tpu-compile' installs: "
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
        raise UserError(f"{name} did not compile: {errors[-1] if errors else done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def devices(topology: str) -> list[Any]:
    """Returns the JAX devices of a slice as compilation targets. Needs libtpu, but no TPU."""
    from jax.experimental import topologies

    config = Slice.parse(topology).type.chip_config
    options = {"chip_config_name": config} if config else {}
    description = topologies.get_topology_desc(platform="tpu", topology_name=topology, **options)
    return list(description.devices)


def costs(program: Any) -> dict[str, Any]:
    """Returns XLA's analysis of a compiled program, for one device.

    Returns:
      ``flops`` and ``transcendentals``, as XLA counts them; ``bytes_accessed``; and
      ``memory_bytes``: the peak of arguments, results and temporaries, its parts, and the size of
      the generated code.
    """
    analysis = program.cost_analysis() or {}
    memory = program.memory_analysis()
    parts = {
        name: int(getattr(memory, f"{name}_size_in_bytes"))
        for name in ("argument", "output", "alias", "temp", "generated_code")
    }
    peak = parts["argument"] + parts["output"] - parts["alias"] + parts["temp"]
    return {
        "flops": analysis.get("flops"),
        "transcendentals": analysis.get("transcendentals", 0.0),
        "bytes_accessed": analysis.get("bytes accessed", 0.0),
        "memory_bytes": {"peak": peak} | parts,
    }
