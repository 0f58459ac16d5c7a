"""Where a node's numbers come from: code, packages, device, data, seeds, command and clock."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from repro import folders
from repro.plan import Finetuning, Node
from spactor.provenance import commit, versions

_PACKAGES = (
    "spactor",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "clu",
    "t5",
    "seqio-nightly",
    "tensorflow",
    "tensorflow-text",
    "sentencepiece",
    "rouge-score",
    "scikit-learn",
    "scipy",
)

_LENGTHS = ("total_steps", "batch_size", "input_length")

KINDS: folders.Kinds = {
    **dict.fromkeys(("node", "fingerprint", "commit", "python", "machine", "device"), str),
    **dict.fromkeys(("command", "config_gin"), str),
    **dict.fromkeys(("packages", "seeds", "inputs", "inputs.config", "data", "data.tokens"), dict),
    **dict.fromkeys(("seeds.pretraining", "seeds.finetuning"), int),
    **dict.fromkeys(("inputs.start_step", "inputs.end_step", "inputs.checkpoint_step"), int),
    "inputs.parent": str | None,
    **dict.fromkeys([f"inputs.config.{name}" for name in _LENGTHS], int),
    "experiments": list,
    "experiments[]": dict,
    "data.fingerprint": str,
    "data.tokens.train": int,
    **dict.fromkeys(("data.unigram_entropy_nats", "data.most_frequent_token_rate"), float),
    "attempts": list,
    "attempts[]": dict,
    "attempts[].started": str,
    "attempts[].seconds": float,
}
"""Types of what is read back from a record, where it is there."""


def read(path: Path) -> dict[str, Any]:
    """The record of a node's run.

    Raises:
      UserError: the file is missing or damaged.
    """
    return folders.read_json(path, known=KINDS)


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def packages() -> Mapping[str, str]:
    """Versions of the packages that matter, of those installed."""
    found = versions(_PACKAGES)
    return {name: version for name, version in found.items() if version != "missing"}


def machine() -> str:
    """Names this machine, so that its timings aren't taken for another's."""
    return f"{platform.node()} {platform.machine()} {os.cpu_count()} cores"


def describe(
    node: Node,
    *,
    profile: str,
    fingerprint: str,
    data: Mapping[str, Any],
    device: str,
    metric_versions: Mapping[str, Any],
    inputs: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a node's run, attempts and clock apart.

    Args:
      node: of the tree.
      profile: its name.
      fingerprint: the node's.
      data: facts of the prepared data.
      device: what JAX runs on.
      metric_versions: of the scores, by task; empty for pre-training.
      inputs: everything the node's numbers depend on.
    """
    return {
        "format": 1,
        "node": node.name,
        "profile": profile,
        "experiments": [spec.plain_data() for spec in node.specs],
        "seeds": {"pretraining": node.seed}
        | ({"finetuning": node.finetune_seed} if isinstance(node, Finetuning) else {}),
        "fingerprint": fingerprint,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": machine(),
        "device": device,
        "packages": dict(packages()),
        "data": dict(data),
        "metric_versions": dict(metric_versions),
        "inputs": dict(inputs),
        "command": " ".join(["repro", *sys.argv[1:]]),
    }
