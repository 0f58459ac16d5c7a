"""The Hugging Face format: round trips bit for bit, atomic writes, and rejected input."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import stat
from pathlib import Path

import jax
import numpy as np
import pytest
import sentencepiece
from flax import traverse_util
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny_model import VOCABULARY, random_params, tiny_config

from spactor import huggingface, step
from spactor.config import ModelConfig
from spactor.data import host_tensorflow, vocabulary
from spactor.errors import UserError

ABOUT = {"node": "base/s0/sc/0-500K"}
MODEL = tiny_config(num_encoder_layers=1, emb_dim=20, num_heads=3).model


@pytest.fixture(scope="module")
def params() -> dict:
    return random_params(MODEL, 0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, params: dict, unigram_model: bytes) -> Path:
    """An exported folder; not to be changed."""
    path = tmp_path_factory.mktemp("exported") / "of" / "model"
    huggingface.save(path, params, MODEL, vocabulary=unigram_model, about=ABOUT)
    return path


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(exported, tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "hybrid"),
    [
        ({}, False),
        (dict(emb_dim=20, num_heads=3, head_dim=5, num_encoder_layers=3), True),
        (dict(vocab_size=640, mlp_dim=7, num_encoder_layers=1, num_decoder_layers=12), True),
    ],
)
def test_round_trip_is_bit_for_bit(
    tmp_path: Path, unigram_model: bytes, changes: dict, hybrid: bool
) -> None:
    model = tiny_config(**changes).model
    params = random_params(model, 1, hybrid=hybrid)
    on_device = jax.tree.map(jax.numpy.asarray, params)
    huggingface.save(tmp_path / "a", on_device, model, vocabulary=unigram_model)
    back = huggingface.load(tmp_path / "a", model)
    expected = {name: leaf for name, leaf in params.items() if name not in step.HYBRID_ONLY}
    assert len(expected) == 3 and set(params) - set(expected) == (
        set(step.HYBRID_ONLY) if hybrid else set()
    )
    theirs, ours = traverse_util.flatten_dict(back), traverse_util.flatten_dict(expected)
    assert theirs.keys() == ours.keys()
    for path, leaf in ours.items():
        assert theirs[path].dtype == np.float32
        assert theirs[path].tobytes() == np.ascontiguousarray(leaf).tobytes(), path
    # Exporting the result again writes the same files.
    huggingface.save(tmp_path / "b", back, model, vocabulary=unigram_model)
    for name in os.listdir(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_contents_of_an_exported_folder(exported: Path, params: dict, unigram_model: bytes) -> None:
    from transformers import T5Config

    folder = exported
    assert sorted(os.listdir(folder)) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "spactor.json",
        "spiece.model",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (folder / "spiece.model").read_bytes() == unigram_model
    assert json.loads((folder / "spactor.json").read_text("utf-8")) == ABOUT
    config = json.loads((folder / "config.json").read_text("utf-8"))
    sizes = dict(vocab_size=512, d_model=20, d_kv=8, d_ff=32, num_heads=3, num_layers=1)
    expected = T5Config(
        **sizes,
        **dict(num_decoder_layers=2, dropout_rate=0.0, decoder_start_token_id=0, dtype="float32"),
        architectures=["T5ForConditionalGeneration"],
    )
    assert config == {name: expected.to_dict()[name] for name in config}
    assert T5Config.from_dict(config).to_dict() == expected.to_dict()
    tensors = load_file(folder / "model.safetensors")
    # Embedding; encoder: bias, 1 × (2 norms, 4 + 2 kernels), norm; decoder: bias, 2 × (3 norms,
    # 4 + 4 + 2 kernels), norm.
    assert len(tensors) == 1 + (1 + 8 + 1) + (1 + 26 + 1)
    np.testing.assert_array_equal(tensors["shared.weight"], params["token_embedder"]["embedding"])
    np.testing.assert_array_equal(
        tensors["decoder.block.1.layer.1.EncDecAttention.o.weight"],
        params["decoder"]["layers_1"]["encoder_decoder_attention"]["out"]["kernel"].T,
    )
    np.testing.assert_array_equal(
        tensors["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"],
        params["encoder"]["relpos_bias"]["rel_embedding"].T,
    )
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
    modes = {stat.S_IMODE((folder / name).stat().st_mode) for name in os.listdir(folder)}
    assert len(modes) == 1, "all files can be read by whoever may read one"


@pytest.mark.parametrize("there", ["empty", "full", "file"])
def test_existing_paths_are_not_overwritten(
    tmp_path: Path, params: dict, unigram_model: bytes, there: str
) -> None:
    target = tmp_path / "model"
    if there == "file":
        target.write_text("thesis")
    else:
        target.mkdir()
    if there == "full":
        (target / "thesis.tex").write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="model exists"):
        huggingface.save(target, params, MODEL, vocabulary=unigram_model)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path,
    params: dict,
    unigram_model: bytes,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
) -> None:
    def fail(_: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(stop)):
        huggingface.save(tmp_path / "model", params, MODEL, vocabulary=unigram_model)
    assert list(tmp_path.iterdir()) == []


def _without(tree: dict, *path: str) -> dict:
    flat = traverse_util.flatten_dict(tree)
    del flat[path]
    return traverse_util.unflatten_dict(flat)


def test_parameters_of_other_sizes_are_rejected(
    tmp_path: Path, params: dict, unigram_model: bytes
) -> None:
    def fails(params: dict, model: ModelConfig, message: str) -> None:
        with pytest.raises(UserError, match=message) as caught:
            huggingface.save(tmp_path / "a", params, model, vocabulary=unigram_model)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    lacking = _without(params, "decoder", "decoder_norm", "scale")
    fails(lacking, MODEL, "no parameter decoder/decoder_norm/scale")
    deeper = tiny_config(emb_dim=20, num_heads=3).model
    fails(params, deeper, "no parameter encoder/layers_1/pre_attention_layer_norm/scale")
    fails(random_params(deeper, 0), MODEL, r"parameter encoder/layers_1/\S+ is unknown")
    wider = tiny_config(num_encoder_layers=1, emb_dim=24, num_heads=3).model
    fails(params, wider, r"embedding .*\[512, 20\].*\[512, 24\]")
    half = jax.tree.map(lambda leaf: leaf.astype(np.float16), params)
    fails(half, MODEL, r"embedding is float16\[512, 20\]")


Q = "encoder.block.0.layer.0.SelfAttention.q.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(Q), Q),
        (lambda t: t.update(extra=np.zeros(2, np.float32)), "extra"),
        (lambda t: t.update({Q: t[Q].T.copy()}), r"q.weight .*\[20, 24\].*\[24, 20\]"),
        (lambda t: t.update({Q: t[Q].astype(np.float16)}), r"F16\[24, 20\].*float32"),
        (
            lambda t: t.update({"lm_head.weight": t["shared.weight"] * 2}),
            "lm_head.weight .*shared.weight",
        ),
    ],
)
def test_invalid_tensors_are_rejected(folder: Path, change, message: str) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    _assert_load_fails(folder, message)


def _assert_load_fails(folder: Path, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        huggingface.load(folder, MODEL)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_other_names_of_the_embedding_are_accepted(folder: Path, params: dict) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors["shared.weight"].copy()
    # Google's published T5.1.0 holds this one, and no T5 reads it.
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    tensors[unused] = np.ones((32, 3), np.float32)
    save_file(tensors, path)
    jax.tree.map(np.testing.assert_array_equal, params, huggingface.load(folder, MODEL))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 24}, "d_model is 24, .* 20"),
        ({"num_decoder_layers": 1}, "num_decoder_layers is 1, .* 2"),
        ({"num_decoder_layers": None}, "num_decoder_layers is None"),
        ({"feed_forward_proj": "gated-gelu"}, "feed_forward_proj is 'gated-gelu'"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"scale_decoder_outputs": False}, "scale_decoder_outputs is False"),
        ({"relative_attention_max_distance": 64}, "relative_attention_max_distance is 64"),
        ({"model_type": "bart"}, "model_type is 'bart'"),
    ],
)
def test_invalid_configurations_are_rejected(folder: Path, change: dict, message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    _assert_load_fails(folder, message)


def test_configuration_of_an_older_version(tmp_path: Path, unigram_model: bytes) -> None:
    model = tiny_config().model
    huggingface.save(tmp_path / "a", random_params(model, 0), model, vocabulary=unigram_model)
    sizes = ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads", "num_layers")
    path = tmp_path / "a" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({key: config[key] for key in sizes}))
    huggingface.load(tmp_path / "a", model)


def test_missing_or_damaged_files(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    _assert_load_fails(folder, r"model\.safetensors is damaged")
    weights.unlink()
    _assert_load_fails(folder, r"model\.safetensors is missing")
    (folder / "config.json").write_text("[]")
    _assert_load_fails(folder, r"config\.json is not a JSON object")
    (folder / "config.json").write_text("{")
    _assert_load_fails(folder, r"config\.json can't be read")
    (folder / "config.json").unlink()
    _assert_load_fails(folder, r"config\.json .*No such file")


def test_invalid_vocabularies_are_rejected(
    tmp_path: Path, params: dict, english: list[str], unigram_model: bytes
) -> None:
    def fails(model: bytes, message: str) -> None:
        with pytest.raises(UserError, match=message):
            huggingface.save(tmp_path / "a", params, MODEL, vocabulary=model)
        assert list(tmp_path.iterdir()) == []

    fails(b"thesis", "SentencePiece")
    fails(b"", "piece 0 .*None")
    fails(vocabulary.train(english, 640), "639 ids.* 512 rows")
    processor = sentencepiece.SentencePieceProcessor(model_proto=unigram_model)
    assert processor.get_piece_size() == VOCABULARY.sentencepiece_size
    fails(_trained(tmp_path, english, pad_id=-1), "piece 0 .*'<unk>'.*'<pad>'")
    fails(_trained(tmp_path, english, model_type="bpe"), "unigram")


def _trained(tmp_path: Path, texts: list[str], **settings: object) -> bytes:
    import io

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts[:500]), model_writer=model, vocab_size=300, **settings
    )
    return model.getvalue()


UNUSUAL_TEXTS = [
    "",
    "   leading, trailing  and   double spaces ",
    "tabs\tand\nlines\r\n\n  of code: x = {1: [2, 3]}",
    "naïve café — “quotes” … ﬁne ½ Ⅷ ＦＵＬＬ",
    "日本語 and 🙂 are unknown, some 日本 twice 日",
    "www wwww wwwwwwww //////// ========",
    "e\u0301 combining, zero\u200bwidth, no\u00a0break",
]


@pytest.fixture(scope="module")
def tokenizer(exported: Path):
    """The tokenizer of an exported folder, as a user loads it; it needs no PyTorch."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(exported)


