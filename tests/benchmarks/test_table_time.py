"""All tables in all formats: a process from its start to its end, libraries loaded and all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import paired
import pytest

import tables

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parent.parent.parent


def _process(*arguments: str):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}

    def run() -> None:
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )

    return run


def test_all_tables(benchmark) -> None:
    """Aimed at: 5 seconds for the paper's 17 tables in 5 formats."""
    number = len(tables.REGISTRY)
    paired.measure(
        benchmark,
        _process(str(Path(__file__).with_name("all_tables.py"))),
        _process("-c", "import jinja2, pandas"),
        rounds=5,
        what=f"{number} tables in {len(tables.FORMATS)} formats, one process",
        against="loading pandas and Jinja, one process",
        seconds_aimed_at=5,
    )
