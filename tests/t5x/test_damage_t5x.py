"""Damaged checkpoints of T5X: found, set aside and written anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from etils import epath
from repro_process import SECOND, SELECTION, node, start, untimed
from t5x_process import TIMEOUT, assert_same, leaves

from repro import folders
from repro.engines.t5x_damage import damage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]


def lengths(size: int) -> Iterator[int]:
    """Every class of length that a file can be cut to."""
    yield from sorted({0, 1, size // 2, size - 1} & set(range(size)))


def test_a_file_cut_short_is_found_or_changes_nothing(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_30"
    shutil.copytree(node(finished, SECOND) / "checkpoint_30", path)
    assert damage(epath.Path(path)) is None
    whole = leaves(path)
    found = set()
    for file in sorted(path.rglob("*")):
        content = file.read_bytes() if file.is_file() else b""
        for length in lengths(len(content)):
            file.write_bytes(content[:length])
            reason = damage(epath.Path(path))
            if reason is None:
                assert_same(leaves(path), whole)
            else:
                assert "\n" not in reason
                found.add(file.relative_to(path).parts[0])
            file.write_bytes(content)
    assert found >= {"state", "dataset"}


def cut_largest(path: Path) -> None:
    """As a loss of power may leave it."""
    file = max(path.glob("state/**/d/*"), key=lambda file: file.stat().st_size)
    file.write_bytes(file.read_bytes()[:100])


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(
    finished: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished, runs)
    folder = node(runs, SECOND)
    (folder / folders.DONE).unlink()
    shutil.rmtree(folder / "checkpoint_30")
    cut_largest(folder / "checkpoint_25")
    again = start("run", runs, *SELECTION)
    out, err = again.communicate(timeout=TIMEOUT)
    assert again.returncode == 0 and "1 nodes ran" in out, err
    assert "checkpoint_25: damaged" in err and "renamed to damaged-checkpoint_25" in err
    assert_same(leaves(node(finished, SECOND) / "checkpoint_30"), leaves(folder / "checkpoint_30"))
    assert untimed(folder) == untimed(node(finished, SECOND))
