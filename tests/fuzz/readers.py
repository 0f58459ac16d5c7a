"""Every reader of foreign files in one table, for Hypothesis in tests and for atheris."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import untrained

from analysis.schema import records
from figures import figure1
from repro import collect, comparison, costs, folders, plan, specs, status
from repro.report import traces, tree
from repro.step_lines import read_steps
from repro.t5x_folder import foreign_configs, read_series
from spactor import predictions
from spactor.config import ModelConfig
from spactor.data import arrays, c4, corpus, manifest, suite_tokens, vocabulary
from spactor.data.building import find
from spactor.data.examples import Example, dataset
from spactor.data.readers import tfds_folder
from spactor.data.readers.files import json_lines
from spactor.data.suites import BENCHMARKS
from spactor.errors import Diverged, UserError
from tables import trace_text

ROOT = Path(__file__).parents[2]
Files = Mapping[str, bytes]
Read = Callable[[Path], object]


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader and its files.

    Attributes:
      name: of the reader.
      kind: of file, a key of `mutations.KINDS`.
      path: of the file that is fuzzed.
      seeds: returns valid contents of it.
      files: returns the files of a folder in which it has given contents.
      read: reads that folder.
      needs: modules without which it can't run.
    """

    name: str
    kind: str
    path: str
    seeds: Callable[[], list[bytes]]
    files: Callable[[bytes], Files]
    read: Read
    needs: tuple[str, ...] = ()

    def place(self, data: bytes, folder: Path) -> None:
        """Writes the files, the fuzzed one with these bytes, into the folder."""
        for path, content in self.files(data).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


def _alone(
    name: str, kind: str, path: str, seeds: Callable[[], list[bytes]], read: Read, *needs: str
) -> Reader:
    """A reader of one file; ``read`` gets its path."""
    files = lambda data: {path: data}  # noqa: E731
    return Reader(name, kind, path, seeds, files, lambda folder: read(folder / path), needs)


def _one_of(
    name: str,
    kinds: Mapping[str, str],
    files: Callable[[], Files],
    read: Read,
    *needs: str,
    complete: Callable[[Files], Files] = lambda files: files,
) -> Iterator[Reader]:
    """Readers of a folder of several files, each of which is fuzzed alone.

    Args:
      kinds: kind of each file that is fuzzed, by its path.
      files: returns the files of a valid folder.
      complete: adds files that depend on the fuzzed one, such as its digest.
    """
    for path, kind in kinds.items():

        def seeds(path: str = path) -> list[bytes]:
            return [files()[path]]

        def changed(data: bytes, path: str = path) -> Files:
            return complete({**files(), path: data})

        yield Reader(f"{Path(path).name} of {name}", kind, path, seeds, changed, read, needs)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _saved(save: Callable[..., object], *values: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *values)
    return buffer.getvalue()


def _contents(pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(ROOT.glob(pattern))]


def _all(*reads: Callable[[], object]) -> None:
    """Calls every function, then raises the first `UserError` of any of them."""
    errors = []
    for read in reads:
        try:
            read()
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _read_profile(path: Path) -> None:
    # Without the cache, which retains every profile.
    plan.build(specs.load_profile.__wrapped__(str(path)))


_CELL = {"source": "measured", "profile": "own", "size": "base", "tau": "inf", "seed": 0}
_SCORE = {"suite": "glue", "task": "cola", "metric": "matthews_corrcoef", "value": 55.5}
_SCORE |= {"finetune_seed": 0, "checkpoint": 500_000, "step": 10}
_LOSS = {"step": 4, "paper_step": 40, "metric": "validation/sc_loss", "value": 2.5}
_RECORDS = records.from_rows([_CELL | _SCORE, _CELL | _LOSS])
TABLE = pa.Table.from_pandas(_RECORDS, schema=records.SCHEMA, preserve_index=False)
_PARQUET = _saved(lambda file: pq.write_table(TABLE, file))


LEAF, TRUNK = "tiny/base/s0/sc/500K/finetune-glue/f0", "tiny/base/s0/sc/0-500K"
DIVERGED = "tiny/base/s0/sc/500K-1M"
_TEXTS = ("original", "span_corrupted", "masked", "replaced", "targets")
_EXAMPLE = {name: ["a"] for name in _TEXTS} | {"is_original": [1], "judged_original": [1]}
_RUN_KINDS = {
    **{f"{TRUNK}/{name}.json": "text" for name in ("node", "done", "provenance", "example")},
    f"{DIVERGED}/diverged.json": "text",
    **{f"{TRUNK}/{name}.jsonl": "text" for name in ("metrics", "digests")},
    f"{LEAF}/inference_eval/spactor_glue_order-metrics.jsonl": "text",
}


