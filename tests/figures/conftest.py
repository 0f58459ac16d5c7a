"""Puts the synthetic records, shared by several areas, within reach."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "records"))
