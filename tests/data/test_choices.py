"""Multiple choices: no choice and no letter is likelier than another."""

from __future__ import annotations

import collections
import dataclasses
import re

import pytest
from made_sources import build, document, source, task

from spactor.data.builders import choices
from spactor.data.builders.choices import Item
from spactor.data.suites import EmbeddedTask
from spactor.data.suites.embedded import LETTERS

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


@pytest.mark.parametrize("letters", [LETTERS, LETTERS[:2]])
def test_every_letter_and_every_choice_is_right_equally_often(letters: tuple[str, ...]) -> None:
    found = choices.questions(source(), ITEMS, letters, 20, "ask")
    assert len(found) == 20
    answers = {item.id: (item.question, item.answer) for item in ITEMS}
    wrong: collections.Counter[str] = collections.Counter()
    for start in range(0, 20, len(letters)):
        group = found[start : start + len(letters)]
        assert sorted(example.targets for example in group) == list(letters)
        for example in group:
            question, *given = example.inputs.replace(": ", " ").split(" answer")
            assert question.split(" ")[1:3] == answers[example.id][0].split(" ")
            named = dict(
                zip(letters, [f"answer{part.split(' ')[0]}" for part in given], strict=True)
            )
            assert named[example.targets] == answers[example.id][1]
            wrong.update(set(named.values()) - {answers[example.id][1]})
    assert set(wrong.values()) == {len(letters) - 1}


def test_a_group_fits_into_the_prompt() -> None:
    long = [
        Item(f"id-{n}", "why " * 10, f"{n} {'because ' * 17}".strip(), "", frozenset())
        for n in range(8)
    ]
    assert choices.questions(source(), long, LETTERS, 8, "ask") == []
    found = choices.questions(source(), long, LETTERS[:2], 8, "ask")
    assert len(found) == 8 and max(len(e.inputs.split()) for e in found) <= 63


KITCHEN = [
    document("Bring the stove slowly to its temperature.", "bakery.oven", "heat"),
    document("Make sure that no warmth escapes.", "bakery.oven", "close_door"),
    document("Let fine grains through and keep the rest.", "bakery.flour", "sieve"),
    document("Get one more from the cellar.", "bakery.flour", "fetchBag"),
    document("Fill one glass after the other.", "cellar.wine", "_pour"),
    document("Begin with all the bottles closed.", "cellar.wine", "__init__"),
    document("To open door and window at once.", "bakery.oven", "open_door"),
]


def test_a_goal_and_two_functions() -> None:
    found = build("rainbow", "goal", source(KITCHEN), 10)
    named = {f"{d.module.rpartition('.')[2]}.{d.name}" for d in KITCHEN[:5]}
    assert len(found) == 4
    for example in found:
        goal, _, functions = example.inputs.removeprefix("goal: ").partition(" A: ")
        by_letter = dict(zip("AB", functions.split(" B: "), strict=True))
        assert set(by_letter.values()) < named
        (own,) = (d for d in KITCHEN if d.text == f"{goal}.")
        assert by_letter[example.targets] == f"{own.module.rpartition('.')[2]}.{own.name}"


def test_four_names_of_one_package() -> None:
    def subject(package: str) -> EmbeddedTask:
        return dataclasses.replace(task("mmlu", "python"), name=package)

    baked = subject("bakery").build(source(KITCHEN), 10)
    names_of = {d.text.removesuffix("."): d.name for d in KITCHEN[:4]}
    assert len(baked) == 4
    for example in baked:
        summary, _, rest = example.inputs.removeprefix("name: ").partition(" A: ")
        words = rest.split()
        assert words[1::2] == ["B:", "C:", "D:"]
        assert dict(zip("ABCD", words[::2], strict=True))[example.targets] == names_of[summary]
    assert subject("cellar").build(source(KITCHEN), 10) == []


def test_a_summary_that_spells_the_name_out_gives_no_question() -> None:
    assert {name for name, _ in choices.named_summaries(source(KITCHEN)).values()} == {
        *("heat", "close_door", "sieve", "fetchBag", "_pour")
    }
    assert choices.quotes("to open door and window", "OpenDoor")
    assert choices.quotes("the door to open", "_open_door")
    assert not choices.quotes("reopen doors", "open_door")


def test_an_ending_is_the_end_of_its_sentence() -> None:
    kinds = ["rye", "oat", "corn", "rice"]
    found = build(
        "rainbow",
        "ending",
        source(
            [
                document(f"Do.\n\nTake {kind} flour first and last some {kind} salt.")
                for kind in kinds
            ]
        ),
        10,
    )
    assert len(found) == 4
    for example in found:
        beginning, *ends = re.split(" [ABCD]: ", example.inputs.removeprefix("ending: "))
        kind = beginning.split()[1]
        assert beginning == f"Take {kind} flour first and"
        assert set(ends) == {f"last some {kind} salt" for kind in kinds}
        assert ends["ABCD".index(example.targets)] == f"last some {kind} salt"
