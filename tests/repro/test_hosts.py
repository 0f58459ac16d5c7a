"""Hosts that train together: their numbers, how they join, and T5X's flags. T5X is not needed."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from repro.engines import t5x_command
from repro.engines.contract import Hosts
from repro.engines.data import PreparedData
from repro.plan import build
from repro.specs import load_profile
from spactor.errors import UserError

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
    *hosts: Mapping[str, object], seconds: int = 60, environment: Mapping[str, str] | None = None
) -> list[list[str]]:
    """What hosts that start together answer."""
    with tempfile.TemporaryDirectory() as cache:
        return _started(hosts, seconds, environment or {}, cache)


def _started(
    hosts: Sequence[Mapping[str, object]], seconds: int, environment: Mapping[str, str], cache: str
) -> list[list[str]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BARRIER, json.dumps(host), str(seconds), cache],
            cwd=ROOT,
            # One device each: the tests' own setting would make two.
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "SLURM_PROCID": str(host["number"])}
            | environment,
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


def test_hosts_that_join_share_a_run_id() -> None:
    coordinator = address()
    both = [{"count": 2, "number": number, "coordinator": coordinator} for number in (0, 1)]
    first, second = start(*both)
    assert first == second
    assert first[0] and first[1] == "2 × cpu cpu on 2 hosts"


def test_hosts_join_where_jax_finds_the_slice_itself() -> None:
    both = [{"count": 2, "number": number} for number in (0, 1)]
    first, second = start(*both, environment=slurm(2))
    assert first == second
    assert first[1] == "2 × cpu cpu on 2 hosts"


def test_a_host_whose_peers_are_missing_times_out() -> None:
    alone = {"count": 2, "number": 1, "coordinator": address()}
    ((message,),) = start(alone, seconds=1)
    assert "the 2 hosts did not connect (DEADLINE_EXCEEDED: Deadline Exceeded)" in message
    assert "with --host 0 to 1, within 1 seconds" in message


def test_another_number_of_hosts_than_jax_finds_is_refused() -> None:
    ((message,),) = start({"count": 2, "number": 0}, environment=slurm(1))
    assert message.startswith("--hosts 2, and JAX finds 1 processes: give --hosts 1")


def test_t5x_gets_the_address_of_its_coordinator() -> None:
    tree = build(load_profile("paper"))
    node = tree.segments()[0]

    def added(hosts: Hosts) -> list[str]:
        def command(hosts: Hosts) -> list[str]:
            return t5x_command.arguments(
                tree.profile,
                node,
                data=PreparedData(folder=Path("data"), manifest={"corpus": {"version": "3.0.1"}}),
                released=Path("released"),
                folder=Path("node"),
                parent=None,
                hosts=hosts,
            )

        return [word for word in command(hosts) if word not in command(Hosts())]

    assert added(Hosts(count=16, number=3)) == ["--multiprocess_gpu"]
    assert added(Hosts(count=16, number=3, coordinator="one:8476")) == [
        "--multiprocess_gpu",
        "--coordinator_address=one:8476",
        "--process_count=16",
        "--process_index=3",
    ]


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"number": 3}, "--host 3 and --hosts 1: hosts are numbered from 0"),
        ({"count": 2, "number": 2}, "--host 2 and --hosts 2"),
        ({"count": 2, "coordinator": "10.0.0.1"}, "--coordinator 10.0.0.1: give host 0's name and"),
    ],
)
def test_invalid_hosts_are_refused(hosts: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Hosts(**hosts)
