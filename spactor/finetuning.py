"""Fine-tunes a pre-trained discriminator on a suite (Section 3.1, Appendix A.2).

Neither TensorFlow nor seqio is needed: examples are read as token ids and predictions are stored
as token ids, which `spactor.scoring` turns into scores. The loop is `spactor.trainer`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

from spactor import curriculum, objective, optimizer, predictions, ranking, trainer
from spactor import step as steps
from spactor.checkpoints import Checkpoints, restore_parent
from spactor.config import FinetuneConfig, ObjectiveConfig, PretrainConfig
from spactor.data import suite_tokens
from spactor.data.digest import batch_digest
from spactor.data.vocabulary import EOS_ID
from spactor.keys import Role, role_key
from spactor.network import Network
from spactor.objective import Metrics
from spactor.progress import Observer
from spactor.step import TrainState

Array = jax.Array


@dataclass(frozen=True, kw_only=True)
class FinetuneJob:
    """A suite fine-tuned from one pre-training checkpoint, or from scratch.

    Attributes:
      config: hyper-parameters of fine-tuning.
      pretraining: configuration of the run that saved the checkpoint.
      suite: name of the suite.
      checkpoint_step: pre-training step of the checkpoint; 0 is from scratch.
      pretraining_seed: seed of the initialisation, from scratch.
      seed: seed of the data order and dropout.
    """

    config: FinetuneConfig
    pretraining: PretrainConfig
    suite: str
    checkpoint_step: int
    pretraining_seed: int
    seed: int

    @property
    def model_config(self) -> PretrainConfig:
        """Returns the pre-training configuration with fine-tuning's dropout."""
        model = dataclasses.replace(self.pretraining.model, dropout_rate=self.config.dropout_rate)
        return dataclasses.replace(self.pretraining, model=model)

    @property
    def program_config(self) -> PretrainConfig:
        """Returns the settings of the compiled programs, equal for all stages, τ and curricula."""
        config = self.model_config
        return PretrainConfig(
            model=config.model,
            objective=ObjectiveConfig(z_loss=config.objective.z_loss),
            optimizer=config.optimizer,
        )


def loss_scale(config: PretrainConfig, checkpoint_step: int) -> float:
    """Returns the factor of the mean loss per target token in the last update of pre-training.

    The factor is λ2, times the target length if the loss is a sum. With it, the second moments
    that Adafactor takes over from pre-training fit the gradients of fine-tuning.

    >>> from spactor.config import PAPER
    >>> loss_scale(PAPER["base"], 500_000)
    1140.0
    """
    lambda_sc = float(curriculum.weights_at(config, max(checkpoint_step - 1, 0)).lambda_sc)
    if config.objective.reduction == "mean_per_token":
        return lambda_sc
    return lambda_sc * config.lengths.target_tokens


FinetuneStep = Callable[
    [TrainState, Mapping[str, Array], Array | int, Array | float, Array | float],
    tuple[TrainState, Metrics],
]


@functools.cache
def build_finetune_step(config: PretrainConfig) -> FinetuneStep:
    """Compiles the update: ``(state, batch, seed, learning_rate, loss_scale) → (state, metrics)``.

    The state is donated. The mean loss per target token is multiplied by ``loss_scale``. Learning
    rate and scale are arguments of the program, so all suites and checkpoints share one program.
    """
    network = Network(config.model)

    def loss_of(
        params: objective.Params,
        batch: Mapping[str, Array],
        dropout_key: Array | None,
        loss_scale: Array,
    ) -> tuple[Array, Metrics]:
        loss, metrics = objective.target_token_loss(
            network,
            params,
            batch["encoder_input_tokens"],
            batch["decoder_target_tokens"],
            config.objective.z_loss,
            dropout_key,
        )
        return loss_scale * loss, metrics

    def finetune_step(
        state: TrainState,
        batch: Mapping[str, Array],
        seed: Array,
        learning_rate: Array,
        loss_scale: Array,
    ) -> tuple[TrainState, Metrics]:
        dropout_key = None
        if config.model.dropout_rate > 0.0:
            dropout_key = role_key(Role.FINETUNING_DROPOUT, seed, state.step)
        grads, metrics = jax.grad(loss_of, has_aux=True)(
            state.params, batch, dropout_key, loss_scale
        )
        metrics |= {"grad_norm": objective.Ratio(optax.tree.norm(grads), jnp.ones(()))}
        return steps.updated(state, grads, learning_rate, config), metrics

    return jax.jit(finetune_step, donate_argnums=0)


