"""Engines turn a node into files: ``local``, the default, and ``t5x``, which drives T5X.

Heavy libraries are imported inside the methods, so plans and tables work without them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

from repro.engines.contract import Engine, Observer
from repro.engines.data import DataSource, PreparedData
from repro.specs import Engine as Name
from repro.specs import Profile
from spactor.errors import UserError

__all__ = ["DataSource", "Engine", "Observer", "PreparedData", "engine_for", "with_engine"]


def with_engine(profile: Profile, engine: str) -> Profile:
    """A profile with another engine than it was written for.

    Raises:
      UserError: there is no such engine.
    """
    if engine not in get_args(Name):
        raise UserError(f"unknown engine {engine!r}: give one of {', '.join(get_args(Name))}")
    return dataclasses.replace(profile, engine=engine)  # type: ignore[arg-type]


def engine_for(
    profile: Profile, cache: Path, data: Path | None = None, data_dir: Path | None = None
) -> Engine:
    """The engine that runs a profile here.

    Args:
      profile: what is run.
      cache: folder for prepared data and compiled programs.
      data: a prepared data folder to read, instead of preparing this machine's own.
      data_dir: the user's folder with C4 and the benchmarks, for profiles that read them.
    """
    from repro.engines.local import LocalEngine
    from repro.engines.t5x import T5XEngine

    source = DataSource.of(profile, data, data_dir)
    return T5XEngine(cache, source) if profile.engine == "t5x" else LocalEngine(cache, source)
