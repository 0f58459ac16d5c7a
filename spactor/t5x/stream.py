"""Training data for T5X: the same stream on any number of hosts, resumed exactly after a kill.

The stream is cut into ``data_shards`` virtual shards, a constant of the run. Shard s fills the
rows s·B/S … (s + 1)·B/S − 1 of every global batch, and a host reads the shards its rows need, so
a batch does not depend on the number of hosts. T5X saves the stream with every checkpoint.

This file works around two properties of T5X at commit cc342d4:

* ``train.py`` reads the first batch in the background before it saves the initial checkpoint
  (``first_batch_ready = train_iter.peek_async()``), so the saved stream can be one batch ahead of
  the saved step. The stream counts its batches and saves the one that was read too early.
* ``utils.create_orbax_checkpoint_manager`` restores the stream from any checkpoint while
  ``save_dataset`` is on, whatever ``restore_dataset`` is. The stream knows its run's own folder,
  and whether to continue the stream of a checkpoint from another folder.
"""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from clu.data import dataset_iterator
from etils import epath

from spactor.data import host_tensorflow
from spactor.data.digest import batch_digest
from spactor.errors import UserError, first_line
from spactor.metrics import DIGESTS, JsonLines
from spactor.t5x import stream_record
from spactor.t5x.features import vocabulary_name

host_tensorflow.seqio()  # Keeps TensorFlow off accelerators before it is imported by name.
import seqio  # noqa: E402
import tensorflow as tf  # noqa: E402

Elsewhere = Literal["continue", "start"]


class TrainStream(dataset_iterator.DatasetIterator):
    """One host's batches, counted from the run's first.

    Args:
      dataset: endless, of this host's batches.
      facts: settings that determine the data; a checkpoint with other facts is refused.
      first_row: this host's first row in the global batch.
      numbered: adds ``step`` and ``row``, int32 ``[b]``, to every batch.
      home: the run's own folder, or an address such as ``gs://…``.
      elsewhere: how a checkpoint of another folder is restored: ``continue`` its stream (τ), or
        ``start`` at the stream's beginning (fine-tuning).
      log_period: steps between digests of batches in `DIGESTS`; None writes no such file.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        facts: Mapping[str, Any],
        first_row: int,
        numbered: bool,
        home: str,
        elsewhere: Elsewhere,
        log_period: int | None = None,
    ) -> None:
        self._inner = dataset_iterator.TfDatasetIterator(dataset, checkpoint=True)
        self._facts = dict(facts)
        self._first_row = first_row
        self._numbered = numbered
        self._home = stream_record.absolute(home)
        self._elsewhere = elsewhere
        self._log_period = log_period
        self._position = 0
        self._origin: int | None = 0 if numbered else None
        self._last: dict[str, np.ndarray] | None = None
        self._pending: dict[str, np.ndarray] | None = None

    def __next__(self) -> dict[str, np.ndarray]:
        """The next batch.

        Raises:
          UserError: an example that the feature converter refuses.
        """
        batch, self._pending = self._pending, None
        if batch is None:
            try:
                batch = next(self._inner)
            except tf.errors.InvalidArgumentError as error:
                raise UserError(
                    f"the training data can't be read: {_reason(error)}; correct the task"
                ) from error
        # Only the first batch after a start can have been read too early.
        self._last = batch if self._last is None else {}
        if self._numbered:
            rows = len(next(iter(batch.values())))
            batch = batch | {
                "step": np.full(rows, self._position, np.int32),
                "row": np.arange(self._first_row, self._first_row + rows, dtype=np.int32),
            }
        self._position += 1
        if self._origin is not None:
            self._log(batch)
        return batch

    def _log(self, batch: Mapping[str, np.ndarray]) -> None:
        """Logs the batch's digest if T5X logs the step at which its update ends."""
        if self._log_period is None or self._position % self._log_period:
            return
        assert self._origin is not None
        self._home.mkdir(parents=True, exist_ok=True)
        path, step = self._home / DIGESTS, self._origin + self._position
        values = {"run": "", "seed": self._facts["seed"], "batch": batch_digest(batch)}
        # Opened for each line, since T5X does not close a stream.
        if "://" in str(path):
            # A bucket has whole objects only, so no line can be incomplete.
            with path.open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        else:
            with closing(JsonLines(Path(path))) as lines:
                lines.write(step, values)

    def reset(self) -> None:
        self._inner.reset()
        self._position, self._last, self._pending = 0, None, None

    @property
    def element_spec(self) -> Any:
        spec = dict(self._inner.element_spec)
        if self._numbered:
            rows = next(iter(spec.values())).shape[:1]
            for name in ("step", "row"):
                spec[name] = dataset_iterator.ArraySpec(np.dtype(np.int32), rows)
        return spec

    def save(self, filename: Any) -> None:
        """Saves the stream's position before the batch of the checkpoint's step.

        Raises:
          UserError: the stream is at another step.
        """
        path = epath.Path(filename)
        step = _step_of(path)
        if self._origin is None:
            # Fine-tuning's steps continue pre-training's; its stream begins at the first save.
            self._origin = step
            if self._last:
                self._log(self._last)
        ahead = self._origin + self._position - step
        if ahead not in (0, 1) or (ahead and not self._last):
            raise UserError(
                f"the data stream is at step {self._origin + self._position} and the checkpoint "
                f"at step {step}: begin from a checkpoint that has its data state"
            )
        self._inner.save(filename)
        if ahead:
            assert self._last is not None
            # NumPy seeks in a file that it writes, which a bucket's can't.
            table = io.BytesIO()
            np.save(table, _as_table(self._last), allow_pickle=False)
            _beside(path, ".pending.npy").write_bytes(table.getvalue())
        record = stream_record.Record(
            facts=self._facts,
            step=step,
            origin=self._origin,
            ahead=ahead,
            state=stream_record.state_digest(path),
        )
        _beside(path, ".json").write_text(json.dumps(record, indent=1, sort_keys=True))

    def restore(self, filename: Any) -> None:
        """Continues the stream of this run's checkpoint, or at τ of its parent's.

        Raises:
          UserError: the data state is missing for this number of processes, of other data, or
            damaged.
        """
        path = epath.Path(filename)
        own = self._home in path.parents
        if not own and self._elsewhere == "start":
            return
        about = _beside(path, ".json")
        if not about.exists():
            raise UserError(
                f"{path.parent} has no data state for this process of {self._facts['processes']}: "
                "resume with as many processes as wrote the checkpoint"
            )
        record = stream_record.read(about)
        for name, ours in self._facts.items():
            saved = record["facts"].get(name)
            if saved != ours:
                raise UserError(
                    f"{path.parent} was read with {name} {saved!r} and this run has {ours!r}: "
                    "set it back, or begin a new run"
                )
        stream_record.require_same_state(path, record)
        pending = self._read_early(path) if record["ahead"] else None
        try:
            self._inner.restore(filename)
        except tf.errors.ResourceExhaustedError:
            raise  # Out of memory or descriptors: not damage.
        except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
            raise stream_record.damaged(path, first_line(error)) from None
        self._origin = record["origin"]
        self._position = record["step"] - record["origin"]
        self._last = None
        self._pending = pending

    def _read_early(self, path: epath.Path) -> dict[str, np.ndarray]:
        """Reads the batch that was read before the checkpoint was saved."""
        early = _beside(path, ".pending.npy")
        try:
            table = np.lib.format.read_array(io.BytesIO(early.read_bytes()), allow_pickle=False)
            batch = {name: np.ascontiguousarray(table[name]) for name in table.dtype.names or ()}
        except Exception as error:
            # NumPy parses the header as Python source: a damaged one fails in a dozen ways.
            raise stream_record.damaged(early, error) from None
        spec = self._inner.element_spec
        if batch.keys() != spec.keys() or not all(
            array.dtype == spec[name].dtype and tf.TensorShape(spec[name].shape) == array.shape
            for name, array in batch.items()
        ):
            raise stream_record.damaged(early, "not a batch of this run")
        return batch


