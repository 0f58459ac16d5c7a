"""SkyPilot: one managed-job pipeline per root of the tree.

A pipeline is a chain of tasks, each on machines of its own, and starts a task when the one before
has ended well. SkyPilot knows no other dependence, so a root's descendants stand one after another,
parents first; different roots run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping

from repro.launch.jobs import Launch
from repro.launch.rendering import render

START = "submit.sh"
"""The file that starts everything."""
RUNS = "/runs"
"""Where a task's hosts see the bucket."""
DATA = "/data"
"""Where they see the bucket of C4 and the benchmarks."""
MAX_RESTARTS_ON_ERRORS = 3
"""For a crash of the job itself; SkyPilot recovers from preemption however often it happens."""


def files(launch: Launch) -> Mapping[str, str]:
    """A YAML file per pipeline, and the script that hands them over."""
    families = launch.families()
    pipelines = {
        f"{name}.yaml": render(
            "skypilot.yaml.j2",
            name=name,
            launch=launch,
            jobs=jobs,
            runs=RUNS,
            data=DATA,
            restarts=MAX_RESTARTS_ON_ERRORS,
        )
        for name, jobs in families.items()
    }
    return pipelines | {"submit.sh": render("skypilot_submit.sh.j2", pipelines=list(pipelines))}
