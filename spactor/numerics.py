"""Settings of JAX that change numbers; they are part of every node's identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS: Mapping[str, Any] = {"jax_threefry_partitionable": True}
"""Values by the name of the option in ``jax.config``."""


def apply() -> None:
    """Applies the settings to this process."""
    import jax

    for name, value in SETTINGS.items():
        jax.config.update(name, value)
