"""Statements of Appendix A, on the search for settings and on fine-tuning."""

from __future__ import annotations

import math

from analysis import scores
from analysis.paper.comparisons import non_inferiority, superiority
from analysis.paper.contrasts import family_of
from analysis.paper.evidence import Cell, Evidence, Missing, stated
from analysis.paper.statement import Finding, arithmetic, contradiction, graded, judges
from analysis.parameters import encoder_weights, generator_weights
from analysis.schema import published
from analysis.schema.facts import SIZES, size_label
from analysis.tests import add

REUSED: tuple[str, ...] = (
    *("lambda_rtd", "lambda_sc", "noise_density", "mean_noise_span_length"),
    *("input_length", "batch_size", "warmup_steps"),
)
STUDY_MARGIN = 0.5
"""Margin of non-inferiority in points of a suite score, about SuperGLUE's spread in Table 2."""


def grid_values(name: str) -> list[float]:
    """Returns the values that the paper searched for a setting, in the printed order.

    >>> grid_values("generator_layers_grid")
    [3.0, 4.0, 6.0]
    """
    prose = published.load_prose()
    return list(prose.loc[prose["metric"].str.startswith(f"prose/{name}/"), "value"])


def best_of(id: str, study: str, best: str) -> None:
    """Registers the judge of a statement that one setting of a study scores above all others.

    Args:
      id: id of the statement.
      study: name of the study, the first part of its variants' names.
      best: the setting that the paper found best.
    """

    @judges(id)
    def judge(evidence: Evidence) -> Finding:
        found = evidence.study(study, best)
        if best not in found:
            raise Missing(f"the {study} study has no scores over several runs of {best}")
        ours = _average(found.pop(best))
        others = {
            name: add(ours, add(_average(cells), times=-1.0)) for name, cells in found.items()
        }
        return superiority(f"{best} minus the other settings", family_of(evidence, others))


def _average(cells: tuple[Cell, ...]) -> dict[Cell, float]:
    return dict.fromkeys(cells, 1.0 / len(cells))


@judges("appendix-a.generator-share")
def generator_share(evidence: Evidence) -> Finding:
    least = stated("prose/generator_over_encoder_least")
    most = stated("prose/generator_over_encoder_most")
    parts, passed, total = [], 0, 0
    for size in SIZES:
        model = evidence.config(size).model
        ratios = {
            "layers": model.generator_num_layers / model.num_encoder_layers,
            "MLP": model.generator_mlp_dim / model.mlp_dim,
            "parameters": generator_weights(model) / encoder_weights(model),
        }
        passed += sum(
            round(least, 3) <= round(ratio, 3) <= round(most, 3) for ratio in ratios.values()
        )
        total += len(ratios)
        numbers = ", ".join(f"{name} {ratio:.3f}" for name, ratio in ratios.items())
        parts.append(f"{size_label(size)} {numbers}")
    return Finding(
        graded(passed, total, none=contradiction(evidence)),
        f"generator over the discriminator's encoder: {'; '.join(parts)}; stated: 1/4 to 1/3",
    )


@judges("appendix-a.choices-in-search")
def choices_in_search(evidence: Evidence) -> Finding:
    wrong, parts = [], []
    for name, grid, scale in (
        ("lambda_rtd", "lambda_grid", 1.0),
        ("lambda_sc", "lambda_grid", 1.0),
        ("mlm_ratio", "mlm_ratio_grid", 100.0),
        ("generator_layers", "generator_layers_grid", 1.0),
    ):
        values = grid_values(grid)
        chosen = scale * evidence.setting(name, "base")
        listed = ", ".join(f"{value:g}" for value in values)
        parts.append(f"{name} {chosen:g} of {listed}")
        if not any(math.isclose(chosen, value) for value in values):
            wrong.append(name)
    return Finding(arithmetic(evidence, not wrong), "; ".join(parts))


