"""A JSON reader that accepts only finite numbers of 64 bits, valid text and limited depth."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
"""Maximum depth of nested lists and objects; code that reads the value may be recursive."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str) -> Any:
    """Parses a JSON text.

    Raises:
      ValueError: the text is not JSON, or has a number that is not finite or exceeds 64 bits, half
        of a surrogate pair, which UTF-8 can't encode, or more levels than ``DEEPEST``.

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
    raise ValueError(f"{text:.20} is not a finite number")


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text:.20} is not a number of 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    # 1e999 is valid JSON and infinite in Python.
    return value if abs(value) != float("inf") else _refused(text)
