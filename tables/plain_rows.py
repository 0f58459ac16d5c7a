"""JSON and CSV output of commands with the option ``--format``."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_FORMULA = tuple("=+-@\t\r")
"""First characters of text that a spreadsheet evaluates as a formula."""
_NUMBER = re.compile(r"[-+]?[0-9.,]+(e[-+]?[0-9]+|×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?( ± [0-9.]+)?( ?%)?")


def json_text(rows: Iterable[Any], facts: Mapping[str, Any]) -> str:
    """Formats a JSON object of the facts and, under "rows", the rows.

    Args:
      rows: mappings or dataclass instances, which may be nested.
      facts: values that all rows have in common.

    >>> print(json_text([{"p": math.nan}], {"profile": "micro"}))
    {
     "profile": "micro",
     "rows": [
      {
       "p": null
      }
     ]
    }
    """
    return json.dumps(plain({**facts, "rows": list(rows)}), indent=1, ensure_ascii=False)


def csv_text(rows: Iterable[Any]) -> str:
    """Formats CSV with a line for each row; names of nested values are joined by a dot.

    >>> print(csv_text([{"node": "a", "loss": {"mean": 2.5}}, {"node": "=b", "steps": [1, 2]}]))
    node,loss.mean,steps
    a,2.5,
    '=b,,"[1, 2]"
    """
    lines = [dict(_flat(plain(row))) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(
        out, dict.fromkeys(name for line in lines for name in line), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows({name: _csv_value(value) for name, value in line.items()} for line in lines)
    return out.getvalue().rstrip("\n")


def plain(value: Any) -> Any:
    """Converts a value to JSON's types: dataclasses to objects, NaN and infinity to null.

    >>> plain({("a", 1): (math.inf, 2)})
    {'a/1': [None, 2]}
    """
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {_name(key): plain(one) for key, one in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return str(value)


def _name(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _flat(row: Mapping[str, Any], start: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{name}.")
        else:
            whole = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
            yield f"{start}{name}", whole


def _csv_value(value: object) -> object:
    """Adds an apostrophe to text that a spreadsheet would evaluate as a formula.

    >>> [_csv_value(v) for v in ("=1+1", "-0.57", "-0.57 ± 0.1", "@x", -2.5)]
    ["'=1+1", '-0.57', '-0.57 ± 0.1', "'@x", -2.5]
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
