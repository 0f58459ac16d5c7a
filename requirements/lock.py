"""Writes ``requirements/*.txt``: the versions of ``constraints.txt`` with their files' hashes.

Run by ``python -m nox -s lock``, which has uv. Each file holds what its tier needs beyond those
before it: ``-r requirements/base.txt -r requirements/train.txt`` is the tier ``train``. No index is
named in them; it is the one pip is set to.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIERS = {
    "base": (),
    "train": ("--extra", "train"),
    "tpu-compile": ("--extra", "train", "--extra", "tpu-compile"),
    "dev": ("--extra", "train", "--group", "dev"),
}
"""Options that say what a tier needs; but base, each is installed behind ``train``."""
_HEAD = (
    "# {name}: hashes of constraints.txt, written by `python -m nox -s lock`; not to be edited.\n"
)


def entries(text: str) -> dict[str, str]:
    """Requirements with their hashes, by name.

    >>> entries("a==1 \\\\\\n    --hash=sha256:0\\nb==2 \\\\\\n    --hash=sha256:1\\n")
    {'a': 'a==1 \\\\\\n    --hash=sha256:0\\n', 'b': 'b==2 \\\\\\n    --hash=sha256:1\\n'}
    """
    found = re.findall(r"^[\w.-]+==(?:.*\\\n)+.*\n", text, re.MULTILINE)
    return {entry.partition("==")[0]: entry for entry in found}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    earlier: dict[str, dict[str, str]] = {}
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {_canonical(line.partition("==")[0]) for line in lines if "==" in line}
    for tier, options in TIERS.items():
        command = ("uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--universal")
        hashes = ("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links")
        about = ("--python-version", "3.11", "--constraints", "constraints.txt", "pyproject.toml")
        asked = [*command, *hashes, *about, *options]
        done = subprocess.run(asked, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found = entries(done.stdout)
        # Entries, not names: a package may be for Windows in one tier, and for all in the next.
        known = {**earlier.get("base", {}), **earlier.get("train", {})}
        for name in found.keys() - pinned:
            # Windows and browsers need a few packages more; nothing was tested there.
            marker = found.pop(name).partition(";")[2]
            assert re.search("win32|emscripten", marker), f"constraints.txt has no {name}"
        earlier[tier] = found
        own = "".join(entry for name, entry in found.items() if known.get(name) != entry)
        (ROOT / "requirements" / f"{tier}.txt").write_text(_HEAD.format(name=tier) + own)


if __name__ == "__main__":
    main()
