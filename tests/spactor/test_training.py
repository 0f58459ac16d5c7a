"""Whole segments on tiny arrays: logs, checkpoints, resuming, the switch, bad input."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest
from segments import numbers, schedule
from tiny_model import CORRUPT, VOCABULARY, one_layer_config

from spactor import step
from spactor.checkpoints import Checkpoints, restore_parent
from spactor.data.arrays import train_batch
from spactor.data.digest import batch_digest
from spactor.errors import UserError
from spactor.keys import Role, role_key, row_keys
from spactor.pretraining import PretrainJob, pretrain
from spactor.step import HYBRID_ONLY

SEED = 3


def _job(config, stage="hybrid", start=0, end=8) -> PretrainJob:
    return PretrainJob(
        config=config,
        stage=stage,
        seed=SEED,
        schedule=schedule(start, end),
        validation_chunks=8,
    )


def _pretrain(folder: Path, job: PretrainJob, arrays, parent: Path | None = None, **rest) -> None:
    settings = {"observer": lambda *_: None} | rest
    pretrain(job, arrays=arrays, folder=folder, parent=parent, **settings)


def _final(folder: Path, config, stage, step):
    with closing(Checkpoints(folder, config, stage)) as checkpoints:
        return checkpoints.restore(step)


def _assert_same(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


class _Killed(BaseException):
    """Simulates a signal; not an Exception, so that the run can't catch it."""


@pytest.fixture(scope="module")
def unbroken(config, arrays, tmp_path_factory) -> Path:
    """A finished run of eight hybrid steps."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    _pretrain(folder, _job(config), arrays, run_id="f1")
    return folder


def test_logged_metrics(unbroken) -> None:
    logged = numbers(unbroken)
    assert sorted(logged) == [2, 4, 6, 8]
    assert "validation/sc_loss_clean" not in logged[2]
    for name in (
        "train/loss", "train/generator_loss", "train/rtd_loss", "train/sc_loss",
        "train/learning_rate", "train/grad_norm", "validation/sc_loss_clean",
        "validation/sc_loss_noisy", "validation/mlm_loss", "validation/mlm_accuracy",
        "validation/rtd_loss", "validation/rtd_accuracy", "validation/replaced_fraction",
    ):  # fmt: skip
        assert name in logged[8]
    assert (unbroken / "checkpoints" / "8").is_dir()


def test_digests_are_of_the_batch_and_masks_of_the_step(config, arrays, unbroken) -> None:
    lines = [json.loads(line) for line in (unbroken / "digests.jsonl").read_text().splitlines()]
    assert [(line["step"], line["run"], line["seed"]) for line in lines] == [
        (step, "f1", SEED) for step in (2, 4, 6, 8)
    ]
    for line in lines:
        # The update that ends at step n leads away from n - 1.
        at = {"seed": SEED, "step": line["step"] - 1}
        chunk_tokens = config.lengths.chunk_tokens
        batch = train_batch(arrays, **at, batch_size=config.batch_size, chunk_tokens=chunk_tokens)
        keys = row_keys(role_key(Role.CORRUPTION, *at.values()), len(batch))
        masks = CORRUPT(batch, keys, config.training_lengths, VOCABULARY)
        assert line["batch"] == batch_digest(batch)
        assert line["masks"] == batch_digest(
            {name: np.asarray(mask) for name, mask in masks._asdict().items() if mask is not None}
        )
    assert len({line["batch"] for line in lines}) == len({line["masks"] for line in lines}) == 4


def test_tensorflow_reads_the_event_files(unbroken) -> None:
    from spactor.data import host_tensorflow

    host_tensorflow.seqio()
    import tensorflow as tf

    (file,) = (unbroken / "train").iterdir()
    read = {}
    for event in tf.compat.v1.train.summary_iterator(str(file)):
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            read[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    written = {
        (step, name): float(np.float32(value))
        for step, values in numbers(unbroken).items()
        for name, value in values.items()
    }
    assert {key: read[key] for key in written} == written


def test_a_resumed_run_equals_an_uninterrupted_one(config, arrays, unbroken, tmp_path) -> None:
    """Killed after a checkpoint; test_interruptions.py stops runs before the first one, too."""
    broken = tmp_path / "broken"

    def kill(step: int, *_: object) -> None:
        if step == 6:
            raise _Killed

    with pytest.raises(_Killed):
        _pretrain(broken, _job(config), arrays, observer=kill)
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "train/lo')  # torn by the kill
    _pretrain(broken, _job(config), arrays)
    assert numbers(broken) == numbers(unbroken)
    _assert_same(_final(broken, config, "hybrid", 8), _final(unbroken, config, "hybrid", 8))


def test_branches_share_their_prefix(config, arrays, unbroken, tmp_path) -> None:
    """And the switch at τ retains the discriminator and its slots, bit for bit."""
    trunk, on, branch = (tmp_path / name for name in ("trunk", "on", "branch"))
    _pretrain(trunk, _job(config, end=4), arrays)
    _pretrain(on, _job(config, start=4), arrays, parent=trunk)
    _pretrain(branch, _job(config, "span_corruption", start=4), arrays, parent=trunk)
    _assert_same(_final(on, config, "hybrid", 8), _final(unbroken, config, "hybrid", 8))
    assert {4: numbers(trunk)[4], 8: numbers(on)[8]} == {
        step: numbers(unbroken)[step] for step in (4, 8)
    }
    ended = _final(branch, config, "span_corruption", 8)
    assert not set(HYBRID_ONLY) & set(ended.params)
    assert "train/generator_loss" not in numbers(branch)[6]
    before = _final(trunk, config, "hybrid", 4)
    after = restore_parent(trunk, config, 4, "span_corruption")
    assert set(before.params) - set(after.params) == set(HYBRID_ONLY)
    assert int(after.step) == 4 and int(after.slots.count) == 4
    for name, tree in after.params.items():
        _assert_same(tree, before.params[name])
        for slot in ("v", "v_row", "v_col"):
            moments = getattr(after.slots, slot)
            assert set(moments) == set(after.params)
            _assert_same(moments[name], getattr(before.slots, slot)[name])
    # One compilation for fresh and restored states.
    assert step.build_train_step(config, VOCABULARY, "hybrid")._cache_size() == 1
    assert step.build_validation_step(config, VOCABULARY, "hybrid")._cache_size() == 1


BARE_MACHINE = """
import sys

