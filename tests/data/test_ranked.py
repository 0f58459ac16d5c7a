"""A suite of ranked and decoded tasks: from examples to token ids, predictions and scores."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from test_finetuning import CONFIG, JOB

from spactor import predictions, scoring
from spactor.data import building, manifest, suite_encoding, suite_tokens, suites
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask, Suite
from spactor.data.suites.embedded import ACCURACY, RANKED, RANKED_BY_LENGTH
from spactor.data.vocabulary import VocabularyFacts, seqio_vocabulary
from spactor.errors import UserError
from spactor.finetuning import finetune

LIMITS = {"train": 12, "validation": 6}
PLAIN, BY_LENGTH, DECODED = (
    EmbeddedTask(
        name=name,
        metrics=metrics,
        builder="none:none",
        target_length=6,
        limits=LIMITS,
        ranked=metrics != (ACCURACY,),
        length_normalized=metrics == RANKED_BY_LENGTH,
    )
    for name, metrics in (("word", RANKED), ("end", RANKED_BY_LENGTH), ("echo", (ACCURACY,)))
)
SUITE = Suite(name="rainbow", title="Riddles", tasks=(PLAIN, BY_LENGTH, DECODED), target_length=6)
WORDS = ("return", "value", "list of", "file", "the name of")


def _examples(task: EmbeddedTask, split: suites.Split) -> list[Example]:
    """Items of two to four choices, of which the right one is "return" or "value"."""
    found = []
    for n in range(LIMITS[split]):
        choices = tuple(WORDS[: 2 + n % 3]) if task.ranked else ()
        found.append(Example(f"{n}", f"{split} {n} <extra_id_0> it", WORDS[n % 2], "", choices))
    return found


@pytest.fixture(scope="module")
def folder(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = manifest.read(prepared)

    def write(work: Path) -> dict:
        model = (prepared / manifest.VOCABULARY_FILE).read_bytes()
        (work / manifest.VOCABULARY_FILE).write_bytes(model)
        for task in SUITE.tasks:
            for split in suites.SPLITS:
                path = work / manifest.examples_file(SUITE.name, task.name, split)
                path.parent.mkdir(parents=True, exist_ok=True)
                building.write_lines(path, [e.line() for e in _examples(task, split)])
        suite_encoding.write(work, SUITE, VocabularyFacts(**facts["vocabulary"]))
        return {"corpus": {"packages": {}}, "vocabulary": facts["vocabulary"]}

    cache = tmp_path_factory.mktemp("cache")
    return building.find_or_build(cache, "0" * 64, write, lambda line: None)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "EMBEDDED", {**suites.EMBEDDED, SUITE.name: SUITE})
    scoring._scorer.cache_clear()
    yield
    scoring._scorer.cache_clear()


def test_scores_and_decoded_answers_of_one_suite(folder: Path, tmp_path: Path) -> None:
    arrays = suite_tokens.load(folder, SUITE.name, input_length=16)
    answers = arrays.tokens.padded(arrays.tokens.rows["echo", "validation", "targets"], 8)
    rng = np.random.default_rng(0)
    scores = {
        name: rng.normal(-5, 1, items.counts.sum()).astype(np.float32)
        for name, items in arrays.ranked.items()
    }
    predictions.write(tmp_path, 3, {"echo": answers, **scores})
    for name, rows in predictions.read(tmp_path, 3).items():
        np.testing.assert_array_equal(rows, answers if name == "echo" else scores[name])
    found = scoring.score(tmp_path, folder, SUITE.name, 3)
    assert found.pop("echo/accuracy") == 100.0
    vocabulary = seqio_vocabulary(folder)
    lengths = [len(vocabulary.encode(word)) + 1 for word in WORDS]
    expected = {}
    for name, values in scores.items():
        items, margins, place = arrays.ranked[name], [], 0
        for count, right in zip(items.counts, items.right, strict=True):
            each = values[place : place + count] / (lengths[:count] if name == "end" else 1)
            margins.append(each[right] - np.max(np.delete(each, right)))
            place += count
        expected[f"{name}/accuracy"] = 100 * np.mean(np.array(margins) > 0)
        expected[f"{name}/margin"] = np.mean(margins)
    assert found == pytest.approx(expected, rel=1e-6)
    lines = (tmp_path / scoring.FOLDER / "spactor_rainbow_end-metrics.jsonl").read_text()
    assert set(json.loads(lines)) == {"step", "accuracy", "margin"}
    with pytest.raises(UserError, match="not of the prepared examples"):
        predictions.write(tmp_path, 4, {"echo": answers, **scores, "word": answers})
        scoring.score(tmp_path, folder, SUITE.name, 4)


def test_fine_tuning_logs_scores_of_ranked_and_decoded_tasks(folder: Path, tmp_path: Path) -> None:
    """`test_finetuning` shows that ranks are of the rows that seqio's tasks serve."""
    job = dataclasses.replace(JOB, suite=SUITE.name, checkpoint_step=0)
    logged: list[dict[str, float]] = []
    finetune(
        job,
        data_folder=folder,
        parent=None,
        folder=tmp_path,
        observer=lambda step, end, values, speed: logged.append(dict(values)),
        score=lambda step: scoring.score(tmp_path, folder, SUITE.name, step),
    )
    found = predictions.read(tmp_path, job.config.total_steps)
    assert {name: rows.shape for name, rows in found.items()} == {
        "echo": (6, 16),
        "word": (18,),
        "end": (18,),
    }
    assert found["word"].max() < 0 and CONFIG.model.vocab_size == 512
    assert {"eval/rainbow/word/margin", "eval/rainbow/echo/accuracy"} <= set(logged[-1])


def test_log_likelihoods_that_are_no_numbers_stay_log_likelihoods(tmp_path: Path) -> None:
    tokens = np.array([[3, 1], [4, 1]], np.int32)
    ranked = np.array([np.nan, np.nan, 0.5], np.float32)
    predictions.write(tmp_path, 5, {"decoded": tokens, "ranked": ranked})
    found = predictions.read(tmp_path, 5)
    assert list(found) == ["decoded", "ranked"]
    np.testing.assert_array_equal(found["decoded"], tokens)
    np.testing.assert_array_equal(found["ranked"], ranked)
    predictions.write(tmp_path, 6, {"ranked": ranked})
    np.testing.assert_array_equal(predictions.read(tmp_path, 6)["ranked"], ranked)
