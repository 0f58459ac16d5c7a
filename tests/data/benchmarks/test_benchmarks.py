"""Every task of the paper's benchmarks: prompts, targets, answers and scores, on made-up rows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_up
import pytest

from analysis.schema.facts import SUITES
from analysis.schema.quantities import DIAGNOSTICS, paper_tasks
from spactor.data import host_tensorflow, suite_registry, suites
from spactor.data.suites import BENCHMARKS, Suite, T5Task, Task

TASKS = [(suite, task) for suite in BENCHMARKS.values() for task in suite.released_tasks]
# The subjects of MMLU differ in their names alone, and three of 57 are served.
SERVED = [
    (suite, task)
    for suite, task in TASKS
    if suite.name != "mmlu" or task.name in ("abstract_algebra", "anatomy", "virology")
]
IDS = [f"{suite.name}-{task.name}" for suite, task in SERVED]
each_task = pytest.mark.parametrize(("suite", "task"), SERVED, ids=IDS)
each_suite = pytest.mark.parametrize("suite", BENCHMARKS.values(), ids=BENCHMARKS)
LENGTHS = {"inputs": 4096, "targets": 512}


@pytest.fixture(scope="module", autouse=True)
def registered(data_folder: Path) -> None:
    for suite in BENCHMARKS.values():
        suite_registry.register_released(made_up.shrunk(suite), data_folder, vocabulary())


def vocabulary() -> Any:
    """Bytes, so that every text comes back as it was."""
    return host_tensorflow.seqio().ByteVocabulary()


def test_every_task_has_a_case_and_no_other() -> None:
    assert set(made_up.CASES) == {(suite.name, task.name) for suite, task in TASKS}


@functools.cache
def served(name: str, split: str) -> list[dict[str, Any]]:
    """A task's examples, as seqio serves them."""
    task = host_tensorflow.seqio().get_mixture_or_task(name)
    return list(task.get_dataset(LENGTHS, split=split, shuffle=False).as_numpy_iterator())


@each_task
def test_prompts_and_targets(suite: Suite, task: Task) -> None:
    case = made_up.CASES[suite.name, task.name]
    name = suite.registered_name(task.name)
    registered = host_tensorflow.seqio().get_mixture_or_task(name)
    splits = task.rows
    assert set(registered.splits) == set(splits)
    for split in splits:
        assert [
            (row["inputs_pretokenized"].decode(), row["targets_pretokenized"].decode())
            for row in served(name, split)
        ] == list(case.examples)
        for row in served(name, split):
            assert [*vocabulary().encode(row["targets_pretokenized"].decode()), 1] == row[
                "targets"
            ].tolist()
        assert registered.num_input_examples(split) == len(case.rows)


def score(name: str, answers: Sequence[str]) -> dict[str, float]:
    """Scores of answers by a task's postprocessor and metrics, called as seqio's evaluator does."""
    task = host_tensorflow.seqio().get_mixture_or_task(name)
    rows = served(name, "validation")
    targets = [
        task.postprocess_fn(row["targets_pretokenized"].decode(), example=row, is_target=True)
        for row in rows
    ]
    predictions = [
        task.postprocess_fn(answer, example=row, is_target=False)
        for row, answer in zip(rows, answers, strict=True)
    ]
    found: dict[str, float] = {}
    for metric in task.metric_fns:
        found |= metric(targets, predictions)
    return found


@each_task
def test_scores(suite: Suite, task: Task) -> None:
    name = suite.registered_name(task.name)
    if not task.recorded_as:
        assert not task.metrics
        assert not host_tensorflow.seqio().get_mixture_or_task(name).metric_fns
        return
    case = made_up.CASES[suite.name, task.name]
    answers = score(name, case.answers)
    facts = [fact.name for fact in task.metrics]
    names = set(answers).difference(DIAGNOSTICS)
    assert names == set(facts), "what is measured is what the records expect"
    assert answers == pytest.approx(dict(case.scores))
    right = score(name, [target for _, target in case.examples])
    assert right == pytest.approx(made_up.best_scores(case, task))
    nothing = score(name, [""] * len(case.examples))
    assert nothing == made_up.scored(case, dict.fromkeys(facts, 0.0), 100.0, 1)


def test_a_whole_name_that_an_item_is_answered_with_is_no_invalid_answer() -> None:
    """Three items of BBH are, since their names were cut at a comma."""
    name = BENCHMARKS["bbh"].registered_name("ruin_names")
    found: dict[str, float] = {}
    for metric in host_tensorflow.seqio().get_mixture_or_task(name).metric_fns:
        found |= metric(["(A)", "Up, Up", "(B)"], ["(A)", "Up, Up", "Up, Up"])
    assert found == pytest.approx(
        {"accuracy": 200 / 3, "invalid_rate": 100 / 3, "predicted_classes": 3}
    )


