"""The models that T5X trains: SPACTOR's first stage, span corruption alone, and fine-tuning.

Corruption, keys and the first stage's loss are `spactor`'s functions; network, loss and metrics of
span corruption and fine-tuning are T5X's. Pre-training's loss is divided by constants of the global
batch, so the gradients of any number of microbatches add up to the batch's, and corruption depends
only on an example's step and row. Dropout's masks depend on the number of microbatches, for each of
which T5X draws its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import seqio
from clu import metrics as clu_metrics
from flax.core import FrozenDict
from t5x import metrics as metrics_lib
from t5x import models, utils
from t5x.examples.t5 import network as stock

from spactor import corruption, finetuning, objective
from spactor import step as steps
from spactor.config import CurriculumConfig, ModelConfig, PretrainConfig, Stage
from spactor.data import vocabulary
from spactor.errors import UserError
from spactor.keys import Role, role_key, validation_keys
from spactor.network import Network
from spactor.t5x.features import ChunkFeatureConverter, vocabulary_facts

Array = jax.Array
Batch = Mapping[str, Array]
Metrics = dict[str, clu_metrics.Metric]


def stock_module(config: ModelConfig) -> stock.Transformer:
    """Returns T5X's T5.1.0 network at these sizes, with activations of ``compute_dtype``."""
    return stock.Transformer(
        stock.T5Config(
            vocab_size=config.vocab_size,
            dtype=config.compute_dtype,
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


# By a pattern of a parameter's name; the first that fits.
_AXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (".*/rel_embedding", ("heads", "relpos_buckets")),
    (".*/embedding", ("vocab", "embed")),
    (".*/scale", ("embed",)),
    (".*/(query|key|value)/kernel", ("embed", "joined_kv")),
    (".*/out/kernel", ("joined_kv", "embed")),
    (".*/projection/kernel", ("embed", "vocab")),
    # One column can't be split; T5X's rules replicate this axis.
    (".*rtd_head/wo/kernel", ("mlp", "mlp_activations")),
    (".*/wi/kernel", ("embed", "mlp")),
    (".*/wo/kernel", ("mlp", "embed")),
)


def with_axes(params: Mapping[str, Any]) -> FrozenDict[str, Any]:
    """Returns parameters with T5X's ``params_axes``: the stock network's names, and ours."""
    variables: Any = {"params": params, "params_axes": {}}
    return utils.override_params_axes_names(variables, _AXES)


class _Model(models.EncoderDecoderModel):
    """T5X's model of its own network at the sizes of a configuration.

    Args:
      config: of pre-training, or of the pre-training that a fine-tuning continues.
      output_vocabulary: seqio's; the input's is the same.
      stock: T5X's other arguments.

    Raises:
      UserError: the vocabulary does not fit the model, or the configuration has a curriculum
        beside τ.
    """

    def __init__(
        self,
        *,
        config: PretrainConfig,
        output_vocabulary: seqio.Vocabulary,
        **stock: Any,
    ) -> None:
        if config.curriculum != CurriculumConfig():
            raise UserError(
                "this configuration has a curriculum, which T5X does not support: train it with "
                "the local engine"
            )
        self.config = config
        self.facts = vocabulary_facts(output_vocabulary)
        vocabulary.require(
            self.facts, vocab_size=config.model.vocab_size, noise_spans=config.lengths.noise_spans
        )
        super().__init__(
            module=stock_module(config.model),
            output_vocabulary=output_vocabulary,
            z_loss=config.objective.z_loss,
            **stock,
        )


class _ChunkModel(_Model):
    """Base of the pre-training models, which read raw token chunks and corrupt them.

    Decoding and scoring are the stock model's, on ``encoder_input_tokens``. ``loss`` is the
    objective, in training and in validation, which corrupts without dropout and with keys that
    depend on the tokens alone, as the local engine's.

    Args:
      config: sizes, corruption, weights and the global batch size.
      seed: of corruption and sampling; the run's ``RANDOM_SEED``.
      others: of `_Model`, which see for the errors.
    """

    stage: Stage

    def __init__(self, *, config: PretrainConfig, seed: int, **others: Any) -> None:
        super().__init__(config=config, **others)
        self.FEATURE_CONVERTER_CLS = functools.partial(
            ChunkFeatureConverter,
            chunk_tokens=config.lengths.chunk_tokens,
            highest_id=self.facts.sentencepiece_size - 1,
        )
        self.seed = seed
        self._network = Network(config.model)

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
        params = self._network.init(rng, tokens, tokens, method=Network.touch_all)["params"]
        if self.stage != "hybrid":
            params = {k: v for k, v in params.items() if k not in steps.HYBRID_ONLY}
        return with_axes(params)

    def _keys(self, role: Role, batch: Batch) -> Array:
        """One key per row, of its update (``step``) and its place in the global batch (``row``)."""
        one = functools.partial(role_key, role, self.seed)
        return jax.vmap(one)(batch["step"], batch["row"])

    def _corrupt(self, tokens: Array, keys: Array) -> corruption.CorruptedBatch:
        return corruption.corrupt(tokens, keys, self.config.lengths, self.facts)


class SpactorModel(_ChunkModel):
    """The first stage: L_G + λ1·L_RTD + λ2·L_SC on X̂_c (Equation 9)."""

    stage = "hybrid"

    def loss_fn(
        self, params: Any, batch: Batch, dropout_rng: Array | None
    ) -> tuple[Array, Metrics]:
        """Returns a microbatch's share of the global batch's objective, and its metrics.

        Args:
          params: of this stage.
          batch: ``tokens`` int32 ``[b, N]``, with ``step`` and ``row`` int32 ``[b]``.
          dropout_rng: T5X's key of the step and microbatch.
        """
        mean, ratios = objective.hybrid_loss(
            self._network,
            params,
            self._corrupt(batch["tokens"], self._keys(Role.CORRUPTION, batch)),
            self.config.objective,
            self._keys(Role.GENERATOR_SAMPLING, batch),
            dropout_rng if self.config.model.dropout_rate > 0.0 else None,
        )
        return self._logged(mean, ratios, batch)

    def eval_fn(self, params: Any, batch: Batch) -> tuple[Array, Metrics]:
        """Validates as the local engine does."""
        mean, ratios = steps.validation_metrics(
            self._network, params, batch["tokens"], self.config, self.facts, self.stage
        )
        return self._logged(mean, ratios, batch)

    def _logged(
        self, mean: Array, ratios: objective.Metrics, batch: Batch
    ) -> tuple[Array, Metrics]:
        rows = batch["tokens"].shape[0]
        loss = mean * (rows / self.config.batch_size)
        rate = metrics_lib.TimeRate.from_model_output(numerator=jnp.array(rows))
        averages = {
            name: clu_metrics.Average(total=ratio.total, count=ratio.weight)
            for name, ratio in ratios.items()
        }
        return loss, averages | {
            "loss": metrics_lib.AveragePerStep(total=loss),
            "timing/seqs_per_second": rate,
            "timing/steps_per_second": metrics_lib.StepsPerTime.from_model_output(),
            "timing/seconds": metrics_lib.Time(),
        }


class SpanCorruptionModel(_ChunkModel):
    """The second stage and the baseline: λ2·L_SC on X_c, T5X's own loss of its own network.

    λ2 weighs L_SC here too: Adafactor's slots are retained at τ, and a loss ten times smaller than
    before would shrink the next updates tenfold. T5X's ``loss_normalizing_factor`` is B/λ2, or that
    times the target length for a mean per token.
    """

    stage = "span_corruption"

    def __init__(self, *, config: PretrainConfig, **others: Any) -> None:
        tokens = config.batch_size * config.lengths.target_tokens
        factor = tokens / finetuning.loss_scale(config, checkpoint_step=0)
        super().__init__(config=config, loss_normalizing_factor=factor, **others)

    def loss_fn(
        self, params: Any, batch: Batch, dropout_rng: Array | None
    ) -> tuple[Array, Metrics]:
        """As `SpactorModel.loss_fn`, with T5X's metrics and ``sc_loss``, nats per target token."""
        keys = self._keys(Role.CORRUPTION, batch)
        return self._stock_loss(params, batch["tokens"], keys, dropout_rng, "sc_loss")

    def eval_fn(self, params: Any, batch: Batch) -> tuple[Array, Metrics]:
        """Validates as the local engine does, with T5X's metrics and ``sc_loss_clean``."""
        keys = validation_keys(Role.VALIDATION_CORRUPTION, batch["tokens"])
        return self._stock_loss(params, batch["tokens"], keys, None, "sc_loss_clean")

    def _stock_loss(
        self, params: Any, tokens: Array, keys: Array, dropout_rng: Array | None, name: str
    ) -> tuple[Array, Metrics]:
        batch = self._corrupt(tokens, keys)._asdict()
        loss, metrics = super().loss_fn(params, batch, dropout_rng)
        entropy = metrics["cross_ent_loss_per_all_target_tokens"]
        total = self._loss_normalizing_factor * entropy.total
        return loss, metrics | {name: clu_metrics.Average(total=total, count=entropy.count)}


class FinetuneModel(_Model):
    """The stock model with the gradients of the local engine's fine-tuning.

    T5X's loss is a sum over target tokens, and so are its metrics. What is differentiated is its
    mean per target token times `finetuning.loss_scale`, so that retained slots fit the new
    gradients; with microbatches the mean of their means.

    Args:
      config: of the pre-training, with fine-tuning's dropout rate.
      batch_size: sequences of a fine-tuning step.
      others: of `_Model`, which see for the errors.
    """

    def __init__(self, *, config: PretrainConfig, batch_size: int, **others: Any) -> None:
        super().__init__(config=config, **others)
        self._batch_size = batch_size
        # Without a curriculum the scale is the same at every step.
        self._loss_scale = finetuning.loss_scale(config, checkpoint_step=0)

    def loss_fn(
        self, params: Any, batch: Batch, dropout_rng: Array | None
    ) -> tuple[Array, Metrics]:
        total, metrics = super().loss_fn(params, batch, dropout_rng)
        tokens = metrics["loss_per_nonpadding_target_token"].count
        share = batch["decoder_target_tokens"].shape[0] / self._batch_size
        return self._loss_scale * share * total / tokens, metrics
