"""T5.1.0 in Flax linen, with SPACTOR's generator and replaced-token-detection head.

The discriminator's parameters have the paths and shapes of T5X's stock T5 network
(``token_embedder``, ``encoder``, ``decoder``). The hybrid stage adds ``generator`` and
``rtd_head``, which span corruption does not use. T5.1.0 has ReLU
feed-forward blocks, no biases, root-mean-square norms before each block, relative position
biases shared by all layers of a stack, attention logits not divided by √head_dim (the initial
values of the query are), tied embedding whose logits are divided by √d.

Letters in shapes: B batch, L and T lengths, D ``emb_dim``, H heads, K ``head_dim``, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from spactor.config import ModelConfig
from spactor.products import dense_product

Array = jax.Array

_MASKED = -1e10  # T5X's value for a forbidden position, finite so that an empty row stays finite.
NUM_BUCKETS = 32
"""Relative-position buckets of a stack (T5's)."""
MAX_DISTANCE = 128
"""Offset in tokens from which all offsets share the last bucket (T5's)."""

_attention_init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
_dense_init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
_bias_init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")


def _dense(
    features: int,
    init: nn.initializers.Initializer,
    dtype: Any = None,
    name: str | None = None,
) -> nn.Dense:
    return nn.Dense(
        features,
        use_bias=False,
        kernel_init=init,
        dtype=dtype,
        dot_general=dense_product,
        name=name,
    )


def relative_position_buckets(length: int, *, bidirectional: bool) -> np.ndarray:
    """Returns T5's bucket of every offset key − query from −length + 1 to length − 1.

    Small distances have a bucket each; larger ones share buckets of logarithmic width.

    Returns:
      int32 ``[2 length − 1]``, values in ``[0, 32)``.

    >>> relative_position_buckets(4, bidirectional=True)
    array([ 3,  2,  1,  0, 17, 18, 19], dtype=int32)
    >>> relative_position_buckets(4, bidirectional=False)
    array([3, 2, 1, 0, 0, 0, 0], dtype=int32)
    """
    behind = np.arange(length - 1, -length, -1)
    num_buckets = NUM_BUCKETS // 2 if bidirectional else NUM_BUCKETS
    ahead = np.where(behind < 0, num_buckets, 0) if bidirectional else 0
    distance = np.abs(behind) if bidirectional else np.maximum(behind, 0)
    exact = num_buckets // 2
    # float32 as in T5X: a wider type would move offsets at the edge of a bucket.
    far = np.log(
        distance.astype(np.float32) / np.float32(exact) + np.finfo(np.float32).eps
    ) / np.log(MAX_DISTANCE / exact)
    far_bucket = exact + (far * (num_buckets - exact)).astype(np.int32)
    bucket = np.where(distance < exact, distance, np.minimum(far_bucket, num_buckets - 1))
    return (ahead + bucket).astype(np.int32)


def padding_bias(tokens: Array) -> Array:
    """Returns a bias ``[B, 1, 1, L]`` that hides padding (id 0) of ``[B, L]`` from attention."""
    return jnp.where(tokens > 0, 0.0, _MASKED)[:, None, None, :]


class RelativePositionBias(nn.Module):
    """One learned attention bias per head and distance bucket, shared by a stack's layers."""

    num_heads: int
    bidirectional: bool

    @nn.compact
    def __call__(self, length: int) -> Array:
        """Returns ``[1, H, length, length]``, query before key."""
        table = self.param("rel_embedding", _bias_init, (self.num_heads, NUM_BUCKETS))
        buckets = relative_position_buckets(length, bidirectional=self.bidirectional)
        one_hot = np.equal(np.arange(NUM_BUCKETS)[:, None], buckets).astype(np.float32)
        by_offset = jnp.pad(table @ one_hot, ((0, 0), (0, 1)))
        # Row q holds the same 2·length values rotated right by q. Reshaping repeated copies with
        # rows one element shorter rotates them; its gradient is a sum, not a scatter over pairs.
        rotated = jnp.tile(by_offset, (1, length))[:, : length * (2 * length - 1)]
        rotated = rotated.reshape(self.num_heads, length, 2 * length - 1)
        return rotated[None, :, :, length - 1 :]


class Attention(nn.Module):
    """Multi-head dot-product attention without biases or logit scaling."""

    config: ModelConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        width = self.config.num_heads * self.config.head_dim

        def query_init(*args: Any) -> Array:
            return _attention_init(*args) / np.float32(np.sqrt(self.config.head_dim))

        self.query = _dense(width, query_init, self.dtype)
        self.key = _dense(width, _attention_init, self.dtype)
        self.value = _dense(width, _attention_init, self.dtype)
        self.out = _dense(self.config.emb_dim, _attention_init, self.dtype)
        self.dropout = nn.Dropout(self.config.dropout_rate, broadcast_dims=(-2,))

    def _heads(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.config.num_heads, self.config.head_dim)

    def _attend(
        self, query: Array, key: Array, value: Array, bias: Array, deterministic: bool
    ) -> Array:
        weights = nn.softmax(jnp.einsum("bqhk,bvhk->bhqv", query, key) + bias.astype(query.dtype))
        weights = self.dropout(weights, deterministic)
        mixed = jnp.einsum("bhqv,bvhk->bqhk", weights, value)
        return self.out(mixed.reshape(*mixed.shape[:-2], -1))

    def __call__(self, inputs: Array, memory: Array, bias: Array, deterministic: bool) -> Array:
        """Computes attention for all positions at once.

        Args:
          inputs: ``[B, L, D]``, one query per position.
          memory: ``[B, M, D]``, keys and values.
          bias: broadcastable to ``[B, H, L, M]``.
          deterministic: disables dropout.

        Returns:
          ``[B, L, D]``.
        """
        return self._attend(
            self._heads(self.query(inputs)),
            self._heads(self.key(memory)),
            self._heads(self.value(memory)),
            bias,
            deterministic,
        )

    def next_position(self, inputs: Array, bias: Array, position: Array, length: int) -> Array:
        """Computes self-attention of one new position and adds the position to the cache.

        Args:
          inputs: ``[B, 1, D]``.
          bias: ``[1, H, 1, length]``; forbids positions after ``position``.
          position: scalar index of the new position.
          length: capacity of the cache.
        """
        shape = (inputs.shape[0], length, self.config.num_heads, self.config.head_dim)
        key_and_value = []
        for name, projection in (("key", self.key), ("value", self.value)):
            cached = self._cached(f"cached_{name}", lambda: jnp.zeros(shape, self.dtype))
            new = self._heads(projection(inputs))
            cached = jax.lax.dynamic_update_slice_in_dim(cached, new, position, axis=1)
            self.put_variable("cache", f"cached_{name}", cached)
            key_and_value.append(cached)
        return self._attend(
            self._heads(self.query(inputs)), key_and_value[0], key_and_value[1], bias, True
        )

    def over_memory(self, inputs: Array, memory: Array, bias: Array) -> Array:
        """Computes cross-attention of one new position; the projected memory is cached."""
        key = self._cached("memory_key", lambda: self._heads(self.key(memory)))
        value = self._cached("memory_value", lambda: self._heads(self.value(memory)))
        return self._attend(self._heads(self.query(inputs)), key, value, bias, True)

    def _cached(self, name: str, make: Callable[[], Array]) -> Array:
        if not self.has_variable("cache", name):
            self.put_variable("cache", name, make())
        return self.get_variable("cache", name)


class FeedForward(nn.Module):
    """Position-wise ReLU block."""

    config: ModelConfig
    mlp_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, deterministic: bool) -> Array:
        hidden = nn.relu(_dense(self.mlp_dim, _dense_init, self.dtype, "wi")(x))
        hidden = nn.Dropout(self.config.dropout_rate, broadcast_dims=(-2,))(
            hidden, deterministic=deterministic
        )
        return _dense(self.config.emb_dim, _dense_init, self.dtype, "wo")(hidden)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward block, each with a norm before it and a residual."""

    config: ModelConfig
    mlp_dim: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        config = self.config
        self.pre_attention_layer_norm = nn.RMSNorm(dtype=self.dtype)
        self.attention = Attention(config, self.dtype)
        self.pre_mlp_layer_norm = nn.RMSNorm(dtype=self.dtype)
        self.mlp = FeedForward(config, self.mlp_dim, self.dtype)
        self.dropout = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))

    def __call__(self, x: Array, bias: Array, deterministic: bool) -> Array:
        y = self.pre_attention_layer_norm(x)
        x = x + self.dropout(self.attention(y, y, bias, deterministic), deterministic)
        y = self.pre_mlp_layer_norm(x)
        return x + self.dropout(self.mlp(y, deterministic), deterministic)


class Encoder(nn.Module):
    """Bidirectional stack over embedded tokens: encoder of the discriminator and of G."""

    config: ModelConfig
    num_layers: int
    mlp_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, embedded: Array, padding_bias: Array, deterministic: bool) -> Array:
        """Returns contextual vectors ``[B, L, D]`` of embedded tokens ``[B, L, D]``."""
        config = self.config
        dropout = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))
        length = embedded.shape[-2]
        bias = (
            RelativePositionBias(config.num_heads, True, name="relpos_bias")(length) + padding_bias
        )
        x = dropout(embedded, deterministic)
        for index in range(self.num_layers):
            x = EncoderLayer(config, self.mlp_dim, self.dtype, name=f"layers_{index}")(
                x, bias, deterministic
            )
        x = nn.RMSNorm(dtype=self.dtype, name="encoder_norm")(x)
        return nn.Dropout(config.dropout_rate)(x, deterministic=deterministic)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention over the encoder, feed-forward block."""

    config: ModelConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        config = self.config
        self.pre_self_attention_layer_norm = nn.RMSNorm(dtype=self.dtype)
        self.self_attention = Attention(config, self.dtype)
        self.pre_cross_attention_layer_norm = nn.RMSNorm(dtype=self.dtype)
        self.encoder_decoder_attention = Attention(config, self.dtype)
        self.pre_mlp_layer_norm = nn.RMSNorm(dtype=self.dtype)
        self.mlp = FeedForward(config, config.mlp_dim, self.dtype)
        self.dropout = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))

    def __call__(
        self, x: Array, encoded: Array, bias: Array, padding_bias: Array, deterministic: bool
    ) -> Array:
        y = self.pre_self_attention_layer_norm(x)
        x = x + self.dropout(self.self_attention(y, y, bias, deterministic), deterministic)
        y = self.pre_cross_attention_layer_norm(x)
        y = self.encoder_decoder_attention(y, encoded, padding_bias, deterministic)
        x = x + self.dropout(y, deterministic)
        y = self.pre_mlp_layer_norm(x)
        return x + self.dropout(self.mlp(y, deterministic), deterministic)

    def next_position(
        self,
        x: Array,
        encoded: Array,
        bias: Array,
        padding_bias: Array,
        position: Array,
        length: int,
    ) -> Array:
        y = self.pre_self_attention_layer_norm(x)
        x = x + self.self_attention.next_position(y, bias, position, length)
        y = self.pre_cross_attention_layer_norm(x)
        x = x + self.encoder_decoder_attention.over_memory(y, encoded, padding_bias)
        return x + self.mlp(self.pre_mlp_layer_norm(x), True)


