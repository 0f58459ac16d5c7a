"""Fine-tuning, continuous evaluation and inference by T5X's own scripts."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import t5x_process
from repro_process import PROFILE
from t5x_process import assert_same, leaves

from repro.engines import t5x_command
from repro.specs import load_profile
from spactor import objective, predictions, ranking, scoring, step
from spactor.data import suite_tokens
from spactor.data.suites import suite_named
from spactor.data.vocabulary import EOS_ID, seqio_vocabulary
from spactor.network import Network
from spactor.t5x import convert

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

FIRST = 20
# Size tiny.gin's.
TINY = load_profile(str(PROFILE)).sizes["base"]
INPUT_LENGTH, TARGET_LENGTH = 64, 8


@pytest.fixture(scope="module")
def tuned(home: Path, data: Path, second_stage: Path) -> Path:
    """Folders of short runs from stage 2's last checkpoint, all by one process.

    ``retained`` and ``reset`` are a step with the two kinds of fine-tuning, at one dropout rate and
    batch size; ``retained`` makes another step. ``exported`` begins from the same checkpoint in the
    local engine's format, without a data stream. ``scores`` are of ``retained`` after each step,
    ``ranked`` those of another suite after its last.
    """
    folder = home / "tuned"
    folder.mkdir()
    parent = second_stage / f"checkpoint_{FIRST}"
    local = (folder / "local", TINY, "span_corruption")
    convert.import_checkpoint(parent, *local[1:], local[0])
    exported = convert.export_checkpoint(*local, FIRST, folder / "parent")

    def train(name: str, kind: str, source: Path = parent, steps: int = 1) -> dict[str, Any]:
        settings = t5x_process.finetuning_macros(folder / name, data, source, FIRST, steps)
        settings |= {"EVAL_PERIOD": 1, "DROPOUT_RATE": 0.1, "EVALUATOR_NUM_EXAMPLES": None}
        return {"script": "train", "files": ["tiny", kind, "embedded_suite"], "macros": settings}

    def scored(script: str, name: str, source: Path, **macros: Any) -> dict[str, Any]:
        settings = t5x_process.scoring_macros(script, folder / name, data, source)
        files = ["tiny", script, "embedded_suite"]
        return {"script": script, "files": files, "macros": settings | macros}

    last = folder / "retained" / f"checkpoint_{FIRST + 2}"
    # As many positions as in the local engine; with fewer T5X cuts a choice.
    longest = t5x_command.target_length(suite_named("superglue", "embedded"))
    large = {"EVAL_BATCH_SIZE": 100, "TARGET_LENGTH": longest}
    runs = [
        train("retained", "finetune"),
        scored("eval", "scores", folder / "retained"),
        train("retained", "finetune", steps=2),
        scored("eval", "scores", folder / "retained"),
        train("reset", "finetune_flan"),
        train("exported", "finetune", exported),
        scored("infer", "likelihoods", last, INFER_MODE="score"),
        scored("infer", "texts", last),
        scored("eval", "ranked", last, SUITE="superglue", RESTORE_MODE="specific", **large),
    ]
    assert t5x_process.many(runs, folder) == [None] * len(runs)
    return folder


def test_slots_are_retained_or_reset(tuned: Path, second_stage: Path) -> None:
    parent = leaves(second_stage / f"checkpoint_{FIRST}")
    retained, reset = tuned / "retained", tuned / "reset"
    for folder in (retained, reset):
        assert_same(leaves(folder / f"checkpoint_{FIRST}"), parent)
    ours, theirs = (leaves(folder / f"checkpoint_{FIRST + 1}") for folder in (retained, reset))
    slots = [name for name in parent if name.startswith("state/param_states")]
    assert len(slots) == 4 * 26
    # Adafactor's update t (from 0) keeps 1 - (t + 1)^-0.8 of a moment: at t = 20 most, and nothing
    # where counting starts again. The gradients are the same, so the reset moments are their
    # squares, and the retained ones a mixture of these and of what was restored.
    decay = 1.0 - (FIRST + 1) ** -0.8
    for name in slots:
        expected = decay * parent[name] + (1.0 - decay) * theirs[name]
        np.testing.assert_allclose(ours[name], expected, rtol=1e-5, atol=1e-12, err_msg=name)
        if np.any(parent[name]):
            assert not np.allclose(ours[name], theirs[name], rtol=1e-3), name
    embedding = "target/token_embedder/embedding"
    assert not np.array_equal(ours[embedding], parent[embedding])
    assert not np.array_equal(theirs[embedding], parent[embedding])


def test_fine_tuning_reads_its_own_data_from_their_beginning(tuned: Path) -> None:
    """T5X restores a stream from any checkpoint that has one; here it must not matter.

    Nor does it matter which engine has written the checkpoint.
    """
    both = [leaves(tuned / name / f"checkpoint_{FIRST + 1}") for name in ("retained", "exported")]
    assert_same(*both)


def metrics(folder: Path) -> dict[str, dict[int, dict[str, float]]]:
    found = {}
    for file in sorted(folder.glob("inference_eval/*-metrics.jsonl")):
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        found[file.name] = {line.pop("step"): line for line in lines}
        assert len(found[file.name]) == len(lines), "a checkpoint was scored twice"
    return found


def test_evaluation_of_a_folder_repeats_the_scores_of_training(tuned: Path) -> None:
    while_training, after = metrics(tuned / "retained"), metrics(tuned / "scores")
    assert len(after) == 2
    for name, steps in after.items():
        assert list(steps) == [FIRST, FIRST + 1, FIRST + 2]
        del steps[FIRST]
        assert steps == while_training[name]


def test_choices_are_ranked_as_by_the_local_engine(tuned: Path, data: Path, tmp_path: Path) -> None:
    """The same checkpoint, scored by T5X's evaluator and by ours."""
    params = convert.read(tuned / "retained" / f"checkpoint_{FIRST + 2}")["target"]
    rank = functools.partial(step.build_scorer(TINY), params)
    arrays = suite_tokens.load(data, "superglue", input_length=INPUT_LENGTH)
    found = {name: ranking.log_likelihoods(rank, items) for name, items in arrays.ranked.items()}
    predictions.write(tmp_path, FIRST + 2, found)
    ours = scoring.score(tmp_path, data, "superglue", FIRST + 2)
    assert set(ours) == {
        f"{task}/{name}" for task in ("four_words", "two_words") for name in ("accuracy", "margin")
    }
    suite = suite_named("superglue", "embedded")
    theirs = metrics(tuned / "ranked")
    for name, value in ours.items():
        task, metric = name.split("/")
        scored = theirs[f"{suite.registered_name(task)}-metrics.jsonl"][FIRST + 2]
        # One of 400 items may have two choices within rounding of each other.
        tolerance = 0.25 if metric == "accuracy" else 1e-4
        assert scored[metric] == pytest.approx(value, abs=tolerance), name


