"""Figures: the same files each time, and the numbers and texts that are drawn."""

from __future__ import annotations

import dataclasses
import functools
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pandas as pd
import pytest
import synthetic_records as synthetic

import figures
from analysis import trend
from analysis.required import RequiredRun
from analysis.schema import published, records
from figures import drawing, figure1, figure3
from spactor.errors import UserError

NUMBERS = sorted(figures.REGISTRY)
EVERY = pytest.mark.parametrize("number", NUMBERS)
MICRO = synthetic.study(runs=2, seeds=2)


@functools.cache
def computed(number):
    return figures.get(number).compute(MICRO)


@EVERY
def test_files_rebuild_byte_for_byte_and_name_the_profile(number, tmp_path):
    """All kinds of one figure, and the SVG of the others."""
    kinds = drawing.KINDS if number == "S" else ("svg",)
    one, two = (figures.encode(number, MICRO, kinds) for _ in range(2))
    assert one == two
    paths = figures.save(one, number, tmp_path)
    assert [path.name for path in paths] == [f"figure{number}.{kind}" for kind in kinds]
    assert [path.read_bytes() for path in paths] == list(one.values())
    ElementTree.fromstring(one["svg"])
    assert not any(re.search(rb"<dc:date>|CreationDate", content) for content in one.values())
    title = figures.get(number).draw(computed(number)).get_suptitle()
    assert title.startswith(f"Figure {number} ") and "micro profile" in title


@EVERY
def test_nothing_run_is_drawn_as_not_run(number):
    module = figures.get(number)
    figure = module.draw(module.compute(records.empty()))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts and all(text.startswith("not run") for text in texts)


@pytest.fixture(scope="module")
def study():
    return records.read(Path(__file__).parents[2] / "results" / "study" / "metrics.parquet")


@pytest.mark.parametrize(
    ("number", "extended"),
    # Figure 2 extended is Figure 5 extended with fewer panels.
    [*((number, False) for number in NUMBERS), ("3", True), ("5", True)],
)
def test_nothing_is_cut_off_at_the_edges(study, number, extended):
    module = figures.get(number, extended=extended)
    figure = module.draw(module.compute(study))
    figure.savefig = lambda *_, **__: None  # Only the layout is of interest.
    drawing.encode(figure, "svg")
    with drawing.settings():
        assert not drawing._is_cut_off(figure)


@EVERY
def test_every_module_has_its_number_and_claims_and_refuses_a_mixture(number):
    module = figures.get(number)
    assert module.DOC.startswith(f"Figure {number}: ") and "Claims:" in module.DOC
    assert module.requires and all(isinstance(run, RequiredRun) for run in module.requires)
    with pytest.raises(UserError, match="several profiles"):
        module.compute(records.combine(MICRO, published.load(2)))


def test_figure_1_colours_what_happened_to_each_token():
    module = figures.get("1")
    result = computed("1")
    original, cut, masked, filled, target = result.rows
    assert set(original.colours) == {figure1.PLAIN}
    assert cut.colours[3] == target.colours[0] == figure1.SENTINEL
    assert [i for i, colour in enumerate(masked.colours) if colour == figure1.MASK] == [1, 5]
    assert (filled.colours[1], filled.colours[5]) == (figure1.RESTORED, figure1.REPLACED)
    assert [i for i, flagged in enumerate(filled.flagged) if flagged] == [2, 5]
    assert "(1 of 1 found)" in filled.heading
    assert "X_c^MLM" in masked.heading
    frames = [figure1._look(colour).get("linestyle") for colour in filled.colours]
    assert [frames[1], frames[5]] == [":", "-"] and frames.count(None) == 6
    texts = [text.get_text() for text in module.draw(result).axes[0].texts]
    assert "Return" in texts and len(texts) == 5 + 8 * 4 + 4


def test_figures_2_and_5_of_the_published_table():
    result = figures.get("2").compute(published.load(2))
    assert [panel.suite for panel in result.panels] == ["superglue", "squad", "cnndm"]
    assert not any(panel.published for panel in result.panels)
    lines = dict(result.panels[1].lines)
    assert list(lines) == ["0", "120K", "250K"]
    extended = figures.get("2", extended=True).compute(published.load(2))
    assert list(dict(extended.panels[1].lines)) == ["0", "60K", "120K", "250K"]
    points = [(point.flops, point.mean, point.std) for point in lines["120K"]]
    assert points == [(1.1, 88.93, 0.11), (2.1, 88.99, 0.14)]
    other = figures.get("5").compute(published.load(2))
    assert [panel.suite for panel in other.panels] == ["glue", "rainbow", "bbh", "mmlu"]


