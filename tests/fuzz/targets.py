"""Every reader of files, as a target of the fuzzers: one list for Hypothesis and for atheris.

A target puts bytes where one reader, or a few behind one another, find them, and has them read.
`reader_list.py` knows which functions read; `test_targets.py` holds this list against those.
"""

from __future__ import annotations

import benchmark_targets
import command_line
import data_targets
import record_targets
import run_targets
import t5x_targets
from target import Target

TARGETS: tuple[Target, ...] = (
    Target(
        name="command-line",
        readers=("repro.cli.main",),
        kind="bytes",
        seeds=command_line.seeds,
        place=command_line.place,
        read=command_line.read,
        writes=True,
    ),
    *record_targets.TARGETS,
    *run_targets.TARGETS,
    *data_targets.TARGETS,
    *benchmark_targets.TARGETS,
    *t5x_targets.TARGETS,
)