def _reason(error: tf.errors.InvalidArgumentError) -> str:
    # TensorFlow puts the check's message in square brackets, before what it compared.
    found = re.search(r"assertion failed: \[(.+?)\]", error.message)
    return found[1].replace("\\", "") if found else error.message.splitlines()[0]


def _as_table(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """A batch as a structured array with a field per feature, one row per example."""
    fields = [(name, array.dtype, array.shape[1:]) for name, array in batch.items()]
    table = np.empty(len(next(iter(batch.values()))), fields)
    for name, array in batch.items():
        table[name] = array
    return table


def _beside(path: epath.Path, ending: str) -> epath.Path:
    return path.parent / (path.name + ending)


def _step_of(path: epath.Path) -> int:
    # checkpoint_<step>[.orbax-checkpoint-tmp…]/train_ds[…]/…
    found = re.findall(r"checkpoint_(\d+)", str(path))
    if not found:
        raise ValueError(f"{path} is not in a checkpoint of T5X")
    return int(found[-1])


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
    numbered: bool,
    elsewhere: Elsewhere,
    log_period: int,
    hardware_rng: bool = False,
) -> TrainStream:
    """T5X's ``train.get_dataset_fn`` for training data.

    Args:
      cfg: T5X's ``DatasetConfig`` of a seqio task or mixture.
      shard_id, num_shards: of the host; T5X's.
      feature_converter_cls: T5X's.
      num_epochs, continue_from_last_checkpoint: T5X's; training data are endless.
      model_dir: the run's folder.
      data_shards: S; a multiple of ``num_shards`` and a divisor of the batch size.
      numbered, elsewhere: see :class:`TrainStream`.
      log_period: T5X's ``stats_period``. Digests are logged if one process reads whole batches.
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
    if numbered and ("targets" not in features or "inputs" in features):
        raise UserError(
            f"{task.name} has {' and '.join(features)}, and pre-training corrupts raw tokens "
            "itself: give a task or mixture with targets alone, without span corruption"
        )
    per_host = data_shards // num_shards
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

    def joined(*batches: Mapping[str, Any]) -> dict[str, Any]:
        return {name: tf.concat([batch[name] for batch in batches], 0) for name in batches[0]}

    return TrainStream(
        tf.data.Dataset.zip(*parts).map(joined),
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
        first_row=shard_id * cfg.batch_size // num_shards,
        numbered=numbered,
        home=model_dir,
        elsewhere=elsewhere,
        log_period=log_period if jax.process_count() == 1 else None,
    )
