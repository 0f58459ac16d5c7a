"""Provenance of numbers: digests of JSON data, versions of packages, the commit."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """Returns JSON text that is equal for equal data.

    >>> canonical({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of JSON data, in hexadecimal."""
    return hashlib.sha256(canonical(inputs).encode()).hexdigest()


@cache
def commit() -> str:
    """Returns the commit of the running code, followed by "+changes" if files differ from it.

    Returns "not a checkout" if the package does not run from its own repository; a repository that
    only contains the environment is ignored. If Git fails, returns "unknown (…)" with the reason.
    """
    here = Path(__file__).resolve()
    if not any((folder / ".git").exists() for folder in here.parents):
        return "not a checkout"
    try:
        if not _git(here.parent, "ls-files", here.name):
            return "not a checkout"
        head = _git(here.parent, "rev-parse", "HEAD")
        return head + ("+changes" if _git(here.parent, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", None) or error)
        return f"unknown ({reason.strip().partition(chr(10))[0]})"


def _git(folder: Path, *arguments: str) -> str:
    """Returns Git's output for a folder of any owner, since this process runs the folder's code.

    Raises:
      OSError: there is no Git.
      SubprocessError: Git failed, or did not end in time.
    """
    # A hook or a shell may name another repository.
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "safe.directory=*", *arguments],
        env=inherited,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=20,
        check=True,
    )
    return done.stdout.strip()


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Returns versions of packages; "missing" if a package is not installed."""
    return {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
