"""Fine-tuning suites made from held-out documents; one module per suite.

Importing this package loads neither TensorFlow nor seqio; `register_suites` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from spactor.data.suites import bbh, cnndm, glue, mmlu, rainbow, squad, superglue
from spactor.data.suites.base import Example, MetricFact, Suite, SuiteTask
from spactor.errors import UserError

__all__ = [
    "SUITES",
    "Example",
    "MetricFact",
    "Suite",
    "SuiteTask",
    "examples_file",
    "mixture_name",
    "register_suites",
    "registered_mixture",
    "suite_named",
    "task_name",
]

_REGISTRY: tuple[Suite, ...] = (
    glue.SUITE,
    superglue.SUITE,
    squad.SUITE,
    cnndm.SUITE,
    rainbow.SUITE,
    mmlu.SUITE,
    bbh.SUITE,
)

SUITES: Mapping[str, Suite] = MappingProxyType({suite.name: suite for suite in _REGISTRY})
"""Every suite by name, in the order of Table 2's columns."""


def suite_named(name: str) -> Suite:
    """A suite by its name.

    Raises:
      UserError: there is no such suite.
    """
    if name not in SUITES:
        raise UserError(f"unknown suite {name!r}: give one of {', '.join(SUITES)}")
    return SUITES[name]


def mixture_name(suite: str) -> str:
    """Name of a suite in seqio's registry of mixtures."""
    return f"spactor_{suite_named(suite).name}"


def task_name(suite: str, task: str) -> str:
    """Name of a task in seqio's registry of tasks, and in the names of its metrics files.

    >>> task_name("glue", "pair")
    'spactor_glue_pair'
    """
    known = [known.name for known in suite_named(suite).tasks]
    if task not in known:
        raise UserError(f"suite {suite!r} has no task {task!r}: give one of {', '.join(known)}")
    return f"spactor_{suite}_{task}"


def examples_file(suite: str, task: str, split: str) -> str:
    """Path of a task's examples inside a prepared folder."""
    return f"suites/{suite}/{task}/{split}.jsonl"


def register_suites(folder: Path) -> None:
    """Registers every suite's tasks and mixture with seqio, reading from ``folder``.

    A suite without examples has no mixture. Idempotent; after a call with another folder the
    names stand for that folder's examples.

    Args:
      folder: a prepared data folder.

    Raises:
      UserError: the folder is missing or damaged.
    """
    # Deferred: it imports TensorFlow.
    from spactor.data.suites import registry

    registry.register(folder, SUITES.values())


def registered_mixture(folder: Path, suite: str) -> str:
    """Registers every suite, and gives the name of one's mixture.

    Raises:
      UserError: no such suite, or as `register_suites`, or the folder has no examples of it.
    """
    from spactor.data import host_tensorflow

    name = mixture_name(suite)
    register_suites(folder)
    if name not in host_tensorflow.seqio().MixtureRegistry.names():
        raise UserError(f"suite {suite!r} lacks examples in {folder}: read more packages")
    return name
