"""The tree of segments: what the experiments of a profile share is trained once and branched.

A segment is one objective from one step to another, from a parent. With one size and seed, every
τ shares the hybrid steps below it, so those are one chain; each finite τ branches off it. The
chain is cut where a branch leaves and where models are fine-tuned; fine-tuning runs are leaves.

The tree is always built from the whole matrix of a profile, then cut down to the experiments
asked for: a node's name and identity don't depend on what else is run with it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from repro.specs import ExperimentSpec, Profile, Tau, step_label
from spactor.config import FinetuneConfig, PretrainConfig, Stage
from spactor.curriculum import stage_at
from spactor.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Pre-training with one objective over some steps.

    Attributes:
      name: readable, and the folder of its runs.
      start_paper, end_paper: on the paper's scale of steps.
      start_step, end_step: the profile's own.
      parent: name of the segment it continues; None at step 0.
      specs: experiments whose path runs through it.
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
        """Steps it trains."""
        return self.end_step - self.start_step

    @property
    def tokens_per_sequence(self) -> int:
        """Tokens of text in one example."""
        return self.config.lengths.chunk_tokens


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """One suite fine-tuned from one checkpoint of one experiment.

    Attributes:
      name: readable, and the folder of its runs.
      seed: of fine-tuning; that of its pre-training is the same.
      checkpoint_paper, checkpoint_step: pre-training steps it starts from.
      parent: name of the segment that ends there.
      specs: experiments it belongs to; several only where their hybrid steps are shared.
    """

    name: str
    size: str
    seed: int
    suite: str
    checkpoint_paper: int
    checkpoint_step: int
    parent: str
    config: FinetuneConfig
    pretraining: PretrainConfig
    specs: tuple[ExperimentSpec, ...]

    @property
    def steps(self) -> int:
        """Steps it trains."""
        return self.config.total_steps

    @property
    def tokens_per_sequence(self) -> int:
        """Encoder positions of one example."""
        return self.config.input_length


Node = Segment | Finetuning


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Nodes by name, every parent before its children.

    Attributes:
      profile: what it was built from.
      specs: experiments it serves.
      nodes: segments and fine-tuning runs.
    """

    profile: Profile
    specs: tuple[ExperimentSpec, ...]
    nodes: Mapping[str, Node]

    def children(self, name: str | None) -> list[Node]:
        """Nodes that start where this one ends; the roots for None."""
        return [node for node in self.nodes.values() if node.parent == name]

    def path(self, spec: ExperimentSpec) -> list[Segment]:
        """Segments an experiment runs through, in order."""
        return [
            node for node in self.nodes.values() if isinstance(node, Segment) and spec in node.specs
        ]

    def segments(self) -> list[Segment]:
        """Pre-training nodes."""
        return [node for node in self.nodes.values() if isinstance(node, Segment)]

    def finetunings(self) -> list[Finetuning]:
        """Fine-tuning nodes."""
        return [node for node in self.nodes.values() if isinstance(node, Finetuning)]


def build(profile: Profile, specs: Sequence[ExperimentSpec] | None = None) -> Tree:
    """The tree that serves ``specs``, by default every experiment of the profile.

    >>> from repro.specs import load_profile
    >>> tree = build(load_profile("smoke"))
    >>> [node.name for node in tree.path(tree.specs[1])]
    ['base/s0/hybrid/0-60K', 'base/s0/tau60K/60K-500K']
    """
    every = profile.specs()
    wanted = every if specs is None else tuple(specs)
    for spec in wanted:
        if spec not in every:
            raise UserError(f"profile {profile.name} has no experiment {spec}")
    groups: dict[tuple[str, int], list[ExperimentSpec]] = defaultdict(list)
    for spec in every:
        groups[spec.size, spec.seed].append(spec)
    nodes: dict[str, Node] = {}
    for (size, seed), group in groups.items():
        for node in _nodes_of_group(profile, size, seed, group):
            served = tuple(spec for spec in node.specs if spec in wanted)
            if served:
                nodes[node.name] = dataclasses.replace(node, specs=served)
    return Tree(profile=profile, specs=wanted, nodes=nodes)


