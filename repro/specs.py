"""What a person asks for: a size, a τ, a seed and perhaps a variant of a profile; and profiles.

A profile is a TOML file that fixes everything but those. A profile with fewer steps than the
paper keeps every fraction of the paper's million.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from analysis.schema.facts import FLAN_SUITES, PAPER_STEPS, SIZES, SUITES, Tau, step_label
from repro.matrix import SizeMatrix, known_keys, parse_matrix, parse_step, settings_table
from repro.variants import Variant, parse_variants
from spactor.config import DataConfig, FinetuneConfig, PretrainConfig
from spactor.errors import UserError
from spactor.files import RESERVED_NAMES
from spactor.plain_data import from_mapping

Size = Literal["base", "large"]
Engine = Literal["local", "t5x"]
# Forty times the paper's own tree (474), and more than anyone trains, yet planned in seconds: a
# slip in a number of runs is told, where millions of nodes would fill the memory.
MOST_NODES = 20_000
"""Most nodes of a profile's tree, what experiments share counted for each."""


@dataclass(frozen=True, kw_only=True, order=True)
class ExperimentSpec:
    """One experiment: a size and a τ, run from a seed, at the scale of a profile.

    ``variant`` names a change to the profile's pre-training; "" is the published one.
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
        """What a plan and a provenance say of it."""
        named = {"variant": self.variant} if self.variant else {}
        return {"size": self.size, "tau": str(self.tau), "seed": self.seed} | named


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One scale at which the paper's study runs.

    Attributes:
      name: also the name of its folder of runs.
      purpose: one line for people.
      engine: the trainer it is written for.
      total_steps: pre-training steps that stand for the paper's million.
      log_period_steps, validation_period_steps, checkpoint_period_steps: in steps of its own.
      validation_chunks: size of the fixed validation set.
      suites: columns of Tables 2 and 4 that are fine-tuned.
      data: text and vocabulary.
      sizes: pre-training of each size.
      finetuning: settings of each suite.
      matrix: experiments of each size.
      variants: by name.
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

    def __post_init__(self) -> None:
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
        self._require_a_tree_to_hold()
        for spec in self.specs():
            for paper_steps in (self.hybrid_end(spec), *self.finetuned_at(spec)):
                self.step_of(paper_steps)
            self.config_of(spec)

    def step_of(self, paper_steps: int) -> int:
        """The profile's own step that stands for a step of the paper.

        Raises:
          UserError: when it is no whole number.
        """
        step, rest = divmod(paper_steps * self.total_steps, PAPER_STEPS)
        if rest:
            raise UserError(
                f"profile {self.name}: {step_label(paper_steps)} of the paper's steps is no whole "
                f"step of {self.total_steps}: choose another total_steps"
            )
        return step

    def paper_step_of(self, step: int) -> int:
        """The paper's step nearest to one of the profile's own."""
        return round(step * PAPER_STEPS / self.total_steps)

    def specs(self) -> tuple[ExperimentSpec, ...]:
        """Every experiment of the matrix, size by size, seed by seed, variants last."""
        return tuple(
            spec
            for size, row in self.matrix.items()
            for seed in row.seeds
            for spec in self._of_seed(size, seed)
        )

    def _of_seed(self, size: str, seed: int) -> Iterator[ExperimentSpec]:
        row = self.matrix[size]
        named = ((name, of.taus) for name, of in row.variants.items())
        for variant, taus in (("", row.taus), *named):
            for tau in taus:
                yield ExperimentSpec(
                    profile=self.name, size=size, tau=tau, seed=seed, variant=variant
                )

    def most_nodes(self, size: str) -> int:
        """Nodes of a size, counted without building any: its tree has no more of them.

        What experiments share is counted for each. One ends a segment at every checkpoint, at τ,
        and where it parts from another.
        """
        row = self.matrix[size]
        leaves = len(self.suites) * row.finetune_runs
        alone = (2 + len(self.finetuned_at(spec)) * (1 + leaves) for spec in self._of_seed(size, 0))
        return row.runs * sum(alone)

    def _require_a_tree_to_hold(self) -> None:
        nodes = {size: self.most_nodes(size) for size in self.matrix}
        if sum(nodes.values()) > MOST_NODES:
            size, most = max(nodes.items(), key=lambda item: item[1])
            row = self.matrix[size]
            raise UserError(
                f"profile {self.name}: matrix.{size} makes up to {most:,} nodes with runs = "
                f"{row.runs} and finetune_runs = {row.finetune_runs}; a tree has {MOST_NODES:,} at "
                "most: give fewer runs, finetune_runs, τ or checkpoints"
            )

    def checkpoints_of(self, spec: ExperimentSpec) -> tuple[int, ...]:
        """Paper steps of an experiment that tables show; pre-training ends at the last."""
        row = self.matrix[spec.size]
        return (row.variants[spec.variant] if spec.variant else row).checkpoints[spec.tau]

    def finetuned_at(self, spec: ExperimentSpec) -> tuple[int, ...]:
        """Paper steps at which an experiment's models are fine-tuned; 0 is from scratch."""
        shown = self.checkpoints_of(spec)
        more = () if spec.variant else self.matrix[spec.size].finetune_at
        return tuple(sorted({*shown, *(step for step in more if step <= shown[-1])}))

    def hybrid_end(self, spec: ExperimentSpec) -> int:
        """Paper step at which an experiment leaves the hybrid stage."""
        if not spec.variant:
            return spec.tau.end
        return self.variants[spec.variant].hybrid_end(spec.tau.end, PAPER_STEPS)

    def config_of(self, spec: ExperimentSpec) -> PretrainConfig:
        """Pre-training of an experiment over its whole length."""
        config = self.sizes[spec.size]
        if not spec.variant:
            return config
        return self.variants[spec.variant].applied(config, spec.tau.end, self.step_of)

    def select(
        self,
        sizes: Sequence[str] = (),
        taus: Sequence[str] = (),
        seeds: Sequence[int] = (),
        variants: Sequence[str] = (),
    ) -> tuple[ExperimentSpec, ...]:
        """Experiments with the sizes, τ, seeds and variants named; all of them where none is.

        Raises:
          UserError: for one of these that the profile has nowhere, or no such combination.
        """
        wanted_taus = [Tau.parse(text) for text in taus]
        every = self.specs()
        _known("size", sizes, {spec.size: None for spec in every}, self.name)
        _known("τ", wanted_taus, {spec.tau: None for spec in every}, self.name)
        _known("seed", seeds, {spec.seed: None for spec in every}, self.name)
        named = {spec.variant: None for spec in every if spec.variant}
        if variants and not named:
            raise UserError(f"profile {self.name} has no variants: leave --variant out")
        _known("variant", variants, named, self.name)
        chosen = tuple(
            spec
            for spec in every
            if (not sizes or spec.size in sizes)
            and (not wanted_taus or spec.tau in wanted_taus)
            and (not seeds or spec.seed in seeds)
            and (not variants or spec.variant in variants)
        )
        if not chosen:
            raise UserError(
                f"profile {self.name} has no experiment with these sizes, τ and seeds together: "
                f"see `repro plan --profile {self.name}`"
            )
        return chosen


