"""What a loss of power leaves: files cut short anywhere, and how a run goes on from them."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor import files, trainer
from spactor import step as steps
from spactor.checkpoints import Checkpoints, restore_parent
from spactor.data.digest import batch_digest
from spactor.errors import DamagedCheckpoint, DamageWarning, Diverged, UserError
from spactor.metrics import METRICS, RunLog
from spactor.objective import Metrics, Ratio
from spactor.progress import Observer
from spactor.step import TrainState

sys.path.insert(0, str(Path(__file__).parents[1] / "soak"))
import starvation

# TensorStore's threads find Orbax's event loop closed after a failed read, once for each array.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG = tiny_config(num_encoder_layers=1, num_decoder_layers=1)
STAGE = "span_corruption"
LENGTHS: dict[str, Callable[[int], int]] = {
    "nothing": lambda size: 0,
    "one byte": lambda size: 1,
    "half": lambda size: size // 2,
    "all but one byte": lambda size: size - 1,
}
READ = ("about/metadata", "state/_METADATA", "state/manifest.ocdbt", "state/d/*", "state/*/d/*")
"""Files of a checkpoint that are read; of those that a pattern fits, the largest."""
ONE = np.ones(())


@pytest.fixture(autouse=True, scope="module")
def _collected_here() -> Iterator[None]:
    """What those threads complain of is said here, and not in the tests that follow."""
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
        schedule=trainer.Schedule(
            start_step=0,
            end_step=8,
            log_period_steps=2,
            evaluation_period_steps=4,
            checkpoint_period_steps=4,
        ),
    )
    with closing(Checkpoints(folder, CONFIG, STAGE)) as checkpoints:
        trainer.fit(
            task=task, checkpoints=checkpoints, folder=folder, observer=observer, run_id="ab"
        )


def numbers(folder: Path) -> dict[int, dict[str, float]]:
    """The last line of every step, without the clock."""
    lines = map(json.loads, (folder / METRICS).read_text().splitlines())
    return {
        line["step"]: {k: v for k, v in line.items() if not k.startswith("timing/")}
        for line in lines
    }


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


def cut(path: Path, length: str) -> None:
    os.truncate(path, LENGTHS[length](path.stat().st_size))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("pattern", READ)
def test_a_checkpoint_cut_short_is_set_aside_for_the_one_before(
    run: Path, pattern: str, length: str
) -> None:
    home = run / "checkpoints" / "8"
    cut(max(home.glob(pattern), key=lambda path: path.stat().st_size), length)
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


@pytest.mark.slow
@pytest.mark.parametrize("length", LENGTHS)
def test_no_file_of_a_checkpoint_cut_short_gives_other_numbers(
    finished: Path, tmp_path: Path, length: str
) -> None:
    for number, path in enumerate(sorted((finished / "checkpoints/8").rglob("*"))):
        if path.is_file() and path.stat().st_size:
            run = Path(shutil.copytree(finished, tmp_path / str(number)))
            cut(run / path.relative_to(finished), length)
            with warnings.catch_warnings(action="ignore", category=DamageWarning):
                assert saved(run) in (4, 8)


def test_a_run_goes_on_from_the_checkpoint_before(finished: Path, run: Path) -> None:
    cut(run / "checkpoints/8/about/metadata", "half")
    with pytest.warns(DamageWarning, match="checkpoints/8: damaged"):
        train(run)
    assert saved(run) == 8
    assert numbers(run) == numbers(finished)
    # Steps 6 and 8 stand there twice, as after a kill.
    assert len((run / METRICS).read_text().splitlines()) == 6


def test_with_every_checkpoint_damaged_it_begins_anew(finished: Path, run: Path) -> None:
    for step in "4", "8":
        shutil.rmtree(run / "checkpoints" / step / "state")
    with pytest.warns(DamageWarning) as caught:
        train(run)
    assert [str(each.message).split(": ")[0][-1] for each in caught] == ["8", "4"]
    assert saved(run) == 8 and numbers(run) == numbers(finished)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_log_cut_short_loses_no_line(finished: Path, run: Path, length: str) -> None:
    """Checkpoints whose lines are gone are set aside, so that their steps are logged again."""
    cut(run / METRICS, length)
    with warnings.catch_warnings(record=True, action="always") as caught:
        train(run)
    assert numbers(run) == numbers(finished) and saved(run) == 8
    damage = [str(each.message) for each in caught if each.category is DamageWarning]
    told = [message.partition("damaged (")[2].partition(")")[0] for message in damage]
    # Half of it is two lines and a piece; all but one byte lacks the end of the last line alone.
    assert told == {
        "half": ["metrics.jsonl lacks step 6"],
        "all but one byte": [],
    }.get(length, ["metrics.jsonl lacks step 8", "metrics.jsonl lacks step 4"])


def test_a_line_that_is_none_is_kept_aside(finished: Path, run: Path) -> None:
    lines = (run / METRICS).read_text().splitlines()
    lines[1] = "\0" * len(lines[1])
    (run / METRICS).write_text("\n".join(lines) + "\n")
    with pytest.warns(DamageWarning) as caught:
        train(run)
    assert any("1 lines are not JSON objects" in str(each.message) for each in caught)
    assert numbers(run) == numbers(finished)
    assert (run / f"damaged-{METRICS}").read_text().count("\n") == 4


@pytest.mark.parametrize("length", LENGTHS)
def test_an_event_file_cut_short_changes_no_number(finished: Path, run: Path, length: str) -> None:
    [events] = (run / "train").iterdir()
    cut(events, length)
    shutil.rmtree(run / "checkpoints" / "8")
    train(run)
    assert numbers(run) == numbers(finished) and saved(run) == 8
    assert len(list((run / "train").iterdir())) == 2


def test_a_damaged_checkpoint_of_a_parent_is_named(run: Path) -> None:
    cut(run / "checkpoints/8/state/_METADATA", "nothing")
    with pytest.raises(DamagedCheckpoint, match=r"checkpoint .*checkpoints/8 is damaged \(Exp"):
        restore_parent(run, CONFIG, 8, STAGE)
    assert (run / "checkpoints/8").is_dir(), "its own run sets it aside, no reader does"


def test_a_fault_of_the_machine_damages_nothing(run: Path, monkeypatch) -> None:
    """A checkpoint that can't be read for want of file descriptors is a good one."""

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
    """The loss of step 7 is fine; its gradient isn't. The log, of steps 7 and 8, says step 7."""
    gradient = {"loss": Ratio(np.float32(7), ONE), "grad_norm": Ratio(np.float32(value), ONE)}
    with pytest.raises(Diverged) as caught:
        train(tmp_path, bad={7: gradient})
    assert str(caught.value) == (
        f"train/grad_norm became {value} at step 7 (batch {batch_digest(batch_at(6))}; last good "
        "checkpoint 4): lower the learning rate, or look at the data of that step"
    )
    assert sorted(numbers(tmp_path)) == [2, 4, 6], "no number that is none is ever logged"


