"""Files that are there whole or not at all, and still there after a loss of power."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from spactor.errors import UserError

RESERVED_NAMES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
)
"""Names that mean devices on Windows, whatever their ending."""


def write_atomically(path: Path | str, content: bytes) -> None:
    """Puts ``content`` at ``path`` in one step: a reader sees the old file or the whole new one.

    Folders that are missing are made.

    Raises:
      UserError: the disk refused (full, read-only, no permission); the old file is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.unlink(missing_ok=True)
            # "x", so that a link that lies there in wait is not followed.
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        make_durable(path.parent)
    except OSError as error:
        raise refused(error, path) from error


def refused(error: OSError, path: Path) -> UserError:
    """What to tell of a disk that refused to write ``path``: the fault and the mend."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    mend = "free some space" if full else "name a folder that can be written"
    return UserError(
        f"{path}: could not be written ({error.strerror or error}); {mend} and run again"
    )


def make_durable(path: Path) -> None:
    """Flushes a file, or what a folder lists: without it a rename may not outlive the power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
