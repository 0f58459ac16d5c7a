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
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from spactor import files, strict_json
from spactor.errors import Damaged, UserError

MARKER = "spactor-runs.json"
_MARK = {"project": "spactor", "format": 1}
NODE, PROVENANCE, DONE, HOLDER = "node.json", "provenance.json", "done.json", "holder.json"
DIVERGED = "diverged.json"
ENGINE = "engine.json"
Kinds = Mapping[str, type | types.UnionType]
"""Types by the path to a value, such as ``{"inputs.seed": int}``."""
NOTHING: Kinds = types.MappingProxyType({})
_NODE_NEEDS: Kinds = {"fingerprint": str}
_NODE_KNOWS: Kinds = {
    **dict.fromkeys(("inputs", "inputs.data"), dict),
    **dict.fromkeys(("inputs.start_step", "inputs.checkpoint_step"), int),
    "inputs.parent": str | None,
}
"""What ``node.json`` must hold, and may."""


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
    return str(read_json(path, {"engine": str})["engine"]) if path.is_file() else None


def node_folder(runs: Path, profile: str, node: str) -> Path:
    """What one node of the tree writes."""
    return profile_folder(runs, profile) / node


def require_own(runs: Path, folder: Path) -> None:
    """Checks that a node's folder, and what lies in it, is where it says.

    Raises:
      UserError: a link leads out of the folder of runs, where nothing is to be written.
    """
    home = runs.resolve()
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if not path.resolve().is_relative_to(home):
            raise UserError(f"{path} is a link out of {runs}: put what it leads to in its place")


def lock_path(folder: Path) -> Path:
    """Lock of a node; beside its folder, so that the folder can be set aside under the lock."""
    return folder.with_name(folder.name + ".lock")


def stale_folder(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Where a node of that fingerprint is kept when it is set aside; "-2" and so on for more.

    The fingerprint comes from a file, so of its signs only those of a digest make the name.
    """
    digest = re.sub("[^0-9a-z]", "", fingerprint)[:12]
    return profile_folder(runs, profile) / "stale" / f"{node}@{digest}"


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


def read_json(path: Path, needed: Kinds = NOTHING, known: Kinds = NOTHING) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
      path: of the file.
      needed: what must be in it and of which type, such as ``{"inputs.seed": int}``; of every
        item of a list, ``{"attempts[].seconds": float}``.
      known: what must be of a type if it is there.

    Raises:
      Damaged: naming the file, when it can't be read as such.
      OSError: the machine is at fault, not the file.
    """
    try:
        value = strict_json.loads(path.read_bytes().decode())
        require(value, needed, known)
    except (OSError, ValueError) as error:
        # What a file's own text says of the machine is no fault of the machine's.
        if isinstance(error, OSError) and files.trouble(error):
            raise
        raise Damaged(
            f"{path}: damaged ({error}); move it and its folder away and run again"
        ) from None
    return value


def read_if_any(path: Path, needed: Kinds = NOTHING, known: Kinds = NOTHING) -> dict[str, Any]:
    """A JSON object, an empty one where there is no file; arguments and errors as ``read_json``."""
    try:
        return read_json(path, needed, known)
    except Damaged:
        # Asked afterwards, since nearly always there is one: a folder has thousands.
        if path.exists():
            raise
        return {}


def read_node(folder: Path) -> dict[str, Any]:
    """What a node's folder says of its inputs; empty where nothing; errors as ``read_json``."""
    return read_if_any(folder / NODE, _NODE_NEEDS, _NODE_KNOWS)


def read_or_set_aside(path: Path, known: Kinds = NOTHING) -> dict[str, Any]:
    """A JSON object that is written anew where there is none; a damaged one is set aside."""
    try:
        return read_if_any(path, known=known)
    except Damaged:
        files.set_aside(path, "no JSON object")
        return {}


def require(value: object, needed: Kinds = NOTHING, known: Kinds = NOTHING) -> None:
    """Checks the types in plain data, as `read_json` does.

    Raises:
      ValueError: naming what is missing or of another type.

    >>> require({"a": {"b": [{"c": 1}, {}]}}, {"a": dict}, {"a.b": list, "a.b[].c": float})
    >>> require({"a": {"b": "x"}}, known={"a.b": list})
    Traceback (most recent call last):
    ValueError: a.b is 'x'
    """
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    for path, kind in {**needed, **known}.items():
        found: list[Any] = [value]
        for key in path.split("."):
            name = key.removesuffix("[]")
            if not all(isinstance(item, dict) for item in found):
                raise ValueError(f"no {path}")
            if path in needed and not all(name in item for item in found):
                raise ValueError(f"no {path}")
            found = [item[name] for item in found if name in item]
            if key != name:
                if not all(isinstance(item, list) for item in found):
                    raise ValueError(f"no list {name}")
                found = [inner for item in found for inner in item]
        for item in found:
            wanted = (int, float) if kind is float else kind
            if not isinstance(item, wanted) or isinstance(item, bool) is not (kind is bool):
                raise ValueError(f"{path} is {item!r}")
