"""The folder of runs, ``<runs>/<profile>/<node>/``, and its JSON files.

Layout::

    <runs>/spactor-runs.json                     marks a folder of runs
    <runs>/cache/                                prepared data, compiled programs
    <runs>/<profile>/engine.json                 engine and device of the nodes
    <runs>/<profile>/<node>/node.json            inputs and fingerprint, written first
    <runs>/<profile>/<node>/provenance.json      machine, time, code and packages
    <runs>/<profile>/<node>/done.json            marks a finished node, written last
    <runs>/<profile>/<node>/diverged.json        instead of done.json if a number was not finite
    <runs>/<profile>/<node>.lock                 locked while a process trains the node
    <runs>/<profile>/stale/<node>@<fingerprint>  nodes moved here because an input changed
    <runs>/<profile>/records/, output/           files of `repro collect`, and outputs
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
    """Inputs of a node that other modules read."""

    data: dict[str, Any]
    start_step: int
    checkpoint_step: int
    parent: str | None


class NodeFile(TypedDict):
    """Content of ``node.json``."""

    fingerprint: str
    inputs: NotRequired[NodeInputs]


class _EngineFile(TypedDict):
    engine: str
    environment: NotRequired[dict[str, Any]]


def open_runs(runs: Path, *, create: bool, profile: Profile | str = DEFAULT_PROFILE) -> Path:
    """Checks that a folder is one of this project's runs, and creates it if necessary.

    Args:
      runs: the folder.
      create: whether to create a missing folder, and mark it or an empty one.
      profile: profile of the command in the error message.

    Returns:
      The folder.

    Raises:
      UserError: the folder is missing, has other content, or is of another version.
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
    """Returns the folder of prepared data and compiled programs, which all profiles share."""
    return runs / "cache"


def profile_folder(runs: Path, profile: str) -> Path:
    """Returns the folder of a profile's nodes, records and outputs."""
    return runs / profile


def records_folder(runs: Path, profile: str) -> Path:
    """Returns the folder of the records that `repro collect` writes."""
    return profile_folder(runs, profile) / "records"


def claim(runs: Path, profile: str, engine: str) -> None:
    """Records the engine that trains all nodes of a profile's folder.

    The engines read the data in different orders and start from different values, so no table may
    mix their numbers, and neither engine may move the other's nodes.

    Raises:
      UserError: another engine is recorded.
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
                f"{home} has runs of the engine {owner}: give --engine {owner}, or name another "
                "folder with --runs"
            )


def claim_environment(
    runs: Path, profile: str, here: Callable[[], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Returns the environment of a profile's nodes, which is recorded when the first one runs.

    Args:
      runs, profile: folder and profile that an engine has claimed.
      here: function that returns this machine's environment; called if none is recorded.
    """
    path = profile_folder(runs, profile) / ENGINE
    with FileLock(lock_path(path)):
        found = environment_of(runs, profile)
        if found is None:
            found = here()
            write_json(path, {**read_json(path), "environment": found})
        return found


def engine_of(runs: Path, profile: str) -> str | None:
    """Returns the engine of the nodes in a profile's folder; None before the first run."""
    path = profile_folder(runs, profile) / ENGINE
    return str(read_json(path, _EngineFile)["engine"]) if path.is_file() else None


def environment_of(runs: Path, profile: str) -> Mapping[str, Any] | None:
    """Returns device and flags of the nodes in a profile's folder; None before the first run."""
    found = read_if_any(profile_folder(runs, profile) / ENGINE, _EngineFile)
    return found.get("environment")


def require_environment(runs: Path, profile: str, here: Mapping[str, Any]) -> None:
    """Checks that this machine has the recorded environment of a profile's nodes.

    Raises:
      UserError: the kind of device or XLA's flags differ.
    """
    there = environment_of(runs, profile) or here
    for key in here:
        if there.get(key) != here[key]:
            values = (there.get(key), here[key])
            was, now = (" ".join(map(str, v)) if isinstance(v, list) else v for v in values)
            raise UserError(
                f"{profile_folder(runs, profile)} has runs with {key} '{was}', and here it is "
                f"'{now}', which gives other numbers: use the same, or name another folder with "
                "--runs"
            )


def node_folder(runs: Path, profile: str, node: str) -> Path:
    """Returns the folder of a node's files."""
    return profile_folder(runs, profile) / node


def require_own(runs: Path, folder: Path) -> None:
    """Checks that neither a node's folder nor a path in it is a link out of the folder of runs.

    Raises:
      UserError: a path is such a link.
    """
    home = runs.resolve()
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if not path.resolve().is_relative_to(home):
            raise UserError(f"{path} is a link out of {runs}: replace it by the linked file")


def lock_path(folder: Path) -> Path:
    """Returns a node's lock file, which is next to its folder, so that the folder can be moved."""
    return folder.with_name(folder.name + ".lock")


def stale_folder(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Returns the folder that `set_aside` moves a stale node to; "-2" etc. is added if it exists.

    The fingerprint is read from a file, so characters that are not in a digest are removed.
    """
    digest = re.sub("[^0-9a-z]", "", fingerprint)[:12]
    return profile_folder(runs, profile) / "stale" / f"{node}@{digest}"


def set_aside(runs: Path, profile: str, node: str, fingerprint: str) -> Path:
    """Moves a stale node's folder to ``stale/``; returns its new path."""
    target = stale_folder(runs, profile, node, fingerprint)
    return files.move_aside(node_folder(runs, profile, node), target)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON file atomically.

    Raises:
      UserError: the file can't be written.
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    files.write_atomically(path, text.encode())


def read_json(path: Path, schema: type = dict) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
      path: path of the file.
      schema: a TypedDict with the types of the values; other keys are not checked.

    Raises:
      Damaged: the file is missing or no such object; the message names the file.
      OSError: the system failed, for example for lack of file descriptors.
    """
    try:
        value = strict_json.loads(path.read_bytes().decode())
        require(value, schema)
    except (OSError, ValueError) as error:
        # Only an OSError of this read, not an error about the content, is a fault of the system.
        if isinstance(error, OSError) and files.system_fault(error):
            raise
        raise Damaged(
            f"{path}: damaged ({error}); move it and its folder away and run again"
        ) from None
    return value


def read_if_any(path: Path, schema: type = dict) -> dict[str, Any]:
    """Reads a JSON object as ``read_json`` does; returns {} if there is no file."""
    try:
        return read_json(path, schema)
    except Damaged:
        # Existence is checked after the error: nearly all of a tree's thousands of files exist.
        if path.exists():
            raise
        return {}


def read_node(folder: Path) -> dict[str, Any]:
    """Reads a node's ``node.json`` as ``read_json`` does; returns {} if there is none."""
    return read_if_any(folder / NODE, NodeFile)


def read_or_set_aside(path: Path, schema: type = dict) -> dict[str, Any]:
    """Reads a JSON object; returns {} if there is no file, and renames a damaged one."""
    try:
        return read_if_any(path, schema)
    except Damaged:
        files.set_aside(path, "no JSON object")
        return {}


def require(value: object, schema: type) -> None:
    """Checks the types of values in a JSON object.

    Args:
      value: the object.
      schema: a TypedDict with the types of the values; other keys are not checked.

    Raises:
      ValueError: a key is missing, or a value has another type; the message names it.

    >>> require({"fingerprint": "9f", "inputs": {"start_step": "x"}}, NodeFile)
    Traceback (most recent call last):
    ValueError: inputs.start_step is 'x': give a valid integer
    """
    # Imported here, since only functions that read files need pydantic.
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
