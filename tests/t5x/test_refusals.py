"""Input that T5X's scripts refuse before the first step, with one line of what to do.

Which sizes, stages and vocabularies don't fit is tested in `test_restore` and `test_models`;
here, that every script asks.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import t5x_process

from spactor.config import DataConfig
from spactor.data import corpus, prepare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

BARE = """
from __gin__ import dynamic_registration
import seqio
VOCABULARY = @seqio.PassThroughVocabulary()
seqio.PassThroughVocabulary.size = 511
"""
VOCABULARY = "use the one it was trained with"


@pytest.fixture(scope="module")
def cases(
    home: Path, data: Path, first_stage: Path, second_stage: Path
) -> dict[str, tuple[dict[str, Any], str]]:
    """Runs by name, and what each one's error must contain."""
    folder = home / "refusals"
    folder.mkdir()
    # Other text, whose vocabulary has as many pieces, and others.
    package = corpus.standard_library()
    some = (dataclasses.replace(package, files=package.files[1::8]),)
    config = DataConfig(corpus="embedded", vocab_size=512, packages="stdlib")
    other_data = prepare.prepare(folder / "cache", config, packages=some)
    bare = folder / "bare.gin"
    bare.write_text(BARE, "utf-8")
    tau, end = first_stage / "checkpoint_10", second_stage / "checkpoint_20"
    copies = 0

    def pretraining(*files: str, own: Path | None = None, **macros: Any) -> dict[str, Any]:
        nonlocal copies
        copies += 1
        run_folder = folder / f"run-{copies}"
        if own is not None:
            shutil.copytree(own, run_folder / own.name)
        settings = t5x_process.pretraining_macros(run_folder, data, 25)
        return {
            "script": "train",
            "files": ["tiny", "pretrain", *files],
            "macros": settings | macros,
        }

    def second(stage: str, parent: Path = tau, **macros: Any) -> dict[str, Any]:
        files = (stage, "embedded", "second_stage")
        return pretraining(*files, INITIAL_CHECKPOINT_PATH=str(parent), **macros)

    def finetuning(*files: str, **macros: Any) -> dict[str, Any]:
        settings = t5x_process.finetuning_macros(folder / "tuned", data, end, 20, 4)
        return {
            "script": "train",
            "files": ["tiny", "finetune", "embedded_suite", *files],
            "macros": settings | macros,
        }

    def scores(script: str, **macros: Any) -> dict[str, Any]:
        settings = t5x_process.scoring_macros(script, folder / "scores", data, end)
        return {
            "script": script,
            "files": ["tiny", script, "embedded_suite"],
            "macros": settings | macros,
        }

    exported = folder / "exported" / end.name
    shutil.copytree(end, exported, ignore=shutil.ignore_patterns("train_ds*"))
    no_item = folder / "bare" / end.name
    shutil.copytree(end, no_item, ignore=shutil.ignore_patterns("dataset"))

    return {
        "sentinels": (finetuning(str(bare)), "has 0 sentinels"),
        "chunks": (
            pretraining("hybrid", "embedded", TASK_FEATURE_LENGTHS={"targets": 60}),
            "chunks of 60 tokens",
        ),
        "seed": (second("span_corruption", RANDOM_SEED=1), "was read with seed 0 and this run"),
        "vocabulary": (second("span_corruption", DATA_FOLDER=str(other_data)), VOCABULARY),
        "vocabulary, own": (
            pretraining("hybrid", "embedded", own=tau, DATA_FOLDER=str(other_data)),
            VOCABULARY,
        ),
        "vocabulary, fine-tuning": (finetuning(DATA_FOLDER=str(other_data)), VOCABULARY),
        "vocabulary, eval": (
            scores("eval", CHECKPOINT_PATH=str(second_stage), DATA_FOLDER=str(other_data)),
            VOCABULARY,
        ),
        "vocabulary, infer": (scores("infer", DATA_FOLDER=str(other_data)), VOCABULARY),
        "stage": (second("hybrid", parent=end), "hybrid objective can't follow"),
        "stage 1's own": (
            pretraining("span_corruption", "embedded", own=tau),
            "MODEL_DIR holds checkpoints of stage 1",
        ),
        "no data state": (second("span_corruption", parent=exported), "no data state"),
        "no item": (second("span_corruption", parent=no_item), "has no folder dataset"),
        "inputs": (
            pretraining("hybrid", "embedded_suite", SUITE="glue"),
            "has inputs and targets, and pre-training corrupts raw tokens",
        ),
        # Last, because T5X changes JAX's generator for the whole process.
        "hardware": (pretraining("hybrid", "embedded", USE_HARDWARE_RNG=True), "USE_HARDWARE_RNG"),
    }


def test_bad_input_is_refused_in_one_line(home: Path, cases) -> None:
    ends = t5x_process.many([run for run, _ in cases.values()], home / "refusals")
    for (name, (_, message)), end in zip(cases.items(), ends, strict=True):
        assert end is not None, name
        assert end[0] == "UserError", (name, end)
        assert message in end[1], (name, end)
        assert "\n" not in end[1], (name, end)
    # The first update would have been followed by a checkpoint, and none was.
    assert not list((home / "refusals").glob("run-*/checkpoint_1[15]"))
