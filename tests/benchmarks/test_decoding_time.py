"""Greedy decoding with a key-value cache: against decoding without, and against PyTorch's."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest
import subjects

from spactor import step
from spactor.network import Network, padding_bias

pytestmark = pytest.mark.benchmark

ROWS, INPUT, OUTPUT = 4, 128, 32
CONFIG = subjects.base_width(2, ROWS, dropout_rate=0.0)
NEVER = -1
"""An id that is never produced, so that every row is decoded to its full length."""


@pytest.fixture(scope="module")
def params():
    return step.init_state(CONFIG, 0, "span_corruption").params


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(0).integers(3, 32_000, (ROWS, INPUT)).astype(np.int32)


def _cached(params, inputs):
    decode = step.build_greedy_decode(CONFIG, OUTPUT, NEVER)
    return lambda: jax.block_until_ready(decode(params, inputs))


def test_against_decoding_without_a_cache(benchmark, params, inputs) -> None:
    network = Network(CONFIG.model)

    @jax.jit
    def recomputing(params, inputs):
        model = network.bind({"params": params})
        bias = padding_bias(inputs)
        encoded = model.encode(model.embed(inputs), bias)

        def one_more(position, shifted):
            logits = network.apply(
                {"params": params}, shifted, encoded, bias, method=Network.decode
            )
            token = jnp.argmax(logits[:, position], axis=-1).astype(jnp.int32)
            return shifted.at[:, position + 1].set(token, mode="drop")

        return jax.lax.fori_loop(0, OUTPUT, one_more, jnp.zeros((ROWS, OUTPUT), jnp.int32))

    paired.measure(
        benchmark,
        _cached(params, inputs),
        lambda: jax.block_until_ready(recomputing(params, inputs)),
        rounds=5,
        what=f"cached greedy decoding, d = 768, 2+2 layers, {ROWS} x {OUTPUT} tokens",
        against="recomputing all positions",
    )


@pytest.mark.filterwarnings("ignore")
def test_against_hugging_face(benchmark, params, inputs) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
    if jax.default_backend() != "cpu":
        pytest.skip("the comparison is made on a CPU")
    model = CONFIG.model
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    theirs = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=model.vocab_size,
            d_model=model.emb_dim,
            d_kv=model.head_dim,
            d_ff=model.mlp_dim,
            num_layers=2,
            num_decoder_layers=2,
            num_heads=model.num_heads,
            feed_forward_proj="relu",
            decoder_start_token_id=0,
            eos_token_id=None,
        )
    ).eval()
    tokens = torch.tensor(inputs.tolist())
    lengths = {"max_new_tokens": OUTPUT, "min_new_tokens": OUTPUT}

    def control() -> None:
        with torch.inference_mode():
            made = theirs.generate(
                tokens, do_sample=False, num_beams=1, eos_token_id=None, **lengths
            )
        assert made.shape == (ROWS, OUTPUT + 1)

    paired.measure(
        benchmark,
        _cached(params, inputs),
        control,
        rounds=5,
        what=f"cached greedy decoding, d = 768, 2+2 layers, {ROWS} x {OUTPUT} tokens",
        against="Hugging Face's generate, with its cache",
    )
