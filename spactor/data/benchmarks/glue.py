"""GLUE (Table 6): T5's tasks. MNLI is trained once and scored as two."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spactor.data.benchmarks.base import ACCURACY, NOTHING, Benchmark, Release, TfdsTask
from spactor.data.label_metrics import INVALID_RATE, PREDICTED_CLASSES
from spactor.data.suites.base import MetricFact

_RELEASE = Release(
    "Wang et al. (2019), GLUE",
    "the GLUE benchmark's site; as TensorFlow Datasets prepares it, data set 'glue'",
)
F1_AND_ACCURACY = (MetricFact("f1", "1"), *ACCURACY)


def _task(
    name: str,
    train: int,
    validation: int,
    metrics: tuple[MetricFact, ...] = ACCURACY,
    *,
    recorded_as: str | None = None,
    renamed: Mapping[str, str] = NOTHING,
    splits: Mapping[str, int] | None = None,
    newer: Mapping[str, int] = MappingProxyType({}),
) -> TfdsTask:
    rows = splits or {"train": train, "validation": validation}
    return TfdsTask(
        name=name,
        t5_name=f"glue_{name}_v002",
        dataset=f"glue/{name}",
        # 2.0.0 is what TensorFlow Datasets prepares today.
        versions={"1.0.0": rows, "2.0.0": {**rows, **newer}},
        recorded_as=name if recorded_as is None else recorded_as,
        metrics=metrics,
        renamed=renamed,
        rate=train,
        release=_RELEASE,
    )


def _mnli(half: str, validation: int) -> TfdsTask:
    return _task(
        f"mnli_{half}",
        0,
        validation,
        (MetricFact(f"accuracy_{half}", "1"),),
        recorded_as="mnli",
        # Two tasks of T5's and one of the records.
        renamed={name: f"{name}_{half}" for name in ("accuracy", INVALID_RATE, PREDICTED_CLASSES)},
        splits={"validation": validation},
    )


BENCHMARK = Benchmark(
    name="glue",
    title="GLUE",
    tasks=(
        _task("cola", 8_551, 1_043, (MetricFact("matthews_corrcoef", "1"),)),
        _task("mnli", 392_702, 0, (), recorded_as="", splits={"train": 392_702}),
        _mnli("matched", 9_815),
        _mnli("mismatched", 9_832),
        _task("mrpc", 3_668, 408, F1_AND_ACCURACY),
        _task("qnli", 104_743, 5_463),
        _task("qqp", 363_849, 40_430, F1_AND_ACCURACY, newer={"train": 363_846}),
        _task("rte", 2_490, 277),
        _task("sst2", 67_349, 872),
        _task(
            "stsb",
            5_749,
            1_500,
            (MetricFact("pearson_corrcoef", "1"), MetricFact("spearman_corrcoef", "1")),
        ),
    ),
    target_length=84,
)
