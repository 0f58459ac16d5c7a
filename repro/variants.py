"""Variants: named changes to a profile's pre-training, by other settings or a curriculum.

In a profile, with steps on the paper's scale::

    [variants.fade.curriculum.lambda_rtd]      # λ1 from 10 to 0 between 60K and 250K
    from = 10
    to = 0
    start = "60K"
    end = "250K"
    shape = "cosine"                           # or "linear", the default

    [variants.soft.curriculum.handover]        # fades from τ - 30K to τ + 30K
    width = "60K"

    [variants.light.objective]                 # or of model, corruption, optimizer
    lambda_rtd = 1.0

    [matrix.base.variants.fade]                # adds its experiments to the matrix
    taus = ["inf"]
    checkpoints = ["500K"]                     # by default those of the size

An experiment without a variant has the published settings. Experiments with and without a variant
share their training steps up to the first step at which they differ.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from analysis.schema.facts import PAPER_STEPS, thousands
from spactor.config import PretrainConfig
from spactor.errors import UserError
from spactor.plain_data import from_mapping, to_mapping

Shape = Literal["linear", "cosine"]
RAMPS = ("lambda_rtd", "lambda_sc", "mlm_ratio")
_NAME = re.compile(r"(?!(hybrid|sc|tau.*)$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Names of variants; hybrid, sc and tau… are reserved for nodes without a variant."""


def parse_step(text: object) -> int:
    """Parses a step on the paper's scale: 0, thousands, or 1M.

    Raises:
      ValueError: the text is none of these.

    >>> parse_step("60K")
    60000
    """
    step = {"0": 0, "1M": PAPER_STEPS}.get(text) if isinstance(text, str) else None
    step = thousands(text) if step is None else step
    if step is None:
        raise ValueError("give 0, thousands from 1K to 999K such as 60K, or 1M")
    return step


PaperStep = Annotated[int, PlainValidator(parse_step)]
"""A step on the paper's scale, written such as "60K"."""


@dataclass(frozen=True, kw_only=True)
class PaperRamp:
    """A ramp between two steps.

    Attributes:
      start_value, end_value: values at both ends, written as ``from`` and ``to``.
      start, end: steps on the paper's scale.
      shape: linear, or half a cosine.
    """

    start_value: Annotated[float, Field(alias="from")]
    end_value: Annotated[float, Field(alias="to")]
    start: PaperStep
    end: PaperStep
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(
                f"a ramp from step {self.start} to {self.end}: the end must come later"
            )


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Gradual end of the hybrid objective over ``width`` paper steps, half of them before τ."""

    width: PaperStep
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        if not self.width or self.width % 2000:
            raise ValueError(f"width is {self.width} steps: give an even number of thousands")

    def around(self, tau: int) -> tuple[int, int]:
        """Returns the paper steps at which the hand-over begins and ends."""
        return tau - self.width // 2, tau + self.width // 2


@dataclass(frozen=True, kw_only=True)
class PaperCurriculum:
    """Settings that vary with the step, named as in ``spactor.config.CurriculumConfig``."""

    lambda_rtd: PaperRamp | None = None
    lambda_sc: PaperRamp | None = None
    mlm_ratio: PaperRamp | None = None
    handover: Handover | None = None

    @property
    def ramps(self) -> dict[str, PaperRamp]:
        """The ramps that are set, by name."""
        found = {name: getattr(self, name) for name in RAMPS}
        return {name: ramp for name, ramp in found.items() if ramp is not None}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A change to a size's pre-training: other settings, by table, and a curriculum."""

    model: Mapping[str, Any] = field(default_factory=dict)
    corruption: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    curriculum: PaperCurriculum = PaperCurriculum()

    def hybrid_end(self, tau: int) -> int:
        """Returns the paper step at which the hybrid stage ends: τ, or the end of the hand-over.

        Raises:
          UserError: the hand-over does not fit around τ.
        """
        handover = self.curriculum.handover
        if handover is None:
            return tau
        start, end = handover.around(tau)
        if not 0 <= start < end <= PAPER_STEPS or tau in (0, PAPER_STEPS):
            raise UserError(
                f"a hand-over of {handover.width // 1000}K steps does not fit around a τ of "
                f"{tau // 1000}K: give another τ or a smaller width"
            )
        return end

    def breaks(self, tau: int) -> set[int]:
        """Returns paper steps at which the variant begins to change the training."""
        handover = self.curriculum.handover
        starts = {ramp.start for ramp in self.curriculum.ramps.values()}
        return starts | ({handover.around(tau)[0]} if handover else set())

    def applied(
        self, name: str, config: PretrainConfig, tau: int, step_of: Callable[[int], int]
    ) -> PretrainConfig:
        """Returns the configuration of the variant's runs.

        Args:
          name: name of the variant in error messages.
          config: configuration of the size.
          tau: τ in paper steps.
          step_of: function that converts paper steps to the profile's steps.

        Raises:
          UserError: a setting does not exist or is out of range.
        """

        def ramp(start: float, end: float, first: int, last: int, shape: Shape) -> dict[str, Any]:
            levels = {"start_value": start, "end_value": end, "shape": shape}
            return levels | {"start_step": step_of(first), "end_step": step_of(last)}

        values = to_mapping(config)
        for table in ("model", "corruption", "objective", "optimizer"):
            values[table] |= getattr(self, table)
        for key, own in self.curriculum.ramps.items():
            values["curriculum"][key] = ramp(*dataclasses.astuple(own))
        if handover := self.curriculum.handover:
            own_ramp = ramp(1.0, 0.0, *handover.around(tau), handover.shape)
            values["curriculum"]["handover"] = own_ramp
        return from_mapping(PretrainConfig, values, f"variant {name}")


def require_names(variants: Mapping[str, Variant]) -> None:
    """Checks that the names of variants can be part of a node's name.

    Raises:
      UserError: a name is invalid.
    """
    for name in variants:
        if not _NAME.fullmatch(name) or len(name) > 40:
            raise UserError(
                f"variant {name!r}: a name has at most 40 small letters, digits and single dashes, "
                "is neither hybrid nor sc, and does not begin with tau"
            )
