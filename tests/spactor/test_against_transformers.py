"""The discriminator against Hugging Face's PyTorch T5, where PyTorch is installed.

Random weights of the T5.1.0 configuration, written by our exporter and read by `transformers`.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import traverse_util
from tiny_model import random_params, tiny_config

from spactor import huggingface, step
from spactor.config import ModelConfig
from spactor.data.vocabulary import EOS_ID
from spactor.network import Network, relative_position_buckets

pytestmark = pytest.mark.torch

SHAPES = {
    "tiny": ({}, 40, 12),
    # Heads narrower than the width, stacks of different depth, odd sizes.
    "uneven": (
        dict(emb_dim=20, num_heads=3, head_dim=5, num_encoder_layers=3, num_decoder_layers=1),
        33,
        9,
    ),
    # Offsets beyond 128, which share the last bucket.
    "long": (dict(vocab_size=640, mlp_dim=48), 300, 150),
    "deep": (dict(emb_dim=64, head_dim=32, num_encoder_layers=6, num_decoder_layers=6), 64, 20),
}
T5_SMALL = dict(
    vocab_size=32_128,
    emb_dim=512,
    num_heads=8,
    head_dim=64,
    mlp_dim=2048,
    num_encoder_layers=6,
    num_decoder_layers=6,
)


@pytest.fixture(scope="module", autouse=True)
def torch():
    reason = "PyTorch is not installed; `python -m nox -s crosscheck` installs it"
    module = pytest.importorskip("torch", reason=reason)
    pytest.importorskip("transformers", reason="transformers is not installed")
    return module


@pytest.fixture
def exported(tmp_path: Path, unigram_model: bytes):
    """Writes parameters with our exporter and has `transformers` read them."""

    def export(params: dict, model: ModelConfig):
        from transformers import AutoModelForSeq2SeqLM

        huggingface.save(tmp_path / "model", params, model, vocabulary=unigram_model)
        theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
        assert type(theirs).__name__ == "T5ForConditionalGeneration"
        return theirs.eval()

    return export


def inputs_with_padding(rows: int, length: int, vocab_size: int, seed: int) -> np.ndarray:
    """Tokens ``[rows, length]``: the first row full, the second one token, the others between."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(3, vocab_size, (rows, length)).astype(np.int32)
    ends = rng.integers(2, length, rows)
    ends[:2] = length, 1
    return np.where(np.arange(length) < ends[:, None], tokens, 0)


