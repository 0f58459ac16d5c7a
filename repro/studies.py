"""Appendix A.1's choices of hyper-parameters, and studies of our own, as experiments.

The paper runs SPACTOR-Base(∞) to 250K steps and fine-tunes on SuperGLUE and SQuAD. So does a
study, at the scale of a profile; its experiments are variants added to the profile's matrix. The
cell with the published settings is the matrix's own experiment and shares its nodes, and the
others share a node wherever they do the same. The study ``scratch`` asks something else: whether
pre-training to the end helps at all, on every suite, over several fine-tuning runs.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.schema.facts import PAPER_STEPS, Tau, step_label
from analysis.schema.facts import SUITES as ALL_SUITES
from repro import plan
from repro.matrix import VariantRow
from repro.specs import Profile
from repro.variants import Handover, PaperRamp, Shape, Variant
from spactor.config import PAPER, PretrainConfig
from spactor.errors import UserError
from spactor.plain_data import to_mapping

SIZE = "base"
END = 250_000
"""Paper steps at which the models of Appendix A's kind of study are fine-tuned."""
SCRATCH_RUNS = 5
"""Fine-tuning runs with and without pre-training, the paper's number for Base."""
SUITES = ("superglue", "squad")
LAMBDAS = (1.0, 10.0, 20.0, 50.0)
MLM_RATIOS = (0.05, 0.10, 0.15, 0.20, 0.25)
GENERATOR_LAYERS = (3, 4, 6)
"""Depths the paper compared, beside an encoder of 12 layers."""
_FOREVER = Tau.parse("inf")
_SWITCH = Tau.parse("120K")


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """One experiment of a study: a variant, or the published one, at a τ."""

    variant: Variant | None = None
    tau: Tau = _FOREVER


@dataclass(frozen=True, kw_only=True)
class _Study:
    purpose: str
    cells: Callable[[PretrainConfig], Iterable[_Cell]]
    notes: Callable[[PretrainConfig], Iterable[str]] = lambda _: ()
    end: int = END
    suites: Sequence[str] = SUITES
    finetune_runs: int = 1
    from_scratch: bool = False


def _changed(config: PretrainConfig, name: str, part: str, **settings: Any) -> _Cell:
    """A cell with other settings; the published one if they are its own."""
    own = to_mapping(config)[part]
    if all(own[key] == value for key, value in settings.items()):
        return _Cell()
    return _Cell(variant=Variant(name=name, settings={part: settings}))


def _lambda_cells(config: PretrainConfig) -> Iterable[_Cell]:
    for rtd in LAMBDAS:
        for sc in LAMBDAS:
            name = f"rtd{rtd:.0f}-sc{sc:.0f}"
            yield _changed(config, name, "objective", lambda_rtd=rtd, lambda_sc=sc)


def _mlm_cells(config: PretrainConfig) -> Iterable[_Cell]:
    for ratio in MLM_RATIOS:
        yield _changed(config, f"mlm{100 * ratio:.0f}", "corruption", mlm_ratio=ratio)


def _scaled_layers(config: PretrainConfig, layers: int) -> int:
    """As large a part of the encoder as in the paper."""
    share = layers / PAPER[SIZE].model.num_encoder_layers
    return max(1, round(config.model.num_encoder_layers * share))


def _generator_cells(config: PretrainConfig) -> Iterable[_Cell]:
    for layers in GENERATOR_LAYERS:
        scaled = _scaled_layers(config, layers)
        yield _changed(config, f"generator{layers}", "model", generator_num_layers=scaled)
    depth = config.model.generator_num_layers
    yield _changed(config, "generator-decoder", "model", generator_num_decoder_layers=depth)


def _generator_notes(config: PretrainConfig) -> Iterable[str]:
    encoder = config.model.num_encoder_layers
    scaled = {layers: _scaled_layers(config, layers) for layers in GENERATOR_LAYERS}
    if any(layers != own for layers, own in scaled.items()):
        depths = ", ".join(f"{layers} is {own}" for layers, own in scaled.items())
        yield (
            f"the paper's generators of {', '.join(map(str, scaled))} layers stand beside an "
            f"encoder of 12; beside one of {encoder}, {depths}; equal ones are run once"
        )
    yield (
        "generator-decoder has as many decoder layers as encoder layers, all as wide as the "
        "generator; its decoder reads the clean input shifted right (docs/deviations.md)"
    )


