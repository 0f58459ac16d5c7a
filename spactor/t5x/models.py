"""The models that T5X trains: SPACTOR's first stage, span corruption alone, and fine-tuning.

Losses, corruption and keys are `spactor`'s functions. Every loss is divided by constants of the
global batch, so the gradients of any number of microbatches add up to the batch's, and corruption
depends only on an example's step and row. Dropout's masks depend on the number of microbatches, for
each of which T5X draws its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import seqio
from clu import metrics as clu_metrics
from flax import traverse_util
from flax.core import freeze
from flax.linen import partitioning as flax_partitioning
from t5x import decoding, models
from t5x import metrics as metrics_lib
from t5x.examples.t5 import network as stock

from spactor import corruption, finetuning, objective
from spactor import step as steps
from spactor.config import CurriculumConfig, ModelConfig, PretrainConfig, Stage
from spactor.data import vocabulary
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError
from spactor.keys import Role, role_key
from spactor.network import Network
from spactor.t5x.features import ChunkFeatureConverter, vocabulary_facts

Array = jax.Array
Batch = Mapping[str, Array]
Metrics = dict[str, clu_metrics.Metric]


def stock_module(config: ModelConfig, dtype: str) -> stock.Transformer:
    """Returns T5X's T5.1.0 network at these sizes."""
    return stock.Transformer(
        stock.T5Config(
            vocab_size=config.vocab_size,
            dtype=dtype,
            emb_dim=config.emb_dim,
            num_heads=config.num_heads,
            num_encoder_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            head_dim=config.head_dim,
            mlp_dim=config.mlp_dim,
            mlp_activations=("relu",),
            dropout_rate=config.dropout_rate,
            logits_via_embedding=True,
        )
    )


class StockNetwork:
    """T5X's network with the methods that `spactor.objective` calls; T5X makes the masks."""

    def __init__(self, module: stock.Transformer) -> None:
        self._module = module

    def bind(self, variables: Mapping[str, Any], rngs: Mapping[str, Array]) -> _BoundStock:
        return _BoundStock(functools.partial(self._module.apply, variables, rngs=rngs))


class _BoundStock:
    def __init__(self, apply: Callable[..., Array]) -> None:
        self._apply = apply
        self._encoder_input_tokens: Array | None = None

    def embed(self, tokens: Array) -> Array:
        return tokens  # The stock encoder embeds.

    def encode(self, tokens: Array, padding_bias: Array, deterministic: bool) -> Array:
        del padding_bias
        self._encoder_input_tokens = tokens
        return self._apply(
            tokens, enable_dropout=not deterministic, method=stock.Transformer.encode
        )

    def decode(
        self, decoder_input_tokens: Array, encoded: Array, padding_bias: Array, deterministic: bool
    ) -> Array:
        del padding_bias
        return self._apply(
            encoded,
            self._encoder_input_tokens,
            decoder_input_tokens,
            # Stands for the targets, which only mask padding, whose logits are not read.
            jnp.ones_like(decoder_input_tokens),
            enable_dropout=not deterministic,
            method=stock.Transformer.decode,
        )


def _require_fit(config: PretrainConfig, output_vocabulary: seqio.Vocabulary) -> VocabularyFacts:
    if config.curriculum != CurriculumConfig():
        raise UserError(
            "this configuration has a curriculum, which T5X does not support: train it with the "
            "local engine"
        )
    facts = vocabulary_facts(output_vocabulary)
    vocabulary.require(
        facts, vocab_size=config.model.vocab_size, noise_spans=config.lengths.noise_spans
    )
    return facts


_AXES: Mapping[str, tuple[str, ...]] = {
    "embedding": ("vocab", "embed"),
    "rel_embedding": ("heads", "relpos_buckets"),
    "scale": ("embed",),
    "query/kernel": ("embed", "joined_kv"),
    "key/kernel": ("embed", "joined_kv"),
    "value/kernel": ("embed", "joined_kv"),
    "out/kernel": ("joined_kv", "embed"),
    "wi/kernel": ("embed", "mlp"),
    "wo/kernel": ("mlp", "embed"),
    "projection/kernel": ("embed", "vocab"),
    # One column can't be split; T5X's rules replicate this axis.
    "rtd_head/wo/kernel": ("mlp", "mlp_activations"),
}


