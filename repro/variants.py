"""Named changes to a profile's pre-training: other settings, and curricula.

In a profile, with steps written as the paper counts them::

    [variants.fade.curriculum.lambda_rtd]      # λ1 from 10 to 0 between 60K and 250K
    from = 10
    to = 0
    start = "60K"
    end = "250K"
    shape = "cosine"                           # or "linear", which it is by default

    [variants.soft.curriculum.handover]        # fades from τ - 30K to τ + 30K
    width = "60K"

    [variants.light.objective]                 # or of model, corruption, optimizer
    lambda_rtd = 1.0

    [matrix.base.variants.fade]                # runs it
    taus = ["inf"]
    checkpoints = ["500K"]                     # those of the size by default

An experiment without a variant is the published one, and a variant shares its steps for as long
as it does the same.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spactor.config import PretrainConfig
from spactor.errors import UserError
from spactor.files import RESERVED_NAMES
from spactor.plain_data import from_mapping, to_mapping

PARTS = ("model", "corruption", "objective", "optimizer")
"""Tables of a size's settings that a variant may change."""
RAMPS = ("lambda_rtd", "lambda_sc", "mlm_ratio")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = re.compile(r"hybrid|sc|tau.*")
"""First parts of the names of plain nodes."""

Shape = Literal["linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class PaperRamp:
    """A ramp between two steps of the paper.

    Attributes:
      start_value, end_value: its levels.
      start, end: paper steps.
    """

    start_value: float
    end_value: float
    start: int
    end: int
    shape: Shape = "linear"


@dataclass(frozen=True, kw_only=True)
class Handover:
    """The hybrid objective fades out over ``width`` paper steps, half of them before τ."""

    width: int
    shape: Shape = "linear"

    def around(self, tau: int) -> tuple[int, int]:
        """Paper steps at which it begins and ends."""
        return tau - self.width // 2, tau + self.width // 2


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A named change to a size's pre-training.

    Attributes:
      name: small letters, digits and single dashes; part of the names of its nodes.
      settings: by part of the configuration, what differs.
      ramps: by the name of what they vary.
      handover: around τ, if any.
    """

    name: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ramps: Mapping[str, PaperRamp] = field(default_factory=dict)
    handover: Handover | None = None

    def __post_init__(self) -> None:
        taken = _RESERVED.fullmatch(self.name) or self.name in RESERVED_NAMES
        if not _NAME.fullmatch(self.name) or taken or len(self.name) > 40:
            raise UserError(
                f"variant {self.name!r}: a name has small letters, digits and single dashes, and "
                "is neither hybrid nor sc nor a device of Windows, and does not begin with tau"
            )

    def hybrid_end(self, tau: int, last: int) -> int:
        """Paper step at which the hybrid stage ends: τ, or the end of the hand-over around it.

        Args:
          tau: in paper steps.
          last: that stands for τ = ∞.

        Raises:
          UserError: a hand-over that does not fit around τ.
        """
        if self.handover is None:
            return tau
        start, end = self.handover.around(tau)
        if not 0 <= start < end <= last or tau in (0, last):
            raise UserError(
                f"variant {self.name}: its hand-over of {self.handover.width // 1000}K steps does "
                f"not fit around a τ of {tau // 1000}K: give it other τ or a smaller width"
            )
        return end

    def breaks(self, tau: int) -> set[int]:
        """Paper steps at which it begins to differ from what has no such ramp."""
        starts = {ramp.start for ramp in self.ramps.values()}
        return starts | ({self.handover.around(tau)[0]} if self.handover else set())

    def applied(
        self, config: PretrainConfig, tau: int, step_of: Callable[[int], int]
    ) -> PretrainConfig:
        """The configuration of its runs.

        Args:
          config: of the size.
          tau: in paper steps.
          step_of: from paper steps to the profile's own.

        Raises:
          UserError: a setting that does not exist or is out of range.
        """

        def own(start: float, end: float, first: int, last: int, shape: Shape) -> dict[str, Any]:
            return {
                "start_value": start,
                "end_value": end,
                "start_step": step_of(first),
                "end_step": step_of(last),
                "shape": shape,
            }

        values = to_mapping(config)
        for part, changes in self.settings.items():
            values[part] = values[part] | dict(changes)
        for name, ramp in self.ramps.items():
            values["curriculum"][name] = own(
                ramp.start_value, ramp.end_value, ramp.start, ramp.end, ramp.shape
            )
        if self.handover is not None:
            values["curriculum"]["handover"] = own(
                1.0, 0.0, *self.handover.around(tau), self.handover.shape
            )
        return from_mapping(PretrainConfig, values, f"variant {self.name}")


@dataclass(frozen=True, kw_only=True)
class _RampTable:
    to: float
    start: str
    end: str
    shape: Shape = "linear"


@dataclass(frozen=True, kw_only=True)
class _HandoverTable:
    width: str
    shape: Shape = "linear"


def parse_variants(
    table: object, where: str, steps: Callable[[object, str], int]
) -> Mapping[str, Variant]:
    """Reads the ``[variants]`` of a profile; unknown keys are errors.

    Args:
      table: plain data.
      where: what to call it in an error.
      steps: reads a step such as "60K"; its second argument is what to call it.
    """
    variants = {}
    for name, values in _mapping(table, where).items():
        here = f"{where}.{name}"
        parts = _mapping(values, here)
        _known(parts, (*PARTS, "curriculum"), here)
        curriculum = _mapping(parts.get("curriculum", {}), f"{here}.curriculum")
        _known(curriculum, (*RAMPS, "handover"), f"{here}.curriculum")
        variants[name] = Variant(
            name=name,
            settings={
                part: _mapping(parts[part], f"{here}.{part}") for part in PARTS if part in parts
            },
            ramps={
                ramp: _ramp(curriculum[ramp], f"{here}.curriculum.{ramp}", steps)
                for ramp in RAMPS
                if ramp in curriculum
            },
            handover=_handover(curriculum["handover"], f"{here}.curriculum.handover", steps)
            if "handover" in curriculum
            else None,
        )
    return types.MappingProxyType(variants)


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a table of settings, found {value!r}")
    return value


def _known(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UserError(f"{where}: unknown setting {key!r}; known: {', '.join(known)}")


def _ramp(table: object, where: str, steps: Callable[[object, str], int]) -> PaperRamp:
    values = dict(_mapping(table, where))
    # "from" is no name for a Python attribute.
    start_value = values.pop("from", None)
    if not isinstance(start_value, (int, float)) or isinstance(start_value, bool):
        raise UserError(f"{where}.from is {start_value!r}: give a number")
    if not abs(start_value) <= sys.float_info.max:
        raise UserError(f"{where}.from is not finite, or has over 300 digits: give a number")
    plain = from_mapping(_RampTable, values, where)
    start, end = steps(plain.start, f"{where}.start"), steps(plain.end, f"{where}.end")
    if start >= end:
        raise UserError(f"{where}: it ends at {plain.end}, not after {plain.start}: mend that")
    return PaperRamp(
        start_value=float(start_value), end_value=plain.to, start=start, end=end, shape=plain.shape
    )


def _handover(table: object, where: str, steps: Callable[[object, str], int]) -> Handover:
    plain = from_mapping(_HandoverTable, _mapping(table, where), where)
    width = steps(plain.width, f"{where}.width")
    if not width or width % 2000:
        raise UserError(f"{where}.width is {plain.width!r}: give an even number of thousands")
    return Handover(width=width, shape=plain.shape)