_PERIODS = ("log_period_steps", "validation_period_steps", "checkpoint_period_steps")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def _known(what: str, wanted: Sequence[Any], known: Mapping[Any, None], profile: str) -> None:
    for item in wanted:
        if item not in known:
            raise UserError(
                f"profile {profile} has no {what} {str(item)!r}: it has "
                f"{', '.join(str(name) for name in known)}"
            )


def profile_names() -> tuple[str, ...]:
    """Profiles that come with the package, from quickest to dearest."""
    return ("smoke", "micro", "mini", "paper")


@cache
def load_profile(name: str) -> Profile:
    """Reads a profile by its name, or from a ``.toml`` file of the user's own.

    Raises:
      UserError: for an unknown name, an unreadable file or any setting out of place.
    """
    if name in profile_names():
        text = (resources.files("repro") / "profiles" / f"{name}.toml").read_text("utf-8")
        return parse_profile(name, text, f"profile {name}")
    if not name.endswith(".toml"):
        raise UserError(
            f"unknown profile {name!r}: give one of {', '.join(profile_names())}, "
            "or the path of a .toml file"
        )
    path = Path(name)
    taken = (*profile_names(), "cache")
    if not _NAME.fullmatch(path.stem) or path.stem in RESERVED_NAMES.union(taken):
        raise UserError(
            f"{name}: a profile's file name names its folder of runs: use small letters, digits, "
            f"- and _, and neither a device of Windows nor one of {', '.join(taken)}"
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: can't read this profile ({error}): check the path") from None
    return parse_profile(path.stem, text, name)


def parse_profile(name: str, text: str, where: str) -> Profile:
    """Builds a profile from TOML text; unknown keys are errors.

    ``extends = "micro"`` takes that profile's settings wherever the text has none of its own.

    Args:
      name: of the profile.
      text: TOML.
      where: what to call the source in an error.
    """
    values = _read(text, where)
    if "extends" in values:
        values = _over(_extended(values.pop("extends"), where), values)
    plain = from_mapping(
        _PlainSettings, {key: values[key] for key in values if key not in _TABLES}, where
    )
    tables = {key: settings_table(values.get(key), f"{where}: {key}") for key in _TABLES[:-1]}
    variants = parse_variants(values.get("variants", {}), f"{where}: variants", parse_step)
    suites = _checked_list(plain.suites, SUITES, f"{where}: suites")
    sizes = {
        size: from_mapping(PretrainConfig, tables["sizes"][size], f"{where}: sizes.{size}")
        for size in known_keys(tables["sizes"], SIZES, f"{where}: sizes")
    }
    matrix = {
        size: parse_matrix(tables["matrix"][size], f"{where}: matrix.{size}", tuple(variants))
        for size in known_keys(tables["matrix"], tuple(sizes), f"{where}: matrix")
    }
    return Profile(
        name=name,
        **dataclasses.asdict(plain) | {"suites": suites},
        data=from_mapping(DataConfig, tables["data"], f"{where}: data"),
        sizes=types.MappingProxyType(sizes),
        finetuning=_finetuning(tables["finetuning"], suites, f"{where}: finetuning"),
        matrix=types.MappingProxyType(matrix),
        variants=variants,
    )


def _read(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML ({error}): mend the file") from None


def _extended(name: object, where: str) -> dict[str, Any]:
    """Settings of the profile that another one extends."""
    if name not in profile_names():
        raise UserError(f"{where}: extends {name!r}: give one of {', '.join(profile_names())}")
    path = resources.files("repro") / "profiles" / f"{name}.toml"
    return _read(path.read_text("utf-8"), f"profile {name}")


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another: what both have is the second's, tables again one over another."""
    both = {key: _over(base[key], own[key]) for key in own if _are_tables(base.get(key), own[key])}
    return {**base, **own, **both}


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


@dataclass(frozen=True, kw_only=True)
class _PlainSettings:
    purpose: str
    engine: Engine
    total_steps: int
    log_period_steps: int
    validation_period_steps: int
    checkpoint_period_steps: int
    validation_chunks: int
    suites: list


_TABLES = ("data", "sizes", "finetuning", "matrix", "variants")  # the last may be missing


def _checked_list(items: object, known: Sequence[str], where: str) -> tuple[str, ...]:
    if not isinstance(items, list) or not items:
        raise UserError(f"{where}: give a list of at least one of {', '.join(known)}")
    for item in items:
        if item not in known:
            raise UserError(f"{where}: unknown {item!r}; known: {', '.join(known)}")
    if len(set(items)) != len(items):
        raise UserError(f"{where}: something is named twice; name it once")
    return tuple(items)


def _finetuning(
    table: Mapping[str, Any], suites: Sequence[str], where: str
) -> Mapping[str, FinetuneConfig]:
    known_keys(table, ("default", "flan"), where)
    default = settings_table(table.get("default"), f"{where}.default")
    flan = table.get("flan", {})
    configs = {}
    for suite in suites:
        group = "flan" if suite in FLAN_SUITES else "default"
        values = default | flan if group == "flan" else default
        configs[suite] = from_mapping(FinetuneConfig, values, f"{where}.{group}")
    return types.MappingProxyType(configs)
