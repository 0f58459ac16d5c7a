"""Division of a tree into jobs: one per segment, and one per checkpoint for all its fine-tuning.

The fine-tuning runs of one checkpoint share a job, because each takes only hours on a small slice,
several have the same compiled program, and a job skips finished nodes after a preemption.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.tpu_slices import Slice
from repro.engines.t5x_command import FINETUNING_SHARDS, PRETRAINING_SHARDS
from repro.plan import Node, Segment, Tree
from spactor.errors import UserError

_LONGEST_NAME = 63
"""Largest length of a job's name that every launcher accepts."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Nodes that one slice trains, one after another.

    Attributes:
      name: name of the job, of lower-case letters, digits and hyphens.
      nodes: names of the nodes, in order.
      pattern: shell pattern that matches only the names of these nodes.
      parent: name of the job that must succeed first; None if there is none.
      slice: slice that trains the nodes.
    """

    name: str
    nodes: tuple[str, ...]
    pattern: str
    parent: str | None
    slice: Slice


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Jobs, with the places of their runs and data.

    Attributes:
      profile: argument of ``--profile``.
      jobs: jobs, every parent before its children.
      bucket: place of the runs: ``gs://NAME``, or a folder that all hosts share.
      spot: whether to request preemptible machines.
      data_dir: place of C4 and the benchmarks, in the form of ``bucket``; "" if not given.
    """

    profile: str
    jobs: tuple[Job, ...]
    bucket: str
    spot: bool = False
    data_dir: str = ""

    def families(self) -> Mapping[str, list[Job]]:
        """Groups jobs by the name of the root that they descend from."""
        root: dict[str, str] = {}
        families: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs:
            root[job.name] = root[job.parent] if job.parent else job.name
            families[root[job.name]].append(job)
        return families

    def command(self, job: Job, runs: str, data: str) -> str:
        """Returns a job's shell command ``repro run``, without the option ``--host``.

        The command needs no ``--engine``, since `of_tree` accepts only profiles for T5X.

        Args:
          job: a job of this launch.
          runs: folder of runs on the job's hosts.
          data: folder with C4 and the benchmarks on the job's hosts.
        """
        options = {
            "profile": self.profile,
            "runs": runs,
            "node": job.pattern,
            "hosts": str(job.slice.hosts),
        }
        options |= {"data-dir": data} if self.data_dir else {}
        words = (f"--{name} {shlex.quote(value)}" for name, value in options.items())
        return f"python -m repro run {' '.join(words)}"


def of_tree(tree: Tree, pretraining: Slice, finetuning: Slice) -> tuple[Job, ...]:
    """Divides a tree into jobs, every parent before its children.

    Args:
      tree: tree of a profile for T5X.
      pretraining, finetuning: slices for the two kinds of job.

    Raises:
      UserError: the profile is not for T5X, or a batch can't be divided by the chips or hosts.

    >>> from repro.plan import build
    >>> from repro.specs import load_profile
    >>> paper = load_profile("paper")
    >>> tree = build(paper, paper.select(["base"], ["60K"], [0]))
    >>> for job in of_tree(tree, Slice.of("v4", "4x4x4"), Slice.of("v4", "2x2x2")):
    ...     print(f"{job.name}, {job.slice}, runs {job.pattern}, after {job.parent}")
    base-s0-hybrid-0-60k, v4:4x4x4, runs base/s0/hybrid/0-60K, after None
    base-s0-tau60k-60k-500k, v4:4x4x4, runs base/s0/tau60K/60K-500K, after base-s0-hybrid-0-60k
    base-s0-tau60k-500k-finetune, v4:2x2x2, runs base/s0/tau60K/500K/finetune-*,
    after base-s0-tau60k-60k-500k
    """
    if tree.profile.engine != "t5x":
        raise UserError(
            f"profile {tree.profile.name} is written for the engine {tree.profile.engine}: jobs "
            'are for T5X; name a profile with engine = "t5x", such as --profile paper'
        )
    groups: dict[str, list[Node]] = defaultdict(list)
    for node in tree.nodes.values():
        place, kind, _ = node.name.partition("/finetune-")
        groups[f"{place}{kind}*" if kind else place].append(node)
    jobs: dict[str, Job] = {}
    for pattern, nodes in groups.items():
        first = nodes[0]
        where, shards = (
            (pretraining, PRETRAINING_SHARDS)
            if isinstance(first, Segment)
            else (finetuning, FINETUNING_SHARDS)
        )
        for node in nodes:
            _require_shared(node.name, node.config.batch_size, where, shards)
        job = Job(
            name=_slug(pattern),
            nodes=tuple(node.name for node in nodes),
            pattern=pattern,
            parent=_slug(first.parent) if first.parent else None,
            slice=where,
        )
        if job.name in jobs:
            raise UserError(
                f"the jobs of {jobs[job.name].pattern} and {pattern} have the same name: rename one"
            )
        jobs[job.name] = job
    return tuple(jobs.values())


def _slug(name: str) -> str:
    """Converts the name of a node or pattern to characters that every launcher accepts."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(slug) > _LONGEST_NAME:
        raise UserError(f"{name} makes a job's name of over {_LONGEST_NAME} letters: shorten it")
    return slug


def _require_shared(name: str, batch: int, where: Slice, most_shards: int) -> None:
    shards = math.gcd(most_shards, batch)
    if batch % where.chips or shards % where.hosts:
        raise UserError(
            f"{where} has {where.chips} chips and {where.hosts} hosts, which can't share the batch "
            f"of {batch} in {shards} data shards of {name}: choose a smaller topology"
        )
