"""The T5X engine watches a process: a script stands in for T5X."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from t5x_events import write_start

from repro.engines import t5x, t5x_command
from repro.engines.contract import ALONE, Hosts, Work
from repro.engines.data import PreparedData
from repro.engines.t5x import LOG, T5XEngine
from repro.plan import Segment, build
from repro.specs import load_profile
from spactor import numerics
from spactor.errors import DamagedCheckpoint, DamageWarning, Diverged, UserError

TESTS = Path(__file__).parent.parent
PROFILE = load_profile(str(TESTS / "t5x" / "thirty.toml"))


class StandIn:
    """Runs a script in the place of T5X, in the folder of a pre-training node."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Segment) -> None:
        self.folder = tmp_path / "node"
        self.folder.mkdir()
        self.script = tmp_path / "train.py"
        self.seen: list[tuple[int, int]] = []
        self._node, self._written = node, tmp_path / "written"
        monkeypatch.setattr(
            t5x_command, "arguments", lambda *_, **__: [sys.executable, str(self.script)]
        )
        monkeypatch.setattr(t5x, "POLL_SECONDS", 0.05)
        # No process of JAX is started to find it.
        self.device = "1 × cpu cpu"
        monkeypatch.setattr(T5XEngine, "device", lambda _: self.device)
        self.damaged: set[str] = set()
        monkeypatch.setattr(
            T5XEngine, "_damage", lambda _, path: "cut" if path.name in self.damaged else None
        )

    def run(
        self,
        script: str,
        hosts: Hosts = ALONE,
        parent: Path | None = None,
        losses: Sequence[float] = (2.0, 2.0, 2.0),
    ) -> None:
        """Runs a script, in which WRITTEN is a folder as T5X leaves it, with the losses."""
        write(self._written, losses)
        for name, folder in (("FOLDER", self.folder), ("WRITTEN", self._written)):
            script = script.replace(name, repr(str(folder)))
        self.script.write_text(textwrap.dedent(script))
        data = PreparedData(folder=Path("/data"), manifest={})
        work = Work(profile=PROFILE, node=self._node, data=data, folder=self.folder, parent=parent)
        engine = T5XEngine(self.folder.parent / "cache", hosts=hosts)
        engine.run(work, lambda step, end, values, speed: self.seen.append((step, end)))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    node = build(PROFILE).nodes["base/s0/hybrid/0-250K"]
    assert isinstance(node, Segment)
    return StandIn(tmp_path, monkeypatch, node)


def write(folder: Path, losses: Sequence[float]) -> None:
    """Writes event files and checkpoints, in this process, as importing JAX takes a second."""
    shutil.rmtree(folder, ignore_errors=True)
    others = {"timing/seqs_per_second": 9.0, "validation/sc_loss_clean": 1.0}
    lines = zip((5, 10, 15), losses, strict=True)
    write_start(folder, {step: {"train/loss": loss, **others} for step, loss in lines})
    for step in (5, 10, 15):
        (folder / f"checkpoint_{step}").mkdir()


TRAINS = """
    import shutil
    shutil.copytree(WRITTEN, FOLDER, dirs_exist_ok=True)
"""


@pytest.mark.parametrize(
    ("device", "threads"), [("1 × cpu cpu", "1"), ("2 × cpu cpu", "unset"), ("8 × tpu v4", "unset")]
)
def test_one_cpu_device_has_one_thread(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, device: str, threads: str
) -> None:
    for name in numerics.ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    stand_in.device = device
    print_threads = """
    import os
    print(*(os.environ.get(name, "unset") for name in ("NPROC", "PJRT_NPROC")))
    """
    stand_in.run(print_threads + TRAINS)
    assert f"{threads} {threads}\n" in (stand_in.folder / LOG).read_text("utf-8")


