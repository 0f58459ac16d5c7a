"""Every table really compiles, and fits the page its first comment asks for."""

from __future__ import annotations

import shutil
import subprocess

import imitation
import pytest
import synthetic_records as synthetic

import tables
from analysis.schema import published, records
from tables import differences

PREAMBLE = r"""
\documentclass[a4paper]{article}
\usepackage{array,booktabs,longtable}
\usepackage[margin=2.5cm]{geometry}
\begin{document}
"""
MEASURED = records.combine(synthetic.study(runs=2), synthetic.timing())


def document():
    full = imitation.study()
    parts = [PREAMBLE]
    for number, module in tables.REGISTRY.items():
        made = {
            "published": module.compute(published.load(number)),
            "measured": module.compute(MEASURED),
            "diff": differences.compute(number, full),
            "scaled diff": differences.compute(number, MEASURED),
        }
        for name, table in made.items():
            parts += [rf"\typeout{{Table {number}, {name}}}", tables.render(table, "latex")]
            parts.append(r"\clearpage")
    return "\n".join([*parts, r"\end{document}"])


def test_all_tables_compile_and_none_is_too_wide(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-recommended)")
    (tmp_path / "tables.tex").write_text(document(), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    # Twice: a longtable learns its widths from the first.
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
        log = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log, log[log.index("Overfull") - 500 :][:1000]
    assert "Float too large" not in log
