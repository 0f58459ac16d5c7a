"""A command in this process, a record for it to read, and the files that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.schema import records
from repro import cli

RECORD = {
    **{"source": "measured", "profile": "paper", "size": "base", "tau": "0", "seed": 0},
    **{"finetune_seed": 0, "checkpoint": 500_000, "step": 10, "suite": "glue", "task": "cola"},
    **{"metric": "matthews_corrcoef", "value": 55.5, "unit": "percent"},
}


def write_records(path: Path, *rows: Mapping[str, object]) -> Path:
    """Writes rows as a file of records, without a check of their values."""
    pq.write_table(pa.Table.from_pylist([*rows], schema=records.SCHEMA), path)
    return path


def exit_code(*arguments: object) -> int:
    """Runs ``repro`` with some arguments."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code of ``repro`` with some arguments, and what it printed on stdout and stderr."""
    return exit_code(*arguments), *capsys.readouterr()


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file below a folder, by its path in it."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
