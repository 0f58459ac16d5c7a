"""Variants: how a person writes them, what they share in the tree, and their fingerprints."""

from __future__ import annotations

import dataclasses
import re

import pytest

from repro import identity
from repro.plan import Tree, build
from repro.specs import Profile, parse_profile
from spactor.config import CurriculumConfig, Ramp
from spactor.errors import UserError

PLAIN = """
extends = "smoke"
without = ["sizes.large", "matrix.large", "matrix.base.checkpoints_of"]
suites = ["glue"]
[matrix.base]
taus = ["0", "250K", "inf"]
"""
FADE = """
[variants.fade.curriculum.lambda_rtd]
from = 10
to = 0.0
start = "120K"
end = "250K"
shape = "cosine"
"""
FADE_RUNS = """
[matrix.base.variants.fade]
taus = ["inf"]
checkpoints = ["500K"]
"""
SOFT = """
[variants.soft.curriculum.handover]
width = "60K"
[matrix.base.variants.soft]
taus = ["250K"]
checkpoints = ["500K"]
"""


def profile(text: str = "") -> Profile:
    return parse_profile("demo", PLAIN + text, "demo.toml")


def names(tree: Tree) -> list[str]:
    return [node.name for node in tree.segments()]


def test_a_curriculum_is_written_on_the_papers_scale() -> None:
    spec = profile(FADE + FADE_RUNS).specs()[-1]
    assert spec.plain_data() == {"size": "base", "tau": "inf", "seed": 0, "variant": "fade"}
    config = profile(FADE + FADE_RUNS).config_of(spec)
    # One step stands for 10,000.
    falling = Ramp(start_value=10.0, end_value=0.0, start_step=12, end_step=25, shape="cosine")
    assert config.curriculum == CurriculumConfig(lambda_rtd=falling)
    assert dataclasses.replace(config, curriculum=CurriculumConfig()) == profile().sizes["base"]


def test_a_ramp_leaves_the_shared_steps_where_it_begins() -> None:
    tree = build(profile(FADE + FADE_RUNS))
    assert names(tree) == [
        "base/s0/hybrid/0-120K",
        "base/s0/hybrid/120K-250K",
        "base/s0/hybrid/250K-500K",
        "base/s0/hybrid/500K-1M",
        "base/s0/sc/0-500K",
        "base/s0/sc/500K-1M",
        "base/s0/tau250K/250K-500K",
        "base/s0/tau250K/500K-1M",
        "base/s0/fade/hybrid/120K-500K",
    ]
    shared = tree.nodes["base/s0/hybrid/0-120K"]
    assert [(str(spec.tau), spec.variant) for spec in shared.specs] == [
        ("250K", ""),
        ("inf", ""),
        ("inf", "fade"),
    ]
    assert shared.config == tree.profile.sizes["base"]
    own = tree.nodes["base/s0/fade/hybrid/120K-500K"]
    assert own.parent == shared.name and own.config.curriculum.lambda_rtd is not None
    leaf = tree.nodes["base/s0/fade/hybrid/500K/finetune-glue/f0"]
    assert leaf.parent == own.name and leaf.pretraining == own.config


def test_a_hand_over_has_the_papers_tau_in_its_middle() -> None:
    tree = build(profile(SOFT))
    assert [node for node in tree.path(tree.specs[-1])] == [
        tree.nodes[name]
        for name in (
            "base/s0/hybrid/0-220K",
            "base/s0/soft/tau250K/220K-280K",
            "base/s0/soft/tau250K/280K-500K",
        )
    ]
    fading = tree.nodes["base/s0/soft/tau250K/220K-280K"]
    assert (fading.stage, fading.start_step, fading.end_step) == ("hybrid", 22, 28)
    assert fading.config.curriculum.handover == Ramp(
        start_value=1.0, end_value=0.0, start_step=22, end_step=28
    )
    after = tree.nodes["base/s0/soft/tau250K/280K-500K"]
    assert (after.stage, after.config) == ("span_corruption", tree.profile.sizes["base"])


def test_variants_that_begin_alike_share_what_is_alike_among_themselves() -> None:
    twins = ""
    for name, then in (("one", "to = 5"), ("two", "to = 20")):
        twins += f"""
[variants.{name}.corruption]
mlm_ratio = 0.2
[variants.{name}.curriculum.lambda_sc]
from = 10
{then}
start = "250K"
end = "500K"
[matrix.base.variants.{name}]
taus = ["inf"]
checkpoints = ["500K"]
"""
    tree = build(profile(twins))
    mine = [name for name in names(tree) if "/one/" in name or "/two/" in name]
    assert mine == [
        "base/s0/one/hybrid/0-250K",
        "base/s0/one/hybrid/250K-500K",
        "base/s0/two/hybrid/250K-500K",
    ]
    assert tree.nodes[mine[2]].parent == mine[0]
    assert len(tree.nodes[mine[0]].specs) == 2