def logical_axes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns T5X's ``params_axes`` for a parameter tree: the stock network's names, and ours.

    Raises:
      ValueError: a parameter has no rule.
    """
    axes = {}
    for path in traverse_util.flatten_dict(params):
        joined = "/".join(path)
        known = [end for end in _AXES if joined == end or joined.endswith("/" + end)]
        if not known:
            raise ValueError(f"parameter {joined} has no logical axes: name them in _AXES")
        metadata = flax_partitioning.AxisMetadata(names=_AXES[max(known, key=len)])
        axes[(*path[:-1], path[-1] + "_axes")] = metadata
    return traverse_util.unflatten_dict(axes)


class _ChunkModel(models.EncoderDecoderModel):
    """Base of the pre-training models, which read raw token chunks and corrupt them.

    Decoding and scoring are the stock model's, on ``encoder_input_tokens``.

    Args:
      config: sizes, corruption, weights and the global batch size.
      seed: of corruption and sampling; the run's ``RANDOM_SEED``.
      input_vocabulary, output_vocabulary: the same seqio vocabulary.
      optimizer_def: T5X's Adafactor.
      dtype: of activations.

    Raises:
      UserError: the vocabulary does not fit the model, there is no seed, or the configuration
        has a curriculum beside τ.
    """

    stage: Stage

    def __init__(
        self,
        *,
        config: PretrainConfig,
        seed: int,
        input_vocabulary: seqio.Vocabulary,
        output_vocabulary: seqio.Vocabulary,
        optimizer_def: Any,
        dtype: Literal["float32", "bfloat16"] = "bfloat16",
        decode_fn: models.DecodeFnCallable = decoding.beam_search,
    ) -> None:
        if seed is None:
            raise UserError("RANDOM_SEED is None: give a whole number, unseeded runs are refused")
        facts = _require_fit(config, output_vocabulary)
        super().__init__(
            module=stock_module(config.model, dtype),
            input_vocabulary=input_vocabulary,
            output_vocabulary=output_vocabulary,
            optimizer_def=optimizer_def,
            decode_fn=decode_fn,
            feature_converter_cls=functools.partial(
                ChunkFeatureConverter,
                chunk_tokens=config.lengths.chunk_tokens,
                highest_id=facts.sentencepiece_size - 1,
            ),
            z_loss=config.objective.z_loss,
        )
        self.config = config
        self.seed = seed
        self.facts = facts
        self._initial = Network(dataclasses.replace(config.model, compute_dtype=dtype))
        is_hybrid = self.stage == "hybrid"
        self._network: Any = self._initial if is_hybrid else StockNetwork(self.module)

    def get_initial_variables(
        self,
        rng: Array,
        input_shapes: Mapping[str, tuple[int, ...]],
        input_types: Mapping[str, Any] | None = None,
    ) -> Any:
        """Returns initial parameters and axes; the discriminator's do not depend on the stage."""
        del input_types
        rows, expected = input_shapes.get("step", (None,))[0], self.config.batch_size
        if rows not in (None, expected):
            raise UserError(
                f"batches of {rows} sequences where the model's losses are means over {expected}: "
                "set BATCH_SIZE once, for both"
            )
        tokens = jnp.zeros((1, 2), jnp.int32)
        params = self._initial.init(rng, tokens, tokens, method=Network.touch_all)["params"]
        if self.stage != "hybrid":
            params = {k: v for k, v in params.items() if k not in steps.HYBRID_ONLY}
        return freeze({"params": params, "params_axes": logical_axes(params)})

    def loss_fn(
        self, params: Any, batch: Batch, dropout_rng: Array | None
    ) -> tuple[Array, Metrics]:
        """Returns a microbatch's share of the global batch's objective, and its metrics.

        Args:
          params: of this stage.
          batch: ``tokens`` int32 ``[b, N]``, with ``step`` and ``row`` int32 ``[b]``: the update
            that reads them, and their rows in the global batch.
          dropout_rng: T5X's key of the step and microbatch.
        """

        def keys(role: Role) -> Array:
            return jax.vmap(functools.partial(role_key, role, self.seed))(
                batch["step"], batch["row"]
            )

        corrupted = corruption.corrupt(
            batch["tokens"], keys(Role.CORRUPTION), self.config.lengths, self.facts
        )
        dropout = dropout_rng if self.config.model.dropout_rate > 0.0 else None
        shared = (self._network, params, corrupted, self.config.objective)
        if self.stage == "hybrid":
            samples = keys(Role.GENERATOR_SAMPLING)
            mean, ratios = objective.hybrid_loss(*shared, samples, dropout)
        else:
            mean, ratios = objective.span_corruption_loss(*shared, dropout)
        loss = mean * (batch["tokens"].shape[0] / self.config.batch_size)
        return loss, _logged(ratios, loss, batch["tokens"].shape[0])

    def eval_fn(self, params: Any, batch: Batch) -> tuple[Array, Metrics]:
        """Validates as the local engine does: corruption keyed by content, no dropout."""
        ratios = steps.validation_metrics(
            self._network, params, batch["tokens"], self.config, self.facts, self.stage
        )
        clean = ratios["sc_loss_clean"]
        loss = clean.total / clean.weight
        return loss, _logged(ratios, loss, batch["tokens"].shape[0])


