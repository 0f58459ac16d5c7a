"""Hosts that train together: their numbers, and how they join. T5X is not needed."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BARRIER = """
import json, sys
from pathlib import Path
from repro.engines import t5x
from repro.engines.contract import Hosts
from spactor.errors import UserError
t5x.BARRIER_SECONDS = int(sys.argv[2])
engine = t5x.T5XEngine(Path(sys.argv[3]), hosts=Hosts(**json.loads(sys.argv[1])))
try:
    print(json.dumps([engine.barrier(print), engine.device()]))
except UserError as error:
    print(json.dumps([str(error)]))
"""


def address() -> str:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]}"


def start(
    cache: Path,
    *hosts: Mapping[str, object],
    seconds: int = 60,
    environment: Mapping[str, str] | None = None,
) -> list[list[str]]:
    """What hosts that start together answer."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BARRIER, json.dumps(host), str(seconds), str(cache)],
            cwd=ROOT,
            # One device each: the tests' own setting would make two.
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "SLURM_PROCID": str(host["number"])}
            | (environment or {}),
            stdout=subprocess.PIPE,
            text=True,
        )
        for host in hosts
    ]
    return [
        json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes
    ]


def slurm(tasks: int) -> dict[str, str]:
    """Variables in which JAX finds the slice itself; it derives the port from the job's number."""
    return {
        "SLURM_JOB_ID": str(random.SystemRandom().randrange(10**6)),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(tasks),
        "SLURM_LOCALID": "0",
    }


@pytest.mark.parametrize("finds_itself", [False, True])
def test_hosts_that_join_share_a_run_id(tmp_path: Path, finds_itself: bool) -> None:
    coordinator = "" if finds_itself else address()
    both = [{"count": 2, "number": number, "coordinator": coordinator} for number in (0, 1)]
    first, second = start(tmp_path, *both, environment=slurm(2) if finds_itself else {})
    assert first == second
    assert first[0] and first[1] == "2 × cpu cpu on 2 hosts"


def test_a_host_whose_peers_are_missing_times_out(tmp_path: Path) -> None:
    alone = {"count": 2, "number": 1, "coordinator": address()}
    ((message,),) = start(tmp_path, alone, seconds=1)
    assert "the 2 hosts did not connect (DEADLINE_EXCEEDED: Deadline Exceeded)" in message
    assert "with --host 0 to 1, within 1 seconds" in message


def test_another_number_of_hosts_than_jax_finds_is_refused(tmp_path: Path) -> None:
    ((message,),) = start(tmp_path, {"count": 2, "number": 0}, environment=slurm(1))
    assert message.startswith("--hosts 2, and JAX finds 1 processes: give --hosts 1")
