"""Ranked choices that are answers of other questions: none is likelier than another."""

from __future__ import annotations

import dataclasses

from made_sources import build, document, source

from spactor.data.builders import choices
from spactor.data.builders.choices import Item
from spactor.data.builders.cloze import GAP

ITEMS = [
    Item(f"id-{n}", f"question {n}", f"answer{n}", f"evidence {n}", frozenset({str(n)}))
    for n in range(20)
]


def test_groups_are_free_of_conflicts_and_use_each_item_once() -> None:
    twins = [dataclasses.replace(item, conflicts=frozenset({item.id[:4]})) for item in ITEMS]
    found = choices.groups(twins, 4)
    assert found == choices.groups(twins[::-1], 4)
    assert len(found) >= 2
    assert len({item.id for group in found for item in group}) == 4 * len(found)
    for group in found:
        assert len(frozenset().union(*(item.conflicts for item in group))) == 4


def test_equal_answers_share_no_group() -> None:
    twins = [Item(str(n), "q", "Same" if n % 2 else "same", "", frozenset()) for n in range(8)]
    assert choices.groups(twins, 2) == []


def test_every_choice_is_right_once_and_wrong_in_the_rest_of_its_group() -> None:
    found = choices.examples(choices.groups(ITEMS, 4), 18)
    assert len(found) == 16, "no group is cut"
    for start in range(0, 16, 4):
        group = found[start : start + 4]
        assert len({example.choices for example in group}) == 1
        assert sorted(example.targets for example in group) == sorted(group[0].choices)
    for example in found:
        number = example.id.removeprefix("id-")
        assert example.inputs == f"question {number}" and example.targets == f"answer{number}"


def test_a_sentence_without_its_end() -> None:
    kinds = ["rye", "oat", "corn", "rice"]
    sentences = [f"Take some {kind} flour first and last some {kind} salt" for kind in kinds]
    found = build("rainbow", "ending", source([document(f"{one}.") for one in sentences]), 10)
    assert len(found) == 4
    for example in found:
        assert example.inputs.endswith(GAP)
        assert example.inputs.replace(GAP, example.targets) == example.evidence in sentences
        assert set(example.choices) == {f"{kind} salt" for kind in kinds}
