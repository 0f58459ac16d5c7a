"""Lookup of the numbers that statements are judged on; a missing number raises ``Missing``.

Published and measured records have the same lookups: a published suite average and the runs of a
measured one are both a ``Sample``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from analysis import scores
from analysis.schema import published
from analysis.schema.facts import (
    BASELINE_TAU,
    FROM_SCRATCH,
    SUITE_SHORT_NAMES,
    Tau,
    model_label,
    size_label,
    step_label,
)
from analysis.schema.quantities import VOCABULARY_SIZE
from analysis.schema.records import sole_profile
from analysis.speeds import logged_speeds
from analysis.tests import Sample
from spactor.config import CorruptionConfig, ModelConfig, PretrainConfig

HALF, FULL = 500_000, 1_000_000
"""The two checkpoints of Tables 2 and 4, in pre-training steps."""
STUDY_MODEL = ("base", "inf", 250_000)
STUDY_SUITES = ("superglue", "squad")
"""Model and suites by which Appendix A.1 chose its settings."""
REAL_TASK_PROFILES = ("paper", "mini")
VOCABULARY_ROWS = 32_128
"""Rows of T5's embedding: 32,000 pieces and 100 sentinels, padded to a multiple of 128."""


class Missing(Exception):
    """Records lack a number; the message names it, without a full stop."""


class OtherScale(Missing):
    """Records are of a scaled profile, to which the statement does not apply."""


class Cell(NamedTuple):
    """Key of a suite score: one model at a checkpoint; ``variant`` names a changed pre-training."""

    size: str
    tau: str
    checkpoint: int
    suite: str
    variant: str = ""


def describe(size: str, tau: str, checkpoint: int | None = None) -> str:
    """Describes a model in words.

    >>> describe("base", "0", 500_000), describe("large", "inf")
    ('the Base baseline at 500K', 'Large SPACTOR(∞)')
    """
    name = size_label(size)
    baseline = tau == BASELINE_TAU
    model = f"the {name} baseline" if baseline else f"{name} {model_label(tau)}"
    return model if checkpoint is None else f"{model} at {step_label(checkpoint)}"


