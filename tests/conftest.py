"""Settings of JAX for all tests, made before it is imported."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Benchmarks measure the machine as it is.
if "SPACTOR_BENCHMARKS" not in os.environ:
    # Two simulated devices show faults of sharding. Most time goes into compiling small programs
    # that run once, so XLA's code generator doesn't optimize; with these settings it takes a third
    # of the time.
    quick = (
        "--xla_force_host_platform_device_count=2",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    )
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *quick]).strip()
    # Programs that several files or processes need are compiled once. Workers of xdist, and
    # processes that tests start, inherit the variable.
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        programs = tempfile.mkdtemp(prefix="spactor-programs-")
        atexit.register(shutil.rmtree, programs, ignore_errors=True)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = programs
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
        os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"


@pytest.fixture(autouse=True, scope="module")
def _programs_are_freed() -> Iterator[None]:
    """Frees the programs that a file's tests compiled: those of all files take gigabytes."""
    yield
    if jax := sys.modules.get("jax"):
        jax.clear_caches()


@pytest.fixture(scope="session")
def smoke_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of profile smoke; one process of the tests builds them, the others wait."""
    from spactor.config import DataConfig
    from spactor.data import prepare

    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent
    config = DataConfig(corpus="embedded", vocab_size=512, packages="stdlib")
    return prepare.prepare(home / "smoke-data", config)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs ``repro`` with arguments that it refuses; returns the one line that it prints."""
    from commands import run

    def refused(*arguments: object) -> str:
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("repro: ") and err.count("\n") == 1
        return err

    return refused
