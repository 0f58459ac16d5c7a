"""Choices ranked by log-likelihood: the scorer against a naive sum, the metrics against T5's."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import special
from segments import schedule
from tiny_model import one_layer_config, random_params

from spactor import objective, ranking, step
from spactor.checkpoints import restore_parent
from spactor.data import host_tensorflow, suite_metrics
from spactor.data.arrays import TokenArrays
from spactor.network import Network
from spactor.pretraining import PretrainJob, pretrain
from spactor.ranking import Items

CONFIG = one_layer_config()


def _items(rng: np.random.Generator, items: int) -> Items:
    """Inputs and choices of differing lengths, right-padded, and differing numbers of choices."""

    def rows(*shape: int) -> np.ndarray:
        tokens = rng.integers(3, 400, shape)
        lengths = rng.integers(1, shape[-1], shape[:-1])
        tokens = np.where(np.arange(shape[-1]) < lengths[..., None], tokens, 0)
        np.put_along_axis(tokens, lengths[..., None], 1, axis=-1)  # eos
        return tokens.astype(np.int32)

    counts = rng.integers(2, 5, items)
    targets = rows(items, 4, 6)
    targets[np.arange(4) >= counts[:, None]] = 0
    return Items(rows(items, 10), targets, counts, rng.integers(0, counts))


def test_scores_are_sums_of_teacher_forced_log_softmax() -> None:
    rng = np.random.default_rng(0)
    items = _items(rng, 3)
    params = random_params(CONFIG.model, seed=1)
    scorer = step.build_scorer(CONFIG)
    found = ranking.log_likelihoods(lambda *both: scorer(params, *both), items)
    expected = []
    logits_of = jax.jit(objective.teacher_forced_logits, static_argnums=0)
    for inputs, targets, count in zip(items.inputs, items.targets, items.counts, strict=True):
        for choice in targets[:count]:
            tokens = choice[choice > 0]
            logits = logits_of(
                Network(CONFIG.model), params, inputs[inputs > 0][None], tokens[None]
            )
            steps = special.log_softmax(np.asarray(logits[0], np.float64), axis=-1)
            expected.append(steps[np.arange(len(tokens)), tokens].sum())
    assert found.dtype == np.float32 and len(found) == items.counts.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    items = _items(np.random.default_rng(1), 7)

    def score(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return inputs[:, :1] + targets.sum(axis=-1)

    whole = ranking.log_likelihoods(score, items)
    monkeypatch.setattr(ranking, "ROWS", 3)
    np.testing.assert_array_equal(ranking.log_likelihoods(score, items), whole)


@pytest.mark.parametrize("length_normalized", [False, True])
def test_metrics_are_those_of_t5(length_normalized: bool) -> None:
    """Accuracy is T5's, for items of 2 to 5 choices in any order; the margin is NumPy's."""
    rng = np.random.default_rng(2)
    targets, scores, margins = [], [], []
    for item in range(300):
        count = rng.integers(2, 6)
        right = rng.integers(count)
        lengths = rng.integers(1, 9, count)
        values = rng.normal(-4.0, 2.0, count) + 1.5 * (np.arange(count) == right)
        targets += [((item, c), c == right, 1.0, int(lengths[c])) for c in range(count)]
        scores += list(values)
        each = values / lengths if length_normalized else values
        margins.append(each[right] - max(each[c] for c in range(count) if c != right))
    order = rng.permutation(len(scores))
    shuffled = [targets[n] for n in order], [scores[n] for n in order]
    found = suite_metrics.ranking(length_normalized)(*shuffled)
    theirs = host_tensorflow.t5_metrics().rank_classification(
        *shuffled, normalize_by_target_length=length_normalized
    )
    assert found == pytest.approx({**theirs, "margin": np.mean(margins)})
    assert 30 < found["accuracy"] < 95


def test_pre_training_logs_the_cloze_at_its_checkpoints(
    arrays: TokenArrays, tmp_path: Path
) -> None:
    """Also where nothing is validated, from the parameters that the checkpoint holds."""
    items = _items(np.random.default_rng(3), 6)
    job = PretrainJob(
        config=CONFIG,
        stage="span_corruption",
        seed=0,
        schedule=schedule(0, 4, log=1, evaluation=2, checkpoint=3),
        validation_chunks=4,
    )
    with_cloze = dataclasses.replace(arrays, cloze=items)
    pretrain(job, arrays=with_cloze, folder=tmp_path, parent=None, observer=lambda *_: None)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = {name: [n["step"] for n in lines if name in n] for name in lines[-1]}
    assert logged["cloze/accuracy"] == logged["cloze/margin"] == [3, 4]
    assert logged["validation/sc_loss_clean"] == [2, 4]
    params = restore_parent(tmp_path, CONFIG, 4, "span_corruption").params
    scorer = step.build_scorer(CONFIG)
    scores = ranking.log_likelihoods(lambda *both: scorer(params, *both), items)
    expected = ranking.accuracy_and_margin(scores, items.counts, items.right)
    assert lines[-1]["cloze/margin"] == pytest.approx(expected["margin"], rel=1e-5)
    assert lines[-1]["cloze/accuracy"] == expected["accuracy"]