# Simulates that they are not installed, for import and for find_spec.
sys.modules |= dict.fromkeys(["tensorflow", "seqio", "t5", "tensorboard"])
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from segments import schedule
from tiny_model import VOCABULARY, one_layer_config
from spactor.data.arrays import TokenArrays
from spactor.pretraining import PretrainJob, pretrain

tokens = np.arange(2000, dtype=np.int32) % 400 + 3
pretrain(
    PretrainJob(
        config=one_layer_config(), stage="span_corruption", seed=0, validation_chunks=4,
        schedule=schedule(0, 2, evaluation=2, checkpoint=2),
    ),
    arrays=TokenArrays(tokens, tokens, VOCABULARY, "made-up", 6.0, 0.1),
    folder=Path(sys.argv[2]), parent=None, observer=lambda *_: None,
)
"""


def test_pretraining_needs_only_jax_flax_optax_and_orbax(run_folder) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE, str(Path(__file__).parent), str(run_folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "tensorboard is not installed" in done.stderr
    assert sorted(numbers(run_folder)) == [2]
    assert not (run_folder / "train").exists()


def test_finished_runs_are_not_changed(config, arrays, unbroken) -> None:
    before = (unbroken / "metrics.jsonl").read_bytes()
    _pretrain(unbroken, _job(config), arrays)
    assert (unbroken / "metrics.jsonl").read_bytes() == before


def test_invalid_parents_are_rejected(config, run_folder, tmp_path) -> None:
    with closing(Checkpoints(run_folder, config, "span_corruption")) as checkpoints:
        checkpoints.save(step.init_state(config, 0, "span_corruption"), 4)
    with pytest.raises(UserError, match="size"):
        restore_parent(run_folder, one_layer_config(mlp_dim=48), 4, "span_corruption")
    with pytest.raises(UserError, match="generator"):
        restore_parent(run_folder, config, 4, "hybrid")
    with pytest.raises(UserError, match="checkpoints/3"):
        restore_parent(run_folder, config, 3, "span_corruption")
    with pytest.raises(UserError, match="nowhere"):
        restore_parent(tmp_path / "nowhere", config, 4, "span_corruption")


def test_data_of_another_vocabulary_is_rejected(config, arrays, run_folder) -> None:
    other = dataclasses.replace(arrays, vocabulary=type(VOCABULARY).of_pieces(700))
    with pytest.raises(UserError):
        _pretrain(run_folder, _job(config), other)
    assert not run_folder.exists()


def test_periods_must_fit() -> None:
    with pytest.raises(UserError, match=r"checkpoint_period_steps 3 .* log_period_steps 2"):
        schedule(checkpoint=3)
