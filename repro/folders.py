"""The folder of runs, ``<runs>/<profile>/<node>/``, and its JSON files.

Layout::

    <runs>/spactor-runs.json                     marks a folder of runs
    <runs>/cache/                                prepared data, compiled programs
    <runs>/<profile>/engine.json                 the engine and device whose nodes lie here
    <runs>/<profile>/<node>/node.json            inputs and fingerprint, written first
    <runs>/<profile>/<node>/provenance.json      where and when it ran
    <runs>/<profile>/<node>/done.json            written last
    <runs>/<profile>/<node>/diverged.json        instead of done.json where a number was not finite
    <runs>/<profile>/<node>.lock                 held while a process works on the node
    <runs>/<profile>/stale/<node>@<fingerprint>  moved here because an input changed
    <runs>/<profile>/records/, output/           what `repro collect` and the outputs write
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

from filelock import FileLock
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from repro.advice import DEFAULT_PROFILE, command
from spactor import files, strict_json
from spactor.errors import Damaged, UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from repro.specs import Profile

MARKER = "spactor-runs.json"
_MARK = {"project": "spactor", "format": 1}
NODE, PROVENANCE, DONE, HOLDER = "node.json", "provenance.json", "done.json", "holder.json"
DIVERGED = "diverged.json"
ENGINE = "engine.json"


class NodeInputs(TypedDict, total=False):
    """What other modules read of a node's inputs."""

    data: dict[str, Any]
    start_step: int
    checkpoint_step: int
    parent: str | None


class NodeFile(TypedDict):
    """``node.json``."""

    fingerprint: str
    inputs: NotRequired[NodeInputs]


class _EngineFile(TypedDict):
    engine: str
    environment: NotRequired[dict[str, Any]]


def open_runs(runs: Path, *, create: bool, profile: Profile | str = DEFAULT_PROFILE) -> Path:
    """Checks that a folder holds this project's runs; marks it when it is new or empty.

    Args:
      runs: the folder.
      create: make and mark it when there is none.
      profile: that the advised command trains.

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
            f"there is no runs folder {runs}: run `{command('run', profile, runs)}` first, or name "
            "one with --runs"
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


def records_folder(runs: Path, profile: str) -> Path:
    """The records of a profile that `repro collect` writes."""
    return profile_folder(runs, profile) / "records"


def claim(runs: Path, profile: str, engine: str) -> None:
    """Records which engine owns a profile's folder; it stays the only one.

    The two engines read the data in different orders and start from different values, so a table
    must not mix their numbers, and neither may move the other's nodes away.

    Raises:
      UserError: the folder belongs to the other engine.
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


