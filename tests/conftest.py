"""Settings for all tests: of JAX, before it is imported, and of tests in several processes."""

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

ONE_PROCESS = ("tests/spactor", "tests/t5x", "tests/data", "tests/report", "tests/tables")
"""Folders whose tests share compiled programs or prepared data, and so run in one process each."""


# First, since xdist reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Groups tests for ``pytest -n 2 --dist loadgroup`` by folder or by file."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        folders = (folder for folder in ONE_PROCESS if path.startswith(f"{folder}/"))
        item.add_marker(pytest.mark.xdist_group(next(folders, path)))


@pytest.fixture(autouse=True, scope="module")
def _programs_are_freed() -> Iterator[None]:
    """Frees the programs that a file's tests compiled: those of all files take gigabytes."""
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()
