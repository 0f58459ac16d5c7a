"""Which experiments of a size a profile runs: every τ, the seeds, and where models are fine-tuned.

Steps are written as the paper counts them, a million to a pre-training.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.schema.facts import PAPER_STEPS, Tau, thousands
from spactor.errors import UserError

MOST_RUNS = 1000
"""Most pre-training and most fine-tuning runs; seeds of both become one number."""


@dataclass(frozen=True, kw_only=True)
class VariantRow:
    """The experiments of one variant: its τ, and the checkpoints of each."""

    taus: tuple[Tau, ...]
    checkpoints: Mapping[Tau, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class SizeMatrix:
    """The experiments of one size.

    Attributes:
      taus: every τ, in print order.
      runs: pre-training runs; their seeds are 0 … runs - 1.
      checkpoints: paper steps at which models are fine-tuned, for each τ; pre-training ends at
        the last of them.
      finetune_runs: fine-tuning runs of each suite at each checkpoint; their seeds count from 0.
      finetune_at: further steps at which models are fine-tuned, as far as their pre-training goes
        (continuous fine-tuning); 0 means from scratch.
      variants: experiments beside these, by variant.
    """

    taus: tuple[Tau, ...]
    runs: int
    checkpoints: Mapping[Tau, tuple[int, ...]]
    finetune_runs: int = 1
    finetune_at: tuple[int, ...] = ()
    variants: Mapping[str, VariantRow] = field(default_factory=dict)

    @property
    def seeds(self) -> range:
        """Seeds of pre-training."""
        return range(self.runs)

    @property
    def finetune_seeds(self) -> range:
        """Seeds of fine-tuning."""
        return range(self.finetune_runs)


def settings_table(value: object, where: str) -> Mapping[str, Any]:
    """A table of settings that must be there."""
    if not isinstance(value, dict) or not value:
        raise UserError(f"{where}: this table of settings is missing or empty; add it")
    return value


def known_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> list[str]:
    """Those of the known keys that a table has; an unknown one is an error."""
    for key in table:
        if key not in known:
            raise UserError(f"{where}: unknown setting {key!r}; known: {', '.join(known)}")
    return [key for key in known if key in table]


def parse_step(text: object, where: str) -> int:
    """Reads a step of the paper: 0, thousands, or 1M."""
    step = {"0": 0, "1M": PAPER_STEPS}.get(str(text), thousands(text))
    if step is None:
        raise UserError(f"{where} is {text!r}: give 0, thousands such as 60K, or 1M")
    return step


def parse_matrix(table: object, where: str, variants: Sequence[str]) -> SizeMatrix:
    """The matrix of one size, from a profile's plain data.

    Args:
      table: plain data as read from TOML.
      where: what to call the source in an error.
      variants: names that the profile has.

    Raises:
      UserError: a setting that is unknown, missing or out of range.
    """
    table = settings_table(table, where)
    needed = ("taus", "runs", "checkpoints")
    optional = ("checkpoints_of", "finetune_runs", "finetune_at", "variants")
    known_keys(table, needed + optional, where)
    for key in needed:
        if key not in table:
            raise UserError(f"{where}: setting {key!r} is missing; add it")
    for key in ("runs", "finetune_runs"):
        runs = table.get(key, 1)
        if not isinstance(runs, int) or isinstance(runs, bool) or not 1 <= runs <= MOST_RUNS:
            raise UserError(f"{where}.{key} is {runs!r}: give 1 to {MOST_RUNS}")
    taus = _taus(table["taus"], where)
    everywhere = _checkpoints(table["checkpoints"], f"{where}.checkpoints")
    of = table.get("checkpoints_of", {})
    known_keys(of, tuple(map(str, taus)), f"{where}.checkpoints_of")
    checkpoints = {
        tau: _checkpoints(of[str(tau)], f"{where}.checkpoints_of.{tau}")
        if str(tau) in of
        else everywhere
        for tau in taus
    }
    rows = table.get("variants", {})
    return SizeMatrix(
        taus=taus,
        runs=table["runs"],
        finetune_runs=table.get("finetune_runs", 1),
        finetune_at=_finetune_at(table.get("finetune_at", []), f"{where}.finetune_at"),
        checkpoints=types.MappingProxyType(checkpoints),
        variants=types.MappingProxyType(
            {
                name: _variant_row(rows[name], f"{where}.variants.{name}", everywhere)
                for name in known_keys(rows, variants, f"{where}.variants")
            }
        ),
    )


def _variant_row(table: object, where: str, checkpoints: tuple[int, ...]) -> VariantRow:
    table = settings_table(table, where)
    known_keys(table, ("taus", "checkpoints"), where)
    taus = _taus(table.get("taus"), where)
    if "checkpoints" in table:
        checkpoints = _checkpoints(table["checkpoints"], f"{where}.checkpoints")
    return VariantRow(taus=taus, checkpoints=dict.fromkeys(taus, checkpoints))


def _taus(texts: object, where: str) -> tuple[Tau, ...]:
    if not isinstance(texts, list) or not texts or len(set(map(str, texts))) != len(texts):
        raise UserError(f"{where}.taus: give a list of different τ")
    return tuple(Tau.parse(text) for text in texts)


def _finetune_at(items: object, where: str) -> tuple[int, ...]:
    if items == []:
        return ()
    if isinstance(items, list) and items[0] == "0":
        return (0, *_finetune_at(items[1:], where))
    return _checkpoints(items, where)


def _checkpoints(items: object, where: str) -> tuple[int, ...]:
    if not isinstance(items, list) or not items:
        raise UserError(f"{where}: give a list of steps such as 500K or 1M")
    steps = []
    for item in items:
        step = PAPER_STEPS if item == "1M" else thousands(item)
        if step is None:
            raise UserError(f"{where}: {item!r}: give thousands up to 999K, or 1M")
        steps.append(step)
    if sorted(set(steps)) != steps:
        raise UserError(f"{where}: give the steps in rising order, each once")
    return tuple(steps)
