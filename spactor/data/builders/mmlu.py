"""Builder of suite ``mmlu``: knowledge of packages that stands in for MMLU; one task a package.

Each question has four choices: which object of the package has this summary?
"""

from __future__ import annotations

from spactor.data.builders import choices, names
from spactor.data.builders.choices import Item
from spactor.data.builders.source import Source
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask


def questions(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Summaries of one package's objects, each with four objects' names."""
    items = [
        Item(
            id=f"{document.package}-{document.digest[:16]}",
            question=summary,
            answer=name,
            evidence=summary,
            conflicts=frozenset({document.digest}),
        )
        for document, (name, summary) in names.named_summaries(source).items()
        if document.package.replace("-", "_") == task.name
    ]
    return choices.questions(source, items, task.labels, limit, "name")
