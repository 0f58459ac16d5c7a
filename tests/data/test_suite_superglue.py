"""Suite ``superglue`` on documents by hand."""

from __future__ import annotations

import collections

import pytest
from made_sources import build, document, source

from spactor.data.builders import entries

AXIS = document(
    "Turn it.\n\nParameters\n----------\naxis : int, optional\n    Axis to turn it around."
)
FILE = document("Open it.\n\nArgs:\n  file: A string that names the file to open.")


@pytest.mark.parametrize(
    ("text", "name", "aspect", "answer"),
    [
        ("axis : int, optional\n    The axis to turn around.", "axis", "type", "int"),
        ("x : {array-like, matrix} of shape (n,)\n  Data of the model.", None, None, None),
        ("Args:\n  size (`int`, *optional*): The size of it all.", "size", "type", "int"),
        (":param str text: what is to be parsed here", "text", "type", "str"),
        (":type text: list(str)\n:rtype: one of the things", "text", "type", "list"),
        ("Args:\n  lines: An iterable of lines to be read.", "lines", "type", "iterable"),
        ("Here *fp* must be a file opened for reading.", "fp", "type", "file"),
        ("It is a string that nobody has named.", None, None, None),
        ("Args:\n  depth: How deep to go. Defaults to 16.", "depth", "default", "16"),
        ("  depth -- how deep to go (default: None)", "depth", "default", "None"),
        ("As ever, depth defaults to 0.5, and no less.", "depth", "default", "0.5"),
        ("Its value defaults to the size of the array.", None, None, None),
    ],
)
def test_statements(text: str, name: str | None, aspect: str, answer: str) -> None:
    found = entries.statements(document(f"Do it.\n\n{text}"))
    if name is None:
        assert found == ()
    else:
        assert [(s.name, s.aspect, s.answer) for s in found] == [(name, aspect, answer)]
        assert answer in found[0].text


@pytest.mark.parametrize(
    ("text", "effect", "clause"),
    [
        ("Raises:\n  ValueError: If x is below zero.", "raises ValueError", "x is below zero"),
        ("Raises\n---\nKeyError\n    If there is no such key.", "raises KeyError", None),
        ("A TypeError is raised when it is no number.", "raises TypeError", "it is no number"),
        ("Returns True if all of it is there, otherwise not.", "returns True", None),
        ("Return None when nothing is left of it", "returns None", "nothing is left of it"),
    ],
)
def test_causes(text: str, effect: str, clause: str | None) -> None:
    (cause,) = entries.causes(document(f"Do it.\n\n{text}"))
    assert cause.effect == effect
    assert clause is None or cause.clause == clause


def test_clauses_that_give_no_cause() -> None:
    for text in ("ValueError: if so.", "Raises KeyError if a KeyError came before it."):
        assert not list(entries.causes(document(text)))


def test_both_questions_of_a_couple_name_one_type() -> None:
    found = build("superglue", "question", source([AXIS, FILE]), 10)
    assert {example.targets for example in found} == {"no", "yes"}
    asked = {example.inputs.split("?")[0].rpartition(" ")[2] for example in found}
    assert len(asked) == 1 and asked < {"int", "string"}
    contexts = {example.inputs.split("? ")[1] for example in found}
    parts = {
        "axis : int, optional Axis to turn it around.",
        "file: A string that names the file to open.",
    }
    assert len(contexts) == 1 and set(contexts.pop().split(" / ")) == parts
    for example in found:
        name = example.inputs.removeprefix("question: is ").split()[0]
        own = {"axis": "int", "file": "string"}[name]
        assert example.targets == ("yes" if own in asked else "no")


def test_a_word_serves_both_labels() -> None:
    sentences = {
        "a.x": "Bake the yeast until nothing moves",
        "a.y": "Buy some yeast before the shops close",
        "b": "Look at yeast under some glass lens",
        "c": "Count the yeast in this cold cellar",
    }
    found = build(
        "superglue",
        "word",
        source([document(f"{text}.", module) for module, text in sentences.items()]),
        10,
    )
    yeast = {e.targets: e.inputs for e in found if e.inputs.startswith("word: yeast / ")}
    assert set(yeast) == {"other", "same"}
    of_one, of_two = (set(yeast[label].split(" / ")[1:]) for label in ("same", "other"))
    assert of_one == {sentences["a.x"], sentences["a.y"]}
    assert of_two == {sentences["b"], sentences["c"]}


def test_each_cause_is_right_once_and_wrong_once() -> None:
    found = build(
        "superglue",
        "cause",
        source(
            [
                document("Do.\n\nRaises:\n  ValueError: If the dough is too cold."),
                document("Go.\n\nRaises:\n  OSError: If the oven does not open."),
            ]
        ),
        10,
    )
    right = {
        "raises ValueError": "the dough is too cold",
        "raises OSError": "the oven does not open",
    }
    assert collections.Counter(example.targets for example in found) == {"A": 1, "B": 1}
    for example in found:
        effect, choices = example.inputs.removeprefix("cause: ").split(" A: ")
        first, second = choices.split(" B: ")
        assert {first, second} == set(right.values())
        assert right[effect] == (first if example.targets == "A" else second)