class Decoder(nn.Module):
    """Causal stack over embedded target tokens."""

    config: ModelConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        config = self.config
        self.relpos_bias = RelativePositionBias(config.num_heads, False)
        self.layers = [DecoderLayer(config, self.dtype) for _ in range(config.num_decoder_layers)]
        self.decoder_norm = nn.RMSNorm(dtype=self.dtype)
        self.dropout = nn.Dropout(config.dropout_rate, broadcast_dims=(-2,))

    def __call__(
        self, embedded: Array, encoded: Array, padding_bias: Array, deterministic: bool
    ) -> Array:
        """Returns vectors ``[B, T, D]``; position t attends to positions 0 … t."""
        length = embedded.shape[-2]
        causal = np.where(np.tril(np.ones((length, length), bool)), 0.0, _MASKED)
        bias = self.relpos_bias(length) + jnp.asarray(causal, self.dtype)
        x = self.dropout(embedded, deterministic)
        for layer in self.layers:
            x = layer(x, encoded, bias, padding_bias, deterministic)
        return self.dropout(self.decoder_norm(x), deterministic)

    def next_position(
        self, embedded: Array, encoded: Array, padding_bias: Array, position: Array, length: int
    ) -> Array:
        """Returns the vector ``[B, 1, D]`` of one new position; reads and updates the cache."""
        allowed = jnp.where(jnp.arange(length) <= position, 0.0, _MASKED)
        bias = jax.lax.dynamic_slice_in_dim(self.relpos_bias(length), position, 1, axis=2)
        bias = bias + allowed
        x = embedded
        for layer in self.layers:
            x = layer.next_position(x, encoded, bias, padding_bias, position, length)
        return self.decoder_norm(x)


