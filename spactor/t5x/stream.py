"""Training data for T5X: the same stream on any number of hosts, resumed exactly after a kill.

The stream is cut into ``data_shards`` virtual shards, a constant of the run. Shard s fills the
rows s·B/S … (s + 1)·B/S − 1 of every global batch, and a host reads the shards its rows need, so
a batch does not depend on the number of hosts. T5X saves the stream with every checkpoint.

This file works around two properties of T5X at commit cc342d4:

* ``train.py`` reads the first batch in the background before it saves the initial checkpoint
  (``first_batch_ready = train_iter.peek_async()``), so the stream can be ahead of the saved step.
  At the step that a process starts from, it copies the state it was restored from, or saves none.
* ``utils.create_orbax_checkpoint_manager`` restores the stream from any checkpoint while
  ``save_dataset`` is on, whatever ``restore_dataset`` is. The stream knows its run's own folder,
  and whether to continue the stream of a checkpoint from another folder.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
from clu.data import dataset_iterator
from etils import epath

from spactor.data import host_tensorflow
from spactor.data.digest import batch_digest
from spactor.errors import UserError
from spactor.metrics import DIGESTS, JsonLines
from spactor.t5x import checkpoint
from spactor.t5x.features import vocabulary_name

host_tensorflow.seqio()  # Keeps TensorFlow off accelerators before it is imported by name.
import seqio  # noqa: E402
import tensorflow as tf  # noqa: E402


class TrainStream(dataset_iterator.TfDatasetIterator):
    """One host's batches, counted from the run's first.

    In a folder of its own (τ) pre-training continues the stream of the checkpoint that it begins
    with; fine-tuning does not.

    Args:
      dataset: endless, of this host's batches.
      facts: settings that determine the data; a checkpoint with other facts is refused.
      home: the run's own folder, which T5X makes, or an address such as ``gs://…``.
      finetuning_from: step at which fine-tuning begins; None for pre-training.
      log_period: steps between digests of batches in `DIGESTS`; None writes no such file.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        facts: Mapping[str, Any],
        home: str,
        finetuning_from: int | None = None,
        log_period: int | None = None,
    ) -> None:
        super().__init__(dataset, checkpoint=True)
        self._is_finetuning = finetuning_from is not None
        self._origin = finetuning_from or 0
        self._facts = {**facts, "first_step": self._origin}
        self._home = checkpoint.absolute(home)
        self._log_period = log_period
        self._step = self._origin
        self._restored: epath.Path | None = None

    def __next__(self) -> dict[str, np.ndarray]:
        """Returns the next batch.

        Raises:
          UserError: an example that the feature converter refuses.
        """
        try:
            batch = super().__next__()
        except tf.errors.InvalidArgumentError as error:
            raise UserError(
                f"the training data can't be read: {_reason(error)}; correct the task"
            ) from error
        self._step += 1
        # T5X logs the step at which the batch's update ends.
        if self._log_period is not None and (self._step - self._origin) % self._log_period == 0:
            self._log(batch)
        return batch

    def _log(self, batch: Mapping[str, np.ndarray]) -> None:
        path = self._home / DIGESTS
        values = {"run": "", "seed": self._facts["seed"], "batch": batch_digest(batch)}
        # Opened for each line, since T5X does not close a stream.
        if "://" in str(path):
            # A bucket has whole objects only, so no line can be incomplete.
            with path.open("a") as file:
                file.write(json.dumps({"step": self._step, **values}) + "\n")
        else:
            with closing(JsonLines(Path(path))) as lines:
                lines.write(self._step, values)

    def save(self, filename: Any) -> None:
        """Saves the stream's position before the batch of the checkpoint's step.

        Raises:
          UserError: the stream is at another step.
        """
        path = epath.Path(filename)
        step = _step_of(path)
        if self._restored is not None and step == _step_of(self._restored):
            for part in checkpoint.state_files(self._restored):
                part.copy(path.with_suffix(part.suffix))
        elif step == self._step:
            super().save(filename)
        elif step != self._origin:
            raise UserError(
                f"the data stream is at step {self._step} and the checkpoint at step {step}: "
                "begin from a checkpoint that has its data state, and fine-tuning with its step as "
                "INITIAL_STEP"
            )
        checkpoint.write_record(path, self._facts)

    def restore(self, filename: Any) -> None:
        """Continues the stream of this run's checkpoint, or at τ of its parent's.

        Raises:
          UserError: the data state is missing for this number of processes, of other data, or
            damaged.
        """
        path = epath.Path(filename)
        if self._is_finetuning and self._home not in path.parents:
            return
        record = checkpoint.read_record(path)
        if record is None:
            raise UserError(
                f"{path.parent} has no data state for this process of {self._facts['processes']}: "
                "resume with as many processes as wrote the checkpoint"
            )
        for name, ours in self._facts.items():
            saved = record.get(name)
            if saved != ours:
                raise UserError(
                    f"{path.parent} was read with {name} {saved!r} and this run has {ours!r}: "
                    "set it back, or begin a new run"
                )
        checkpoint.require_same_state(path, record)
        self._step, self._restored = _step_of(path), path
        if self._step != self._origin:
            super().restore(filename)