@functools.cache
def _tree() -> plan.Tree:
    profile = untrained.tiny_profile()
    return plan.build(profile, profile.select(["base"], ["0"]))


@functools.cache
def _run_files() -> Files:
    """Files of a tree run by an engine that trains nothing, with one node that diverged."""

    def fail(name: str) -> None:
        if f"tiny/{name}" == DIVERGED:
            raise Diverged("train/loss", "nan", 3, "1f", None)

    engine = untrained.FakeEngine()
    engine.before = fail
    with tempfile.TemporaryDirectory() as home:
        runs = folders.open_runs(Path(home) / "runs", create=True)
        untrained.run_nodes(_tree(), runs, engine)
        paths = [path for path in runs.rglob("*") if path.suffix in (".json", ".jsonl")]
        files = {str(path.relative_to(runs)): path.read_bytes() for path in paths}
    return {**files, f"{TRUNK}/example.json": _json(_EXAMPLE)}


def _read_run(folder: Path) -> None:
    """Reads what ``repro status``, ``plan``, ``collect`` and ``verify`` read."""
    planned, recorded = _tree(), status.recorded_files
    _all(
        lambda: status.states(planned, folder),
        lambda: costs.measured_seconds(planned, folder),
        lambda: figure1.compute(collect.collect(planned, folder).metrics),
        lambda: status.explain(planned, folder, recorded(planned, folder), planned.nodes),
        lambda: comparison.compare_runs(folder / TRUNK, folder / TRUNK),
    )


def _provenance() -> list[bytes]:
    found = [data for path, data in _run_files().items() if path.endswith("provenance.json")]
    return [_json({"nodes": [json.loads(data) for data in found]})]


def _read_provenance(path: Path) -> None:
    nodes = collect.read_provenance(path)
    _all(
        lambda: tree.grow(nodes),
        lambda: traces.Traces(_RECORDS, nodes),
        lambda: [list(trace_text.provenance_lines(nodes, name, "")) for name in _tree().nodes],
    )


_PREDICTED = np.array(
    [(b"order", False, [1, 2, 3], 0.0), (b"topic", True, [0, 0, 0], -1.5)],
    [("task", "S5"), ("ranked", "?"), ("tokens", np.int32, (3,)), ("log_likelihood", np.float32)],
)
_PREDICTIONS = _saved(np.save, _PREDICTED)
_EVENTS = "train/events.out.tfevents.1.host.2.0.v2"
_VALUES = {"train/loss": 3.5, "validation/sc_loss_clean": 4.25, "timing/seqs_per_second": 7.0}
_STEPS = b"".join(_json({"step": step, **_VALUES}) + b"\n" for step in (5, 10, 10))
_STREAM = _json({"vocabulary": "410-SimpleNamesp", "first_step": 0, "state": "1f"})


def _read_predictions(path: Path) -> None:
    predictions.read(path.parents[1], 10)


def _read_events(folder: Path) -> None:
    read_series(folder)
    list(foreign_configs(folder))


def _read_stream_record(path: Path) -> None:
    from etils import epath

    from spactor.t5x import restore

    home = epath.Path(path.parents[1])
    restore._require_same_vocabulary(home, SimpleNamespace(vocab_size=410))


_FACTS = {"sentencepiece_size": 64, "extra_ids": 100, "mask_token_id": 164, "padded_size": 256}
_TARGETS = {"target_length": 7, "parts": [["order", "train", "inputs", 2]]}
PREPARED: Files = {
    "tokens_train.npy": _saved(np.save, np.arange(64, dtype=np.uint16)),
    "tokens_validation.npy": _saved(np.save, np.arange(16, dtype=np.uint16)),
    "suites/glue/tokens.npy": _saved(np.save, np.array([3, 4, 5], np.uint16)),
    "suites/glue/tokens.offsets.npy": _saved(np.save, np.array([0, 1, 3])),
    "suites/glue/tokens.json": _json(_TARGETS),
}
_PREPARED_KINDS = {
    name: "text" if name.endswith(".json") else "npy"
    for name in PREPARED
    if name != "tokens_validation.npy"
}
_LOOKUP, _C4 = _json({"fingerprint": "01ab"}), _json({"text": "Ada baked."}) + b"\n"
_MODEL_KINDS = {"model.safetensors": "safetensors", "config.json": "text"}


