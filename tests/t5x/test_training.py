"""Stock T5X end to end: both stages, other meshes, and two processes."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import t5x_process
from t5x_process import assert_same, leaves

from repro import t5x_folder
from spactor.step import HYBRID_ONLY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]


def test_the_switch_keeps_the_discriminator_and_its_slots(
    first_stage: Path, second_stage: Path
) -> None:
    before, after = leaves(first_stage / "checkpoint_10"), leaves(second_stage / "checkpoint_10")
    dropped = {name: leaf for name, leaf in before.items() if set(name.split("/")) & {*HYBRID_ONLY}}
    # Generator: relpos_bias, encoder_norm, projection, and a layer of 4 + 2 kernels and 2 norms;
    # RTD head: 2 kernels. Each has a value and three slots.
    assert len(dropped) == 4 * (3 + 8 + 2)
    # Embedding; encoder: relpos_bias, encoder_norm, a layer of 8; decoder: the same and a second
    # attention with its norm; and the step.
    assert len(after) == 4 * (1 + 10 + 10 + 5) + 1
    assert_same({name: leaf for name, leaf in before.items() if name not in dropped}, after)
    moved = leaves(second_stage / "checkpoint_20")
    assert not np.array_equal(
        moved["target/token_embedder/embedding"], after["target/token_embedder/embedding"]
    )


def test_a_run_goes_on_on_another_mesh(home: Path, data: Path, first_stage: Path) -> None:
    folder = home / "two-by-two"
    shutil.copytree(first_stage / "checkpoint_5", folder / "checkpoint_5")
    process = t5x_process.pretraining(
        folder,
        data,
        "hybrid",
        10,
        devices=4,
        MODEL_PARALLEL_SUBMESH=(1, 2),
    )
    t5x_process.finish(process, folder.with_suffix(".log"))
    one, four = t5x_folder.read_series(first_stage), t5x_folder.read_series(folder)
    # The mean of five steps; first steps alone are compared in test_parallelism.
    np.testing.assert_allclose(four[10]["train/loss"], one[10]["train/loss"], rtol=1e-5)
    for name, leaf in leaves(folder / "checkpoint_10").items():
        if name.startswith("target"):
            other = leaves(first_stage / "checkpoint_10")[name]
            np.testing.assert_allclose(leaf, other, rtol=0, atol=1e-4 * np.abs(other).max())


def test_two_processes_restart_and_one_is_refused(
    home: Path, data: Path, first_stage: Path
) -> None:
    folder = home / "two-processes"
    folder.mkdir()

    def both() -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        flags = ("--multiprocess_gpu", f"--coordinator_address=localhost:{port}")
        processes = [
            t5x_process.pretraining(
                folder,
                data,
                "hybrid",
                10,
                flags=(*flags, "--process_count=2", f"--process_index={index}"),
            )
            for index in range(2)
        ]
        for process in processes:
            t5x_process.finish(process, folder.with_suffix(".log"))

    both()
    whole = leaves(folder / "checkpoint_10")
    one, two = t5x_folder.read_series(first_stage), t5x_folder.read_series(folder)
    for step in (5, 10):
        np.testing.assert_allclose(two[step]["train/loss"], one[step]["train/loss"], rtol=1e-6)
    shutil.rmtree(folder / "checkpoint_10")
    both()
    assert_same(whole, leaves(folder / "checkpoint_10"))
    process = t5x_process.pretraining(folder, data, "hybrid", 15)
    assert process.wait(300) != 0
    log = folder.with_suffix(".log").read_text("utf-8", errors="replace")
    assert "resume with as many processes as wrote the checkpoint" in log
