"""What is measured: models of Base's width, and training steps ready to be called."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from repro.specs import load_profile
from spactor import corruption, huggingface, step
from spactor.config import PAPER, PretrainConfig, Stage
from spactor.data.vocabulary import VocabularyFacts
from spactor.keys import row_keys

VOCABULARY = VocabularyFacts.of_pieces(32_000)
MICRO = load_profile("micro").sizes["base"]
MICRO_VOCABULARY = VocabularyFacts.of_pieces(MICRO.model.vocab_size - 101)
LAYERS = int(os.environ.get("SPACTOR_BENCH_LAYERS", "6"))
"""Of encoder and of decoder, at Base's width."""
BATCH = int(os.environ.get("SPACTOR_BENCH_BATCH", "2"))
ROUNDS = int(os.environ.get("SPACTOR_BENCH_ROUNDS", "5"))


def base_width(layers: int, batch_size: int, *, dropout_rate: float = 0.1) -> PretrainConfig:
    """Base with ``layers`` + ``layers`` layers and a generator of a third of that, as published.

    Width, heads, vocabulary, lengths and masking are the paper's.
    """
    base = PAPER["base"]
    return dataclasses.replace(
        base,
        batch_size=batch_size,
        model=dataclasses.replace(
            base.model,
            num_encoder_layers=layers,
            num_decoder_layers=layers,
            generator_num_layers=max(layers // 3, 1),
            dropout_rate=dropout_rate,
        ),
    )


def chunks_for(config: PretrainConfig, vocabulary: VocabularyFacts = VOCABULARY) -> np.ndarray:
    """A batch of made-up text, int32 ``[B, N]``."""
    shape = (config.batch_size, config.lengths.chunk_tokens)
    return (
        np.random.default_rng(0).integers(3, vocabulary.sentencepiece_size, shape).astype(np.int32)
    )


class Training:
    """A training run of which each call makes one step and waits for it."""

    def __init__(
        self,
        config: PretrainConfig,
        stage: Stage,
        vocabulary: VocabularyFacts = VOCABULARY,
    ) -> None:
        self._state = step.init_state(config, 0, stage)
        self._step = step.build_train_step(config, vocabulary, stage)
        self._chunks = jnp.asarray(chunks_for(config, vocabulary))

    def __call__(self) -> None:
        self._state, metrics = self._step(self._state, self._chunks, jnp.asarray(0))
        jax.block_until_ready((self._state, metrics))


def corrupted(config: PretrainConfig) -> corruption.CorruptedBatch:
    """The batch of :func:`chunks_for`, corrupted: what other implementations are given."""
    keys = row_keys(jax.random.key(0), config.batch_size)
    return jax.jit(corruption.corrupt, static_argnums=(2, 3))(
        chunks_for(config), keys, config.lengths, VOCABULARY
    )


def hugging_face(
    config: PretrainConfig, device: str, compute_dtype: str = "float32"
) -> Callable[[], None]:
    """A training step of PyTorch's T5 with its library's Adafactor, on a corrupted batch.

    Args:
      config: the model's size, and the batch.
      device: as PyTorch names it.
      compute_dtype: of activations; weights and their updates are float32.
    """
    import torch
    import transformers

    batch = corrupted(config)
    sizes = transformers.T5Config.from_dict(huggingface.config_of(config.model))
    theirs = transformers.T5ForConditionalGeneration(sizes).to(device)
    theirs.train()
    rule = transformers.Adafactor(
        theirs.parameters(), lr=1e-2, relative_step=False, scale_parameter=True, warmup_init=False
    )
    inputs, labels = (
        torch.tensor(np.asarray(tokens).tolist(), device=device)
        for tokens in (batch.encoder_input_tokens, batch.decoder_target_tokens)
    )
    cast = torch.autocast(device, getattr(torch, compute_dtype), enabled=compute_dtype != "float32")

    def train() -> None:
        rule.zero_grad(set_to_none=True)
        with cast:
            loss = theirs(input_ids=inputs, labels=labels).loss
        loss.backward()
        rule.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return train
