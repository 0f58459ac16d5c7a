"""Typed access to the numbers that statements are judged on; a missing one raises ``Missing``.

Every lookup serves published and measured records alike: a published suite average and the runs
behind a measured one are both a ``Sample``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from analysis import scores
from analysis.schema import published
from analysis.schema.facts import FROM_SCRATCH, SUITE_SHORT_NAMES, Tau, step_label
from analysis.schema.quantities import VOCABULARY_SIZE
from analysis.schema.records import sole_profile
from analysis.speeds import logged_speeds
from analysis.tests import Sample
from spactor.config import CorruptionConfig, ModelConfig, PretrainConfig

HALF, FULL = 500_000, 1_000_000
"""The two checkpoints of Tables 2 and 4, in pre-training steps."""
STUDY_MODEL = ("base", "inf", 250_000)
STUDY_SUITES = ("superglue", "squad")
"""Appendix A.1 chose its settings on these scores of this model."""
REAL_TASK_PROFILES = ("paper", "mini")
VOCABULARY_ROWS = 32_128
"""T5's embedding: 32,000 pieces and 100 sentinels, filled up to a multiple of 128."""


class Missing(Exception):
    """The records do not decide; the message names what they lack, without a full stop."""


class OtherScale(Missing):
    """The records are of a scaled profile, to which the statement does not apply."""


class Cell(NamedTuple):
    """A suite's score of one model at a checkpoint; ``variant``: of a changed pre-training."""

    size: str
    tau: str
    checkpoint: int
    suite: str
    variant: str = ""


def describe(size: str, tau: str, checkpoint: int | None = None) -> str:
    """A model in words.

    >>> describe("base", "0", 500_000), describe("large", "inf")
    ('the Base baseline at 500K', 'Large SPACTOR(∞)')
    """
    name = size.capitalize()
    model = f"the {name} baseline" if tau == "0" else f"{name} SPACTOR({tau.replace('inf', '∞')})"
    return model if checkpoint is None else f"{model} at {step_label(checkpoint)}"


def stated(metric: str, size: str = "", tau: str = "", checkpoint: int | None = None) -> float:
    """A number that the paper's text states, from ``prose.csv``."""
    return _prose()[metric, size, tau, checkpoint]


@functools.cache
def _prose() -> dict[tuple[str, str, str, int | None], float]:
    return {
        (
            row["metric"],
            row["size"],
            row["tau"],
            None if pd.isna(row["checkpoint"]) else int(row["checkpoint"]),
        ): float(row["value"])
        for row in published.load_prose().to_dict("records")
    }