def _logged(ratios: objective.Metrics, loss: Array, rows: int) -> Metrics:
    metrics: Metrics = {
        name: clu_metrics.Average(total=ratio.total, count=ratio.weight)
        for name, ratio in ratios.items()
    }
    return metrics | {
        "loss": metrics_lib.AveragePerStep(total=loss),
        "timing/seqs_per_second": metrics_lib.TimeRate.from_model_output(numerator=jnp.array(rows)),
        "timing/steps_per_second": metrics_lib.StepsPerTime.from_model_output(),
        "timing/seconds": metrics_lib.Time(),
    }


class SpactorModel(_ChunkModel):
    """The first stage: L_G + λ1·L_RTD + λ2·L_SC on X̂_c (Equation 9)."""

    stage = "hybrid"


class SpanCorruptionModel(_ChunkModel):
    """The second stage and the baseline: λ2·L_SC on X_c, over T5X's own network.

    λ2 weighs L_SC here too: Adafactor's slots are retained at τ, and a loss ten times smaller than
    before would shrink the next updates tenfold.
    """

    stage = "span_corruption"


class FinetuneModel(models.EncoderDecoderModel):
    """The stock model with the loss of the local engine's fine-tuning.

    The loss is the mean per target token, times `finetuning.loss_scale`, so that retained slots fit
    the new gradients. With microbatches it is the mean of their means.

    Args:
      config: of the pre-training, with fine-tuning's dropout rate.
      batch_size: sequences of a fine-tuning step.
      input_vocabulary, output_vocabulary, optimizer_def, dtype, decode_fn: T5X's.

    Raises:
      UserError: the vocabulary does not fit the model, or the configuration has a curriculum.
    """

    def __init__(
        self,
        *,
        config: PretrainConfig,
        batch_size: int,
        input_vocabulary: seqio.Vocabulary,
        output_vocabulary: seqio.Vocabulary,
        optimizer_def: Any,
        dtype: Literal["float32", "bfloat16"] = "bfloat16",
        decode_fn: models.DecodeFnCallable = decoding.beam_search,
    ) -> None:
        _require_fit(config, output_vocabulary)
        super().__init__(
            module=stock_module(config.model, dtype),
            input_vocabulary=input_vocabulary,
            output_vocabulary=output_vocabulary,
            optimizer_def=optimizer_def,
            decode_fn=decode_fn,
            z_loss=config.objective.z_loss,
        )
        self.config = config
        self._batch_size = batch_size
        # Without a curriculum the scale is the same at every step.
        self._loss_scale = finetuning.loss_scale(config, checkpoint_step=0)

    def loss_fn(
        self, params: Any, batch: Batch, dropout_rng: Array | None
    ) -> tuple[Array, Metrics]:
        network: Any = StockNetwork(self.module)
        rows = batch["encoder_input_tokens"].shape[0]
        mean, ratios = objective.target_token_loss(
            network,
            params,
            batch["encoder_input_tokens"],
            batch["decoder_target_tokens"],
            self.config.objective.z_loss,
            dropout_rng,
        )
        renamed = {"target_loss": ratios["loss"]}
        loss = self._loss_scale * mean * (rows / self._batch_size)
        return loss, _logged(renamed, loss, rows)