def test_a_variant_that_changes_nothing_is_the_plain_experiment() -> None:
    same = """
[variants.same.objective]
lambda_rtd = 10.0
[variants.same.curriculum.mlm_ratio]
from = 0.15
to = 0.15
start = "0"
end = "120K"
[matrix.base.variants.same]
taus = ["0", "250K", "inf"]
"""
    tree, plain = build(profile(same)), build(profile())
    assert list(tree.nodes) == list(plain.nodes)
    for name, node in tree.nodes.items():
        assert dataclasses.replace(node, specs=()) == dataclasses.replace(
            plain.nodes[name], specs=()
        )
        assert {spec.variant for spec in node.specs} == {"", "same"}


def test_span_corruption_ignores_curricula_of_the_hybrid_stage() -> None:
    tree = build(profile(FADE + FADE_RUNS.replace('["inf"]', '["0", "250K"]')))
    baseline = tree.nodes["base/s0/sc/0-500K"]
    assert [spec.variant for spec in baseline.specs] == ["", "fade"]


def test_fingerprints_differ_exactly_where_curricula_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(identity, "code_digests", lambda module: {module: module})
    monkeypatch.setattr(identity.provenance, "versions", lambda packages: {})

    def prints(text: str) -> dict[str, str]:
        found = identity.identities(build(profile(text)), {}, {})
        return {name: known.fingerprint for name, known in found.items()}

    first = prints(FADE + FADE_RUNS)
    assert len(set(first.values())) == len(first)
    assert prints(FADE + FADE_RUNS) == first
    own = {name for name in first if "/fade/" in name}
    assert len(own) == 2
    for change in (
        ('"250K"\nshape', '"300K"\nshape'),
        ("to = 0.0", "to = 1.0"),
        ("cosine", "linear"),
    ):
        other = prints((FADE + FADE_RUNS).replace(*change))
        assert {name for name in first if other[name] != first[name]} == own
    # The steps shared with the plain runs are those of a profile with no variant that cuts there.
    cut = prints(FADE + FADE_RUNS + SOFT.replace("60K", "260K"))
    assert cut["base/s0/hybrid/0-120K"] == first["base/s0/hybrid/0-120K"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("variants.fade.curriculum", "variants.fade.curricula", "unknown setting 'curricula'"),
        ("from = 10", "", "variants.fade.curriculum.lambda_rtd.from: this setting is missing"),
        ("from = 10", f"from = 1{'0' * 400}", "variants.fade.curriculum.lambda_rtd.from is 1"),
        ("to = 0.0", "to = -1.0", "reaches -1.0: give 0 or more"),
        ("to = 0.0", "till = 0.0", "lambda_rtd: unknown setting 'till'; known: from, to, start"),
        ('start = "120K"', 'start = "120k"', "fade.curriculum.lambda_rtd.start is '120k'"),
        ('start = "120K"', 'start = "125K"', "no whole step of 100"),
        ('end = "250K"', 'end = "120K"', "from step 120000 to 120000: the end must come later"),
        ('"cosine"', '"step"', "shape is 'step': give 'linear' or 'cosine'"),
        ("[variants.fade.", "[variants.Fade.", "small letters, digits and single dashes"),
        ("[variants.fade.", "[variants.hybrid.", "is neither hybrid nor sc"),
        ('taus = ["inf"]', 'taus = ["inf", "inf"]', "matrix.base.variants.fade: τ are inf, inf"),
    ],
)
def test_a_variant_with_a_slip_is_refused(old: str, new: str, message: str) -> None:
    text = FADE + FADE_RUNS
    assert old in text
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        profile(text.replace(old, new, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("taus", ['["0"]', '["inf"]', '["20K"]'])
def test_a_hand_over_needs_room_around_tau(taus: str) -> None:
    with pytest.raises(UserError, match="does not fit around a τ of"):
        profile(SOFT.replace('["250K"]', taus, 1))


def test_settings_are_checked_where_they_are_written() -> None:
    text = "[variants.wide.model]\nemb_dims = 3\n[matrix.base.variants.wide]\ntaus = ['inf']\n"
    with pytest.raises(UserError, match=r"variant wide: model: unknown setting 'emb_dims'"):
        profile(text)