@dataclass(frozen=True)
class Evidence:
    """Lookups in the records of one source and profile.

    Attributes:
      records: of the published experiments.
      source, profile: of all of them, "" of no records.
      variants: measured records of changed pre-trainings, for the studies of Appendix A.1.
    """

    records: pd.DataFrame
    source: str
    profile: str
    variants: pd.DataFrame

    @staticmethod
    def of(records: pd.DataFrame) -> Evidence:
        """Wraps records, which may be empty.

        Raises:
          UserError: the records mix profiles, or a run's scores are incomplete.
        """
        source, profile = sole_profile(records)
        if "variant" not in records:
            return Evidence(records, source, profile, records.iloc[:0])
        plain = records["variant"] == ""
        return Evidence(records[plain], source, profile, records[~plain])

    @functools.cached_property
    def scaled(self) -> bool:
        """Whether the records are of a profile with fewer steps than the paper's."""
        if self.source != "measured":
            return False
        steps = self.records[["step", "paper_step"]].dropna()
        return (
            self.profile != "paper"
            if steps.empty
            else bool((steps["step"] < steps["paper_step"]).any())
        )

    @functools.cached_property
    def samples(self) -> Mapping[Cell, Sample]:
        """Every suite score, in per cent, over all runs."""
        found = {}
        for variant, records in self._by_variant():
            table = scores.summary(records)
            for row in table[table["checkpoint"].notna()].to_dict("records"):
                cell = Cell(row["size"], row["tau"], int(row["checkpoint"]), row["suite"], variant)
                runs = 1 if pd.isna(row["runs"]) else row["runs"]
                found[cell] = Sample(float(row["mean"]), float(row["std"]), runs)
        return found

    @functools.cached_property
    def by_seed(self) -> Mapping[Cell, Mapping[int, float]]:
        """Measured suite scores by pre-training seed, the fine-tuning runs of a seed averaged."""
        return {
            Cell(*cell, variant): by_seed
            for variant, records in self._by_variant()
            for cell, by_seed in scores.seed_scores(records).items()
        }

    def _by_variant(self) -> list[tuple[str, pd.DataFrame]]:
        if self.variants.empty:
            return [("", self.records)]
        return [("", self.records), *((str(v), f) for v, f in self.variants.groupby("variant"))]

    def score(self, size: str, tau: str, checkpoint: int, suite: str) -> Sample:
        """A suite's score, in per cent, over runs."""
        found = self.samples.get(Cell(size, tau, checkpoint, suite))
        if found is None:
            name = SUITE_SHORT_NAMES[suite]
            raise Missing(f"no {name} score of {describe(size, tau, checkpoint)}")
        return found

    def spread_score(self, size: str, tau: str, checkpoint: int, suite: str) -> Sample:
        """A suite's score that has a spread over runs; one run alone raises ``Missing``."""
        found = self.score(size, tau, checkpoint, suite)
        if not found.testable:
            raise Missing(
                f"the {SUITE_SHORT_NAMES[suite]} score of {describe(size, tau, checkpoint)} is of "
                f"one run, without a spread ({found.mean:.2f})"
            )
        return found

    def scored(self, size: str, tau: str, checkpoint: int, suite: str) -> bool:
        """Whether there is such a score."""
        return Cell(size, tau, checkpoint, suite) in self.samples

    def checkpoints(self, size: str, tau: str) -> list[int]:
        """Checkpoints with a score of any suite, in order.

        Without fine-tuning from scratch, where all τ are one model.
        """
        found = {cell.checkpoint for cell in self.samples if cell[:2] == (size, tau)}
        return sorted(found - {FROM_SCRATCH})

    @functools.cached_property
    def _flops(self) -> dict[tuple[str, str, int], tuple[float, int]]:
        table = scores.relative_flops(self.records)
        return {
            (row["size"], row["tau"], int(row["checkpoint"])): (row["value"], int(row["decimals"]))
            for row in table[table["checkpoint"].notna()].to_dict("records")
        }

    def relative_flops(self, size: str, tau: str, checkpoint: int) -> float:
        """Pre-training FLOPs over those of the size's baseline at 500K."""
        return self.printed_flops(size, tau, checkpoint)[0]

    def printed_flops(self, size: str, tau: str, checkpoint: int) -> tuple[float, int]:
        """Relative FLOPs and the decimals they are printed with."""
        found = self._flops.get((size, tau, checkpoint))
        if found is None:
            raise Missing(f"no FLOPs of {describe(size, tau, checkpoint)}")
        return found

    def has_flops(self, size: str, tau: str, checkpoint: int) -> bool:
        """Whether there is such a cost."""
        return (size, tau, checkpoint) in self._flops

    def number(self, metric: str, size: str = "") -> float:
        """The one value of a metric that belongs to no run."""
        found = self._numbers.get((metric, size))
        if found is None:
            raise Missing(f"no {metric}{f' of {size.capitalize()}' if size else ''}")
        return found

    @functools.cached_property
    def _numbers(self) -> dict[tuple[str, str], float]:
        frame = self.records
        rows = frame[frame["step"].isna() & (frame["suite"] == "") & frame["value"].notna()]
        pairs = zip(rows["metric"], rows["size"], rows["value"], strict=True)
        # Of several the first counts: the baseline's, in the order of every table.
        return {(metric, size): float(value) for metric, size, value in reversed(list(pairs))}

    def step_overhead(self, size: str) -> float:
        """FLOPs of a hybrid step over a plain one, less 1."""
        plain = self.number("cost/step_flops/span_corruption", size)
        return self.number("cost/step_flops/hybrid", size) / plain - 1.0

    def relative_speed(self, size: str) -> float:
        """Sequences per second of the first stage over the baseline's."""
        if self.source == "published":
            return self.number(f"{published.RELATIVE_SPEED}/hybrid", size)
        return self._median_speed("hybrid", size) / self._median_speed("span_corruption", size)

    def _median_speed(self, stage: str, size: str) -> float:
        rows = logged_speeds(self.records[self.records["size"] == size], stage)
        if rows.empty:
            raise Missing(f"no sequences per second of {size.capitalize()}, stage {stage}")
        return float(rows["value"].median())

    def last_hybrid_step(self, size: str, tau: str) -> int:
        """Last step, on the paper's scale, at which the hybrid objective was trained.

        Measured: the last validation of the RTD loss. Published: τ in the model's name.
        """
        if self.source == "published":
            if not self.checkpoints(size, tau):
                raise Missing(f"no score of {describe(size, tau)}")
            return Tau.parse(tau).end
        rows = self.records[
            (self.records["metric"] == "validation/rtd_loss")
            & (self.records["size"] == size)
            & (self.records["tau"] == tau)
        ]["paper_step"].dropna()
        if rows.empty:
            raise Missing(f"no RTD loss of {describe(size, tau)}")
        return int(rows.max())

    def setting(self, name: str, size: str) -> float:
        """A pre-training setting, as Table 5 lists them."""
        return self.number(f"setting/{name}", size)

    def config(self, size: str) -> PretrainConfig:
        """The configuration with these settings, and T5's vocabulary where none is recorded.

        Table 5 does not list the vocabulary.
        """
        vocabulary = self._numbers.get((VOCABULARY_SIZE, size), VOCABULARY_ROWS)
        heads = int(self.setting("discriminator_heads", size))
        width = int(self.setting("discriminator_emb_dim", size))
        layers = int(self.setting("discriminator_layers", size))
        return PretrainConfig(
            model=ModelConfig(
                vocab_size=int(vocabulary),
                emb_dim=width,
                num_heads=heads,
                head_dim=width // heads,
                mlp_dim=int(self.setting("discriminator_mlp_dim", size)),
                num_encoder_layers=layers,
                num_decoder_layers=layers,
                generator_num_layers=int(self.setting("generator_layers", size)),
                generator_mlp_dim=int(self.setting("generator_mlp_dim", size)),
                rtd_mlp_dim=int(self.setting("rtd_mlp_dim", size)),
            ),
            corruption=CorruptionConfig(
                noise_density=self.setting("noise_density", size),
                mean_noise_span_length=self.setting("mean_noise_span_length", size),
                mlm_ratio=self.setting("mlm_ratio", size),
            ),
            input_length=int(self.setting("input_length", size)),
            batch_size=int(self.setting("batch_size", size)),
        )

    def tasks(self, suite: str) -> list[str]:
        """Names of a suite's tasks; stand-ins for the paper's tasks raise ``OtherScale``."""
        rows = self.records[(self.records["suite"] == suite) & (self.records["task"] != "")]
        if rows.empty:
            raise Missing(f"no task of {SUITE_SHORT_NAMES[suite]}")
        self.require(REAL_TASK_PROFILES, "its tasks are stand-ins")
        return sorted(set(rows["task"]))

    @property
    def shapes(self) -> str:
        """Where the shapes come from by which ``config`` counts."""
        return "Table 5" if self.profile in ("paper", "") else f"the {self.profile} profile"

    def require(self, profiles: tuple[str, ...], reason: str) -> None:
        """Raises ``OtherScale`` for records of other profiles."""
        if self.profile and self.profile not in profiles:
            raise OtherScale(f"this is the {self.profile} profile: {reason}")

    def study(self, name: str, published_setting: str) -> dict[str, tuple[Cell, ...]]:
        """Cells of a study of Appendix A.1 over several runs: setting → suites, τ = ∞ at 250K.

        Measured records of a changed pre-training have a ``variant`` of ``<name>-<setting>``;
        those without one have the published setting.
        """
        found: dict[str, tuple[Cell, ...]] = {}
        for cell, sample in self.samples.items():
            of_study = cell.suite in STUDY_SUITES and cell[:3] == STUDY_MODEL and sample.testable
            if of_study and cell.variant.startswith(f"{name}-"):
                setting = cell.variant.removeprefix(f"{name}-")
            elif of_study and not cell.variant:
                setting = published_setting
            else:
                continue
            found[setting] = (*found.get(setting, ()), cell)
        if not any(cell.variant for cells in found.values() for cell in cells):
            raise Missing(
                f"the {name} study was not run here, and the paper prints no scores of it"
            )
        return found
