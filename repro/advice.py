"""Command lines of ``repro`` for messages, quoted so that they can be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.specs import Profile

DEFAULT_PROFILE = "micro"
DEFAULT_RUNS = Path("runs")


def command(name: str, profile: Profile | str, runs: Path | None = None, *more: str) -> str:
    """Returns a command line of ``repro`` for a profile and a folder of runs.

    Args:
      name: name of the command.
      profile: a loaded profile, or the argument of ``--profile``.
      runs: the folder; None for a command without ``--runs``.
      more: further arguments.

    >>> command("collect", "micro", Path("runs"))
    'repro collect'
    >>> command("collect", "mine/a b.toml", Path("my runs"))
    "repro collect --profile 'mine/a b.toml' --runs 'my runs'"
    """
    return shlex.join(["repro", name, *options(profile, runs), *more])


def options(profile: Profile | str, runs: Path | None = None, source: str = "") -> list[str]:
    """Returns the options for a profile, a folder of runs and ``--from``; defaults are left out.

    >>> options("study.toml", Path("runs"), "results/study")
    ['--profile', 'study.toml', '--from', 'results/study']
    """
    given = profile if isinstance(profile, str) else profile.path or profile.name
    chosen = ["--profile", given] if given != DEFAULT_PROFILE else []
    if runs is not None and runs != DEFAULT_RUNS:
        chosen += ["--runs", str(runs)]
    return [*chosen, *(["--from", source] if source else [])]