def claim_environment(
    runs: Path, profile: str, here: Callable[[], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The environment of a profile's nodes, recorded when the first of them runs.

    Args:
      runs, profile: a folder that an engine has claimed.
      here: returns this machine's; called if none is recorded.
    """
    path = profile_folder(runs, profile) / ENGINE
    with FileLock(lock_path(path)):
        found = environment_of(runs, profile)
        if found is None:
            found = here()
            write_json(path, {**read_json(path), "environment": found})
        return found


def engine_of(runs: Path, profile: str) -> str | None:
    """The engine whose nodes lie in a profile's folder; None before the first run."""
    path = profile_folder(runs, profile) / ENGINE
    return str(read_json(path, _EngineFile)["engine"]) if path.is_file() else None


def environment_of(runs: Path, profile: str) -> Mapping[str, Any] | None:
    """Device and flags of the nodes that lie in a profile's folder; None before the first run."""
    found = read_if_any(profile_folder(runs, profile) / ENGINE, _EngineFile)
    return found.get("environment")


def require_environment(runs: Path, profile: str, here: Mapping[str, Any]) -> None:
    """Checks that this machine trains a profile's nodes as those that lie in its folder.

    Raises:
      UserError: the kind of device differs, or XLA's flags.
    """
    there = environment_of(runs, profile) or here
    for key in here:
        if there.get(key) != here[key]:
            values = (there.get(key), here[key])
            was, now = (" ".join(map(str, v)) if isinstance(v, list) else v for v in values)
            raise UserError(
                f"{profile_folder(runs, profile)} holds runs with {key} '{was}', and here it is "
                f"'{now}', which gives other numbers: use the same, or name another folder with "
                "--runs"
            )


def node_folder(runs: Path, profile: str, node: str) -> Path:
    """What one node of the tree writes."""
    return profile_folder(runs, profile) / node


def require_own(runs: Path, folder: Path) -> None:
    """Checks that no link in a node's folder, nor the folder itself, leads out of the runs folder.

    Raises:
      UserError: one does; nothing is written outside the runs folder.
    """
    home = runs.resolve()
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if not path.resolve().is_relative_to(home):
            raise UserError(f"{path} is a link out of {runs}: put what it leads to in its place")


def lock_path(folder: Path) -> Path:
    """Lock of a node; beside its folder, so that the folder can be set aside under the lock."""
    return folder.with_name(folder.name + ".lock")


def stale_folder(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Where `set_aside` moves a node of a fingerprint; "-2" and so on is added where it exists.

    The fingerprint comes from a file, so only characters of a digest go into the path.
    """
    digest = re.sub("[^0-9a-z]", "", fingerprint)[:12]
    return profile_folder(runs, profile) / "stale" / f"{node}@{digest}"


def set_aside(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Moves a stale node's folder out of the tree, under ``stale/``; returns its new path."""
    target = stale_folder(runs, profile, node, fingerprint)
    return files.move_aside(node_folder(runs, profile, node), target)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all.

    Raises:
      UserError: the disk refused.
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    files.write_atomically(path, text.encode())


def read_json(path: Path, schema: type = dict) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
      path: of the file.
      schema: a TypedDict with the types of its values; other keys are not checked.

    Raises:
      Damaged: naming the file, when it can't be read as such.
      OSError: the machine is at fault, not the file.
    """
    try:
        value = strict_json.loads(path.read_bytes().decode())
        require(value, schema)
    except (OSError, ValueError) as error:
        # Only an OSError of this read is a fault of the machine, not a message quoted from a file.
        if isinstance(error, OSError) and files.system_fault(error):
            raise
        raise Damaged(
            f"{path}: damaged ({error}); move it and its folder away and run again"
        ) from None
    return value


def read_if_any(path: Path, schema: type = dict) -> dict[str, Any]:
    """A JSON object, an empty one where there is no file; arguments and errors as ``read_json``."""
    try:
        return read_json(path, schema)
    except Damaged:
        # Checked after the error, since a tree has thousands of files and nearly all exist.
        if path.exists():
            raise
        return {}


def read_node(folder: Path) -> dict[str, Any]:
    """Content of a node's ``node.json``, empty if it has none; errors as ``read_json``."""
    return read_if_any(folder / NODE, NodeFile)


def read_or_set_aside(path: Path, schema: type = dict) -> dict[str, Any]:
    """A JSON object, empty if there is none; a damaged file is renamed, and made again later."""
    try:
        return read_if_any(path, schema)
    except Damaged:
        files.set_aside(path, "no JSON object")
        return {}


def require(value: object, schema: type) -> None:
    """Checks the types in plain data.

    Args:
      value: as JSON holds it.
      schema: a TypedDict; keys that it does not name are not checked.

    Raises:
      ValueError: naming what is missing or of another type.

    >>> require({"fingerprint": "9f", "inputs": {"start_step": "x"}}, NodeFile)
    Traceback (most recent call last):
    ValueError: inputs.start_step is 'x': give a valid integer
    """
    # Imported here, since pydantic is needed only where files are read.
    from pydantic import ValidationError

    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    try:
        _adapter(schema).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise ValueError(f"no {path}") from None
        expected = first["msg"].replace("Input should be", "give")
        raise ValueError(f"{path} is {first['input']!r}: {expected}") from None


@functools.cache
def _adapter(schema: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(schema)
