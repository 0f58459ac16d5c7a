"""Corruption against T5's own preprocessors: tokens, counts, lengths and distributions.

Distributions are compared with theory by chi-square tests. Only one span of every mask is counted,
because spans of one mask have a fixed sum, while draws of different seeds are independent.
The probability of a false failure is 1e-6 per test, and the seeds are fixed.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masks import random_masks, spans_of
from scipy import stats
from tiny_model import CORRUPT, VOCABULARY

from spactor import corruption
from spactor.config import PAPER, CorruptionConfig, CorruptionLengths
from spactor.data import host_tensorflow
from spactor.data.vocabulary import EOS_ID, VocabularyFacts

CHANCE = 1e-6
SETTINGS = [(0.15, 3.0), (0.25, 1.5), (0.5, 5.0)]


@pytest.fixture(scope="module")
def t5():
    host_tensorflow.seqio()
    import t5.data.preprocessors as t5

    return t5


def _t5_mask(t5, density: float, mean: float):
    """T5's mask as one traced function of (length, seed)."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)])
    def mask(length, seed):
        seeds = tf.stack([[seed, 0], [seed, 1]])
        return t5.random_spans_noise_mask(length, density, seeds, mean)

    return lambda length, seed: mask(np.int32(length), np.int32(seed)).numpy()


