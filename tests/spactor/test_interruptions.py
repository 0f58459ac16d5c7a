"""Training continues after damaged files, a full disk or too few descriptors, as if undisturbed."""

from __future__ import annotations

import gc
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import faults
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from segments import numbers, schedule
from tiny_model import one_layer_config

from spactor import files, trainer
from spactor import step as steps
from spactor.checkpoints import Checkpoints, restore_parent
from spactor.data.digest import batch_digest
from spactor.errors import DamagedCheckpoint, DamageWarning, Diverged, UserError
from spactor.metrics import METRICS, RunLog
from spactor.objective import Metrics, Ratio
from spactor.progress import Observer
from spactor.step import TrainState

# TensorStore's threads find Orbax's event loop closed after a failed read, once for each array.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = one_layer_config()
STAGE = "span_corruption"
READ = ("about/metadata", "state/_METADATA", "state/manifest.ocdbt", "state/d/*", "state/*/d/*")
"""Files of a checkpoint that are read; of those that a pattern fits, the largest."""
ONE = np.ones(())


@pytest.fixture(autouse=True, scope="module")
def _collected_here() -> Iterator[None]:
    """Warnings of those threads come here, and not in the tests of another file."""
    yield
    gc.collect()


def state_at(step: int) -> TrainState:
    """A state of the right shapes, whose numbers only that step has."""
    shapes = jax.eval_shape(lambda: steps.init_state(CONFIG, 0, STAGE))
    rng = np.random.default_rng(step)
    drawn = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), shapes)
    return jax.device_put(drawn._replace(step=jnp.int32(step)), steps.device_sharding())


def batch_at(step: int) -> np.ndarray:
    return np.full((1, 2), step, np.int32)


def train(
    folder: Path,
    *,
    bad: dict[int, Metrics] | None = None,
    evaluated: float = 1.0,
    observer: Observer = lambda *_: None,
) -> None:
    """Eight steps that log every second and save every fourth; ``bad`` metrics by step."""

    def update(state: TrainState, batch: np.ndarray, seed: int) -> tuple[TrainState, Metrics]:
        del seed
        end = int(state.step) + 1
        return state_at(end), (bad or {}).get(end, {"loss": Ratio(np.float32(end), ONE)})

    task = trainer.Task(
        seed=0,
        initial_state=lambda: state_at(0),
        train_step=update,
        batch_at=batch_at,
        evaluate=lambda state, step: {"validation/x": evaluated},
        digests=lambda step, batch: {},
        batch_size=1,
        schedule=schedule(),
    )
    with closing(Checkpoints(folder, CONFIG, STAGE)) as checkpoints:
        trainer.fit(
            task=task, checkpoints=checkpoints, folder=folder, observer=observer, run_id="ab"
        )


def saved(folder: Path) -> int | None:
    """Step of the newest checkpoint, which holds the state of that step to the last bit."""
    with closing(Checkpoints(folder, CONFIG, STAGE)) as checkpoints:
        restored = checkpoints.newest()
    if restored is None:
        return None
    jax.tree.map(np.testing.assert_array_equal, restored.state, state_at(restored.step))
    return restored.step


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        *(("about/metadata", length) for length in faults.LENGTHS),
        *zip(READ[1:], faults.LENGTHS, strict=True),
    ],
)
def test_a_checkpoint_cut_short_is_set_aside_for_the_one_before(
    run: Path, pattern: str, length: str
) -> None:
    home = run / "checkpoints" / "8"
    faults.cut(max(home.glob(pattern), key=lambda path: path.stat().st_size), length)
    with warnings.catch_warnings(record=True, action="always") as caught:
        found = saved(run)
    if length == "all but one byte" and found == 8:
        return  # Some end in a byte that is never read.
    assert found == 4
    # Orbax may complain in between of what the test before left.
    [warning] = (each for each in caught if each.category is DamageWarning)
    assert str(warning.message).startswith(f"{home}: damaged (")
    assert "renamed to damaged-8" in str(warning.message) and "\n" not in str(warning.message)
    assert (home.with_name("damaged-8") / pattern.partition("/")[0]).is_dir()


