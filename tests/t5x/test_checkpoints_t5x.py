"""T5X restores what the local engine saved, and both read the public checkpoints' older format."""

from __future__ import annotations

import functools
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_t5x

from spactor import step
from spactor.checkpoints import Checkpoints
from spactor.config import PretrainConfig
from spactor.t5x import convert

pytestmark = pytest.mark.usefixtures("t5x_installed")


class Stock:
    """T5X's own model, its partitioner and a fresh train state's shapes."""

    def __init__(self, config: PretrainConfig, vocabulary: Any) -> None:
        shapes = {"encoder_input_tokens": (2, 8), "decoder_input_tokens": (2, 8)}
        model = tiny_t5x.model("stock", config, vocabulary, seed=0)
        self.partitioner, self.initializer = tiny_t5x.initializer(model, shapes)

    def restored(self, path: Path, **options: Any) -> Any:
        from t5x import utils

        config = utils.RestoreCheckpointConfig(path=str(path), mode="specific", **options)
        state, manager = utils.create_checkpoint_manager_and_restore(
            self.initializer,
            self.partitioner,
            config,
            str(path),
            None,
            model_dir=str(path.parent),
            use_orbax=True,
        )
        manager.close()
        return state


@pytest.fixture(scope="module")
def stock(config, seqio_vocabulary, t5x_installed) -> Stock:
    return Stock(config, seqio_vocabulary)


def assert_holds(state: Any, ours: step.TrainState) -> None:
    """A T5X state has a local state's step, parameters and second moments, bit for bit."""
    found = convert.from_t5x(state.state_dict())
    assert jax.tree.structure(found) == jax.tree.structure(ours)
    jax.tree.map(np.testing.assert_array_equal, found, ours)


def test_the_stock_model_loads_a_stage_2_checkpoint(stock, exported) -> None:
    path, state = exported["span_corruption"]
    assert_holds(stock.restored(path), state)


def test_the_stock_model_loads_a_hybrid_checkpoint_through_the_switch(stock, exported) -> None:
    from spactor.t5x.restore import keep_discriminator

    path, state = exported["hybrid"]
    restored = stock.restored(
        path, state_transformation_fns=[functools.partial(keep_discriminator, path=str(path))]
    )
    assert_holds(restored, step.without_hybrid_parts(state))


def test_public_checkpoints_of_the_older_format(
    stock, config, seqio_vocabulary, tmp_path: Path
) -> None:
    """A made-up checkpoint in the layout of the public T5 1.0 ones, which T5X itself writes."""
    from t5x import checkpoints as t5x_checkpoints

    from spactor.t5x.restore import keep_discriminator

    state = stock.initializer.from_scratch(jax.random.PRNGKey(5))
    writer = t5x_checkpoints.Checkpointer(state, stock.partitioner, str(tmp_path / "public"))
    writer.save(state)
    (path,) = (tmp_path / "public").glob("checkpoint_*")
    assert (path / "checkpoint").is_file()
    restored = stock.restored(path, state_transformation_fns=[keep_discriminator])
    convert.import_checkpoint(path, config, "span_corruption", tmp_path / "local")
    with closing(Checkpoints(tmp_path / "local", config, "span_corruption")) as checkpoints:
        local = checkpoints.restore(int(state.step))
    assert_holds(state, local)
    assert_holds(restored, local)
