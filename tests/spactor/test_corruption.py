"""Corruption against T5's own preprocessors, and its statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masks import jitted_corrupt_spans, random_masks, spans_of
from tiny_model import VOCABULARY

from spactor import corruption
from spactor.config import PAPER, CorruptionConfig, CorruptionLengths
from spactor.data import host_tensorflow


def _lengths(chunk: int, **settings: float):
    return CorruptionConfig(**settings).lengths_of_chunk(chunk)


@pytest.mark.parametrize("size, masked", [("base", 72), ("large", 97)])
def test_published_lengths(size: str, masked: int) -> None:
    lengths = PAPER[size].lengths
    assert (lengths.chunk_tokens, lengths.noise_tokens, lengths.noise_spans) == (568, 85, 28)
    assert (lengths.input_tokens, lengths.target_tokens) == (512, 114)
    assert lengths.masked_tokens == masked


def test_worked_example() -> None:
    # a b [c d] e f g h [i j], as in the module's docstring.
    lengths = _lengths(10, noise_density=0.4, mean_noise_span_length=2.0)
    tokens = jnp.arange(11, 21, dtype=jnp.int32)
    spans = corruption.Spans(text=jnp.asarray([2, 4]), noise=jnp.asarray([2, 2]))
    encoder_input, target = corruption.corrupt_spans(tokens, spans, lengths, VOCABULARY)
    first, second = VOCABULARY.sentinel_id(0), VOCABULARY.sentinel_id(1)
    assert encoder_input.tolist() == [11, 12, first, 15, 16, 17, 18, second, 1]
    assert target.tolist() == [first, 13, 14, second, 19, 20, 1]


@pytest.mark.parametrize("chunk", [20, 53, 141, 568])
@pytest.mark.parametrize("seed", range(5))
def test_equals_t5_given_the_same_mask(chunk: int, seed: int) -> None:
    seqio = host_tensorflow.seqio()
    import t5.data.preprocessors as t5

    lengths = _lengths(chunk)
    mask = random_masks(jax.random.key(seed)[None], lengths)[0]
    tokens = np.random.default_rng(seed).integers(3, VOCABULARY.sentencepiece_size, chunk)
    ours = jitted_corrupt_spans()(
        jnp.asarray(tokens, jnp.int32), spans_of(mask), lengths, VOCABULARY
    )
    vocabulary = seqio.PassThroughVocabulary(VOCABULARY.mask_token_id)
    theirs = [
        convert(tokens.astype(np.int32), mask, vocabulary, seeds=[(0, 0)]).numpy()
        for convert in (t5.noise_span_to_unique_sentinel, t5.nonnoise_span_to_unique_sentinel)
    ]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.tolist() == [*other.tolist(), 1]


def test_mask_counts_and_ends() -> None:
    lengths = _lengths(141)
    keys = jax.random.split(jax.random.key(0), 500)
    masks = random_masks(keys, lengths)
    starts = np.diff(masks.astype(int), axis=1, prepend=0) == 1
    assert (masks.sum(axis=1) == lengths.noise_tokens).all()
    assert (starts.sum(axis=1) == lengths.noise_spans).all()
    assert not masks[:, 0].any()
    assert masks[:, -1].all()
    # Inner positions are masked about equally often: 500 draws at p ≈ 0.15 have a standard
    # deviation of 0.016; text comes first and noise last, so the ends are left out.
    rates = masks[:, 20:-20].mean(axis=0)
    assert abs(rates - lengths.noise_tokens / 141).max() < 5 * 0.016


def test_masked_positions_are_text_and_uniform() -> None:
    # 40 positions: text but for sentinels at 3, 17, 38 and eos at 39.
    spans = corruption.Spans(jnp.asarray([3, 13, 20]), jnp.asarray([1, 1, 1]))
    is_text = np.ones(40, bool)
    is_text[[3, 17, 38, 39]] = False
    lengths = CorruptionLengths(
        chunk_tokens=39,
        noise_tokens=3,
        noise_spans=3,
        input_tokens=40,
        target_tokens=7,
        masked_tokens=6,
    )
    keys = jax.random.split(jax.random.key(1), 2000)
    choose = jax.vmap(lambda key: corruption.choose_masked_positions(key, spans, lengths)[0])
    positions = np.asarray(choose(keys))
    assert is_text[positions].all()
    assert (np.diff(positions, axis=1) > 0).all(), "ascending, so without replacement"
    counts = np.bincount(positions.ravel(), minlength=40)[is_text]
    expected = 2000 * 6 / 36
    # Chi-square with 35 degrees of freedom: below 76 with probability 0.9999.
    assert ((counts - expected) ** 2 / expected).sum() < 76


@pytest.mark.parametrize("population, count", [(1, 1), (5, 5), (9, 3), (200, 150), (7, 0)])
def test_drawing_without_replacement_is_a_shuffle(population: int, count: int) -> None:
    """Against the textbook's loop over all cells, fed the same random numbers."""
    draw = jax.jit(corruption.draw_without_replacement, static_argnums=(1, 2))
    for seed in range(20):
        key = jax.random.key(seed)
        cells = list(range(population))
        for step, uniform in enumerate(np.asarray(jax.random.uniform(key, (count,)))):
            target = step + int(np.float32(uniform) * np.float32(population - step))
            cells[step], cells[target] = cells[target], cells[step]
        drawn = draw(key, population, count).tolist()
        assert drawn == cells[:count] and len(set(drawn)) == count
        assert draw(key, population, count // 2).tolist() == drawn[: count // 2]


def test_a_batch_masks_only_text(chunks: np.ndarray, config) -> None:
    batch = corruption.corrupt(
        jnp.asarray(chunks), jax.random.split(jax.random.key(0), 4), config.lengths, VOCABULARY
    )
    changed = np.asarray(batch.masked_tokens != batch.encoder_input_tokens)
    assert (changed.sum(axis=1) == config.lengths.masked_tokens).all()
    original = np.asarray(batch.encoder_input_tokens)[changed]
    assert (original >= 3).all() and (original < VOCABULARY.sentencepiece_size).all()
    assert (np.asarray(batch.masked_tokens)[changed] == VOCABULARY.mask_token_id).all()
    assert (batch.decoder_input_tokens[:, 1:] == batch.decoder_target_tokens[:, :-1]).all()
    assert (batch.decoder_input_tokens[:, 0] == 0).all()


def test_content_keys_depend_on_the_row_alone(chunks: np.ndarray) -> None:
    together = jax.random.key_data(corruption.content_keys(0, jnp.asarray(chunks)))
    alone = jax.random.key_data(corruption.content_keys(0, jnp.asarray(chunks[2:3])))
    other_seed = jax.random.key_data(corruption.content_keys(1, jnp.asarray(chunks)))
    assert (together[2] == alone[0]).all()
    assert len({tuple(row.tolist()) for row in together}) == 4
    assert (together != other_seed).any()


def test_a_chunk_of_another_length_is_refused(config) -> None:
    with pytest.raises(ValueError, match="chunks of 7 tokens"):
        corruption.corrupt(
            jnp.zeros((1, 7), jnp.int32),
            jax.random.split(jax.random.key(0), 1),
            config.lengths,
            VOCABULARY,
        )
