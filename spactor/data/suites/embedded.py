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

LETTERS = ("A", "B", "C", "D")
"""Names of choices."""

MMLU_PACKAGES = (
    *("python", "tensorflow", "jax", "scipy", "orbax-checkpoint", "transformers", "pandas"),
    "scikit-learn",
)
"""Subjects of ``mmlu``: the distributions with the most questions, as the corpus spells them.

A subject that the corpus lacks (all but ``python``, where only the standard library is read) has no
examples. Dashes become underscores in the tasks' names.
"""


_GLUE: Mapping[Split, int] = {"train": 2400, "validation": 120}
_SUPERGLUE: Mapping[Split, int] = {"train": 3000, "validation": 120}
_RAINBOW: Mapping[Split, int] = {"train": 3000, "validation": 160}
_MMLU: Mapping[Split, int] = {"train": 480, "validation": 32}
_BBH: Mapping[Split, int] = {"train": 500, "validation": 32}
_ONE_TASK: Mapping[Split, int] = {"train": 4000, "validation": 256}


def _task(
    builder: str,
    metrics: tuple[Metric, ...],
    target_length: int,
    limits: Mapping[Split, int],
    labels: tuple[str, ...] = (),
    name: str = "",
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
            10,
            _GLUE,
            ("unacceptable", "acceptable"),
        ),
        _task("summaries:pair", (F1, ACCURACY), 8, _GLUE, ("mismatch", "match")),
        _task("summaries:relation", (ACCURACY,), 8, _GLUE, ("object", "module", "package")),
    ),
    _suite(
        "superglue",
        "SuperGLUE",
        _task("superglue:question", (F1, ACCURACY), 4, _SUPERGLUE, ("no", "yes")),
        _task("superglue:word", (ACCURACY,), 4, _SUPERGLUE, ("other", "same")),
        _task("superglue:cause", (ACCURACY,), 4, _SUPERGLUE, LETTERS[:2]),
    ),
    _suite("squad", "SQuAD", _task("entries:span", SQUAD, 16, _ONE_TASK)),
    _suite("cnndm", "CNN/DailyMail", _task("summaries:summary", ROUGE, 40, _ONE_TASK)),
    _suite(
        "rainbow",
        "Rainbow",
        _task("choices:ending", (ACCURACY,), 4, _RAINBOW, LETTERS),
        _task("choices:goal", (ACCURACY,), 4, _RAINBOW, LETTERS[:2]),
    ),
    _suite(
        "mmlu",
        "MMLU",
        *(
            _task("choices:package", (ACCURACY,), 4, _MMLU, LETTERS, name=package.replace("-", "_"))
            for package in MMLU_PACKAGES
        ),
    ),
    _suite(
        "bbh",
        "BBH",
        _task("bbh:booleans", (ACCURACY,), 6, _BBH, ("False", "True")),
        _task("bbh:sorting", (ACCURACY,), 16, _BBH),
        _task("bbh:counting", (ACCURACY,), 6, _BBH),
        _task("bbh:sums", (ACCURACY,), 6, _BBH),
        _task("bbh:brackets", (ACCURACY,), 16, _BBH),
        _task("bbh:swaps", (ACCURACY,), 6, _BBH),
        _task("bbh:steps", (ACCURACY,), 4, _BBH, ("no", "yes")),
    ),
)
