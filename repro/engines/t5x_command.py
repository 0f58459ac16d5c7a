"""Writes the command line, settings and gin files with which stock T5X trains a node.

Sizes and hyper-parameters are written into the node's own folder, ``gin/size.gin`` and, for
fine-tuning, ``gin/finetune.gin``; everything else is a gin file of `spactor.t5x` or a macro. T5X
need not be installed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from repro.engines import t5x_gin_text
from repro.engines.contract import Hosts, Work
from repro.plan import Finetuning, Node, Segment, Tree
from repro.specs import Profile
from spactor.config import CurriculumConfig, PretrainConfig
from spactor.data.manifest import VOCABULARY_FILE, examples_file
from spactor.errors import UserError

if TYPE_CHECKING:
    from spactor.data.suites import Suite

SHIPPED = "spactor/t5x/gin"
"""Folder of the package's gin files, from the folder that T5X runs in."""
PRETRAINING_SHARDS, FINETUNING_SHARDS = 64, 8
"""Virtual shards of the data stream, or fewer where the batch is smaller. They change a node's
numbers, so they depend on the configuration alone."""


def require_runnable(tree: Tree) -> None:
    """Refuses a tree that T5X can't train as the profile specifies.

    T5X counts its periods from the step at which it starts: a segment's first, or a saved one. For
    all segments to validate on the same steps, these must be multiples of the validation period.
    It saves a segment's last step, whatever the period.

    Raises:
      UserError: a period, a segment or a curriculum that does not fit.
    """
    profile = tree.profile
    names = ("log_period_steps", "validation_period_steps", "checkpoint_period_steps")
    log, validation, checkpoint = (getattr(profile, name) for name in names)
    where = f"profile {profile.name}"
    for node in tree.nodes.values():
        if _pretraining_of(node).curriculum != CurriculumConfig():
            raise UserError(
                f"{node.name} has a curriculum, which T5X does not support: "
                "train it with --engine local"
            )
    if checkpoint % validation or validation % log:
        raise UserError(
            f"{where}: T5X needs checkpoint_period_steps {checkpoint} to be a multiple of "
            f"validation_period_steps {validation}, and that to be one of log_period_steps {log}: "
            "change them, or use --engine local"
        )
    for segment in tree.segments():
        if segment.end_step % validation:
            common = math.gcd(*(other.end_step for other in tree.segments()))
            raise UserError(
                f"{where}: {segment.name} ends at step {segment.end_step}, and T5X validates every "
                f"{validation} steps: make validation_period_steps a divisor of {common}, or use "
                "--engine local"
            )
        if profile.validation_chunks < segment.config.batch_size:
            raise UserError(
                f"{where}: T5X validates in whole batches of {segment.config.batch_size}, and "
                f"validation_chunks is {profile.validation_chunks}: raise it to that"
            )


def _pretraining_of(node: Node) -> PretrainConfig:
    return node.pretraining if isinstance(node, Finetuning) else node.config


def first_and_last_step(node: Node) -> tuple[int, int]:
    """Returns a node's first and last step in T5X, where fine-tuning continues pre-training's."""
    if isinstance(node, Finetuning):
        return node.checkpoint_step, node.checkpoint_step + node.config.total_steps
    return node.start_step, node.end_step


def gin_texts(node: Node) -> dict[str, str]:
    """Returns the node's own gin files, by name."""
    head = f"{{}} of {node.name}. Written by `repro run`."
    files = {"size.gin": t5x_gin_text.size_text(_pretraining_of(node), head.format("Size"))}
    if isinstance(node, Finetuning):
        files["finetune.gin"] = t5x_gin_text.finetuning_text(
            node.config, head.format("Fine-tuning")
        )
    return files


