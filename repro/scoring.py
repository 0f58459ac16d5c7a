"""Scores of fine-tuning runs: their files, checks that they are up to date, and scoring.

Scores are a function of predictions and prepared data, with their own identity: after a change of a
metric or of TensorFlow a node is scored again, but not trained again. A folder without predictions
was scored by the engine that trained it (T5X).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

from repro import folders, identity, t5x_folder
from repro.engines.contract import Engine
from repro.engines.data import PreparedData
from repro.node_state import state_of
from repro.plan import Finetuning, Tree
from repro.step_lines import read_steps
from spactor import predictions
from spactor.data import suites
from spactor.errors import Damaged, UserError

SCORES = "inference_eval"
"""Name of the folder of scores in a node's folder, as in T5X."""
BASIS = "scores.json"
"""Name of the file with the identity of the scores, written before them."""
_ENDING = "-metrics.jsonl"


def task_of(path: Path, suite: str) -> str:
    """Returns the task of a file of scores, as records name it.

    >>> task_of(Path("spactor_glue_pair-metrics.jsonl"), "glue")
    'pair'
    >>> task_of(Path("spactor_benchmark_glue_mnli_matched-metrics.jsonl"), "glue")
    'mnli'
    """
    registered = path.name.removesuffix(_ENDING)
    if registered in suites.RECORDED_AS:
        return suites.RECORDED_AS[registered][1]
    return registered.removeprefix(f"spactor_{suite}_")


def score_files(folder: Path) -> list[Path]:
    """Returns the files of scores in a node's folder, one for each task."""
    return sorted((folder / SCORES).glob(f"*{_ENDING}"))


def score_file(folder: Path, registered: str) -> Path:
    """Returns the file of a task's scores, by the task's name in seqio's registry."""
    return folder / SCORES / f"{registered}{_ENDING}"


def first_step(folder: Path, node: Finetuning) -> int:
    """Returns the step in files of scores that is step 0 of the fine-tuning.

    Fine-tuning steps continue those of pre-training in T5X; the local engine counts from 0.
    """
    return node.checkpoint_step if t5x_folder.is_one(folder) else 0


def unscored(folder: Path, node: Finetuning) -> tuple[int, ...]:
    """Returns the steps that have predictions but lack the scores of some task."""
    predicted = predictions.steps(folder)
    if not predicted:
        return ()
    scored = {path.name.removesuffix(_ENDING): read_steps(path) for path in score_files(folder)}

    def is_scored(task: str, step: int) -> bool:
        # Two tasks may have the same name in records, but their files have different names.
        names = [
            known[node.suite].registered_name(task)
            for known in (suites.EMBEDDED, suites.BENCHMARKS)
        ]
        return any(step in scored.get(name, ()) for name in names)

    tasks = predictions.tasks(folder, predicted[-1])
    return tuple(step for step in predicted if not all(is_scored(task, step) for task in tasks))


def discard_outdated(folder: Path, node: Finetuning, files: Mapping[str, str]) -> None:
    """Removes scores with another identity than new scores would have.

    Args:
      folder: folder of the node.
      node: the fine-tuning.
      files: digests of the prepared data, by path.
    """
    basis = identity.scoring(node, files)
    path = folder / BASIS
    if folders.read_or_set_aside(path) == basis:
        return
    shutil.rmtree(folder / SCORES, ignore_errors=True)
    folders.write_json(path, basis)


def reasons_to_score(folder: Path, node: Finetuning, files: Mapping[str, str]) -> tuple[str, ...]:
    """Lists the reasons to score a folder's predictions; () if they are scored."""
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


def needs_scoring(folder: Path, node: Finetuning, files: Mapping[str, str], engine: Engine) -> bool:
    """Whether a folder's predictions need scoring and this machine can score."""
    return engine.can_score() and bool(reasons_to_score(folder, node, files))


def score_missing(folder: Path, node: Finetuning, data: PreparedData, engine: Engine) -> None:
    """Scores the steps of a node that have no scores, or outdated ones.

    Raises:
      UserError: the node was trained on other data.
    """
    recorded = folders.read_node(folder)
    trained_on = recorded.get("inputs", {}).get("data")
    if trained_on != identity.data_of(node, data.files):
        raise UserError(
            f"{folder} was trained on other examples than those of {data.folder}: name its "
            "prepared data with --data"
        )
    discard_outdated(folder, node, data.files)
    for step in unscored(folder, node):
        engine.score(node, data=data, folder=folder, step=step)


def score(tree: Tree, runs: Path, engine: Engine, report: Callable[[str], None]) -> tuple[str, ...]:
    """Scores the finished fine-tuning nodes of a tree that are not scored yet.

    As in `repro collect`, a node may have been trained on another machine.

    Args:
      tree: tree of the nodes.
      runs: an opened folder of runs.
      engine: engine that scores the predictions.
      report: function that is called with a line for each node.

    Returns:
      Names of the scored nodes.

    Raises:
      UserError: this machine can't score, or a node was trained on other data.
    """
    if not engine.can_score():
        raise UserError(
            "scoring needs TensorFlow, seqio and T5: install this project with its 'train' extra"
        )
    data = engine.prepare(tree.profile, report)
    done = []
    for node in tree.finetunings():
        if state_of(tree, runs, node).condition != "finished":
            continue
        folder = folders.node_folder(runs, tree.profile.name, node.name)
        with FileLock(folders.lock_path(folder)):
            if needs_scoring(folder, node, data.files, engine):
                score_missing(folder, node, data, engine)
                report(f"scored {node.name}")
                done.append(node.name)
    return tuple(done)
