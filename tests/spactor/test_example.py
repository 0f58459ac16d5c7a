"""The worked example of Figure 1: each version of the chunk follows from the one before."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from tiny_model import VOCABULARY

from spactor import example, step
from spactor.checkpoints import Checkpoints
from spactor.data import manifest
from spactor.data.vocabulary import piece_names


@pytest.fixture(scope="module")
def found(config, chunks, params):
    return example.trace(params, chunks[0], config, VOCABULARY)


def test_versions_and_labels_are_consistent(config, found):
    masked = found.masked == VOCABULARY.mask_token_id
    assert masked.sum() == config.lengths.masked_tokens
    assert np.array_equal(found.masked[~masked], found.span_corrupted[~masked])
    assert np.array_equal(found.replaced[~masked], found.span_corrupted[~masked])
    assert np.array_equal(found.is_original, found.replaced == found.span_corrupted)
    # A fresh generator is almost always wrong.
    assert not found.is_original[masked].all() and found.is_original[~masked].all()
    sentinels = range(VOCABULARY.sentencepiece_size, VOCABULARY.mask_token_id)
    text = [t for t in found.span_corrupted if t not in sentinels][:-1]
    removed = [t for t in found.targets if t not in sentinels][:-1]
    assert sorted(text + removed) == sorted(found.original)


def test_the_example_equals_validation(config, chunks, params, found):
    metrics = step.build_validation_step(config, VOCABULARY, "hybrid")(params, chunks[:1])
    replaced = jax.device_get(metrics["replaced_fraction"])
    assert (~found.is_original).mean() == pytest.approx(replaced.total / replaced.weight)
    right = jax.device_get(metrics["rtd_accuracy"])
    assert (found.judged_original == found.is_original).mean() == pytest.approx(
        right.total / right.weight
    )


def test_contents_of_the_file(config, arrays, tmp_path, unigram_model):
    state = step.init_state(config, 0, "hybrid")
    checkpoints = Checkpoints(tmp_path, config, "hybrid")
    checkpoints.save(state, 1)
    checkpoints.close()
    (tmp_path / manifest.VOCABULARY_FILE).write_bytes(unigram_model)
    example.write(tmp_path, config, 1, arrays, tmp_path)
    written = json.loads((tmp_path / example.FILE).read_text("utf-8"))
    assert list(written) == list(example.WorkedExample._fields)
    assert written["masked"].count("[M]") == config.lengths.masked_tokens
    assert written["span_corrupted"][-1] == written["targets"][-1] == "[eos]"
    assert written["targets"][0] == "[S0]"
    assert set(written["is_original"]) == {0, 1}
    assert piece_names(unigram_model, VOCABULARY, [0]) == ["[pad]"]
