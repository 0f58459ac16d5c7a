"""Experiments of one size in a profile's ``matrix``: τ, seeds and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from analysis.schema.facts import Tau, step_label
from repro.variants import PaperStep
from spactor.errors import UserError

MOST_RUNS = 1000
"""Largest number of pre-training and of fine-tuning runs, so that both seeds fit in one number."""


def _tau(text: object) -> Tau:
    try:
        return Tau.parse(text if isinstance(text, str) else repr(text))
    except UserError as error:
        raise ValueError(str(error)) from None


_Tau = Annotated[Tau, PlainValidator(_tau)]
_Runs = Annotated[int, Field(ge=1, le=MOST_RUNS)]


def require_different(items: Sequence[object], what: str) -> None:
    """Checks that a list has at least one item, and no item twice.

    Raises:
      ValueError: the list is empty, or an item is repeated.
    """
    if not items or len(set(items)) != len(items):
        found = ", ".join(map(str, items)) or "none"
        raise ValueError(f"{what} are {found}: give at least one, each once")


def require_known(
    table: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any], key: str, some: bool = True
) -> None:
    """Checks the keys of a table of settings.

    Args:
      table: the table.
      known: allowed keys.
      key: key of the table itself, for the error.
      some: whether the table must have at least one key.

    Raises:
      ValueError: a key is unknown, or the table is empty.
    """
    for name in table:
        if name not in known:
            raise ValueError(f"unknown setting {name!r} in {key}; known: {', '.join(known)}")
    if some and not table:
        raise ValueError(f"{key}: this table of settings is empty; add one")


def _require_rising(steps: Sequence[int]) -> None:
    if not steps or sorted(set(steps)) != list(steps) or not steps[0]:
        found = ", ".join(map(step_label, steps)) or "none"
        raise ValueError(f"checkpoints are {found}: give steps such as 500K or 1M in rising order")


@dataclass(frozen=True, kw_only=True)
class VariantRow:
    """Experiments of a variant: τ and checkpoints, by default the size's checkpoints."""

    taus: tuple[_Tau, ...]
    checkpoints: tuple[PaperStep, ...] | None = None

    def __post_init__(self) -> None:
        require_different(self.taus, "τ")
        if self.checkpoints is not None:
            _require_rising(self.checkpoints)


@dataclass(frozen=True, kw_only=True)
class SizeMatrix:
    """Experiments of one size. Steps are on the paper's scale.

    Attributes:
      taus: every τ, in print order.
      runs: number of pre-training runs; their seeds count from ``first_seed``.
      checkpoints: steps at which models are fine-tuned; pre-training ends at the last one.
      checkpoints_of: other checkpoints for some τ.
      finetune_runs: number of fine-tuning runs of each suite at each checkpoint; their seeds count
        from 0.
      finetune_at: further steps at which models are fine-tuned, up to the last checkpoint; 0 is
        fine-tuning from scratch.
      first_seed: seed of the first pre-training run.
      runs_of: smaller number of runs for some τ.
      variants: further experiments, by variant.
    """

    taus: tuple[_Tau, ...]
    runs: _Runs
    checkpoints: tuple[PaperStep, ...]
    checkpoints_of: Mapping[_Tau, tuple[PaperStep, ...]] = field(default_factory=dict)
    finetune_runs: _Runs = 1
    finetune_at: tuple[PaperStep, ...] = ()
    first_seed: Annotated[int, Field(ge=0, lt=MOST_RUNS)] = 0
    runs_of: Mapping[_Tau, _Runs] = field(default_factory=dict)
    variants: Mapping[str, VariantRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_different(self.taus, "τ")
        for steps in (self.checkpoints, *self.checkpoints_of.values()):
            _require_rising(steps)
        if further := self.finetune_at[1 if self.finetune_at[:1] == (0,) else 0 :]:
            _require_rising(further)
        for name in ("checkpoints_of", "runs_of"):
            for tau in getattr(self, name):
                if tau not in self.taus:
                    raise ValueError(f"{name} has τ = {tau}, which is not in taus: add it")
        for tau, runs in self.runs_of.items():
            if runs > self.runs:
                raise ValueError(f"runs_of has {runs} for τ = {tau}: give {self.runs} or fewer")
        if self.first_seed + self.runs > MOST_RUNS:
            raise ValueError(
                f"the last seed is {self.first_seed + self.runs - 1}: give first_seed and runs so "
                f"that it is under {MOST_RUNS}"
            )

    @property
    def seeds(self) -> range:
        """Seeds of pre-training."""
        return range(self.first_seed, self.first_seed + self.runs)

    def seeds_of(self, tau: Tau) -> range:
        """Returns the pre-training seeds of one τ without a variant."""
        return self.seeds[: self.runs_of.get(tau, self.runs)]

    @property
    def finetune_seeds(self) -> range:
        """Seeds of fine-tuning."""
        return range(self.finetune_runs)

    def checkpoints_at(self, tau: Tau, variant: str = "") -> tuple[int, ...]:
        """Returns the checkpoints of an experiment."""
        if variant:
            return self.variants[variant].checkpoints or self.checkpoints
        return self.checkpoints_of.get(tau, self.checkpoints)
