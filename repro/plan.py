"""The tree of nodes, in which steps that several experiments share are trained once.

A segment is pre-training with one objective between two steps, from a parent. Experiments of one
size and seed share their steps as long as these are equal: every τ shares the hybrid steps before
it, and a variant the steps before its curriculum begins. A segment ends where experiments begin to
differ, where the stage changes and where models are fine-tuned; fine-tuning runs are leaves.

The tree is always built from the whole matrix of a profile, and then restricted to the selected
experiments, so that a node's name and identity do not depend on the selection.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.schema.facts import step_label
from repro import advice
from repro.matrix import MOST_RUNS
from repro.specs import ExperimentSpec, Profile
from spactor.config import FinetuneConfig, PretrainConfig, Stage
from spactor.curriculum import restricted, stage_at
from spactor.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Pre-training with one objective over some steps.

    Attributes:
      name: readable name, and path of the node's folder.
      size, seed: size of the model, and seed of pre-training.
      stage: stage of pre-training.
      start_paper, end_paper: first and last step on the paper's scale.
      start_step, end_step: first and last step on the profile's scale.
      parent: name of the segment that this one continues; None at step 0.
      config: configuration of the training.
      specs: experiments that include the segment.
    """

    name: str
    size: str
    seed: int
    stage: Stage
    start_paper: int
    end_paper: int
    start_step: int
    end_step: int
    parent: str | None
    config: PretrainConfig
    specs: tuple[ExperimentSpec, ...]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.end_step - self.start_step

    @property
    def tokens_per_sequence(self) -> int:
        """Number of text tokens in one example."""
        return self.config.lengths.chunk_tokens


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """Fine-tuning on one suite, from one checkpoint or from scratch.

    Attributes:
      name: readable name, and path of the node's folder.
      size: size of the model.
      seed: seed of the pre-training, or of the initialisation from scratch.
      finetune_seed: seed of the fine-tuning.
      suite: name of the suite.
      checkpoint_paper, checkpoint_step: pre-training step of the checkpoint, on the paper's and on
        the profile's scale; 0 is from scratch.
      parent: name of the segment that ends at the checkpoint; None from scratch.
      config: settings of the fine-tuning.
      pretraining: configuration of the model.
      specs: experiments that include the fine-tuning.
    """

    name: str
    size: str
    seed: int
    finetune_seed: int
    suite: str
    checkpoint_paper: int
    checkpoint_step: int
    parent: str | None
    config: FinetuneConfig
    pretraining: PretrainConfig
    specs: tuple[ExperimentSpec, ...]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.config.total_steps

    @property
    def draw_seed(self) -> int:
        """Seed of data order and dropout, different for every pair of seeds.

        Fine-tuning runs of two pre-training runs are therefore independent, too.
        """
        return self.seed * MOST_RUNS + self.finetune_seed

    @property
    def tokens_per_sequence(self) -> int:
        """Number of encoder positions of one example."""
        return self.config.input_length


Node = Segment | Finetuning


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree of nodes.

    Attributes:
      profile: profile of the experiments.
      specs: experiments of the tree.
      nodes: segments and fine-tuning runs by name, every parent before its children.
    """

    profile: Profile
    specs: tuple[ExperimentSpec, ...]
    nodes: Mapping[str, Node]

    def children(self, name: str | None) -> list[Node]:
        """Returns the children of a node; for None the roots."""
        return [node for node in self.nodes.values() if node.parent == name]

    def path(self, spec: ExperimentSpec) -> list[Segment]:
        """Returns the segments of an experiment, in order."""
        return [node for node in self.segments() if spec in node.specs]

    def named(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Returns the names that match any of some shell patterns, in the tree's order.

        Raises:
          UserError: no name matches one of the patterns.
        """
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in self.nodes):
                listing = advice.command("plan", self.profile, None, "--format", "json")
                raise UserError(
                    f"no selected node of profile {self.profile.name} matches {pattern!r}: "
                    f"`{listing}` lists all"
                )
        return tuple(
            name
            for name in self.nodes
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        )

    def segments(self) -> list[Segment]:
        """Returns the pre-training nodes."""
        return [node for node in self.nodes.values() if isinstance(node, Segment)]

    def finetunings(self) -> list[Finetuning]:
        """Returns the fine-tuning nodes."""
        return [node for node in self.nodes.values() if isinstance(node, Finetuning)]


