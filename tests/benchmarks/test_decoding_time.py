"""Greedy decoding with a key-value cache: against decoding without, and against PyTorch's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest
import subjects

from spactor import huggingface, predictions, step
from spactor.config import PretrainConfig
from spactor.network import Network, padding_bias

pytestmark = pytest.mark.benchmark


@dataclass(frozen=True)
class Subject:
    """A model, and the shape of what it decodes."""

    what: str
    config: PretrainConfig
    rows: int
    inputs: int
    outputs: int

    def tokens(self) -> np.ndarray:
        shape = (self.rows, self.inputs)
        return np.random.default_rng(0).integers(3, 1900, shape).astype(np.int32)


# A summary of CNN/DailyMail is some 64 tokens.
WIDE = Subject(
    "d = 768, 2+2 layers",
    subjects.base_width(2, 4, dropout_rate=0.0),
    rows=4,
    inputs=128,
    outputs=64,
)
# As fine-tuning at micro decodes CNN/DailyMail's column.
MICRO = Subject(
    "micro's Base", subjects.MICRO, predictions.ROWS, subjects.MICRO.input_length, outputs=48
)
NEVER = -1
"""An id that is never produced, so that every row is decoded to its full length."""
AT_MOST = 1 / 5
"""Of the time of recomputing all positions for every token."""


def _cached(params: Any, subject: Subject) -> Callable[[], object]:
    decode = step.build_greedy_decode(subject.config, subject.outputs, NEVER)
    tokens = subject.tokens()
    return lambda: jax.block_until_ready(decode(params, tokens))


@pytest.mark.parametrize("subject", [WIDE, MICRO], ids=lambda subject: subject.what)
def test_against_decoding_without_a_cache(benchmark: Any, subject: Subject) -> None:
    config, rows, outputs = subject.config, subject.rows, subject.outputs
    network = Network(config.model)
    params = step.init_state(config, 0, "span_corruption").params
    inputs = subject.tokens()

    @jax.jit
    def recomputing(params: Any, inputs: jax.Array) -> jax.Array:
        model = network.bind({"params": params})
        bias = padding_bias(inputs)
        encoded = model.encode(model.embed(inputs), bias)

        def one_more(position: jax.Array, shifted: jax.Array) -> jax.Array:
            logits: Any = network.apply(
                {"params": params}, shifted, encoded, bias, method=Network.decode
            )
            token = jnp.argmax(logits[:, position], axis=-1).astype(jnp.int32)
            return shifted.at[:, position + 1].set(token, mode="drop")

        return jax.lax.fori_loop(0, outputs, one_more, jnp.zeros((rows, outputs), jnp.int32))

    paired.measure(
        benchmark,
        _cached(params, subject),
        lambda: jax.block_until_ready(recomputing(params, inputs)),
        rounds=3,
        what=f"cached greedy decoding, {subject.what}, {rows} x {outputs} tokens",
        against="recomputing all positions",
        at_most=AT_MOST,
    )


@pytest.mark.filterwarnings("ignore")
def test_against_hugging_face(benchmark: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
    if jax.default_backend() != "cpu":
        pytest.skip("the comparison is made on a CPU")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sizes = huggingface.config_of(WIDE.config.model) | {"eos_token_id": None}
    theirs = transformers.T5ForConditionalGeneration(transformers.T5Config.from_dict(sizes)).eval()
    tokens = torch.tensor(WIDE.tokens().tolist())
    lengths = {"max_new_tokens": WIDE.outputs, "min_new_tokens": WIDE.outputs}

    def control() -> None:
        with torch.inference_mode():
            made = theirs.generate(
                tokens, do_sample=False, num_beams=1, eos_token_id=None, **lengths
            )
        assert made.shape == (WIDE.rows, WIDE.outputs + 1)

    params = step.init_state(WIDE.config, 0, "span_corruption").params
    paired.measure(
        benchmark,
        _cached(params, WIDE),
        control,
        rounds=5,
        what=f"cached greedy decoding, {WIDE.what}, {WIDE.rows} x {WIDE.outputs} tokens",
        against="Hugging Face's generate, with its cache",
    )
