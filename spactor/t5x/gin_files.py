"""Writes the gin files with the paper's values from `spactor.config`; needs no T5X.

``python -m spactor.t5x.gin_files`` writes them again; a test fails while they differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spactor.config import (
    PAPER,
    CurriculumConfig,
    FinetuneConfig,
    ModelConfig,
    OptimizerConfig,
    PretrainConfig,
)

FOLDER = Path(__file__).parent / "gin"

FINETUNING: Mapping[str, FinetuneConfig] = {
    "finetune": FinetuneConfig(),
    "finetune_flan": FinetuneConfig(
        learning_rate=5e-4, dropout_rate=0.05, batch_size=64, reset_optimizer=True
    ),
}
"""Fine-tuning of Appendix A.2, and that of FLAN-style suites."""

TINY = PretrainConfig(
    model=ModelConfig(
        vocab_size=512,
        emb_dim=32,
        num_heads=2,
        head_dim=16,
        mlp_dim=64,
        num_encoder_layers=1,
        num_decoder_layers=1,
        generator_num_layers=1,
        generator_mlp_dim=32,
        rtd_mlp_dim=32,
    ),
    optimizer=OptimizerConfig(warmup_steps=4, learning_rate_factor=0.02),
    input_length=64,
    batch_size=4,
)
"""For trials and tests on a laptop, on the embedded corpus."""

SIZES: Mapping[str, PretrainConfig] = {**PAPER, "tiny": TINY}

_HEAD = "{what} Written by `python -m spactor.t5x.gin_files`; don't edit."
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
        if isinstance(value, CurriculumConfig):
            continue  # Not bound: the default is none.
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
      config: without a curriculum, which the T5X models do not support.
      about: first line of the file.

    Raises:
      ValueError: the configuration has a curriculum.
    """
    if config.curriculum != CurriculumConfig():
        raise ValueError("the T5X models do not support a curriculum")
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


def texts() -> dict[str, str]:
    """Returns the generated files by name."""
    files = {}
    for name, size in SIZES.items():
        what = f"Size {name}" + (" (Table 5)." if name in PAPER else ", for tests.")
        files[f"{name}.gin"] = size_text(size, _HEAD.format(what=what))
    for name, finetuning in FINETUNING.items():
        what = "Fine-tuning" + (" of FLAN-style suites" if name != "finetune" else "")
        about = _HEAD.format(what=f"{what} (Appendix A.2).")
        files[f"{name}.gin"] = finetuning_text(finetuning, about)
    return files


def main() -> None:
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
