"""A command in this process, a record for it to read, and the files that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro import cli

HEADER = (
    "source,profile,size,tau,seed,finetune_seed,checkpoint,step,paper_step,suite,task,metric,"
    "value,unit,selection"
)
ROW = "measured,paper,base,0,0,0,500000,10,,glue,cola,matthews_corrcoef,55.5,percent,"


def exit_code(*arguments: object) -> int:
    """Runs ``repro`` with some arguments."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code of ``repro`` with some arguments, and what it printed on stdout and stderr."""
    return exit_code(*arguments), *capsys.readouterr()


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file below a folder, by its path in it."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
