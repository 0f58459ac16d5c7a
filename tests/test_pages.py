"""Commands in README and docs are valid; those that only read results run, and print as shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from commands import run

from analysis import summary
from analysis.schema import records
from repro.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
READS = ("audit", "claims", "evidence", "explain", "figure", "plan", "report", "summary", "table")
"""Commands that need nothing but recorded results, and so are run."""
RESULTS = ROOT / "results" / "study"


def shown() -> list[tuple[str, str]]:
    """Page and command of every line of a code block that calls ``repro``."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```[a-z]*\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
            joined = block.replace("\\\n", " ")
            lines = re.findall(r"^(?:\$ )?(?:python -m )?(repro .*)$", joined, re.M)
            found += [(page.name, line) for line in lines]
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which a command can write beside links to the study's records."""
    study = tmp_path / "results" / "study"
    study.mkdir(parents=True)
    for path in RESULTS.iterdir():
        (study / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), shown())
def test_a_command_of_a_page_is_valid(
    page: str, line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`test_pages_show_what_is_printed` runs those whose output a page shows."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    group = typer.main.get_command(app)
    _, command, rest = group.resolve_command(group.make_context("repro", [name]), [name])
    command.make_context(name, [*rest, *arguments], resilient_parsing=False)
    if name in READS and line not in dict(SHOWN):
        code, out, _ = run(capsys, name, *arguments)
        assert code == 0 and out.strip()


def test_the_readme_states_the_result_that_its_records_give() -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    for sentence in summary.run(records.read(RESULTS / "metrics.parquet")).sentences:
        assert sentence in readme


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


SHOWING = {
    ROOT / "README.md": ["report", "table", "plan", "explain"],
    ROOT / "docs" / "pod.md": ["forecast", "forecast", "launch"],
    RESULTS / "README.md": ["evidence"],
}
"""Pages that show what commands print, and those of the commands that need no training."""
SHOWN = [
    (line, output)
    for page in SHOWING
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    for line, output in re.findall(r"^\$ (repro .*)\n((?:(?!\$ ).*\n)*)", block, re.M)
    if shlex.split(line)[1] in (*READS, "forecast", "launch")
]


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_pages_show_what_is_printed(
    capsys: pytest.CaptureFixture[str], here: Path, command: str, output: str
) -> None:
    """A line of "…" stands for any lines."""
    code, printed, _ = run(capsys, *shlex.split(command, comments=True)[1:])
    lines = output.splitlines()
    shown = "".join("(.*\n)*" if line == "…" else re.escape(f"{line}\n") for line in lines)
    assert code == 0 and re.fullmatch(shown, printed), printed


def test_pages_show_these_commands() -> None:
    names = [shlex.split(command)[1] for command, _ in SHOWN]
    assert names == [name for commands in SHOWING.values() for name in commands]