def test_a_process_is_watched_to_its_end(stand_in: StandIn) -> None:
    stand_in.run(TRAINS)
    assert stand_in.seen == [(5, 15), (10, 15), (15, 15)]
    assert sorted(path.name for path in (stand_in.folder / "gin").iterdir()) == ["size.gin"]
    assert (stand_in.folder / t5x.LOG).read_text("utf-8").startswith("$ ")
    # It ended before its node was marked as finished: nothing is run again.
    stand_in.run("raise SystemExit('started again')")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "from spactor.errors import UserError\nraise UserError('a fault: correct it')",
            "^a fault: correct it$",
        ),
        ("raise KeyError('no such thing')", r"T5X failed in base.*KeyError: 'no such thing'.*log"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "ended by signal 15"),
        (
            "import os\nprint('F absl::Status: ABORTED: gone\\nRPC', flush=True)\nos.abort()",
            r"ended by signal 6 in base.* \(ABORTED: gone\): run",
        ),
        ("pass", "ended without the last numbers or checkpoint"),
    ],
    ids=["ours", "theirs", "signal", "another-host", "nothing"],
)
def test_a_failure_is_one_line(stand_in: StandIn, script: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        stand_in.run(script)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("digests", "batch"),
    [
        ('{"step": 5, "run": "", "seed": 0, "batch": "b5"}\n', "unknown"),
        ('{"step": 10, "run": "", "seed": 0, "batch": "b10"}\n', "b10"),
        (None, "unknown"),
    ],
)
def test_a_number_that_is_not_finite_ends_t5x(
    stand_in: StandIn, digests: str | None, batch: str
) -> None:
    if digests is not None:
        (stand_in.folder / "digests.jsonl").write_text(digests)
    losses = (2.0, -math.inf, -math.inf)
    with pytest.raises(Diverged) as caught:
        stand_in.run(TRAINS + "    import time; time.sleep(600)", losses=losses)
    expected = Diverged("train/loss", "-inf", 10, batch, 5)
    assert dataclasses.asdict(caught.value) == dataclasses.asdict(expected)
    # Killed before that was written down: T5X isn't started again.
    with pytest.raises(Diverged) as again:
        stand_in.run("raise SystemExit('started again')")
    assert dataclasses.asdict(again.value) == dataclasses.asdict(expected)


SOON_ENDED = """
    from pathlib import Path
    if (Path(FOLDER) / "checkpoint_10").exists():
        raise SystemExit("words that have nothing to do with it")
"""


def test_a_damaged_checkpoint_is_set_aside_and_t5x_started_again(stand_in: StandIn) -> None:
    stand_in.run(TRAINS)
    (stand_in.folder / "checkpoint_15").rmdir()
    stand_in.damaged.add("checkpoint_10")
    with pytest.warns(DamageWarning, match=r"checkpoint_10: damaged \(cut\); renamed to damaged-"):
        stand_in.run(SOON_ENDED + TRAINS)
    assert {path.name for path in stand_in.folder.glob("*checkpoint_*")} == {
        *("checkpoint_5", "checkpoint_10", "checkpoint_15", "damaged-checkpoint_10")
    }


def test_a_damaged_checkpoint_of_the_parent_is_reported_to_the_runner(stand_in: StandIn) -> None:
    with pytest.raises(UserError, match=r"T5X failed in base.*: odd"):
        stand_in.run("raise SystemExit('odd')", parent=Path("parent"))
    stand_in.damaged.add("checkpoint_0")
    with pytest.raises(DamagedCheckpoint, match=r"parent/checkpoint_0 is damaged \(cut\)"):
        stand_in.run("raise SystemExit('odd')", parent=Path("parent"))


def test_a_finished_nodes_damaged_last_checkpoint_is_made_again(stand_in: StandIn) -> None:
    """The runner runs a finished node again when its child could not read the checkpoint."""
    stand_in.run(TRAINS)
    stand_in.damaged.add("checkpoint_15")
    with pytest.warns(DamageWarning, match="checkpoint_15: damaged"):
        stand_in.run(TRAINS)
    assert (stand_in.folder / "checkpoint_15").is_dir()


def test_another_host_writes_a_log_and_a_lock_alone(stand_in: StandIn) -> None:
    (stand_in.folder / "checkpoint_10").mkdir()
    stand_in.run("print('trained')", Hosts(count=2, number=1))
    written = {path.name for path in stand_in.folder.iterdir()}
    assert written == {"checkpoint_10", "t5x-host1.lock", "t5x-host1.log"}
    assert (stand_in.folder / "t5x-host1.log").read_text("utf-8").endswith("trained\n")
    assert stand_in.seen == []


def test_a_process_outlives_its_runner_but_not_its_lock(stand_in: StandIn, tmp_path: Path) -> None:
    """A runner that is killed leaves T5X behind; nobody trains in its folder beside it."""
    code = f"""
import subprocess, sys
from pathlib import Path
from repro.engines import t5x
with t5x._exclusive(Path({str(stand_in.folder)!r}) / t5x.LOCK) as lock:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=(lock.fileno(),)
    )
    lock.write(str(child.pid))
    lock.flush()
    print(child.pid, flush=True)
    sys.stdin.read()
"""
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=TESTS.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdin is not None and runner.stdout is not None
    left = int(runner.stdout.readline())
    try:
        runner.kill()
        runner.wait()
        with pytest.raises(UserError, match=rf"still trains .*\(process {left}\)"):
            stand_in.run("pass")
    finally:
        os.kill(left, signal.SIGKILL)
        runner.stdin.close()
        runner.stdout.close()
    for _ in range(100):
        try:
            stand_in.run(TRAINS)
            break
        except UserError:
            time.sleep(0.05)
    assert stand_in.seen[-1] == (15, 15)
