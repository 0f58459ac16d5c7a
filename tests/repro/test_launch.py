"""Job files, as SkyPilot's own package and a shell read them, and the forecast of their cost."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import pytest
import typer
import yaml

from analysis.compiled.t5x_step import GIN
from analysis.parameters import checkpoint_bytes
from analysis.tpu_slices import TPU_TYPES, Slice
from repro.cli.app import app
from repro.engines.t5x_command import FINETUNING_SHARDS, PRETRAINING_SHARDS
from repro.launch import forecast, job_files
from repro.launch.jobs import Job, Launch, of_tree
from repro.plan import Segment, Tree, build
from repro.specs import load_profile
from spactor import step
from spactor.config import PAPER, Stage
from spactor.data.readers import instructions
from spactor.errors import UserError

BUCKETS = {"skypilot": "gs://pod-runs", "slurm": "/shared/runs of ours"}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(scope="module")
def paper() -> Tree:
    return build(load_profile("paper"))


@functools.cache
def jobs_of(tpu: str = "v4") -> tuple[Job, ...]:
    tree = build(load_profile("paper"))
    return of_tree(tree, Slice.with_chips(tpu, 64), Slice.with_chips(tpu, 8))


def planned(launcher: str, tpu: str = "v4", **more: object) -> Launch:
    values = {"profile": "paper", "jobs": jobs_of(tpu), "bucket": BUCKETS[launcher]}
    return Launch(**(values | more))  # type: ignore[arg-type]


@pytest.fixture
def slurm_files(tmp_path: Path) -> Path:
    """The folder of the paper's jobs for Slurm."""
    folder = tmp_path / "job files"
    launch = planned("slurm", data_dir="/shared/data of ours")
    job_files.write(job_files.files("slurm", launch), folder)
    return folder


def test_every_node_is_in_one_job_and_waits_for_its_parents_job(paper: Tree) -> None:
    jobs = jobs_of()
    assert sorted(name for job in jobs for name in job.nodes) == sorted(paper.nodes)
    job_of = {name: job.name for job in jobs for name in job.nodes}
    seen: set[str] = set()
    for job in jobs:
        assert paper.named([job.pattern]) == job.nodes, "the pattern fits these and no others"
        for name in job.nodes:
            parent = paper.nodes[name].parent
            assert job.parent == (job_of[parent] if parent else None)
        assert job.parent is None or job.parent in seen
        seen.add(job.name)
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", job.name)
        assert str(job.slice) == (
            "v4:4x4x4" if isinstance(paper.nodes[job.nodes[0]], Segment) else "v4:2x2x2"
        )
    assert len(jobs) == len(seen) == 75 + 57
    assert sum(len(family) for family in planned("slurm").families().values()) == len(jobs)


def test_shards_are_those_of_the_gin_files() -> None:
    for shards, file in (
        (PRETRAINING_SHARDS, "pretrain.gin"),
        (FINETUNING_SHARDS, "finetune_run.gin"),
    ):
        found = re.search(r"^DATA_SHARDS = (\d+)$", (GIN / file).read_text(), re.MULTILINE)
        assert found and int(found[1]) == shards
    assert instructions.LEAST_ROWS == FINETUNING_SHARDS


@pytest.mark.parametrize("name", TPU_TYPES)
def test_slices(name: str) -> None:
    for topology in TPU_TYPES[name].topologies:
        where = Slice.of(name, topology)
        assert where.hosts * where.chips_per_host == where.chips
        assert where.chips_per_host == 4 or where.hosts == 1
    assert Slice.with_chips(name, 64).hosts == 16


@functools.cache
def run_command() -> Any:
    """The command ``repro run``, built once, since building all commands takes a while."""
    return typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]


def options_of(command: str) -> dict[str, object]:
    """What ``repro run`` makes of a command line."""
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "repro", "run"]
    params: dict[str, object] = run_command().make_context("run", words[4:]).params
    return params


# SkyPilot.