def _lose_states(run: Path) -> None:
    for step in "4", "8":
        shutil.rmtree(run / "checkpoints" / step / "state")


def _blank_a_line(run: Path) -> None:
    lines = (run / METRICS).read_text().splitlines()
    lines[1] = "\0" * len(lines[1])
    (run / METRICS).write_text("\n".join(lines) + "\n")


def _cut_events_and_checkpoint(run: Path) -> None:
    [events] = (run / "train").iterdir()
    faults.cut(events, "half")
    faults.cut(run / "checkpoints/8/about/metadata", "half")


DAMAGE: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "all checkpoints": (_lose_states, ("checkpoints/8: damaged", "checkpoints/4: damaged")),
    "log, one byte": (
        lambda run: faults.cut(run / METRICS, "one byte"),
        ("metrics.jsonl lacks step 8", "metrics.jsonl lacks step 4"),
    ),
    # Two lines and a part of the third are left; without the last byte, all lines are.
    "log, half": (lambda run: faults.cut(run / METRICS, "half"), ("metrics.jsonl lacks step 6",)),
    "log, all but one byte": (lambda run: faults.cut(run / METRICS, "all but one byte"), ()),
    "line of zeros": (
        _blank_a_line,
        *(("metrics.jsonl lacks step 4",) * 2 + ("1 lines are not JSON objects",),),
    ),
    "events and last checkpoint": (_cut_events_and_checkpoint, ("checkpoints/8: damaged",)),
}
"""Damage to a finished run, and what the warnings must name, in their order."""


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_training_ends_as_undisturbed(finished: Path, run: Path, damage: str) -> None:
    """Checkpoints whose lines are gone are set aside, so that their steps are logged again."""
    harm, named = DAMAGE[damage]
    harm(run)
    with warnings.catch_warnings(record=True, action="always") as caught:
        train(run)
    assert numbers(run) == numbers(finished) and saved(run) == 8
    messages = [str(each.message) for each in caught if each.category is DamageWarning]
    for part, message in zip(named, messages, strict=True):
        assert part in message
    if damage == "line of zeros":
        assert (run / f"damaged-{METRICS}").read_text().count("\n") == 4


def test_a_damaged_checkpoint_of_a_parent_is_named(run: Path) -> None:
    faults.cut(run / "checkpoints/8/state/_METADATA", "nothing")
    with pytest.raises(DamagedCheckpoint, match=r"checkpoint .*checkpoints/8 is damaged \(Exp"):
        restore_parent(run, CONFIG, 8, STAGE)
    assert (run / "checkpoints/8").is_dir(), "only its own run sets it aside"


def test_a_fault_of_the_machine_damages_nothing(run: Path, monkeypatch) -> None:
    """A checkpoint that can't be read for lack of file descriptors is not damaged."""

    def starved(self: Checkpoints, step: int) -> TrainState:
        raise ValueError("RESOURCE_EXHAUSTED: Error opening file: Too many open files")

    monkeypatch.setattr(Checkpoints, "_read", starved)
    with (
        pytest.raises(ValueError, match="Too many") as caught,
        closing(Checkpoints(run, CONFIG, STAGE)) as checkpoints,
    ):
        checkpoints.newest()
    assert files.system_fault(caught.value) == "Too many open files"
    assert (run / "checkpoints/8").is_dir()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_the_first_step_with_a_bad_number_is_named(tmp_path: Path, value: str) -> None:
    """The loss of step 7 is finite; its gradient isn't. The log is of steps 7 and 8."""
    gradient = {"loss": Ratio(np.float32(7), ONE), "grad_norm": Ratio(np.float32(value), ONE)}
    with pytest.raises(Diverged) as caught:
        train(tmp_path, bad={7: gradient})
    found = caught.value
    assert (found.metric, found.value, found.step) == ("train/grad_norm", value, 7)
    assert (found.batch_digest, found.checkpoint_step) == (batch_digest(batch_at(6)), 4)
    assert sorted(numbers(tmp_path)) == [2, 4, 6], "a number that isn't finite is never logged"


