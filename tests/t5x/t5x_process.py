"""Stock ``python -m t5x.train`` and its kin as processes, at size tiny on the embedded corpus."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from spactor.t5x import convert

ROOT = Path(__file__).parent.parent.parent
GIN = "spactor/t5x/gin"
TIMEOUT = 3600
"""Seconds; a busy machine needs ten times as long as an idle one."""


def environment(devices: int = 1) -> dict[str, str]:
    """Variables for a process of this checkout, with a number of simulated devices."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # The tests' own setting would make two.
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }


def free_port() -> int:
    """Returns a port of this machine that no process uses."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start(
    script: str,
    files: tuple[str, ...],
    log: Path,
    *flags: str,
    **macros: object,
) -> subprocess.Popen[bytes]:
    """Starts ``python -m t5x.<script>`` with our gin files; its output goes to ``log``."""
    command = [sys.executable, "-m", f"t5x.{script}", *flags]
    command += [f"--gin_file={GIN}/{name}.gin" for name in files]
    command += [f"--gin.{name}={value!r}" for name, value in macros.items()]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )


def start_many(
    runs: list[dict[str, Any]], folder: Path, *bucket: str, path: Path = ROOT
) -> subprocess.Popen[bytes]:
    """Starts scripts one after the other in one process, which prints how each ended.

    Args:
      runs: script, names of our gin files or paths of others, and macros.
      folder: for the list of runs and the log.
      bucket: a folder that is used as a bucket is; see `many_runs`.
      path: of the user's own modules.
    """
    resolved = [
        run | {"files": [name if "/" in name else f"{GIN}/{name}.gin" for name in run["files"]]}
        for run in runs
    ]
    listed = folder / "runs.json"
    listed.write_text(json.dumps(resolved), "utf-8")
    variables = environment()
    variables["PYTHONPATH"] += f"{os.pathsep}{path}"
    with (folder / "runs.log").open("ab") as errors:
        return subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "many_runs.py"),
                str(listed),
                *bucket,
            ],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=errors,
        )


def many(
    runs: list[dict[str, Any]], folder: Path, *bucket: str, path: Path = ROOT
) -> list[list[str] | None]:
    """As `start_many`, to the end; returns how each run ended."""
    process = start_many(runs, folder, *bucket, path=path)
    try:
        out, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    log = (folder / "runs.log").read_text("utf-8", errors="replace")
    assert process.returncode == 0, log[-4000:]
    return json.loads(out.decode().splitlines()[-1])


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Waits for the end of a run, which must be a success."""
    try:
        code = process.wait(TIMEOUT)
    finally:
        process.kill()
    log = folder.with_suffix(".log").read_text("utf-8", errors="replace")
    assert code == 0, log[-4000:]


def leaves(path: Path) -> dict[str, np.ndarray]:
    """Every array of a T5X checkpoint by its name."""
    return traverse_util.flatten_dict(convert.read(path), sep="/")


def assert_same(ours: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Bit for bit."""
    assert set(ours) == set(other)
    for name in ours:
        assert ours[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(ours[name], other[name], err_msg=name)


def pretraining_macros(folder: Path, data: Path, steps: int) -> dict[str, Any]:
    """Settings of a tiny pre-training run."""
    return {
        "MODEL_DIR": str(folder),
        "DATA_FOLDER": str(data),
        "TRAIN_STEPS": steps,
        "RANDOM_SEED": 0,
        "DATA_SHARDS": 2,
        "CHECKPOINT_PERIOD": 5,
        "EVAL_PERIOD": 5,
        "STATS_PERIOD": 5,
    }


def pretraining(
    folder: Path,
    data: Path,
    stage: str,
    steps: int,
    parent: Path | None = None,
    *flags: str,
    **macros: object,
) -> subprocess.Popen[bytes]:
    """Starts either stage; ``parent`` is the checkpoint that stage 2 begins with."""
    files: tuple[str, ...] = ("tiny", "pretrain", stage, "embedded")
    settings = pretraining_macros(folder, data, steps)
    if parent is not None:
        files += ("second_stage",)
        settings["INITIAL_CHECKPOINT_PATH"] = str(parent)
    return start("train", files, folder.with_suffix(".log"), *flags, **(settings | macros))


def finetuning_macros(
    folder: Path, data: Path, parent: Path, first: int, steps: int
) -> dict[str, Any]:
    """Settings of a tiny fine-tuning run on the embedded GLUE-like suite, for ``steps`` steps."""
    return {
        "MODEL_DIR": str(folder),
        "DATA_FOLDER": str(data),
        "SUITE": "glue",
        "INITIAL_CHECKPOINT_PATH": str(parent),
        "INITIAL_STEP": first,
        "TRAIN_STEPS": first + steps,
        "RANDOM_SEED": 0,
        "DATA_SHARDS": 2,
        "BATCH_SIZE": 4,
        "EVAL_PERIOD": 4,
        "STATS_PERIOD": 4,
        "INPUT_LENGTH": 64,
        "TARGET_LENGTH": 8,
        "EVALUATOR_NUM_EXAMPLES": 8,
    }


def finetuning(
    folder: Path, data: Path, parent: Path, first: int, steps: int, **macros: object
) -> subprocess.Popen[bytes]:
    """Starts fine-tuning."""
    settings = finetuning_macros(folder, data, parent, first, steps)
    files = ("tiny", "finetune", "embedded_suite")
    return start("train", files, folder.with_suffix(".log"), **(settings | macros))


def scoring_macros(script: str, folder: Path, data: Path, checkpoint: Path) -> dict[str, Any]:
    """Settings of ``eval`` or ``infer`` on the embedded GLUE-like suite."""
    return {
        "CHECKPOINT_PATH": str(checkpoint),
        f"{script.upper()}_OUTPUT_DIR": str(folder),
        f"{script.upper()}_BATCH_SIZE": 8,
        "DATA_FOLDER": str(data),
        "SUITE": "glue",
        "INPUT_LENGTH": 64,
        "TARGET_LENGTH": 8,
    }