def test_before_the_first_checkpoint_there_is_none_to_name(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"at step 1 \(batch \w+; no checkpoint before it\)"):
        train(tmp_path, bad={1: {"loss": Ratio(np.float32("nan"), ONE)}})


def test_a_bad_validation_loss_stops_a_run(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="validation/x became inf at step 4"):
        train(tmp_path, evaluated=float("inf"))
    assert saved(tmp_path) is None


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


@pytest.mark.parametrize("left", [0, 8192])
def test_a_disk_that_fills_costs_no_number(finished: Path, tmp_path: Path, left: int) -> None:
    """Full at once, the log's next line is torn; with some room left, a checkpoint is."""
    with starvation.small_disk(tmp_path / "disk", "16m") as disk:
        run, filling = disk / "run", starvation.full(disk, left)

        def fill(step: int, *_: object) -> None:
            if step == 2:
                filling.__enter__()

        with pytest.raises(Exception) as caught:
            train(run, observer=fill)
        filling.__exit__(None, None, None)
        assert files.system_fault(caught.value) == "No space left on device"
        assert not (run / "checkpoints" / "4").exists()
        train(run)
        assert numbers(run) == numbers(finished) and saved(run) == 8


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_want_of_file_descriptors_costs_no_number(finished: Path, tmp_path: Path) -> None:
    limit = starvation.few_descriptors()

    def starve(step: int, *_: object) -> None:
        if step == 2:
            limit.__enter__()

    with pytest.raises(Exception) as caught:
        train(tmp_path, observer=starve)
    limit.__exit__(None, None, None)
    assert files.system_fault(caught.value) == "Too many open files"
    del caught
    gc.collect()  # What Orbax left half begun, while its complaints are still ours.
    train(tmp_path)
    assert numbers(tmp_path) == numbers(finished) and saved(tmp_path) == 8


def test_a_log_refuses_what_is_no_number(tmp_path: Path) -> None:
    with closing(RunLog(tmp_path)) as log, pytest.raises(ValueError, match="x is nan at step 1"):
        log.write(1, {"x": float("nan")})


@pytest.mark.parametrize(
    "about",
    [
        *("[]", "{}", '"x"', "1", "null", '{"stage": "hybrid"}', '{"stage": 1, "model": {}}'),
        *('{"stage": "span_corruption", "model": []}', '{"stage": {}, "model": null}'),
        '{"stage": "span_corruption", "model": {"emb_dim": 1e999}}',
    ],
)
def test_what_a_checkpoint_strangely_says_of_itself_is_one_line(tmp_path: Path, about: str) -> None:
    with closing(Checkpoints(tmp_path, CONFIG, STAGE)) as checkpoints:
        checkpoints.save(state_at(4), 4)
    (tmp_path / "checkpoints" / "4" / "about" / "metadata").write_text(about, "utf-8")
    with (
        closing(Checkpoints(tmp_path, CONFIG, STAGE)) as checkpoints,
        pytest.raises(UserError, match=r"checkpoint .*/4 ") as refused,
    ):
        checkpoints.restore(4)
    assert "\n" not in str(refused.value)
