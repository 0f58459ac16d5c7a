"""What of a benchmark's data is in a folder, and what isn't; nothing is fetched or changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spactor.data.benchmarks import instructions, tfds_folder
from spactor.data.benchmarks.base import Benchmark, FileTask, TfdsTask
from spactor.errors import UserError


@dataclass(frozen=True)
class Part:
    """One split of one task.

    Attributes:
      task, split: names.
      rows: as released.
      place: its files, or its data set's folder, relative to the data folder.
      state: "there", "missing" or "wrong"; "" if nobody looked.
      fault: what is missing or wrong.
    """

    task: str
    split: str
    rows: int
    place: str
    state: str = ""
    fault: str = ""


def check(benchmark: Benchmark, folder: Path | None) -> list[Part]:
    """Every part of a benchmark, each looked at if there is a folder; every row is read.

    Raises:
      UserError: the folder does not exist.
    """
    if folder is not None and not folder.is_dir():
        raise UserError(f"--data-dir {folder}: no such folder; give the one that holds the data")
    parts: list[Part] = []
    for task in benchmark.tasks:
        if isinstance(task, FileTask):
            parts += _file_parts(task, folder)
        else:
            parts += _tfds_parts(task, folder)
    return parts


def _file_parts(task: FileTask, folder: Path | None) -> list[Part]:
    found = []
    for split, rows in task.rows.items():
        state, fault = "", ""
        if folder is not None:
            try:
                task.examples(folder, split)
                state = "there"
            except UserError as error:
                there = all((folder / name).is_file() for name in task.files[split])
                state, fault = "wrong" if there else "missing", str(error)
        found.append(Part(task.name, split, rows, " + ".join(task.files[split]), state, fault))
    return found


def _tfds_parts(task: TfdsTask, folder: Path | None) -> list[Part]:
    version, state, fault = next(iter(task.versions)), "", ""
    if folder is not None:
        state = "missing"
        try:
            version = tfds_folder.version_in(folder, task)
            state = "wrong"
            tfds_folder.check(folder, task)
            state = "there"
        except UserError as error:
            fault = str(error)
    return [
        Part(task.name, split, rows, f"{task.folder(version)}/", state, fault)
        for split, rows in task.versions[version].items()
    ]


def require(benchmark: Benchmark, folder: Path) -> None:
    """Refuses to fine-tune and score on a benchmark that is not all there.

    Raises:
      UserError: something is missing or wrong.
    """
    parts = check(benchmark, folder)
    if faults := [part for part in parts if part.fault]:
        name = benchmark.name
        raise UserError(
            f"suite {name}: {len(faults)} of {len(parts)} parts are missing or wrong in {folder}: "
            f"'repro data check {name} --data-dir {folder}' lists them"
        )
    if not benchmark.has_training_data:
        instructions.require(folder, benchmark.name)


def files(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Every file that fine-tuning on a benchmark and scoring read; see `require`."""
    found: set[Path] = set()
    for task in benchmark.tasks:
        if isinstance(task, FileTask):
            found |= {folder / name for names in task.files.values() for name in names}
        else:
            home = folder / task.folder(tfds_folder.version_in(folder, task))
            found |= {path for path in home.iterdir() if path.is_file()}
    if not benchmark.has_training_data:
        found |= set(instructions.paths(folder))
    return sorted(found)
