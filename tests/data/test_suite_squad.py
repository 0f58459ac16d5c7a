"""Suite ``squad`` on documents by hand, and its metric against SQuAD's rule."""

from __future__ import annotations

import collections

from made_sources import build, document, source

from spactor.data.suite_metrics import squad

TURN = document(
    "Turn it.\n\nParameters\n----------\naxis : int, optional\n    Axis to turn it around.\n"
    "speed : float\n    How fast it turns around. Defaults to 2.5.\n"
)


def test_the_prompt_is_exact() -> None:
    found = {e.inputs.split(" context: ")[0]: e for e in build("squad", "span", source([TURN]), 10)}
    assert {question: e.targets for question, e in found.items()} == {
        "question: type of axis": "int",
        "question: type of speed": "float",
        "question: default of speed": "2.5",
    }
    context = (
        "axis : int, optional Axis to turn it around. / "
        "speed : float How fast it turns around. Defaults to 2.5."
    )
    assert {e.inputs.split(" context: ")[1] for e in found.values()} == {context}


def test_every_answer_is_a_span_of_its_context() -> None:
    texts = [
        f"Do it {n}.\n\nArgs:\n  name{n}: A string for the {n}th time.\n" for n in range(30)
    ] + ["Do.\n\nArgs:\n  lines: An iterable of many lines."]
    found = build("squad", "span", source([document(text) for text in texts]), 30)
    assert all(e.targets in e.inputs.split(" context: ")[1] for e in found)
    counts = collections.Counter(e.targets for e in found)
    assert counts == {"string": 3, "iterable": 1}, "no answer is more than a tenth of all"


def test_the_metric_follows_the_rule_of_squad() -> None:
    # Case, punctuation and articles do not count.
    assert squad(["The int."], ["INT"]) == {"em": 100.0, "f1": 100.0}
    # "list of str" and "list": precision 1/1, recall 1/3, so F1 1/2; the other question is right.
    assert squad(["list of str", "5"], ["list", "5"]) == {"em": 50.0, "f1": 75.0}
    assert squad(["int"], [""]) == {"em": 0.0, "f1": 0.0}
