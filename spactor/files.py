"""Files that are there whole or not at all, and still there after a loss of power."""

from __future__ import annotations

import errno
import os
import warnings
from pathlib import Path

from spactor.errors import DamageWarning, UserError

_TROUBLE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EIO: "the disk reports an error",
    errno.ENOMEM: "the memory is full",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOTDIR: "a file lies where a folder should be",
    errno.EISDIR: "a folder lies where a file should be",
    errno.ELOOP: "the link leads back to itself",
}

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


def trouble(error: BaseException | None) -> str | None:
    """What is wrong with the machine, wherever in an error's chain of causes it is.

    Returns:
      A few words, or None where no fault of the machine is behind the error.

    >>> trouble(OSError(errno.EMFILE, "Too many open files", "a.json"))
    'too many open files (a.json)'
    >>> trouble(ValueError("Expecting value: line 1 column 1"))
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _TROUBLE:
            where = f" ({error.filename})" if error.filename else ""
            return f"{_TROUBLE[error.errno]}{where}"
        # TensorStore and XLA read and write files too, and raise errors of their own.
        for number, words in _TROUBLE.items():
            if os.strerror(number) in str(error):
                return words
        error = error.__cause__ or error.__context__
    return None


def set_aside(path: Path, reason: str) -> Path:
    """Renames something damaged to ``damaged-…`` beside it, and says so; returns where it is."""
    target, count = path.with_name(f"damaged-{path.name}"), 1
    while target.exists():
        count += 1
        target = path.with_name(f"damaged-{path.name}-{count}")
    path.rename(target)
    make_durable(path.parent)
    warnings.warn(
        f"{path}: damaged ({reason}); kept as {target.name} and made again",
        DamageWarning,
        stacklevel=2,
    )
    return target


def make_durable(path: Path) -> None:
    """Flushes a file, or what a folder lists: without it a rename may not outlive the power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
