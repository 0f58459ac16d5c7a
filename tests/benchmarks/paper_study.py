"""Writes made-up records of a study as large as the paper's: ``python paper_study.py FILE``.

Experiments, checkpoints, tasks and evaluations are those of the profile ``paper``, with continuous
fine-tuning for the figures: each evaluation is a record, and so is what each rule selects of them.
Metrics of pre-training are logged as often as it takes to reach the number of records asked for.
The file is as ``analysis.schema.records.write`` would leave it, but made piece by piece.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from analysis.schema import records
from analysis.schema.quantities import paper_tasks
from repro import plan
from repro.specs import load_profile
from spactor.data.suites import INVALID_RATE, PREDICTED_CLASSES

RECORDS = 10_000_000
CONTINUOUS = (120_000, 250_000, 750_000)
"""Checkpoints that are fine-tuned for the figures alone."""
TRAINED = (
    *("generator_accuracy", "generator_loss", "grad_norm", "learning_rate", "loss"),
    *("replaced_fraction", "rtd_accuracy", "rtd_loss", "rtd_precision", "rtd_recall", "sc_loss"),
)
VALIDATED = (
    *("mlm_accuracy", "mlm_loss", "replaced_fraction", "rtd_accuracy", "rtd_loss", "rtd_recall"),
    *("sc_loss_clean", "sc_loss_noisy"),
)
SERIES = (*(f"train/{n}" for n in TRAINED), *(f"validation/{n}" for n in VALIDATED))
TASKS = sorted(
    {(item.suite, item.task, item.metric) for item in paper_tasks()}
    | {
        (item.suite, item.task, name)
        for item in paper_tasks()
        for name in (INVALID_RATE, PREDICTED_CLASSES)
    }
)
PAPER_STEPS = 1_000_000


def pieces(count: int) -> Iterator[pa.Table]:
    """Tables of at least ``count`` records in all, in the order of their keys."""
    profile = load_profile("paper")
    tree = plan.build(profile, profile.select((), (), (), ()))
    config = next(node.config for node in tree.nodes.values() if isinstance(node, plan.Finetuning))
    period, last = config.evaluation_period_steps, config.total_steps
    steps = np.arange(period, last + 1, period)
    specs = sorted(tree.specs, key=lambda spec: (spec.size, str(spec.tau), spec.seed))
    checkpoints = {spec: sorted({*tree.profile.finetuned_at(spec), *CONTINUOUS}) for spec in specs}
    of_checkpoint = len(TASKS) * (len(steps) + len(records.SELECTIONS))
    scored = sum(map(len, checkpoints.values())) * of_checkpoint
    logged = math.ceil((count - scored) / (len(specs) * len(SERIES)))
    generator = np.random.default_rng(0)
    for (size, tau), group in groupby(specs, key=lambda spec: (spec.size, str(spec.tau))):
        own = list(group)
        for spec in own:
            at = {"size": size, "tau": tau, "seed": spec.seed}
            for checkpoint in checkpoints[spec]:
                yield _scores(at | {"checkpoint": checkpoint}, steps, generator)
            yield _series(at, logged, generator)
        costed = checkpoints[own[0]]
        at = {"size": size, "tau": tau, "checkpoint": costed, "metric": "cost/pretraining_flops"}
        yield _rows(at | {"value": [1e15 * checkpoint for checkpoint in costed]})


def _scores(at: Mapping[str, object], steps: np.ndarray, random: np.random.Generator) -> pa.Table:
    """One model's evaluations: the scores rise, so that every rule selects the last step."""
    rules = ("", *records.SELECTIONS)
    selection = [*[""] * len(TASKS) * (len(steps) - 1), *rules * len(TASKS)]
    task = [*range(len(TASKS))] * (len(steps) - 1)
    task += [index for index in range(len(TASKS)) for _ in rules]
    step = np.concatenate([np.repeat(steps[:-1], len(TASKS)), np.full(len(TASKS) * 3, steps[-1])])
    suites, tasks, metrics = zip(*TASKS, strict=True)
    units = ["classes" if metric == PREDICTED_CLASSES else "percent" for metric in metrics]
    mean = np.where(np.array(metrics) == PREDICTED_CLASSES, 2.0, 60.0)[task]
    noise = np.where(mean == 2.0, 0.0, random.uniform(0, 1, len(TASKS))[task] + step / steps[-1])
    folder = f"{at['size']}/s{at['seed']}/{at['tau']}/{at['checkpoint']}"
    return _rows(
        {
            **at,
            "finetune_seed": at["seed"],
            "step": step,
            "suite": _named(suites, task),
            "task": _named(tasks, task),
            "metric": _named(metrics, task),
            "selection": selection,
            "value": mean + noise,
            "unit": _named(units, task),
            "node": _named([f"{folder}/finetune-{suite}" for suite in suites], task),
            "fingerprint": hashlib.sha256(folder.encode()).hexdigest(),
        }
    )