def _span_lengths(masks: np.ndarray, index: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Length of noise span ``index`` of every mask of 28, and of the text before it."""
    edges = np.flatnonzero(np.diff(masks, axis=1, prepend=False, append=False).ravel())
    # Each row has its starts and ends in turn, counted from the row's own beginning.
    edges = edges.reshape(len(masks), 28, 2) - (569 * np.arange(len(masks)))[:, None, None]
    rows = np.arange(len(masks))
    start, end = edges[rows, index].T
    before = np.where(np.asarray(index) > 0, edges[rows, np.asarray(index) - 1, 1], 0)
    return end - start, start - before


def _chi_square_fits(observed: np.ndarray, probabilities: np.ndarray) -> bool:
    """Chi-square test of counts; cells with an expected count below 10 are merged."""
    expected = probabilities / probabilities.sum() * observed.sum()
    rare = expected < 10
    if rare.any():
        observed = np.append(observed[~rare], observed[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    return statistic < stats.chi2.isf(CHANCE, len(observed) - 1)


def _part_probabilities(items: int, parts: int) -> np.ndarray:
    """P(one part of a uniform composition of ``items`` into ``parts`` is 0, 1, …)."""
    # The rest is a composition into one part fewer: there are C(items − j − 1, parts − 2).
    ways = [0, *(math.comb(items - j - 1, parts - 2) for j in range(1, items))]
    return np.asarray(ways, float) / math.comb(items - 1, parts - 1)


def test_random_lengths_given_t5_s_mask(t5) -> None:
    """Short chunks are padded with a text span, so that all chunks share one compiled shape."""
    import tensorflow as tf

    longest, rows = 600, 300
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, longest + 1, rows)
    tokens = rng.integers(3, VOCABULARY.sentencepiece_size, (rows, longest)).astype(np.int32)
    masks = np.zeros((rows, longest), bool)
    draws = [_t5_mask(t5, *setting) for setting in SETTINGS]
    for row, length in enumerate(lengths):
        masks[row, :length] = draws[row % len(draws)](length, row)

    spans = [spans_of(mask[:length]) for mask, length in zip(masks, lengths, strict=True)]
    shape = CorruptionLengths(
        chunk_tokens=longest,
        noise_tokens=0,  # this and the last are not read
        noise_spans=max(len(row.text) for row in spans),
        input_tokens=longest + 1,
        target_tokens=2 * longest,
        masked_tokens=0,
    )
    ours = jax.jit(
        jax.vmap(lambda row, spans: corruption.corrupt_spans(row, spans, shape, VOCABULARY))
    )
    padded = [
        spans_of(mask[:length], tail=longest - length, spans=shape.noise_spans)
        for mask, length in zip(masks, lengths, strict=True)
    ]
    stacked = corruption.Spans(*(np.stack(part) for part in zip(*padded, strict=True)))
    inputs, targets = (np.asarray(tokens) for tokens in ours(tokens, stacked))

    vocabulary = host_tensorflow.seqio().PassThroughVocabulary(VOCABULARY.mask_token_id)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.bool)])
    def theirs(row, mask):
        return (
            t5.noise_span_to_unique_sentinel(row, mask, vocabulary, seeds=[(0, 0)]),
            t5.nonnoise_span_to_unique_sentinel(row, mask, vocabulary, seeds=[(0, 0)]),
        )

    for row, length in enumerate(lengths):
        expected_input, expected_target = (
            result.numpy().tolist() for result in theirs(tokens[row, :length], masks[row, :length])
        )
        expected_input += tokens[row, length:].tolist()
        for mine, other in ((inputs[row], expected_input), (targets[row], expected_target)):
            # The sentinels of empty padding spans follow.
            held = mine[: len(other)].tolist()
            assert held == other[: len(mine) - 1], f"row {row} of {length} tokens"


@pytest.mark.parametrize("density, mean", SETTINGS)
def test_counts_are_t5_s_at_every_length(t5, density: float, mean: float) -> None:
    """Also where length × density ends in .5 exactly, which float32 rounds its own way.

    0.15 is 0.15000000596 there, so 190 × 0.15 goes to the nearest float32 above 28.5, and so to 29;
    in double precision it is 28.5, and half to even gives 28.
    """
    draw = _t5_mask(t5, density, mean)
    config = CorruptionConfig(noise_density=density, mean_noise_span_length=mean)
    for length in range(2, 1500):
        mask = draw(length, length)
        lengths = config.lengths_of_chunk(length)
        spans = int((np.diff(mask.astype(int), prepend=0) == 1).sum())
        assert (int(mask.sum()), spans) == (lengths.noise_tokens, lengths.noise_spans), length


def test_lengths_are_those_t5_plans(t5) -> None:
    for input_length in range(16, 1100):
        lengths = CorruptionConfig().lengths(input_length)
        if (lengths.chunk_tokens * 0.15) % 1 == 0.5:
            continue  # T5's plan rounds in double precision there, and its mask does not
        planned = t5.random_spans_helper(input_length, 0.15, 3.0, 1, 1)
        assert (lengths.chunk_tokens, lengths.target_tokens) == planned, input_length
    assert t5.random_spans_helper(512, 0.15, 3.0, 1, 1) == (568, 114)


def test_all_masks_are_equally_likely() -> None:
    # 4 noise tokens of 10 in 2 spans: 3 ways to cut the noise, 5 to cut the text.
    lengths = CorruptionConfig(noise_density=0.4, mean_noise_span_length=2.0).lengths_of_chunk(10)
    masks = random_masks(jax.random.split(jax.random.key(0), 6000), lengths)
    _, counts = np.unique(masks, axis=0, return_counts=True)
    assert len(counts) == 15
    assert _chi_square_fits(counts, np.ones(15))


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "t5"])
def test_span_lengths_at_the_published_size(t5, ours: bool) -> None:
    """Ours and T5's fit the same distribution: a part of a uniform composition."""
    lengths, rows = PAPER["base"].lengths, 2000
    if ours:
        masks = random_masks(jax.random.split(jax.random.key(1), rows), lengths)
    else:
        draw = _t5_mask(t5, 0.15, 3.0)
        masks = np.stack([draw(568, seed) for seed in range(rows)])
    for index in (0, 13, 27):
        for found, items in zip(_span_lengths(masks, index), (85, 568 - 85), strict=True):
            counts = np.bincount(found, minlength=items)
            assert counts.sum() == rows and len(counts) == items
            assert _chi_square_fits(counts, _part_probabilities(items, 28))


def test_every_choice_of_masked_positions_is_equally_likely() -> None:
    # Text at 0, 2, 3, 5, 6 and 8 of 10; 2 chosen: 15 pairs.
    spans = corruption.Spans(jnp.asarray([1, 2, 2, 1]), jnp.ones(4, jnp.int32))
    lengths = CorruptionLengths(
        chunk_tokens=10,
        noise_tokens=4,
        noise_spans=4,
        input_tokens=11,
        target_tokens=9,
        masked_tokens=2,
    )
    choose = jax.jit(
        jax.vmap(lambda key: corruption.choose_masked_positions(key, spans, lengths)[0])
    )
    positions = np.asarray(choose(jax.random.split(jax.random.key(3), 6000)))
    pairs, counts = np.unique(positions, axis=0, return_counts=True)
    assert len(pairs) == 15 and set(pairs.ravel()) == {0, 2, 3, 5, 6, 8}
    assert _chi_square_fits(counts, np.ones(15))


@pytest.mark.parametrize("size", ["base", "large"])
def test_at_the_published_size_only_text_is_masked(size: str) -> None:
    lengths = PAPER[size].lengths
    vocabulary = VocabularyFacts.of_pieces(32_000)
    rng = np.random.default_rng(0)
    chunks = rng.integers(3, 32_000, (64, 568)).astype(np.int32)
    batch = CORRUPT(chunks, jax.random.split(jax.random.key(4), 64), lengths, vocabulary)
    inputs, masked = np.asarray(batch.encoder_input_tokens), np.asarray(batch.masked_tokens)
    targets = np.asarray(batch.decoder_target_tokens)
    assert (batch.decoder_input_tokens[:, 1:] == targets[:, :-1]).all()
    assert (batch.decoder_input_tokens[:, 0] == 0).all()
    assert inputs.shape == (64, 512) and targets.shape == (64, 114)
    assert (inputs[:, -1] == EOS_ID).all() and (inputs != 0).all(), "eos last, no padding"
    sentinels = inputs > vocabulary.sentinel_id(28)
    text = (inputs >= 3) & (inputs < 32_000)
    assert (sentinels.sum(axis=1) == 28).all() and (text.sum(axis=1) == 483).all()
    changed = masked != inputs
    assert (changed.sum(axis=1) == {"base": 72, "large": 97}[size]).all()
    assert (masked[changed] == vocabulary.mask_token_id).all()
    assert not (changed & ~text).any()
    for row, positions in enumerate(np.asarray(batch.masked_positions)):
        assert positions.tolist() == np.flatnonzero(changed[row]).tolist()


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


def test_a_chunk_of_another_length_is_rejected(config) -> None:
    with pytest.raises(ValueError, match="7 tokens"):
        corruption.corrupt(
            jnp.zeros((1, 7), jnp.int32),
            jax.random.split(jax.random.key(0), 1),
            config.lengths,
            VOCABULARY,
        )