def their_logits(torch, theirs, inputs: np.ndarray, shifted: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return theirs(
            input_ids=torch.tensor(inputs, dtype=torch.long),
            attention_mask=torch.tensor(inputs > 0),
            decoder_input_ids=torch.tensor(shifted, dtype=torch.long),
        ).logits.numpy()


def assert_same_logits(torch, theirs, params, model, length: int, targets: int) -> None:
    inputs = inputs_with_padding(4, length, model.vocab_size, 0)
    shifted = np.roll(inputs_with_padding(4, targets, model.vocab_size, 1), 1, axis=1)
    shifted[:, 0] = 0
    expected = their_logits(torch, theirs, inputs, shifted)
    logits = np.asarray(jax.jit(Network(model).apply)({"params": params}, inputs, shifted))
    assert expected.dtype == logits.dtype == np.float32
    assert logits.std() > 0.5, "logits near 0 would agree whatever the network"
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_same_logits(torch, exported, name: str) -> None:
    changes, length, targets = SHAPES[name]
    model = tiny_config(**changes).model
    params = random_params(model, 0)
    assert_same_logits(torch, exported(params, model), params, model, length, targets)


def test_same_logits_at_the_size_of_t5_small(torch, exported) -> None:
    model = tiny_config(**T5_SMALL).model
    params = random_params(model, 1)
    theirs = exported(params, model)
    # The published T5-Small.
    assert theirs.num_parameters() == 60_506_624
    assert_same_logits(torch, theirs, params, model, 48, 12)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_same_position_buckets(torch, bidirectional: bool) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    offsets = torch.arange(-2047, 2048)
    expected = T5Attention._relative_position_bucket(offsets, bidirectional=bidirectional)
    buckets = relative_position_buckets(2048, bidirectional=bidirectional)
    np.testing.assert_array_equal(buckets, expected.numpy())


def with_varied_output(params: dict) -> dict:
    """Scales parameters so that greedy decoding emits many different tokens.

    A tied T5 with random weights repeats its last token. With a smaller embedding and smaller
    feed-forward blocks, and larger queries, the output depends on the input and earlier tokens.
    """

    def scaled(path: tuple[str, ...], leaf: np.ndarray) -> np.ndarray:
        factor = {"embedding": 0.1, "wo": 0.1, "query": 8.0}
        other = path[-2] if path[-1] == "kernel" else path[-1]
        return leaf * np.float32(factor.get(other, 1.0))

    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict({path: scaled(path, leaf) for path, leaf in flat.items()})


@pytest.mark.parametrize("name", ["tiny", "uneven", "deep"])
def test_same_cached_greedy_decoding(torch, exported, name: str) -> None:
    changes, length, _ = SHAPES[name]
    config = tiny_config(**changes)
    params = with_varied_output(random_params(config.model, 2))
    rows, max_length = 16, 24
    inputs = inputs_with_padding(rows, length, config.model.vocab_size, 3)
    theirs = exported(params, config.model)

    def decoded(eos_id: int) -> np.ndarray:
        return np.asarray(step.build_greedy_decode(config, max_length, eos_id)(params, inputs))

    def generated(eos_id: int) -> np.ndarray:
        with torch.no_grad():
            tokens = theirs.generate(
                input_ids=torch.tensor(inputs, dtype=torch.long),
                attention_mask=torch.tensor(inputs > 0),
                max_new_tokens=max_length,
                eos_token_id=eos_id,
                num_beams=1,
                do_sample=False,
            )
        # Theirs starts with the decoder's first input, and stops when every row has ended.
        result = np.zeros((rows, max_length), np.int32)
        result[:, : tokens.shape[1] - 1] = tokens[:, 1:].numpy()
        return result

    tokens = decoded(EOS_ID)
    np.testing.assert_array_equal(tokens, generated(EOS_ID))
    assert len(np.unique(tokens)) > 40, "more than a few different tokens"
    # Random weights seldom emit eos, so a token that only some rows contain is used as eos too.
    in_rows = {token: (tokens == token).any(axis=1).sum() for token in np.unique(tokens[:, 1:])}
    eos_id = max(
        (token for token in in_rows if token > 0 and in_rows[token] < rows), key=in_rows.get
    )
    ended = decoded(int(eos_id))
    assert 1 < (ended == eos_id).any(axis=1).sum() < rows, "rows with and without eos are compared"
    np.testing.assert_array_equal(ended, generated(int(eos_id)))


def test_import_from_transformers(torch, tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    model = tiny_config(emb_dim=24, num_encoder_layers=1).model
    torch.manual_seed(0)
    theirs = T5ForConditionalGeneration(
        T5Config(
            vocab_size=model.vocab_size,
            d_model=model.emb_dim,
            d_kv=model.head_dim,
            d_ff=model.mlp_dim,
            num_layers=model.num_encoder_layers,
            num_decoder_layers=model.num_decoder_layers,
            num_heads=model.num_heads,
        )
    ).eval()
    theirs.save_pretrained(tmp_path)
    params = huggingface.load(tmp_path, model)
    assert_same_logits(torch, theirs, params, model, 30, 10)


def test_round_trip_through_transformers(torch, exported, tmp_path: Path) -> None:
    model = tiny_config().model
    params = random_params(model, 4)
    exported(params, model).save_pretrained(tmp_path / "again")
    back = huggingface.load(tmp_path / "again", model)
    jax.tree.map(np.testing.assert_array_equal, params, back)
