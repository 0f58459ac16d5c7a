"""Conversion of configurations from and to the data of TOML and JSON, validated by pydantic."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

from spactor.errors import UserError

if typing.TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_Config = TypeVar("_Config")
_UNKNOWN = "unexpected_keyword_argument"


def from_mapping(cls: type[_Config], values: Mapping[str, Any], where: str) -> _Config:
    """Builds a configuration from plain data; unknown keys and wrong types are errors.

    Args:
      cls: a frozen dataclass, whose fields are plain or such dataclasses.
      values: plain data as read from TOML or JSON.
      where: name of the source, such as a path, for the error message.

    Raises:
      UserError: an unknown or missing key, or a wrong type; the message names key and value.

    >>> from spactor.config import CorruptionConfig
    >>> from_mapping(CorruptionConfig, {"mlm_ratio": 0.2}, "demo").mlm_ratio
    0.2
    """
    # Imported here so that `repro --help` does not load it.
    from pydantic import ValidationError

    # Strict validation builds dataclasses and tuples from JSON alone, not from Python's objects.
    text = json.dumps({"value": values}, default=lambda item: _refuse(item, where))
    try:
        validated: Any = _model(typing.cast(Any, cls)).model_validate_json(text)
        return typing.cast(_Config, validated.value)
    except ValidationError as error:
        # A misspelt name is an unknown setting and a missing one; the first explains both.
        first = min(error.errors(), key=lambda one: one["type"] != _UNKNOWN)
        raise UserError(_line(cls, first, where)) from None


@functools.cache
def _model(cls: Any) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    # The dataclasses inside inherit these settings.
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return create_model(cls.__name__, __config__=config, value=(cls, ...))


def _refuse(item: object, where: str) -> None:
    raise UserError(
        f"{where}: {item} is a {type(item).__name__}: give a number, text, list or table"
    )


def _line(cls: type, error: ErrorDetails, where: str) -> str:
    """Formats one of pydantic's errors as a line: source, key, value and expected type."""
    path = [part for part in error["loc"][1:] if part != "[key]"]
    key = ".".join(map(str, path))
    place = f"{where}: {key}" if key else where
    if error["type"] == _UNKNOWN:
        table = _dataclass_at(cls, path[:-1])
        known = f"; known: {', '.join(_keys(table))}" if table else ""
        table_path = ".".join(map(str, path[:-1]))
        inside = f"{where}: {table_path}" if table_path else where
        return f"{inside}: unknown setting {path[-1]!r}{known}"
    if error["type"] == "missing":
        return f"{place}: this setting is missing; add it"
    if error["type"] == "value_error":
        expected = str(error["ctx"]["error"])
    else:
        expected = re.sub("^Input should be (?=greater|less)", "give a number ", error["msg"])
        expected = expected.replace("Input should be", "give")
    value = "" if isinstance(error["input"], dict) else f" is {error['input']!r}"
    return f"{place}{value}: {expected}"


def _dataclass_at(cls: type, path: list[int | str]) -> type | None:
    """Returns the dataclass at a path of keys, or None if it cannot be found."""
    hint: Any = cls
    for part in path:
        if dataclasses.is_dataclass(hint):
            hint = typing.get_type_hints(hint).get(str(part))
        else:  # The values of a mapping or a list.
            hint = get_args(hint)[-1] if get_args(hint) else None
        if get_origin(hint) is types.UnionType:  # a table of settings, or none
            hint = next((one for one in get_args(hint) if dataclasses.is_dataclass(one)), None)
    return hint if dataclasses.is_dataclass(hint) and isinstance(hint, type) else None


def _keys(table: type) -> list[str]:
    """Lists the names of a dataclass's fields for a message."""
    hints = typing.get_type_hints(table, include_extras=True)
    names = {
        name: [getattr(part, "alias", None) for part in get_args(hints[name])] for name in hints
    }
    return [
        next(filter(None, names[field.name]), field.name)
        for field in dataclasses.fields(typing.cast(Any, table))
    ]


def to_mapping(config: Any) -> dict[str, Any]:
    """Converts a configuration to plain data, the inverse of ``from_mapping``."""
    return dataclasses.asdict(config)
