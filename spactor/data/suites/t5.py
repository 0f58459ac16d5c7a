"""Table of the benchmarks that the ``t5`` package defines: GLUE, SuperGLUE, SQuAD, CNN/DailyMail.

MNLI is trained once and scored as two tasks. WSC is T5's simple form: the model names what a
pronoun refers to. It is trained on the examples whose referent is right (``wsc_train``), together
with Definite Pronoun Resolution (``dpr``), and scored on all. The paper's Rouge-L of CNN/DailyMail,
about 39, is what T5 reports as ``rougeLsum``, sentence by sentence; of whole summaries as single
sequences it would be far lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spactor.data.suites.suite import (
    INVALID_RATE,
    PREDICTED_CLASSES,
    Metric,
    Release,
    Suite,
    T5Task,
)

_ACCURACY = (Metric("accuracy"),)
_F1_AND_ACCURACY = (Metric("f1"), Metric("accuracy"))
_EM_AND_F1 = (Metric("em"), Metric("f1"))
_NONE: Mapping[str, str] = MappingProxyType({})

_GLUE = Release(
    "Wang et al. (2019), GLUE",
    "the GLUE benchmark's site; as TensorFlow Datasets prepares it, data set 'glue'",
)
_SUPERGLUE = Release(
    "Wang et al. (2019), SuperGLUE",
    "the SuperGLUE benchmark's site; as TensorFlow Datasets prepares it, data set 'super_glue'",
)
_DPR = Release(
    "Rahman and Ng (2012), Definite Pronoun Resolution",
    "the authors' site; as TensorFlow Datasets prepares it, data set 'definite_pronoun_resolution'",
)
_SQUAD = Release(
    "Rajpurkar et al. (2016), SQuAD",
    "the SQuAD explorer, version 1.1; as TensorFlow Datasets prepares it, data set 'squad/v1.1'",
)
_CNNDM = Release(
    "Hermann et al. (2015) and See et al. (2017), CNN/DailyMail",
    "See et al.'s repository, version 3.0 without entities replaced; as TensorFlow Datasets "
    "prepares it, data set 'cnn_dailymail'",
)


def _task(
    name: str,
    t5_name: str,
    dataset: str,
    version: str,
    rows: tuple[int, int],
    metrics: tuple[Metric, ...] = _ACCURACY,
    *,
    release: Release,
    weight: float | None = None,
    record_name: str = "",
    renamed: Mapping[str, str] = _NONE,
    newer: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> T5Task:
    """A row.

    Args:
      rows: of the training and the validation split; 0 for a split that is not used.
      newer: further versions, with the rows that differ from T5's version.
    """
    counts = {split: n for split, n in zip(("train", "validation"), rows, strict=True) if n}
    return T5Task(
        name=name,
        t5_name=t5_name,
        dataset=dataset,
        versions={version: counts} | {other: {**counts, **more} for other, more in newer.items()},
        metrics=metrics,
        record_name=record_name,
        renamed=renamed,
        weight=weight,
        release=release,
    )


def _glue(
    name: str,
    train: int,
    validation: int,
    metrics: tuple[Metric, ...] = _ACCURACY,
    *,
    record_name: str = "",
    renamed: Mapping[str, str] = _NONE,
    newer: Mapping[str, int] = MappingProxyType({}),
) -> T5Task:
    return _task(
        *(name, f"glue_{name}_v002", f"glue/{name}", "1.0.0", (train, validation), metrics),
        release=_GLUE,
        record_name=record_name,
        renamed=renamed,
        # TensorFlow Datasets prepares 2.0.0 today.
        newer={"2.0.0": newer},
    )


def _mnli(half: str, validation: int) -> T5Task:
    # Two tasks of T5's and one of the records.
    renamed = {name: f"{name}_{half}" for name in ("accuracy", INVALID_RATE, PREDICTED_CLASSES)}
    metrics = (Metric(f"accuracy_{half}"),)
    return _glue(f"mnli_{half}", 0, validation, metrics, record_name="mnli", renamed=renamed)


def _superglue(
    name: str,
    train: int,
    validation: int,
    metrics: tuple[Metric, ...] = _ACCURACY,
    *,
    t5_name: str = "",
    dataset: str = "",
    weight: float | None = None,
) -> T5Task:
    return _task(
        name,
        t5_name or f"super_glue_{name}_v102",
        f"super_glue/{dataset or name}",
        "1.0.2",
        (train, validation),
        metrics,
        release=_SUPERGLUE,
        weight=weight,
    )


SUITES = (
    Suite(
        name="glue",
        title="GLUE",
        tasks=(
            _glue("cola", 8_551, 1_043, (Metric("matthews_corrcoef"),)),
            _glue("mnli", 392_702, 0, ()),
            _mnli("matched", 9_815),
            _mnli("mismatched", 9_832),
            _glue("mrpc", 3_668, 408, _F1_AND_ACCURACY),
            _glue("qnli", 104_743, 5_463),
            _glue("qqp", 363_849, 40_430, _F1_AND_ACCURACY, newer={"train": 363_846}),
            _glue("rte", 2_490, 277),
            _glue("sst2", 67_349, 872),
            _glue(
                *("stsb", 5_749, 1_500),
                (Metric("pearson_corrcoef"), Metric("spearman_corrcoef")),
            ),
        ),
        target_length=84,
    ),
    Suite(
        name="superglue",
        title="SuperGLUE",
        tasks=(
            _superglue("boolq", 9_427, 3_270),
            _superglue("cb", 250, 56, (Metric("mean_3class_f1"), *_ACCURACY)),
            _superglue("copa", 400, 100),
            _task(
                *("dpr", "dpr_v001_simple", "definite_pronoun_resolution", "1.1.0", (1_322, 0)),
                (),
                release=_DPR,
            ),
            _superglue("multirc", 27_243, 4_848, (Metric("f1"), Metric("exact_match"))),
            # One training example per answer, which are more than the queries.
            _superglue("record", 100_730, 10_000, _EM_AND_F1, weight=138_854),
            _superglue("rte", 2_490, 277),
            _superglue("wic", 5_428, 638),
            _superglue(
                *("wsc", 0, 104), t5_name="super_glue_wsc_v102_simple_eval", dataset="wsc.fixed"
            ),
            # 259 of them have the right referent.
            _superglue(
                *("wsc_train", 554, 0, ()),
                t5_name="super_glue_wsc_v102_simple_train",
                dataset="wsc.fixed",
                weight=259,
            ),
        ),
        target_length=62,
    ),
    Suite(
        name="squad",
        title="SQuAD",
        tasks=(
            _task(
                *("squad", "squad_v010_allanswers", "squad/v1.1", "3.0.0", (87_599, 10_570)),
                _EM_AND_F1,
                release=_SQUAD,
            ),
        ),
        target_length=97,
    ),
    Suite(
        name="cnndm",
        title="CNN/DailyMail",
        tasks=(
            _task(
                *("cnn_dailymail", "cnn_dailymail_v002", "cnn_dailymail", "3.4.0"),
                (287_113, 13_368),
                (Metric("rouge1"), Metric("rouge2"), Metric("rougeL", version="1-sum")),
                release=_CNNDM,
                renamed={"rougeLsum": "rougeL"},
            ),
        ),
        target_length=512,
    ),
)
