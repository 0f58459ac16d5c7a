"""The gin files agree with the profiles and `spactor.config`, and refuse unseeded runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from analysis.compiled import t5x_step
from repro import specs
from repro.engines import t5x_gin, t5x_gin_text
from spactor.config import PAPER

RUNS = ("pretrain", "finetune_run")


def text(name: str) -> str:
    return (t5x_step.GIN / f"{name}.gin").read_text("utf-8")


def bound(name: str, key: str) -> str:
    found = re.findall(rf"^\s*{re.escape(key)} = (.*)$", text(name), re.MULTILINE)
    assert len(found) == 1, (name, key, found)
    return found[0]


def test_generated_files_are_up_to_date() -> None:
    for name, expected in t5x_gin.texts().items():
        assert (t5x_step.GIN / name).read_text("utf-8") == expected, (
            f"{name}: run python -m repro.engines.t5x_gin"
        )


def test_periods_are_the_paper_profiles() -> None:
    """Sizes and fine-tuning are compared node by node in tests/repro/test_t5x_engine.py."""
    profile = specs.load_profile("paper")
    assert dict(profile.sizes) == dict(PAPER)
    assert bound("pretrain", "CHECKPOINT_PERIOD") == str(profile.checkpoint_period_steps)
    assert bound("pretrain", "EVAL_PERIOD") == str(profile.validation_period_steps)


@pytest.mark.parametrize("name", RUNS)
def test_runs_are_seeded_and_save_their_data(name: str) -> None:
    assert bound(name, "RANDOM_SEED") == "%gin.REQUIRED"
    assert "%RANDOM_SEED" in text(name).split("train/utils.DatasetConfig:")[1]
    assert bound(name, "save_dataset") == "True"
    # T5X's own binding is left as it is, and the stream refuses what would change masks.
    assert bound(name, "hardware_rng") == "%USE_HARDWARE_RNG"
    assert "TRAIN_STEPS_RELATIVE" not in text(name)
    assert bound(name, "KEEP_CHECKPOINTS") == "None" and bound(name, "keep") == "%KEEP_CHECKPOINTS"


def test_shuffling_is_t5xs_own_binding() -> None:
    train, validation = re.split(r"^train_eval/", text("pretrain"), flags=re.MULTILINE)
    assert "shuffle" not in train and "shuffle = False" in validation


def test_no_chunk_is_cut_silently() -> None:
    assert text("pretrain").count("trim_output_features = False") == 2


def test_flan_starts_its_slots_afresh() -> None:
    assert bound("finetune_flan", "adafactor.Adafactor.step_offset") == "%INITIAL_STEP"
    assert bound("finetune", "adafactor.Adafactor.step_offset") == "0"


@pytest.mark.parametrize("size", ["base", "large", "tiny"])
def test_gin_makes_the_configuration_of_a_profile(size: str) -> None:
    import gin

    root = Path(__file__).parent.parent.parent
    with gin.unlock_config():
        gin.clear_config()
        gin.add_config_file_search_path(str(root))
        # T5X is not needed, because its functions are left out.
        theirs = ("adafactor.Adafactor", "adafactor.standard_logical_factor_rules")
        gin.parse_config_file(f"spactor/t5x/gin/{size}.gin", skip_unknown=theirs)
        gin.parse_config(
            "from __gin__ import dynamic_registration\n"
            "from spactor import config\n"
            "MADE = @config.PretrainConfig()\n"
        )
        made = gin.query_parameter("MADE/macro.value").scoped_configurable_fn()
        lengths = gin.query_parameter("CHUNK_LENGTHS/macro.value")
        gin.clear_config()
    profile = "paper" if size in PAPER else str(Path(__file__).with_name("thirty.toml"))
    config = specs.load_profile(profile).sizes["base" if size == "tiny" else size]
    # T5X's T5.1.0 configuration computes in bfloat16; Table 5 names no type.
    model = dataclasses.replace(config.model, compute_dtype=t5x_gin_text.dtype_of(config))
    assert made == dataclasses.replace(config, model=model)
    assert lengths == {"targets": config.lengths.chunk_tokens}
