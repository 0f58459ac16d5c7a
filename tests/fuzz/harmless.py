"""Checks that a reader gives a result or a `UserError` for any bytes, and does nothing else.

No other exception is raised, nothing is written, no program is started and nothing is unpickled.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from readers import Reader

from spactor.errors import UserError

FORBIDDEN = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
    | {"os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "shutil.copyfile", "os.system"}
    | {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"}
    | {"pickle.find_class"}
)
"""Audit events of the Python runtime, by name, that no reader may cause."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_used: set[str] = set()
"""Names of readers that have read once, so that their libraries are imported."""
_is_reading = False


class Broken(Exception):
    """A reader did what no reader may do."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _is_reading:
        return
    writes = event == "open" and arguments[2] & WRITING and "__pycache__" not in str(arguments[0])
    if writes or event in FORBIDDEN:
        raise Broken(f"{event} {arguments!r}")


# A hook can't be removed again.
sys.addaudithook(_audit)


def check(reader: Reader, data: bytes, folder: Path) -> str:
    """Has a reader read these bytes in a folder of its own.

    Returns:
      The message of the `UserError`; "" if the bytes were accepted.

    Raises:
      Broken: the reader wrote something, started a program or unpickled an object.
      Exception: any other exception that the reader let through.
    """
    global _is_reading
    reader.place(data, folder)
    if reader.name not in _used:
        # Libraries may write caches or start programs when they are first imported.
        with suppress(Exception):
            reader.read(folder)
        _used.add(reader.name)
    before, message = _listing(folder), ""
    _is_reading = True
    try:
        reader.read(folder)
    except UserError as error:
        message = str(error)
    finally:
        _is_reading = False
    if before != _listing(folder):
        raise Broken("files changed")
    return message


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    states = [(str(path), path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(path, state.st_size, state.st_mtime_ns) for path, state in states]
