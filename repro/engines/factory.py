"""Creation of the engine that a profile names; an engine imports heavy libraries when it trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

from repro.engines.contract import ALONE, Engine, Hosts
from repro.engines.data import DataSource
from repro.engines.local import LocalEngine
from repro.engines.t5x import T5XEngine
from repro.specs import Engine as Name
from repro.specs import Profile
from spactor.errors import UserError


def with_engine(profile: Profile, engine: str) -> Profile:
    """Returns the profile with another engine; unchanged for "".

    Raises:
      UserError: there is no such engine.
    """
    if engine in ("", profile.engine):
        return profile
    if engine not in get_args(Name):
        raise UserError(f"unknown engine {engine!r}: give one of {', '.join(get_args(Name))}")
    return dataclasses.replace(profile, engine=engine)  # type: ignore[arg-type]


def engine_for(
    profile: Profile,
    cache: Path,
    data: Path | None = None,
    data_dir: Path | None = None,
    hosts: Hosts = ALONE,
) -> Engine:
    """Returns the engine that trains a profile on this machine.

    Args:
      profile: profile with the names of the engine and the corpus.
      cache: folder for prepared data and compiled programs.
      data: a prepared data folder to read, instead of preparing one.
      data_dir: the user's folder with C4 and the benchmarks, for profiles that read them.
      hosts: hosts that train together; by default only this one.

    Raises:
      UserError: several hosts were given for the local engine, which trains on one.
    """
    source = DataSource.of(profile, data, data_dir)
    if profile.engine == "t5x":
        return T5XEngine(cache, source, hosts)
    if hosts.count > 1:
        raise UserError("the local engine trains on one host: give --engine t5x, or one host")
    return LocalEngine(cache, source)
