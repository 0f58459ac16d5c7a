"""Generated questions, each answered a second time by other means."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_sources import source

from spactor.data.suites import EMBEDDED

TASKS = {task.name: task for task in EMBEDDED["bbh"].tasks}

ORACLES: dict[str, Callable[[str], str]] = {
    "last": lambda question: question.rpartition(" ")[2],
    "second": lambda question: question.split()[1],
    "last_two": lambda question: " ".join(question.rsplit(" ", 2)[1:]),
    "reverse": lambda question: " ".join(reversed(question.split())),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_answer_is_right(name: str) -> None:
    for split in ("train", "validation"):
        found = TASKS[name].build(source(split=split), 400)
        assert len(found) == 400
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
    assert max(map(answers.count, set(answers))) / len(answers) < 0.25
