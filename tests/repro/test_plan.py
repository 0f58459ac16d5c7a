"""The tree, against counts made by hand."""

import dataclasses
import types
from collections import Counter

import pytest

from repro import costs
from repro.plan import Finetuning, Segment, Tree, build
from repro.plan_view import totals
from repro.profile_files import SCALES
from repro.specs import load_profile


@pytest.mark.parametrize("name", SCALES)
def test_every_tree_is_sound(name: str) -> None:
    tree = build(load_profile(name))
    seen: set[str] = set()
    for node_name, node in tree.nodes.items():
        assert node.name == node_name
        assert node.parent is None or node.parent in seen, "parents come first"
        seen.add(node_name)
        if isinstance(node, Segment):
            assert node.start_step < node.end_step
            assert (node.parent is None) == (node.start_step == 0)
            if node.parent:
                assert tree.nodes[node.parent].end_step == node.start_step
        elif node.parent:
            assert tree.nodes[node.parent].end_step == node.checkpoint_step
        else:
            assert node.checkpoint_step == 0
    counted = Counter(node.size for node in tree.nodes.values())
    for size, nodes in counted.items():
        assert nodes <= tree.profile.most_nodes(size)
    draws = {(node.size, node.draw_seed) for node in tree.finetunings()}
    assert len(draws) == sum(row.runs * row.finetune_runs for row in tree.profile.matrix.values())
    for spec in tree.specs:
        path = tree.path(spec)
        last = tree.profile.checkpoints_of(spec)[-1]
        assert [node.start_paper for node in path] == [0, *(node.end_paper for node in path[:-1])]
        assert path[-1].end_paper == last
        for node in path:
            hybrid = node.end_paper <= spec.tau.end
            assert node.stage == ("hybrid" if hybrid else "span_corruption")


def test_the_papers_tree() -> None:
    tree = build(load_profile("paper"))
    segments = Counter(node.size for node in tree.segments())
    # Base, per seed: hybrid cut at 60K, 120K, 250K, 500K, 1M (5); span corruption from 0 (2),
    # from 60K (1), 120K (2), 250K (2): 12. Large: hybrid to 120K (1), from 0 (2), from 120K (2).
    assert segments == {"base": 5 * 12, "large": 3 * 5}
    # Base fine-tunes at both checkpoints for 0, 120K, 250K, ∞, at one for 60K: 9 × 7 suites.
    leaves = Counter(node.size for node in tree.finetunings())
    assert leaves == {"base": 5 * 9 * 7, "large": 3 * 4 * 7}
    # Base: 1M hybrid, 1M + 440K + 880K + 750K span corruption. Large: 120K, 1M + 880K.
    cost = totals(tree, {name: float(node.steps) for name, node in tree.nodes.items()})
    assert cost["steps"] == 5 * 4_070_000 + 3 * 2_000_000 == 26_350_000
    # Alone: 1M each, but for 60K, which ends at 500K.
    assert cost["steps_alone"] == 5 * 4_500_000 + 3 * 2_000_000 == 28_500_000
    assert cost["steps_saved_fraction"] == pytest.approx(2.15 / 28.5)
    assert (cost["flops"], cost["flops_alone"]) == (cost["steps"], cost["steps_alone"])


def test_names_and_sharing_of_a_small_tree(tree: Tree) -> None:
    assert list(tree.nodes) == [
        "base/s0/hybrid/0-250K",
        "base/s0/hybrid/250K-500K",
        "base/s0/hybrid/500K/finetune-glue/f0",
        "base/s0/hybrid/500K-1M",
        "base/s0/hybrid/1M/finetune-glue/f0",
        "base/s0/sc/0-500K",
        "base/s0/sc/500K/finetune-glue/f0",
        "base/s0/sc/500K-1M",
        "base/s0/sc/1M/finetune-glue/f0",
        "base/s0/tau250K/250K-500K",
        "base/s0/tau250K/500K/finetune-glue/f0",
        "base/s0/tau250K/500K-1M",
        "base/s0/tau250K/1M/finetune-glue/f0",
    ]
    shared = tree.nodes["base/s0/hybrid/0-250K"]
    assert [str(spec.tau) for spec in shared.specs] == ["250K", "inf"]
    assert (shared.start_step, shared.end_step, shared.stage) == (0, 5, "hybrid")
    assert tree.nodes["base/s0/tau250K/250K-500K"].parent == shared.name


