"""Generated questions, each answered a second time by other means."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from made_sources import source

from spactor.data.suites import EMBEDDED

TASKS = {task.name: task for task in EMBEDDED["bbh"].tasks}


def shown_booleans(question: str) -> str:
    return str(eval(question, {"__builtins__": {}}))


def shown_sums(question: str) -> str:
    return str(eval(question.removesuffix("="), {"__builtins__": {}}))


def shown_sorting(question: str) -> str:
    return " ".join(sorted(question.split()))


def shown_counting(question: str) -> str:
    kinds = {"text": "line word name", "number": "size time index"}
    kind, _, listed = question.removesuffix("?").partition(" in ")
    counts = dict(reversed(part.split()) for part in listed.split(", "))
    return str(sum(int(n) for thing, n in counts.items() if thing in kinds[kind].split()))


def shown_brackets(question: str) -> str:
    text = question.replace(" ", "")
    while (shorter := re.sub(r"\(\)|\[\]|\{\}|<>", "", text)) != text:
        text = shorter
    return " ".join(text[::-1].translate(str.maketrans("([{<", ")]}>")))


def shown_swaps(question: str) -> str:
    start, *told, asked = question.removesuffix("?").split("; ")
    who = re.findall(r"(\w+) \w+", start)
    what = re.findall(r"\w+ (\w+)", start)
    for swap in told:
        one, other = (who.index(name) for name in swap.split(" - "))
        what[one], what[other] = what[other], what[one]
    return what[who.index(asked)]


def shown_steps(question: str) -> str:
    right, left = (
        sum(map(int, re.findall(rf"{side} (\d)", question))) for side in ("right", "left")
    )
    return "yes" if right == left else "no"


ORACLES: dict[str, Callable[[str], str]] = {
    name.removeprefix("shown_"): value
    for name, value in list(globals().items())
    if name.startswith("shown_")
}


@pytest.mark.parametrize("name", TASKS)
def test_every_answer_is_right(name: str) -> None:
    for split in ("train", "validation"):
        found = TASKS[name].build(source(split=split), 400)
        assert len(found) >= 40
        for example in found:
            question = example.inputs.removeprefix(f"{name}: ")
            assert example.targets == ORACLES[name](question), question


def test_every_task_has_an_oracle() -> None:
    assert set(ORACLES) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_seeds_matter_and_never_mix_the_splits(name: str) -> None:
    build = TASKS[name].build
    first = build(source(seed=1), 60)
    assert first == build(source(seed=1), 60)
    questions = {example.inputs for example in first}
    fresh = {example.inputs for example in build(source(seed=2), 60)}
    assert len(questions - fresh) >= 6
    for seed in range(4):
        held_out = {e.inputs for e in build(source(split="validation", seed=seed), 32)}
        assert not held_out & (questions | fresh)


@pytest.mark.parametrize("name", TASKS)
def test_no_answer_is_very_common(name: str) -> None:
    answers = [example.targets for example in TASKS[name].build(source(), 400)]
    labels = TASKS[name].labels
    commonest = max(map(answers.count, set(answers))) / len(answers)
    # Of counts and sums the middle ones are the commonest.
    assert commonest == 0.5 if labels else commonest < 0.25
