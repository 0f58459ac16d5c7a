"""Puts the made-up records of other areas within reach."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / area) for area in ("records", "tables")]