class Generator(nn.Module):
    """G: a small bidirectional encoder and its own linear projection to the vocabulary (Eq. 3).

    With decoder layers it is a small T5 over the same n positions. Its decoder reads X_c shifted
    right, so its prediction at an [M] is p(token | X_c^MLM, the tokens before it in X_c).
    """

    config: ModelConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        embedded: Array,
        positions: Array | None,
        deterministic: bool,
        decoder_embedded: Array | None = None,
    ) -> Array:
        """Returns float32 logits ``[B, q, V]`` at ``positions`` ``[B, q]`` of X_c^MLM.

        If ``positions`` is None, ``[B, L, V]`` at all positions. ``decoder_embedded``
        ``[B, n, D]``, X_c shifted right, is read only by a generator with a decoder.
        """
        config = self.config
        no_padding = jnp.zeros((), self.dtype)
        hidden = Encoder(
            config,
            config.generator_num_layers,
            config.generator_mlp_dim,
            self.dtype,
            name="encoder",
        )(embedded, no_padding, deterministic)
        if config.generator_num_decoder_layers:
            if decoder_embedded is None:
                raise ValueError("this generator has a decoder: give it X_c shifted right")
            small = dataclasses.replace(
                config,
                num_decoder_layers=config.generator_num_decoder_layers,
                mlp_dim=config.generator_mlp_dim,
            )
            decoder = Decoder(small, self.dtype, name="decoder")
            hidden = decoder(decoder_embedded, hidden, no_padding, deterministic)
        if positions is not None:
            hidden = jnp.take_along_axis(hidden, positions[..., None], axis=1)
        projection = _dense(config.vocab_size, _dense_init, name="projection")
        return projection(hidden.astype(jnp.float32))


