"""One small prepared folder for all tests of the data, and one of made-up benchmarks."""

from __future__ import annotations

from pathlib import Path

import made_up
import pytest

from spactor.config import DataConfig
from spactor.data import corpus, vocabulary
from spactor.data.builders.source import sources
from spactor.data.examples import Example
from spactor.data.suites import EMBEDDED, Split


@pytest.fixture(scope="session")
def small_config() -> DataConfig:
    return DataConfig(corpus="embedded", vocab_size=512, packages="stdlib")


@pytest.fixture(scope="session")
def some_packages() -> tuple[corpus.Package, ...]:
    return (corpus.standard_library(),)


@pytest.fixture(scope="session")
def prepared(smoke_data: Path) -> Path:
    """What `small_config` gives of `some_packages`."""
    return smoke_data


@pytest.fixture(scope="session")
def corpus_splits(
    some_packages: tuple[corpus.Package, ...],
) -> dict[corpus.Split, list[corpus.Document]]:
    """Documents of the small corpus by split."""
    found: dict[corpus.Split, list[corpus.Document]] = {split: [] for split in corpus.SPLITS}
    for document in corpus.read_documents(some_packages):
        found[document.split].append(document)
    return found


@pytest.fixture(scope="session")
def micro_model(corpus_splits: dict[corpus.Split, list[corpus.Document]]) -> bytes:
    """A vocabulary of profile micro's size."""
    return vocabulary.train([document.text for document in corpus_splits["train"]], 2048)


@pytest.fixture(scope="session")
def micro_examples(
    corpus_splits: dict[corpus.Split, list[corpus.Document]], micro_model: bytes
) -> dict[tuple[str, str, Split], list[Example]]:
    """All examples by suite, task and split, made with a vocabulary of profile micro's size."""
    return {
        (suite.name, task.name, split): task.build(source, task.limits[split])
        for split, source in sources(corpus_splits, micro_model).items()
        for suite in EMBEDDED.values()
        for task in suite.tasks
    }


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a few made-up rows of every benchmark, in the formats of the releases."""
    folder = tmp_path_factory.mktemp("benchmarks")
    made_up.write_all(folder)
    return folder
