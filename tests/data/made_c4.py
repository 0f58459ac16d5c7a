"""A tiny C4 in both forms it is given out in, and a vocabulary of its text."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_up

from spactor.data import manifest, vocabulary
from spactor.data.suites import BENCHMARKS, FileTask

VOCAB_SIZE = 512
INSTRUCTED = ("yes", "no", "(A)", "(B)", "maybe", "Yes", "No", "7")
"""Answers of the made-up mixture, in its order."""
_WORDS = (
    *("bread", "rises", "when", "dough", "rests", "and", "the", "baker", "waits", "until", "dawn"),
    *("comes", "over", "every", "quiet", "hill", "while", "rye", "or", "wheat", "grows", "slowly"),
    *("beside", "old", "mills", "that", "turn", "with", "wind", "water", "horses", "people"),
)


def documents(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Documents with the fields of C4's JSON lines; each of another text."""
    found = []
    for number in range(first, first + count):
        words = [_WORDS[(number * 7 + i * (number % 5 + 1)) % len(_WORDS)] for i in range(60)]
        text = f"Page {number}. " + " ".join(words) + ".\nCaf\u00e9 \u2028 number"
        found.append(
            {
                "text": f"{text} {number * 37 % 101}.",
                "timestamp": "2019-04-25T12:57:54Z",
                "url": f"http://bakery.example/{number}",
            }
        )
    return found


def write_json(folder: Path, files: int = 2, rows: int = 40) -> Path:
    """Writes C4 as JSON lines: so many training files, one for validation; returns its home."""
    home = folder / "c4" / "en"
    home.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        write_file(home / f"c4-train.{number:05d}-of-01024.json.gz", documents(rows, number * rows))
    write_file(home / "c4-validation.00000-of-00008.json.gz", documents(rows, 100_000))
    return home


def write_file(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes a file of JSON lines, compressed."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def write_tfds(folder: Path, rows: int = 40, version: str = "3.0.1") -> Path:
    """Writes C4 as TensorFlow Datasets prepares it, with its own builder's fields."""
    fields = {"content-length": "9", "content-type": "text/plain"}
    splits = {
        "train": [row | fields for row in documents(2 * rows)],
        "validation": [row | fields for row in documents(rows, 100_000)],
    }
    made_up.write_tfds(folder, "c4/en", version, splits)
    return folder / "c4" / "en" / version


def write_vocabulary(folder: Path, vocab_size: int = VOCAB_SIZE) -> None:
    """Writes a SentencePiece model with T5's first ids."""
    texts = [row["text"] for row in documents(200)]
    cases = [text for case in made_up.CASES.values() for pair in case.examples for text in pair]
    cases += [text for case in made_up.CASES.values() for text in case.answers]
    cases += [f"Is it {answer}?" for answer in INSTRUCTED]
    # Each letter often enough that none is too rare for a piece.
    texts += [*(20 * cases), *(300 * [" ".join(sorted(set("".join(cases))))])]
    # Words enough to learn pieces from.
    texts += [f"{name} {name.lower()}ing {name}s" for name in dir(str) + dir(Path)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest.VOCABULARY_FILE).write_bytes(vocabulary.train(texts, vocab_size))


def write_instructions(folder: Path) -> None:
    """Writes what MMLU's and BBH's models are fine-tuned on, as few rows as will do."""
    home = folder / "flan"
    home.mkdir()
    for name, answers in (("a", INSTRUCTED[:3]), ("b", INSTRUCTED[3:])):
        rows = [{"inputs": f"Is it {answer}?", "targets": answer, "task": 1} for answer in answers]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_mmlu(folder: Path) -> None:
    """MMLU: every subject with as many rows as the release has, which the tasks insist on."""
    rows = itertools.cycle(
        [["Is rye a grain?", "no", "yes", "oak", "tin", letter] for letter in "BA"]
    )
    for task in BENCHMARKS["mmlu"].tasks:
        assert isinstance(task, FileTask)
        path = folder / task.files["validation"][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(itertools.islice(rows, task.rows["validation"]))
