"""The gin text of a size and of a kind of fine-tuning, from their configurations; needs no T5X.

`repro.engines.t5x_gin` writes the shipped files with it, and the T5X engine those of each node. A
node's fingerprint has a digest of this module, which therefore imports nothing of `repro`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from spactor.config import PAPER, CurriculumConfig, FinetuneConfig, PretrainConfig

_MACROS = {
    "dropout_rate": "%DROPOUT_RATE",
    "compute_dtype": "%DTYPE",
    "warmup_steps": "%WARMUP_STEPS",
    "learning_rate_factor": "%LEARNING_RATE_FACTOR",
    "batch_size": "%PRETRAIN_BATCH_SIZE",
}
"""Settings that the command line may change, and the macros that hold their values."""


def _bindings(config: Any) -> list[str]:
    """Returns a block of gin for each configuration inside this one, and one for it."""
    blocks, lines = [], [f"config.{type(config).__name__}:"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value == CurriculumConfig():
            continue  # The default. The models refuse any other.
        if dataclasses.is_dataclass(value):
            blocks += _bindings(value)
            text = f"@config.{type(value).__name__}()"
        else:
            text = _MACROS.get(field.name, repr(value))
        lines.append(f"  {field.name} = {text}")
    return [*blocks, "\n".join(lines) + "\n"]


def dtype_of(config: PretrainConfig) -> str:
    """Returns the type of activations: bfloat16 for the paper's models, as in T5X's T5.1.0."""
    published = any(config.model == paper.model for paper in PAPER.values())
    return "bfloat16" if published else config.model.compute_dtype


def size_text(config: PretrainConfig, about: str) -> str:
    """Returns the gin of one size: network, corruption, weights, optimizer and lengths.

    Args:
      config: of pre-training.
      about: first line of the file.
    """
    optimizer = config.optimizer
    macros = f"""\
# {about}
from __gin__ import dynamic_registration

from spactor import config
from t5x import adafactor

DTYPE = {dtype_of(config)!r}
DROPOUT_RATE = {config.model.dropout_rate!r}
PRETRAIN_BATCH_SIZE = {config.batch_size}
LEARNING_RATE_FACTOR = {optimizer.learning_rate_factor!r}
WARMUP_STEPS = {optimizer.warmup_steps}
CHUNK_LENGTHS = {{'targets': {config.lengths.chunk_tokens}}}
"""
    adafactor = f"""\
OPTIMIZER = @adafactor.Adafactor()
adafactor.Adafactor:
  decay_rate = {optimizer.decay_rate!r}
  clipping_threshold = {optimizer.clipping_threshold!r}
  min_dim_size_to_factor = {optimizer.min_dim_size_to_factor!r}
  step_offset = 0
  logical_factor_rules = @adafactor.standard_logical_factor_rules()
"""
    return "\n".join([macros, *_bindings(config), adafactor])


def finetuning_text(config: FinetuneConfig, about: str) -> str:
    """Returns the gin of one kind of fine-tuning, which includes ``finetune_run.gin``.

    Args:
      config: hyper-parameters.
      about: first line of the file.
    """
    # An offset of the checkpoint's step makes the next update Adafactor's first: it drops moments.
    offset = "%INITIAL_STEP" if config.reset_optimizer else "0"
    return f"""\
# {about}
from __gin__ import dynamic_registration

from t5x import adafactor
from t5x import utils

include 'spactor/t5x/gin/finetune_run.gin'

DROPOUT_RATE = {config.dropout_rate!r}
BATCH_SIZE = {config.batch_size}
FINETUNE_STEPS = {config.total_steps}
EVAL_PERIOD = {config.evaluation_period_steps}
INPUT_LENGTH = {config.input_length}

utils.create_learning_rate_scheduler:
  factors = 'constant'
  base_learning_rate = {config.learning_rate!r}
adafactor.Adafactor.step_offset = {offset}
"""
