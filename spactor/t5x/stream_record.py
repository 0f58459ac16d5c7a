"""What a data stream says of itself in a checkpoint of T5X, beside TensorFlow's state of it.

One JSON file per process, written and read by `stream.TrainStream`, and read by `restore`.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypedDict

from etils import epath

from spactor import strict_json
from spactor.errors import UserError

_OURS = (".json", ".npz")


class Record(TypedDict):
    """One file.

    Attributes:
      facts: what the data depend on.
      step: of the checkpoint.
      origin: at which the stream began.
      ahead: batches that were read beyond the step, 0 or 1.
      state: digest of TensorFlow's files.
    """

    facts: dict[str, Any]
    step: int
    origin: int
    ahead: int
    state: str


def state_digest(path: epath.Path) -> str:
    """SHA-256 of TensorFlow's state of a stream, whose files' names begin with ``path``.

    TensorFlow reads it without a check of its own, and damage may end the process or worse.
    """
    digest = hashlib.sha256()
    theirs = (part for part in path.parent.glob(f"{path.name}.*") if part.suffix not in _OURS)
    for part in sorted(theirs):
        content = part.read_bytes()
        digest.update(f"{part.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def require_same_state(path: epath.Path, record: Record) -> None:
    """Compares TensorFlow's files with what was saved.

    Raises:
      UserError: they are others.
    """
    if state_digest(path) != record["state"]:
        raise damaged(path, "TensorFlow's files are not those that were saved")


def damaged(path: epath.Path, error: object) -> UserError:
    """Says what to do about a data state that can't be read."""
    return UserError(
        f"{path}: damaged ({error}): move its checkpoint away, and run again from the one before"
    )


def read(path: epath.Path) -> Record:
    """Reads one.

    Raises:
      UserError: it is damaged.
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
