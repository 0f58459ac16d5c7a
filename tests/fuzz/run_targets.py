"""What a run leaves in its folder, as targets."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from target import GOLDEN, Target, alone, npz, put, rows, valid_records


def _steps() -> list[bytes]:
    values = {"train/loss": 3.5, "validation/sc_loss_clean": 4.25, "timing/seqs_per_second": 7.0}
    return ["".join(json.dumps({"step": step, **values}) + "\n" for step in (5, 10, 10)).encode()]


def _read_steps(folder: Path) -> object:
    from repro import step_lines

    return step_lines.read_steps(folder / "metrics.jsonl")


def _event_files() -> list[bytes]:
    found = sorted(GOLDEN.glob("*/train*/**/events*"))
    return [path.read_bytes() for path in found]


def _place_events(data: bytes, folder: Path) -> None:
    put(folder / "config.gin", b"RANDOM_SEED = 0\n")
    for home in ("train", "training_eval/task"):
        put(folder / home / "events.out.tfevents.1.host.2.0.v2", data)


def _read_events(folder: Path) -> object:
    from repro import t5x_folder

    return t5x_folder.read_series(folder), list(t5x_folder.strange_configs(folder))


def _answers() -> list[bytes]:
    home = GOLDEN / "finetuning" / "inference_eval"
    return [path.read_bytes() for path in sorted(home.glob("*-0*.jsonl"))]


def _read_answers(folder: Path) -> object:
    from repro import t5x_folder

    return t5x_folder.read_answers(folder / "task-000010.jsonl")


@functools.cache
def _tree() -> Any:
    """A hybrid segment and a fine-tuning behind it."""
    from repro import plan, specs

    text = """
    extends = "smoke"
    suites = ["glue"]
    [matrix.base]
    taus = ["60K", "inf"]
    checkpoints = ["1M"]
    """
    profile = specs.parse_profile("own", text, "own")
    return plan.build(profile, profile.select(["base"], ["inf"]))


_LOSSES = {"train/loss": 3.5, "validation/sc_loss_clean": 4.0, "timing/seqs_per_second": 7.0}
_SCORE = {"matthews_corrcoef": 55.5}
_DIVERGENCE = {
    **{"metric": "train/loss", "value": "nan", "step": 3},
    **{"batch_digest": "1f", "checkpoint_step": None},
}


@functools.cache
def _run_files() -> Mapping[str, bytes]:
    """Every file of a finished run of that tree, by its path below the runs folder."""
    from repro import identity, provenance, series
    from repro.plan import Finetuning

    profile = _tree().profile
    found: dict[str, bytes] = {"spactor-runs.json": b'{"format": 1, "project": "spactor"}'}
    found["own/engine.json"] = b'{"format": 1, "engine": "local"}'
    parent = None
    for name, node in _tree().nodes.items():
        inputs = identity.settings(_tree(), node) | {"parent": parent, "data": {"a": "1f"}}
        digest = provenance.fingerprint(inputs)
        own: dict[str, Any] = {
            "node.json": {"format": 1, "name": name, "fingerprint": digest, "inputs": inputs},
            "done.json": {"format": 1, "fingerprint": digest},
            "diverged.json": {"format": 1, "fingerprint": digest, "divergence": _DIVERGENCE},
            "provenance.json": {
                "node": name,
                "fingerprint": digest,
                "commit": "abc",
                "device": "1 × cpu",
                "machine": provenance.machine(),
                "python": "3.11",
                "command": "repro run",
                "packages": {"numpy": "2.0"},
                "data": {"fingerprint": "1f", "tokens": {"train": 100}}
                | {"unigram_entropy_nats": 5.5, "most_frequent_token_rate": 0.04},
                "inputs": inputs,
                "seeds": {"pretraining": 0},
                "experiments": [{"size": "base", "tau": "inf"}],
                "attempts": [{"started": "2026-01-01", "ended": "2026-01-02", "seconds": 3.5}],
            },
        }
        if isinstance(node, Finetuning):
            steps = series._due(0, node.config.total_steps, node.config.evaluation_period_steps)
            path = f"inference_eval/spactor_{node.suite}_acceptability-metrics.jsonl"
            values, seed = _SCORE, node.draw_seed
        else:
            period = min(profile.log_period_steps, profile.validation_period_steps)
            steps = series._due(node.start_step, node.end_step, period)
            path, values, seed = "metrics.jsonl", _LOSSES, node.seed
            own["example.json"] = {"original": ["a", "b"], "is_original": [1, 0]}
        read = {"run": digest, "seed": seed, "batch": "1f", "masks": "2f"}
        found[f"own/{name}/{path}"] = rows(*({"step": step, **values} for step in steps))
        found[f"own/{name}/digests.jsonl"] = rows(*({"step": step, **read} for step in steps))
        for file, value in own.items():
            found[f"own/{name}/{file}"] = json.dumps(value).encode()
        parent = digest
    return found


def _place_run(file: str) -> Callable[[bytes, Path], None]:
    def place(data: bytes, folder: Path) -> None:
        if not (folder / "spactor-runs.json").is_file():
            for path, content in _run_files().items():
                put(folder / path, content)
        for path in _run_files():
            if path.endswith(f"/{file}"):
                put(folder / path, data)
            elif file == "diverged.json" and path.endswith("/done.json"):
                (folder / path).unlink(missing_ok=True)

    return place


def _of_runs(file: str) -> Callable[[], list[bytes]]:
    return lambda: [data for path, data in _run_files().items() if path.endswith(f"/{file}")]


def _read_run(folder: Path) -> None:
    """What `repro status`, `plan` and `collect` read, short of making tables of it."""
    from repro import collect, costs, folders, show

    tree = _tree()
    folders.open_runs(folder, create=False)
    folders.engine_of(folder, "own")
    show.status_lines(tree, folder)
    costs.measured_rates(tree, folder)
    finished, _, _ = collect.sort_out(tree, folder)
    collect.read_nodes(tree, folder, finished)
    list(collect._divergence_rows(tree, folder))


def _read_why(folder: Path) -> None:
    """What `repro why` reads."""
    from repro import why

    tree = _tree()
    why.explain(tree, folder, why.recorded_files(tree, folder), tree.nodes)


def _read_twice(folder: Path) -> None:
    """What `repro verify` reads, checkpoints apart."""
    from repro import comparison

    comparison.compare_runs(folder / "own", folder / "own", lambda folder: {})


def _read_logged(folder: Path) -> object:
    from spactor import metrics

    return metrics.logged_steps(folder / "metrics.jsonl")


def _provenance() -> list[bytes]:
    nodes = [json.loads(data) for data in _of_runs("provenance.json")()]
    return [json.dumps({"nodes": nodes}).encode()]


def _read_provenance(folder: Path) -> None:
    from repro import collect
    from repro.report import traces, tree
    from tables import origins

    found = collect.read_provenance(folder / "provenance.json")
    tree.grow(found)
    assert traces.Traces(valid_records(), found).data
    for name in _tree().nodes:
        origins.of_node(found, name)


def _example() -> list[bytes]:
    stations = {
        "original": ["a", "b", "c"],
        "span_corrupted": ["a", "[S0]", "c"],
        "masked": ["a", "[M]", "c"],
        "replaced": ["a", "b", "c"],
        "targets": ["[S0]", "b"],
        "is_original": [1, 0, 1],
        "judged_original": [1, 0, 1],
    }
    return [json.dumps(stations).encode()]


def _read_example(folder: Path) -> None:
    """As `repro collect` passes it on and Figure 1 draws it."""
    import pandas as pd

    from analysis.schema import records
    from figures import figure1
    from repro import folders

    found = folders.read_json(folder / "example.json")
    shared = {"source": "measured", "profile": "own", "size": "base", "tau": "inf", "seed": 0}
    rows = [
        {**shared, "metric": f"{records.EXAMPLE}{name}", "text": json.dumps(pieces)}
        for name, pieces in found.items()
    ]
    figure1.compute(pd.DataFrame(rows, columns=list(records.COLUMNS)))


def _read_predictions(folder: Path) -> None:
    from spactor import predictions

    for step in predictions.steps(folder):
        predictions.read(folder, step)
        predictions.tasks(folder, step)


def _of_run(
    name: str, file: str, *readers: str, read: Callable[[Path], object] = _read_run
) -> Target:
    """A file of a finished run, the other files beside it whole."""
    return Target(
        name=name,
        readers=readers,
        kind="json lines" if file.endswith("l") else "json",
        seeds=_of_runs(file),
        place=_place_run(file),
        read=read,
    )


TARGETS: tuple[Target, ...] = (
    Target(
        name="step-lines",
        readers=("repro.step_lines.whole", "repro.step_lines._entry"),
        kind="json lines",
        seeds=_steps,
        place=alone("metrics.jsonl"),
        read=_read_steps,
    ),
    Target(
        name="t5x-events",
        readers=("repro.t5x_folder._events",),
        kind="events",
        seeds=_event_files,
        place=_place_events,
        read=_read_events,
        needs=("tensorboard",),
    ),
    Target(
        name="seqio-answers",
        readers=("repro.t5x_folder.read_answers", "repro.t5x_folder._text"),
        kind="json lines",
        seeds=_answers,
        place=alone("task-000010.jsonl"),
        read=_read_answers,
    ),
    _of_run(
        "run-node",
        "node.json",
        *("repro.runner.inspect", "repro.folders.read_node"),
        *("repro.folders.read_if_any", "repro.folders.read_json"),
    ),
    _of_run("run-done", "done.json", "repro.runner._ended"),
    _of_run("run-diverged", "diverged.json", "repro.runner._ended"),
    _of_run(
        "run-provenance",
        "provenance.json",
        *("repro.costs.measured_rates", "repro.collect.read_nodes"),
    ),
    _of_run("run-example", "example.json", "repro.collect._example_rows"),
    _of_run("run-scores", "spactor_glue_acceptability-metrics.jsonl", "repro.step_lines.whole"),
    _of_run("run-metrics", "metrics.jsonl", "repro.step_lines.whole"),
    _of_run("run-digests", "digests.jsonl", "repro.digest_lines._line"),
    _of_run("why-node", "node.json", "repro.why.recorded_files", read=_read_why),
    _of_run(
        "verify-node",
        "node.json",
        *("repro.comparison._recorded", "repro.comparison.nodes_in"),
        read=_read_twice,
    ),
    Target(
        name="logged-steps",
        readers=("spactor.metrics.logged_steps", "spactor.metrics._step_of"),
        kind="json lines",
        seeds=_steps,
        place=alone("metrics.jsonl"),
        read=_read_logged,
        needs=("jax",),
    ),
    Target(
        name="provenance",
        readers=("repro.collect.read_provenance", "repro.report.tree._step_flops"),
        kind="json",
        seeds=_provenance,
        place=alone("provenance.json"),
        read=_read_provenance,
    ),
    Target(
        name="worked-example",
        readers=("figures.figure1.compute",),
        kind="json",
        seeds=_example,
        place=alone("example.json"),
        read=_read_example,
    ),
    Target(
        name="predictions",
        readers=("spactor.predictions.read",),
        kind="npz",
        seeds=lambda: [npz(pair=np.arange(6, dtype=np.int32).reshape(2, 3))],
        place=alone("predictions/10.npz"),
        read=_read_predictions,
    ),
)
