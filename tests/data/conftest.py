"""One small prepared folder for all tests of the data: a third of the standard library."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from spactor.config import DataConfig
from spactor.data import corpus, prepare


@pytest.fixture(scope="session")
def small_config() -> DataConfig:
    return DataConfig(corpus="embedded", vocab_size=512, packages="stdlib")


@pytest.fixture(scope="session")
def some_packages() -> tuple[corpus.Package, ...]:
    package = corpus.standard_library()
    return (dataclasses.replace(package, files=package.files[::2]),)


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
    some_packages: tuple[corpus.Package, ...],
    small_config: DataConfig,
) -> Path:
    return prepare.prepare_from(tmp_path_factory.mktemp("cache"), some_packages, small_config)
