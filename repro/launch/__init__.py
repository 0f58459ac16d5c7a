"""Job files for launchers that exist: SkyPilot, Slurm and XManager.

Nothing here schedules or starts a machine. The tree becomes jobs (`jobs`), one module per launcher
says them in its language, and what it says is written whole or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from repro.launch import skypilot, slurm, xmanager
from repro.launch.jobs import Launch
from spactor.errors import UserError

LAUNCHERS = {"skypilot": skypilot, "slurm": slurm, "xmanager": xmanager}
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def files(launcher: str, launch: Launch) -> Mapping[str, str]:
    """Texts of the job files, by their path in the folder; `submit.sh` or `launch.py` starts them.

    Args:
      launcher: a key of ``LAUNCHERS``.
      launch: what to run, and on what.

    Raises:
      UserError: an unknown launcher, or something it needs or has no use for.
    """
    if launcher not in LAUNCHERS:
        raise UserError(f"unknown launcher {launcher!r}: give one of {', '.join(LAUNCHERS)}")
    if launcher == "slurm":
        if not launch.bucket.startswith("/"):
            raise UserError(
                f"{_named(launch.bucket)}Slurm's hosts share a folder: give its absolute path, "
                "such as --bucket /shared/runs"
            )
        if launch.data_dir and not launch.data_dir.startswith("/"):
            raise UserError(
                f"--data-dir {launch.data_dir}: Slurm's hosts share a folder: give its absolute "
                "path, such as /shared/data"
            )
    elif launch.data_dir and not _BUCKET.fullmatch(launch.data_dir):
        raise UserError(
            f"--data-dir {launch.data_dir}: the jobs mount a bucket: give it as gs://NAME"
        )
    elif not _BUCKET.fullmatch(launch.bucket):
        raise UserError(
            f"{_named(launch.bucket)}checkpoints go into a bucket: give it as --bucket gs://NAME"
        )
    if launch.spot and launcher != "skypilot":
        raise UserError(f"--spot: {launcher} decides that by its queue; leave it out")
    if bool(launch.image) != (launcher == "xmanager"):
        raise UserError(
            "xmanager runs a container: name its image with --image"
            if launcher == "xmanager"
            else f"--image: {launcher} runs no container; leave it out"
        )
    return LAUNCHERS[launcher].files(launch)


def _named(bucket: str) -> str:
    return f"--bucket {bucket}: " if bucket else "no bucket is named: "


def write(texts: Mapping[str, str], folder: Path) -> None:
    """Writes a new folder of files, whole or not at all.

    Args:
      texts: by path in the folder; shell scripts are made executable.
      folder: to make.

    Raises:
      UserError: the folder exists or can't be made.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already: name a new folder with --out")
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        temporary.chmod(0o755)
        for name, text in texts.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.suffix == ".sh":
                path.chmod(0o755)
        os.rename(temporary, folder)
    except OSError as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(
            f"can't write {folder} ({error.strerror}): name another folder with --out"
        ) from None
