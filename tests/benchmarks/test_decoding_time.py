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

ROWS, INPUT, OUTPUT = 4, 128, 64
"""A summary of CNN/DailyMail is some 64 tokens."""
CONFIG = subjects.base_width(2, ROWS, dropout_rate=0.0)
NEVER = -1
"""An id that is never produced, so that every row is decoded to its full length."""
MICRO = subjects.MICRO
AT_MOST = 1 / 5
"""Of the time of recomputing all positions for every token."""


@dataclass(frozen=True)
class Subject:
    """A model and what it decodes."""

    what: str
    config: PretrainConfig
    rows: int
    inputs: int
    outputs: int


SUBJECTS = (
    Subject("d = 768, 2+2 layers", CONFIG, ROWS, INPUT, OUTPUT),
    # As fine-tuning at micro decodes CNN/DailyMail's column.
    Subject("micro's Base", MICRO, predictions.ROWS, MICRO.input_length, 48),
)


@pytest.fixture(scope="module")
def params() -> Any:
    return step.init_state(CONFIG, 0, "span_corruption").params


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(0).integers(3, 32_000, (ROWS, INPUT)).astype(np.int32)


def _cached(
    params: Any, inputs: np.ndarray, config: PretrainConfig = CONFIG, outputs: int = OUTPUT
) -> Callable[[], object]:
    decode = step.build_greedy_decode(config, outputs, NEVER)
    return lambda: jax.block_until_ready(decode(params, inputs))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.what)
def test_against_decoding_without_a_cache(benchmark: Any, subject: Subject) -> None:
    config, rows, outputs = subject.config, subject.rows, subject.outputs
    network = Network(config.model)
    params = step.init_state(config, 0, "span_corruption").params
    shape = (rows, subject.inputs)
    inputs = np.random.default_rng(0).integers(3, 1900, shape).astype(np.int32)

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
        _cached(params, inputs, config, outputs),
        lambda: jax.block_until_ready(recomputing(params, inputs)),
        rounds=3,
        what=f"cached greedy decoding, {subject.what}, {rows} x {outputs} tokens",
        against="recomputing all positions",
        at_most=AT_MOST,
    )


@pytest.mark.filterwarnings("ignore")
def test_against_hugging_face(benchmark: Any, params: Any, inputs: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    transformers = pytest.importorskip("transformers", reason="Transformers is not installed")
    if jax.default_backend() != "cpu":
        pytest.skip("the comparison is made on a CPU")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sizes = huggingface.config_of(CONFIG.model) | {"eos_token_id": None}
    theirs = transformers.T5ForConditionalGeneration(transformers.T5Config.from_dict(sizes)).eval()
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
