"""Prepared folders in a cache: looked up by a key, built atomically, rebuilt when damaged.

A folder has two names. The *look-up key* digests its inputs: it is cheap, and changes whenever the
result might. The *fingerprint* digests the result itself. A changed key means building again; if
the content is equal, the fingerprint is, and nothing that was trained on it becomes stale.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from spactor import strict_json
from spactor.data import manifest
from spactor.errors import UserError
from spactor.files import make_durable, write_atomically, write_error

_UNFINISHED = "unfinished-"

FREQUENCIES = ("unigram_entropy_nats", "most_frequent_token_rate")
"""Keys of a manifest for the frequencies of the training tokens."""

Report = Callable[[str], None]
Write = Callable[[Path], dict[str, Any]]
"""Fills a folder; returns its manifest without format, files and fingerprint."""


def key_of(facts: Mapping[str, Any]) -> str:
    """Look-up key of plain data."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def code_digest(paths: Iterable[Path]) -> str:
    """Digest of modules by their syntax trees, which comments and layout don't change."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(ast.dump(ast.parse(path.read_bytes())).encode())
    return digest.hexdigest()


def find_or_build(cache: Path, key: str, write: Write, report: Report) -> Path:
    """The folder with this key; the first of several processes builds it, the others wait.

    Args:
      cache: folder for prepared data; made if missing.
      key: look-up key.
      write: makes the content.
      report: called when a damaged folder is replaced, and when one is built.

    Raises:
      UserError: as ``write`` does, or the disk refuses.
    """
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        if found := find(cache, key, lambda line: None):
            return found
        with filelock.FileLock(cache / "prepare.lock"):
            # Another process may have built it while this one waited.
            return find(cache, key, report) or build(cache, key, write, report)


@contextlib.contextmanager
def disk_errors(cache: Path) -> Iterator[None]:
    """Turns an `OSError` into a `UserError` that names the file and what to do."""
    try:
        yield
    except OSError as error:
        raise write_error(error, Path(error.filename or cache)) from error


def folder_of(cache: Path, fingerprint: str) -> Path:
    """Path of the prepared data with a fingerprint.

    Raises:
      UserError: it is not a fingerprint, and might lead out of the cache.
    """
    if not re.fullmatch("[0-9a-f]+", fingerprint):
        raise UserError(f"{fingerprint!r} names no prepared data: run 'repro prepare'")
    return cache / f"corpus-{fingerprint[:12]}"


def _lookup_file(cache: Path, key: str) -> Path:
    return cache / f"lookup-{key[:24]}.json"


def find(cache: Path, key: str, report: Report) -> Path | None:
    """The folder with this key, complete and verified, or None."""
    lookup = _lookup_file(cache, key)
    try:
        fingerprint = strict_json.loads(lookup.read_text(encoding="utf-8"))["fingerprint"]
        folder = folder_of(cache, fingerprint)
        facts = manifest.read(folder)
        wrong = manifest.damage(folder, facts)
        if not wrong and facts["fingerprint"] == fingerprint:
            return folder
        wrong = wrong or f"{folder} holds other data than its fingerprint names"
    except FileNotFoundError:
        return None
    except UserError as error:
        wrong = str(error)
    except (ValueError, KeyError, TypeError):
        wrong = str(lookup)
    report(f"damaged: {wrong}; preparing the data again")
    return None


def build(cache: Path, key: str, write: Write, report: Report) -> Path:
    """Builds a folder. The caller holds the cache's lock."""
    started = time.monotonic()
    for leftover in cache.glob(f"{_UNFINISHED}*"):
        # The lock is held, so the process that wrote these has ended.
        shutil.rmtree(leftover, ignore_errors=True)
    work = cache / f"{_UNFINISHED}{os.getpid()}"
    work.mkdir()
    try:
        facts = _seal(work, write(work))
        folder = folder_of(cache, facts["fingerprint"])
        _move_into_place(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    name(cache, key, facts["fingerprint"])
    report(f"prepared {folder} in {time.monotonic() - started:.0f} s")
    return folder


def _seal(work: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Writes the manifest: the given facts, and the digests of all files."""
    files = sorted(path for path in work.rglob("*") if path.is_file())
    result = {
        "format": manifest.FORMAT,
        **facts,
        "files": {p.relative_to(work).as_posix(): manifest.digest_of_file(p) for p in files},
    }
    result["fingerprint"] = manifest.fingerprint_of(result)
    manifest.write(work, result)
    make_durable(work)
    return result


def _move_into_place(work: Path, folder: Path) -> None:
    if folder.exists():
        with contextlib.suppress(UserError):
            manifest.require(folder)
            return
        # Renamed before it is deleted, so that a reader finds the whole old folder or the new one.
        old = folder.with_name(f"{_UNFINISHED}{os.getpid()}-replaced")
        folder.rename(old)
        work.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        work.rename(folder)
    make_durable(folder.parent)


def name(cache: Path, key: str, fingerprint: str) -> None:
    """Records the fingerprint of a folder under a look-up key."""
    write_atomically(_lookup_file(cache, key), json.dumps({"fingerprint": fingerprint}).encode())


def frequency_facts(counts: np.ndarray) -> dict[str, float]:
    """Entropy and highest frequency of the training tokens, for the manifest.

    Args:
      counts: occurrences of each token id in the whole stream.
    """
    shares = counts / counts.sum()
    present = shares[shares > 0]
    entropy = float(-(present * np.log(present)).sum())
    # Rounded, because the last digits of a logarithm differ between processors.
    return {
        "unigram_entropy_nats": round(entropy, 6),
        "most_frequent_token_rate": round(float(present.max()), 6),
    }


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a file of lines atomically."""
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
