"""The soak with a handful of kills; `python -m nox -s soak` has a hundred."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_five_kills_change_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("soak.py")
    command = [sys.executable, str(script), "--kills", "5", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills, " in done.stdout and done.stdout.rstrip().endswith("reports equal")
