"""The command on a machine that has no more to give: one line, code 2, and later it goes on."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from repro import cli, folders
from repro.engines import factory
from repro.node_state import inspect
from repro.plan import build
from repro.specs import load_profile
from spactor import files
from spactor.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[1] / "soak"))
import starvation

FIRST = "base/s0/hybrid/0-60K"
CHOICE = ("run", "--profile", "smoke", "--size", "base", "--tau", "60K")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with starvation.small_disk(tmp_path / "disk", "1m") as disk:
        yield disk


@pytest.fixture
def command(engine, monkeypatch, capsys) -> Callable[[Path], tuple[int, list[str]]]:
    """The command with the engine that trains nothing: its exit code and lines of complaint."""
    engine.check = lambda tree: None
    monkeypatch.setattr(factory, "engine_for", lambda *_, **__: engine)

    def run(runs: Path) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as ended:
            cli.main((*CHOICE, "--runs", str(runs)))
        return int(ended.value.code or 0), capsys.readouterr().err.splitlines()

    return run


STARVED: dict[str, tuple[Callable[[Path], AbstractContextManager], str]] = {
    "full": (starvation.full, r"No space left on device"),
    "read-only": (starvation.read_only, "Read-only file system"),
    "descriptors": (lambda disk: starvation.few_descriptors(), "Too many open files"),
}


@pytest.mark.parametrize("when", ["at the start", "at the first node"])
@pytest.mark.parametrize("lack", STARVED)
def test_a_starved_run_says_so_and_goes_on_later(
    disk: Path, command, engine, lack: str, when: str
) -> None:
    starve, complaint = STARVED[lack]
    runs = disk / "runs"
    tree = build(load_profile("smoke"), load_profile("smoke").select(["base"], ["60K"]))
    if when == "at the start":
        folders.open_runs(runs, create=True)
        with starve(disk):
            code, lines = command(runs)
    else:
        starving: AbstractContextManager = nullcontext()

        def begin(name: str) -> None:
            nonlocal starving
            starving = starve(disk)
            starving.__enter__()

        engine.before = begin
        code, lines = command(runs)
        starving.__exit__(None, None, None)
        engine.before = lambda name: None
    assert code == 2 and len(lines) == 1, lines
    assert lines[0].startswith("repro: ") and re.search(complaint, lines[0])
    whole_or_not_there(runs)
    for node in tree.nodes.values():
        folder = folders.node_folder(runs, "smoke", node.name)
        assert inspect(folder, {}).condition in ("new", "partial")
    assert command(runs) == (0, [])
    assert set(engine.ran) == set(tree.nodes)
    for name in tree.nodes:
        assert inspect(folders.node_folder(runs, "smoke", name), {}).condition == "finished"


def whole_or_not_there(runs: Path) -> None:
    """Every file that has its final name can be read; none has a temporary one."""
    for path in runs.rglob("*"):
        assert not path.name.endswith(".tmp"), path
        if path.suffix == ".json":
            folders.read_json(path)


def test_the_old_file_outlives_a_full_disk(disk: Path) -> None:
    path = disk / "a.json"
    folders.write_json(path, {"a": 1})
    with starvation.full(disk), pytest.raises(UserError, match=r"a\.json: could not be written"):
        files.write_atomically(path, bytes(100_000))
    assert [entry.name for entry in disk.iterdir()] == ["a.json"]
    assert folders.read_json(path) == {"a": 1}
    files.write_atomically(path, bytes(100_000))
    assert path.stat().st_size == 100_000


def test_want_of_descriptors_is_no_damage(tmp_path: Path) -> None:
    """A file that can't be opened for want of them must not be taken for a damaged one."""
    path = tmp_path / "done.json"
    folders.write_json(path, {"a": 1})
    with starvation.few_descriptors(), pytest.raises(OSError, match="Too many open files"):
        folders.read_or_set_aside(path)
    assert folders.read_or_set_aside(path) == {"a": 1}
