"""Tables: a process from its start to its end, libraries loaded and all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paired
import paper_study
import pytest

import tables

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parent.parent.parent
ALL_TABLES = """
import tables
from analysis.schema import published

for number, module in tables.REGISTRY.items():
    table = module.compute(published.load(number))
    for format in tables.FORMATS:
        tables.render(table, format)
"""


def _process(*arguments: str) -> Callable[[], float]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}

    def run() -> float:
        """Returns the most memory that the process held, in GB."""
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_maxrss / 1e6

    return run


def test_all_tables(benchmark: Any) -> None:
    """Aimed at: 5 seconds for the paper's 17 tables in 5 formats."""
    number = len(tables.REGISTRY)
    paired.measure(
        benchmark,
        _process("-c", ALL_TABLES),
        _process("-c", "import jinja2, pandas"),
        rounds=5,
        what=f"{number} tables in {len(tables.FORMATS)} formats, one process",
        against="loading pandas and Jinja, one process",
        seconds_aimed_at=5,
    )


def test_table_2_of_a_study_as_large_as_the_papers(benchmark: Any, tmp_path: Path) -> None:
    """Aimed at: 5 seconds and 2 GB on one core for ten million records."""
    path = tmp_path / "metrics.parquet"
    count = paper_study.write(path)
    table = _process("-m", "repro", "table", "2", "--from", str(path))
    columns = ["suite", "metric", "selection", "value"]
    reading = f"import pyarrow.parquet as pq; pq.read_table({str(path)!r}, columns={columns})"
    paired.measure(
        benchmark,
        table,
        _process("-c", reading),
        rounds=3,
        what=f"Table 2 of {count:,} records, one process",
        against="PyArrow reads four columns of them, one process",
        seconds_aimed_at=5,
        peak_gigabytes=table(),
        gigabytes_aimed_at=2,
    )


def test_everything_from_the_records_in_the_repository(benchmark: Any, tmp_path: Path) -> None:
    """Aimed at: 20 seconds on two cores for all tables, figures, tests and the report."""
    home = ROOT / "results" / "study"
    of = ("--from", str(home), "--profile", str(home / "study.toml"), "--to", str(tmp_path))
    paired.measure(
        benchmark,
        _process("-m", "repro", "rebuild", *of),
        _process("-c", "import jinja2, matplotlib.pyplot, pandas, statsmodels.api"),
        rounds=3,
        what="`repro rebuild` from results/study, two processes",
        against="loading pandas, Jinja, matplotlib and statsmodels, one process",
        seconds_aimed_at=20,
    )
