"""The record of a data stream in a checkpoint of T5X, beside TensorFlow's own state of it.

`stream.TrainStream` writes and reads one JSON file per process; `restore` reads them too.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, TypedDict

from etils import epath

from spactor import strict_json
from spactor.errors import UserError

_RECORD = ".json"


class Record(TypedDict):
    """The content of a file.

    Attributes:
      facts: settings that determine the data.
      step: of the checkpoint.
      origin: step at which the stream began.
      ahead: batches read beyond the step, 0 or 1.
      state: digest of TensorFlow's files and of the batch read early.
    """

    facts: dict[str, Any]
    step: int
    origin: int
    ahead: int
    state: str


def absolute(path: str | os.PathLike[str]) -> epath.Path:
    """Returns an absolute path; an address such as ``gs://bucket/folder`` is one."""
    # epath's own `absolute` puts the working directory before gs://.
    text = os.fspath(path)
    return epath.Path(text if "://" in text else os.path.abspath(text))


def state_digest(path: epath.Path) -> str:
    """Returns the SHA-256 of a stream's state: files named ``path.*``, without the record.

    TensorFlow reads its own unchecked, and damage may crash the process.
    """
    digest = hashlib.sha256()
    parts = (part for part in path.parent.glob(f"{path.name}.*") if part.suffix != _RECORD)
    for part in sorted(parts):
        content = part.read_bytes()
        digest.update(f"{part.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def require_same_state(path: epath.Path, record: Record) -> None:
    """Checks that the files of the state are those that were saved.

    Raises:
      UserError: they have changed.
    """
    if state_digest(path) != record["state"]:
        raise damaged(path, "its files are not those that were saved")


def damaged(path: epath.Path, error: object) -> UserError:
    """Returns the error for a data state that can't be read."""
    return UserError(
        f"{path}: damaged ({error}): move its checkpoint away, and run again from the one before"
    )


def read(path: epath.Path) -> Record:
    """Reads the record of a stream.

    Raises:
      UserError: the file is damaged.
    """
    try:
        record = strict_json.loads(path.read_bytes().decode())
        steps = [record[name] for name in ("step", "origin", "ahead")]
        if not isinstance(record["facts"], dict) or any(type(step) is not int for step in steps):
            raise ValueError("no facts and steps")
        if not isinstance(record["state"], str):
            raise ValueError("no digest of the state")
        if not 0 <= record["origin"] <= record["step"] or record["ahead"] not in (0, 1):
            raise ValueError("steps out of order")
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(path, error) from None
    return record
