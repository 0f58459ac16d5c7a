"""Whether what a fine-tuning run predicted is scored, and with what.

Scores are a function of predictions and prepared data; they have an identity of their own, beside
the node's. Another metric or another TensorFlow means scoring again, never training again. A
folder without predictions was scored by the engine that wrote it, as T5X does.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from repro import folders, identity
from repro.engines import Engine, PreparedData
from repro.plan import Finetuning
from repro.step_lines import read_steps
from spactor import predictions
from spactor.data import benchmarks
from spactor.errors import Damaged, UserError

SCORES = "inference_eval"
"""Folder of the scores inside a node's, as T5X names it."""
BASIS = "scores.json"
"""What the scores there depend on; written before the first of them."""
_ENDING = "-metrics.jsonl"


def task_of(path: Path, suite: str) -> str:
    """A task's name in the records from that of its file of scores.

    >>> task_of(Path("spactor_glue_pair-metrics.jsonl"), "glue")
    'pair'
    >>> task_of(Path("spactor_benchmark_glue_mnli_matched-metrics.jsonl"), "glue")
    'mnli'
    """
    registered = path.name.removesuffix(_ENDING)
    if registered in benchmarks.RECORDED_AS:
        return benchmarks.RECORDED_AS[registered][1]
    return registered.removeprefix(f"spactor_{suite}_")


def score_files(folder: Path) -> list[Path]:
    """Files of scores in a node's folder, one per task."""
    return sorted((folder / SCORES).glob(f"*{_ENDING}"))


def unscored(folder: Path, node: Finetuning) -> tuple[int, ...]:
    """Steps whose predictions are kept and not scored for every task."""
    kept = predictions.steps(folder)
    if not kept:
        return ()
    scored = {path.name.removesuffix(_ENDING): read_steps(path) for path in score_files(folder)}

    def is_scored(task: str, step: int) -> bool:
        # Two tasks may be one in the records, so files are asked for by their own names.
        names = (f"spactor_{node.suite}_{task}", benchmarks.task_name(node.suite, task))
        return any(step in scored.get(name, ()) for name in names)

    tasks = predictions.tasks(folder, kept[-1])
    return tuple(step for step in kept if not all(is_scored(task, step) for task in tasks))


def begin(folder: Path, node: Finetuning, files: Mapping[str, str]) -> None:
    """Throws away scores that depend on something else than scores made now would.

    Args:
      folder: of the node.
      node: whose.
      files: digests of the prepared data by path.
    """
    basis = identity.scoring(node, files)
    path = folder / BASIS
    if folders.read_or_set_aside(path) == basis:
        return
    shutil.rmtree(folder / SCORES, ignore_errors=True)
    folders.write_json(path, basis)


def reasons(folder: Path, node: Finetuning, files: Mapping[str, str]) -> tuple[str, ...]:
    """Why a folder's predictions are to be scored, line by line; nothing where they are."""
    if not predictions.steps(folder):
        return ()
    path = folder / BASIS
    basis = identity.scoring(node, files)
    try:
        changed = identity.differences(folders.read_json(path), basis) if path.is_file() else []
    except Damaged:
        return (f"its {BASIS} is damaged",)
    if not changed and (not path.is_file() or unscored(folder, node)):
        return ("its predictions are not scored",)
    return tuple(changed)


def due(folder: Path, node: Finetuning, files: Mapping[str, str], engine: Engine) -> bool:
    """Whether a folder's predictions are to be scored, and this machine can."""
    return engine.can_score() and bool(reasons(folder, node, files))


def complete(folder: Path, node: Finetuning, data: PreparedData, engine: Engine) -> None:
    """Scores what a node's folder holds unscored, or scored otherwise than now.

    Raises:
      UserError: the node was trained on other data.
    """
    recorded = folders.read_json(folder / folders.NODE, {"inputs.data": dict})
    trained_on = recorded["inputs"]["data"]
    if trained_on != identity.data_of(node, data.files):
        raise UserError(
            f"{folder} was trained on other examples than those of {data.folder}: name the "
            "prepared data it was trained on with --data"
        )
    begin(folder, node, data.files)
    for step in unscored(folder, node):
        engine.score(node, data=data, folder=folder, step=step)
