"""Code in a process that can import nothing of what trains, as on the base installation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_BLOCKER = """
import importlib, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "flax", "optax", "orbax", "tensorflow", "seqio",
                                  "t5", "clu", "tensorboard", "sentencepiece", "safetensors",
                                  "tokenizers", "transformers", "torch"}:
            raise ImportError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run_blocked(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs code, with arguments in ``sys.argv``; it has imported ``importlib`` and ``sys``."""
    return subprocess.run(
        [sys.executable, "-c", _BLOCKER + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