def test_labels_are_those_that_t5_trains_on() -> None:
    """Every label of T5's preprocessor is one class to its postprocessor, and nothing else is."""
    host_tensorflow.t5_tasks()
    for suite, task in TASKS:
        if not isinstance(task, T5Task) or not task.metrics:
            continue
        ours = host_tensorflow.seqio().TaskRegistry.get(task.t5_name)
        if labels := suite_registry.t5_labels(ours):
            classes = [ours.postprocess_fn(answer) for answer in (*labels, "neither")]
            classes = [each["value"] if isinstance(each, dict) else each for each in classes]
            assert classes == [*range(len(labels)), -1], (suite.name, task.name)
            examples = made_up.CASES[suite.name, task.name].examples
            assert {target for _, target in examples} <= set(labels)


def test_tasks_and_metrics_are_the_columns_of_the_tables() -> None:
    published = [(item.suite, item.task, item.metric) for item in paper_tasks()]
    ours = [
        (suite.name, task.recorded_as, fact.name) for suite, task in TASKS for fact in task.metrics
    ]
    # The tables have BBH before MMLU, Tables 2 and 4 have it behind.
    order = list(BENCHMARKS)
    assert ours == sorted(published, key=lambda item: order.index(item[0]))
    assert BENCHMARKS["cnndm"].metric_versions["cnn_dailymail"]["rougeL"] == "1-sum"
    for suite, task in TASKS:
        versions = suite.metric_versions.get(task.recorded_as, {})
        assert all(versions[fact.name] == fact.version != "" for fact in task.metrics)
        if task.recorded_as:
            name = suite.registered_name(task.name)
            assert suites.RECORDED_AS[name] == (suite.name, task.recorded_as)
    assert order == list(SUITES)


def test_evaluation_sets_are_as_large_as_the_tables_know() -> None:
    rows = {
        (suite.name, task.recorded_as, fact.name): task.rows["validation"]
        for suite, task in TASKS
        for fact in task.metrics
    }
    for item in paper_tasks():
        # MultiRC's exact match counts questions, of which each has several answers.
        if item.examples and (item.task, item.metric) != ("multirc", "exact_match"):
            assert rows[item.suite, item.task, item.metric] == item.examples, item
    assert sum(task.rows["validation"] for task in BENCHMARKS["mmlu"].tasks) == 1_531  # type: ignore[union-attr]


def test_tasks_are_as_in_t5() -> None:
    seqio = host_tensorflow.seqio()
    host_tensorflow.t5_tasks()
    from t5.data import glue_utils

    weights = {
        **glue_utils.get_glue_weight_mapping(),
        **glue_utils.get_super_glue_weight_mapping(),
    }
    for suite, task in TASKS:
        if not isinstance(task, T5Task):
            continue
        source = seqio.TaskRegistry.get(task.t5_name).source
        version = next(iter(task.versions))
        assert source.tfds_dataset.name == f"{task.dataset}:{version}"
        if suite.name in ("glue", "superglue"):
            assert task.rate == weights.pop(task.t5_name)
        else:
            assert task.rate == task.versions[version]["train"]
    # The diagnostic sets, which have no public answers.
    assert weights == {"glue_ax_v002": 0, "super_glue_axb_v102": 0, "super_glue_axg_v102": 0}


def test_lengths_are_as_in_t5() -> None:
    import t5

    home = Path(t5.__file__).parent / "models" / "gin" / "sequence_lengths"
    names = {
        "glue": "glue_v002_proportional",
        "superglue": "super_glue_v102_proportional",
        "squad": "squad_v010_allanswers",
        "cnndm": "cnn_dailymail_v002",
    }
    for suite, name in names.items():
        text = (home / f"{name}.gin").read_text()
        assert f"'targets': {BENCHMARKS[suite].target_length}}}" in text


@each_suite
def test_mixtures(suite: Suite) -> None:
    mixture = host_tensorflow.seqio().get_mixture_or_task(suite.mixture_name)
    rates = {task.name: mixture.get_rate(task) for task in mixture.tasks}
    small = made_up.shrunk(suite)
    if not suite.has_training_data:
        assert set(rates.values()) == {1.0} and mixture.splits == ("validation",)
        return
    assert rates == {suite.registered_name(task.name): task.rate for task in small.released_tasks}


def test_gin_registers_a_benchmark(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gin

    monkeypatch.setitem(vars(suites), "BENCHMARKS", {"piqa": made_up.shrunk(BENCHMARKS["rainbow"])})
    with gin.unlock_config():
        gin.clear_config()
        gin.add_config_file_search_path(str(Path(__file__).parents[3]))
        gin.parse_config_file("spactor/t5x/gin/benchmark.gin")
        gin.parse_config(
            "from __gin__ import dynamic_registration\n"
            "import seqio\n"
            f"DATA_FOLDER = {str(data_folder)!r}\n"
            "SUITE = 'piqa'\n"
            "VOCABULARY = @seqio.ByteVocabulary()\n"
        )
        called = gin.query_parameter("MIXTURE_OR_TASK_NAME/macro.value").scoped_configurable_fn
        assert called() == "spactor_benchmark_rainbow"
        gin.clear_config()
    features = (
        host_tensorflow.seqio().get_mixture_or_task("spactor_benchmark_rainbow").output_features
    )
    assert isinstance(features["inputs"].vocabulary, type(vocabulary()))
