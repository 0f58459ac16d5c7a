"""Span corruption, then token masking on what it left, on the device and in static shapes.

The number of noise tokens and spans depends on the chunk's length alone (T5's algorithm), so the
whole corruption is one jitted function of (token chunks, keys). With N = 10, two spans::

    tokens                  a  b    c  d  e  f  g    h  i    j
    noise mask              .  .    x  x  .  .  .    .  x    x      text first, noise last
    encoder_input_tokens    a  b    [S0]  e  f  g    h  [S1]  eos   X_c
    masked_tokens           a  [M]  [S0]  e  f  [M]  h  [S1]  eos   X_c^MLM
    decoder_target_tokens   [S0]  c  d    [S1]  i  j  eos           T
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from spactor.config import CorruptionLengths
from spactor.data.vocabulary import EOS_ID, VocabularyFacts

Array = jax.Array


class CorruptedBatch(NamedTuple):
    """A batch after corruption; all integer arrays are int32.

    Attributes:
      encoder_input_tokens: ``[B, n]`` X_c, eos last.
      masked_tokens: ``[B, n]`` X_c^MLM.
      masked_positions: ``[B, q]`` ascending positions of [M].
      decoder_input_tokens: ``[B, t]`` targets shifted right, pad (0) first.
      decoder_target_tokens: ``[B, t]`` T of Equation 7, eos last.
      is_masked: bool ``[B, q]``, false at masked positions that the curriculum leaves unmasked;
        they come last. None where all count.
    """

    encoder_input_tokens: Array
    masked_tokens: Array
    masked_positions: Array
    decoder_input_tokens: Array
    decoder_target_tokens: Array
    is_masked: Array | None = None


def _random_segment_lengths(key: Array, items: int, segments: int) -> Array:
    """Splits ``items`` into ``segments`` positive lengths, every split equally likely."""
    cuts = jax.random.permutation(key, jnp.arange(items - 1) < segments - 1)
    segment = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(cuts, dtype=jnp.int32)])
    return jnp.zeros(segments, jnp.int32).at[segment].add(1)


def random_spans_noise_mask(key: Array, lengths: CorruptionLengths) -> Array:
    """T5's span mask: bool ``[N]``, text and noise spans in turn, text first.

    Span lengths are a uniform composition of the noise tokens, gaps one of the others
    (Equation 1; the algorithm of T5's ``random_spans_noise_mask``).
    """
    noise_key, text_key = jax.random.split(key)
    noise = _random_segment_lengths(noise_key, lengths.noise_tokens, lengths.noise_spans)
    text = _random_segment_lengths(
        text_key, lengths.chunk_tokens - lengths.noise_tokens, lengths.noise_spans
    )
    starts = jnp.cumsum(jnp.stack([text, noise], axis=1).reshape(-1))[:-1]
    span = jnp.cumsum(jnp.zeros(lengths.chunk_tokens, jnp.int32).at[starts].add(1))
    return span % 2 == 1


def _pack(values: Array, keep: Array, length: int, fill: int) -> Array:
    """Moves kept values to the front, in order, and fills the rest."""
    slots = jnp.where(keep, jnp.cumsum(keep, dtype=jnp.int32) - 1, length)
    return jnp.full(length, fill, jnp.int32).at[slots].set(values, mode="drop")


def corrupt_spans(
    tokens: Array, noise_mask: Array, lengths: CorruptionLengths, vocabulary: VocabularyFacts
) -> tuple[Array, Array, Array]:
    """Replaces each masked span by its own sentinel (Equations 1 and 7).

    Args:
      tokens: int32 ``[N]``.
      noise_mask: bool ``[N]`` with the span and token counts that ``lengths`` names.

    Returns:
      ``encoder_input_tokens`` int32 ``[n]``, ``decoder_target_tokens`` int32 ``[t]``, both
      ending in eos, and bool ``[n]``, true where a text token stands.
    """
    noise_start = noise_mask & ~jnp.concatenate([jnp.zeros(1, bool), noise_mask[:-1]])
    sentinels = vocabulary.sentinel_id(0) - (jnp.cumsum(noise_start, dtype=jnp.int32) - 1)
    eos = EOS_ID
    encoder_input = _pack(
        jnp.where(noise_start, sentinels, tokens),
        ~noise_mask | noise_start,
        lengths.input_tokens,
        eos,
    )
    is_text = _pack(
        (~noise_mask).astype(jnp.int32), ~noise_mask | noise_start, lengths.input_tokens, 0
    )

    # In the target a sentinel stands before its span: two entries where a span starts.
    entries = jnp.stack([sentinels, tokens], axis=1).reshape(-1)
    keep = jnp.stack([noise_start, noise_mask], axis=1).reshape(-1)
    target = _pack(entries, keep, lengths.target_tokens, eos)
    return encoder_input, target, is_text.astype(bool)


def choose_masked_positions(key: Array, is_text: Array, count: int) -> Array:
    """``count`` text positions, uniform without replacement, ascending: int32 ``[q]``."""
    # Ineligible positions draw above every uniform in [0, 1) and so are never among the first.
    draws = jnp.where(is_text, jax.random.uniform(key, is_text.shape), 2.0)
    return jnp.sort(jnp.argsort(draws)[:count].astype(jnp.int32))


def choose_some_masked_positions(
    key: Array, is_text: Array, count: int, masked_tokens: Array
) -> tuple[Array, Array]:
    """``count`` text positions of which only ``masked_tokens`` are to be masked.

    These are those :func:`choose_masked_positions` would choose for that number, in the same
    order; the others follow.

    Returns:
      int32 ``[q]`` positions, and bool ``[q]``, true at those to be masked.
    """
    length = is_text.shape[0]
    draws = jnp.where(is_text, jax.random.uniform(key, is_text.shape), 2.0)
    chosen = jnp.argsort(draws)[:count].astype(jnp.int32)
    masked = jnp.arange(count) < masked_tokens
    # Set off by the length, the unmasked ones sort behind the masked ones.
    ordered = jnp.sort(jnp.where(masked, chosen, chosen + length))
    return jnp.where(masked, ordered, ordered - length), masked


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
    """Span corruption and token masking of a batch (Section 2.1).

    Args:
      chunks: int32 ``[B, N]`` raw tokens.
      keys: one PRNG key per row, ``[B]``.
      lengths: static lengths for N.
      vocabulary: ids of sentinels, [M] and eos.
      masked_tokens: scalar up to q: how many of the q positions are masked; None for all.
    """
    if chunks.shape[-1] != lengths.chunk_tokens:
        raise ValueError(
            f"chunks of {chunks.shape[-1]} tokens where {lengths.chunk_tokens} were configured"
        )

    def one(tokens: Array, key: Array) -> CorruptedBatch:
        span_key, mask_key = jax.random.split(key)
        noise_mask = random_spans_noise_mask(span_key, lengths)
        encoder_input, target, is_text = corrupt_spans(tokens, noise_mask, lengths, vocabulary)
        is_masked = None
        if masked_tokens is None:
            positions = choose_masked_positions(mask_key, is_text, lengths.masked_tokens)
            where = positions
        else:
            positions, is_masked = choose_some_masked_positions(
                mask_key, is_text, lengths.masked_tokens, jnp.asarray(masked_tokens)
            )
            where = jnp.where(is_masked, positions, lengths.input_tokens)  # outside: dropped
        return CorruptedBatch(
            encoder_input_tokens=encoder_input,
            masked_tokens=encoder_input.at[where].set(vocabulary.mask_token_id),
            masked_positions=positions,
            decoder_input_tokens=shift_right(target),
            decoder_target_tokens=target,
            is_masked=is_masked,
        )

    return jax.vmap(one)(chunks.astype(jnp.int32), keys)


def content_keys(seed: int, chunks: Array) -> Array:
    """One key per row that depends on the row's tokens alone: ``[B]`` keys for ``[B, N]``.

    Validation uses them, so an example is corrupted alike in every run, batch size and engine.
    """
    weights = jax.random.bits(jax.random.key(seed), (chunks.shape[-1],), jnp.uint32)
    digests = jnp.sum(chunks.astype(jnp.uint32) * weights, axis=-1, dtype=jnp.uint32)
    return jax.vmap(lambda digest: jax.random.fold_in(jax.random.key(seed), digest))(digests)
