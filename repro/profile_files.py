"""Reader of profiles in TOML files, of the package or of the user.

With ``extends = "micro"`` a file inherits all settings of that profile that it does not set itself;
``without = ["matrix.large"]`` removes inherited tables or single settings.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from analysis.schema.facts import FLAN_SUITES, SUITES
from repro.matrix import require_known
from spactor.errors import UserError
from spactor.plain_data import from_mapping

SCALES = ("smoke", "micro", "mini", "paper")
"""The package's profiles of the whole study, in order of cost."""
STUDIES = ("lambda", "mlm", "generator", "means", "curriculum", "scratch")
"""The package's profiles of further studies: variants, or models from scratch."""
PROFILES = (*SCALES, *STUDIES)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def read(name: str) -> str:
    """Reads the text of a profile of the package, or of the user's ``.toml`` file.

    Raises:
      UserError: the name is unknown, or the file can't be read.
    """
    if name in PROFILES:
        return (resources.files("repro") / "profiles" / f"{name}.toml").read_text("utf-8")
    if not name.endswith(".toml"):
        raise UserError(
            f"unknown profile {name!r}: give one of {', '.join(PROFILES)}, "
            "or the path of a .toml file"
        )
    path = Path(name)
    taken = (*PROFILES, "cache")
    if not _NAME.fullmatch(path.stem) or path.stem in taken:
        raise UserError(
            f"{name}: a profile's file name names its folder of runs: use small letters, digits, "
            f"- and _, and none of {', '.join(taken)}"
        )
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: can't read this profile ({error}): check the path") from None


def settings(text: str, where: str) -> dict[str, Any]:
    """Parses the settings of a profile, with the names of `repro.specs.Profile`.

    Args:
      text: the TOML text.
      where: name of the source in error messages.

    Raises:
      UserError: the text is not valid TOML, or a setting is unknown.
    """
    values = _extended(text, where)
    suites = values.get("suites")
    if isinstance(suites, list):
        tables = _finetuning(values.get("finetuning"), suites, f"{where}: finetuning")
        values["finetuning"] = tables
    for key in ("name", "path"):
        if key in values:
            raise UserError(f"{where}: unknown setting {key!r}: the file's name is the profile's")
    return values


def _extended(text: str, where: str) -> dict[str, Any]:
    """Merges the settings of a profile with those of the profile that it extends."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML ({error}): fix the file") from None
    except RecursionError:
        raise UserError(f"{where}: lists or tables nested too deeply: fix the file") from None
    without = values.pop("without", [])
    if "extends" not in values:
        if without:
            raise UserError(f"{where}: without = {without!r} needs extends: add it")
        return values
    name = values.pop("extends")
    if name not in PROFILES:
        raise UserError(f"{where}: extends {name!r}: give one of {', '.join(PROFILES)}")
    base = _extended(read(name), f"profile {name}")
    for key in without if isinstance(without, list) else [without]:
        _remove(base, key, f"{where}: without: profile {name}")
    return _over(base, values)


def _remove(values: dict[str, Any], key: object, where: str) -> None:
    """Removes a setting or a table by its path, such as ``matrix.large``."""
    *path, last = str(key).split(".")
    table: Any = values
    for part in path:
        table = table.get(part) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise UserError(f"{where} has no setting {key!r}: check the name")
    del table[last]


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merges two tables and their inner tables; ``own`` takes precedence."""
    both = {key: _over(base[key], own[key]) for key in own if _are_tables(base.get(key), own[key])}
    return {**base, **own, **both}


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _finetuning(tables: object, suites: Sequence[object], where: str) -> dict[str, Any]:
    """Merges the settings of each suite: defaults, those of FLAN's suites, and its own."""
    groups = from_mapping(_FinetuningTables, tables, where)  # type: ignore[arg-type]
    try:
        require_known(groups.suites, SUITES, "suites", some=False)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return {
        str(suite): {
            **groups.default,
            **(groups.flan if suite in FLAN_SUITES else {}),
            **groups.suites.get(str(suite), {}),
        }
        for suite in suites
    }


@dataclass(frozen=True, kw_only=True)
class _FinetuningTables:
    default: Mapping[str, Any]
    flan: Mapping[str, Any] = field(default_factory=dict)
    suites: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
