"""Prepared data, vocabularies and models, as targets."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from target import ROOT, Target, alone, npz, put, rows

_VOCABULARY_FACTS = {
    "sentencepiece_size": 64,
    "extra_ids": 100,
    "mask_token_id": 164,
    "padded_size": 256,
}


def _manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    from spactor.data import manifest

    facts: dict[str, Any] = {
        "format": manifest.FORMAT,
        "corpus": {"documents": 1, "characters": 10, "packages": {"a": "1"}},
        "vocabulary": _VOCABULARY_FACTS,
        "tokens": {"train": 64, "validation": 16},
        "unigram_entropy_nats": 5.5,
        "most_frequent_token_rate": 0.05,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return facts | {"fingerprint": manifest.fingerprint_of(facts)}


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


_TOKENS = np.arange(64, dtype=np.uint16)
_STREAMS = {"tokens_train.npy": _npy(_TOKENS), "tokens_validation.npy": _npy(_TOKENS[:16])}


def _prepared() -> dict[str, bytes]:
    return _STREAMS | {"suites/glue/tokens.npz": _suite_tokens()[0]}


def _place_prepared(name: str) -> Callable[[bytes, Path], None]:
    """A prepared folder whose manifest vouches for the bytes."""

    def place(data: bytes, folder: Path) -> None:
        files = _STREAMS | {name: data}
        for path, content in files.items():
            put(folder / path, content)
        put(folder / "manifest.json", json.dumps(_manifest(files)).encode())

    return place


def _place_manifest(data: bytes, folder: Path) -> None:
    """The manifest with its own fingerprint made right, if it has one."""
    from spactor.data import manifest

    for path, content in _prepared().items():
        put(folder / path, content)
    try:
        facts = json.loads(data)
        if facts["fingerprint"] != "as it is":
            data = json.dumps(facts | {"fingerprint": manifest.fingerprint_of(facts)}).encode()
    except Exception:
        pass  # Then the bytes go in as they are.
    put(folder / "manifest.json", data)


def _read_arrays(folder: Path) -> None:
    from spactor.data import arrays

    found = arrays.load_arrays(folder)
    arrays.validation_chunks(found, count=1, chunk_tokens=8)
    arrays.train_batch(found, seed=0, step=0, batch_size=2, chunk_tokens=8)


def _read_manifest(folder: Path) -> None:
    from repro.engines import PreparedData
    from spactor.data import manifest, suite_tokens

    facts = manifest.read(folder)
    manifest.damage(folder, facts)
    prepared = PreparedData(folder=folder, manifest=facts)
    assert len(prepared.files) >= 0 and prepared.facts
    _read_arrays(folder)
    suite_tokens.read.__wrapped__(folder, "glue")


def _suite_tokens() -> list[bytes]:
    row = {"pair/train/inputs": np.array([3, 4, 5], np.uint16)}
    row["pair/train/inputs_offsets"] = np.array([0, 1, 3])
    return [npz(target_length=np.array(7), **row)]


def _read_suite_tokens(folder: Path) -> None:
    from spactor.data import suite_tokens

    found = suite_tokens.read.__wrapped__(folder, "glue")
    for ragged in found.rows.values():
        ragged.padded(min(found.target_length, 16))


def _examples() -> list[bytes]:
    from spactor.data.suites.base import Example

    found = [Example("a-1", "is it?", "yes"), Example("a-2", "is é?", "no", "words")]
    return ["".join(f"{example.line()}\n" for example in found).encode()]


def _read_examples(folder: Path) -> object:
    from spactor.data.suites.base import read_lines

    return read_lines(folder / "train.jsonl", ("inputs", "targets"))


def _lookup() -> list[bytes]:
    return [json.dumps({"fingerprint": "0123456789ab" * 5}).encode()]


def _read_lookup(folder: Path) -> None:
    from spactor.data import building

    building.find(folder, "k" * 24, lambda line: None)


def _modules() -> list[bytes]:
    return [path.read_bytes() for path in (ROOT / "spactor" / "errors.py", Path(json.__file__))]


def _read_module(folder: Path) -> object:
    from spactor.data import corpus

    return corpus.documents_of_source((folder / "module.py").read_bytes(), "p", "module")


@functools.cache
def _vocabulary() -> bytes:
    import sentencepiece

    texts = [
        line
        for path in sorted((ROOT / "spactor").glob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts[:800]), model_writer=model, model_type="unigram",
        vocab_size=200, hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        num_threads=2, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def _read_vocabulary(folder: Path) -> None:
    from spactor import huggingface_tokenizer
    from spactor.data import c4, vocabulary

    model = (folder / "sentencepiece.model").read_bytes()
    vocabulary.piece_names(model, vocabulary.VocabularyFacts(**_VOCABULARY_FACTS), [0, 3, 63])
    huggingface_tokenizer.tokenizer_files(model, 512)
    c4._processor(folder)


def _place_packed(data: bytes, folder: Path) -> None:
    put(folder / "c4.json.gz", gzip.compress(data, compresslevel=1))


def _read_c4(folder: Path) -> None:
    from spactor.data import c4

    for _ in c4._lines(folder / "c4.json.gz"):
        pass


@functools.cache
def _model_config() -> Any:
    from spactor.config import ModelConfig

    return ModelConfig(
        vocab_size=128, emb_dim=4, num_heads=1, head_dim=4, mlp_dim=4, num_encoder_layers=1,
        num_decoder_layers=1, generator_num_layers=1, generator_mlp_dim=4, rtd_mlp_dim=4,
    )  # fmt: skip


@functools.cache
def _model_files() -> tuple[bytes, bytes]:
    from safetensors.numpy import save

    from spactor import huggingface

    shapes = {tensor.name: tensor.shape for tensor in huggingface._tensors(_model_config())}
    weights = save({name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    return json.dumps(huggingface.config_of(_model_config())).encode(), weights


def _place_model(name: str) -> Callable[[bytes, Path], None]:
    def place(data: bytes, folder: Path) -> None:
        config, weights = _model_files()
        put(folder / "config.json", config)
        put(folder / "model.safetensors", weights)
        put(folder / name, data)

    return place


def _read_model(folder: Path) -> object:
    from spactor import huggingface

    return huggingface.load(folder, _model_config())


_KEPT: Mapping[str, bytes] = {
    "types.json": json.dumps(
        {
            "inputs": ["int32", 1],
            "answers": ["string", 1],
            "idx": ["int64", 0],
            "weight": ["float32", 0],
        }
        | {"spans": ["int32", 2], "is_whole": ["bool", 0], "id": ["string", 0]}
    ).encode(),
    "validation.jsonl": rows(
        {
            "inputs": [822, 1],
            "answers": ["Ada", "é\u2028"],
            "idx": 3,
            "weight": 1,
            "spans": [[1, 2]],
        }
        | {"is_whole": True, "id": "a", "more": None},
        {"inputs": [], "answers": [], "idx": -1, "weight": 0.5, "spans": [[1], [2]]}
        | {"is_whole": False, "id": ""},
    ),
}


def _place_kept(name: str) -> Callable[[bytes, Path], None]:
    def place(data: bytes, folder: Path) -> None:
        for path, content in _KEPT.items():
            put(folder / path, data if path == name else content)

    return place


def _read_kept(folder: Path) -> object:
    from spactor.data.benchmarks import kept

    lines, types = folder / "validation.jsonl", folder / "types.json"
    found = kept.dataset("validation", False, lines=lines, types=types)
    return list(found.as_numpy_iterator())


def _of_kept(name: str, file: str, kind: str) -> Target:
    """A file of a benchmark's kept examples, the other beside it whole."""
    return Target(
        name=name,
        readers=("spactor.data.suites.base.tables_of",),
        kind=kind,
        seeds=lambda: [_KEPT[file]],
        place=_place_kept(file),
        read=_read_kept,
        needs=("tensorflow",),
    )


