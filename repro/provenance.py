"""Provenance of a node's numbers: code, packages, device, data, seeds, command and time."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from analysis.schema.nodes import TrainedNode
from repro import folders, identity
from repro.engines.contract import Engine, Work
from repro.identity import Identity
from repro.plan import Finetuning
from spactor.provenance import commit, versions

_PACKAGES = (
    *("spactor", "orbax-checkpoint", "clu"),
    *(*identity.TRAINING_STACK, *identity.SCORING_STACK),
)


def read(path: Path) -> dict[str, Any]:
    """Reads the provenance of a node.

    Raises:
      UserError: the file is missing or damaged.
    """
    return folders.read_json(path, TrainedNode)


def now() -> str:
    """Returns the time in UTC, in ISO format, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def packages() -> Mapping[str, str]:
    """Returns the versions of installed packages that numbers depend on."""
    found = versions(_PACKAGES)
    return {name: version for name, version in found.items() if version != "missing"}


def machine() -> str:
    """Describes this machine: name, architecture and number of cores."""
    return f"{platform.node()} {platform.machine()} {os.cpu_count()} cores"


def describe(work: Work, known: Identity, engine: Engine) -> dict[str, Any]:
    """Returns the provenance of a node, without attempts and times.

    Args:
      work: the node and its data.
      known: identity of the node.
      engine: engine that trains the node.
    """
    node = work.node
    return {
        "format": 1,
        "node": node.name,
        "profile": work.profile.name,
        "experiments": [spec.plain_data() for spec in node.specs],
        "seeds": {"pretraining": node.seed}
        | ({"finetuning": node.finetune_seed} if isinstance(node, Finetuning) else {}),
        "fingerprint": known.fingerprint,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": machine(),
        "device": engine.device(),
        "packages": dict(packages()),
        "data": work.data.facts,
        "metric_versions": dict(engine.metric_versions(node)),
        "inputs": dict(known.inputs),
        "command": shlex.join(["repro", *sys.argv[1:]]).encode("utf-8", "replace").decode(),
    }
