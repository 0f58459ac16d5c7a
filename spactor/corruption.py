"""Span corruption, then token masking of the other tokens, on the device in static shapes.

The number of noise tokens and spans depends on the chunk's length alone (T5's algorithm), so the
whole corruption is one jitted function of (token chunks, keys). Spans are drawn as lengths, and
positions follow from cumulative sums of the lengths, so no token is scattered. With N = 10 and
two spans::

    tokens                  a  b    c  d  e  f  g    h  i    j
    spans                   text 2, noise 2, text 4, noise 2        text first, noise last
    encoder_input_tokens    a  b    [S0]  e  f  g    h  [S1]  eos   X_c
    masked_tokens           a  [M]  [S0]  e  f  [M]  h  [S1]  eos   X_c^MLM
    decoder_target_tokens   [S0]  c  d    [S1]  i  j  eos           T
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from spactor.config import NUM_SENTINELS, CorruptionLengths
from spactor.data.vocabulary import EOS_ID, VocabularyFacts

Array = jax.Array

_SENTINEL_LIMIT = 2 ** (NUM_SENTINELS.bit_length())


class CorruptedBatch(NamedTuple):
    """A batch after corruption; all integer arrays are int32.

    Attributes:
      encoder_input_tokens: ``[B, n]`` X_c, eos last.
      masked_tokens: ``[B, n]`` X_c^MLM.
      masked_positions: ``[B, q]`` ascending positions of [M].
      decoder_input_tokens: ``[B, t]`` targets shifted right, pad (0) first.
      decoder_target_tokens: ``[B, t]`` T of Equation 7, eos last.
      is_masked: bool ``[B, q]``, false at positions that the curriculum leaves unmasked; these
        come last. None where all q positions are masked.
    """

    encoder_input_tokens: Array
    masked_tokens: Array
    masked_positions: Array
    decoder_input_tokens: Array
    decoder_target_tokens: Array
    is_masked: Array | None = None


class Spans(NamedTuple):
    """Lengths of the alternating text and noise spans of a chunk, text first.

    Attributes:
      text, noise: int32 ``[p]``, number of tokens in each span, at least one.
    """

    text: Array
    noise: Array


def draw_without_replacement(key: Array, population: int, count: int) -> Array:
    """Draws ``count`` different numbers below ``population``, every sequence equally likely.

    The first numbers do not depend on how many are drawn. This is a Fisher-Yates shuffle that
    stores only the touched cells and runs its steps in parallel: step i swaps cell i with cell
    ``r_i``, so the content of a cell is determined by the last earlier step that swapped into it.

    Returns:
      int32 ``[count]``, in the order drawn.
    """
    step = jnp.arange(count, dtype=jnp.int32)
    uniform = jax.random.uniform(key, (count,))
    target = step + (uniform * (population - step)).astype(jnp.int32)

    # Cell i holds i, or the content of the cell of the last step that swapped into it. Chains of
    # such steps are followed by pointer doubling. Swapping a cell with itself changes nothing.
    moved = jnp.where(target == step, count, target)
    came_from = jnp.full(count, -1, jnp.int32).at[moved].max(step, mode="drop")
    holds = jnp.where(came_from < 0, step, came_from)
    for _ in range(max(count - 1, 0).bit_length()):
        holds = holds[holds]

    # Sorted by target and step, each step follows the last one that swapped into its target.
    ordered = jnp.sort(target * count + step)
    repeats = ordered[1:] // count == ordered[:-1] // count
    behind = jnp.where(repeats, ordered[:-1] % count, -1)
    swapped = jnp.full(count, -1, jnp.int32).at[ordered[1:] % count].set(behind)
    return jnp.where(swapped < 0, target, holds[swapped])


def _random_composition(key: Array, items: int, segments: int) -> Array:
    """Splits ``items`` into ``segments`` positive lengths, every split equally likely."""
    cuts = jnp.sort(draw_without_replacement(key, items - 1, segments - 1)) + 1
    edges = jnp.concatenate([jnp.zeros(1, jnp.int32), cuts, jnp.full(1, items, jnp.int32)])
    return jnp.diff(edges)


def random_spans(key: Array, lengths: CorruptionLengths) -> Spans:
    """T5's spans: uniform compositions of the noise tokens and of the others (Equation 1).

    The distribution is that of T5's ``random_spans_noise_mask``; random numbers are drawn per span
    instead of per token.
    """
    noise_key, text_key = jax.random.split(key)
    text_tokens = lengths.chunk_tokens - lengths.noise_tokens
    return Spans(
        text=_random_composition(text_key, text_tokens, lengths.noise_spans),
        noise=_random_composition(noise_key, lengths.noise_tokens, lengths.noise_spans),
    )


def corrupt_spans(
    tokens: Array, spans: Spans, lengths: CorruptionLengths, vocabulary: VocabularyFacts
) -> tuple[Array, Array]:
    """Replaces each noise span by its own sentinel (Equations 1 and 7).

    Args:
      tokens: int32 ``[N]``.
      spans: spans of the chunk, whose numbers of spans and tokens are those in ``lengths``.

    Returns:
      ``encoder_input_tokens`` int32 ``[n]`` and ``decoder_target_tokens`` int32 ``[t]``, both
      ending in eos.
    """
    index = jnp.arange(lengths.noise_spans, dtype=jnp.int32)
    text_until, noise_until = jnp.cumsum(spans.text), jnp.cumsum(spans.noise)
    encoder_input = _with_sentinels(
        tokens,
        sentinel_positions=text_until + index,
        skipped=spans.noise,
        length=lengths.input_tokens,
        vocabulary=vocabulary,
    )
    target = _with_sentinels(
        tokens,
        sentinel_positions=noise_until - spans.noise + index,
        skipped=spans.text,
        length=lengths.target_tokens,
        vocabulary=vocabulary,
    )
    return encoder_input, target


def _with_sentinels(
    tokens: Array,
    *,
    sentinel_positions: Array,
    skipped: Array,
    length: int,
    vocabulary: VocabularyFacts,
) -> Array:
    """Gathers the tokens outside the skipped spans, with sentinels between them and eos last.

    Args:
      tokens: int32 ``[N]``.
      sentinel_positions: int32 ``[p]``, ascending, in the result.
      skipped: int32 ``[p]``, number of tokens that each sentinel replaces.
      length: length of the result, eos included.
    """
    # One cumulative sum of both counts: sentinels in the low bits, skipped tokens above them.
    marks = jnp.zeros(length + 1, jnp.int32)
    marks = marks.at[sentinel_positions + 1].add(skipped * _SENTINEL_LIMIT + 1, mode="drop")
    running = jnp.cumsum(marks)
    count = running % _SENTINEL_LIMIT
    is_sentinel = count[1:] > count[:-1]
    count = count[:-1]
    position = jnp.arange(length, dtype=jnp.int32)
    source = position - count + running[:-1] // _SENTINEL_LIMIT
    text = tokens.at[source].get(mode="clip")
    result = jnp.where(is_sentinel, vocabulary.sentinel_id(0) - count, text)
    return jnp.where(position == length - 1, EOS_ID, result)


def choose_masked_positions(
    key: Array, spans: Spans, lengths: CorruptionLengths, masked_tokens: Array | None = None
) -> tuple[Array, Array | None]:
    """Draws positions of text in X_c, uniform without replacement, never a sentinel or eos.

    Args:
      key: PRNG key of this choice.
      spans: spans of the chunk.
      lengths: static lengths; q positions are drawn.
      masked_tokens: scalar, number of positions to mask: the same positions as if q were this
        number; None for all.

    Returns:
      int32 ``[q]``, the positions to mask first, each part ascending; and bool ``[q]``, true at
      the positions to mask, or None.
    """
    text_tokens = lengths.chunk_tokens - lengths.noise_tokens
    drawn = draw_without_replacement(key, text_tokens, lengths.masked_tokens)
    masked = None
    if masked_tokens is not None:
        masked = jnp.arange(lengths.masked_tokens) < masked_tokens
        # An offset sorts the positions that stay unmasked behind the others.
        drawn = jnp.where(masked, drawn, drawn + text_tokens)
    nth_text = jnp.sort(drawn) % text_tokens
    sentinels_before = jnp.cumsum(spans.text)[:, None] <= nth_text[None, :]
    return nth_text + jnp.sum(sentinels_before, axis=0, dtype=jnp.int32), masked


def shift_right(tokens: Array) -> Array:
    """Decoder inputs: targets one position later, pad (0) first, along the last axis."""
    return jnp.concatenate([jnp.zeros_like(tokens[..., :1]), tokens[..., :-1]], axis=-1)


def corrupt(
    chunks: Array,
    keys: Array,
    lengths: CorruptionLengths,
    vocabulary: VocabularyFacts,
    masked_tokens: Array | int | float | None = None,
) -> CorruptedBatch:
    """Applies span corruption and token masking to a batch (Section 2.1).

    Args:
      chunks: int32 ``[B, N]`` raw tokens.
      keys: one PRNG key per row, ``[B]``.
      lengths: static lengths for N.
      vocabulary: ids of sentinels, [M] and eos.
      masked_tokens: scalar up to q, number of positions that are masked; None for all.
    """
    if chunks.shape[-1] != lengths.chunk_tokens:
        raise ValueError(
            f"chunks of {chunks.shape[-1]} tokens where {lengths.chunk_tokens} were configured"
        )

    def one(tokens: Array, key: Array) -> CorruptedBatch:
        span_key, mask_key = jax.random.split(key)
        spans = random_spans(span_key, lengths)
        encoder_input, target = corrupt_spans(tokens, spans, lengths, vocabulary)
        count = None if masked_tokens is None else jnp.asarray(masked_tokens)
        positions, is_masked = choose_masked_positions(mask_key, spans, lengths, count)
        # Positions beyond the end are dropped by the scatter below.
        beyond = lengths.input_tokens
        where = positions if is_masked is None else jnp.where(is_masked, positions, beyond)
        return CorruptedBatch(
            encoder_input_tokens=encoder_input,
            masked_tokens=encoder_input.at[where].set(
                vocabulary.mask_token_id, mode="drop", unique_indices=is_masked is None
            ),
            masked_positions=positions,
            decoder_input_tokens=shift_right(target),
            decoder_target_tokens=target,
            is_masked=is_masked,
        )

    return jax.vmap(one)(chunks.astype(jnp.int32), keys)
