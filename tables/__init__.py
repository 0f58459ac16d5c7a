"""The paper's tables, one module each: ``requires``, a pure ``compute`` and a thin ``render``.

The same code prints measured and published records.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from analysis.required import RequiredRun
from spactor.errors import UserError
from tables import table2, table3, table4
from tables.rendering import FORMATS, Table, render


class TableModule(Protocol):
    """What every table's module offers."""

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs the table rests on."""
        ...

    def compute(self, records: pd.DataFrame) -> Table:
        """The table, from records of one source and profile; what is missing is marked so."""
        ...

    def render(self, table: Table, format: str = "text") -> str:
        """The table as text in one of ``FORMATS``."""
        ...


REGISTRY: Mapping[int, TableModule] = types.MappingProxyType({2: table2, 3: table3, 4: table4})


def get(number: int) -> TableModule:
    """The module of a table.

    Raises:
      UserError: there is no such table here.
    """
    if number not in REGISTRY:
        known = ", ".join(map(str, REGISTRY))
        raise UserError(f"there is no table {number}; there are {known}")
    return REGISTRY[number]


__all__ = ["FORMATS", "REGISTRY", "Table", "TableModule", "get", "render"]
