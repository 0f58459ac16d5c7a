"""JSON as this project writes it: finite numbers of 64 bits, whole text, no endless depth."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
"""Lists and objects within one another; what walks over the value may call itself."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
      ValueError: no JSON, a number that is infinite, none or beyond 64 bits, half of a surrogate
        pair, which no file in UTF-8 can hold, or more depth than ``DEEPEST``.

    >>> loads('{"step": 5}')
    {'step': 5}
    >>> loads('"\\\\ud800"')
    Traceback (most recent call last):
    ValueError: half of a surrogate pair
    """
    try:
        value = json.loads(text, parse_constant=_refused, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(value)
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("half of a surrogate pair") from None
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    if level:
        raise ValueError("too deeply nested")


def _refused(text: str) -> float:
    raise ValueError(f"{text:.20} is no finite number")


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text:.20} is no number of 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    # 1e999 is a number by JSON's grammar and infinite in Python.
    return value if abs(value) != float("inf") else _refused(text)
