"""The paper's figures, one module each: ``requires``, a pure ``compute`` and a thin ``render``."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from analysis.required import RequiredRun
from analysis.schema.subset import Subset
from figures import appendix_b, figure1, figure2, figure3, figure4, figure5
from spactor.errors import UserError


class FigureModule(Protocol):
    """What every figure's module offers."""

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs the figure rests on."""
        ...

    @property
    def reads(self) -> Subset:
        """Records the figure rests on."""
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


REGISTRY: Mapping[str, FigureModule] = types.MappingProxyType(
    {"1": figure1, "2": figure2, "3": figure3, "4": figure4, "5": figure5, "B": appendix_b}
)
"""The paper's figures by number; B, the residuals of Appendix B's regression, is ours."""


def get(name: str) -> FigureModule:
    """The module of a figure.

    Raises:
      UserError: there is no such figure here.
    """
    if name not in REGISTRY:
        raise UserError(f"there is no figure {name}; there are {', '.join(REGISTRY)}")
    return REGISTRY[name]


__all__ = ["REGISTRY", "FigureModule", "get"]
