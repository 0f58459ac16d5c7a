"""Job files for SkyPilot and Slurm, rendered from templates and written atomically."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.launch.jobs import Launch
from spactor.errors import UserError
from tables import rendering

START = "submit.sh"
"""Name of the script that submits all jobs."""
RUNS = "/runs"
"""Mount point of the bucket of runs, for SkyPilot."""
DATA = "/data"
"""Mount point of the bucket with C4 and the benchmarks, for SkyPilot."""
MAX_RESTARTS_ON_ERRORS = 3
"""SkyPilot's restarts after errors of the job itself; it always recovers from preemption."""
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_FOLDER = re.compile("/.*")


def files(launcher: str, launch: Launch) -> Mapping[str, str]:
    """Renders the job files by their path in the folder; ``START`` is one of them.

    Args:
      launcher: skypilot or slurm.
      launch: the jobs, with the places of their runs and data.

    Raises:
      UserError: the launcher is unknown, or an option is missing or invalid for it.
    """
    if launcher == "skypilot":
        render, known, what = _skypilot, _BUCKET, "a bucket for the jobs to mount, as gs://NAME"
    elif launcher == "slurm":
        render, known = _slurm, _FOLDER
        what = "an absolute path that all hosts share, such as /shared"
        if launch.spot:
            raise UserError("--spot: with slurm the queue decides on preemption; leave it out")
    else:
        raise UserError(f"unknown launcher {launcher!r}: give one of skypilot, slurm")
    if not known.fullmatch(launch.bucket):
        given = f" {launch.bucket}" if launch.bucket else " is missing"
        raise UserError(f"--bucket{given}: give {what}")
    if launch.data_dir and not known.fullmatch(launch.data_dir):
        raise UserError(f"--data-dir {launch.data_dir}: give {what}")
    return render(launch)


def _skypilot(launch: Launch) -> Mapping[str, str]:
    """Renders a managed-job pipeline for each root of the tree.

    A pipeline is a chain of tasks, each on its own machines; a task starts when the previous one
    has succeeded. SkyPilot has no other dependencies, so a root's descendants form one chain with
    parents first; different roots run in parallel.
    """
    pipelines = {
        f"{name}.yaml": _render(
            "skypilot.yaml.j2",
            name=name,
            launch=launch,
            jobs=jobs,
            runs=RUNS,
            data=DATA,
            restarts=MAX_RESTARTS_ON_ERRORS,
        )
        for name, jobs in launch.families().items()
    }
    return pipelines | {START: _render("skypilot_submit.sh.j2", pipelines=list(pipelines))}


def _slurm(launch: Launch) -> Mapping[str, str]:
    """Renders a batch script for each job, and a script that submits them with dependencies."""
    scripts = {
        f"jobs/{job.name}.sbatch": _render("slurm.sbatch.j2", launch=launch, job=job)
        for job in launch.jobs
    }
    numbers = {job.name: number for number, job in enumerate(launch.jobs)}
    return scripts | {START: _render("slurm_submit.sh.j2", jobs=launch.jobs, numbers=numbers)}


def _render(template: str, **values: Any) -> str:
    # The files are shell scripts and YAML; the templates quote the values.
    environment = rendering.environment(Path(__file__).parent / "templates", html=False)
    return environment.get_template(template).render(values)


def write(texts: Mapping[str, str], folder: Path) -> None:
    """Writes a new folder of files atomically.

    Args:
      texts: contents by path in the folder; shell scripts become executable.
      folder: folder to create.

    Raises:
      UserError: the folder exists or can't be created.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already: name a new folder with --to")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            work = Path(temporary) / folder.name
            for name, text in texts.items():
                path = work / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                if path.suffix == ".sh":
                    path.chmod(0o755)
            work.rename(folder)
    except OSError as error:
        raise UserError(
            f"can't write {folder} ({error.strerror}): name another folder with --to"
        ) from None
