"""Made-up rows of every benchmark, what becomes of them, and what some answers to them score.

The data sets of T5's tasks are written through TensorFlow Datasets with the features of its own
builders, the others as files.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up_t5 import TFDS, Case, label_use

from spactor.data import host_tensorflow, suites
from spactor.data.suites import BENCHMARKS, FileTask, Suite, T5Task, Task
from spactor.data.suites.released import LETTERS

_STORY = {
    "story_id": "s",
    "obs1": "Ada mixed dough.",
    "obs2": "Bread cooled.",
    "hyp1": "She baked.",
    "hyp2": "She left.",
}
_GOAL = {"goal": "slice bread", "sol1": "use a knife", "sol2": "use a spoon"}
_SOCIAL = {
    "context": "Ada fed Bob.",
    "question": "Why?",
    "answerA": "he ate",
    "answerB": "hunger",
    "answerC": "rain",
}
_ENDINGS = {
    "ind": 3,
    "activity_label": "Baking",
    "ctx_a": "Ada takes dough.",
    "ctx_b": "she",
    "ctx": "Ada takes dough. she",
    "split": "val",
    "split_type": "indomain",
    "label": 2,
    "endings": ["sings.", "flies.", "bakes it.", "melts."],
    "source_id": "activitynet~v_x",
}
_BLANK = {
    "qID": "x-1",
    "sentence": "Ada fed Bob, as _ was hungry.",
    "option1": "Ada",
    "option2": "Bob",
    "answer": "2",
}
_COSMOS = {
    "id": "c",
    "context": "Ada, a baker,\nrose early.",
    "question": "Why ?",
    "answer0": "to bake",
    "answer1": "to fly",
    "answer2": "to sing",
    "answer3": "None of the above choices .",
    "label": "0",
}
_HALF = {"accuracy": 50.0}


def options(*texts: str) -> str:
    return (
        "OPTIONS:\n" + "\n".join(f"{a} {b}" for a, b in zip(LETTERS, texts, strict=False)) + "\nA:"
    )


def _tagged(dataset: str, **fields: str) -> str:
    """A prompt of Lourie et al. (2021): the data set in brackets, then a tag for each field."""
    lines = [f"<{name}>{text}</{name}>" for name, text in fields.items()]
    return "\n".join([f"[{dataset}]:", *lines])


# Rows of files with a second file of answers are (row, answer). Answers are the releases' labels.
RAINBOW: dict[str, Case] = {
    "alpha_nli": Case(
        [(_STORY, "1"), ({**_STORY, "hyp1": "It rained."}, "2")],
        [
            (
                "[anli]:\n<obs1>Ada mixed dough.</obs1>\n<obs2>Bread cooled.</obs2>\n"
                f"<hyp1>{first}</hyp1>\n<hyp2>She left.</hyp2>",
                target,
            )
            for first, target in (("She baked.", "1"), ("It rained.", "2"))
        ],
        [" 1 ", "1"],
        _HALF | label_use(0.0, 1),
    ),
    "cosmosqa": Case(
        [_COSMOS, {**_COSMOS, "label": "3"}],
        [
            (
                "[cosmosqa]:\n<context>Ada, a baker,\nrose early.</context>\n"
                "<question>Why ?</question>\n"
                "<answer0>to bake</answer0>\n<answer1>to fly</answer1>\n"
                "<answer2>to sing</answer2>\n<answer3>None of the above choices .</answer3>",
                target,
            )
            for target in ("0", "3")
        ],
        ["0", "(A)"],
        _HALF | label_use(50.0, 2),
    ),
    "hellaswag": Case(
        [_ENDINGS, {**_ENDINGS, "label": 0}],
        [
            (
                "[hellaswag]:\n<ctx>Ada takes dough. she</ctx>\n"
                "<ending_options 0>sings.</ending_options 0>\n"
                "<ending_options 1>flies.</ending_options 1>\n"
                "<ending_options 2>bakes it.</ending_options 2>\n"
                "<ending_options 3>melts.</ending_options 3>",
                target,
            )
            for target in ("2", "0")
        ],
        ["2", "2"],
        _HALF | label_use(0.0, 1),
    ),
    "piqa": Case(
        [(_GOAL, "0"), ({**_GOAL, "sol1": "use a fork"}, "1")],
        [
            (_tagged("physicaliqa", **_GOAL), "0"),
            (_tagged("physicaliqa", **{**_GOAL, "sol1": "use a fork"}), "1"),
        ],
        ["0", "use a spoon"],
        _HALF | label_use(50.0, 2),
    ),
    "socialiqa": Case(
        [(_SOCIAL, "2"), ({**_SOCIAL, "question": "How?"}, "3")],
        [
            (_tagged("socialiqa", **_SOCIAL), "2"),
            (_tagged("socialiqa", **{**_SOCIAL, "question": "How?"}), "3"),
        ],
        ["2", "2"],
        _HALF | label_use(0.0, 1),
    ),
    "winogrande": Case(
        [_BLANK, {**_BLANK, "answer": "1"}],
        [
            (
                "[winogrande]:\n<sentence>Ada fed Bob, as _ was hungry.</sentence>\n"
                "<option1>Ada</option1>\n<option2>Bob</option2>",
                target,
            )
            for target in ("2", "1")
        ],
        ["2", ""],
        _HALF | label_use(50.0, 2),
    ),
}


def _mmlu_case(subject: str) -> Case:
    return Case(
        [
            ['What, in\n"bread", rises?', "dough", "salt", "water", "heat", "A"],
            ["Which is 4?", "1", "2", "3", "4", "D"],
        ],
        [
            (
                f"Answer this question about {subject.replace('_', ' ')}.\n\n"
                f'What, in\n"bread", rises?\n{options("dough", "salt", "water", "heat")}',
                "(A)",
            ),
            (
                f"Answer this question about {subject.replace('_', ' ')}.\n\n"
                f"Which is 4?\n{options('1', '2', '3', '4')}",
                "(D)",
            ),
        ],
        ["(A)", "(B)"],
        _HALF | label_use(0.0, 2),
    )


def _bbh_case(name: str) -> Case:
    (task,) = (task for task in BENCHMARKS["bbh"].tasks if task.name == name)
    assert isinstance(task, FileTask)
    labels, instruction = task.labels, task.prompt
    if not labels:
        rows = [("Close: [ [", "] ]"), ("Close: (", ")")]
    elif labels[0] in LETTERS:
        rows = [
            (f"Which?\nOptions:\n(A) rye\n(B) oats, {i}", letter)
            for i, letter in enumerate(labels[:2])
        ]
    else:
        rows = [
            (f"Is it so? {label}\nOptions:\n- {labels[0]} \n- {labels[1]}", label)
            for label in labels
        ]
    return Case(
        [{"input": question, "target": answer} for question, answer in rows],
        [(f"{instruction}\n\nQ: {question}\nA:", answer) for question, answer in rows],
        [rows[0][1], rows[0][1]],
        _HALF | (label_use(0.0, 1) if labels else {}),
    )


CASES: Mapping[tuple[str, str], Case] = {
    **TFDS,
    **{("rainbow", name): case for name, case in RAINBOW.items()},
    **{("mmlu", task.name): _mmlu_case(task.name) for task in BENCHMARKS["mmlu"].tasks},
    **{("bbh", task.name): _bbh_case(task.name) for task in BENCHMARKS["bbh"].tasks},
}


def scored(
    case: Case, scores: Mapping[str, float], invalid: float, classes: int
) -> dict[str, float]:
    """Scores of other answers to a case, and of a classification its use of the labels."""
    use = {"invalid_rate": invalid, "predicted_classes": float(classes)}
    return dict(scores) | {
        name: value
        for name in set(case.scores) - set(scores)
        for kind, value in use.items()
        if name.startswith(kind)
    }


def best_scores(case: Case, task: Task) -> dict[str, float]:
    """Scores of a task whose answers are its targets."""
    # One of WSC's two referents is wrong, and naming it is the wrong answer.
    best = 50.0 if task.name == "wsc" else 100.0
    classes = len({target for _, target in case.examples})
    return scored(case, dict.fromkeys((fact.name for fact in task.metrics), best), 0.0, classes)


def shrunk(benchmark: Suite) -> Suite:
    """A benchmark that expects as many rows as were made up."""
    tasks: list[Any] = []
    for task in benchmark.tasks:
        count = len(CASES[benchmark.name, task.name].rows)
        if isinstance(task, FileTask):
            tasks.append(dataclasses.replace(task, counts=dict.fromkeys(task.counts, count)))
        elif isinstance(task, T5Task):
            versions = {
                version: dict.fromkeys(rows, count) for version, rows in task.versions.items()
            }
            tasks.append(dataclasses.replace(task, versions=versions))
    return dataclasses.replace(benchmark, tasks=tuple(tasks))


def shrink_all(patch: pytest.MonkeyPatch, **tasks: int) -> None:
    """Makes every benchmark expect as many rows as were made up, and some have so many tasks."""
    small = {name: shrunk(each) for name, each in BENCHMARKS.items()}
    for name, count in tasks.items():
        small[name] = dataclasses.replace(small[name], tasks=small[name].tasks[:count])
    patch.setitem(vars(suites), "BENCHMARKS", small)


def write_all(folder: Path, names: Iterable[str] = tuple(BENCHMARKS)) -> None:
    """Writes the made-up rows of benchmarks into a data folder."""
    for benchmark in (BENCHMARKS[name] for name in names):
        for task in benchmark.tasks:
            rows = CASES[benchmark.name, task.name].rows
            if isinstance(task, T5Task):
                version = list(task.versions)[-1]
                splits = {
                    split
                    for each in benchmark.tasks
                    if isinstance(each, T5Task) and each.dataset == task.dataset
                    for split in each.versions[version]
                }
                write_tfds(folder, task.dataset, version, dict.fromkeys(sorted(splits), rows))
                continue
            assert isinstance(task, FileTask)
            for files in task.files.values():
                write_files([folder / file for file in files], rows)


def write_files(paths: Sequence[Path], rows: Sequence[Any]) -> None:
    """Writes rows as the release's format, known by the ending, has them."""
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    if len(paths) == 2:
        paths[1].write_text("".join(f"{answer}\n" for _, answer in rows))
        rows = [row for row, _ in rows]
    if paths[0].suffix == ".jsonl":
        paths[0].write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif paths[0].suffix == ".json":
        paths[0].write_text(json.dumps({"canary": "", "examples": rows}))
    else:
        with paths[0].open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(
                [list(rows[0]), *(row.values() for row in rows)]
                if isinstance(rows[0], dict)
                else rows
            )


def write_tfds(
    folder: Path, dataset: str, version: str, splits: Mapping[str, Sequence[Any]]
) -> None:
    """Writes a data set as TensorFlow Datasets prepares it, with its own builder's features."""
    host_tensorflow.seqio()
    import tensorflow_datasets as tfds

    home = folder / dataset / version
    if home.exists():
        return
    home.mkdir(parents=True)
    name, _, config = dataset.partition("/")
    builder = tfds.builder_cls(name)(
        data_dir=folder / "none", **({"config": config} if config else {})
    )
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=name,
        version=tfds.core.Version(version),
        data_dir=str(home),
        module_name="",
        config_name=config or None,
    )
    info = tfds.core.DatasetInfo(builder=identity, features=builder.info.features)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=100)
    writer.initialize_splits(list(splits))
    writer.add_examples(dict(splits))
    writer.close_all()
    # The writer does not know how many files there will be; TensorFlow Datasets' own names have it.
    for path in home.glob("*.tfrecord-00000"):
        path.rename(path.with_name(f"{path.name}-of-00001"))
    description = home / "dataset_info.json"
    description.write_text(description.read_text().replace("{SHARD_INDEX}", "{SHARD_X_OF_Y}"))
