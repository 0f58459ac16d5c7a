"""Writes tests/repro/t5x_golden by running stock T5X: ``python tests/t5x/make_golden.py``.

The text is this project's own docstrings. Stage 1 is run, loses its last checkpoint and runs
again, so its folder holds two event files with a step in common.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import t5x_process

from spactor.config import DataConfig
from spactor.data import corpus, prepare

HOME = Path("/tmp/t5x-golden")
GOLDEN = t5x_process.ROOT / "tests" / "repro" / "t5x_golden"
PACKAGES = ("analysis", "figures", "repro", "spactor", "tables")


def _data() -> Path:
    root = t5x_process.ROOT
    files = [
        path.relative_to(root).as_posix()
        for name in PACKAGES
        for path in (root / name).rglob("*.py")
    ]
    package = corpus.Package("spactor", "0", root, tuple(sorted(files)), "golden")
    config = DataConfig(corpus="embedded", vocab_size=512, packages="stdlib")
    return prepare.prepare(HOME / "cache", config, packages=(package,))


def _keep(folder: Path, name: str) -> None:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        wanted = path.is_file() and (
            relative.parts[0] in ("train", "training_eval", "config.gin")
            or (relative.parts[0] == "inference_eval" and path.suffix == ".jsonl")
        )
        if wanted:
            target = GOLDEN / name / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.rmtree(GOLDEN, ignore_errors=True)
    HOME.mkdir(parents=True)
    data = _data()
    first, second, tuned = HOME / "stage1", HOME / "stage2", HOME / "finetuning"
    for _ in range(2):
        shutil.rmtree(first / "checkpoint_10", ignore_errors=True)
        t5x_process.finish(t5x_process.pretraining(first, data, "hybrid", 10), first)
    process = t5x_process.pretraining(second, data, "span_corruption", 20, first / "checkpoint_10")
    t5x_process.finish(process, second)
    process = t5x_process.finetuning(tuned, data, second / "checkpoint_20", 20, 8)
    t5x_process.finish(process, tuned)
    for folder in (first, second, tuned):
        _keep(folder, folder.name)


if __name__ == "__main__":
    main()
