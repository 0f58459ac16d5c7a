"""Fingerprints; `test_staleness` tests what changes them, through the runner."""

import json

import pytest

from repro import identity
from repro.plan import Tree, build
from repro.specs import Profile

FILES = {"tokens_train.npy": "1f", "suites/glue/pair/train.jsonl": "2e", "manifest": "3d"}
HYBRID, BRANCH, LEAF = (
    "base/s0/hybrid/0-250K",
    "base/s0/tau250K/250K-500K",
    "base/s0/tau250K/500K/finetune-glue/f0",
)
BASELINE = "base/s0/sc/0-500K"


@pytest.fixture(autouse=True)
def one_installation(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Code and versions, which a test may change."""
    installed = {f"spactor.{name}": name for name in ("pretraining", "finetuning", "scoring")}
    installed |= {"jax": "1", "t5": "1"}
    monkeypatch.setattr(identity, "code_digests", lambda module: {module: installed[module]})
    monkeypatch.setattr(
        identity.provenance,
        "versions",
        lambda names: {name: installed.get(name, "0") for name in names},
    )
    return installed


def prints(tree: Tree, files: dict[str, str] = FILES) -> dict[str, str]:
    return {name: found.fingerprint for name, found in identity.identities(tree, files, {}).items()}


def test_all_fingerprints_differ_and_are_stable(tree: Tree) -> None:
    found = prints(tree)
    assert len(set(found.values())) == len(tree.nodes)
    assert prints(tree) == found
    # Plain data: it is compared after a trip through JSON.
    for known in identity.identities(tree, FILES, {}).values():
        assert json.loads(json.dumps(known.inputs)) == known.inputs


@pytest.mark.parametrize("what", ["spactor.scoring", "t5", "tensorflow", "examples"])
def test_what_scores_alone_depend_on_trains_nothing_again(
    tree: Tree, one_installation: dict[str, str], what: str
) -> None:
    leaf = tree.finetunings()[0]
    before, basis = prints(tree), identity.scoring(leaf, FILES)
    files = FILES | {"suites/glue/pair/validation.jsonl": "ff"} if what == "examples" else FILES
    one_installation[what] = "new"
    assert prints(tree, files) == before
    assert identity.scoring(leaf, files) != basis


def test_a_chosen_part_has_the_fingerprints_of_the_whole(tiny: Profile, tree: Tree) -> None:
    part = build(tiny, tiny.select(taus=["250K"]))
    whole = prints(tree)
    assert prints(part) == {name: whole[name] for name in part.nodes}


def test_differences_name_the_input() -> None:
    old = {
        "seed": 0,
        "parent": "a",
        "code": {"spactor.step": "x", "spactor.network": "y", "spactor.old": "z"},
        "versions": {"jax": "1"},
        "config": {"model": {"emb_dim": 32}},
        "data": {},
    }
    new = {
        "seed": 0,
        "parent": "b",
        "code": {"spactor.step": "1", "spactor.network": "y", "spactor.new": "2"},
        "versions": {"jax": "2"},
        "config": {"model": {"emb_dim": 64}},
        "data": {"tokens_train.npy": "1f"},
    }
    assert identity.differences(old, new) == [
        "the method's code changed: spactor.new, spactor.old, spactor.step",
        "config.model.emb_dim was 32, is 64",
        "the data changed (tokens_train.npy)",
        "jax was 1, is 2",
        "its parent changed",
    ]


def test_a_folder_with_one_digest_of_all_modules_is_stale_in_one_line() -> None:
    old, new = {"code": "9f"}, {"code": {"spactor.step": "1", "spactor.network": "y"}}
    assert identity.differences(old, new) == ["the method's code changed"]
