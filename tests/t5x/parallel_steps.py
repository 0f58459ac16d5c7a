"""One layout of T5X's partitioned training step; prints losses and what its HLO gathers.

``python parallel_steps.py STAGE MODEL_PARALLEL HOME [PARENT]``, started by `test_parallelism`.
T5X's own manager saves a checkpoint at step 2 in HOME, and the layout begins once more from it, and
from PARENT, which another layout saved at that step.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any

import jax
import numpy as np
import tiny_t5x

RESTART_STEP = 2


def main(stage: str, model_parallel: int, home: str, parent: str | None) -> None:
    from t5x import trainer, utils

    from spactor import objective, optimizer

    config = tiny_t5x.CONFIG
    model = tiny_t5x.model(stage, config, tiny_t5x.vocabulary(), seed=3)
    length = config.lengths.chunk_tokens
    shapes = {"tokens": (8, length), "step": (8,), "row": (8,)}
    partitioner, initializer = tiny_t5x.initializer(model, shapes, model_parallel)
    state = initializer.from_scratch(jax.random.PRNGKey(0))

    def update(state: Any, batch: Any) -> Any:
        rate = optimizer.learning_rate(state.step, config.optimizer)
        return trainer.train_with_lr(state, batch, rate, jax.random.PRNGKey(9), model, None)

    step = partitioner.partition(
        update,
        in_axis_resources=(initializer.train_state_axes, partitioner.data_partition_spec),
        out_axis_resources=(initializer.train_state_axes, None),
        donate_argnums=(0,),
    )

    def batch_of(number: int) -> Any:
        tokens = np.random.default_rng(number).integers(3, 411, (8, length)).astype(np.int32)
        batch = tiny_t5x.batch_of(tokens, number)
        return utils._create_sharded_array(partitioner, shapes, batch)

    compiled = partitioner.compile(step, state, batch_of(0))

    def losses_from(state: Any, first: int, manager: Any = None) -> list[float]:
        losses = []
        for number in range(first, 5):
            if manager is not None and number == RESTART_STEP:
                manager.save(state)
                manager.wait_until_finished()
            state, metrics = compiled(state, batch_of(number))
            losses.append(float(np.asarray(jax.device_get(metrics["loss"].total))))
        return losses

    def restored(path: str | None) -> tuple[Any, Any]:
        """The state at a checkpoint and a manager of HOME, as ``t5x.train`` makes them."""
        restore = None
        if path is not None:
            restore = utils.RestoreCheckpointConfig(path=path, mode="specific", dtype=None)
        return utils.create_checkpoint_manager_and_restore(
            initializer,
            partitioner,
            restore,
            path,
            None,
            save_checkpoint_cfg=utils.SaveCheckpointConfig(period=1, dtype=None),
            model_dir=home,
            use_orbax=True,
        )

    _, manager = restored(None)
    losses = losses_from(state, 0, manager)
    restarts = {
        name: losses_from(restored(path)[0], RESTART_STEP)
        for name, path in (("own", f"{home}/checkpoint_{RESTART_STEP}"), ("parent", parent))
        if path is not None
    }

    gathers = [
        (math.prod(int(n) for n in shape.split(",")), line.strip()[:300])
        for line in compiled.as_text().splitlines()
        if (found := re.search(r"= \w+\[([\d,]+)\]\S* all-gather", line))
        for shape in found.groups()
    ]
    # With several devices to a replica a parameter's factored second moments are joined: vectors,
    # none longer than its longest dimension.
    allowed = config.model.vocab_size
    if stage == "hybrid":
        # So is the one block of the vocabulary that a masked position samples from: a quarter of
        # the logits here, 1/251 at T5's vocabulary. Activations and logits never are.
        rows = config.batch_size // partitioner.mesh.shape["data"]
        sampled = rows * config.lengths.masked_tokens * objective._SAMPLING_BLOCK
        allowed = max(allowed, sampled)
    print(
        json.dumps(
            {
                "losses": losses,
                "restarts": restarts,
                "mesh": dict(partitioner.mesh.shape),
                "gathers": sorted(gathers, reverse=True)[:10],
                "largest_gather": max((size for size, _ in gathers), default=0),
                "allowed_gather": allowed,
            }
        )
    )


if __name__ == "__main__":
    parent = sys.argv[4] if len(sys.argv) > 4 else None
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], parent)
