"""Facts that records, tables, figures and experiments share: steps, τ, sizes and suites.

Steps are written as the paper counts them, a million to a pre-training.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spactor.errors import UserError

PAPER_STEPS = 1_000_000
"""Pre-training steps of the paper (Section 3), the scale on which every profile writes steps."""
SIZES = ("base", "large")
SUITES = ("glue", "superglue", "squad", "cnndm", "rainbow", "mmlu", "bbh")
"""The columns of Tables 2 and 4, in print order."""
FLAN_SUITES = ("mmlu", "bbh")
"""Suites the paper fine-tunes as FLAN does, with settings of their own (Appendix A.2)."""
TAUS = ("0", "60K", "120K", "250K", "inf")
CHECKPOINTS = (500_000, 1_000_000)
"""Pre-training steps, on the paper's scale, at which Tables 2 and 4 score a model."""


def step_label(paper_steps: int) -> str:
    """Steps as the paper prints them.

    >>> step_label(0), step_label(60_000), step_label(1_000_000)
    ('0', '60K', '1M')
    """
    if paper_steps == PAPER_STEPS:
        return "1M"
    if paper_steps % 1000:
        raise ValueError(f"{paper_steps} is no whole number of thousands")
    return f"{paper_steps // 1000}K" if paper_steps else "0"


def thousands(text: object) -> int | None:
    """Reads ``60K``; None for anything else, 1000K and above included."""
    match = re.fullmatch(r"([1-9][0-9]{0,2})K", text) if isinstance(text, str) else None
    return int(match[1]) * 1000 if match else None


@dataclass(frozen=True, order=True)
class Tau:
    """τ, the step at which pre-training leaves the hybrid objective (Section 2.2).

    Attributes:
      end: paper steps the hybrid objective holds for; all of them for τ = ∞.

    >>> Tau.parse("60K").end, str(Tau.parse("inf")), str(Tau(0))
    (60000, 'inf', '0')
    """

    end: int

    @classmethod
    def parse(cls, text: str) -> Tau:
        """Reads the canonical text of a τ.

        Raises:
          UserError: for anything else; the message gives the forms.
        """
        if text == "0":
            return cls(0)
        if text == "inf":
            return cls(PAPER_STEPS)
        steps = thousands(text)
        if steps is None:
            raise UserError(
                f"unknown τ {text!r}: give 0, a number of thousands from 1K to 999K "
                "such as 60K or 250K, or inf"
            )
        return cls(steps)

    def __str__(self) -> str:
        return "inf" if self.end == PAPER_STEPS else step_label(self.end)
