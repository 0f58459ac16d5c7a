"""Every size and hyper-parameter of SPACTOR, frozen and validated, with the paper's presets.

Nothing here imports a numerical library, so plans, tables and reports can read it anywhere.
Sources: Table 5 and Appendix A.1 (pre-training), Appendix A.2 (fine-tuning), Sections 2 and 3.1.
"""

from __future__ import annotations

import dataclasses
import struct
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from spactor.errors import UserError

Stage = Literal["hybrid", "span_corruption"]
STAGES: tuple[Stage, ...] = get_args(Stage)

NUM_SENTINELS = 100
"""Sentinel tokens of a T5 vocabulary, ``<extra_id_0>`` … ``<extra_id_99>``."""
LONGEST_CHUNK = 2**18
"""Upper limit of raw tokens per chunk, far above any T5; bounds the search for a length."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the discriminator (a T5.1.0), the generator and the RTD head (Table 5).

    The generator shares the token embedder, so its width and heads are the discriminator's;
    Table 5 gives only its depth and MLP size.

    Attributes:
      vocab_size: rows of the embedding, sentinels and [M] included; a multiple of 128.
      emb_dim: hidden dimension d.
      num_heads, head_dim: attention heads and the dimension of each.
      mlp_dim: width of the ReLU feed-forward block.
      num_encoder_layers, num_decoder_layers: depth of the discriminator.
      generator_num_layers, generator_mlp_dim: the bidirectional encoder G.
      generator_num_decoder_layers: 0, or the depth of a decoder on G's encoder, which makes G a
        small T5 (Appendix A.1 compares the two).
      rtd_mlp_dim: hidden width of the replaced-token-detection head.
      dropout_rate: probability of dropping, used in training only.
      compute_dtype: type of activations and matrix products; parameters, optimizer slots, logits
        and losses are float32 in either case. T5X's T5.1.0 configuration has bfloat16.
      one_hot_embedding: looks tokens up by a product with one-hot rows, as T5X does, instead of
        by a gather; the values are the same.
      project_all_positions: projects every position to the vocabulary in the generator, instead of
        the masked ones alone; the loss is the same.
      reuse_embedding: the discriminator's input embedding is the generator's with the rows of the
        sampled tokens replaced; otherwise all tokens are looked up again. The values are the same.
    """

    vocab_size: int
    emb_dim: int
    num_heads: int
    head_dim: int
    mlp_dim: int
    num_encoder_layers: int
    num_decoder_layers: int
    generator_num_layers: int
    generator_mlp_dim: int
    rtd_mlp_dim: int
    dropout_rate: float = 0.1
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    one_hot_embedding: bool = False
    project_all_positions: bool = False
    reuse_embedding: bool = True
    generator_num_decoder_layers: int = 0

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if spec.default is dataclasses.MISSING:
                _require(value > 0, f"model.{spec.name} is {value}: give a positive integer")
        _require(
            self.generator_num_decoder_layers >= 0,
            f"model.generator_num_decoder_layers is {self.generator_num_decoder_layers}: "
            "give 0 or more",
        )
        _require(
            self.vocab_size % 128 == 0,
            f"model.vocab_size is {self.vocab_size}: give a multiple of 128 (32128 for T5)",
        )
        _require(
            0.0 <= self.dropout_rate < 1.0,
            f"model.dropout_rate is {self.dropout_rate}: give a number from 0 up to 1",
        )


@dataclass(frozen=True, kw_only=True)
class CorruptionLengths:
    """Static lengths of one corrupted example; they depend only on the configuration.

    Attributes:
      chunk_tokens: N, raw tokens of an example.
      noise_tokens: number of tokens masked by span corruption.
      noise_spans: p, number of masked spans.
      input_tokens: n, encoder positions, eos included.
      target_tokens: decoder positions, eos included.
      masked_tokens: q, number of tokens that the generator replaces.
    """

    chunk_tokens: int
    noise_tokens: int
    noise_spans: int
    input_tokens: int
    target_tokens: int
    masked_tokens: int


