"""Benchmarks in a prepared folder: ids, mixture, and scores by the benchmarks' own rules."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import made_c4
import made_up
import numpy as np
import pytest

from repro import identity, plan, specs
from spactor import predictions, scoring
from spactor.data import (
    c4,
    host_tensorflow,
    manifest,
    released,
    suite_registry,
    suite_tokens,
    suites,
)
from spactor.data.vocabulary import EOS_ID, seqio_vocabulary
from spactor.errors import UserError

SUITES = tuple(suites.BENCHMARKS)
WANTED = released.Wanted(
    vocab_size=made_c4.VOCAB_SIZE, train_tokens=3000, validation_tokens=500, suites=SUITES
)


@pytest.fixture(scope="module", autouse=True)
def few_rows() -> Iterator[None]:
    """Benchmarks that expect as many rows as were made up; of MMLU one subject.

    Of BBH's tasks five, which are answered with words, with letters and freely.
    """
    with pytest.MonkeyPatch.context() as patch:
        made_up.shrink_all(patch, mmlu=1, bbh=5)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's data folder; not to be changed."""
    folder = tmp_path_factory.mktemp("released")
    made_up.write_all(folder, SUITES)
    made_c4.write_json(folder)
    made_c4.write_vocabulary(folder)
    made_c4.write_instructions(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def prepared_folder(source: Path, cache: Path) -> Path:
    return released.prepare(cache, source, WANTED)


def training(arrays: suite_tokens.FinetuneArrays) -> tuple[np.ndarray, ...]:
    """Inputs and targets of all training examples."""
    return tuple(arrays.training(np.arange(len(arrays))).values())


def served(name: str, split: str, length: int) -> list[list[int]]:
    """Inputs or targets of a task as seqio serves them to a model."""
    task = host_tensorflow.seqio().get_mixture_or_task(name)
    lengths = {"inputs": length, "targets": length}
    rows = task.get_dataset(lengths, split=split, shuffle=False).as_numpy_iterator()
    return [row["inputs"].tolist() for row in rows]


def test_the_folder_is_as_the_embedded_ones(prepared_folder: Path, source: Path) -> None:
    facts = manifest.read(prepared_folder)
    assert manifest.damage(prepared_folder, facts) is None
    assert facts["tokens"] == {"train": 3000, "validation": 500}
    assert facts["corpus"] == {"name": "c4/en", "form": "json"}
    assert facts["vocabulary"]["mask_token_id"] == 511
    assert len(np.load(prepared_folder / "tokens_train.npy")) == 3000
    model = (prepared_folder / manifest.VOCABULARY_FILE).read_bytes()
    assert model == (source / manifest.VOCABULARY_FILE).read_bytes()
    assert 3 < facts["unigram_entropy_nats"] < 6.24 and facts["most_frequent_token_rate"] < 0.3


@pytest.mark.parametrize("suite", SUITES)
def test_inputs_are_what_seqio_serves(suite: str, prepared_folder: Path, source: Path) -> None:
    """Cut as T5 does: the eos stays."""
    length = 24
    arrays = suite_tokens.load(prepared_folder, suite, input_length=length)
    benchmark = suites.suite_named(suite, "c4")
    vocabulary = seqio_vocabulary(prepared_folder)
    mixture = suite_registry.register_released(benchmark, source, vocabulary)
    assert arrays.target_length == -(-benchmark.target_length // 16) * 16
    tasks = host_tensorflow.seqio().MixtureRegistry.get(mixture).tasks
    trained = [
        row
        for task in tasks
        if "train" in task.splits
        for row in served(task.name, "train", length)
    ]
    found = [row[: row.tolist().index(EOS_ID) + 1].tolist() for row in training(arrays)[0]]
    assert found == trained
    scored = [task.name for task in benchmark.tasks if task.metrics]
    assert list(arrays.validation_inputs) == scored
    for name in scored:
        rows = [[*row[row > 0]] for row in arrays.validation_inputs[name]]
        assert rows == served(benchmark.registered_name(name), "validation", length)


def test_mmlu_is_fine_tuned_on_the_users_mixture(prepared_folder: Path) -> None:
    arrays = suite_tokens.load(prepared_folder, "mmlu", input_length=64)
    vocabulary = seqio_vocabulary(prepared_folder)
    asked, answers = (
        [vocabulary.decode(row[row > 1].tolist()) for row in side] for side in training(arrays)
    )
    assert answers == list(made_c4.INSTRUCTED)
    assert asked == [f"Is it {answer}?" for answer in answers]


@pytest.mark.parametrize("suite", SUITES)
def test_scores_are_the_benchmarks_own(suite: str, prepared_folder: Path, tmp_path: Path) -> None:
    """Without the user's folder: of right answers, and of some whose scores are known by hand.

    `test_benchmarks` scores empty answers.
    """
    tokens = suite_tokens.read(prepared_folder, suite)
    vocabulary = seqio_vocabulary(prepared_folder)
    tasks = [task for task in suites.suite_named(suite, "c4").tasks if task.metrics]
    names = [task.name for task in tasks]

    def scores(answers: dict[str, np.ndarray], step: int) -> dict[str, float]:
        predictions.write(tmp_path, step, answers)
        return scoring.score(tmp_path, prepared_folder, suite, step)

    right = {name: tokens.padded(tokens.rows[name, "validation", "targets"], 512) for name in names}
    cases = {name: made_up.CASES[suite, name] for name in names}
    assert scores(right, 1) == pytest.approx(
        {
            f"{task.name}/{metric}": value
            for task in tasks
            for metric, value in made_up.best_scores(cases[task.name], task).items()
        }
    )

    def encoded(answers: list[str]) -> np.ndarray:
        rows = np.zeros((len(answers), 512), np.int32)
        for row, answer in zip(rows, answers, strict=True):
            ids = [*vocabulary.encode(answer), EOS_ID]
            row[: len(ids)] = ids
        return rows

    known = scores({name: encoded(list(case.answers)) for name, case in cases.items()}, 2)
    assert known == pytest.approx(
        {
            f"{name}/{metric}": value
            for name, case in cases.items()
            for metric, value in case.scores.items()
        }
    )


def test_a_second_call_builds_nothing_and_a_suite_less_takes_the_tokens_over(
    prepared_folder: Path, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c4, "write_tokens", None)
    lines: list[str] = []
    assert released.prepare(cache, source, WANTED, lines.append) == prepared_folder
    assert lines == []
    fewer = released.prepare(
        cache, source, dataclasses.replace(WANTED, suites=("squad",)), lines.append
    )
    assert lines[0] == f"reusing the tokens of {prepared_folder}"
    known, found = manifest.read(prepared_folder), manifest.read(fewer)
    assert "suites/glue/tokens.npy" not in found["files"]
    for name in ("tokens_train.npy", "tokens_validation.npy", "suites/squad/tokens.npy"):
        assert found["files"][name] == known["files"][name]
    assert found["unigram_entropy_nats"] == known["unigram_entropy_nats"]


def test_the_times_of_files_alone_change_nothing(source: Path, tmp_path: Path) -> None:
    wanted = dataclasses.replace(WANTED, suites=("squad",))
    first = released.prepare(tmp_path, source, wanted)
    for path in (source / c4.FOLDER).iterdir():
        os.utime(path, (1, 1))
    lines: list[str] = []
    assert released.prepare(tmp_path, source, wanted, lines.append) == first
    assert any("encoding 3,000 tokens" in line for line in lines)


def test_what_is_missing_is_reported_before_anything_is_read(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(source, folder)

    def refusal(wanted: released.Wanted = WANTED) -> str:
        with pytest.raises(UserError) as caught:
            released.prepare(tmp_path / "cache", folder, wanted)
        assert "\n" not in str(caught.value) and not (tmp_path / "cache").exists()
        return str(caught.value)

    assert "use --engine t5x" in refusal(dataclasses.replace(WANTED, train_tokens=10**12))
    (folder / "flan" / "b.jsonl").unlink()
    assert "3 rows, and fine-tuning needs at least 8" in refusal()
    shutil.rmtree(folder / "flan")
    assert refusal().startswith("suite mmlu has nothing to be fine-tuned on")
    (folder / "rainbow/piqa/train.jsonl").unlink()
    assert "suite rainbow: 1 of 12 parts are missing or wrong" in refusal()
    assert f"'repro data check rainbow --data-dir {folder}'" in refusal()
    shutil.rmtree(folder / "c4")
    assert "c4/en has no C4" in refusal()
    (folder / manifest.VOCABULARY_FILE).unlink()
    assert "put T5's vocabulary there" in refusal()


def test_t5x_is_given_digests_of_what_it_reads(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(source, folder)
    shutil.rmtree(folder / "c4")
    home = made_c4.write_tfds(folder)
    prepared = released.prepare_for_t5x(tmp_path / "cache", folder, WANTED)
    facts = manifest.read(prepared)
    assert set(facts["files"]) == {manifest.VOCABULARY_FILE}
    assert facts["corpus"] == {"name": "c4/en", "form": "tfds", "version": "3.0.1"}
    shard = "c4/en/3.0.1/c4-train.tfrecord-00000-of-00001"
    sources = facts[released.SOURCES]
    squad = "suites/squad/squad/v1.1/3.0.0/squad-train.tfrecord-00000-of-00001"
    assert {shard, squad, "suites/mmlu/flan/a.jsonl"} <= set(sources)
    assert not any("cola" in name and "suites/glue" not in name for name in sources)
    # Another text in a shard is another folder.
    path = home / "c4-train.tfrecord-00000-of-00001"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"bread", b"crumb"))
    other = released.prepare_for_t5x(tmp_path / "cache", folder, WANTED)
    changed = manifest.read(other)[released.SOURCES]
    assert {name for name in sources if changed[name] != sources[name]} == {shard}
    assert json.loads((prepared / manifest.FILE_NAME).read_text())["fingerprint"] != other.name


def test_other_prompts_are_other_data(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the identity of a node that is fine-tuned on them, with either engine, and in no other."""
    folder = tmp_path / "data"
    shutil.copytree(source, folder)
    shutil.rmtree(folder / c4.FOLDER)
    made_c4.write_tfds(folder)
    wanted = dataclasses.replace(WANTED, suites=("rainbow", "squad"))
    nodes = {
        node.suite: node
        for node in plan.build(specs.load_profile("mini")).nodes.values()
        if isinstance(node, plan.Finetuning)
    }

    def data(cache: Path, engine: specs.Engine, suite: str) -> dict[str, str]:
        prepare = released.prepare if engine == "local" else released.prepare_for_t5x
        facts = manifest.read(prepare(cache, folder, wanted))
        files = facts["files"] | facts.get(released.SOURCES, {})
        return identity.data_of(nodes[suite], files, engine)

    engines: tuple[specs.Engine, ...] = ("local", "t5x")
    cases = [(engine, suite) for engine in engines for suite in wanted.suites]
    before = {case: data(tmp_path / "before", *case) for case in cases}
    rainbow = suites.BENCHMARKS["rainbow"]
    asked = [
        dataclasses.replace(task, prompt="Which? ") if task.name == "piqa" else task  # type: ignore[call-arg]
        for task in rainbow.tasks
    ]
    other = dataclasses.replace(rainbow, tasks=tuple(asked))
    monkeypatch.setitem(vars(suites), "BENCHMARKS", {**suites.BENCHMARKS, "rainbow": other})
    changed = {
        case: {
            name
            for name, digest in data(tmp_path / "after", *case).items()
            if before[case][name] != digest
        }
        for case in cases
    }
    assert changed.pop(("t5x", "rainbow")) == {
        f"suites/rainbow/piqa ({split})" for split in ("train", "validation")
    }
    assert changed.pop(("local", "rainbow"))
    assert set(map(frozenset, changed.values())) == {frozenset()}