def test_pipelines_by_their_structure() -> None:
    launch = planned("skypilot", spot=True, data_dir="gs://pod-data")
    texts = dict(job_files.files("skypilot", launch))
    submit = texts.pop("submit.sh")
    assert re.findall(r'"\$here"/(\S+)', submit) == list(texts)
    assert len(texts) == 16
    parents = {job.name: job.parent for job in launch.jobs}
    jobs = {job.name: job for job in launch.jobs}
    ran, scripts = [], set()
    for name, text in texts.items():
        header, *tasks = yaml.load_all(text, LOADER)
        assert header == {"name": name.removesuffix(".yaml")}
        done: set[str | None] = {None}
        for task in tasks:
            job = jobs[task["name"]]
            assert parents[job.name] in done, "a task comes after its parent"
            done.add(job.name)
            ran.append(job.name)
            resources = task["resources"]
            assert resources["accelerators"] == f"tpu-{job.slice.cloud_name}"
            assert resources["use_spot"] is True
            assert resources["job_recovery"] == {
                "max_restarts_on_errors": job_files.MAX_RESTARTS_ON_ERRORS
            }
            assert task["file_mounts"] == {
                "/runs": {"source": "gs://pod-runs", "mode": "MOUNT"},
                "/data": {"source": "gs://pod-data", "mode": "MOUNT"},
            }
            scripts |= {task["setup"], task["run"]}
        # Of the first and the last task, since reading options takes a moment: both kinds of job.
        for task in (tasks[0], tasks[-1]):
            job = jobs[task["name"]]
            command = task["run"].splitlines()[-1].replace('"$SKYPILOT_NODE_RANK"', "5")
            given = options_of(command)
            assert (given["node"], given["host"]) == ([job.pattern], 5)
            assert (given["hosts"], given["profile"]) == (job.slice.hosts, "paper")
            assert (given["runs"], given["data_dir"]) == (Path("/runs"), Path("/data"))
    subprocess.run(["bash", "-n"], input="\n".join(sorted(scripts)), text=True, check=True)
    assert sorted(ran) == sorted(jobs)


SKYPILOT = """
import json, sys
from pathlib import Path
from sky.utils import dag_utils
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    dag = dag_utils.load_chain_dag_from_yaml(str(path))
    assert dag.is_chain() and not dag.is_job_group()
    for task in dag.tasks:
        [resources] = task.resources
        [(where, store)] = task.storage_mounts.items()
        found[task.name] = [
            dag.name, str(resources.cloud), resources.accelerators, resources.use_spot,
            resources.accelerator_args, resources.job_recovery, where, store.source,
        ]
print("\\nANSWER" + json.dumps(found))
"""


@pytest.mark.launchers
@pytest.mark.parametrize("tpu", TPU_TYPES)
def test_skypilot_reads_the_pipelines(tpu: str, tmp_path: Path) -> None:
    """Its own loader: the schema, then tasks, resources and storage."""
    python = os.environ.get("SPACTOR_SKYPILOT_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import sky"], capture_output=True).returncode:
        pytest.skip(
            "sky is not installed: python -m nox -s launchers, or name a Python that has it in "
            "SPACTOR_SKYPILOT_PYTHON"
        )
    launch = planned("skypilot", tpu)
    job_files.write(job_files.files("skypilot", launch), tmp_path / "jobs")
    done = subprocess.run(
        [python, "-c", SKYPILOT, str(tmp_path / "jobs")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        # SkyPilot writes files of its own into the home folder.
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.rpartition("\nANSWER")[2])
    root = {job.name: name for name, family in launch.families().items() for job in family}
    assert found == {
        job.name: [
            root[job.name],
            "GCP",
            {f"tpu-{job.slice.cloud_name}": 1},
            False,
            {"runtime_version": job.slice.type.runtime},
            {"max_restarts_on_errors": 3, "strategy": None},
            "/runs",
            "gs://pod-runs",
        ]
        for job in launch.jobs
    }


# Slurm.


def directives(text: str) -> dict[str, str]:
    lines = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, re.MULTILINE)
    assert len(lines) == text.count("#SBATCH"), "every directive is understood"
    assert text.index("#SBATCH") < text.index("\nset -e"), "Slurm stops reading at a command"
    return dict(lines)


def test_batch_scripts_by_their_directives() -> None:
    """Jobs of embedded data, which name no folder of data."""
    launch = planned("slurm", "v5p")
    texts = job_files.files("slurm", launch)
    assert "data-dir" not in "".join(texts.values())
    scripts = {job: texts[f"jobs/{job.name}.sbatch"] for job in launch.jobs}
    subprocess.run(["bash", "-n"], input="\n".join(scripts.values()), text=True, check=True)
    for job, script in scripts.items():
        assert directives(script) == {
            "job-name": job.name,
            "nodes": "16" if job.slice.chips == 64 else "2",
            "ntasks-per-node": "1",
            "gres": "tpu:v5p:4",
            "exclusive": "",
            "requeue": "",
            "open-mode": "append",
        }