TARGETS: tuple[Target, ...] = (
    Target(
        name="manifest",
        readers=("spactor.data.manifest.read", "spactor.data.manifest.digest_of_file"),
        kind="json",
        seeds=lambda: [json.dumps(_manifest(_prepared())).encode()],
        place=_place_manifest,
        read=_read_manifest,
    ),
    Target(
        name="token-stream",
        readers=("spactor.data.arrays.load_arrays",),
        kind="npy",
        seeds=lambda: [_STREAMS["tokens_train.npy"]],
        place=_place_prepared("tokens_train.npy"),
        read=_read_arrays,
    ),
    Target(
        name="suite-tokens",
        readers=("spactor.data.suite_tokens.read",),
        kind="npz",
        seeds=_suite_tokens,
        place=_place_prepared("suites/glue/tokens.npz"),
        read=_read_suite_tokens,
    ),
    Target(
        name="suite-examples",
        readers=("spactor.data.suites.base.tables_of",),
        kind="json lines",
        seeds=_examples,
        place=alone("train.jsonl"),
        read=_read_examples,
    ),
    _of_kept("kept-examples", "validation.jsonl", "json lines"),
    _of_kept("kept-types", "types.json", "json"),
    Target(
        name="prepared-lookup",
        readers=("spactor.data.building.find",),
        kind="json",
        seeds=_lookup,
        place=alone(f"lookup-{'k' * 24}.json"),
        read=_read_lookup,
    ),
    Target(
        name="python-module",
        readers=("spactor.data.corpus.documents_of_source",),
        kind="bytes",
        seeds=_modules,
        place=alone("module.py"),
        read=_read_module,
    ),
    Target(
        name="c4-documents",
        readers=("spactor.data.c4._lines",),
        kind="json lines",
        seeds=lambda: [rows({"text": "Ada baked.", "url": "x"}, {"text": "é"})],
        place=_place_packed,
        read=_read_c4,
    ),
    Target(
        name="vocabulary",
        readers=(
            "spactor.data.vocabulary.processor",
            "spactor.data.c4._processor",
            "spactor.huggingface_tokenizer._parsed",
        ),
        kind="sentencepiece",
        seeds=lambda: [_vocabulary()],
        place=alone("sentencepiece.model"),
        read=_read_vocabulary,
        needs=("sentencepiece", "tokenizers"),
    ),
    Target(
        name="model-weights",
        readers=("spactor.huggingface.load",),
        kind="safetensors",
        seeds=lambda: [_model_files()[1]],
        place=_place_model("model.safetensors"),
        read=_read_model,
        needs=("jax", "safetensors"),
    ),
    Target(
        name="model-config",
        readers=("spactor.huggingface._check_config",),
        kind="json",
        seeds=lambda: [_model_files()[0]],
        place=_place_model("config.json"),
        read=_read_model,
        needs=("jax", "safetensors"),
    ),
)
