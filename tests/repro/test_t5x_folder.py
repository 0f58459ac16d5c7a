"""Folders that a real T5X run wrote (see tests/t5x/make_golden.py), read without T5X.

Written by t5x cc342d4, airio 69897df and jestimator 326824a on jax 0.10.2, one CPU device.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from t5x_events import write_start

from repro import step_lines, t5x_folder
from repro.specs import load_profile
from spactor import optimizer
from spactor.errors import UserError

GOLDEN = Path(__file__).parent / "t5x_golden"
THIRTY = Path(__file__).parents[1] / "t5x" / "thirty.toml"

HYBRID_ONLY = {
    "mlm_accuracy",
    "mlm_loss",
    "replaced_fraction",
    "rtd_accuracy",
    "rtd_loss",
    "rtd_precision",
    "rtd_recall",
    "sc_loss_noisy",
}


def validation(values: dict[str, float]) -> set[str]:
    return {name.removeprefix("validation/") for name in values if name.startswith("validation/")}


def test_both_stages_have_the_local_engines_names() -> None:
    first = t5x_folder.read_steps(GOLDEN / "stage1")
    second = t5x_folder.read_steps(GOLDEN / "stage2")
    assert list(first) == [5, 10] and list(second) == [15, 20]
    for values in first.values():
        assert validation(values) == {"sc_loss_clean", *HYBRID_ONLY}
    for values in second.values():
        assert validation(values) == {"sc_loss_clean"}
        assert {name for name in values if name.startswith("train/")} == {
            "train/learning_rate",
            "train/loss",
            "train/sc_loss",
        }
    for values, clocks in ((first[10], 1), (second[20], 1), (first[5], 0), (second[15], 0)):
        # A start's first period is not timed.
        named = [name for name in values if name.startswith("timing/")]
        assert named == ["timing/seqs_per_second"] * clocks
    # T5X printed 6.0871. A 512-word vocabulary: ln 512 = 6.24 nats before anything is learned.
    assert second[20]["validation/sc_loss_clean"] == pytest.approx(6.087100982666016)
    # 9 of 64 tokens are masked, and hardly a sample is right.
    assert first[10]["validation/replaced_fraction"] == 9 / 64


def test_learning_rates_are_the_schedules_of_the_configurations() -> None:
    """Means over each period's five updates; that of fine-tuning is constant."""
    # Size tiny.gin's, with which the folders were written.
    tiny = load_profile(str(THIRTY)).sizes["base"]
    for name, ends in (("stage1", (5, 10)), ("stage2", (15, 20))):
        series = t5x_folder.read_steps(GOLDEN / name)
        for end in ends:
            rates = optimizer.learning_rate(np.arange(end - 5, end), tiny.optimizer)
            assert series[end]["train/learning_rate"] == pytest.approx(
                float(rates.mean()), rel=1e-6
            )
    tuned = t5x_folder.read_steps(GOLDEN / "finetuning")
    assert {step: values["train/learning_rate"] for step, values in tuned.items()} == {
        24: pytest.approx(0.001),
        28: pytest.approx(0.001),
    }


def test_a_record_torn_by_a_kill_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN / "stage2", folder)
    (events,) = (folder / "train").iterdir()
    whole = events.read_bytes()
    events.write_bytes(whole[:-5])
    series = t5x_folder.read_steps(folder)
    assert set(series) == {15, 20} and series[15]["train/loss"] > series[20]["train/loss"]
    events.write_bytes(whole[:3000] + b"x" + whole[3001:])
    with pytest.raises(UserError, match="damaged"):
        t5x_folder.read_steps(folder)
    events.unlink()
    with pytest.raises(UserError, match="no event files"):
        t5x_folder.read_steps(folder)


def test_scores_and_configuration() -> None:
    home = GOLDEN / "finetuning" / "inference_eval"
    scores = step_lines.read_steps(home / "spactor_glue_order-metrics.jsonl")
    assert list(scores) == [24, 28]
    assert set(scores[28]) == {"f1", "accuracy", "invalid_rate", "predicted_classes"}
    assert t5x_folder.is_one(GOLDEN / "stage1") and not t5x_folder.is_one(home)
    text = t5x_folder.config_text(GOLDEN / "stage1")
    assert "RANDOM_SEED = 0" in text and "@models.SpactorModel()" in text


def test_the_first_speed_of_each_start_is_left_out(tmp_path: Path) -> None:
    first, second = ((5, 1.0), (10, 80.0), (15, 90.0)), ((15, 2.0), (20, 85.0))
    for loss, speeds in ((2.0, first), (3.0, second)):
        write_start(tmp_path, {n: {"train/loss": loss, t5x_folder.SPEED: v} for n, v in speeds})
    series = t5x_folder.read_steps(tmp_path)
    speeds = {step: values.get(t5x_folder.SPEED) for step, values in series.items()}
    # Step 15 was timed by the first start; its second is that start's first.
    assert speeds == {5: None, 10: 80.0, 15: 90.0, 20: 85.0}
    assert series[15]["train/loss"] == 3.0