def test_a_part_of_the_matrix_has_the_nodes_of_the_whole() -> None:
    profile = load_profile("micro")
    whole = build(profile)
    part = build(profile, profile.select(sizes=["base"], taus=["120K"]))
    assert [name for name in part.nodes if "finetune" not in name] == [
        "base/s0/hybrid/0-60K",
        "base/s0/hybrid/60K-120K",
        "base/s0/tau120K/120K-500K",
        "base/s0/tau120K/500K-1M",
    ]
    for name, node in part.nodes.items():
        assert node == dataclasses.replace(whole.nodes[name], specs=node.specs)


def with_row(profile, **changes):
    row = dataclasses.replace(profile.matrix["base"], **changes)
    return dataclasses.replace(profile, matrix=types.MappingProxyType({"base": row}))


def test_checkpoints_inside_the_shared_hybrid_steps_are_fine_tuned_once(tiny) -> None:
    tree = build(with_row(tiny, checkpoints=(200_000, 1_000_000)))
    leaf = tree.nodes["base/s0/hybrid/200K/finetune-glue/f0"]
    assert isinstance(leaf, Finetuning)
    assert [str(spec.tau) for spec in leaf.specs] == ["250K", "inf"]


def test_seeds_of_fine_tuning_and_of_pre_training_are_independent(tiny) -> None:
    tree = build(with_row(tiny, runs=2, finetune_runs=3))
    of_one = [
        node
        for node in tree.finetunings()
        if node.checkpoint_paper == 500_000 and "/sc/" in node.name
    ]
    assert [(node.seed, node.finetune_seed) for node in of_one] == [
        (seed, finetune_seed) for seed in (0, 1) for finetune_seed in (0, 1, 2)
    ]
    assert len({node.draw_seed for node in of_one}) == 6
    assert of_one[4].name == "base/s1/sc/500K/finetune-glue/f1"
    # More runs add nodes and change none.
    fewer = build(with_row(tiny, runs=1, finetune_runs=1))
    assert all(tree.nodes[name] == node for name, node in fewer.nodes.items())


def test_continuous_fine_tuning_cuts_segments_and_scratch_does_not(tiny) -> None:
    tree = build(with_row(tiny, finetune_at=(0, 100_000, 500_000)))
    for spec in tree.specs:
        assert tree.profile.finetuned_at(spec) == (0, 100_000, 500_000, 1_000_000)
        assert tree.profile.checkpoints_of(spec) == (500_000, 1_000_000)
    scratch = [node for node in tree.finetunings() if node.checkpoint_paper == 0]
    assert [node.name for node in scratch] == ["base/s0/scratch/finetune-glue/f0"]
    assert scratch[0].parent is None and scratch[0].checkpoint_step == 0
    assert [str(spec.tau) for spec in scratch[0].specs] == ["0", "250K", "inf"]
    assert [node.name for node in tree.segments()][:2] == [
        "base/s0/hybrid/0-100K",
        "base/s0/hybrid/100K-250K",
    ]
    alone = build(with_row(tiny, finetune_at=(0,)))
    plain = {node.name for node in build(tiny).segments()}
    assert {node.name for node in alone.segments()} == plain


def test_a_guess_counts_what_a_node_does_beside_its_steps(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(costs, "matmul_flops_per_core_second", lambda: 80e9)
    tree = build(load_profile("smoke"), load_profile("smoke").select())
    guess = costs.estimate(tree, costs.tree_flops(tree), tmp_path, jobs=2)
    # 50 nodes on two processes; smoke's own FLOPs take less than a second.
    assert guess.elapsed == pytest.approx(
        50 / 2 * costs.NODE_OVERHEAD_FLOPS / (0.4 * 80e9), rel=0.05
    )
    assert guess.sentence.startswith("47 s to 3 min in 2 processes")