def finetune(
    job: FinetuneJob,
    *,
    data_folder: Path,
    folder: Path,
    parent: Path | None,
    observer: Observer,
    score: Callable[[int], Mapping[str, float]] = lambda step: {},
    run_id: str = "",
) -> None:
    """Fine-tunes to the end of the job, resuming from the newest checkpoint in ``folder``.

    Each evaluation decodes the validation split, or ranks its choices, and stores tokens and
    log-likelihoods (`spactor.predictions`).
    Steps are counted from 0.

    Args:
      job: the model, the suite and the settings.
      data_folder: prepared data with the suite's token ids.
      folder: this node's folder; made if missing.
      parent: folder of the segment that saved the checkpoint; None from scratch.
      observer: called after every logged step.
      score: called with a step once its predictions are stored; returns values to log.
      run_id: identifies this run in ``digests.jsonl``.

    Raises:
      Diverged: a loss or a gradient is no longer finite.
      UserError: an unknown suite, a missing checkpoint or one of another size.
    """
    config = job.model_config
    arrays = suite_tokens.load(data_folder, job.suite, input_length=job.config.input_length)
    update = build_finetune_step(job.program_config)
    scale = loss_scale(config, job.checkpoint_step)
    decode = steps.build_greedy_decode(job.program_config, arrays.target_length, EOS_ID)
    rank = steps.build_scorer(job.program_config)

    def initial_state() -> TrainState:
        if parent is None:
            return steps.init_state(config, job.pretraining_seed, "span_corruption")
        state = restore_parent(parent, config, job.checkpoint_step, "span_corruption")
        slots = (
            optimizer.init_slots(state.params, config.optimizer)
            if job.config.reset_optimizer
            else state.slots
        )
        first = TrainState(jnp.zeros((), jnp.int32), state.params, slots)
        # Committed to a device, as after an update: otherwise the two compile separately.
        return jax.device_put(first, steps.device_sharding())

    def evaluate(state: TrainState, step: int) -> Mapping[str, float]:
        found = predictions.predict(
            lambda tokens: decode(state.params, tokens), arrays.validation_inputs
        )
        for name, items in arrays.ranked.items():
            found[name] = ranking.log_likelihoods(functools.partial(rank, state.params), items)
        predictions.write(folder, step, found)
        return {f"eval/{job.suite}/{name}": value for name, value in score(step).items()}

    period_steps = job.config.evaluation_period_steps
    task = trainer.Task(
        seed=job.seed,
        initial_state=initial_state,
        train_step=lambda state, batch, seed: update(
            state, batch, seed, job.config.learning_rate, scale
        ),
        batch_at=lambda step: suite_tokens.train_batch(
            arrays, seed=job.seed, step=step, batch_size=job.config.batch_size
        ),
        evaluate=evaluate,
        digests=lambda step, batch: {"batch": batch_digest(batch)},
        batch_size=job.config.batch_size,
        schedule=trainer.Schedule(
            start_step=0,
            end_step=job.config.total_steps,
            log_period_steps=period_steps,
            evaluation_period_steps=period_steps,
            checkpoint_period_steps=period_steps,
        ),
    )
    with closing(Checkpoints(folder, config, "span_corruption")) as checkpoints:
        trainer.fit(
            task=task, checkpoints=checkpoints, folder=folder, observer=observer, run_id=run_id
        )