def build(profile: Profile, specs: Sequence[ExperimentSpec] | None = None) -> Tree:
    """Builds the tree of some experiments, by default of every experiment of the profile.

    Args:
      profile: the profile; its whole matrix decides which steps are shared.
      specs: experiments of the profile.

    Raises:
      UserError: the profile has no such experiment.

    >>> from repro.specs import load_profile
    >>> tree = build(load_profile("smoke"))
    >>> [node.name for node in tree.path(tree.specs[1])]
    ['base/s0/hybrid/0-60K', 'base/s0/tau60K/60K-500K']
    """
    every = profile.specs()
    wanted = every if specs is None else tuple(specs)
    selected = frozenset(wanted)
    for spec in selected.difference(every):
        raise UserError(f"profile {profile.name} has no experiment {spec}")
    groups: dict[tuple[str, int], list[_Course]] = defaultdict(list)
    for spec in every:
        groups[spec.size, spec.seed].append(_Course.of(profile, spec))
    nodes: dict[str, Node] = {}
    for courses in groups.values():
        for node in _Group(profile, courses).nodes():
            served = tuple(spec for spec in node.specs if spec in selected)
            if served:
                nodes[node.name] = dataclasses.replace(node, specs=served)
    return Tree(profile=profile, specs=wanted, nodes=nodes)


@dataclass(frozen=True, kw_only=True)
class _Course:
    """Stages and settings of an experiment along its steps, on the paper's scale."""

    profile: Profile
    spec: ExperimentSpec
    config: PretrainConfig
    hybrid_end: int
    checkpoints: tuple[int, ...]
    """Steps at which the models are fine-tuned, without step 0 (from scratch)."""

    @classmethod
    def of(cls, profile: Profile, spec: ExperimentSpec) -> _Course:
        return cls(
            profile=profile,
            spec=spec,
            config=profile.config_of(spec),
            hybrid_end=profile.hybrid_end(spec),
            checkpoints=tuple(step for step in profile.finetuned_at(spec) if step),
        )

    @property
    def end(self) -> int:
        return self.checkpoints[-1]

    def cuts(self) -> set[int]:
        """Returns the steps where stage or settings may change, or the model is fine-tuned."""
        spec = self.spec
        breaks = self.profile.variants[spec.variant].breaks(spec.tau.end) if spec.variant else set()
        return {step for step in (self.hybrid_end, *breaks, *self.checkpoints) if step <= self.end}

    def between(self, start: int, end: int) -> tuple[Stage, PretrainConfig]:
        """Returns stage and configuration of steps in one stage; equal for equal training."""
        stage = stage_at(start, self.hybrid_end)
        step_of = self.profile.step_of
        return stage, restricted(self.config, stage, step_of(start), step_of(end))

    def branch(self, stage: Stage, config: PretrainConfig) -> str:
        """Returns the part of a node's name that identifies variant and stage."""
        # During a hand-over, experiments of one variant differ by τ.
        shared = stage == "hybrid" and config.curriculum.handover is None
        tau = "sc" if self.spec.tau.end == 0 else f"tau{self.spec.tau}"
        own = "hybrid" if shared else tau
        return f"{self.spec.variant}/{own}" if self.spec.variant else own


