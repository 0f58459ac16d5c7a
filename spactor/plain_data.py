"""Configurations from and to plain data, as TOML and JSON hold it."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from spactor.errors import UserError

_Config = TypeVar("_Config")


def from_mapping(cls: type[_Config], values: Mapping[str, Any], where: str) -> _Config:
    """Builds a configuration from plain data; unknown keys and wrong types are errors.

    Args:
      cls: a frozen dataclass, whose fields are plain or such dataclasses.
      values: plain data as read from TOML or JSON.
      where: what to call the source in an error.

    Raises:
      UserError: naming the key, the value and what was expected.

    >>> from spactor.config import CorruptionConfig
    >>> from_mapping(CorruptionConfig, {"mlm_ratio": 0.2}, "demo").mlm_ratio
    0.2
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected a table of settings, found {values!r}")
    hints = typing.get_type_hints(cls)
    specs = {spec.name: spec for spec in dataclasses.fields(typing.cast(Any, cls))}
    unknown = sorted(set(values) - set(specs))
    if unknown:
        raise UserError(f"{where}: unknown setting {unknown[0]!r}; known: {', '.join(specs)}")
    required = (dataclasses.MISSING, dataclasses.MISSING)
    missing = [
        name
        for name, spec in specs.items()
        if name not in values and (spec.default, spec.default_factory) == required
    ]
    if missing:
        raise UserError(f"{where}: setting {missing[0]!r} is missing; add it")
    return cls(
        **{name: _checked(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    )


def _checked(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is types.UnionType:  # a table of settings, or none
        if value is None:
            return None
        (hint,) = (choice for choice in get_args(hint) if choice is not type(None))
    if dataclasses.is_dataclass(hint):
        return from_mapping(typing.cast(type, hint), value, where)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UserError(f"{where} is {value!r}: give one of {', '.join(get_args(hint))}")
        return value
    # bool is an int to Python, never to a person writing a configuration.
    fits = isinstance(value, bool) is (hint is bool)
    if not fits or not isinstance(value, (int, float) if hint is float else hint):
        raise UserError(f"{where} is {value!r}: give a value of type {hint.__name__}")
    try:
        return float(value) if hint is float else value
    except OverflowError:
        raise UserError(f"{where} has over 300 digits: give a value of type float") from None


def to_mapping(config: Any) -> dict[str, Any]:
    """Plain data of a configuration; ``from_mapping`` of it is equal to the original."""
    return dataclasses.asdict(config)
