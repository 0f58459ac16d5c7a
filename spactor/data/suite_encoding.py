"""Writes the token ids of a suite's examples into the data folder that is being prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spactor.data import suite_tokens, suites, vocabulary
from spactor.data.suites.base import Suite, read_lines
from spactor.data.vocabulary import VocabularyFacts


def write(folder: Path, suite: Suite, model: bytes, facts: VocabularyFacts) -> None:
    """Encodes the examples that lie in ``folder``.

    Args:
      folder: where the suite's examples are, and the file goes.
      suite: whose.
      model: serialised SentencePiece model.
      facts: of that vocabulary.
    """
    arrays: dict[str, np.ndarray] = {
        suite_tokens.TARGET_LENGTH: np.array(max(task.target_length for task in suite.tasks))
    }
    for task in suite.tasks:
        for split in ("train", "validation"):
            path = folder / suites.examples_file(suite.name, task.name, split)
            lines = read_lines(path, ("inputs", "targets"))
            if not lines:
                break  # A task without examples is in no mixture.
            for side in ("inputs", "targets"):
                texts = [line[side] for line in lines]
                tokens, offsets = vocabulary.encode_each(model, texts, facts)
                arrays[f"{task.name}/{split}/{side}"] = tokens
                arrays[f"{task.name}/{split}/{side}_offsets"] = offsets
    with (folder / suite_tokens.file_of(suite.name)).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