class _Group:
    """Builds the nodes of the experiments of one size and seed."""

    def __init__(self, profile: Profile, courses: Sequence[_Course]) -> None:
        self._profile = profile
        self._courses = courses
        self._cuts = sorted({0}.union(*(course.cuts() for course in courses)))
        variants = list(dict.fromkeys(course.spec.variant for course in courses))
        self._rank = {
            course.spec: (variants.index(course.spec.variant), index)
            for index, course in enumerate(courses)
        }
        self._segments: list[Segment] = []

    def nodes(self) -> Iterable[Node]:
        """Yields each variant's hybrid segments, then each branch; leaves follow their parent."""
        self._grow(self._courses, 0, None)
        names = [segment.name for segment in self._segments]
        if len(set(names)) != len(names):
            raise ValueError(f"two segments have one name: {sorted(names)}")
        yield from self._from_scratch()
        for segment in sorted(self._segments, key=self._order):
            yield segment
            yield from self._of_segment(segment)

    def _order(self, segment: Segment) -> tuple[int, ...]:
        variant, index = self._rank[segment.specs[0]]
        is_shared = segment.name.rpartition("/")[0].endswith("hybrid")
        return (variant, 0 if is_shared else 1 + index, segment.start_paper)

    def _grow(self, courses: Sequence[_Course], start: int, parent: str | None) -> None:
        """Adds the segments of experiments with equal training up to ``start``."""
        for sharing in self._alike(courses, start) if courses else ():
            end = self._next(start)
            while self._goes_on(sharing, start, end):
                end = self._next(end)
            segment = self._segment(sharing, start, end, parent)
            self._grow([course for course in sharing if course.end > end], end, segment.name)

    def _next(self, step: int) -> int:
        return self._cuts[self._cuts.index(step) + 1]

    def _alike(self, courses: Sequence[_Course], start: int) -> list[list[_Course]]:
        """Groups experiments with equal training from ``start`` to the next cut."""
        end = self._next(start)
        groups: dict[tuple[Stage, PretrainConfig], list[_Course]] = defaultdict(list)
        for course in courses:
            groups[course.between(start, end)].append(course)
        return list(groups.values())

    def _goes_on(self, sharing: Sequence[_Course], start: int, end: int) -> bool:
        """Whether the segment continues after ``end``, since nothing changes there."""
        if any(end in course.checkpoints for course in sharing):
            return False
        stages = {stage_at(step, course.hybrid_end) for course in sharing for step in (start, end)}
        return len(stages) == 1 and len(self._alike(sharing, end)) == 1

    def _segment(
        self, sharing: Sequence[_Course], start: int, end: int, parent: str | None
    ) -> Segment:
        course = sharing[0]
        stage, config = course.between(start, end)
        spec, branch = course.spec, course.branch(stage, config)
        segment = Segment(
            name=f"{spec.size}/s{spec.seed}/{branch}/{step_label(start)}-{step_label(end)}",
            size=spec.size,
            seed=spec.seed,
            stage=stage,
            start_paper=start,
            end_paper=end,
            start_step=self._profile.step_of(start),
            end_step=self._profile.step_of(end),
            parent=parent,
            config=config,
            specs=tuple(course.spec for course in sharing),
        )
        self._segments.append(segment)
        return segment

    def _of_segment(self, parent: Segment) -> Iterable[Finetuning]:
        end = parent.end_paper
        branch = parent.name.rpartition("/")[0]
        served = [spec for spec in parent.specs if end in self._profile.finetuned_at(spec)]
        return self._leaves(f"{branch}/{step_label(end)}", end, parent.name, parent.config, served)

    def _from_scratch(self) -> Iterable[Finetuning]:
        """Returns the fine-tuning runs from scratch, which experiments of every τ share."""
        served = [
            course.spec for course in self._courses if 0 in self._profile.finetuned_at(course.spec)
        ]
        if not served:
            return ()
        size, seed = served[0].size, served[0].seed
        config = self._profile.sizes[size]
        return self._leaves(f"{size}/s{seed}/scratch", 0, None, config, served)

    def _leaves(
        self,
        place: str,
        checkpoint: int,
        parent: str | None,
        pretraining: PretrainConfig,
        served: Sequence[ExperimentSpec],
    ) -> Iterable[Finetuning]:
        profile = self._profile
        for suite in profile.suites if served else ():
            for finetune_seed in profile.matrix[served[0].size].finetune_seeds:
                yield Finetuning(
                    name=f"{place}/finetune-{suite}/f{finetune_seed}",
                    size=served[0].size,
                    seed=served[0].seed,
                    finetune_seed=finetune_seed,
                    suite=suite,
                    checkpoint_paper=checkpoint,
                    checkpoint_step=profile.step_of(checkpoint),
                    parent=parent,
                    config=profile.finetuning[suite],
                    pretraining=pretraining,
                    specs=tuple(served),
                )
