"""Profiles and experiments, which specify the models to train and all settings.

An experiment (`ExperimentSpec`) has a size, a τ, a seed and optionally a variant. A profile is a
TOML file with everything else (`repro.profile_files` reads it): model sizes, steps, data,
fine-tuning, and the matrix of experiments. In a profile with fewer steps than the paper, a step
represents the same share of training in the paper's million.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from analysis.schema.facts import PAPER_STEPS, SIZES, SUITES, Tau, step_label
from repro import advice, profile_files
from repro.matrix import SizeMatrix, require_different, require_known
from repro.variants import Variant, require_names
from spactor.config import DataConfig, FinetuneConfig, PretrainConfig
from spactor.errors import UserError
from spactor.plain_data import from_mapping

Engine = Literal["local", "t5x"]
_PERIODS = ("log_period_steps", "validation_period_steps", "checkpoint_period_steps")
MOST_NODES = 20_000
"""Largest number of nodes in a profile's tree, shared ones counted for each experiment.

It is forty times the size of the paper's tree (474). A mistake in a number of runs is reported as
an error, instead of filling the memory with millions of nodes.
"""


@dataclass(frozen=True, kw_only=True, order=True)
class ExperimentSpec:
    """An experiment: size, τ and seed, at the scale of a profile.

    ``variant`` names a change to the profile's pre-training; it is "" for the published settings.
    """

    profile: str
    size: str
    seed: int
    tau: Tau
    variant: str = ""

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"unknown size {self.size!r}: give one of {', '.join(SIZES)}")
        if self.seed < 0:
            raise UserError(f"seed {self.seed}: give 0 or more")

    def plain_data(self) -> dict[str, Any]:
        """Converts the experiment to plain data, for plans and provenance."""
        named = {"variant": self.variant} if self.variant else {}
        return {"size": self.size, "tau": str(self.tau), "seed": self.seed} | named


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A scale at which the paper's study runs.

    Attributes:
      name: name of the profile, and of its folder of runs.
      purpose: description in one line.
      engine: engine that trains it by default.
      total_steps: number of pre-training steps that correspond to the paper's million.
      log_period_steps, validation_period_steps, checkpoint_period_steps: periods in the profile's
        steps.
      validation_chunks: number of chunks in the fixed validation set.
      suites: columns of Tables 2 and 4 to fine-tune on.
      data: text and vocabulary.
      sizes: pre-training configuration of each size.
      finetuning: fine-tuning settings of each suite.
      matrix: experiments of each size.
      variants: variants by name.
      path: path of the user's file; "" for a profile of the package.
    """

    name: str
    purpose: str
    engine: Engine
    total_steps: int
    log_period_steps: int
    validation_period_steps: int
    checkpoint_period_steps: int
    validation_chunks: int
    suites: tuple[str, ...]
    data: DataConfig
    sizes: Mapping[str, PretrainConfig]
    finetuning: Mapping[str, FinetuneConfig]
    matrix: Mapping[str, SizeMatrix]
    variants: Mapping[str, Variant] = field(default_factory=dict)
    path: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for suite in self.suites:
            if suite not in SUITES:
                raise ValueError(
                    f"unknown suite {suite!r} in suites: known are {', '.join(SUITES)}"
                )
        require_different(self.suites, "suites")
        for key, known in (("sizes", SIZES), ("matrix", self.sizes)):
            require_known(getattr(self, key), known, key)
        require_names(self.variants)
        for size, row in self.matrix.items():
            require_known(row.variants, self.variants, f"matrix.{size}.variants", some=False)
        for name in ("total_steps", "validation_chunks", *_PERIODS):
            if getattr(self, name) <= 0:
                raise UserError(
                    f"profile {self.name}: {name} is {getattr(self, name)}: give 1 or more"
                )
        for size, config in self.sizes.items():
            if config.model.vocab_size != self.data.vocab_size:
                raise UserError(
                    f"profile {self.name}: sizes.{size}.model.vocab_size "
                    f"{config.model.vocab_size} differs from data.vocab_size "
                    f"{self.data.vocab_size}: make them equal"
                )
        self._require_tree_fits()
        for spec in self.specs():
            for paper_steps in (self.hybrid_end(spec), *self.finetuned_at(spec)):
                self.step_of(paper_steps)
            self.config_of(spec)

    def step_of(self, paper_steps: int) -> int:
        """Converts a step on the paper's scale to the profile's scale.

        Raises:
          UserError: the result is not a whole number.
        """
        step, rest = divmod(paper_steps * self.total_steps, PAPER_STEPS)
        if rest:
            raise UserError(
                f"profile {self.name}: {step_label(paper_steps)} of the paper's steps is no whole "
                f"step of {self.total_steps}: choose another total_steps"
            )
        return step

    def paper_step_of(self, step: int) -> int:
        """Converts a step on the profile's scale to the nearest one on the paper's scale."""
        return round(step * PAPER_STEPS / self.total_steps)

    def specs(self) -> tuple[ExperimentSpec, ...]:
        """Returns every experiment of the matrix by size and seed, variants last."""
        return tuple(
            spec
            for size, row in self.matrix.items()
            for seed in row.seeds
            for spec in self._of_seed(size, seed)
        )

    def _of_seed(self, size: str, seed: int) -> Iterator[ExperimentSpec]:
        row = self.matrix[size]
        named = {name: of.taus for name, of in row.variants.items()}
        for variant, taus in ({"": row.taus} | named).items():
            for tau in taus:
                if variant or seed in row.seeds_of(tau):
                    yield ExperimentSpec(
                        profile=self.name, size=size, tau=tau, seed=seed, variant=variant
                    )

    def most_nodes(self, size: str) -> int:
        """Returns an upper bound on the number of nodes of a size, without building any.

        Shared nodes are counted for each experiment. An experiment's segments end at every
        checkpoint, at τ, and at the step where it begins to differ from another experiment.
        """
        row = self.matrix[size]
        leaves = len(self.suites) * row.finetune_runs
        alone = (
            2 + len(self.finetuned_at(spec)) * (1 + leaves)
            for spec in self._of_seed(size, row.first_seed)
        )
        return row.runs * sum(alone)

    def _require_tree_fits(self) -> None:
        nodes = {size: self.most_nodes(size) for size in self.matrix}
        if sum(nodes.values()) > MOST_NODES:
            size, most = max(nodes.items(), key=lambda item: item[1])
            row = self.matrix[size]
            raise UserError(
                f"profile {self.name}: matrix.{size} has up to {most:,} nodes with runs = "
                f"{row.runs} and finetune_runs = {row.finetune_runs}; a tree has {MOST_NODES:,} at "
                "most: give fewer runs, finetune_runs, τ or checkpoints"
            )

    def checkpoints_of(self, spec: ExperimentSpec) -> tuple[int, ...]:
        """Returns an experiment's checkpoints in tables; pre-training ends at the last one."""
        return self.matrix[spec.size].checkpoints_at(spec.tau, spec.variant)

    def finetuned_at(self, spec: ExperimentSpec) -> tuple[int, ...]:
        """Returns the paper steps at which an experiment is fine-tuned; 0 is from scratch."""
        shown = self.checkpoints_of(spec)
        more = () if spec.variant else self.matrix[spec.size].finetune_at
        return tuple(sorted({*shown, *(step for step in more if step <= shown[-1])}))

    def hybrid_end(self, spec: ExperimentSpec) -> int:
        """Returns the paper step at which an experiment's hybrid stage ends."""
        if not spec.variant:
            return spec.tau.end
        try:
            return self.variants[spec.variant].hybrid_end(spec.tau.end)
        except UserError as error:
            raise UserError(f"profile {self.name}: variant {spec.variant}: {error}") from None

    def config_of(self, spec: ExperimentSpec) -> PretrainConfig:
        """Returns the pre-training configuration of an experiment over its whole length."""
        config = self.sizes[spec.size]
        if not spec.variant:
            return config
        variant = self.variants[spec.variant]
        return variant.applied(spec.variant, config, spec.tau.end, self.step_of)

    def select(
        self,
        sizes: Sequence[str] = (),
        taus: Sequence[str] = (),
        seeds: Sequence[int] = (),
        variants: Sequence[str] = (),
    ) -> tuple[ExperimentSpec, ...]:
        """Selects experiments by size, τ, seed and variant; an empty list selects all.

        Raises:
          UserError: the profile has no experiment with one of these values, or with a combination.
        """
        every = chosen = self.specs()
        taus_wanted = [Tau.parse(text) for text in taus]
        wanted = {"size": sizes, "tau": taus_wanted, "seed": seeds, "variant": variants}
        for name, items in wanted.items():
            known = dict.fromkeys(getattr(spec, name) for spec in every)
            known.pop("", None)  # experiments without a variant
            if items and not known:
                raise UserError(f"profile {self.name} has no variants: leave --variant out")
            for item in items:
                if item not in known:
                    what = "τ" if name == "tau" else name
                    raise UserError(
                        f"profile {self.name} has no {what} {str(item)!r}: it has "
                        f"{', '.join(map(str, known))}"
                    )
            if items:
                chosen = tuple(spec for spec in chosen if getattr(spec, name) in items)
        if not chosen:
            raise UserError(
                f"profile {self.name} has no experiment with these sizes, τ and seeds together: "
                f"see `{advice.command('plan', self)}`"
            )
        return chosen


@cache
def load_profile(name: str) -> Profile:
    """Reads a profile of the package by name, or of the user from a ``.toml`` file.

    Raises:
      UserError: the name is unknown, the file can't be read, or a setting is invalid.
    """
    text = profile_files.read(name)
    if name in profile_files.PROFILES:
        return parse_profile(name, text, f"profile {name}")
    return dataclasses.replace(parse_profile(Path(name).stem, text, name), path=name)


def parse_profile(name: str, text: str, where: str) -> Profile:
    """Creates a profile from TOML text.

    Args:
      name: name of the profile.
      text: the TOML text.
      where: name of the source in error messages.

    Raises:
      UserError: the text is not valid TOML, or a setting is unknown or invalid.
    """
    return from_mapping(Profile, {"name": name, **profile_files.settings(text, where)}, where)
