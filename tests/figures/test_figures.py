from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
import synthetic_records as synthetic

import figures
from analysis.required import RequiredRun
from figures import drawing
from repro import published, records
from spactor.errors import UserError

NUMBERS = sorted(figures.REGISTRY)
EVERY = pytest.mark.parametrize("number", NUMBERS)


@EVERY
def test_files_rebuild_byte_for_byte(number, tmp_path):
    module = figures.get(number)
    written = [
        module.render(module.compute(synthetic.study(runs=2, seeds=2)), tmp_path / name)
        for name in ("one", "two")
    ]
    assert [path.name for path in written[0]] == [
        f"figure{number}.{kind}" for kind in ("svg", "pdf", "png")
    ]
    for one, two in zip(*written, strict=True):
        assert one.read_bytes() == two.read_bytes()
    svg = written[0][0].read_text()
    ElementTree.fromstring(svg)
    assert not re.search(r"<dc:date>|CreationDate", svg)
    assert b"CreationDate" not in written[0][1].read_bytes()


@EVERY
def test_nothing_run_is_drawn_as_not_run(number, tmp_path):
    module = figures.get(number)
    figure = module.draw(module.compute(records.empty()))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts and all(text.startswith("not run") for text in texts)


@EVERY
def test_every_module_says_what_it_is_and_refuses_a_mixture(number):
    module = figures.get(number)
    assert module.__doc__.startswith(f"Figure {number}: ") and "Claims:" in module.__doc__
    assert module.requires and all(isinstance(run, RequiredRun) for run in module.requires)
    with pytest.raises(UserError, match="several profiles"):
        module.compute(records.combine(synthetic.study(), published.load(2)))


@EVERY
def test_the_profile_stands_in_the_title(number):
    module = figures.get(number)
    title = module.draw(module.compute(synthetic.study())).get_suptitle()
    assert title.startswith(f"Figure {number} ") and "micro profile" in title


def test_figure_2_of_the_published_table():
    result = figures.get(2).compute(published.load(2))
    assert [panel.suite for panel in result.panels] == ["superglue", "squad", "cnndm"]
    lines = dict(result.panels[1].lines)
    assert list(lines) == ["0", "60K", "120K", "250K"]
    points = [(point.flops, point.mean, point.std) for point in lines["120K"]]
    assert points == [(1.1, 88.93, 0.11), (2.1, 88.99, 0.14)]


def test_figure_2_of_a_study_has_the_suites_that_ran():
    result = figures.get(2).compute(synthetic.study(runs=1))
    assert [panel.suite for panel in result.panels] == ["glue", "cnndm"]
    point = dict(result.panels[0].lines)["0"][0]
    assert (point.flops, point.mean, point.std) == (1.0, 39.5, None)
    axes = figures.get(2).draw(result).axes[0]
    assert axes.get_ylabel() == "suite score (0–100)"


def test_figure_4_subtracts_as_its_caption_says():
    result = figures.get(4).compute(synthetic.study(seeds=1))
    step = 520_000
    gap = (
        synthetic.clean_loss("0", step)
        - dict((which.label, series) for which, series in result.curves)[
            "SPACTOR(∞), input X_c"
        ].loc[step]
    )
    assert result.gaps.loc[step] == pytest.approx(gap)
    assert result.line.slope == pytest.approx(-1e-4, rel=0.05)
    assert [series.size for _, series in result.curves] == [25, 25, 25]


def test_curves_differ_in_colour_and_marker():
    styles = list(drawing.TAU_STYLES.values())
    assert len({style.color for style in styles}) == len(styles)
    assert len({style.marker for style in styles}) == len(styles)


def test_settings_are_put_back_and_unknown_figures_named():
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.get(4).draw(figures.get(4).compute(synthetic.study()))
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(UserError, match="there is no figure 1; there are 2, 4"):
        figures.get(1)
