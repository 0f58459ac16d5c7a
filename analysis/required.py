"""What a table or a figure declares: the runs it rests on, and the records it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow.compute as pc


@dataclass(frozen=True)
class RequiredRun:
    """One experiment, trained up to one checkpoint.

    Attributes:
      size: "base" or "large".
      tau: canonical text of τ.
      checkpoint: pre-training steps on the paper's scale.
    """

    size: str
    tau: str
    checkpoint: int


class OutputModule(Protocol):
    """What tables and figures have in common; modules and instances of classes alike."""

    @property
    def DOC(self) -> str | None:
        """What it shows, and what the paper claims by it."""
        ...

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs it rests on."""
        ...

    @property
    def reads(self) -> pc.Expression:
        """Records it rests on."""
        ...
