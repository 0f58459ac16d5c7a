"""Fine-tuning on a machine without TensorFlow, and scoring what it answered elsewhere."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from made_sources import each_suite
from tiny_model import one_layer_config

from spactor import predictions, scoring, step
from spactor.checkpoints import Checkpoints
from spactor.config import FinetuneConfig
from spactor.data import suite_tokens, suites
from spactor.data.suites import INVALID_RATE, PREDICTED_CLASSES
from spactor.data.suites.suite import MARGIN
from spactor.data.vocabulary import EOS_ID
from spactor.errors import UserError
from spactor.finetuning import FinetuneJob, build_finetune_step, finetune

SUITE = "glue"
CONFIG = one_layer_config()
JOB = FinetuneJob(
    config=FinetuneConfig(batch_size=4, total_steps=4, evaluation_period_steps=2, input_length=32),
    pretraining=CONFIG,
    suite=SUITE,
    checkpoint_step=3,
    pretraining_seed=0,
    seed=5,
)

BARE_MACHINE = """
import sys

# Simulates that they are not installed, for import and for find_spec.
sys.modules |= dict.fromkeys(["tensorflow", "tensorflow_text", "seqio", "t5", "sentencepiece"])
from pathlib import Path
from test_finetuning import JOB
from spactor.finetuning import finetune

data, parent, folder = map(Path, sys.argv[1:])
finetune(JOB, data_folder=data, parent=parent, folder=folder, observer=lambda *_: None)
"""


def _silent(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    with closing(Checkpoints(folder, CONFIG, "span_corruption")) as checkpoints:
        checkpoints.save(step.init_state(CONFIG, 0, "span_corruption"), 3)
    return folder


@pytest.fixture(scope="module")
def here(prepared: Path, parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is scored as it goes."""
    folder = tmp_path_factory.mktemp("here") / "node"
    finetune(
        JOB,
        data_folder=prepared,
        parent=parent,
        folder=folder,
        observer=_silent,
        score=lambda step: scoring.score(folder, prepared, SUITE, step),
    )
    return folder


def test_without_tensorflow_it_predicts_the_same_and_is_scored_later(
    prepared: Path, parent: Path, here: Path, tmp_path: Path
) -> None:
    there = tmp_path / "node"
    done = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE, str(prepared), str(parent), str(there)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert predictions.steps(there) == predictions.steps(here) == (2, 4)
    for at in (2, 4):
        assert (there / f"predictions/{at}.npy").read_bytes() == (
            here / f"predictions/{at}.npy"
        ).read_bytes()
    assert not (there / scoring.FOLDER).exists()
    scoring.score_all(there, prepared, SUITE)
    scored = {path.name for path in (here / scoring.FOLDER).iterdir()}
    assert {f"spactor_glue_{task}-metrics.jsonl" for task in ("acceptability", "order")} <= scored
    assert scored == {path.name for path in (there / scoring.FOLDER).iterdir()}
    for name in scored:
        assert (there / scoring.FOLDER / name).read_text() == (
            here / scoring.FOLDER / name
        ).read_text()


def test_one_program_for_every_rate_checkpoint_and_suite_of_a_length(
    prepared: Path, parent: Path, tmp_path: Path
) -> None:
    # No other test has compiled this dropout.
    changes = {"dropout_rate": 0.2, "reset_optimizer": True}
    for number, (rate, start) in enumerate([(1e-3, None), (5e-4, parent)]):
        job = dataclasses.replace(
            JOB,
            pretraining=dataclasses.replace(CONFIG, input_length=60 + number),
            config=dataclasses.replace(JOB.config, learning_rate=rate, **changes),
            seed=number,
            checkpoint_step=3 if start else 0,
        )
        finetune(
            job,
            data_folder=prepared,
            parent=start,
            folder=tmp_path / str(number),
            observer=_silent,
        )
    update = build_finetune_step(job.program_config)
    decode = step.build_greedy_decode(job.program_config, 16, EOS_ID)
    assert update._cache_size() == decode._cache_size() == 1


def test_scores_are_logged_beside_the_loss(here: Path) -> None:
    lines = [json.loads(line) for line in (here / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert {"train/loss", "eval/glue/order/accuracy"} <= set(lines[1])


@each_suite
def test_right_and_wrong_answers(prepared: Path, tmp_path: Path, suite: suites.Suite) -> None:
    arrays = suite_tokens.load(prepared, suite.name, input_length=32)
    tokens = suite_tokens.read(prepared, suite.name)
    tasks = [task for task in suite.tasks if task.name in tokens.tasks]
    right, wrong = {}, {}
    for task in tasks:
        if task.name in arrays.ranked:
            items = arrays.ranked[task.name]
            places = np.cumsum(items.counts) - items.counts + items.right
            # The right choice has 0 and every other −2, or the other way round.
            right[task.name] = np.full(items.counts.sum(), -2.0, np.float32)
            right[task.name][places] = 0.0
            wrong[task.name] = -2.0 - right[task.name]
        else:
            rows = tokens.rows[task.name, "validation", "targets"]
            right[task.name] = tokens.padded(rows, arrays.target_length)
            wrong[task.name] = np.zeros_like(right[task.name])  # An empty answer.
    for at, answers in ((1, right), (2, wrong)):
        predictions.write(tmp_path, at, answers)
    labels = {task.name: len(task.labels) for task in tasks if task.labels}
    ranked = [f"{task}/{MARGIN}" for task in arrays.ranked]
    names = {f"{task.name}/{fact.name}" for task in tasks for fact in task.metrics} - {*ranked}
    perfect = scoring.score(tmp_path, prepared, suite.name, 1)
    margins = [perfect.pop(name) for name in ranked]
    assert all(0.0 < margin <= 2.0 for margin in margins)  # Divided by the length in Rainbow.
    assert perfect == dict.fromkeys(names, 100.0) | {
        f"{task}/{name}": value
        for task, number in labels.items()
        for name, value in ((INVALID_RATE, 0.0), (PREDICTED_CLASSES, number))
    }
    none = scoring.score(tmp_path, prepared, suite.name, 2)
    assert all(-2.0 <= none.pop(name) < 0.0 for name in ranked)
    # An empty answer is no label: every one is wrong, all are one class.
    assert none == dict.fromkeys(names, 0.0) | {
        f"{task}/{name}": value
        for task in labels
        for name, value in ((INVALID_RATE, 100.0), (PREDICTED_CLASSES, 1.0))
    }


def test_predictions_of_other_examples_are_refused(prepared: Path, tmp_path: Path) -> None:
    predictions.write(tmp_path, 1, {"order": np.zeros((2, 4), np.int32)})
    with pytest.raises(UserError, match="not of the prepared examples"):
        scoring.score(tmp_path, prepared, SUITE, 1)
    with pytest.raises(UserError, match=r"predictions can't be read"):
        scoring.score(tmp_path, prepared, SUITE, 7)


def test_decoding_in_batches_that_span_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "ROWS", 3)
    shapes = []

    def decode(tokens: np.ndarray) -> np.ndarray:
        shapes.append(tokens.shape)
        return tokens[:, :1] * 10

    inputs = {"a": np.array([[1, 0], [2, 0]]), "b": np.array([[3, 0], [4, 0]])}
    found = predictions.predict(decode, inputs)
    assert {task: rows.tolist() for task, rows in found.items()} == {
        "a": [[10], [20]],
        "b": [[30], [40]],
    }
    assert shapes == [(3, 2), (3, 2)]