def _means_cells(config: PretrainConfig) -> Iterable[_Cell]:
    lengths, objective = config.lengths, config.objective
    q = lengths.masked_tokens
    yield _Cell()
    yield _changed(config, "means", "objective", reduction="mean_per_token")
    yield _changed(
        config,
        "means-reweighted",
        "objective",
        reduction="mean_per_token",
        lambda_rtd=objective.lambda_rtd * lengths.input_tokens / q,
        lambda_sc=objective.lambda_sc * lengths.target_tokens / q,
    )


def _curriculum_cells(config: PretrainConfig) -> Iterable[_Cell]:
    own = {
        "lambda_rtd": config.objective.lambda_rtd,
        "lambda_sc": config.objective.lambda_sc,
        "mlm_ratio": config.corruption.mlm_ratio,
    }

    def fading(name: str, of: str, end_value: float, shape: Shape) -> _Cell:
        ramp = PaperRamp(
            start_value=own[of], end_value=end_value, start=60_000, end=END, shape=shape
        )
        return _Cell(variant=Variant(name=name, ramps={of: ramp}))

    yield _Cell()
    yield fading("rtd-linear", "lambda_rtd", 0.0, "linear")
    yield fading("rtd-cosine", "lambda_rtd", 0.0, "cosine")
    yield fading("sc-cosine", "lambda_sc", 2 * own["lambda_sc"], "cosine")
    yield fading("mlm-cosine", "mlm_ratio", own["mlm_ratio"] / 3, "cosine")
    yield _Cell(tau=_SWITCH)
    for handover in (Handover(width=120_000), Handover(width=120_000, shape="cosine")):
        variant = Variant(name=f"handover-{handover.shape}", handover=handover)
        yield _Cell(variant=variant, tau=_SWITCH)


def _scratch_cells(_: PretrainConfig) -> Iterable[_Cell]:
    yield _Cell(tau=Tau.parse("0"))
    yield _Cell(tau=_SWITCH)


_STUDIES: Mapping[str, _Study] = types.MappingProxyType(
    {
        "lambda": _Study(
            purpose="the weights λ1 (RTD) and λ2 (SC), a grid of 1, 10, 20 and 50 (Appendix A.1)",
            cells=_lambda_cells,
        ),
        "mlm": _Study(
            purpose="the masking ratio r_MLM, 5 to 25 % (Appendix A.1)", cells=_mlm_cells
        ),
        "generator": _Study(
            purpose="the generator's depth, and whether it has a decoder (Appendix A.1)",
            cells=_generator_cells,
            notes=_generator_notes,
        ),
        "means": _Study(
            purpose="losses as sums over positions, as means with the same λ, and as means with λ "
            "that undo the difference",
            cells=_means_cells,
        ),
        "curriculum": _Study(
            purpose="λ1, λ2 and r_MLM that vary with the step, and a hand-over around τ = 120K "
            "(Limitations)",
            cells=_curriculum_cells,
        ),
        "scratch": _Study(
            purpose="pre-trained models against the same model fine-tuned from scratch",
            cells=_scratch_cells,
            end=PAPER_STEPS,
            suites=ALL_SUITES,
            finetune_runs=SCRATCH_RUNS,
            from_scratch=True,
        ),
    }
)
NAMES: tuple[str, ...] = tuple(_STUDIES)


def end_of(name: str) -> int:
    """Paper steps to which a study pre-trains."""
    return _STUDIES[name].end


