"""A study's variant through the real commands: planned, trained, collected, printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.schema import records

# Studies are at the scale of micro; this one is at smoke's, with one suite, so that it is quick.
PROFILE = "quick.toml"
TEXT = """
extends = "smoke"
without = ["sizes.large", "matrix.large", "matrix.base.checkpoints_of"]
suites = ["glue"]
[variants.handover-cosine.curriculum]
handover = { width = "120K", shape = "cosine" }
[matrix.base]
taus = ["60K", "120K"]
checkpoints = ["250K"]
[matrix.base.variants]
handover-cosine.taus = ["120K"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / PROFILE).write_text(TEXT, "utf-8")
    return folder


def command(folder: Path, *arguments: str) -> str:
    choice = ("--profile", str(folder / PROFILE), "--runs", str(folder / "runs"))
    done = subprocess.run(
        [sys.executable, "-m", "repro", *arguments, *choice], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_hand_over_is_trained_and_collected(folder: Path, smoke_data: Path) -> None:
    part = ("--variant", "handover-cosine")
    plan = json.loads(command(folder, "plan", *part, "--format", "json"))
    assert [node["name"] for node in plan["rows"]] == [
        "base/s0/hybrid/0-60K",
        "base/s0/handover-cosine/tau120K/60K-180K",
        "base/s0/handover-cosine/tau120K/180K-250K",
        "base/s0/handover-cosine/tau120K/250K/finetune-glue/f0",
    ]
    assert "4 nodes ran" in command(folder, "run", *part, "--data", str(smoke_data))
    printed = command(folder, "collect")
    assert "of 4 finished nodes" in printed
    row = next(line for line in printed.splitlines() if line.startswith("handover-cosine"))
    assert row.split()[1:3] == ["120K", "1"] and "not run" not in row

    home = folder / "runs" / "quick" / "records"
    metrics = records.read(home / "metrics.parquet")
    mine = metrics[metrics["variant"] == "handover-cosine"].set_index(["metric", "step"])["value"]
    # The window is 6 to 18: by half a cosine λ1 leaves 10 and reaches 5 at 12. Logged values are
    # means over two updates, which lead away from the two steps before.
    assert mine["train/lambda_rtd", 8] == pytest.approx((10.0 + 9.83) / 2, abs=0.01)
    assert mine["train/lambda_rtd", 14] == pytest.approx((5.0 + 3.706) / 2, abs=0.01)
    assert mine["train/lambda_rtd", 18] == pytest.approx((0.670 + 0.170) / 2, abs=0.01)
    assert mine["train/masked_tokens", 8] > mine["train/masked_tokens", 18] == 0.5
    assert ("train/lambda_rtd", 6) not in mine.index and ("train/lambda_rtd", 20) not in mine.index
    assert mine["train/sc_loss", 24] > 0
