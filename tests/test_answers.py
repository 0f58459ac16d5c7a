"""Every command that answers a question: at 80 columns, as JSON and as CSV."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import run
from typer.core import TyperGroup

from analysis.schema import records
from repro import collect, folders
from repro.cli.app import app
from tables import plain_rows

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "study"
WIDTH = 80
WRITES = {
    *("prepare", "run", "score", "collect", "figure", "report", "rebuild", "export", "launch"),
    "compile",
}
"""Commands that make files, and print where these are."""
MEASURED = ("--from", str(RESULTS))
CELL = ("--row", "250K 1M", "--column", "SQuAD")
ANSWERS = {
    "plan": [(), ("--profile", "paper"), ("--profile", "generator")],
    "status": [("--profile", "smoke"), ("base/s0/sc/*", "--profile", "smoke")],
    "summary": [MEASURED],
    "table": [
        *((str(number), *MEASURED) for number in range(1, 18)),
        *((str(number), *MEASURED, "--diff", "--notes") for number in (1, 2, 3, 5, 12, 17)),
        *((str(number), "--from", "published") for number in (2, 3, 6, 17)),
    ],
    "explain": [
        *(("2", *CELL, *MEASURED, *more) for more in ((), ("--details",))),
        ("2", *CELL, "--from", "published"),
    ],
    "evidence learned": [MEASURED, (*MEASURED, "--details")],
    "evidence registered": [MEASURED],
    "evidence trend": [MEASURED],
    "evidence savings": [MEASURED, ("--from", "published")],
    "evidence power": [MEASURED],
    "claims": [MEASURED, (*MEASURED, "--details")],
    "audit": [(), ("--details", "--all")],
    "data check": [("c4",), ("glue",), ("rainbow",), ("bbh",)],
    "verify": [("some", "some"), ("some", "other")],
    "forecast": [(), ("--price-per-chip-hour", "3")],
}
"""What is run of each command; `data describe` has its own test, as it prepares data."""


def commands(group: TyperGroup, start: str = "") -> Iterator[tuple[str, typer.core.TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{start}{name} ")
        else:
            yield f"{start}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def options(name: str) -> set[str]:
    return {option for parameter in COMMANDS[name].params for option in parameter.opts}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder: an empty runs folder, and some records, of which `other` changes five.

    The provenance of the results, 8 MB of JSON, is read once for all commands.
    """
    folder = tmp_path_factory.mktemp("answers")
    folders.open_runs(folder / "runs", create=True)
    frame = records.read(RESULTS / collect.METRICS).tail(1000).reset_index(drop=True)
    for name, added in (("some", 0.0), ("other", 0.5)):
        frame.loc[frame.index[-5:], "value"] += added
        (folder / name).mkdir()
        records.write(frame, folder / name / collect.METRICS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", str(WIDTH))
        patch.setattr(collect, "read_provenance", functools.cache(collect.read_provenance))
        yield folder


def printed(name: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    code, out, _ = run(capsys, *name.split(), *arguments)
    assert code == 0 or name == "verify"
    return out


def test_every_command_writes_files_or_has_a_format() -> None:
    with_format = {name for name in COMMANDS if "--format" in options(name)}
    assert with_format == COMMANDS.keys() - WRITES == ANSWERS.keys() | {"data describe"}
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    (line,) = re.findall(r"^- `--format .*?\n\n", page, re.M | re.S)
    listed = re.findall(r"`([a-z ]+)`", line.partition(":")[2])
    assert {*listed} == with_format | {"rows"}


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_help_fits_and_has_no_types_of_python(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(name, ("--help",), capsys)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "<" not in text and "..." not in text.split("\n", 1)[1]


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, one) for name, given in ANSWERS.items() for one in given]
)
def test_text_fits_80_columns(
    name: str, arguments: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(name, arguments, capsys).splitlines()
    assert lines and [line for line in lines if len(line) > WIDTH] == []
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize(("name", "given"), ANSWERS.items())
def test_json_and_csv_have_the_same_rows(
    name: str,
    given: list[tuple[str, ...]],
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are printed by one run of the command."""
    json_text = plain_rows.json_text

    def both(rows: Iterable[Any], facts: Mapping[str, Any]) -> str:
        rows = list(rows)
        return f"{json_text(rows, facts)}\n\n{plain_rows.csv_text(rows)}"

    monkeypatch.setattr(plain_rows, "json_text", both)
    out = printed(name, (*given[-1], "--format", "json"), capsys)
    as_json, as_csv = out.split("\n\n", 1)
    whole, lines = json.loads(as_json), list(csv.DictReader(io.StringIO(as_csv)))
    rows = whole["rows"]
    assert len(rows) == len(lines) > 0
    for row, line in zip(rows, lines, strict=True):
        for key, value in row.items():
            if value is None or (isinstance(value, str) and value[:1] not in "=+-@"):
                assert line[key] == (value or "")
            elif isinstance(value, int | float) and not isinstance(value, bool):
                # The times of a plan are guessed again.
                assert float(line[key]) == value or key == "estimated_seconds"


def test_csv_has_a_line_per_row(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed("verify", ("some", "other", "--format", "csv"), capsys)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(out.splitlines()) - 1 > 0


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - {"table"}))
def test_an_unknown_format_is_refused(name: str, here: Path, refused) -> None:
    line = refused(*name.split(), *ANSWERS[name][0], "--format", "xml")
    assert "unknown format 'xml': give one of text, json, csv" in line
