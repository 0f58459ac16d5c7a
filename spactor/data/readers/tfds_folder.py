"""Prepared data sets of TensorFlow Datasets: versions and row counts, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spactor import strict_json
from spactor.data.suites import T5Task
from spactor.errors import UserError

_INFO = "dataset_info.json"
_FEATURES = "features.json"


def version_in(folder: Path, task: T5Task) -> str:
    """Version of a task's data set in a data folder, T5's own before any other.

    Raises:
      UserError: there is none.
    """
    for version in task.versions:
        if (folder / task.folder(version) / _INFO).is_file():
            return version
    accepted = " or ".join(task.versions)
    raise UserError(
        f"{folder / task.dataset} is missing in version {accepted}: prepare the data set "
        f"{task.dataset!r} there with TensorFlow Datasets"
    )


def rows_in(path: Path) -> Mapping[str, int]:
    """Rows of each split of a prepared data set, as its description states.

    Args:
      path: the folder of one version.

    Raises:
      UserError: the description is damaged, or a file that it counts is missing.
    """
    repair = "prepare the data set again with TensorFlow Datasets"
    try:
        splits = strict_json.loads((path / _INFO).read_text("utf-8"))["splits"]
        lengths = {
            str(split["name"]): [int(length) for length in split["shardLengths"]]
            for split in splits
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / _INFO}: damaged ({error!r}): {repair}") from None
    if not (path / _FEATURES).is_file():
        raise UserError(f"{path / _FEATURES} is missing: {repair}")
    for split, shards in lengths.items():
        found = len(list(path.glob(f"*-{split}.*-of-*")))
        if found != len(shards):
            raise UserError(f"{path}: split {split} has {found} of {len(shards)} files: {repair}")
    return {split: sum(shards) for split, shards in lengths.items()}


def check(folder: Path, task: T5Task) -> str:
    """Checks a task's data set and its counts; returns the version that is there.

    Raises:
      UserError: it is missing or damaged, or a split has another number of rows than released.
    """
    version = version_in(folder, task)
    path = folder / task.folder(version)
    found = rows_in(path)
    for split, rows in task.versions[version].items():
        if found.get(split) != rows:
            raise UserError(
                f"{path}: split {split} has {found.get(split, 0):,} rows, and the release has "
                f"{rows:,}: prepare the data set again with TensorFlow Datasets"
            )
    return version
