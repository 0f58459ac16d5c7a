"""Runs a command in this process, for tests of any folder."""

from __future__ import annotations

import pytest

from repro import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code of ``repro`` with some arguments, and what it printed on stdout and stderr."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0), *capsys.readouterr()
