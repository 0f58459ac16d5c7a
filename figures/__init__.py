"""The paper's figures: each declares ``requires`` and ``reads``, computes and draws."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from analysis.required import OutputModule
from figures import appendix_b, drawing, figure1, figure3, figure4, score_against_flops, summary
from spactor.errors import UserError
from spactor.files import write_atomically


class FigureModule(OutputModule, Protocol):
    """What every figure offers."""

    @property
    def NUMBER(self) -> str:
        """As in the paper."""
        ...

    def compute(self, records: pd.DataFrame) -> Any:
        """What is drawn, from records of one source and profile."""
        ...

    def draw(self, result: Any) -> Any:
        """The matplotlib figure."""
        ...


_MODULES: tuple[FigureModule, ...] = (
    figure1,
    figure3.FIGURE,
    figure4,
    appendix_b,
    summary,
    *score_against_flops.FIGURES,
)
_EXTENDABLE = (score_against_flops.CostFigure, figure3.StepFigure)
REGISTRY: Mapping[str, FigureModule] = types.MappingProxyType(
    {module.NUMBER: module for module in sorted(_MODULES, key=lambda module: module.NUMBER)}
)
"""The paper's figures by number; B, the residuals of Appendix B's line, and S are ours."""


def get(name: str, *, extended: bool = False) -> FigureModule:
    """The module of a figure, extended if there is such a form of it.

    Raises:
      UserError: there is no such figure here.
    """
    if name not in REGISTRY:
        raise UserError(f"there is no figure {name}; there are {', '.join(REGISTRY)}")
    figure = REGISTRY[name]
    if extended and isinstance(figure, _EXTENDABLE):
        return dataclasses.replace(figure, extended=True)
    return figure


def adds(name: str) -> str:
    """What the extended form of a figure adds; "" without such a form; errors as ``get``."""
    figure = get(name)
    return figure.adds if isinstance(figure, _EXTENDABLE) else ""


def encode(
    number: str,
    records: pd.DataFrame,
    kinds: Iterable[str] = drawing.KINDS,
    *,
    extended: bool = False,
) -> dict[str, bytes]:
    """A figure's files by kind, of ``drawing.KINDS``; equal records give equal bytes.

    Raises:
      UserError: there is no such figure, or as its ``compute``.
    """
    module = get(number, extended=extended)
    figure = module.draw(module.compute(records))
    return {kind: drawing.encode(figure, kind) for kind in kinds}


def encode_several(
    numbers: Iterable[str], records: pd.DataFrame, kinds: Iterable[str]
) -> dict[str, dict[str, bytes]]:
    """The files of several figures by number and kind; errors as ``encode``."""
    return {number: encode(number, records, kinds) for number in numbers}


def save(files: Mapping[str, bytes], number: str, folder: Path) -> list[Path]:
    """Writes a figure's files into ``folder`` and returns their paths.

    Args:
      files: by kind, as ``encode`` returns them.
      number: of the figure.
      folder: made if there is none.

    Raises:
      UserError: a file could not be written.
    """
    paths = []
    for kind, content in files.items():
        path = folder / f"figure{number}.{kind}"
        write_atomically(path, content)
        paths.append(path)
    return paths


__all__ = ["REGISTRY", "FigureModule", "adds", "encode", "encode_several", "get", "save"]
