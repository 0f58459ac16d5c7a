"""A tiny model and made-up tokens for the tests against T5X, which skip where it is missing."""

from __future__ import annotations

import gc
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import repro_process
import t5x_process
import tiny_t5x
from etils import epath
from etils.epath import gpath

from spactor import step
from spactor.checkpoints import Checkpoints
from spactor.config import STAGES, PretrainConfig
from spactor.t5x import convert


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    is_missing = importlib.util.find_spec("t5x") is None
    for item in items:
        if Path(__file__).parent in item.path.parents and "t5x_installed" in item.fixturenames:
            item.add_marker(pytest.mark.t5x)
            item.add_marker(
                pytest.mark.skipif(is_missing, reason="T5X is not installed; see README.md")
            )
            # T5X and what it imports use what newer JAX and TensorFlow have deprecated.
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(autouse=True, scope="module")
def _what_t5x_leaves_open_is_closed() -> Iterator[None]:
    """Collects T5X's and Orbax's open event loops, whose warnings are errors at another time."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages and a fine-tuning, by `repro run` on one host; to be copied, not changed."""
    runs = tmp_path_factory.mktemp("smoke") / "runs"
    assert "3 nodes ran" in repro_process.run("run", runs, *repro_process.SELECTION)
    return runs


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> epath.Path:
    """A folder in TensorFlow's memory: as in a bucket, what is being written can't be sought in."""
    monkeypatch.setattr(gpath, "_URI_PREFIXES", (*gpath._URI_PREFIXES, "ram://"))
    monkeypatch.setattr(gpath, "_URI_SCHEMES", gpath._URI_SCHEMES | {"ram"})
    monkeypatch.setitem(gpath._URI_MAP_ROOT, "ram://", "/ram/")
    monkeypatch.setitem(gpath._PREFIX_TO_BACKEND, "ram", epath.backend.tf_backend)
    monkeypatch.setitem(epath.register._URI_PREFIXES_TO_CLS, "ram://", gpath.PosixGPath)
    folder = epath.Path(f"ram://bucket{tmp_path}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def t5x_installed() -> None:
    """Requested by tests that need T5X, which get the marks above."""


@pytest.fixture(scope="session")
def config() -> PretrainConfig:
    return tiny_t5x.CONFIG


@pytest.fixture(scope="session")
def exported(
    config: PretrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, step.TrainState]]:
    """By stage, T5X's copy of a checkpoint of the local engine, and its state.

    Every parameter and slot is random. The local checkpoint's folder is ``local-<stage>`` beside
    T5X's.
    """
    home = tmp_path_factory.mktemp("exported")
    made = {}
    for number, stage in enumerate(STAGES, start=7):
        rng = np.random.default_rng(number)
        random = jax.tree.map(
            lambda leaf, rng=rng: rng.normal(size=leaf.shape).astype(np.float32),
            jax.eval_shape(lambda stage=stage: step.init_state(config, 0, stage)),
        )
        count = np.asarray(number, np.int32)
        state = jax.device_put(
            step.TrainState(count, random.params, random.slots._replace(count=count)),
            step.device_sharding(),
        )
        local = home / f"local-{stage}"
        with closing(Checkpoints(local, config, stage)) as checkpoints:
            checkpoints.save(state, number)
        path = convert.export_checkpoint(local, config, stage, number, home / stage)
        made[stage] = (path, state)
    return made


@pytest.fixture(scope="session")
def seqio_vocabulary() -> Any:
    return tiny_t5x.vocabulary()


@pytest.fixture(scope="session")
def data(smoke_data: Path) -> Path:
    """A folder of the embedded corpus, with as many pieces as size tiny has."""
    return smoke_data


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t5x")


@pytest.fixture(scope="session")
def first_stage(home: Path, data: Path) -> Path:
    """Stage 1 of ten steps, by ``python -m t5x.train``."""
    folder = home / "stage1"
    t5x_process.finish(t5x_process.pretraining(folder, data, "hybrid", 10), folder)
    return folder


@pytest.fixture(scope="session")
def second_stage(home: Path, data: Path, first_stage: Path) -> Path:
    """Stage 2, to step 20."""
    folder = home / "stage2"
    process = t5x_process.pretraining(
        folder, data, "span_corruption", 20, first_stage / "checkpoint_10"
    )
    t5x_process.finish(process, folder)
    return folder
