"""The command line: one line and exit code 2 for a mistake, never a traceback."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import synthetic_records
from commands import RECORD, run, write_records

from analysis.schema import records
from repro import cli, folders
from repro.cli.options import Experiments
from repro.engines import local
from spactor.errors import LONGEST_MESSAGE, UserError


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("plan --profile huge", "unknown profile 'huge': give one of smoke, micro"),
        ("plan --size xl", "has no size 'xl': it has base, large"),
        ("plan --seed 9", "has no seed '9': it has 0"),
        ("plan --seed x", "Invalid value for '--seed'"),
        ("plan --colour", "No such option: --colour"),
        ("plan --variant mlm5", "profile micro has no variants: leave --variant out"),
        ("run --profile mlm --variant x", "profile mlm has no variant 'x'"),
        ("paint", "No such command 'paint'"),
        ("table 99", "there is no table 99; there are 1 to 17"),
        ("table 2 --diff --from published", "leave --from out"),
        ("table 2 --from published --format docx", "unknown format 'docx'"),
        ("table 2 --from nowhere", "--from nowhere: no such file or folder"),
        ("figure 99", "there is no figure 99; there are 1, 2, 3, 4, 5, B"),
        ("figure 2 --from published", "the paper prints no numbers for its figures"),
        ("figure 4 --all", "leave --all out; Figures 2, 3, 5 have two"),
        ("evidence trend --from published", "needs measured records"),
        ("report --runs nowhere", "--from results/study"),
        ("collect --runs nowhere", "there is no runs folder nowhere"),
        ("status --runs nowhere", "there is no runs folder nowhere"),
        ("run --node base/s9/sc/0-500K", "matches 'base/s9/sc/0-500K'"),
        ("run --host -1", "Invalid value for '--host'"),
        ("run --host 1", "--host 1 and --hosts 1: hosts are numbered from 0"),
        ("run --hosts 2 --coordinator here", "--coordinator here: give host 0's"),
        ("run --profile smoke --hosts 2", "the local engine trains on one host"),
        ("run --profile paper", "profile paper reads C4 and the real benchmarks"),
        ("run --profile paper --engine local", "no command downloads"),
        ("run --profile paper --data d", "name their folder with --data-dir"),
        ("run --profile mini --data d --data-dir e", "give one of them"),
        ("run --profile mini --data-dir none", "--data-dir none: no such folder"),
        ("run --profile smoke --engine jax", "unknown engine 'jax': give one of local, t5x"),
        ("run --profile smoke --engine t5x", "validation_period_steps a divisor of 2"),
        ("table 2 --from published --profile mikro", "unknown profile 'mikro'"),
        ("run --engine t5x --profile curriculum", "--engine local"),
        ("prepare --profile mini", "'repro data check c4' lists its files"),
        ("launch --launcher slurm", "Missing option '--to'"),
        ("launch --launcher slurm --to jobs --bucket /b --tpu v9", "TPU type 'v9': give one of v4"),
        ("launch --launcher slurm --to jobs --profile micro", "for the engine local"),
        ("forecast --topology 9x9", "v4 has no topology '9x9': give one of 2x2x1"),
        ("data describe --profile mini", "profile mini has no embedded suites"),
    ],
)
def test_mistakes(refused, tmp_path: Path, monkeypatch, command: str, named: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert named.lower() in refused(*command.split()).lower()
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_arguments_of_any_length_and_kind_are_quoted_in_a_line(refused) -> None:
    line = refused("plan", *["9" * 30] * 200, "a\x1b[31m\u202eb")
    assert line.startswith("repro: Got unexpected extra argument")
    assert line.endswith("See `repro --help`.\n")
    assert line[:-1].isprintable() and len(line) < LONGEST_MESSAGE + 20


@pytest.mark.parametrize("command", ["run", "collect", "prepare", "status", "evidence trend"])
def test_a_folder_of_another_project(refused, tmp_path: Path, command: str) -> None:
    if command in ("run", "prepare"):  # They check first that they can train.
        pytest.importorskip("sentencepiece", reason="install the extra train")
    (tmp_path / "thesis.tex").write_text("")
    line = refused(*command.split(), "--profile", "smoke", "--runs", tmp_path)
    assert "is not a runs folder of this project" in line


def test_claims_of_a_profile_of_ones_own_name_what_is_not_collected(
    refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder of runs has the file's name without the ending."""
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('extends = "smoke"\n')
    folders.open_runs(Path("runs"), create=True)
    Path("runs/mine").mkdir()
    line = refused("claims", "--profile", "mine.toml")
    assert "nothing of profile mine is collected in runs" in line


