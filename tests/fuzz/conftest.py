"""Makes this folder's modules, synthetic records and an engine without training importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("fuzz", "records", "repro")]
