"""Released data through stock T5X: C4 of TensorFlow Datasets, and a benchmark's own files."""

from __future__ import annotations

import json
from pathlib import Path

import made_c4
import pytest
from repro_process import PROFILE, run

from analysis.schema import records
from repro import collect, folders, t5x_folder
from spactor.data.suites import BENCHMARKS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

FIRST, LEAF = "base/s0/sc/0-500K", "base/s0/sc/500K/finetune-mmlu/f0"
FLAN = """
[finetuning.flan]
batch_size = 32
total_steps = 2
evaluation_period_steps = 2
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a tiny profile with ``paper``'s kind of data."""
    folder = tmp_path_factory.mktemp("released")
    text = PROFILE.read_text()
    own = text.replace('corpus = "embedded"', 'corpus = "c4"').replace('["glue"]', '["mmlu"]')
    (folder / "tiny.toml").write_text(own + FLAN)
    data = folder / "data"
    made_c4.write_tfds(data)
    made_c4.write_vocabulary(data)
    made_c4.write_instructions(data)
    made_c4.write_mmlu(data)
    assert "2 nodes ran" in repro(folder, "run", "--tau", "0", "--data-dir", str(data))
    return folder


def repro(home: Path, command: str, *more: str) -> str:
    return run(command, home / "runs", *more, profile=home / "tiny.toml")


def test_t5x_pretrains_on_c4_and_scores_a_benchmark(home: Path) -> None:
    repro(home, "collect")
    frame = records.read(home / "runs" / "tiny" / "records" / collect.METRICS)
    losses = frame[frame["metric"] == "validation/sc_loss_clean"]
    assert sorted(losses["step"]) == [5, 10, 15, 20, 25, 30]
    scores = frame[(frame["suite"] == "mmlu") & (frame["selection"] == "")]
    assert set(scores["task"]) == {task.name for task in BENCHMARKS["mmlu"].tasks}
    assert set(scores["step"]) == {2} and scores["value"].between(0, 100).all()
    # As the local engine has them, for every subject.
    metrics = {"accuracy", "invalid_rate", "predicted_classes"}
    assert set(scores.groupby("task")["metric"].agg(frozenset)) == {frozenset(metrics)}
    assert "2 were finished already" in repro(
        home, "run", "--tau", "0", "--data-dir", str(home / "data")
    )


def test_t5x_read_the_users_folder(home: Path) -> None:
    node = folders.node_folder(home / "runs", "tiny", FIRST)
    config = t5x_folder.config_text(node)
    assert f"DATA_FOLDER = '{home / 'data'}'" in config and "sentencepiece.model" in config
    inputs = json.loads((node / folders.NODE).read_text())["inputs"]
    assert set(inputs["data"]) == {
        "sentencepiece.model",
        "c4/en/3.0.1/c4-train.tfrecord-00000-of-00001",
        "c4/en/3.0.1/c4-validation.tfrecord-00000-of-00001",
    }
    leaf = folders.node_folder(home / "runs", "tiny", LEAF)
    data = json.loads((leaf / folders.NODE).read_text())["inputs"]["data"]
    assert {"suites/mmlu/flan/a.jsonl", "suites/mmlu/mmlu/val/virology_val.csv"} <= set(data)
