"""Declarations of tables and figures: the runs that they need, and the records that they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow.compute as pc


@dataclass(frozen=True)
class RequiredRun:
    """An experiment, trained up to a checkpoint.

    Attributes:
      size: "base" or "large".
      tau: canonical text of τ, such as "60K" or "inf".
      checkpoint: number of pre-training steps on the paper's scale.
    """

    size: str
    tau: str
    checkpoint: int


class OutputModule(Protocol):
    """Interface of tables and figures, which are modules or instances of classes."""

    @property
    def DOC(self) -> str | None:
        """Description of the table or figure, and the paper's claim about it."""
        ...

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs that the table or figure needs."""
        ...

    @property
    def reads(self) -> pc.Expression:
        """Filter of the records that the table or figure reads."""
        ...
