"""Scores predictions that another machine made, such as one without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from repro import folders, identity, scoring
from repro.engines.contract import Engine
from repro.node_state import inspect
from repro.plan import Tree
from spactor.errors import UserError


def score(tree: Tree, runs: Path, engine: Engine, report: Callable[[str], None]) -> tuple[str, ...]:
    """Scores the finished fine-tuning nodes of a tree whose predictions are not scored yet.

    As in `repro collect`, a node counts by its settings, whichever machine trained it.

    Args:
      tree: whose nodes.
      runs: an opened runs folder.
      engine: scores the predictions.
      report: called with a line for each node.

    Returns:
      Names of the nodes scored.

    Raises:
      UserError: this machine can't score, or a node was trained on other data.
    """
    if not engine.can_score():
        raise UserError(
            "scoring needs TensorFlow, seqio and T5: install this project with its 'train' extra"
        )
    data = engine.prepare(tree.profile, folders.cache_folder(runs), report)
    done = []
    for node in tree.finetunings():
        folder = folders.node_folder(runs, tree.profile.name, node.name)
        if inspect(folder, identity.settings(tree, node)).condition != "finished":
            continue
        with FileLock(folders.lock_path(folder)):
            if scoring.needs_scoring(folder, node, data.files, engine):
                scoring.score_missing(folder, node, data, engine)
                report(f"scored {node.name}")
                done.append(node.name)
    return tuple(done)
