"""Profiles as TOML files: those of the package, and the user's own.

With ``extends = "micro"`` a file takes that profile's settings wherever it has none of its own;
``without = ["matrix.large"]`` leaves some of them out, tables or single settings.
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
"""Profiles of the paper's whole study that come with the package, from quickest to dearest."""
STUDIES = ("lambda", "mlm", "generator", "means", "curriculum", "scratch")
"""Profiles of further studies that come with the package: variants, or models from scratch."""
PROFILES = (*SCALES, *STUDIES)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def read(name: str) -> str:
    """The text of a profile of the package, or of a ``.toml`` file of the user's own.

    Raises:
      UserError: for an unknown name or an unreadable file.
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
    """The settings of a profile as `repro.specs.Profile` names them.

    Args:
      text: TOML.
      where: what to call the source in an error.
    """
    values = _extended(text, where)
    suites = values.get("suites")
    if isinstance(suites, list):
        tables = _finetuning(values.get("finetuning"), suites, f"{where}: finetuning")
        values["finetuning"] = tables
    for key in ("name", "path"):
        if key in values:
            raise UserError(f"{where}: unknown setting {key!r}: the file's own is the profile's")
    return values


def _extended(text: str, where: str) -> dict[str, Any]:
    """The settings of a profile, over those of the profile it extends."""
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
    """One table over another, and so their inner tables; ``own`` decides where both have a key."""
    both = {key: _over(base[key], own[key]) for key in own if _are_tables(base.get(key), own[key])}
    return {**base, **own, **both}


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _finetuning(tables: object, suites: Sequence[object], where: str) -> dict[str, Any]:
    """Settings of each suite: those of all, over them those of FLAN's suites, and its own."""
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
