"""A command in this process, and a record for it to read, for tests of any folder."""

from __future__ import annotations

import pytest

from repro import cli

HEADER = (
    "source,profile,size,tau,seed,finetune_seed,checkpoint,step,paper_step,suite,task,metric,"
    "value,unit,selection"
)
ROW = "measured,paper,base,0,0,0,500000,10,,glue,cola,matthews_corrcoef,55.5,percent,"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit code of ``repro`` with some arguments, and what it printed on stdout and stderr."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return int(caught.value.code or 0), *capsys.readouterr()