def run_with(script: Path, **programs: str) -> subprocess.CompletedProcess[str]:
    """Runs a script where programs are ours: the text of each in the shell, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in programs.items():
            path = Path(folder) / name
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)
        environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(["bash", script], env=environment, capture_output=True, text=True)


def test_jobs_are_submitted_with_their_dependences(slurm_files: Path, tmp_path: Path) -> None:
    """A program in place of ``sbatch`` records its arguments and answers as a cluster's does."""
    log, submit = tmp_path / "log", slurm_files / "submit.sh"
    assert os.access(submit, os.X_OK) and submit.read_text().startswith("#!/bin/bash\n")
    counting = f'printf "%s\\t" "$@" >> {log}; echo >> {log}; echo "$((1000 + $(wc -l < {log})));x"'
    done = run_with(submit, sbatch=counting)
    assert (done.returncode, done.stdout, done.stderr) == (0, "submitted 132 jobs\n", "")
    given = [line.split("\t")[:-1] for line in log.read_text().splitlines()]
    number = {Path(words[-1]).stem: 1001 + at for at, words in enumerate(given)}
    assert list(number) == [job.name for job in jobs_of()]
    for job, words in zip(jobs_of(), given, strict=True):
        assert words[:2] == ["--parsable", f"--output={slurm_files}/logs/%x.log"]
        assert Path(words[-1]).is_file()
        assert words[2:-1] == (
            [f"--dependency=afterok:{number[job.parent]}", "--kill-on-invalid-dep=yes"]
            if job.parent
            else []
        )
    # It stops at the first refusal.
    done = run_with(submit, sbatch="echo 'invalid partition' >&2; exit 1")
    assert done.returncode == 1 and done.stderr == "invalid partition\n"


def test_a_batch_script_runs_the_command_on_every_host(slurm_files: Path) -> None:
    job = next(job for job in jobs_of() if len(job.nodes) == 7)
    done = run_with(
        slurm_files / "jobs" / f"{job.name}.sbatch",
        srun='[ "$1" = --kill-on-bad-exit=1 ] && shift; '
        'for host in 0 1; do SLURM_PROCID=$host "$@"; done',
        python='printf "%s\\t" "$@"; echo',
    )
    lines = [line.split("\t")[:-1] for line in done.stdout.splitlines()]
    for host, words in enumerate(lines):
        given = options_of(shlex.join(["python", *words]))
        assert (given["node"], given["host"]) == ([job.pattern], host)
        assert given["hosts"] == job.slice.hosts
        assert given["runs"] == Path("/shared/runs of ours")
        assert given["data_dir"] == Path("/shared/data of ours")
    assert done.returncode == 0 and len(lines) == 2


# Mistakes.


@pytest.mark.parametrize(
    ("launcher", "more", "named"),
    [
        ("kubeflow", {}, ["'kubeflow'", "skypilot, slurm"]),
        ("skypilot", {"bucket": ""}, ["--bucket is missing", "gs://NAME"]),
        ("skypilot", {"bucket": "/disk"}, ["--bucket /disk", "gs://NAME"]),
        ("skypilot", {"bucket": "gs://Big Bucket"}, ["--bucket gs://Big Bucket"]),
        ("skypilot", {"data_dir": "/disk"}, ["--data-dir /disk", "gs://NAME"]),
        ("slurm", {"bucket": ""}, ["--bucket is missing", "absolute path"]),
        ("slurm", {"bucket": "gs://pod-runs"}, ["--bucket gs://pod-runs", "absolute path"]),
        ("slurm", {"data_dir": "gs://pod-data"}, ["--data-dir gs://pod-data", "absolute path"]),
        ("slurm", {"spot": True}, ["--spot", "slurm"]),
    ],
)
def test_options_that_a_launcher_refuses(launcher: str, more: dict, named: list[str]) -> None:
    launch = planned(launcher if launcher in BUCKETS else "slurm", **more)
    with pytest.raises(UserError) as caught:
        job_files.files(launcher, launch)
    assert all(words in str(caught.value) for words in named)


def test_slices_that_do_not_fit_the_batches(paper: Tree) -> None:
    small = Slice.of("v5e", "2x4")
    with pytest.raises(UserError, match=r"v4:8x8x16 has 1024 chips and 256 hosts.* 64 data shards"):
        of_tree(paper, Slice.of("v4", "8x8x16"), small)
    with pytest.raises(UserError, match=r"v5e:8x16 has 128 chips .* batch of 128 in 8 data shards"):
        of_tree(paper, small, Slice.of("v5e", "8x16"))