def stated(metric: str, size: str = "", tau: str = "", checkpoint: int | None = None) -> float:
    """Returns a number that the paper's text states, from ``prose.csv``.

    Raises:
      KeyError: ``prose.csv`` has no such row.
    """
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
      records: records of the published experiments.
      source, profile: source and profile of all records; "" if there are none.
      variants: measured records of changed pre-trainings, for the studies of Appendix A.1.
    """

    records: pd.DataFrame
    source: str
    profile: str
    variants: pd.DataFrame

    @staticmethod
    def of(records: pd.DataFrame) -> Evidence:
        """Creates evidence from records, which may be empty.

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
        """Suite scores, in per cent, over all runs, by cell."""
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
        """Measured suite scores by cell and pre-training seed, averaged over fine-tuning runs."""
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
        """Returns a suite score, in per cent, over runs; raises ``Missing`` without one."""
        found = self.samples.get(Cell(size, tau, checkpoint, suite))
        if found is None:
            name = SUITE_SHORT_NAMES[suite]
            raise Missing(f"no {name} score of {describe(size, tau, checkpoint)}")
        return found

    def spread_score(self, size: str, tau: str, checkpoint: int, suite: str) -> Sample:
        """Returns a suite score over several runs; raises ``Missing`` for a single run."""
        found = self.score(size, tau, checkpoint, suite)
        if not found.testable:
            raise Missing(
                f"the {SUITE_SHORT_NAMES[suite]} score of {describe(size, tau, checkpoint)} has "
                f"one run and no standard deviation ({found.mean:.2f})"
            )
        return found

    def scored(self, size: str, tau: str, checkpoint: int, suite: str) -> bool:
        """Whether a suite score is recorded."""
        return Cell(size, tau, checkpoint, suite) in self.samples

    def checkpoints(self, size: str, tau: str) -> list[int]:
        """Returns the checkpoints with a score of any suite, in order.

        Fine-tuning from scratch is left out, since its scores do not depend on τ.
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
        """Returns pre-training FLOPs over those of the size's baseline at 500K."""
        return self.printed_flops(size, tau, checkpoint)[0]

    def printed_flops(self, size: str, tau: str, checkpoint: int) -> tuple[float, int]:
        """Returns relative FLOPs and the number of decimals they are printed with."""
        found = self._flops.get((size, tau, checkpoint))
        if found is None:
            raise Missing(f"no FLOPs of {describe(size, tau, checkpoint)}")
        return found

    def has_flops(self, size: str, tau: str, checkpoint: int) -> bool:
        """Whether the FLOPs of a checkpoint are recorded."""
        return (size, tau, checkpoint) in self._flops

    def number(self, metric: str, size: str = "") -> float:
        """Returns the value of a metric that belongs to no run, such as a setting or a cost."""
        found = self._numbers.get((metric, size))
        if found is None:
            raise Missing(f"no {metric}{f' of {size_label(size)}' if size else ''}")
        return found

    @functools.cached_property
    def _numbers(self) -> dict[tuple[str, str], float]:
        frame = self.records
        rows = frame[frame["step"].isna() & (frame["suite"] == "") & frame["value"].notna()]
        pairs = zip(rows["metric"], rows["size"], rows["value"], strict=True)
        # Reversed, so that the first of several rows remains: the baseline's, in every table.
        return {(metric, size): float(value) for metric, size, value in reversed(list(pairs))}

    def step_overhead(self, size: str) -> float:
        """FLOPs of a hybrid step over those of a plain one, minus 1."""
        plain = self.number("cost/step_flops/span_corruption", size)
        return self.number("cost/step_flops/hybrid", size) / plain - 1.0

    def relative_speed(self, size: str) -> float:
        """Sequences per second of the first stage over those of the baseline."""
        if self.source == "published":
            return self.number(f"{published.RELATIVE_SPEED}/hybrid", size)
        return self._median_speed("hybrid", size) / self._median_speed("span_corruption", size)

    def _median_speed(self, stage: str, size: str) -> float:
        rows = logged_speeds(self.records[self.records["size"] == size], stage)
        if rows.empty:
            raise Missing(f"no sequences per second of {size_label(size)}, stage {stage}")
        return float(rows["value"].median())

    def last_hybrid_step(self, size: str, tau: str) -> int:
        """Returns the last step, on the paper's scale, that trained the hybrid objective.

        For measured records it is the last validation of the RTD loss, for published ones τ.
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
        """Returns a pre-training setting of Table 5."""
        return self.number(f"setting/{name}", size)

    def config(self, size: str) -> PretrainConfig:
        """Builds the configuration with the recorded settings.

        Table 5 does not list the vocabulary: T5's is used if none is recorded.
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
        """Returns the names of a suite's tasks; raises ``OtherScale`` for substitutes of them."""
        rows = self.records[(self.records["suite"] == suite) & (self.records["task"] != "")]
        if rows.empty:
            raise Missing(f"no task of {SUITE_SHORT_NAMES[suite]}")
        self.require(REAL_TASK_PROFILES, "its tasks are not the paper's")
        return sorted(set(rows["task"]))

    @property
    def shapes(self) -> str:
        """Source of the shapes in ``config``, for a sentence."""
        return "Table 5" if self.profile in ("paper", "") else f"the {self.profile} profile"

    def require(self, profiles: tuple[str, ...], reason: str) -> None:
        """Raises ``OtherScale`` if the records are of another profile than those listed."""
        if self.profile and self.profile not in profiles:
            raise OtherScale(f"this is the {self.profile} profile: {reason}")

    def study(self, name: str, published_setting: str) -> dict[str, tuple[Cell, ...]]:
        """Returns the cells of a study of Appendix A.1 with several runs, by setting.

        A study's cells are the scores of ``STUDY_MODEL`` on ``STUDY_SUITES``. Records of a changed
        pre-training have the ``variant`` ``<name>-<setting>``; those without a variant have the
        published setting.

        Raises:
          Missing: the records have no variant of the study.
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
