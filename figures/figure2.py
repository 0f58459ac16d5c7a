"""Figure 2: score against pre-training FLOPs on SuperGLUE, SQuAD and CNN/DailyMail, Base.

Claims: SPACTOR(τ) reaches the baseline's final score at about 40 % fewer FLOPs, and scores above it
over most of the range of budgets.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.scores import SUMMARY_READS
from figures import cost_panels, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBER = 2
SUITES = ("superglue", "squad", "cnndm")

requires = cost_panels.REQUIRES
reads = SUMMARY_READS


def compute(records: pd.DataFrame) -> cost_panels.Result:
    """The points from records of one source and profile; see ``cost_panels.compute``."""
    return cost_panels.compute(NUMBER, SUITES, records)


def draw(result: cost_panels.Result) -> Figure:
    """The figure; a panel that says "not run" where there is nothing."""
    return cost_panels.draw(result)


def render(result: cost_panels.Result, folder: Path) -> list[Path]:
    """Writes figure2.svg, .pdf and .png into ``folder`` and returns their paths.

    Raises:
      UserError: the disk refused.
    """
    return drawing.save(draw(result), folder, f"figure{NUMBER}")
