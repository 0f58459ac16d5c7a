"""Provenance of numbers: digests of plain data, versions of packages, the commit."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """JSON text that is the same for equal plain data.

    >>> canonical({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, in hexadecimal."""
    return hashlib.sha256(canonical(inputs).encode()).hexdigest()


@cache
def commit() -> str:
    """Commit of the running code, followed by "+changes" if files differ from it.

    "not a checkout" if the package does not run from its own repository; a repository that only
    contains the environment is ignored.
    """
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return "not a checkout"
    head = _git(here.parent, "rev-parse", "HEAD")
    if head is None:
        return "not a checkout"
    return head + ("+changes" if _git(here.parent, "status", "--porcelain") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Installed versions of packages; "missing" for those that are not installed."""
    return {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