def read_inferences(folder: Path, mode: str) -> list[dict[str, Any]]:
    lines = []
    for file in sorted(folder.glob(f"*-{mode}.jsonl-00000-of-00001")):
        lines += [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return lines


def test_inferred_likelihoods_are_the_local_networks(tuned: Path, data: Path) -> None:
    found = read_inferences(tuned / "likelihoods", "score")
    assert len(found) > 20
    network = Network(dataclasses.replace(TINY.model, dropout_rate=0.0))
    params = convert.read(tuned / "retained" / f"checkpoint_{FIRST + 2}")["target"]
    vocabulary = seqio_vocabulary(data)

    def padded(text: str, length: int) -> np.ndarray:
        tokens = [*vocabulary.encode(text)[: length - 1], EOS_ID]
        return np.asarray([tokens + [0] * (length - len(tokens))], np.int32)

    for line in found[:4]:
        _, ratios = objective.target_token_loss(
            network,
            params,
            padded(line["inputs"]["inputs_pretokenized"], INPUT_LENGTH),
            padded(line["inputs"]["targets_pretokenized"], TARGET_LENGTH),
            0.0,
            None,
        )
        np.testing.assert_allclose(line["score"], -ratios["loss"].total, rtol=1e-5)


def test_inferred_texts_cover_the_split(tuned: Path) -> None:
    texts = read_inferences(tuned / "texts", "predict")
    scores = read_inferences(tuned / "likelihoods", "score")
    assert [line["inputs"] for line in texts] == [line["inputs"] for line in scores]
    assert all(isinstance(line["prediction"], str) for line in texts)