def plain(texts: list[str]) -> list[str]:
    """Texts without names of special tokens, which only Hugging Face maps to ids."""
    names = ("<pad>", "</s>", "<unk>", "<extra_id_")
    return [text for text in texts if not any(name in text for name in names)]


@pytest.mark.parametrize("library", ["TensorFlow", "SentencePiece"])
def test_tokenizer_ids_equal_ours(
    tokenizer, english: list[str], unigram_model: bytes, library: str
) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_proto=unigram_model)
    texts = [*UNUSUAL_TEXTS, *plain(english)]
    assert len(texts) > 500
    if library == "TensorFlow":
        # This tokenizer encodes our corpus and suites.
        tf_text = host_tensorflow.tensorflow_text()
        ours = tf_text.SentencepieceTokenizer(model=unigram_model).tokenize(texts).to_list()
    else:
        ours = processor.encode(texts)
    scores = np.array([processor.get_score(i) for i in range(processor.get_piece_size())])
    ties = 0
    for text, found, expected in zip(texts, tokenizer(texts).input_ids, ours, strict=True):
        assert found.pop() == vocabulary.EOS_ID
        if found == expected:
            continue
        # Equally likely segmentations, such as "--" "-" and "-" "--", differ by library.
        ties += 1
        assert len(found) == len(expected), text
        np.testing.assert_allclose(scores[found].sum(), scores[expected].sum(), rtol=1e-6)
        assert processor.decode(found) == processor.decode(expected)
    assert ties < 0.05 * len(texts)