def test_published_panels_stand_under_ours_and_apart():
    result = figures.get("5", extended=True).compute(synthetic.study(runs=1))
    glue, rainbow = result.panels[:2]
    point = dict(glue.lines)["0"][0]
    assert (point.flops, point.mean, point.std) == (1.0, 39.5, None)
    assert not rainbow.lines and dict(rainbow.published)["0"]
    axes = figures.get("5", extended=True).draw(result).axes
    assert [at.get_title() for at in axes[:5]] == [
        *("GLUE", "Rainbow", "BBH", "MMLU", "GLUE · published")
    ]
    assert axes[0].get_ylabel() == "suite score (0–100)"
    assert axes[1].texts[0].get_text().startswith("not run")


def test_large_follows_base_with_table_4_where_it_was_run():
    base = MICRO
    large = base.assign(size="large", fingerprint="of large")
    result = figures.get("2", extended=True).compute(
        records.combine(base, large[large["tau"].isin(["0", "120K"])])
    )
    assert [(panel.size, panel.suite) for panel in result.panels] == [
        (size, suite) for size in ("base", "large") for suite in ("superglue", "squad", "cnndm")
    ]
    points = dict(result.panels[4].published)
    assert [(point.flops, point.mean) for point in points["120K"]] == [(1.06, 91.36), (2.06, 91.53)]
    assert [tau for tau, _ in result.panels[5].lines] == ["0", "120K"]
    titles = [at.get_title() for at in figures.get("2", extended=True).draw(result).axes]
    assert titles[0] == "SuperGLUE, Base" and titles[-1] == "CNN/DailyMail, Large · published"
    for module in (figures.get("2", extended=True), figures.get("2")):
        assert {panel.size for panel in module.compute(base).panels} == {"base"}


@pytest.mark.parametrize("number", ["2", "3", "5"])
def test_fine_tuning_from_scratch_is_no_point(number):
    scratch = MICRO[MICRO["checkpoint"] == 500_000].assign(checkpoint=0)
    both = pd.concat([MICRO, scratch], ignore_index=True)
    assert figures.get(number).compute(both) == computed(number)


def test_figure_3_has_a_point_per_checkpoint_and_a_band_over_runs():
    result = figures.get("3").compute(synthetic.study(runs=3))
    assert [panel.suite for panel in result.panels] == ["glue", "cnndm"]
    baseline = result.panels[0].lines["0"]
    assert [point.paper_steps for point in baseline] == [500_000, 1_000_000]
    # GLUE's mean of 10 and (60 + 70) / 2 is 37.5, one more at the later step, the gains on top.
    first = baseline[0]
    assert (first.mean, first.lowest, first.highest, first.runs) == (39.75, 39.5, 40.0, 3)
    assert set(result.panels[0].lines) == {"0", "inf"}


CLOZE = records.from_rows(
    [
        *synthetic.costs(),
        *(
            row
            for tau, seed, value in (
                ("0", 0, 30.0),
                ("0", 1, 34.0),
                ("250K", 0, 40.0),
                ("inf", 0, 1.0),
            )
            for row in synthetic.curve(
                tau, seed, (125_000, 500_000), (value, value), "cloze/accuracy"
            )
        ),
    ]
)
"""Accuracies at 125K and 500K: two seeds of the baseline, one of the others."""


def test_figure_3_ends_on_request_with_the_zero_shot_cloze_of_every_checkpoint():
    module = figures.get("3", extended=True)
    assert figures.get("3").compute(CLOZE).panels == ()
    result = module.compute(CLOZE)
    (panel,) = result.panels
    baseline, _ = panel.lines["0"]
    assert (baseline.paper_steps, baseline.mean, baseline.runs) == (125_000, 32.0, 2)
    assert (baseline.lowest, baseline.highest) == (30.0, 34.0)
    assert [point.mean for point in panel.lines["inf"]] == [1.0, 1.0]
    (axis,) = module.draw(result).axes
    assert (axis.get_title(), axis.get_ylabel()) == ("zero-shot cloze", "accuracy (%)")