def tree(
    profile: Profile, name: str, seeds: Sequence[int] = (), variants: Sequence[str] = ()
) -> plan.Tree:
    """The tree of a study at the scale of a profile.

    Args:
      profile: with a matrix of Base.
      name: one of ``NAMES``.
      seeds: of the profile's; by default the first.
      variants: of the study's; by default all, and the published experiment.

    Raises:
      UserError: an unknown study, seed or variant, or a profile that the study does not fit.

    >>> from repro.specs import load_profile
    >>> grid = tree(load_profile("paper"), "lambda")
    >>> len(grid.specs), [node.name for node in grid.path(grid.specs[0])][-1]
    (16, 'base/s0/hybrid/120K-250K')
    >>> [node.name for node in grid.path(grid.specs[1])]
    ['base/s0/rtd1-sc1/hybrid/0-250K']
    """
    if name not in _STUDIES:
        raise UserError(f"unknown study {name!r}: give one of {', '.join(NAMES)}")
    if SIZE not in profile.matrix:
        raise UserError(f"profile {profile.name} has no size {SIZE}, which every study is of")
    study, config = _STUDIES[name], profile.sizes[SIZE]
    cells = list(study.cells(config))
    extended = _extended(profile, name, study, cells)
    pairs = {(cell.variant.name if cell.variant else "", cell.tau) for cell in cells}
    own = [cell.variant.name for cell in cells if cell.variant]
    for variant in variants:
        if variant not in own:
            raise UserError(f"study {name} has no variant {variant!r}: it has {', '.join(own)}")
    chosen = [
        spec
        for spec in extended.select(sizes=[SIZE], seeds=seeds or (0,))
        if (spec.variant, spec.tau) in pairs and (not variants or spec.variant in variants)
    ]
    checkpoints = (0, study.end) if study.from_scratch else (study.end,)
    built = plan.build(extended, chosen, checkpoints=checkpoints)
    _require_agreement(plan.build(profile), built)
    notes = (f"study {name}: {study.purpose}", _about(extended, study, built), *study.notes(config))
    return dataclasses.replace(built, notes=notes)


def _extended(profile: Profile, name: str, study: _Study, cells: Iterable[_Cell]) -> Profile:
    """The profile with a study's experiments in its matrix."""
    row = profile.matrix[SIZE]
    checkpoints = dict(row.checkpoints)
    variants: dict[str, Variant] = {}
    rows: dict[str, VariantRow] = {}
    for cell in cells:
        if cell.variant is None:
            checkpoints[cell.tau] = tuple(sorted({study.end, *checkpoints.get(cell.tau, ())}))
            continue
        if cell.variant.name in profile.variants:
            raise UserError(
                f"profile {profile.name} has a variant {cell.variant.name!r} of its own, which is "
                f"a name of study {name}: rename it"
            )
        variants[cell.variant.name] = cell.variant
        rows[cell.variant.name] = VariantRow(taus=(cell.tau,), checkpoints={cell.tau: (study.end,)})
    matrix = dataclasses.replace(
        row,
        finetune_runs=study.finetune_runs,
        finetune_at=tuple(sorted({0, *row.finetune_at})) if study.from_scratch else row.finetune_at,
        taus=tuple(sorted(checkpoints)),
        checkpoints=checkpoints,
        variants={**row.variants, **rows},
    )
    suites = tuple(suite for suite in profile.suites if suite in study.suites) or profile.suites
    return dataclasses.replace(
        profile,
        suites=suites,
        matrix={**profile.matrix, SIZE: matrix},
        variants={**profile.variants, **variants},
    )


def _about(profile: Profile, study: _Study, built: plan.Tree) -> str:
    said = (
        f"SPACTOR-Base to {step_label(study.end)}, {len(built.specs)} experiments, fine-tuned on "
        f"{' and '.join(profile.suites)}"
    )
    if study.finetune_runs > 1:
        said += f", {study.finetune_runs} runs each"
    if study.suites != SUITES:
        return said
    if set(profile.suites) == set(SUITES):
        return f"{said}, as in the paper"
    return f"{said}; the paper used SuperGLUE and SQuAD, which profile {profile.name} does not have"


def _require_agreement(main: plan.Tree, study: plan.Tree) -> None:
    """Nodes of one name must be the same node, for both keep it in one folder."""
    for name, node in study.nodes.items():
        other = main.nodes.get(name)
        if other and dataclasses.replace(node, specs=()) != dataclasses.replace(other, specs=()):
            raise UserError(
                f"profile {study.profile.name}: this study would cut the shared steps of {name} "
                f"elsewhere than the profile does: add τ = 120K and 250K to the profile's Base"
            )
