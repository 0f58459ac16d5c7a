"""Figure 5: score against pre-training FLOPs on GLUE, Rainbow, BBH and MMLU, Base (Appendix C).

Claims: substantial savings here too, but for MMLU about 20 %, where SPACTOR(τ) converges to the
baseline; whether τ = 120K or 250K is better depends on the task.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.scores import SUMMARY_READS
from figures import cost_panels, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBER = 5
SUITES = ("glue", "rainbow", "bbh", "mmlu")

requires = cost_panels.REQUIRES
reads = SUMMARY_READS


def compute(records: pd.DataFrame) -> cost_panels.Result:
    """The points from records of one source and profile; see ``cost_panels.compute``."""
    return cost_panels.compute(NUMBER, SUITES, records)


def draw(result: cost_panels.Result) -> Figure:
    """The figure; a panel that says "not run" where there is nothing."""
    return cost_panels.draw(result)


def render(result: cost_panels.Result, folder: Path) -> list[Path]:
    """Writes figure5.svg, .pdf and .png into ``folder`` and returns their paths.

    Raises:
      UserError: the disk refused.
    """
    return drawing.save(draw(result), folder, f"figure{NUMBER}")
