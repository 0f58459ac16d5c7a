"""Puts what several test files share within reach: synthetic records, and readers of formats."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "records"), str(Path(__file__).parent)]
