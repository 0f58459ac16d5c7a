"""Atomic, durable file writes, and renaming of damaged files."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

from spactor.errors import DamageWarning, UserError

_SYSTEM_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ENAMETOOLONG, errno.ENOTDIR),
    *(errno.EISDIR, errno.ELOOP),
)
"""Error numbers of faults of the machine or the folder, not of a file's content."""


def write_atomically(path: Path | str, content: bytes) -> None:
    """Writes ``content`` to ``path`` in one step: a reader sees the old file or the new one.

    Creates missing folders.

    Raises:
      UserError: the write failed (disk full, read-only, no permission); the old file is unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.unlink(missing_ok=True)
            # "x", so that an existing link is not followed.
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        make_durable(path.parent)
    except OSError as error:
        raise write_error(error, path) from error


def write_error(error: OSError, path: Path) -> UserError:
    """Returns the error for a failed write of ``path``; its message has the remedy."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "free some space" if full else "name a folder that can be written"
    return UserError(
        f"{path}: could not be written ({error.strerror or error}); {advice} and run again"
    )


def system_fault(error: BaseException | None) -> str | None:
    """Returns the fault of the machine that an error or one of its causes reports.

    Returns:
      The system's message, or None if no such fault caused the error.

    >>> system_fault(OSError(errno.EMFILE, "Too many open files", "a.json"))
    'Too many open files (a.json)'
    >>> system_fault(ValueError("Expecting value: line 1 column 1"))
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _SYSTEM_FAULTS:
            where = f" ({error.filename})" if error.filename else ""
            return f"{os.strerror(error.errno)}{where}"
        # TensorStore and XLA raise errors of their own with the system's message in them.
        for message in map(os.strerror, _SYSTEM_FAULTS):
            if message in str(error):
                return message
        error = error.__cause__ or error.__context__
    return None


def move_aside(path: Path, target: Path) -> Path:
    """Renames a file or folder to ``target``, or to ``target-2`` and so on if that exists.

    Returns:
      The new path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    free, count = target, 1
    while free.exists():
        count += 1
        free = target.with_name(f"{target.name}-{count}")
    path.rename(free)
    make_durable(path.parent)
    return free


def set_aside(path: Path, reason: str) -> Path:
    """Renames a damaged file or folder to ``damaged-<name>`` and warns; returns the new path."""
    target = move_aside(path, path.with_name(f"damaged-{path.name}"))
    warnings.warn(
        f"{path}: damaged ({reason}); renamed to {target.name} and written anew",
        DamageWarning,
        stacklevel=2,
    )
    return target


def make_durable(path: Path) -> None:
    """Flushes a file, or a folder's list of names, so that a rename survives a loss of power.

    File systems that cannot flush a folder fail with EINVAL or ENOTSUP. This is ignored, since the
    files in the folder are written nevertheless.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
