"""Where runs are kept: ``<runs>/<profile>/<node>/``, and files that are never half-written.

Layout::

    <runs>/spactor-runs.json                     marks the folder as ours
    <runs>/cache/                                prepared data, compiled programs
    <runs>/<profile>/engine.json                 the engine whose nodes lie here
    <runs>/<profile>/<node>/node.json            inputs and fingerprint, written first
    <runs>/<profile>/<node>/provenance.json      where and when it ran
    <runs>/<profile>/<node>/done.json            written last
    <runs>/<profile>/<node>/diverged.json        in its place, where a number was not finite
    <runs>/<profile>/<node>.lock                 held while a process works on the node
    <runs>/<profile>/stale/<node>@<fingerprint>  set aside, because an input changed
    <runs>/<profile>/records/, output/           what `repro collect` and the outputs write
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from spactor import files
from spactor.errors import Damaged, UserError

MARKER = "spactor-runs.json"
_MARK = {"project": "spactor", "format": 1}
NODE, PROVENANCE, DONE, HOLDER = "node.json", "provenance.json", "done.json", "holder.json"
DIVERGED = "diverged.json"
ENGINE = "engine.json"


def open_runs(runs: Path, *, create: bool) -> Path:
    """Checks that a folder holds this project's runs; marks it when it is new or empty.

    Args:
      runs: the folder.
      create: make and mark it when there is none.

    Raises:
      UserError: for a folder of something else, of another version, or none at all.
    """
    marker = runs / MARKER
    if marker.is_file():
        if read_json(marker) != _MARK:
            raise UserError(
                f"{marker}: this runs folder is of another version; name another with --runs"
            )
        return runs
    if runs.exists() and (not runs.is_dir() or any(runs.iterdir())):
        raise UserError(
            f"{runs} is not a runs folder of this project (no {MARKER} in it): "
            "name another or an empty one with --runs"
        )
    if not create:
        raise UserError(
            f"there is no runs folder {runs}: run `repro run` first, or name one with --runs"
        )
    runs.mkdir(parents=True, exist_ok=True)
    write_json(marker, _MARK)
    return runs


def cache_folder(runs: Path) -> Path:
    """Prepared data and compiled programs, shared by every profile."""
    return runs / "cache"


def profile_folder(runs: Path, profile: str) -> Path:
    """Everything one profile writes."""
    return runs / profile


def claim(runs: Path, profile: str, engine: str) -> None:
    """Gives a profile's folder to an engine, for good.

    The engines read the data in another order and begin from other values, so tables never mix
    them; and neither sets the other's nodes aside.

    Raises:
      UserError: it belongs to the other one.
    """
    home = profile_folder(runs, profile)
    home.mkdir(exist_ok=True)
    path = home / ENGINE
    with FileLock(lock_path(path)):
        owner = engine_of(runs, profile)
        if owner is None:
            write_json(path, {"format": 1, "engine": engine})
        elif owner != engine:
            raise UserError(
                f"{home} holds runs of the engine {owner}: go on with --engine {owner}, or name "
                "another folder with --runs"
            )


def engine_of(runs: Path, profile: str) -> str | None:
    """The engine whose nodes lie in a profile's folder; None before the first run."""
    path = profile_folder(runs, profile) / ENGINE
    return str(read_json(path).get("engine")) if path.is_file() else None


def node_folder(runs: Path, profile: str, node: str) -> Path:
    """What one node of the tree writes."""
    return profile_folder(runs, profile) / node


def lock_path(folder: Path) -> Path:
    """Lock of a node; beside its folder, so that the folder can be set aside under the lock."""
    return folder.with_name(folder.name + ".lock")


def stale_folder(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Where a node of that fingerprint is kept when it is set aside; "-2" and so on for more."""
    return profile_folder(runs, profile) / "stale" / f"{node}@{fingerprint[:12]}"


def set_aside(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Moves a stale node's folder out of the tree, keeping it; returns where it is."""
    home = stale_folder(runs, profile, node, fingerprint)
    target, count = home, 1
    while target.exists():
        count += 1
        target = home.with_name(f"{home.name}-{count}")
    target.parent.mkdir(parents=True, exist_ok=True)
    node_folder(runs, profile, node).rename(target)
    return target


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all.

    Raises:
      UserError: the disk refused.
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    files.write_atomically(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
      Damaged: naming the file, when it can't be read as one.
      OSError: the machine is at fault, not the file.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        if files.trouble(error):
            raise
        raise Damaged(
            f"{path}: damaged ({error}); move it and its folder away and run again"
        ) from None
    if not isinstance(value, dict):
        raise Damaged(
            f"{path}: damaged (no JSON object); move it and its folder away and run again"
        )
    return value


def read_if_any(path: Path) -> dict[str, Any]:
    """A JSON object, an empty one where there is no file; errors as ``read_json``."""
    try:
        return read_json(path)
    except Damaged:
        # Asked afterwards, since nearly always there is one: a folder has thousands.
        if path.exists():
            raise
        return {}


def read_or_set_aside(path: Path) -> dict[str, Any]:
    """A JSON object that is written anew where there is none; a damaged one is set aside."""
    try:
        return read_if_any(path)
    except Damaged:
        files.set_aside(path, "no JSON object")
        return {}
