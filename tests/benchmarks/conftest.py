"""Benchmarks are marked, and the default run leaves them out: ``python -m nox -s bench``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
