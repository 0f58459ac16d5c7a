"""How a table or a figure names the runs it rests on."""

from __future__ import annotations

from dataclasses import dataclass


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
