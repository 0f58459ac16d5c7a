"""Which data of an official benchmark are in a folder; nothing is fetched or changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spactor.data.readers import instructions, tfds_folder
from spactor.data.suites import FileTask, Suite, T5Task
from spactor.errors import UserError


@dataclass(frozen=True)
class Part:
    """One split of one task.

    Attributes:
      task, split: names.
      rows: as released.
      place: its files, or its data set's folder, relative to the data folder.
      state: "there", "missing" or "wrong"; empty if no folder was checked.
      fault: what is missing or wrong.
    """

    task: str
    split: str
    rows: int
    place: str
    state: str = ""
    fault: str = ""


def check(suite: Suite, folder: Path | None) -> list[Part]:
    """Lists the parts of an official benchmark, and reads every row of them if a folder is given.

    Raises:
      UserError: the folder does not exist.
    """
    if folder is not None and not folder.is_dir():
        raise UserError(f"--data-dir {folder}: no such folder; give the one that holds the data")
    parts: list[Part] = []
    for task in suite.tasks:
        if isinstance(task, FileTask):
            parts += _file_parts(task, folder)
        elif isinstance(task, T5Task):
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


def _tfds_parts(task: T5Task, folder: Path | None) -> list[Part]:
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


def require(suite: Suite, folder: Path) -> None:
    """Checks that all of a benchmark's data are in a folder.

    Raises:
      UserError: something is missing or wrong.
    """
    parts = check(suite, folder)
    if faults := [part for part in parts if part.fault]:
        name = suite.name
        raise UserError(
            f"suite {name}: {len(faults)} of {len(parts)} parts are missing or wrong in {folder}: "
            f"'repro data check {name} --data-dir {folder}' lists them"
        )
    if not suite.has_training_data:
        instructions.require(folder, suite.name)


def files(suite: Suite, folder: Path) -> list[Path]:
    """Files that fine-tuning on a benchmark and scoring it read; see `require`."""
    found: set[Path] = set()
    for task in instructions.with_instructions(suite, folder).tasks:
        if isinstance(task, FileTask):
            found |= {folder / name for names in task.files.values() for name in names}
        elif isinstance(task, T5Task):
            home = folder / task.folder(tfds_folder.version_in(folder, task))
            found |= {path for path in home.iterdir() if path.is_file()}
    return sorted(found)
