"""Commands that ask about the numbers themselves: is the paper consistent, where is this from?"""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli.app import app


@app.command()
def audit(
    format: Annotated[str, typer.Option("--format", help="text, markdown or json.")] = "text",
    everything: Annotated[bool, typer.Option("--all", help="The checks that agree, too.")] = False,
) -> None:
    """Recomputes what the paper's numbers say of each other; lists what does not agree."""
    from analysis import audit as auditing
    from repro import published

    found = auditing.run(published.load_all())
    print(auditing.render(found, format, everything=everything).rstrip("\n"))
