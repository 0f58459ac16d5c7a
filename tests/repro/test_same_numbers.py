"""A node's numbers on one core and two, in a shell with other settings, on an older kind of CPU."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from untrained import lines_of

from repro import folders

pytestmark = pytest.mark.slow
NODE = "base/s0/hybrid/0-60K"
SETTINGS = {
    **{"JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_ENABLE_X64": "1", "JAX_RANDOM_SEED_OFFSET": "3"},
    **{"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16", "JAX_THREEFRY_PARTITIONABLE": "0"},
    **{"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "NPROC": "2", "PJRT_NPROC": "2"},
    **{"TF_XLA_FLAGS": "--tf_xla_auto_jit=2", "NVIDIA_TF32_OVERRIDE": "1"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with the node, on all cores."""
    runs = tmp_path_factory.mktemp("same") / "runs"
    train(runs)
    return runs


def train(
    runs: Path,
    *more: str,
    chosen: tuple[str, ...] = ("--profile", "smoke", "--node", NODE),
    cores: set[int] | None = None,
    **variables: str,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro", "run", "--runs", str(runs), *chosen, *more],
        env={**os.environ, **variables},
        preexec_fn=lambda: os.sched_setaffinity(0, cores) if cores else None,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def compare(first: Path, second: Path) -> subprocess.CompletedProcess[str]:
    return verify(*(folders.node_folder(runs, "smoke", NODE) for runs in (first, second)))


def verify(first: Path, second: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "repro", "verify", str(first), str(second), *more)
    return subprocess.run(command, capture_output=True, text=True)


def data_of(runs: Path) -> tuple[str, str]:
    """The option that reads what the other runs read."""
    [prepared] = folders.cache_folder(runs).glob("corpus-*/manifest.json")
    return "--data", str(prepared.parent)


def lines(runs: Path, name: str) -> list[dict]:
    return lines_of(folders.node_folder(runs, "smoke", NODE) / name)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or os.cpu_count() == 1, reason="needs two cores of Linux"
)
def test_one_core_and_other_settings_give_equal_bits(trained: Path, tmp_path: Path) -> None:
    """And on one device: the state lives on the first of two."""
    variables = SETTINGS | {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=2", "count=1")}
    core = min(os.sched_getaffinity(0))
    train(tmp_path / "runs", *data_of(trained), cores={core}, **variables)
    compared = compare(trained, tmp_path / "runs")
    assert compared.returncode == 0, compared.stdout
    assert "inputs differ" not in compared.stderr, "one fingerprint"


def test_one_and_two_workers_give_equal_bits(trained: Path, tmp_path: Path) -> None:
    """Of two models, one in two segments, with two fine-tuning runs each."""
    profile = tmp_path / "branches.toml"
    profile.write_text(
        'extends = "smoke"\nsuites = ["glue", "squad"]\n'
        '[matrix.base]\ntaus = ["0", "60K"]\ncheckpoints = ["500K"]\n'
    )
    both = [tmp_path / f"runs{jobs}" for jobs in (1, 2)]
    for jobs, runs in enumerate(both, start=1):
        chosen = ("--profile", str(profile), "--jobs", str(jobs), "--size", "base")
        train(runs, *data_of(trained), chosen=chosen)
    assert len(list(both[0].rglob(folders.DONE))) == 7
    compared = verify(*both, "--profile", str(profile))
    assert compared.returncode == 0, compared.stdout


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instructions of x86")
def test_an_older_cpu_reads_the_same_and_rounds_differently(trained: Path, tmp_path: Path) -> None:
    """As in `docs/numbers.md`: equal batches and masks, losses equal to about six digits."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=SSE4_2"
    train(tmp_path / "runs", *data_of(trained), XLA_FLAGS=flags)
    ours, theirs = (
        [(line["step"], line["batch"], line["masks"]) for line in lines(runs, "digests.jsonl")]
        for runs in (trained, tmp_path / "runs")
    )
    assert ours == theirs and ours
    logged, other_logged = (lines(runs, "metrics.jsonl") for runs in (trained, tmp_path / "runs"))
    for one, other in zip(logged, other_logged, strict=True):
        for name in one:
            if not name.startswith("timing/"):
                assert other[name] == pytest.approx(one[name], rel=1e-4), name
    compared = compare(trained, tmp_path / "runs")
    assert "environment.xla_flags" in compared.stderr, "another fingerprint"
