"""Stock T5X end to end: both stages, fine-tuning, evaluation, and runs that are killed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import t5x_process
from flax import traverse_util

from repro import t5x_folder
from spactor.config import DataConfig
from spactor.data import corpus, prepare
from spactor.step import HYBRID_ONLY
from spactor.t5x import convert

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    package = corpus.standard_library()
    some = (dataclasses.replace(package, files=package.files[::2]),)
    config = DataConfig(corpus="embedded", vocab_size=512, packages="stdlib")
    return prepare.prepare_from(tmp_path_factory.mktemp("cache"), some, config)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t5x")


@pytest.fixture(scope="module")
def first_stage(home: Path, data: Path) -> Path:
    folder = home / "stage1"
    t5x_process.finish(
        t5x_process.pretraining(folder, data, "hybrid", 10), folder.with_suffix(".log")
    )
    return folder


@pytest.fixture(scope="module")
def second_stage(home: Path, data: Path, first_stage: Path) -> Path:
    folder = home / "stage2"
    process = t5x_process.pretraining(
        folder, data, "span_corruption", 20, first_stage / "checkpoint_10"
    )
    t5x_process.finish(process, folder.with_suffix(".log"))
    return folder


def leaves(path: Path) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(convert.read(path), sep="/")


def assert_same(ours: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert set(ours) == set(other)
    for name in ours:
        assert ours[name].dtype == other[name].dtype, name
        np.testing.assert_array_equal(ours[name], other[name], err_msg=name)


def test_the_switch_keeps_the_discriminator_and_its_slots(
    first_stage: Path, second_stage: Path
) -> None:
    before, after = leaves(first_stage / "checkpoint_10"), leaves(second_stage / "checkpoint_10")
    dropped = {name: leaf for name, leaf in before.items() if set(name.split("/")) & {*HYBRID_ONLY}}
    # Generator: relpos_bias, encoder_norm, projection, and a layer of 4 + 2 kernels and 2 norms;
    # RTD head: 2 kernels. Each has a value and three slots.
    assert len(dropped) == 4 * (3 + 8 + 2)
    # Embedding; encoder: relpos_bias, encoder_norm, a layer of 8; decoder: the same and a second
    # attention with its norm; and the step.
    assert len(after) == 4 * (1 + 10 + 10 + 5) + 1
    assert_same({name: leaf for name, leaf in before.items() if name not in dropped}, after)
    moved = leaves(second_stage / "checkpoint_20")
    assert not np.array_equal(
        moved["target/token_embedder/embedding"], after["target/token_embedder/embedding"]
    )


def test_fine_tuning_and_continuous_evaluation(home: Path, data: Path, second_stage: Path) -> None:
    folder = home / "finetuning"
    process = t5x_process.finetuning(folder, data, second_stage / "checkpoint_20", 20, 8)
    t5x_process.finish(process, folder.with_suffix(".log"))
    files = sorted((folder / "inference_eval").glob("*-metrics.jsonl"))
    assert files
    for file in files:
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        assert [line["step"] for line in lines] == [24, 28]
    evaluation = home / "evaluation"
    process = t5x_process.start(
        "eval",
        ("tiny", "eval", "embedded_suite"),
        evaluation.with_suffix(".log"),
        CHECKPOINT_PATH=str(folder),
        EVAL_OUTPUT_DIR=str(evaluation),
        DATA_FOLDER=str(data),
        SUITE="glue",
        INPUT_LENGTH=64,
        TARGET_LENGTH=8,
        EVAL_BATCH_SIZE=8,
    )
    t5x_process.finish(process, evaluation.with_suffix(".log"))
    for file in sorted(evaluation.rglob("*-metrics.jsonl")):
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        assert [line["step"] for line in lines] == [20, 24, 28]


def _wait(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("stage", ["hybrid", "span_corruption"])
def test_killed_runs_end_as_if_never_killed(
    home: Path, data: Path, first_stage: Path, stage: str
) -> None:
    parent = None if stage == "hybrid" else first_stage / "checkpoint_10"
    first = 0 if parent is None else 10
    last = first + 600
    periods = {"CHECKPOINT_PERIOD": 200, "EVAL_PERIOD": 200, "STATS_PERIOD": 100}

    def run(folder: Path):
        return t5x_process.pretraining(folder, data, stage, last, parent, **periods)

    whole, killed = home / f"{stage}-whole", home / f"{stage}-killed"
    t5x_process.finish(run(whole), whole.with_suffix(".log"))

    def being_saved(step: int) -> bool:
        return any(killed.glob(f"checkpoint_{step}.orbax-checkpoint-tmp*"))

    def saved(step: int) -> bool:
        return (killed / f"checkpoint_{step}").is_dir()

    # Before the first periodic save; while one is written; between two.
    for condition, pause in (
        (lambda: saved(first), 0.0),
        (lambda: being_saved(first + 200), 0.0),
        (lambda: saved(first + 200), 0.3),
    ):
        process = run(killed)
        try:
            _wait(lambda met=condition, process=process: met() or process.poll() is not None)
            time.sleep(pause)
            assert process.poll() is None, killed.with_suffix(".log").read_text("utf-8")[-4000:]
        finally:
            process.kill()
            process.wait()
    assert not saved(last)
    t5x_process.finish(run(killed), killed.with_suffix(".log"))
    for step in (first + 200, first + 400, last):
        assert_same(leaves(whole / f"checkpoint_{step}"), leaves(killed / f"checkpoint_{step}"))


def test_another_seed_is_refused(home: Path, data: Path, first_stage: Path) -> None:
    folder = home / "other-seed"
    process = t5x_process.pretraining(
        folder, data, "span_corruption", 20, first_stage / "checkpoint_10", RANDOM_SEED=1
    )
    assert process.wait(300) != 0
    assert "was read with seed 0 and this run has 1" in folder.with_suffix(".log").read_text(
        "utf-8"
    )


def test_two_processes_restart_and_one_is_refused(
    home: Path, data: Path, first_stage: Path
) -> None:
    folder = home / "two-processes"
    folder.mkdir()

    def both() -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        flags = ("--multiprocess_gpu", f"--coordinator_address=localhost:{port}")
        processes = [
            t5x_process.pretraining(
                folder,
                data,
                "hybrid",
                10,
                flags=(*flags, "--process_count=2", f"--process_index={index}"),
            )
            for index in range(2)
        ]
        for process in processes:
            t5x_process.finish(process, folder.with_suffix(".log"))

    both()
    whole = leaves(folder / "checkpoint_10")
    one, two = t5x_folder.read_series(first_stage), t5x_folder.read_series(folder)
    for step in (5, 10):
        np.testing.assert_allclose(two[step]["train/loss"], one[step]["train/loss"], rtol=1e-6)
    shutil.rmtree(folder / "checkpoint_10")
    both()
    assert_same(whole, leaves(folder / "checkpoint_10"))
    process = t5x_process.pretraining(folder, data, "hybrid", 15)
    assert process.wait(300) != 0
    log = folder.with_suffix(".log").read_text("utf-8", errors="replace")
    assert "go on with as many processes as wrote the checkpoint" in log