class ReplacedTokenHead(nn.Module):
    """f of Equation 5: a GELU layer and one logit per position, for "this token is original"."""

    config: ModelConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, encoded: Array) -> Array:
        """Returns float32 logits ``[B, L]``."""
        hidden = _dense(self.config.rtd_mlp_dim, _dense_init, self.dtype, "wi")(encoded)
        logits = _dense(1, _dense_init, name="wo")(nn.gelu(hidden).astype(jnp.float32))
        return logits[..., 0]


class Network(nn.Module):
    """Discriminator D, generator G and RTD head over one token embedder.

    Span corruption calls only :meth:`encode` and :meth:`decode`, which read the discriminator's
    parameters, so it runs on parameters without generator and RTD head.
    """

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        dtype = jnp.dtype(config.compute_dtype)
        self.token_embedder = nn.Embed(
            config.vocab_size, config.emb_dim, embedding_init=nn.initializers.normal(1.0)
        )
        self.encoder = Encoder(config, config.num_encoder_layers, config.mlp_dim, dtype)
        self.decoder = Decoder(config, dtype)
        self.generator = Generator(config, dtype)
        self.rtd_head = ReplacedTokenHead(config, dtype)

    def embed(self, tokens: Array) -> Array:
        """Looks tokens up in the shared embedder: ``[..., D]`` for integer ``[...]``."""
        dtype = jnp.dtype(self.config.compute_dtype)
        if self.config.one_hot_embedding:
            one_hot = jax.nn.one_hot(tokens, self.config.vocab_size, dtype=dtype)
            return one_hot @ self.token_embedder.embedding.astype(dtype)
        # Rounded after the lookup, because the gradient of a frequent token is a sum over
        # thousands of positions, which would be inexact in bfloat16.
        return self.token_embedder(tokens).astype(dtype)

    def encode(self, embedded: Array, padding_bias: Array, deterministic: bool = True) -> Array:
        """Returns the encoder's output ``[B, L, D]`` for embedded tokens ``[B, L, D]``."""
        return self.encoder(embedded, padding_bias, deterministic)

    def decode(
        self,
        decoder_input_tokens: Array,
        encoded: Array,
        padding_bias: Array,
        deterministic: bool = True,
    ) -> Array:
        """Returns teacher-forced float32 logits ``[B, T, V]``."""
        hidden = self.decoder(
            self.embed(decoder_input_tokens), encoded, padding_bias, deterministic
        )
        return self._logits(hidden)

    def decode_next(
        self, token: Array, encoded: Array, padding_bias: Array, position: Array, length: int
    ) -> Array:
        """Returns logits ``[B, V]`` after one more input token ``[B]``; updates the ``cache``.

        The first call, at position 0, creates the cache for ``length`` positions.
        """
        hidden = self.decoder.next_position(
            self.embed(token[:, None]), encoded, padding_bias, position, length
        )
        return self._logits(hidden)[:, 0]

    def _logits(self, hidden: Array) -> Array:
        table = self.token_embedder.embedding.astype(jnp.float32)
        # The hidden vectors are divided instead of the logits, which have many more elements.
        scaled = hidden.astype(jnp.float32) / np.float32(np.sqrt(self.config.emb_dim))
        return scaled @ table.T

    def generate(
        self,
        embedded: Array,
        positions: Array | None,
        deterministic: bool = True,
        shifted_tokens: Array | None = None,
    ) -> Array:
        """Returns generator logits ``[B, q, V]`` at masked positions ``[B, q]``, or at all if None.

        ``shifted_tokens`` int32 ``[B, n]``, X_c shifted right, is read by a generator with a
        decoder.
        """
        decoder_embedded = None
        if self.config.generator_num_decoder_layers and shifted_tokens is not None:
            decoder_embedded = self.embed(shifted_tokens)
        return self.generator(embedded, positions, deterministic, decoder_embedded)

    def detect(self, encoded: Array) -> Array:
        """Returns RTD logits ``[B, L]``; a positive logit classifies the token as original."""
        return self.rtd_head(encoded)

    def __call__(self, encoder_input_tokens: Array, decoder_input_tokens: Array) -> Array:
        """Runs T5 without dropout, and returns teacher-forced logits ``[B, T, V]``."""
        bias = padding_bias(encoder_input_tokens)
        encoded = self.encode(self.embed(encoder_input_tokens), bias)
        return self.decode(decoder_input_tokens, encoded, bias)

    def touch_all(self, encoder_input_tokens: Array, decoder_input_tokens: Array) -> None:
        """Runs every module once, so that initialisation creates all parameters."""
        bias = padding_bias(encoder_input_tokens)
        embedded = self.embed(encoder_input_tokens)
        self.decode(decoder_input_tokens, self.encode(embedded, bias), bias)
        first = jnp.zeros((encoder_input_tokens.shape[0], 1), jnp.int32)
        self.generate(embedded, first, shifted_tokens=encoder_input_tokens)
        self.detect(embedded)
