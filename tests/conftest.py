"""Settings of JAX for all tests, made before it is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

# Benchmarks measure the machine as it is.
if "SPACTOR_BENCHMARKS" not in os.environ:
    # Two simulated devices show faults of sharding. Most time goes into compiling small programs
    # that run once, so XLA's code generator doesn't optimize.
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()


@pytest.fixture(autouse=True, scope="module")
def _programs_are_freed() -> Iterator[None]:
    """Frees the programs that a file's tests compiled: those of all files take gigabytes."""
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