best_of("appendix-a.best-mlm-ratio", "mlm", f"{stated('prose/best_mlm_ratio_percent', 'base'):g}")
best_of("appendix-a.best-lambda", "lambda", "10-10")
best_of("appendix-a.best-generator", "generator", "4")


@judges("appendix-a.encoder-only")
def encoder_only(evidence: Evidence) -> Finding:
    found = evidence.study("architecture", "encoder")
    if not {"encoder", "encoder-decoder"} <= set(found):
        raise Missing("the architecture study has no scores over several runs of both generators")
    theirs = {cell.suite: cell for cell in found["encoder-decoder"]}
    differences = {
        cell.suite: {cell: 1.0, theirs[cell.suite]: -1.0}
        for cell in found["encoder"]
        if cell.suite in theirs
    }
    members = family_of(evidence, differences, allowed=dict.fromkeys(differences, STUDY_MARGIN))
    return non_inferiority("encoder-only minus encoder-decoder generator", members)


@judges("appendix-a.large-reuses")
def large_reuses(evidence: Evidence) -> Finding:
    pairs = {name: [evidence.setting(name, size) for size in SIZES] for name in REUSED}
    changed = [name for name, (base, large) in pairs.items() if base != large]
    base, large = (100.0 * evidence.setting("mlm_ratio", size) for size in SIZES)
    claimed = stated("prose/mlm_ratio_percent", "large")
    fits = not changed and math.isclose(large, claimed) and large > base
    return Finding(
        arithmetic(evidence, fits),
        f"{len(REUSED) - len(changed)} of {len(REUSED)} settings of corruption, loss, batch and "
        f"schedule are Base's; the MLM ratio goes from {base:g} % to {large:g} %, stated "
        f"{claimed:g} %",
    )


@judges("table5.head-width")
def head_as_wide(evidence: Evidence) -> Finding:
    pairs = {
        size: [evidence.setting(f"{part}_mlp_dim", size) for part in ("rtd", "discriminator")]
        for size in SIZES
    }
    equal = all(head == body for head, body in pairs.values())
    numbers = ", ".join(
        f"{size_label(size)} {head:g} and {body:g}" for size, (head, body) in pairs.items()
    )
    return Finding(arithmetic(evidence, equal), numbers)


@judges("appendix-a.flan-halves")
def flan_halves(evidence: Evidence) -> Finding:
    parts, wrong = [], 0
    for name in ("learning_rate", "dropout_rate", "batch_size"):
        flan, other = (evidence.number(f"finetuning/{kind}/{name}") for kind in ("flan", "default"))
        wrong += not math.isclose(flan, other / 2.0)
        parts.append(f"{name.replace('_', ' ')} {flan:g} and {other:g}")
    return Finding(arithmetic(evidence, not wrong), ", ".join(parts))


@judges("appendix-a.finetuning-length")
def finetuning_length(evidence: Evidence) -> Finding:
    evidence.require(("paper",), "its fine-tuning is shorter by design")
    last = scores.suite_scores(evidence.records, "last")["step"]
    if last.empty:
        raise Missing("no fine-tuning run with its steps; the paper prints none")
    settings = published.load_finetuning().set_index("metric")["value"]
    least, most = (settings[f"finetuning/default/{end}_steps"] for end in ("least", "most"))
    passed = int(last.between(least, most).sum())
    return Finding(
        graded(passed, len(last), none=contradiction(evidence)),
        f"{passed} of {len(last)} fine-tuning runs end between {least / 1000:.0f}K and "
        f"{most / 1000:.0f}K steps",
    )


@judges("appendix-a.tuning-batch")
def tuning_batch(evidence: Evidence) -> Finding:
    searched = stated("prose/tuning_batch_size", "base")
    trained = evidence.setting("batch_size", "base")
    return Finding(
        arithmetic(evidence, searched == trained),
        f"{searched:g} in the search, {trained:g} in Table 5",
    )