def test_a_bad_number_before_the_first_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"at step 1 \(batch \w+; no checkpoint before it\)"):
        train(tmp_path / "loss", bad={1: {"loss": Ratio(np.float32("nan"), ONE)}})
    with pytest.raises(Diverged, match="validation/x became inf at step 4"):
        train(tmp_path / "validation", evaluated=float("inf"))
    assert saved(tmp_path / "validation") is None
    with closing(RunLog(tmp_path)) as log, pytest.raises(ValueError, match="x is nan at step 1"):
        log.write(1, {"x": float("nan")})


def test_a_clock_that_goes_backwards_orders_nothing(
    finished: Path, tmp_path: Path, monkeypatch
) -> None:
    """Each reading is a day before the last; the run stops at step 6 and goes on."""
    now = [4e9]

    def backwards() -> float:
        now[0] -= 86_400
        return now[0]

    monkeypatch.setattr("time.time", backwards)
    monkeypatch.setattr("time.time_ns", lambda: int(backwards() * 1e9))
    with pytest.raises(Diverged):
        train(tmp_path, bad={7: {"loss": Ratio(np.float32("nan"), ONE)}})
    train(tmp_path)
    assert numbers(tmp_path) == numbers(finished) and saved(tmp_path) == 8


STARVED: dict[str, tuple[Callable[[Path], AbstractContextManager], str]] = {
    # The next line of the log is torn.
    "disk": (faults.full, "No space left on device"),
    # A checkpoint is.
    "most of the disk": (lambda disk: faults.full(disk, 8192), "No space left on device"),
    "descriptors": (lambda disk: faults.few_descriptors(), "Too many open files"),
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("lack", STARVED)
def test_starved_training_ends_as_undisturbed(finished: Path, tmp_path: Path, lack: str) -> None:
    starve, cause = STARVED[lack]
    with ExitStack() as stack:
        disk = tmp_path
        if cause == "No space left on device":
            disk = stack.enter_context(faults.small_disk(tmp_path / "disk", "16m"))
        starving = starve(disk)

        def observe(step: int, *_: object) -> None:
            if step == 2:
                starving.__enter__()

        before = set(threading.enumerate())
        with pytest.raises(Exception) as caught:
            train(disk / "run", observer=observe)
        starving.__exit__(None, None, None)
        assert files.system_fault(caught.value) == cause
        assert not (disk / "run" / "checkpoints" / "4").exists()
        del caught
        gc.collect()  # Warnings of Orbax's unfinished work come here.
        # A process that fails ends; here, threads of Orbax would go on making folders.
        for thread in set(threading.enumerate()) - before:
            if not thread.name.startswith("metadata_store"):  # A pool, which waits for work.
                threading.Thread.join(thread, 60)  # Orbax's own join raises the thread's error.
                assert not thread.is_alive(), thread
        train(disk / "run")
        assert numbers(disk / "run") == numbers(finished) and saved(disk / "run") == 8


@pytest.mark.parametrize(
    "about",
    [
        *("[]", "null", '{"stage": "hybrid"}', '{"stage": 1, "model": {}}'),
        *('{"stage": "span_corruption", "model": []}', '{"stage": {}, "model": null}'),
        '{"stage": "span_corruption", "model": {"emb_dim": 1e999}}',
    ],
)
def test_odd_metadata_of_a_checkpoint_are_refused_in_one_line(run: Path, about: str) -> None:
    (run / "checkpoints/8/about/metadata").write_text(about, "utf-8")
    with (
        closing(Checkpoints(run, CONFIG, STAGE)) as checkpoints,
        pytest.raises(UserError, match=r"checkpoint .*/8 ") as refused,
    ):
        checkpoints.restore(8)
    assert "\n" not in str(refused.value)
