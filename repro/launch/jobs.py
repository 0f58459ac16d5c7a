"""The tree as jobs: one per segment, and one per checkpoint for all fine-tuning from it.

Fine-tuning runs of one checkpoint are a job together: each takes hours on a small slice, several
are one compiled program, and a job that goes on after a preemption skips what is finished.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from repro.engines.t5x_command import FINETUNING_SHARDS, PRETRAINING_SHARDS
from repro.launch.slices import Slice
from repro.plan import Finetuning, Segment, Tree
from spactor.errors import UserError

_LONGEST_NAME = 63  # of a job in Kubernetes, the strictest of the launchers


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one slice does between being given and given back.

    Attributes:
      name: of small letters, digits and hyphens.
      nodes: of the tree, in order.
      pattern: fits the names of these nodes and no other's.
      parent: name of the job that must have ended well; None where there is none.
      slice: what it runs on.
    """

    name: str
    nodes: tuple[str, ...]
    pattern: str
    parent: str | None
    slice: Slice


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Jobs, and what launchers must know beside.

    Attributes:
      profile: as the user named it.
      jobs: every parent before its children.
      bucket: where runs are kept: ``gs://NAME``, or a folder that all hosts share.
      spot: ask for machines that may be taken away.
      image: of the container; "" where the launcher runs none.
      data_dir: where C4 and the benchmarks are, as ``bucket``; "" for the embedded corpus.
    """

    profile: str
    jobs: tuple[Job, ...]
    bucket: str
    spot: bool = False
    image: str = ""
    data_dir: str = ""

    def families(self) -> Mapping[str, tuple[Job, ...]]:
        """Jobs that descend from one root, in order, by the name of the root."""
        root: dict[str, str] = {}
        for job in self.jobs:
            root[job.name] = root[job.parent] if job.parent else job.name
        return {
            name: tuple(job for job in self.jobs if root[job.name] == name)
            for name in dict.fromkeys(root.values())
        }

    def options(self, job: Job, runs: str, data: str) -> dict[str, str]:
        """Options of ``repro run`` for a job, but for the number of the host.

        The engine is the profile's own, which `of_tree` has seen to be T5X.

        Args:
          job: of this launch.
          runs, data: folders of runs and of C4 and the benchmarks, as the job's hosts see them.
        """
        options = {"profile": self.profile, "runs": runs, "node": job.pattern}
        return options | {"data-dir": data} if self.data_dir else options

    def command(self, job: Job, runs: str, data: str) -> str:
        """The same as a line for a shell, without the number of the host."""
        options = (
            f"--{name} {shlex.quote(v)}" for name, v in self.options(job, runs, data).items()
        )
        return f"python -m repro run {' '.join(options)}"


def of_tree(tree: Tree, pretraining: Slice, finetuning: Slice) -> tuple[Job, ...]:
    """Jobs of a tree, every parent before its children.

    Args:
      tree: of a profile that T5X trains.
      pretraining, finetuning: slices for the two kinds of job.

    Raises:
      UserError: the profile is not for T5X, or a batch can't be shared by the chips or hosts.

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
    jobs: dict[str, Job] = {}
    for node in tree.nodes.values():
        if isinstance(node, Segment):
            pattern, where = node.name, pretraining
            _require_shared(node.name, node.config.batch_size, where, PRETRAINING_SHARDS)
        else:
            place, _, _ = node.name.partition("/finetune-")
            pattern, where = f"{place}/finetune-*", finetuning
            _require_shared(node.name, node.config.batch_size, where, FINETUNING_SHARDS)
        name = _slug(pattern)
        known = jobs.get(name)
        if known is None:
            jobs[name] = Job(
                name=name,
                nodes=(node.name,),
                pattern=pattern,
                parent=_slug(node.parent) if node.parent else None,
                slice=where,
            )
        elif isinstance(node, Finetuning) and known.pattern == pattern:
            jobs[name] = dataclasses.replace(known, nodes=(*known.nodes, node.name))
        else:
            raise UserError(f"{node.name} and {known.nodes[0]} give jobs of one name: rename one")
    return tuple(jobs.values())


def _slug(name: str) -> str:
    """A node's name, or a pattern's, in letters that every launcher takes."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(slug) > _LONGEST_NAME:
        raise UserError(f"{name} makes a job's name of over {_LONGEST_NAME} letters: shorten it")
    return slug


def _require_shared(name: str, batch: int, where: Slice, most_shards: int) -> None:
    shards = math.gcd(most_shards, batch)
    if batch % where.chips or shards % where.hosts:
        raise UserError(
            f"{where} has {where.chips} chips and {where.hosts} hosts, and {name} has a batch of "
            f"{batch} in {shards} shards of data, which they can't share: choose a smaller topology"
        )