def test_a_folder_of_records(capsys: pytest.CaptureFixture[str], refused, tmp_path: Path) -> None:
    """Records that `repro collect` wrote are read from any folder, not from one of runs alone."""
    file, folder = write_records(tmp_path / "copy.parquet", RECORD), tmp_path / "copy"
    folder.mkdir()
    records.write(records.read(file), folder / "metrics.parquet")
    of_file, of_folder = (run(capsys, "table", "6", "--from", str(path)) for path in (file, folder))
    assert of_folder == of_file and of_file[0] == 0 and "55.5" in of_file[1]
    records.write(synthetic_records.timing(), folder / "timing.parquet")
    line = refused("table", "3", "--from", folder)
    assert "timing.parquet" in line and "another profile" in line


@pytest.mark.parametrize("more", [(), ("--diff",), ("--format", "latex")], ids=" ".join)
def test_bad_records_print_one_line_and_no_table(refused, tmp_path: Path, more) -> None:
    path = write_records(tmp_path / "bad.parquet", RECORD, RECORD)
    line = refused("table", "6", "--from", path, *more)
    assert line.startswith(f"repro: {path}: ") and "row 2" in line


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted; to continue: repro plan"),
        (UserError("a fault:\n fix it"), 2, "a fault: fix it"),
        (OSError(28, "No space left on device", "x/y"), 2, "No space left on device (x/y)"),
        (OSError(30, "Read-only file system", "x"), 2, "Read-only file system (x)"),
        (ValueError("RESOURCE: No space left on device"), 2, "No space left on device"),
        (ModuleNotFoundError("no jax", name="jax.numpy"), 2, "needs jax, which the extra 'train'"),
    ],
)
def test_what_goes_wrong_below_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    line: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Experiments, "tree", fail)
    found, _, err = run(capsys, "plan")
    assert found == code
    assert err.startswith(f"repro: {line}") or line in err
    assert err.count("\n") == 1


def test_a_bug_has_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Experiments, "tree", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["plan"])


def test_plan_prints_the_tree_as_text_and_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = ("--runs", tmp_path / "none")
    code, out, _ = run(capsys, "plan", "--profile", "paper", *where)
    assert code == 0 and len(out.splitlines()) < 50
    assert re.search(r"hybrid/0-60K: 60,000 steps, \S+ FLOPs, for 4 τ", out)
    words = " ".join(out.split())
    for part in ("seeds 0, 1, 2, 3, 4, each", "experiments: 31", "saves 7.5% of", "a guess from"):
        assert part in words
    code, out, _ = run(capsys, "plan", "--profile", "micro", "--format", "json", *where)
    plan = json.loads(out)
    first = next(node for node in plan["rows"] if "stage" in node)
    assert code == 0 and (first["name"], first["steps"]) == ("base/s0/hybrid/0-60K", 576)
    assert first["taus"] == ["60K", "120K", "250K", "inf"]
    assert len(plan["rows"]) == 115 and len(plan["experiments"]) == 7
    assert plan["pretraining"]["steps"] == 58_272 and plan["pretraining"]["steps_alone"] == 62_400
    assert plan["estimate"]["seconds"] > 0


def test_only_what_follows_from_an_error_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(sys, "__unraisablehook__", reported.append)
    echo = SimpleNamespace(exc_value=RuntimeError("Event loop is closed"))
    other = SimpleNamespace(exc_value=RuntimeError("something else"))
    local._report_unraisable(echo)
    local._report_unraisable(other)
    assert reported == [other]


@pytest.mark.parametrize("arguments", [[], ["evidence"], ["data"]])
def test_without_a_command_the_help_is_printed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: repro") and "--help" in out and len(out.splitlines()) > 8


@pytest.mark.parametrize(
    ("option", "runs"),
    [
        ("--from published", "1 Base and 1 Large"),
        ("--profile paper", "5 Base and 3 Large"),
    ],
)
def test_the_power_of_the_published_numbers_is_that_of_a_profiles_runs(
    capsys, tmp_path, monkeypatch, option, runs
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "evidence", "power", *option.split())
    assert (code, err) == (0, "") and f"with {runs} runs" in " ".join(out.split())
