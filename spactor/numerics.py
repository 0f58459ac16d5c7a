"""Settings of JAX that change numbers, in one place: they are part of every node's identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS: Mapping[str, Any] = {"jax_threefry_partitionable": True}
"""By name, as ``jax.config`` knows them."""


def apply() -> None:
    """Applies the settings to this process."""
    import jax

    for name, value in SETTINGS.items():
        jax.config.update(name, value)
