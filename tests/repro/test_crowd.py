"""Two and eight runners on one folder: each node once, by one of them, whoever dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from repro import folders
from repro.plan import Tree

VICTIM = "base/s0/hybrid/0-250K"
"""Much hangs on it, so that the others wait for the one that dies."""


def crowd(runs: Path, number: int, victim: str = "") -> int:
    """Lets runners loose; returns how many did not end well."""
    script = Path(__file__).with_name("crowd.py")
    return subprocess.run([sys.executable, str(script), str(runs), str(number), victim]).returncode


def journal(runs: Path, name: str) -> list[list[str]]:
    text = (folders.node_folder(runs, "tiny", name) / "journal.txt").read_text()
    return [line.split() for line in text.splitlines()]


def attempts(runs: Path, name: str) -> list[dict]:
    folder = folders.node_folder(runs, "tiny", name)
    return folders.read_json(folder / folders.PROVENANCE)["attempts"]


@pytest.mark.parametrize("number", [2, 8])
def test_every_node_runs_once(tree: Tree, tmp_path: Path, number: int) -> None:
    runs = tmp_path / "runs"
    assert crowd(runs, number) == 0
    workers = set()
    for name in tree.nodes:
        (begin, worker), (end, same) = journal(runs, name)
        assert (begin, end, worker) == ("begin", "end", same), name
        assert len(attempts(runs, name)) == 1
        workers.add(worker)
    assert len(workers) > 1, "they shared the work"


@pytest.mark.parametrize("number", [2, 8])
def test_a_dead_runners_node_is_taken_over_by_one(tree: Tree, tmp_path: Path, number: int) -> None:
    """The lock dies with its process; what it wrote stays, and one of the others goes on."""
    runs = tmp_path / "runs"
    assert crowd(runs, number, VICTIM) == 1
    (_, dead), (_, heir), (_, same) = journal(runs, VICTIM)
    assert [line[0] for line in journal(runs, VICTIM)] == ["begin", "begin", "end"]
    assert dead != heir == same
    first, second = attempts(runs, VICTIM)
    assert "ended" not in first and "ended" in second
    for name in tree.nodes:
        folder = folders.node_folder(runs, "tiny", name)
        assert (folder / folders.DONE).is_file()
        if name != VICTIM:
            assert [line[0] for line in journal(runs, name)] == ["begin", "end"], name


@pytest.mark.slow
def test_two_real_runners_share_a_tree(tmp_path: Path) -> None:
    """The soak's tree, by two processes of the command; each node has one attempt."""
    profile = Path(__file__).parent.parent / "soak" / "soak.toml"
    command = [sys.executable, "-m", "repro", "run", "--profile", str(profile)]
    command += ["--size", "base", "--tau", "60K", "--runs", str(tmp_path / "runs")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    found = sorted((tmp_path / "runs" / "soak").rglob(folders.PROVENANCE))
    assert len(found) == 4
    assert [len(folders.read_json(path)["attempts"]) for path in found] == [1] * 4
