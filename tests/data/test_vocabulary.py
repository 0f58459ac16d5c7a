"""The vocabulary's conventions, held against seqio's own reading of the model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spactor.data import manifest, vocabulary
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError


def test_ids_as_seqio_lays_them(prepared: Path) -> None:
    seqio_vocabulary = vocabulary.seqio_vocabulary(prepared)
    facts = VocabularyFacts(**manifest.read(prepared)["vocabulary"])
    assert facts == VocabularyFacts(411, 100, 511, 512)
    assert seqio_vocabulary.vocab_size == 511
    processor = seqio_vocabulary.tokenizer
    assert [processor.pad_id(), processor.eos_id(), processor.unk_id()] == [0, 1, 2]
    assert processor.bos_id() == -1
    for index in (0, 1, 99):
        assert seqio_vocabulary.encode(f"<extra_id_{index}>") == [facts.sentinel_id(index)]
    assert facts.sentinel_id(0) == seqio_vocabulary.vocab_size - 1


def test_streams_are_encoded_as_in_seqios_datasets(prepared: Path) -> None:
    texts = ["Return the value.", "Two\n  lines, one ½ and ▁", "", "naïve Ω", "www ---- ]]]"]
    model = (prepared / manifest.VOCABULARY_FILE).read_bytes()
    stream = vocabulary.encode(model, texts, VocabularyFacts.of_pieces(411))
    seqio_vocabulary = vocabulary.seqio_vocabulary(prepared)
    assert stream.dtype == np.uint16
    assert stream.tolist() == [
        i for text in texts for i in seqio_vocabulary.encode_tf(text).numpy().tolist()
    ]
    assert seqio_vocabulary.decode(stream[:9].tolist()).startswith("Return the")
    assert vocabulary.encode(model, [], VocabularyFacts.of_pieces(411)).shape == (0,)


def test_t5s_own_numbers() -> None:
    facts = VocabularyFacts.of_pieces(32_000)
    assert facts == VocabularyFacts(32_000, 100, 32_100, 32_128)
    assert VocabularyFacts.of_pieces(vocabulary.pieces_for(4096)).padded_size == 4096
    with pytest.raises(UserError, match="sentinel 100: this vocabulary has 0 to 99"):
        facts.sentinel_id(100)


def test_requirements_of_a_model() -> None:
    facts = VocabularyFacts.of_pieces(3995)
    vocabulary.require(facts, vocab_size=4096, noise_spans=100)
    with pytest.raises(UserError, match="needs 101 sentinels and the vocabulary has 100"):
        vocabulary.require(facts, vocab_size=4096, noise_spans=101)
    with pytest.raises(UserError, match=r"vocab_size is 4224 .* has 4096 rows"):
        vocabulary.require(facts, vocab_size=4224, noise_spans=9)
    with pytest.raises(UserError, match=r"\[M\] needs id 4095 .* at most 3867 pieces"):
        vocabulary.require(facts, vocab_size=3968, noise_spans=9)


def test_a_text_too_small_for_the_vocabulary() -> None:
    with pytest.raises(UserError, match="no vocabulary of 4096 could be trained"):
        vocabulary.train(["a few words"], 4096)


def test_training_reads_the_first_texts_only() -> None:
    assert list(vocabulary._sample(["one\n\n two", "three", "four"], characters=6)) == [
        "one",
        "two",
    ]
    long = "ä" * 3000
    assert list(vocabulary._sample([long], characters=1)) == ["ä" * 2000]
