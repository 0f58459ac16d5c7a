"""Profiles, records, printed numbers and kept measurements, as targets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

from target import ROOT, Target, alone, valid_records


def _profiles() -> list[bytes]:
    from repro.specs import profile_names

    own = [(ROOT / "repro" / "profiles" / f"{name}.toml").read_bytes() for name in profile_names()]
    return [*own, (ROOT / "results" / "micro" / "study.toml").read_bytes(), _VARIANTS]


_VARIANTS = b"""
extends = "smoke"
[variants.fade.curriculum.lambda_rtd]
from = 10
to = 0
start = "60K"
end = "250K"
shape = "cosine"
[variants.soft.curriculum.handover]
width = "60K"
[variants.light.objective]
lambda_rtd = 1.0
[matrix.base]
taus = ["0", "60K", "250K", "inf"]
runs = 1
finetune_runs = 2
checkpoints = ["500K", "1M"]
finetune_at = ["0", "250K"]
[matrix.base.checkpoints_of]
250K = ["500K"]
[matrix.base.variants.fade]
taus = ["inf"]
checkpoints = ["500K"]
[matrix.base.variants.soft]
taus = ["250K"]
"""


def _read_profile(folder: Path) -> None:
    from repro import plan, specs

    # Without the cache, which keeps every profile.
    profile = specs.load_profile.__wrapped__(str(folder / "own.toml"))
    assert len(plan.build(profile).nodes) <= sum(map(profile.most_nodes, profile.matrix))


def _parquet() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from analysis.schema import records

    buffer = io.BytesIO()
    table = pa.Table.from_pandas(valid_records(), schema=records.SCHEMA, preserve_index=False)
    pq.write_table(table, buffer, compression="zstd")
    return [buffer.getvalue()]


def _read_records(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from analysis.schema import records

        return records.read(folder / name)

    return read


def _published_csvs() -> list[bytes]:
    return [
        path.read_bytes()
        for path in sorted((ROOT / "repro" / "published").glob("*.csv"))
        if path.name != "tasks.csv" and path.stat().st_size < 4096
    ]


def _read_published(folder: Path) -> None:
    from analysis.schema import published
    from analysis.schema.published import lines

    path = folder / "table2.csv"
    frame = published.read(path, "Table 2")
    assert len(lines.numbered(path)) <= len(frame)


def _read_tasks(folder: Path) -> object:
    from analysis.schema import quantities

    return quantities.read_tasks(folder / "tasks.csv")


def _kept(name: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        data = json.loads((ROOT / "analysis" / f"{name}.json").read_bytes())
        data["programs"] = data["programs"][:1]
        return [json.dumps(data).encode()]

    return seeds


def _read_kept(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from analysis import compiled, compiled_t5x

        module = {"compiled": compiled, "compiled_t5x": compiled_t5x}[name]
        return module.load(folder / "kept.json")

    return read


TARGETS: tuple[Target, ...] = (
    Target(
        name="profile",
        readers=("repro.specs.load_profile", "repro.specs._read"),
        kind="toml",
        seeds=_profiles,
        place=alone("own.toml"),
        read=_read_profile,
    ),
    Target(
        name="records-parquet",
        readers=("analysis.schema.records._read_parquet",),
        kind="parquet",
        seeds=_parquet,
        place=alone("metrics.parquet"),
        read=_read_records("metrics.parquet"),
    ),
    Target(
        name="records-csv",
        readers=("analysis.schema.csv_files.read",),
        kind="csv",
        seeds=lambda: [valid_records().to_csv(index=False).encode()],
        place=alone("metrics.csv"),
        read=_read_records("metrics.csv"),
    ),
    Target(
        name="published-csv",
        readers=("analysis.schema.csv_files.read",),
        kind="csv",
        seeds=_published_csvs,
        place=alone("table2.csv"),
        read=_read_published,
    ),
    Target(
        name="published-tasks",
        readers=("analysis.schema.csv_files.read",),
        kind="csv",
        seeds=lambda: [(ROOT / "repro" / "published" / "tasks.csv").read_bytes()],
        place=alone("tasks.csv"),
        read=_read_tasks,
    ),
    *(
        Target(
            name=f"kept-{name.replace('_', '-')}",
            readers=("analysis.kept.load",),
            kind="json",
            seeds=_kept(file),
            place=alone("kept.json"),
            read=_read_kept(name),
        )
        for name, file in {"compiled": "compiled_flops", "compiled_t5x": "compiled_t5x"}.items()
    ),
)
