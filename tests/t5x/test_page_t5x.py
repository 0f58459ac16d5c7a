"""docs/t5x.md runs as printed; the commands for a bucket run in a folder that is used as one."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import t5x_process
from t5x_process import ROOT, TIMEOUT, assert_same, leaves

from repro import step_lines, t5x_folder
from repro.engines import t5x_command
from spactor.data.manifest import VOCABULARY_FILE
from spactor.data.suites import suite_named

PAGE = (ROOT / "docs" / "t5x.md").read_text("utf-8")
LAPTOP, PAPER, OWN = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(MODULE,) = re.findall(r"^```python\n(import seqio\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# Steps of the paper's commands, and those of the test.
STEPS = {"1262144": "24", "512144": "14", "1000000": "20", "250000": "10"}


def commands(block: str, **variables: str) -> list[list[str]]:
    """T5X's commands of a block, in words, with the shell's variables replaced."""
    for name, value in re.findall(r"^(\w+)=([^\n$]+)$", PAPER, re.MULTILINE):
        variables.setdefault(name, value)
    joined = block.replace("\\\n", " ")
    for name, value in variables.items():
        joined = joined.replace(f"${name}", value)
    return [shlex.split(line) for line in joined.splitlines() if line.startswith("python -m t5x.")]


def shortened(block: str) -> str:
    """A block with the test's steps."""
    for theirs, ours in STEPS.items():
        block = block.replace(theirs, ours)
    return block


def run_of(words: list[str]) -> dict[str, Any]:
    """A command as `t5x_process.many` takes it."""
    given = [word.removeprefix("--").split("=", 1) for word in words[3:]]
    return {
        "script": words[2].removeprefix("t5x."),
        "files": [value for flag, value in given if flag == "gin_file"],
        "macros": {
            flag.removeprefix("gin."): ast.literal_eval(value)
            for flag, value in given
            if flag.startswith("gin.")
        },
    }


def test_files_and_macros_exist() -> None:
    runs = [run_of(words) for block in (LAPTOP, PAPER, OWN) for words in commands(block)]
    assert [run["script"] for run in runs] == [
        *3 * ["train"],
        *3 * ["train"],
        "eval",
        "infer",
        *2 * ["train"],
    ]
    ours = [path.read_text("utf-8") for path in (ROOT / t5x_process.GIN).glob("*.gin")]
    bound = {name for text in ours for name in re.findall(r"^(\w+) = |%(\w+)", text, re.MULTILINE)}
    known = {name for pair in bound for name in pair} | {"EVALUATOR_NUM_EXAMPLES"}
    known |= {"MODEL_DIR", "TRAIN_STEPS", "MIXTURE_OR_TASK_MODULE", "CHECKPOINT_PATH"}
    known |= {"EVAL_OUTPUT_DIR", "INFER_OUTPUT_DIR", "train.eval_steps"}
    for run in runs:
        assert all((ROOT / file).is_file() for file in run["files"])
        assert set(run["macros"]) <= known


def test_target_lengths_are_the_suites() -> None:
    names = re.search(r"^\| suite \| (.*) \|$", PAGE, re.MULTILINE)
    assert names
    for file, corpus in (("benchmark", "c4"), ("embedded_suite", "embedded")):
        row = re.search(rf"^\| `TARGET_LENGTH`, `{file}.gin` \| (.*) \|$", PAGE, re.MULTILINE)
        assert row
        for name, length in zip(names[1].split(" | "), row[1].split(" | "), strict=True):
            assert t5x_command.target_length(suite_named(name, corpus)) == int(length)


@pytest.mark.slow
@pytest.mark.usefixtures("t5x_installed")
def test_the_laptops_commands_run_as_printed(tmp_path: Path) -> None:
    script = LAPTOP.replace("/tmp/spactor", str(tmp_path))
    # The Python of the tests.
    script = f'set -e -o pipefail\npython() {{ "{sys.executable}" "$@"; }}\n{script}'
    log = tmp_path / "log"
    with log.open("wb") as errors:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=t5x_process.environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=TIMEOUT,
        )
    assert done.returncode == 0, log.read_text("utf-8", errors="replace")[-4000:]
    assert '"step": 50' in done.stdout.decode().splitlines()[-1]
    series = t5x_folder.read_steps(tmp_path / "stage2")
    assert {"train/sc_loss", "train/loss", "validation/sc_loss_clean"} <= set(series[40])
    # A nested binding replaces the macro's value in one place.
    config = t5x_folder.config_text(tmp_path / "stage1")
    assert "train.eval_steps = 4" in config and "EVAL_STEPS = 1" in config


