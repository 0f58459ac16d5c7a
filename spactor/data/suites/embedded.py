"""Table of the embedded suites: one row per task.

Each suite stands in for a column of Table 2 and has that column's kinds of metrics. A row names the
task's builder, ``module:function`` below `spactor.data.builders`; metrics; decoder positions that
hold any answer; the largest numbers of examples; and the labels of a classification.
"""

from __future__ import annotations

from collections.abc import Mapping

from spactor.data.suites.suite import MARGIN, EmbeddedTask, Metric, Split, Suite

ACCURACY = Metric("accuracy")
F1 = Metric("f1")
ROUGE = tuple(Metric(name, function="rouge") for name in ("rouge1", "rouge2", "rougeL"))
SQUAD = (Metric("em", function="squad"), Metric("f1", function="squad"))
RANKED, RANKED_BY_LENGTH = (
    tuple(Metric(name, version, "ranking") for name in ("accuracy", MARGIN))
    for version in ("1-ranked", "1-ranked-normalized")
)

MMLU_PACKAGES = (
    *("python", "tensorflow", "transformers", "scipy", "jax", "pandas", "scikit-learn", "nltk"),
)
"""Subjects of ``mmlu``: the distributions with the most sentences, as the corpus spells them.

A subject that the corpus lacks (all but ``python``, where only the standard library is read) has no
examples. Dashes become underscores in the tasks' names.
"""

_SENTENCES: Mapping[Split, int] = {"train": 3000, "validation": 400}
# With more labels, bags of words that are learned from scratch do as well.
_FEW_LABELS: Mapping[Split, int] = {"train": 400, "validation": 400}
_PACKAGE: Mapping[Split, int] = {"train": 600, "validation": 150}
_LISTS: Mapping[Split, int] = {"train": 3000, "validation": 200}
_ONE_TASK: Mapping[Split, int] = {"train": 4000, "validation": 400}


def _task(
    builder: str,
    metrics: tuple[Metric, ...],
    target_length: int,
    limits: Mapping[Split, int],
    labels: tuple[str, ...] = (),
    name: str = "",
    guessing: float | None = None,
) -> EmbeddedTask:
    """A row; the task is named as its builder's function unless ``name`` is given."""
    return EmbeddedTask(
        name=name or builder.partition(":")[2],
        builder=builder,
        metrics=metrics,
        target_length=target_length,
        limits=limits,
        labels=labels,
        ranked=metrics in (RANKED, RANKED_BY_LENGTH),
        length_normalized=metrics == RANKED_BY_LENGTH,
        guessing=guessing,
    )


def _suite(name: str, title: str, *tasks: EmbeddedTask) -> Suite:
    length = max(task.target_length for task in tasks)
    return Suite(name=name, title=title, tasks=tasks, target_length=length)


SUITES = (
    _suite(
        "glue",
        "GLUE",
        _task(
            "summaries:acceptability",
            (Metric("matthews_corrcoef"),),
            2,
            _SENTENCES,
            ("False", "True"),
        ),
        _task("summaries:order", (F1, ACCURACY), 2, _SENTENCES, ("False", "True"), guessing=50.0),
        _task("summaries:topic", (ACCURACY,), 2, _FEW_LABELS, ("A", "B", "C", "D")),
    ),
    _suite(
        "superglue",
        "SuperGLUE",
        _task("cloze:four_words", RANKED, 8, _SENTENCES, guessing=25.0),
        _task("cloze:two_words", RANKED, 8, _SENTENCES, guessing=50.0),
    ),
    _suite("squad", "SQuAD", _task("entries:span", SQUAD, 16, _ONE_TASK)),
    _suite("cnndm", "CNN/DailyMail", _task("summaries:summary", ROUGE, 40, _ONE_TASK)),
    _suite(
        "rainbow",
        "Rainbow",
        _task("choices:ending", RANKED_BY_LENGTH, 16, _SENTENCES, guessing=25.0),
    ),
    _suite(
        "mmlu",
        "MMLU",
        *(
            _task(
                "cloze:package", RANKED, 8, _PACKAGE, name=package.replace("-", "_"), guessing=25.0
            )
            for package in MMLU_PACKAGES
        ),
    ),
    _suite(
        "bbh",
        "BBH",
        # Guessing draws words of the question in any order.
        _task("bbh:last", (ACCURACY,), 4, _LISTS, guessing=23.75),
        _task("bbh:second", (ACCURACY,), 4, _LISTS, guessing=23.75),
        _task("bbh:last_two", (ACCURACY,), 8, _LISTS, guessing=8.3),
        _task("bbh:reverse", (ACCURACY,), 16, _LISTS, guessing=23.6),
    ),
)