def test_nothing_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = job_files.files("slurm", planned("slurm"))
    calls = []

    def full(self: Path, *_: object, **__: object) -> None:
        calls.append(self)
        if len(calls) == 9:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match=r"No space left on device.*name another folder with --to"):
        job_files.write(texts, tmp_path / "jobs")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_or_can_not_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already: name a new folder"):
        job_files.write({}, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"can't write .*jobs \(.*\): name another folder"):
        job_files.write({"a": ""}, tmp_path / "file" / "jobs")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Forecasts, and sizes of checkpoints against the initialised state.

TPU_HOUR = 275e12 * 0.5 * 3600


@pytest.mark.parametrize(
    ("size", "stage", "decoder"), [("base", "hybrid", 2), ("large", "span_corruption", 0)]
)
def test_a_checkpoint_is_as_large_as_the_state(size: str, stage: Stage, decoder: int) -> None:
    """All but the few scalars and the placeholders of the slots that a tensor does not have.

    The widths are the paper's; three different depths show that each is counted, and trace faster.
    """
    config = PAPER[size]
    model = dataclasses.replace(
        config.model,
        num_encoder_layers=4,
        num_decoder_layers=3,
        generator_num_layers=1,
        generator_num_decoder_layers=decoder,
    )
    config = dataclasses.replace(config, model=model)
    state = jax.eval_shape(lambda: step.init_state(config, 0, stage))
    exact = sum(leaf.size * 4 for leaf in jax.tree.leaves((state.params, state.slots)))
    assert checkpoint_bytes(config, stage) == pytest.approx(exact, abs=4 * 3000)


def small(**more: object) -> forecast.Forecast:
    """Base, τ = 60K, one seed: 60K and 440K steps, then 7 fine-tuning runs at 500K."""
    paper = load_profile("paper")
    tree = build(paper, paper.select(["base"], ["60K"], [0]))
    jobs = of_tree(tree, Slice.of("v4", "4x4x4"), Slice.of("v4", "2x2x2"))
    # An hour of a job's whole slice, by hand, for every step's worth.
    flops = {
        "base/s0/hybrid/0-60K": 64 * 10 * TPU_HOUR,
        "base/s0/tau60K/60K-500K": 64 * 30 * TPU_HOUR,
    }
    flops |= {node.name: 8 * 2 * TPU_HOUR for node in tree.finetunings()}

    launch = Launch(profile="paper", jobs=jobs, bucket="")
    return forecast.run(launch, tree, flops, **{"mfu": 0.5} | more)  # type: ignore[arg-type]


def test_hours_chips_and_bytes_by_hand() -> None:
    found = small(price=3.0)
    pretraining, finetuning, total = found.rows
    assert pretraining.chip_hours == pytest.approx(64 * 40)
    assert finetuning.chip_hours == pytest.approx(7 * 8 * 2)
    assert total.chip_hours == pytest.approx(2560 + 112)
    # 0, 10K … 60K; then 60K, 70K … 500K.
    assert pretraining.checkpoints == 7 + 45
    hybrid, plain = (
        checkpoint_bytes(PAPER["base"], stage) for stage in ("hybrid", "span_corruption")
    )
    assert pretraining.all_bytes == 7 * hybrid + 45 * plain
    assert pretraining.last_bytes == hybrid + plain
    # The one it starts from and 32 evaluations, MMLU and BBH included.
    assert finetuning.checkpoints == 7 * 33
    assert (total.jobs, total.nodes, total.steps) == (3, 9, 500_000 + 7 * 262_144)
    text = found.text()
    assert "training reaches 50% of 275 TFLOP/s per chip" in text
    (last,) = (line for line in text.splitlines() if line.startswith("total"))
    assert last.split()[-1] == "8,016", "2,672 chip-hours at 3"
    assert "price" in text and "price" not in small().text()


@pytest.mark.parametrize(
    ("option", "name", "values"),
    [
        ("--mfu", "mfu", (0.0, -0.1, 1.01, float("nan"))),
        ("--price-per-chip-hour", "price", (-1.0, float("nan"), float("inf"))),
    ],
)
def test_shares_and_prices_out_of_range(option: str, name: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(UserError, match=option):
            small(**{name: value})