def runs_of_the_paper(bucket: Path, data: Path) -> list[dict[str, Any]]:
    """The paper's commands: addresses and steps replaced, and overridden to a tiny size."""
    runs = [run_of(words) for words in commands(shortened(PAPER), BUCKET=str(bucket))]
    common = t5x_process.pretraining_macros(bucket, data, 0)
    common |= t5x_process.finetuning_macros(bucket, data, bucket, 0, 0)
    for name in ("MODEL_DIR", "TRAIN_STEPS", "INITIAL_CHECKPOINT_PATH", "INITIAL_STEP", "SUITE"):
        del common[name]
    common |= {"DATA_FOLDER": str(data), "TARGET_LENGTH": 16}
    for run in runs:
        is_pretraining = f"{t5x_process.GIN}/pretrain.gin" in run["files"]
        run["files"] += ["tiny", "embedded" if is_pretraining else "embedded_suite"]
        own = common if not is_pretraining else t5x_process.pretraining_macros(bucket, data, 0)
        own = {name: value for name, value in own.items() if name in common}
        run["macros"] |= own
    return runs


def own_runs(bucket: Path, data: Path, paper_runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The commands for tasks of one's own, on made-up text, and overridden to a tiny size."""
    for name, numbers in (("train-0", range(300)), ("held-out", range(300, 400))):
        code = "".join(f"def f{i}(x): return x * {i} + {i * i}\n" for i in numbers)
        (bucket / f"{name}.txt").write_text(f"{code}\n", "utf-8")
        answers = "".join(f"Is {i} even?\t{'no' if i % 2 else 'yes'}\n" for i in numbers)
        (bucket / f"{name}.tsv").write_text(answers, "utf-8")
    module = MODULE.replace("gs://t5-data/vocabs/cc_all.32000", str(data))
    (bucket / "my_text.py").write_text(module.replace("gs://YOUR-BUCKET", str(bucket)), "utf-8")
    runs = [run_of(words) for words in commands(shortened(OWN), BUCKET=str(bucket))]
    for run, theirs in zip(runs, (paper_runs[0], paper_runs[2]), strict=True):
        run["files"] += ["tiny"]
        run["macros"] = theirs["macros"] | run["macros"]
        for name in ("DATA_FOLDER", "SUITE"):
            run["macros"].pop(name, None)
        run["macros"]["VOCABULARY_FILE"] = str(data / VOCABULARY_FILE)
    return runs


@pytest.mark.slow
@pytest.mark.usefixtures("t5x_installed")
def test_the_papers_commands_run_in_a_bucket(tmp_path: Path, data: Path, first_stage: Path) -> None:
    """Stage 1, killed and started again; stage 2, fine-tuning, evaluation, inference, own tasks."""
    bucket, stage_1 = tmp_path, tmp_path / "stage1"
    paper_runs = runs_of_the_paper(bucket, data)
    long = paper_runs[0] | {"macros": paper_runs[0]["macros"] | {"TRAIN_STEPS": 100_000}}
    process = t5x_process.start_many([long], bucket, str(bucket))
    end = time.monotonic() + TIMEOUT
    try:
        while not (stage_1 / "checkpoint_5").is_dir():
            log = (bucket / "runs.log").read_text("utf-8", errors="replace")
            assert process.poll() is None and time.monotonic() < end, log[-4000:]
            time.sleep(0.1)
    finally:
        process.kill()
        process.communicate()
    for path in stage_1.glob("checkpoint_*"):
        if path.name not in ("checkpoint_0", "checkpoint_5"):
            shutil.rmtree(path)

    paper_runs[1]["macros"]["KEEP_CHECKPOINTS"] = 2
    # The user's module comes first: what it imports registers itself while gin is locked.
    own = own_runs(bucket, data, paper_runs)
    ends = t5x_process.many([*own, *paper_runs], bucket, str(bucket), path=bucket)
    assert ends == [None] * 7
    assert_same(leaves(stage_1 / "checkpoint_10"), leaves(first_stage / "checkpoint_10"))
    kept = sorted(path.name for path in (bucket / "stage2").glob("checkpoint_*"))
    assert kept == ["checkpoint_15", "checkpoint_20"]
    series = t5x_folder.read_steps(bucket / "stage2")
    assert series[20]["validation/sc_loss_clean"] > 0
    assert set(step_lines.last_digests(stage_1 / step_lines.DIGESTS)) >= {5, 10}
    scores = sorted(path.name for path in (bucket / "scores").glob("inference_eval/*.jsonl"))
    assert scores and list((bucket / "texts").glob("*-predict.jsonl-*"))
    assert t5x_folder.read_steps(bucket / "my-stage1")[10]["train/loss"] > 0
    answers = bucket / "my-tuned" / "inference_eval" / "my_answers-metrics.jsonl"
    assert set(step_lines.read_steps(answers)) == {14}