def _reason(error: tf.errors.InvalidArgumentError) -> str:
    # TensorFlow puts the check's message in square brackets, before what it compared.
    found = re.search(r"assertion failed: \[(.+?)\]", error.message)
    return found[1].replace("\\", "") if found else error.message.splitlines()[0]


def _step_of(path: epath.Path) -> int:
    # checkpoint_<step>[.orbax-checkpoint-tmp…]/train_ds[…]/…
    return int(re.findall(r"checkpoint_(\d+)", str(path))[-1])


def get_dataset(
    cfg: Any,
    shard_id: int,
    num_shards: int,
    feature_converter_cls: Callable[..., Any],
    num_epochs: int | None = None,
    continue_from_last_checkpoint: bool = False,
    *,
    model_dir: str,
    data_shards: int,
    log_period: int,
    finetuning_from: int | None = None,
    hardware_rng: bool = False,
) -> TrainStream:
    """T5X's ``train.get_dataset_fn`` for training data.

    Pre-training's batches also have the numbers of their rows, int32 ``[b]``: ``step`` and ``row``.

    Args:
      cfg: T5X's ``DatasetConfig`` of a seqio task or mixture.
      shard_id, num_shards: of the host; T5X's.
      feature_converter_cls: T5X's.
      num_epochs, continue_from_last_checkpoint: T5X's; training data are endless.
      model_dir: the run's folder.
      data_shards: S; a multiple of ``num_shards`` and a divisor of the batch size.
      log_period: T5X's ``stats_period``. Digests are logged if one process reads whole batches.
      finetuning_from: see :class:`TrainStream`.
      hardware_rng: T5X's ``USE_HARDWARE_RNG``, which is refused.

    Raises:
      UserError: there is no seed or it is the hardware's, DATA_SHARDS does not fit hosts and
        batch, or pre-training is given a task that has inputs.
    """
    del num_epochs, continue_from_last_checkpoint
    if cfg.seed is None:
        raise UserError(
            "train/utils.DatasetConfig.seed is None: give a whole number, unseeded runs are refused"
        )
    if hardware_rng:
        raise UserError(
            "USE_HARDWARE_RNG is True, and then masks and samples depend on how many devices there "
            "are: leave it False"
        )
    if data_shards % num_shards or cfg.batch_size % data_shards:
        raise UserError(
            f"DATA_SHARDS {data_shards} must be a multiple of the {num_shards} hosts that read "
            f"and divide the batch of {cfg.batch_size}"
        )
    if cfg.module:
        importlib.import_module(cfg.module)
    task = cfg.mixture_or_task_name
    if isinstance(task, str):
        task = seqio.get_mixture_or_task(task)
    features = task.output_features
    if finetuning_from is None and ("targets" not in features or "inputs" in features):
        raise UserError(
            f"{task.name} has {' and '.join(features)}, and pre-training corrupts raw tokens "
            "itself: give a task or mixture with targets alone, without span corruption"
        )
    per_host, rows = data_shards // num_shards, cfg.batch_size // num_shards
    parts = [
        seqio.get_dataset(
            task,
            task_feature_lengths=cfg.task_feature_lengths,
            dataset_split=cfg.split,
            shuffle=cfg.shuffle,
            num_epochs=None,
            feature_converter=feature_converter_cls(
                pack=cfg.pack, use_custom_packing_ops=cfg.use_custom_packing_ops
            ),
            shard_info=seqio.ShardInfo(index=index, num_shards=data_shards),
            use_cached=cfg.use_cached,
            seed=cfg.seed,
            trim_output_features=cfg.trim_output_features,
            batch_size=cfg.batch_size // data_shards,
            verbose=False,
        )
        for index in range(shard_id * per_host, (shard_id + 1) * per_host)
    ]

    def joined(step: Any, batches: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
        batch = {name: tf.concat([part[name] for part in batches], 0) for name in batches[0]}
        if finetuning_from is None:
            batch["step"] = tf.fill([rows], tf.cast(step, tf.int32))
            batch["row"] = tf.range(shard_id * rows, (shard_id + 1) * rows)
        return batch

    return TrainStream(
        tf.data.Dataset.zip(tuple(parts)).enumerate().map(joined),
        facts={
            "task": task.name,
            "vocabulary": vocabulary_name(features["targets"].vocabulary),
            "split": cfg.split,
            "lengths": dict(cfg.task_feature_lengths),
            "batch_size": cfg.batch_size,
            "shuffle": cfg.shuffle,
            "seed": cfg.seed,
            "data_shards": data_shards,
            "hosts": num_shards,
            "processes": jax.process_count(),
        },
        home=model_dir,
        finetuning_from=finetuning_from,
        log_period=log_period if jax.process_count() == 1 else None,
    )
