"""The paper's figures, one module each: ``requires``, a pure ``compute`` and a thin ``render``."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from analysis.required import RequiredRun
from figures import figure2, figure4
from spactor.errors import UserError


class FigureModule(Protocol):
    """What every figure's module offers."""

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs the figure rests on."""
        ...

    def compute(self, records: pd.DataFrame) -> Any:
        """What is drawn, from records of one source and profile."""
        ...

    def draw(self, result: Any) -> Any:
        """The matplotlib figure."""
        ...

    def render(self, result: Any, folder: Path) -> list[Path]:
        """Writes the figure as SVG, PDF and PNG; returns their paths."""
        ...


REGISTRY: Mapping[int, FigureModule] = types.MappingProxyType({2: figure2, 4: figure4})


def get(number: int) -> FigureModule:
    """The module of a figure.

    Raises:
      UserError: there is no such figure here.
    """
    if number not in REGISTRY:
        known = ", ".join(map(str, REGISTRY))
        raise UserError(f"there is no figure {number}; there are {known}")
    return REGISTRY[number]


__all__ = ["REGISTRY", "FigureModule", "get"]
