"""The paper's figures, each with ``requires``, ``reads``, ``compute`` and ``draw``."""

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
    """Interface of figures."""

    @property
    def NUMBER(self) -> str:
        """Number of the figure in the paper, or a letter for a figure of ours."""
        ...

    def compute(self, records: pd.DataFrame) -> Any:
        """Computes the numbers to draw from records of one source and profile."""
        ...

    def draw(self, result: Any) -> Any:
        """Draws the result of ``compute`` as a matplotlib figure."""
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
"""Figures by number; B (residuals of Appendix B's line) and S (summary) are not in the paper."""


def get(name: str, *, extended: bool = False) -> FigureModule:
    """Returns a figure.

    Args:
      name: number of the figure.
      extended: whether to return the extended form, if the figure has one.

    Raises:
      UserError: there is no such figure.
    """
    if name not in REGISTRY:
        raise UserError(f"there is no figure {name}; there are {', '.join(REGISTRY)}")
    figure = REGISTRY[name]
    if extended and isinstance(figure, _EXTENDABLE):
        return dataclasses.replace(figure, extended=True)
    return figure


def adds(name: str) -> str:
    """Describes the additions of a figure's extended form; "" if it has none.

    Raises:
      UserError: see :func:`get`.
    """
    figure = get(name)
    return figure.adds if isinstance(figure, _EXTENDABLE) else ""


def encode(
    number: str,
    records: pd.DataFrame,
    kinds: Iterable[str] = drawing.KINDS,
    *,
    extended: bool = False,
) -> dict[str, bytes]:
    """Computes and draws a figure; equal records give equal bytes.

    Args:
      number: number of the figure.
      records: records of one source and profile.
      kinds: kinds of files, of ``drawing.KINDS``.
      extended: see :func:`get`.

    Returns:
      The content of the files by kind.

    Raises:
      UserError: there is no such figure, or its ``compute`` raises.
    """
    module = get(number, extended=extended)
    figure = module.draw(module.compute(records))
    return {kind: drawing.encode(figure, kind) for kind in kinds}


def save(files: Mapping[str, bytes], number: str, folder: Path) -> list[Path]:
    """Writes a figure's files into ``folder`` and returns their paths.

    Args:
      files: result of :func:`encode`.
      number: number of the figure.
      folder: folder to write to; created if necessary.

    Raises:
      UserError: a file could not be written.
    """
    paths = []
    for kind, content in files.items():
        path = folder / f"figure{number}.{kind}"
        write_atomically(path, content)
        paths.append(path)
    return paths


__all__ = ["REGISTRY", "FigureModule", "adds", "encode", "get", "save"]
