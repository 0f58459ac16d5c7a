"""What every reader promises: any bytes give a result or a `UserError` of one line.

No other exception, and no file written, wherever the bytes say that one should go.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from target import Target

from spactor.errors import UserError

LONGEST_LINE = 2200
_CHANGES = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
    | {"os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "shutil.copyfile", "os.system"}
    | {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"}
    | {"pickle.find_class"}
)
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Broken(Exception):
    """The promise is not kept."""


class _Watch(threading.local):
    on = False
    inside = ""
    """Where writing is allowed; nowhere if empty."""


_watch = _Watch()
_hooked = False
_imported: set[str] = set()
"""Targets that have read before."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watch.on:
        return
    if event == "open":
        path, _, flags = arguments
        # Python itself may keep what it compiles of a module that is imported late.
        if flags & _TO_WRITE and "__pycache__" not in str(path) and not _allowed(path):
            raise Broken(f"opens {path!r} to write")
    elif event in _CHANGES and not _allowed(arguments[0]):
        raise Broken(f"{event} {arguments!r}")


def _allowed(path: Any) -> bool:
    if isinstance(path, bytes | str | os.PathLike):
        where = os.path.realpath(os.fsdecode(path))
        return bool(_watch.inside) and where.startswith(_watch.inside)
    return False


@contextmanager
def nothing_written(inside: str = "") -> Iterator[None]:
    """Raises `Broken` where Python code writes, but to ``inside``, runs a program or unpickles."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True
    _watch.on, _watch.inside = True, inside
    try:
        yield
    finally:
        _watch.on = False


def check(target: Target, data: bytes, folder: Path) -> str:
    """Puts the bytes where the target reads them and has it read.

    Args:
      target: what reads.
      data: of its file.
      folder: of the target's own, used again for every input.

    Returns:
      "" or the message of a `UserError`.

    Raises:
      Broken: more than one line, or something was written.
      Exception: whatever else the reader let through.
    """
    target.place(data, folder)
    if target.name not in _imported:
        # Libraries may keep files or ask about the processor when they are first imported.
        with suppress(Exception):
            target.read(folder)
        _imported.add(target.name)
    before = _listing(folder)
    message = ""
    with nothing_written(os.path.realpath(folder) if target.writes else ""):
        try:
            target.read(folder)
        except UserError as error:
            message = str(error)
    if not message.isprintable() or len(message) > LONGEST_LINE:
        raise Broken(f"no line: {message[:200]!r}, {len(message)} characters")
    if not target.writes and before != _listing(folder):
        raise Broken("files changed")
    return message


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(root, name)
            state = os.lstat(path)
            found.append((path, state.st_size, state.st_mtime_ns))
    return sorted(found)