def _branch(tau: Tau) -> str:
    return {"0": "sc", "inf": "hybrid"}.get(str(tau), f"tau{tau}")


def _nodes_of_group(
    profile: Profile, size: str, seed: int, specs: Sequence[ExperimentSpec]
) -> Iterable[Node]:
    """Nodes of one size and seed: the hybrid chain, then each branch, leaves after their parent."""
    checkpoints = {spec: profile.matrix[size].checkpoints[spec.tau] for spec in specs}
    hybrid_cuts = sorted(
        {
            step
            for spec in specs
            for step in (spec.tau.end, *checkpoints[spec])
            if 0 < step <= min(spec.tau.end, checkpoints[spec][-1])
        }
    )
    base = f"{size}/s{seed}"
    hybrid_end: dict[int, str] = {}

    def leaves(parent: Segment, branch: str) -> Iterable[Finetuning]:
        served = tuple(spec for spec in parent.specs if parent.end_paper in checkpoints[spec])
        for suite in profile.suites if served else ():
            yield Finetuning(
                name=f"{base}/{branch}/{step_label(parent.end_paper)}/finetune-{suite}",
                size=size,
                seed=seed,
                suite=suite,
                checkpoint_paper=parent.end_paper,
                checkpoint_step=parent.end_step,
                parent=parent.name,
                config=profile.finetuning[suite],
                pretraining=profile.sizes[size],
                specs=served,
            )

    def chain(
        branch: str,
        start: int,
        cuts: Sequence[int],
        parent: str | None,
        served: Mapping[int, tuple[ExperimentSpec, ...]],
    ) -> Iterable[Segment]:
        for end in cuts:
            segment = Segment(
                name=f"{base}/{branch}/{step_label(start)}-{step_label(end)}",
                size=size,
                seed=seed,
                # All that share a segment are in one stage where it begins.
                stage=stage_at(start, served[end][0].tau.end),
                start_paper=start,
                end_paper=end,
                start_step=profile.step_of(start),
                end_step=profile.step_of(end),
                parent=parent,
                config=profile.sizes[size],
                specs=served[end],
            )
            yield segment
            start, parent = end, segment.name

    served = {
        cut: tuple(spec for spec in specs if cut <= min(spec.tau.end, checkpoints[spec][-1]))
        for cut in hybrid_cuts
    }
    for segment in chain("hybrid", 0, hybrid_cuts, None, served):
        hybrid_end[segment.end_paper] = segment.name
        yield segment
        yield from leaves(segment, "hybrid")
    for spec in specs:
        cuts = [step for step in checkpoints[spec] if step > spec.tau.end]
        parent = hybrid_end.get(spec.tau.end)
        mine = dict.fromkeys(cuts, (spec,))
        for segment in chain(_branch(spec.tau), spec.tau.end, cuts, parent, mine):
            yield segment
            yield from leaves(segment, _branch(spec.tau))


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Pre-training work of a tree, shared and alone.

    Attributes:
      steps, flops: as the tree trains.
      steps_alone, flops_alone: with every experiment trained from step 0 by itself.
    """

    steps: int
    flops: float
    steps_alone: int
    flops_alone: float

    @property
    def steps_saved(self) -> float:
        """Fraction of the steps that sharing saves."""
        return 1.0 - self.steps / self.steps_alone

    @property
    def flops_saved(self) -> float:
        """Fraction of the FLOPs that sharing saves."""
        return 1.0 - self.flops / self.flops_alone


def totals(tree: Tree, flops: Mapping[str, float]) -> Totals:
    """Adds up the pre-training of a tree, given the FLOPs of each node."""
    segments = tree.segments()
    return Totals(
        steps=sum(node.steps for node in segments),
        flops=sum(flops[node.name] for node in segments),
        steps_alone=sum(node.steps * len(node.specs) for node in segments),
        flops_alone=sum(flops[node.name] * len(node.specs) for node in segments),
    )
