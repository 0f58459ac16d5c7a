"""Variables, settings of a person, file systems and the checkout's owner change no output.

No command ends in a traceback, and no number or byte of an output changes.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import synthetic_records as synthetic
from commands import RECORD, run, write_records

from analysis.schema import records
from repro import folders
from spactor import files, provenance
from spactor.errors import UserError

ROOT = Path(__file__).parent.parent


def repro(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "repro", *arguments],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **variables},
    )


def test_a_terminal_without_our_signs() -> None:
    done = repro("table", "2", "--from", "published", PYTHONIOENCODING="cp1252")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "85.89" in done.stdout.decode("cp1252")


@pytest.mark.parametrize("command", ["", "evidence", "claims --from published --details"])
def test_a_reader_that_stops_early(command: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "repro", *command.split()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


STYLE = """
lines.linewidth: 9
font.family: serif
savefig.bbox: tight
axes.facecolor: black
text.usetex: True
"""
"""A person's settings of Matplotlib."""
HOSTILE = {
    **{"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "HOME": "/nonexistent"},
    **{"JAX_ENABLE_X64": "1", "JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_PLATFORMS": "tpu"},
    **{"XLA_FLAGS": "--xla_cpu_enable_fast_math=true", "TF_ENABLE_ONEDNN_OPTS": "1"},
}
COMMANDS = """
import sys
from repro import cli

_, source, *commands = sys.argv
for command in commands:
    sys.argv = ["repro", *command.split(), "--from", source]
    try:
        cli.entry()
    except SystemExit as done:
        assert not done.code, command
"""
"""Runs several commands in one process."""


def test_a_hostile_shell_changes_no_byte(tmp_path: Path) -> None:
    """Variables, locale, matplotlibrc, a missing home, and a path that is not ASCII, at once."""
    source = tmp_path / "größe τ" / "metrics.parquet"
    source.parent.mkdir()
    records.write(synthetic.study(seeds=2), source)
    style = tmp_path / "matplotlibrc"
    style.write_text(STYLE)
    outputs = []
    for name, variables in (("plain", {}), ("hostile", {**HOSTILE, "MATPLOTLIBRC": str(style)})):
        folder = tmp_path / name
        commands = ("table 2", "claims --details", "evidence trend", f"figure 4 --to {folder}")
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS, str(source), *commands],
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, **variables},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        printed = done.stdout.replace(os.fsencode(folder), b"")
        outputs.append({"": printed, **{path.name: path.read_bytes() for path in folder.iterdir()}})
    assert outputs[0] == outputs[1] and len(outputs[0]) == 4
    assert "τ".encode() in outputs[0][""]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO], ids=os.strerror)
def test_a_file_system_that_cannot_flush_folders(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    path = tmp_path / "a.json"
    if number == errno.EIO:
        with pytest.raises(UserError, match=r"a\.json: could not be written"):
            files.write_atomically(path, b"{}")
    else:
        files.write_atomically(path, b"{}")
    assert path.read_bytes() == b"{}"


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A script that is found as ``git``."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a checkout")
    script = tmp_path / "git"
    script.touch(0o755)
    provenance.commit.cache_clear()
    yield script
    provenance.commit.cache_clear()


def test_a_checkout_of_another_user(fake_git: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git calls its ownership dubious, and still names the commit."""
    head = provenance.commit().removesuffix("+changes")
    git = shutil.which("git")
    fake_git.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {git} "$@"\n')
    monkeypatch.setenv("PATH", str(fake_git.parent), prepend=os.pathsep)
    refused = subprocess.run(["git", "-C", str(ROOT), "status"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    provenance.commit.cache_clear()
    assert provenance.commit().removesuffix("+changes") == head


@pytest.mark.parametrize("fails", ["ls-files", "rev-parse", "status"])
def test_a_failure_of_git_is_not_read_as_an_answer(
    fails: str, fake_git: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = shutil.which("git")
    fake_git.write_text(
        f'#!/bin/sh\ncase "$*" in *{fails}*) echo "fatal: broken" >&2; exit 128;; esac\n'
        f'exec {git} "$@"\n'
    )
    monkeypatch.setenv("PATH", str(fake_git.parent), prepend=os.pathsep)
    assert provenance.commit() == "unknown (fatal: broken)"
    monkeypatch.setenv("PATH", "")
    provenance.commit.cache_clear()
    assert provenance.commit().startswith("unknown (")


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_variables_of_git_name_no_other_commit(
    variable: str, fake_git: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = provenance.commit()
    monkeypatch.setenv(variable, str(tmp_path))
    provenance.commit.cache_clear()
    assert provenance.commit() == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--runs"),
        ("status", "--runs"),
        ("collect", "--runs"),
        ("run", "--profile", "paper", "--data-dir"),
        ("run", "--data"),
        ("table", "2", "--from"),
        ("figure", "4", "--from"),
        ("rebuild", "--to"),
        ("export", "--to"),
        ("data", "check", "c4", "--data-dir"),
        ("verify", "runs"),
    ],
    ids=" ".join,
)
def test_addresses_are_no_paths(
    refused, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(*arguments, "gs://bucket/x")
    assert "gs://bucket/x is an address, not a path of this machine" in line
    assert list(tmp_path.iterdir()) == []


def advised(line: str) -> list[str]:
    """The arguments of the command between backticks, as a shell reads them."""
    [command] = re.findall("`(repro .*)`", line)
    name, *arguments = shlex.split(command)
    assert name == "repro"
    return arguments


def test_advised_commands_can_be_pasted(
    capsys: pytest.CaptureFixture[str], refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Following the advice of each message leads to `repro run`."""
    monkeypatch.chdir(tmp_path)
    runs = folders.open_runs(tmp_path / "my ‘runs’ of größe; $(rm -r x)", create=True)
    profile = tmp_path / "it's mine" / "own.toml"
    profile.parent.mkdir()
    profile.write_text('extends = "smoke"\n')
    given = ["--profile", str(profile), "--runs", str(runs)]
    collect = advised(refused("table", "2", *given))
    assert collect == ["collect", *given]
    assert advised(refused(*collect)) == ["run", *given]
    plan = advised(refused("run", *given, "--node", "nowhere"))
    assert plan == ["plan", "--profile", str(profile), "--format", "json"]
    _, _, err = run(capsys, "status", "base/s0/hybrid/*", *given)
    assert advised(err) == ["prepare", *given]
    given[-1] = str(tmp_path / "no folder")
    for command in (["status"], ["collect"], ["table", "2"]):
        assert advised(refused(*command, *given)) == ["run", *given]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("table", "6"), 0, ""),
        (("figure", "4"), 2, "name a folder that can be written"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_a_read_only_folder_of_records_and_no_home(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    without_rights = []
    if os.geteuid() == 0:  # The superuser may write everywhere unless this right is taken away.
        if not shutil.which("setpriv"):
            pytest.skip("needs a user other than root, or setpriv")
        without_rights = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    records = tmp_path / "records" / "metrics.parquet"
    records.parent.mkdir()
    write_records(records, RECORD)
    records.parent.chmod(0o555)
    done = subprocess.run(
        [*without_rights, sys.executable, "-m", "repro", *arguments, "--from", str(records)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"},
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    assert message in done.stderr
