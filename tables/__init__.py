"""The paper's tables: modules or instances with ``requires``, ``reads`` and a pure ``compute``.

The same code computes a table from measured and from published records; ``render`` writes it in one
of ``FORMATS``. Tables 2 and 4, and Tables 6 to 17, are instances of one class each.
``tables.differences`` compares a measured table with the paper's.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from analysis.required import OutputModule
from spactor.errors import UserError
from tables import breakdowns, score_tables, table1, table3, table5
from tables.cells import Table
from tables.rendering import FORMATS, render


class TableModule(OutputModule, Protocol):
    """Interface of tables."""

    @property
    def NUMBER(self) -> int:
        """Number of the table in the paper."""
        ...

    def compute(self, records: pd.DataFrame) -> Table:
        """Computes the table from records of one source and profile; missing cells are marked."""
        ...


_MODULES: tuple[TableModule, ...] = (
    table1,
    table3,
    table5,
    *score_tables.TABLES,
    *breakdowns.TABLES.values(),
)
REGISTRY: Mapping[int, TableModule] = types.MappingProxyType(
    {module.NUMBER: module for module in sorted(_MODULES, key=lambda module: module.NUMBER)}
)


def get(number: int | str) -> TableModule:
    """Returns a table's module or instance.

    Args:
      number: number of the table, as an integer or as text.

    Raises:
      UserError: there is no such table.
    """
    written = str(number)
    known = {str(each): module for each, module in REGISTRY.items()}
    if written not in known:
        listed = f"{min(REGISTRY)} to {max(REGISTRY)}"
        raise UserError(f"there is no table {written}; there are {listed}")
    return known[written]


__all__ = ["FORMATS", "REGISTRY", "Table", "TableModule", "get", "render"]