@pytest.mark.parametrize("number", ["2", "5"])
def test_a_figure_ends_on_request_with_the_zero_shot_cloze_at_the_flops_of_every_validation(number):
    module = figures.get(number, extended=True)
    assert "cloze/" not in {panel.suite for panel in figures.get(number).compute(CLOZE).panels}
    result = module.compute(CLOZE)
    panel = result.panels[-1]
    assert panel.suite == "cloze/"
    # In units of 500K plain steps; a hybrid step costs 1.2.
    points = {tau: [x for p in line for x in (p.flops, p.mean)] for tau, line in panel.lines}
    assert points == {
        "0": pytest.approx([0.25, 32.0, 1.0, 32.0]),
        "250K": pytest.approx([0.3, 40.0, 1.1, 40.0]),
        "inf": pytest.approx([0.3, 1.0, 1.2, 1.0]),
    }
    assert module.draw(result).axes[-1].get_title() == "zero-shot cloze"


def test_figure_3_has_the_published_baseline_beside_ours_and_draws_it_at_the_papers_scale():
    module = figures.get("3")
    scaled = module.draw(computed("3"))
    assert scaled.axes[0].get_xlabel() == (
        "steps (thousands, on the paper's scale)\npaper at 500K, 1M: 85.89, 86.11"
    )
    assert len(scaled.legends[0].get_texts()) == 2
    drawn = module.draw(module.compute(MICRO.assign(profile="paper")))
    assert drawn.axes[0].get_xlabel() == "steps (thousands)"
    [theirs] = [bars for bars in drawn.axes[0].containers]
    assert theirs.lines[0].get_xydata().tolist() == [[500.0, 85.89], [1000.0, 86.11]]
    assert figure3.PUBLISHED in [text.get_text() for text in drawn.legends[0].get_texts()]


def labels_of_figure_4(result):
    legend = figures.get("4").draw(result).axes[1].get_legend()
    return [text.get_text() for text in legend.get_texts()]


def test_figure_4_draws_an_inflection_that_is_shown():
    result = computed("4")
    reading = result.reading
    for p_value, expected in (
        (0.04, f"inflection at {reading.inflection.at:.0f}K"),
        (0.06, "no inflection is shown, over 2 seeds"),
    ):
        bend = dataclasses.replace(reading.inflection, p_value=p_value)
        bent = dataclasses.replace(reading, inflection=bend)
        slope, label = labels_of_figure_4(dataclasses.replace(result, reading=bent))
        assert label.startswith(expected)
        assert f",\np = {trend.format_p(reading.over_seeds.p_value)} over 2 seeds" in slope
        assert (slope + label).count("p = ") == 1


def test_figure_b_draws_the_residuals_of_both_readings():
    axes = figures.get("B").draw(computed("B")).axes
    assert len(axes) == 6
    drawn = axes[0].lines[1].get_ydata()
    assert drawn.sum() == pytest.approx(0.0, abs=1e-9) and len(drawn) == 23


def test_figure_4_of_one_seed_subtracts_as_in_its_caption_and_has_no_test_over_seeds():
    result = figures.get("4").compute(synthetic.study(seeds=1))
    slope = labels_of_figure_4(result)[0]
    assert "by least squares" in slope and "no test over seeds" in slope
    step = 520_000
    gap = (
        synthetic.clean_loss("0", step)
        - dict((which.label, series) for which, series in result.curves)[
            "SPACTOR(∞), input X_c"
        ].loc[step]
    )
    assert result.gaps.loc[step, 0] == pytest.approx(gap)
    assert result.reading.line.slope == pytest.approx(-1e-4, rel=0.05)
    assert [series.size for _, series in result.curves] == [25, 25, 25]


def test_curves_differ_in_colour_and_marker():
    styles = list(drawing.TAU_STYLES.values())
    for attribute in ("color", "marker", "dashes"):
        assert len({getattr(style, attribute) for style in styles}) == len(styles)


def test_settings_are_put_back_and_unknown_figures_named():
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.get("4").draw(computed("4"))
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(UserError, match="there is no figure 7; there are 1, 2, 3, 4, 5, B"):
        figures.get("7")