def manifest_of(contents: Files) -> dict[str, Any]:
    """Returns the manifest of a prepared folder that has these files."""
    facts: dict[str, Any] = {
        "format": manifest.FORMAT,
        "corpus": {"documents": 1, "characters": 10, "packages": {"a": "1"}},
        "vocabulary": _FACTS,
        "tokens": {"train": 64, "validation": 16},
        "unigram_entropy_nats": 5.5,
        "most_frequent_token_rate": 0.05,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
    return facts | {"fingerprint": manifest.fingerprint_of(facts)}


def _prepared(contents: Files) -> Files:
    return {**contents, "manifest.json": _json(manifest_of(contents))}


def _beside_manifest(data: bytes) -> Files:
    """A prepared folder whose manifest has a correct fingerprint, where it can have one."""
    try:
        facts = json.loads(data)
        data = _json(facts | {"fingerprint": manifest.fingerprint_of(facts)})
    except Exception:
        pass  # The bytes remain as they are.
    return {**PREPARED, "manifest.json": data}


def _read_prepared(folder: Path) -> None:
    facts = manifest.read(folder)
    shape: dict[str, int] = {"seed": 0, "step": 0, "batch_size": 2, "chunk_tokens": 8}
    _all(
        lambda: manifest.damage(folder, facts),
        lambda: arrays.train_batch(arrays.load_arrays(folder), **shape),
        lambda: suite_tokens.read.__wrapped__(folder, "glue"),
    )


def _read_lookup(path: Path) -> None:
    find(path.parent, "k", lambda line: None)


def _documents(path: Path) -> None:
    corpus.documents_of_source(path.read_bytes(), "p", "module")


def _compressed(data: bytes) -> Files:
    return {"c4.json.gz": gzip.compress(data, compresslevel=1)}


def _read_c4(folder: Path) -> None:
    list(c4._lines(folder / "c4.json.gz"))


@functools.cache
def _vocabulary() -> list[bytes]:
    text = (ROOT / "spactor" / "config.py").read_text("utf-8")
    return [vocabulary.train([line for line in text.splitlines() if line.strip()], 300)]


def _read_vocabulary(path: Path) -> None:
    from spactor import huggingface_tokenizer

    model = path.read_bytes()
    _all(
        lambda: vocabulary.piece_names(model, vocabulary.VocabularyFacts(**_FACTS), [0, 3, 63]),
        lambda: huggingface_tokenizer.tokenizer_files(model, 512),
        lambda: c4.vocabulary_model(path.parent),
    )


_MODEL = ModelConfig(
    **{"vocab_size": 128, "emb_dim": 4, "num_heads": 1, "head_dim": 4, "mlp_dim": 4},
    **{"num_encoder_layers": 1, "num_decoder_layers": 1, "generator_num_layers": 1},
    **{"generator_mlp_dim": 4, "rtd_mlp_dim": 4},
)


@functools.cache
def _model_files() -> Files:
    """Returns the files of a tiny model in Hugging Face's format."""
    from safetensors.numpy import save

    from spactor import huggingface

    shapes = {tensor.name: tensor.shape for tensor in huggingface._tensors(_MODEL)}
    weights = save({name: np.ones(shape, np.float32) for name, shape in shapes.items()})
    return {"config.json": _json(huggingface.config_of(_MODEL)), "model.safetensors": weights}


def _read_model(folder: Path) -> None:
    from spactor import huggingface

    huggingface.load(folder, _MODEL)


_TYPES = {"inputs": ["int32", 1], "answers": ["string", 1], "spans": ["int32", 2]}
_ANSWER = {"inputs": [822], "answers": ["Ada", "é\u2028"], "spans": [[1, 2]]}
_STORED = {"types.json": _json(_TYPES), "validation.jsonl": _json(_ANSWER) + b"\n"}
_STORY = dict.fromkeys(("obs1", "obs2", "hyp1", "hyp2"), "Ada baked.") | {"story_id": "s"}
_RAINBOW = {"rows": (_json(_STORY) + b"\n") * 2, "answers": b"1\n2\n"}
_QUESTION = {"input": "Which?\nOptions:\n(A) Ada\n(B) Bob, Cy", "target": "(A)"}
_ASKED, _EXAMPLES = b'"Is\nit?",a,"b, c",d,e,A\n', _json({"examples": [_QUESTION] * 2})
_SPLITS = {"train": ["8551"], "validation": ["1043"]}
_COLA, _INFO = "glue/cola/1.0.0", "glue/cola/1.0.0/dataset_info.json"
_DATASET = {
    _INFO: _json(
        {"name": "glue", "splits": [{"name": n, "shardLengths": m} for n, m in _SPLITS.items()]}
    ),
    f"{_COLA}/features.json": b"{}",
    **{f"{_COLA}/x-{name}.tfrecord-0-of-1": b"" for name in _SPLITS},
}
_EXAMPLE_LINE = Example("a", "is it?", "é", "words").line().encode() + b"\n"


def _read_examples(path: Path) -> None:
    list(json_lines(path, prepared=True))


def _task(suite: str, name: str) -> Any:
    return next(task for task in BENCHMARKS[suite].tasks if task.name == name)


def _read_stored(folder: Path) -> None:
    files, types = {"validation": folder / "validation.jsonl"}, folder / "types.json"
    rows = dataset("validation", False, files=files, types=types)
    list(rows.as_numpy_iterator())


def _read_rainbow(folder: Path) -> None:
    _task("rainbow", "alpha_nli").read(folder / "rows", folder / "answers")


def _read_dataset(folder: Path) -> None:
    tfds_folder.check(folder, _task("glue", "cola"))


READERS: tuple[Reader, ...] = (
    _alone("profile", "text", "own.toml", lambda: _contents("re*/*/*.toml"), _read_profile),
    _alone("records", "bytes", "x.parquet", lambda: [_PARQUET], records.read),
    *_one_of("run", _RUN_KINDS, _run_files, _read_run),
    _alone("provenance", "text", "provenance.json", _provenance, _read_provenance),
    _alone("step lines", "text", "metrics.jsonl", lambda: [_STEPS], read_steps),
    _alone("predictions", "npy", "predictions/10.npy", lambda: [_PREDICTIONS], _read_predictions),
    Reader(
        *("T5X events", "events", _EVENTS),
        lambda: _contents("tests/repro/t5x_golden/*/train*/**/events*"),
        *(lambda data: {_EVENTS: data, "config.gin": b""}, _read_events, ("tensorboard",)),
    ),
    _alone(
        *("T5X stream record", "text", "dataset/0.json", lambda: [_STREAM]),
        *(_read_stream_record, "jax", "clu", "seqio"),
    ),
    Reader(
        *("manifest", "text", "manifest.json", lambda: [_json(manifest_of(PREPARED))]),
        *(_beside_manifest, _read_prepared),
    ),
    *_one_of("prepared", _PREPARED_KINDS, lambda: PREPARED, _read_prepared, complete=_prepared),
    _alone("suite examples", "text", "x.jsonl", lambda: [_EXAMPLE_LINE], _read_examples),
    _alone("prepared lookup", "text", "lookup-k.json", lambda: [_LOOKUP], _read_lookup),
    _alone(
        "Python module", "bytes", "x.py", lambda: [Path(json.__file__).read_bytes()], _documents
    ),
    Reader("C4 documents", "text", "c4.json.gz", lambda: [_C4], _compressed, _read_c4),
    _alone(
        *("vocabulary", "bytes", "sentencepiece.model", _vocabulary),
        *(_read_vocabulary, "sentencepiece", "tokenizers"),
    ),
    *_one_of("model", _MODEL_KINDS, _model_files, _read_model, "jax", "safetensors"),
    *_one_of("stored", dict.fromkeys(_STORED, "text"), lambda: _STORED, _read_stored, "tensorflow"),
    *_one_of("rainbow", dict.fromkeys(_RAINBOW, "text"), lambda: _RAINBOW, _read_rainbow),
    *_one_of("dataset", {_INFO: "text"}, lambda: _DATASET, _read_dataset),
    _alone("benchmark CSV", "text", "x.csv", lambda: [_ASKED], _task("mmlu", "anatomy").read),
    _alone("benchmark JSON", "text", "x.json", lambda: [_EXAMPLES], _task("bbh", "snarks").read),
)
BY_NAME = {reader.name: reader for reader in READERS}
assert len(BY_NAME) == len(READERS), "two readers of one name"
