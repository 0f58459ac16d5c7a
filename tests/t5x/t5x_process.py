"""Stock ``python -m t5x.train`` and its kin as processes, at size tiny on the embedded corpus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GIN = "spactor/t5x/gin"


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # One device: the tests' own setting would make two.
        "XLA_FLAGS": "",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }


def start(
    script: str, files: tuple[str, ...], log: Path, flags: tuple[str, ...] = (), **macros: object
) -> subprocess.Popen[bytes]:
    """Starts ``python -m t5x.<script>`` with our gin files; its output goes to ``log``."""
    command = [sys.executable, "-m", f"t5x.{script}", *flags]
    command += [f"--gin_file={GIN}/{name}.gin" for name in files]
    command += [f"--gin.{name}={value!r}" for name, value in macros.items()]
    with log.open("ab") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdout=output, stderr=subprocess.STDOUT
        )


def finish(process: subprocess.Popen[bytes], log: Path, timeout: float = 600) -> None:
    """Waits for the end, which must be a success."""
    try:
        code = process.wait(timeout)
    finally:
        process.kill()
    assert code == 0, log.read_text("utf-8", errors="replace")[-4000:]


def pretraining(
    folder: Path,
    data: Path,
    stage: str,
    steps: int,
    parent: Path | None = None,
    flags: tuple[str, ...] = (),
    **macros: object,
) -> subprocess.Popen[bytes]:
    """Starts either stage; ``parent`` is the checkpoint that stage 2 begins with."""
    files: tuple[str, ...] = ("tiny", "pretrain", stage, "embedded")
    settings: dict[str, object] = {
        "MODEL_DIR": str(folder),
        "DATA_FOLDER": str(data),
        "TRAIN_STEPS": steps,
        "RANDOM_SEED": 0,
        "DATA_SHARDS": 2,
        "CHECKPOINT_PERIOD": 5,
        "EVAL_PERIOD": 5,
        "STATS_PERIOD": 5,
    }
    if parent is not None:
        files += ("second_stage",)
        settings["INITIAL_CHECKPOINT_PATH"] = str(parent)
    return start("train", files, folder.with_suffix(".log"), flags, **(settings | macros))


def finetuning(
    folder: Path, data: Path, parent: Path, first: int, steps: int, **macros: object
) -> subprocess.Popen[bytes]:
    """Starts fine-tuning on the embedded GLUE-like suite for ``steps`` steps."""
    settings: dict[str, object] = {
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
    files = ("tiny", "finetune", "embedded_suite")
    return start("train", files, folder.with_suffix(".log"), **(settings | macros))
