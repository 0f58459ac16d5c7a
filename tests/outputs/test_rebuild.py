"""Everything from records alone, and the same bytes each time.

The report and the texts are compared with what other commands write; `tests/figures` encodes each
figure twice.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic_records as synthetic
from commands import contents, exit_code, run
from markupsafe import escape

import figures
import tables
from analysis import summary
from analysis.schema import records
from repro import collect, folders
from repro.cli.rebuilding import ENDINGS

ROOT = Path(__file__).parents[2]
TABLES, FIGURES = tables.REGISTRY, figures.REGISTRY
SOME_TABLES = (2, 5, 6)
TESTS = ("registered", "trend", "savings", "power", "learned")
TEXTS = {f"{name}.txt" for name in ("summary", "claims", *TESTS)} | {"report.html"}


@pytest.fixture(scope="module", autouse=True)
def few_outputs():
    """Three tables and a figure alone; the slow test below, in other processes, writes all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "REGISTRY", {n: TABLES[n] for n in SOME_TABLES})
        patch.setattr(figures, "REGISTRY", {"4": FIGURES["4"]})
        yield


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A folder as `repro collect` leaves it."""
    folder = tmp_path_factory.mktemp("collected")
    records.write(synthetic.study(runs=2, seeds=2), folder / collect.METRICS)
    records.write(synthetic.timing(), folder / collect.TIMING)
    nodes = [{"node": "base/s0/sc", "commit": "0123456789abcdef" * 2}]
    folders.write_json(folder / collect.PROVENANCE, {"nodes": nodes})
    return folder


def expected(numbers, names):
    written = {f"tables/table{n}.{ENDINGS[format]}" for n in numbers for format in tables.FORMATS}
    kinds = ("svg", "pdf", "png")
    return TEXTS | written | {f"figures/figure{name}.{kind}" for name in names for kind in kinds}


@pytest.fixture(scope="module")
def rebuilt(collected, tmp_path_factory):
    """The files, by name, that `repro rebuild` writes."""
    folder = tmp_path_factory.mktemp("rebuilt")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert exit_code("rebuild", "--from", collected, "--to", folder) == 0
    found = contents(folder)
    line = f"{len(found)} files in {folder}; begin with {folder}/report.html\n"
    assert printed.getvalue() == line
    return found


def test_every_output_is_written(rebuilt):
    assert set(rebuilt) == expected(SOME_TABLES, "4")


def test_a_file_has_what_its_command_prints(collected, rebuilt, capsys):
    commands = {f"{name}.txt": ["evidence", name] for name in TESTS}
    for name in ("trend", "savings"):
        commands[f"{name}.txt"].append("--details")
    commands["summary.txt"] = ["summary"]
    commands |= {"tables/table2.md": ["table", "2", "--format", "markdown"]}
    commands |= {"claims.txt": ["claims", "--details"]}
    for name, command in commands.items():
        _, out, _ = run(capsys, *command, "--from", collected)
        assert out == rebuilt[name].decode()


def test_several_sets_of_records_have_a_page_each_and_an_index(
    collected, rebuilt, tmp_path, capsys
):
    other = tmp_path / collected.name
    other.mkdir()
    records.write(synthetic.study(runs=1), other / collect.METRICS)
    sources = [argument for folder in (collected, other) for argument in ("--from", folder)]
    index = tmp_path / "pages" / "report.html"
    assert run(capsys, "report", *sources, "--to", index.parent) == (0, f"{index}\n", "")
    pages = contents(index.parent)
    names = [f"report-{collected.name}.html", f"report-{collected.name}-2.html"]
    assert set(pages) == {"report.html", *names}
    text = pages["report.html"].decode()
    assert re.findall(r'<h2[^>]*><a href="([^"]*)">', text) == names
    # Each page is that of its records alone, and the index has the sentences of its summary.
    assert pages[names[0]] == rebuilt["report.html"] != pages[names[1]]
    sentence = summary.run(records.read(other / collect.METRICS)).sentences[0]
    assert escape(sentence).replace(" = ", "\u00a0=\u00a0") in text


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(collected, tmp_path):
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = (sys.executable, "-m", "repro", "rebuild", "--from", str(collected))
        subprocess.run((*command, "--to", str(tmp_path / seed)), check=True, env=environment)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert set(one) == expected(TABLES, FIGURES)
    assert one == two