SENTINEL_PARTS = [
    *("Return", "a", "s of it", " ", "  ", "\n", "\t\u3000", ".", ",", "(", "é", "日", "\u200b"),
    *("<extra_id_0>", " <extra_id_1>", " <extra_id_99>"),
]


def test_the_tokenizer_gives_the_ids_of_seqio_around_sentinels(
    tokenizer, unigram_model: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "sentencepiece.model"
    path.write_bytes(unigram_model)
    seqios = host_tensorflow.seqio().SentencePieceVocabulary(str(path), extra_ids=100)
    draws = random.Random(0)
    made = ["".join(draws.choices(SENTINEL_PARTS, k=draws.randint(1, 8))) for _ in range(2000)]
    texts = [
        *("<extra_id_0>. Hello", "a <extra_id_0>. b", "<extra_id_0>s of it", " <extra_id_0> "),
        *(text for text in made if not re.search(r"\S<extra_id_", text)),
    ]
    assert len(texts) > 1000
    for text in texts:
        assert tokenizer(text).input_ids == [*seqios.encode(text), vocabulary.EOS_ID], repr(text)


def test_a_sentinel_glued_to_a_word_is_one_for_transformers_alone(
    tokenizer, unigram_model: bytes
) -> None:
    sentinel = VOCABULARY.sentinel_id(1)
    processor = sentencepiece.SentencePieceProcessor(model_proto=unigram_model)
    assert sentinel not in processor.encode("a<extra_id_1>")
    assert tokenizer("a<extra_id_1>").input_ids == [*processor.encode("a"), sentinel, 1]


def test_special_tokens(tokenizer) -> None:
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    names = [f"<extra_id_{index}>" for index in range(100)]
    expected = [VOCABULARY.sentinel_id(index) for index in range(100)]
    assert tokenizer.convert_tokens_to_ids(names) == expected
    assert len(tokenizer) == VOCABULARY.mask_token_id


def test_decoding_restores_the_text(tokenizer, english: list[str]) -> None:
    known = 0
    for text in filter(str.isascii, plain(english)):
        ids = tokenizer(text).input_ids
        if vocabulary.UNK_ID not in ids:
            known += 1
            assert tokenizer.decode(ids, skip_special_tokens=True) == " ".join(text.split())
    assert known > 100
