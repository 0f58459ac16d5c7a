"""Profiles and experiments, which name the models to train and all their settings.

An experiment (`ExperimentSpec`) is a size, a τ, a seed and perhaps a variant. A profile is a TOML
file with everything else: model sizes, steps, data, fine-tuning, and the matrix of experiments. A
profile with fewer steps than the paper scales them: each step stands for the same share of the
paper's million.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from analysis.schema.facts import FLAN_SUITES, PAPER_STEPS, SIZES, SUITES, Tau, step_label
from repro import advice
from repro.matrix import SizeMatrix, require_different
from repro.variants import Variant, require_names
from spactor.config import DataConfig, FinetuneConfig, PretrainConfig
from spactor.errors import UserError
from spactor.plain_data import from_mapping

Engine = Literal["local", "t5x"]
SCALES = ("smoke", "micro", "mini", "paper")
"""Profiles of the paper's whole study that come with the package, from quickest to dearest."""
STUDIES = ("lambda", "mlm", "generator", "means", "curriculum", "scratch")
"""Profiles of further studies that come with the package: variants, or models from scratch."""
PROFILES = (*SCALES, *STUDIES)
MOST_NODES = 20_000
"""Most nodes of a profile's tree, shared ones counted for each experiment.

Forty times the paper's own tree (474). A slip in a number of runs is then an error message, where
millions of nodes would fill the memory.
"""


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
        """The experiment as a plan and a provenance record list it."""
        named = {"variant": self.variant} if self.variant else {}
        return {"size": self.size, "tau": str(self.tau), "seed": self.seed} | named


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One scale at which the paper's study runs.

    Attributes:
      name: also the name of its folder of runs.
      purpose: one line for a person.
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
      path: of the user's file that it was read from; "" for one of this project's.
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
            _require_known(getattr(self, key), known, key)
        require_names(self.variants)
        for size, row in self.matrix.items():
            _require_known(row.variants, self.variants, f"matrix.{size}.variants", some=False)
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
        named = {name: of.taus for name, of in row.variants.items()}
        for variant, taus in ({"": row.taus} | named).items():
            for tau in taus:
                if variant or seed in row.seeds_of(tau):
                    yield ExperimentSpec(
                        profile=self.name, size=size, tau=tau, seed=seed, variant=variant
                    )

    def most_nodes(self, size: str) -> int:
        """An upper bound on the nodes of a size, computed without building any.

        Shared nodes are counted for each experiment. Of an experiment a segment ends at every
        checkpoint, at τ, and where it begins to differ from another experiment.
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
                f"profile {self.name}: matrix.{size} makes up to {most:,} nodes with runs = "
                f"{row.runs} and finetune_runs = {row.finetune_runs}; a tree has {MOST_NODES:,} at "
                "most: give fewer runs, finetune_runs, τ or checkpoints"
            )

    def checkpoints_of(self, spec: ExperimentSpec) -> tuple[int, ...]:
        """Paper steps of an experiment that tables show; pre-training ends at the last."""
        return self.matrix[spec.size].checkpoints_at(spec.tau, spec.variant)

    def finetuned_at(self, spec: ExperimentSpec) -> tuple[int, ...]:
        """Paper steps at which an experiment's models are fine-tuned; 0 is from scratch."""
        shown = self.checkpoints_of(spec)
        more = () if spec.variant else self.matrix[spec.size].finetune_at
        return tuple(sorted({*shown, *(step for step in more if step <= shown[-1])}))

    def hybrid_end(self, spec: ExperimentSpec) -> int:
        """Paper step at which an experiment leaves the hybrid stage."""
        if not spec.variant:
            return spec.tau.end
        try:
            return self.variants[spec.variant].hybrid_end(spec.tau.end)
        except UserError as error:
            raise UserError(f"profile {self.name}: variant {spec.variant}: {error}") from None

    def config_of(self, spec: ExperimentSpec) -> PretrainConfig:
        """Pre-training of an experiment over its whole length."""
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
        """The experiments with some sizes, τ, seeds and variants; an empty list selects all.

        Raises:
          UserError: the profile has no experiment with one of these, or with all of them.
        """
        every = chosen = self.specs()
        taus_wanted = [Tau.parse(text) for text in taus]
        wanted = {"size": sizes, "tau": taus_wanted, "seed": seeds, "variant": variants}
        for name, items in wanted.items():
            known = dict.fromkeys(getattr(spec, name) for spec in every)
            known.pop("", None)  # An experiment without a variant.
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


