"""Compiles T5X's training step for a TPU slice, on a host without TPUs.

``python -m analysis.compiled.t5x_process`` takes the place of ``python -m t5x.train``: gin's
``train`` is the function below, which compiles the step of T5X's ``Trainer``, with the shardings of
T5X's partitioner, instead of running it. The module reads a JSON request from standard input and
prints its result for ``t5x_step`` as one line of JSON. Needs T5X and libtpu.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from analysis.compiled import slices
from analysis.compiled.t5x_step import GIN
from spactor.config import NUM_SENTINELS

_FLAGS = (
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_threefry_gpu_kernel_lowering",
    "jax_legacy_prng_key",
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_use_shardy_partitioner",
)
"""JAX settings that change a step's random bits or precision; T5X does not set them."""


def vocabulary(pieces: int) -> Any:
    """Returns a vocabulary of the run's size, with T5's sentinels, that reads no file.

    Args:
      pieces: number of SentencePiece pieces, without sentinels.
    """
    from spactor.data import host_tensorflow

    made = host_tensorflow.seqio().PassThroughVocabulary(pieces)
    made._extra_ids = NUM_SENTINELS
    return made


def train(
    *,
    model: Any,
    train_dataset_cfg: Any,
    partitioner: Any,
    trainer_cls: Any,
    random_seed: int,
    **others: Any,
) -> tuple[Any, Any, Any]:
    """Compiles the step that ``t5x.train`` would run with the same bindings.

    Args:
      model, train_dataset_cfg, partitioner, trainer_cls, random_seed: see ``t5x.train``.
      others: further arguments of ``t5x.train``, which do not change the step.

    Returns:
      The compiled step, the partitioner, and the trainer.
    """
    import jax
    import numpy as np
    from t5x import utils

    del others
    rows = train_dataset_cfg.batch_size
    length = train_dataset_cfg.task_feature_lengths["targets"]
    # The features of spactor.t5x.stream, and each row's position.
    shapes = {"tokens": (rows, length), "step": (rows,), "row": (rows,)}
    initializer = utils.TrainStateInitializer(
        optimizer_def=model.optimizer_def,
        init_fn=model.get_initial_variables,
        input_shapes=shapes,
        input_types=dict.fromkeys(shapes, np.int32),
        partitioner=partitioner,
    )
    _, trainer_rng = jax.random.split(jax.random.PRNGKey(random_seed), 2)
    trainer = trainer_cls(
        model=model,
        train_state=initializer.global_train_state_shape,
        partitioner=partitioner,
        eval_names=[],
        summary_dir=None,
        train_state_axes=initializer.train_state_axes,
        rng=trainer_rng,
    )
    with trainer:
        batch = {name: jax.ShapeDtypeStruct(shape, np.int32) for name, shape in shapes.items()}
        compiled = partitioner.compile(trainer._partitioned_train_step, trainer.train_state, batch)
    return compiled, partitioner, trainer


@contextmanager
def _jax_with(devices: Sequence[Any]) -> Iterator[None]:
    """Makes ``jax.devices`` return the devices of a slice that this host does not have."""
    import jax

    local = [device for device in devices if device.process_index == 0]
    with (
        mock.patch.object(jax, "devices", lambda *_: list(devices)),
        mock.patch.object(jax, "local_devices", lambda *_: list(local)),
    ):
        yield


def _compile(request: Mapping[str, Any]) -> dict[str, Any]:
    """Compiles the step for a slice, and writes the program's text to ``request["text"]``."""
    import gin
    import jax
    from t5x import gin_utils

    devices = slices.devices(request["topology"])
    bindings = [
        "from __gin__ import dynamic_registration",
        "import __main__ as train_script",
        "VOCABULARY = @train_script.vocabulary()",
        f"train_script.vocabulary.pieces = {request['pieces']}",
        *(f"{name} = {value!r}" for name, value in request["bindings"].items()),
    ]
    t5x = Path(sys.modules["t5x"].__path__[0])
    files = [str(GIN / f"{name}.gin") for name in request["files"]]
    gin_utils.parse_gin_flags([str(GIN.parents[2]), str(t5x.parent)], files, bindings)
    with _jax_with(devices):
        program, partitioner, trainer = gin.get_configurable(sys.modules["__main__"].train)()
    Path(request["text"]).write_text(program.as_text(), encoding="utf-8")
    return slices.costs(program) | {
        "chips": len(devices),
        "mesh": dict(partitioner.mesh.shape),
        "microbatches": trainer._num_microbatches or 1,
        "parameter_bytes": _bytes(trainer.train_state.params),
        "state_bytes": _bytes(trainer.train_state),
        "flags": {name: getattr(jax.config, name) for name in _FLAGS},
        "t5x_digest": _digest(),
    }


def _bytes(tree: Any) -> int:
    import jax

    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _digest() -> str:
    """SHA-256 of the source of T5X's modules that were imported."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and (name == "t5x" or name.startswith("t5x.")):
            digest.update(f"{name}\n".encode() + Path(path).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(json.dumps(_compile(json.load(sys.stdin))))