@dataclass(frozen=True, kw_only=True)
class CorruptionConfig:
    """Span corruption, then token masking of the remaining tokens (Section 2.1, Table 5).

    Attributes:
      noise_density: r, fraction of tokens that span corruption masks.
      mean_noise_span_length: μ, tokens per masked span on average.
      mlm_ratio: r_MLM, fraction of the remaining tokens replaced by [M].
    """

    noise_density: float = 0.15
    mean_noise_span_length: float = 3.0
    mlm_ratio: float = 0.15

    def __post_init__(self) -> None:
        for name in ("noise_density", "mlm_ratio"):
            value = getattr(self, name)
            _require(
                0.0 < value < 1.0, f"corruption.{name} is {value}: give a number between 0 and 1"
            )
        _require(
            self.mean_noise_span_length >= 1.0,
            f"corruption.mean_noise_span_length is {self.mean_noise_span_length}: give 1 or more",
        )

    def lengths_of_chunk(self, chunk_tokens: int) -> CorruptionLengths:
        """Returns the lengths for N raw tokens, rounded in float32 as in T5's noise mask.

        >>> lengths = CorruptionConfig().lengths_of_chunk(568)
        >>> lengths.noise_tokens, lengths.noise_spans, lengths.masked_tokens
        (85, 28, 72)
        >>> lengths.input_tokens, lengths.target_tokens
        (512, 114)
        """
        _require(chunk_tokens >= 2, f"a chunk of {chunk_tokens} tokens: give at least 2")
        # At exact halves float32 rounds differently from Python: 190 × 0.15 = 28.5 gives 29.
        noise = round(_float32(chunk_tokens * _float32(self.noise_density)))
        noise = min(max(noise, 1), chunk_tokens - 1)
        text = chunk_tokens - noise
        # T5's rule is round(noise / μ), at least one, at most the tokens of either kind.
        spans = round(_float32(noise / _float32(self.mean_noise_span_length)))
        spans = min(max(spans, 1), noise, text)
        return CorruptionLengths(
            chunk_tokens=chunk_tokens,
            noise_tokens=noise,
            noise_spans=spans,
            input_tokens=text + spans + 1,
            target_tokens=noise + spans + 1,
            masked_tokens=max(round(text * self.mlm_ratio), 1),
        )

    def lengths(self, input_length: int) -> CorruptionLengths:
        """Returns the lengths of the longest chunk that fits ``input_length`` encoder positions.

        >>> CorruptionConfig(mlm_ratio=0.20).lengths(512).masked_tokens
        97
        """
        _require(input_length >= 4, f"an input length of {input_length} tokens: give at least 4")
        chunk = input_length - 1
        while self.lengths_of_chunk(chunk + 1).input_tokens <= input_length:
            chunk += 1
            _require(
                chunk <= LONGEST_CHUNK,
                f"an input length of {input_length} tokens with a noise density of "
                f"{self.noise_density} takes chunks of over {LONGEST_CHUNK:,} tokens: give less",
            )
        return self.lengths_of_chunk(chunk)


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Weights of L = L_G + λ1·L_RTD + λ2·L_SC (Equation 9, Table 5).

    ``lambda_sc`` weighs L_SC in both stages and in the baseline.

    Attributes:
      lambda_rtd: λ1.
      lambda_sc: λ2.
      z_loss: weight of log²Z on the decoder's logits, as in T5X's T5.1.0 configuration.
      reduction: how each term is reduced over positions. ``sum_per_sequence``, as in Equations 4,
        6 and 8: a sum, averaged over the sequences of the batch. ``mean_per_token``: a mean over
        all the term's positions in the batch; the same λ then weigh the terms differently
        (docs/deviations.md).
    """

    lambda_rtd: float = 10.0
    lambda_sc: float = 10.0
    z_loss: float = 1e-4
    reduction: Literal["sum_per_sequence", "mean_per_token"] = "sum_per_sequence"

    def __post_init__(self) -> None:
        for name in ("lambda_rtd", "lambda_sc", "z_loss"):
            value = getattr(self, name)
            _require(value >= 0.0, f"objective.{name} is {value}: give 0 or more")


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A value that changes from ``start_value`` at one step to ``end_value`` at a later one.

    Attributes:
      start_value: value up to and including ``start_step``.
      end_value: value from ``end_step`` on.
      start_step, end_step: steps of the run, counted from 0.
      shape: linear, or half a cosine with zero slope at both ends.
    """

    start_value: float
    end_value: float
    start_step: int
    end_step: int
    shape: Literal["linear", "cosine"] = "linear"

    def __post_init__(self) -> None:
        _require(
            0 <= self.start_step < self.end_step,
            f"a ramp from step {self.start_step} to {self.end_step}: the end must come later",
        )

    @classmethod
    def level(cls, value: float) -> Ramp:
        """Returns a ramp with the same value at every step."""
        return cls(start_value=value, end_value=value, start_step=0, end_step=1)

    @property
    def is_level(self) -> bool:
        """Whether the value is the same at every step."""
        return self.start_value == self.end_value


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Ramps of weights, in addition to the switch at τ (the paper's future work, Limitations).

    Validation has no curriculum: it masks ``corruption.mlm_ratio`` of the tokens at every step.

    Attributes:
      lambda_rtd, lambda_sc: replace the objective's λ1 and λ2.
      mlm_ratio: replaces r_MLM in training; array shapes are those of its highest value.
      handover: remaining share of the hybrid objective, from 1 to 0. It multiplies λ1 and the
        number of masked tokens, so at 0 the hybrid loss is λ2·L_SC on the clean input.
    """

    lambda_rtd: Ramp | None = None
    lambda_sc: Ramp | None = None
    mlm_ratio: Ramp | None = None
    handover: Ramp | None = None

    def __post_init__(self) -> None:
        for name in ("lambda_rtd", "lambda_sc", "mlm_ratio"):
            ramp = getattr(self, name)
            for value in (ramp.start_value, ramp.end_value) if ramp else ():
                if name == "mlm_ratio":
                    _require(
                        0.0 < value < 1.0,
                        f"curriculum.{name} reaches {value}: give numbers between 0 and 1",
                    )
                _require(value >= 0.0, f"curriculum.{name} reaches {value}: give 0 or more")
        handover = self.handover
        _require(
            handover is None or (handover.start_value, handover.end_value) == (1.0, 0.0),
            "curriculum.handover must go from 1 to 0",
        )


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adafactor with the schedule factor / √max(n, κ) (Table 5, Section 3.1).

    Attributes:
      warmup_steps: κ.
      learning_rate_factor: 1 in the paper; scaled profiles, with fewer steps, raise or lower it.
      decay_rate: exponent of the second moment's decay, 1 − (n + 1)^−decay_rate.
      clipping_threshold: largest root mean square of an update.
      min_dim_size_to_factor: smallest dimension of a matrix whose second moment is factored.
    """

    warmup_steps: int = 10_000
    learning_rate_factor: float = 1.0
    decay_rate: float = 0.8
    clipping_threshold: float = 1.0
    min_dim_size_to_factor: int = 128

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            _require(value > 0, f"optimizer.{spec.name} is {value}: give a positive number")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Settings of pre-training, except τ, the seed and the data."""

    model: ModelConfig
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    input_length: int = 512
    batch_size: int = 2048

    def __post_init__(self) -> None:
        _require(self.batch_size > 0, f"batch_size is {self.batch_size}: give a positive integer")
        spans = self.lengths.noise_spans
        _require(
            spans <= NUM_SENTINELS,
            f"input_length {self.input_length} needs {spans} sentinels and a T5 vocabulary has "
            f"{NUM_SENTINELS}: shorten the input or raise mean_noise_span_length",
        )

    @property
    def lengths(self) -> CorruptionLengths:
        """Returns the static lengths of one example at this input length."""
        return self.corruption.lengths(self.input_length)

    @property
    def training_lengths(self) -> CorruptionLengths:
        """Returns the lengths in training, where q is the largest number the curriculum masks."""
        ramp = self.curriculum.mlm_ratio
        if ramp is None:
            return self.lengths
        highest = max(ramp.start_value, ramp.end_value)
        return dataclasses.replace(self.corruption, mlm_ratio=highest).lengths(self.input_length)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Fine-tuning at a constant learning rate (Appendix A.2; FLAN-style suites differ).

    Attributes:
      learning_rate: constant learning rate.
      dropout_rate: replaces the pre-training rate.
      batch_size: sequences per step.
      total_steps: number of updates.
      evaluation_period_steps: updates between two evaluations on the suite.
      input_length: encoder positions; longer inputs are cut.
      reset_optimizer: reinitialises Adafactor's slots instead of using the slots of pre-training.
    """

    learning_rate: float = 1e-3
    dropout_rate: float = 0.1
    batch_size: int = 128
    total_steps: int = 262_144
    evaluation_period_steps: int = 8_192
    input_length: int = 512
    reset_optimizer: bool = False

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            if spec.name in ("dropout_rate", "reset_optimizer"):
                continue
            value = getattr(self, spec.name)
            _require(value > 0, f"finetuning.{spec.name} is {value}: give a positive number")
        _require(
            0.0 <= self.dropout_rate < 1.0,
            f"finetuning.dropout_rate is {self.dropout_rate}: give a number from 0 up to 1",
        )
        _require(
            self.total_steps % self.evaluation_period_steps == 0,
            f"finetuning.total_steps {self.total_steps} is no multiple of "
            f"evaluation_period_steps {self.evaluation_period_steps}: make it one",
        )


Corpus = Literal["embedded", "c4"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The corpus and its vocabulary.

    Attributes:
      corpus: ``embedded`` (docstrings of installed packages) or ``c4``.
      vocab_size: rows of the embedding; for ``embedded`` a vocabulary of
        ``vocab_size - NUM_SENTINELS - 1`` pieces is trained, for ``c4`` it is T5's own.
      packages: ``all`` (standard library and the packages of the ``train`` extra) or
        ``stdlib``, for quick runs; ignored for ``c4``.
    """

    corpus: Corpus
    vocab_size: int
    packages: Literal["all", "stdlib"] = "all"

    def __post_init__(self) -> None:
        _require(
            self.vocab_size % 128 == 0 and self.vocab_size >= 512,
            f"data.vocab_size is {self.vocab_size}: give a multiple of 128, at least 512",
        )


def _paper(mlm_ratio: float, **model: Any) -> PretrainConfig:
    return PretrainConfig(
        model=ModelConfig(vocab_size=32_128, head_dim=64, **model),
        corruption=CorruptionConfig(mlm_ratio=mlm_ratio),
    )


PAPER: Mapping[str, PretrainConfig] = types.MappingProxyType(
    {
        "base": _paper(
            0.15,
            emb_dim=768,
            num_heads=12,
            mlp_dim=3072,
            num_encoder_layers=12,
            num_decoder_layers=12,
            generator_num_layers=4,
            generator_mlp_dim=1024,
            rtd_mlp_dim=3072,
        ),
        "large": _paper(
            0.20,
            emb_dim=1024,
            num_heads=16,
            mlp_dim=4096,
            num_encoder_layers=24,
            num_decoder_layers=24,
            generator_num_layers=6,
            generator_mlp_dim=2048,
            rtd_mlp_dim=4096,
        ),
    }
)
"""Configurations of Table 5, by size."""