_PERIODS = ("log_period_steps", "validation_period_steps", "checkpoint_period_steps")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def _require_known(
    table: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any], key: str, some: bool = True
) -> None:
    for name in table:
        if name not in known:
            raise ValueError(f"unknown setting {name!r} in {key}; known: {', '.join(known)}")
    if some and not table:
        raise ValueError(f"{key}: this table of settings is empty; add one")


@cache
def load_profile(name: str) -> Profile:
    """Reads a profile by its name, or from a ``.toml`` file of the user's own.

    Raises:
      UserError: for an unknown name, an unreadable file or an invalid setting.
    """
    if name in PROFILES:
        return parse_profile(name, _packaged(name), f"profile {name}")
    if not name.endswith(".toml"):
        raise UserError(
            f"unknown profile {name!r}: give one of {', '.join(PROFILES)}, "
            "or the path of a .toml file"
        )
    path = Path(name)
    taken = (*PROFILES, "cache")
    if not _NAME.fullmatch(path.stem) or path.stem in taken:
        raise UserError(
            f"{name}: a profile's file name names its folder of runs: use small letters, digits, "
            f"- and _, and none of {', '.join(taken)}"
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{name}: can't read this profile ({error}): check the path") from None
    return dataclasses.replace(parse_profile(path.stem, text, name), path=name)


def parse_profile(name: str, text: str, where: str) -> Profile:
    """Builds a profile from TOML text; unknown keys are errors.

    ``extends = "micro"`` takes that profile's settings wherever the text has none of its own;
    ``without = ["matrix.large"]`` leaves some of them out, tables or single settings.

    Args:
      name: of the profile.
      text: TOML.
      where: what to call the source in an error.
    """
    values = _read(text, where)
    suites = values.get("suites")
    if isinstance(suites, list):
        tables = _finetuning(values.get("finetuning"), suites, f"{where}: finetuning")
        values["finetuning"] = tables
    for key in ("name", "path"):
        if key in values:
            raise UserError(f"{where}: unknown setting {key!r}: the file's own is the profile's")
    return from_mapping(Profile, {"name": name, **values}, where)


def _packaged(name: str) -> str:
    return (resources.files("repro") / "profiles" / f"{name}.toml").read_text("utf-8")


def _read(text: str, where: str) -> dict[str, Any]:
    """The settings of a profile, over those of the profile it extends."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: not valid TOML ({error}): fix the file") from None
    except RecursionError:
        raise UserError(f"{where}: lists or tables nested too deeply: fix the file") from None
    without = values.pop("without", [])
    if "extends" not in values:
        if without:
            raise UserError(f"{where}: without = {without!r} needs extends: add it")
        return values
    name = values.pop("extends")
    if name not in PROFILES:
        raise UserError(f"{where}: extends {name!r}: give one of {', '.join(PROFILES)}")
    base = _read(_packaged(name), f"profile {name}")
    for key in without if isinstance(without, list) else [without]:
        _remove(base, key, f"{where}: without: profile {name}")
    return _over(base, values)


def _remove(values: dict[str, Any], key: object, where: str) -> None:
    """Removes a setting or a table by its path, such as ``matrix.large``."""
    *path, last = str(key).split(".")
    table: Any = values
    for part in path:
        table = table.get(part) if isinstance(table, dict) else None
    if not isinstance(table, dict) or last not in table:
        raise UserError(f"{where} has no setting {key!r}: check the name")
    del table[last]


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another, and so their inner tables; ``own`` decides where both have a key."""
    both = {key: _over(base[key], own[key]) for key in own if _are_tables(base.get(key), own[key])}
    return {**base, **own, **both}


def _are_tables(*values: object) -> bool:
    return all(isinstance(value, dict) for value in values)


def _finetuning(tables: object, suites: Sequence[object], where: str) -> dict[str, Any]:
    """Settings of each suite: those of all, over them those of FLAN's suites, and its own."""
    groups = from_mapping(_FinetuningTables, tables, where)  # type: ignore[arg-type]
    try:
        _require_known(groups.suites, SUITES, "suites", some=False)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return {
        str(suite): {
            **groups.default,
            **(groups.flan if suite in FLAN_SUITES else {}),
            **groups.suites.get(str(suite), {}),
        }
        for suite in suites
    }


@dataclass(frozen=True, kw_only=True)
class _FinetuningTables:
    default: Mapping[str, Any]
    flan: Mapping[str, Any] = field(default_factory=dict)
    suites: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