def arguments(work: Work, released: Path | None, hosts: Hosts) -> list[str]:
    """Returns the command that trains a node, or resumes it.

    Args:
      work: a node of a tree that passes `require_runnable`, with its gin files in ``gin/`` of its
        folder.
      released: the user's folder with C4 and the benchmarks; None for the embedded corpus.
      hosts: the hosts that train it together.
    """
    node, data, folder, parent = work.node, work.data, work.folder, work.parent
    own = [str(folder.absolute() / "gin" / name) for name in gin_texts(node)]
    _, last = first_and_last_step(node)
    settings: dict[str, object] = {
        "MODEL_DIR": str(folder.absolute()),
        "DATA_FOLDER": str((released or data.folder).absolute()),
        "RANDOM_SEED": node.draw_seed if isinstance(node, Finetuning) else node.seed,
        "TRAIN_STEPS": last,
    }
    if released is not None:
        settings["VOCABULARY_FILE"] = str(data.folder.absolute() / VOCABULARY_FILE)
    if isinstance(node, Finetuning):
        shipped = ["benchmark" if released else "embedded_suite"]
        settings |= _finetuning_settings(work.profile, node)
    else:
        shipped = ["pretrain", node.stage, "c4" if released else "embedded"]
        settings |= _pretraining_settings(work.profile, node)
        if released is not None:
            settings["C4_VERSION"] = data.manifest["corpus"]["version"]
        if parent is not None:
            shipped.append("second_stage")
    if parent is not None:
        start, _ = first_and_last_step(node)
        settings["INITIAL_CHECKPOINT_PATH"] = str(checkpoint(parent.absolute(), start))
    elif isinstance(node, Finetuning):
        settings["INITIAL_CHECKPOINT_PATH"] = []  # T5X then initialises the model.
    files = [*own, *(f"{SHIPPED}/{name}.gin" for name in shipped)]
    return [
        *(sys.executable, "-m", "t5x.train"),
        *_distributed(hosts),
        *(f"--gin_file={name}" for name in files),
        *(f"--gin.{name}={value!r}" for name, value in settings.items()),
    ]


def _distributed(hosts: Hosts) -> list[str]:
    """Returns T5X's flags for ``jax.distributed.initialize``; despite their name for any device."""
    if hosts.count == 1:
        return []
    known = {
        "coordinator_address": hosts.coordinator,
        "process_count": hosts.count,
        "process_index": hosts.number,
    }
    given = known if hosts.coordinator else {}
    return ["--multiprocess_gpu", *(f"--{name}={value}" for name, value in given.items())]


def checkpoint(folder: Path, step: int) -> Path:
    """Returns the folder in which T5X saves a step."""
    return folder / f"checkpoint_{step}"


def _pretraining_settings(profile: Profile, node: Segment) -> Mapping[str, object]:
    batch = node.config.batch_size
    return {
        "DATA_SHARDS": math.gcd(PRETRAINING_SHARDS, batch),
        "STATS_PERIOD": profile.log_period_steps,
        "EVAL_PERIOD": profile.validation_period_steps,
        "CHECKPOINT_PERIOD": profile.checkpoint_period_steps,
        "EVAL_STEPS": profile.validation_chunks // batch,
    }


def scored_tasks(corpus: str, suite: str, prepared: Path) -> list[str]:
    """Returns the names in seqio's registry of the tasks of a suite that T5X scores.

    Args:
      corpus: of the profile.
      suite: its name.
      prepared: folder of prepared data. A task of an embedded suite may lack examples there, such
        as one about packages that are not installed.
    """
    from spactor.data.suites import suite_named

    chosen = suite_named(suite, corpus)
    return [
        chosen.registered_name(task.name)
        for task in chosen.scored
        if not chosen.is_embedded
        or (prepared / examples_file(suite, task.name, "validation")).stat().st_size
    ]


def target_length(suite: Suite) -> int:
    """Returns the decoder positions of a suite in T5X, which cuts what is longer.

    The pieces of an embedded suite's answers depend on the vocabulary, so it has as many as in the
    local engine, in which none is cut.
    """
    from spactor.data.suite_tokens import LENGTH_STEP

    if not suite.is_embedded:
        return suite.target_length
    return math.ceil(suite.target_length / LENGTH_STEP) * LENGTH_STEP


def _finetuning_settings(profile: Profile, node: Finetuning) -> Mapping[str, object]:
    from spactor.data.suites import suite_named

    return {
        "INITIAL_STEP": node.checkpoint_step,
        "SUITE": node.suite,
        "TARGET_LENGTH": target_length(suite_named(node.suite, profile.data.corpus)),
        "DATA_SHARDS": math.gcd(FINETUNING_SHARDS, node.config.batch_size),
        "STATS_PERIOD": node.config.evaluation_period_steps,
    }