def _series(at: Mapping[str, object], logged: int, random: np.random.Generator) -> pa.Table:
    """One model's pre-training: every metric at every logged step."""
    step = np.linspace(1, PAPER_STEPS, logged).astype(np.int64)
    metric = np.tile(np.arange(len(SERIES)), logged)
    units = ["nats" if "loss" in m and m.startswith("valid") else "" for m in SERIES]
    fractions = [m.startswith("valid") and "loss" not in m for m in SERIES]
    units = ["fraction" if f else unit for f, unit in zip(fractions, units, strict=True)]
    folder = f"{at['size']}/s{at['seed']}/{at['tau']}"
    return _rows(
        {
            **at,
            "step": np.repeat(step, len(SERIES)),
            "paper_step": np.repeat(step, len(SERIES)),
            "metric": _named(SERIES, metric),
            "value": random.uniform(0.0, 1.0, len(metric)),
            "unit": _named(units, metric),
            "node": folder,
            "fingerprint": hashlib.sha256(folder.encode()).hexdigest(),
        }
    )


def _named(names: Sequence[str], which: ArrayLike) -> pa.Array:
    places = pa.array(which, pa.int32())
    return pa.DictionaryArray.from_arrays(places, pa.array(names)).cast("string")


def _rows(columns: Mapping[str, Any]) -> pa.Table:
    """A table of the schema: a scalar stands for a whole column, an absent column is empty."""
    columns = {"source": "measured", "profile": "paper", **columns}
    count = len(columns["value"])
    arrays = []
    for field in records.SCHEMA:
        value = columns.get(field.name, "" if field.type == pa.string() else None)
        if value is None or isinstance(value, (str, int)):
            arrays.append(pa.repeat(pa.scalar(value, field.type), count))
        else:
            arrays.append(value if isinstance(value, pa.Array) else pa.array(value, field.type))
    return pa.Table.from_arrays(arrays, schema=records.SCHEMA)


def write(path: Path, count: int = RECORDS) -> int:
    """Writes the file and returns how many records it holds."""
    written = 0
    held: list[pa.Table] = []
    with pq.ParquetWriter(path, records.SCHEMA, compression=records.COMPRESSION) as writer:
        for piece in pieces(count):
            written += len(piece)
            held.append(piece)
            if sum(map(len, held)) >= records.GROUP_ROWS:
                whole = pa.concat_tables(held)
                full = len(whole) - len(whole) % records.GROUP_ROWS
                writer.write_table(whole.slice(0, full), records.GROUP_ROWS)
                held = [whole.slice(full)]
        writer.write_table(pa.concat_tables(held))
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--records", type=int, default=RECORDS)
    arguments = parser.parse_args()
    print(f"{write(arguments.path, arguments.records):,} records in {arguments.path}")


if __name__ == "__main__":
    main()
