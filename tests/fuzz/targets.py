"""Every reader of files, as a target of the fuzzers: one list for Hypothesis and for atheris.

A target puts bytes where one reader, or a few behind one another, find them, and has them read.
`readers.py` knows which functions read; `test_targets.py` holds this list against those.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line
import numpy as np

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "repro" / "t5x_golden"


def _alone(name: str) -> Callable[[bytes, Path], None]:
    """Puts the bytes into a file of this name and nothing beside it."""
    return lambda data, folder: _put(folder / name, data)


def _put(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of file and what reads it.

    Attributes:
      name: of the target.
      readers: functions that take in the bytes, by their dotted names.
      kind: a key of `mutations.KINDS`.
      seeds: makes valid files.
      place: puts bytes into the folder, and what belongs beside them.
      read: reads what was placed.
      needs: modules without which there is no such reader, such as "jax".
      writes: whether it may write below the folder, as a command does.
    """

    name: str
    readers: tuple[str, ...]
    kind: str
    seeds: Callable[[], list[bytes]]
    place: Callable[[bytes, Path], None]
    read: Callable[[Path], object]
    needs: tuple[str, ...] = ()
    writes: bool = False


# ---- profiles


def _profiles() -> list[bytes]:
    from repro.specs import profile_names

    own = [(ROOT / "repro" / "profiles" / f"{name}.toml").read_bytes() for name in profile_names()]
    return [*own, (ROOT / "results" / "micro" / "study.toml").read_bytes(), _VARIANTS]


_VARIANTS = b"""
extends = "smoke"
[variants.fade.curriculum.lambda_rtd]
from = 10
to = 0
start = "60K"
end = "250K"
shape = "cosine"
[variants.soft.curriculum.handover]
width = "60K"
[variants.light.objective]
lambda_rtd = 1.0
[matrix.base]
taus = ["0", "60K", "250K", "inf"]
runs = 1
finetune_runs = 2
checkpoints = ["500K", "1M"]
finetune_at = ["0", "250K"]
[matrix.base.checkpoints_of]
250K = ["500K"]
[matrix.base.variants.fade]
taus = ["inf"]
checkpoints = ["500K"]
[matrix.base.variants.soft]
taus = ["250K"]
"""


def _read_profile(folder: Path) -> None:
    from repro import plan, specs

    # Without the cache, which keeps every profile.
    profile = specs.load_profile.__wrapped__(str(folder / "own.toml"))
    plan.build(profile)


# ---- records


@functools.cache
def _records() -> Any:
    from repro import records

    shared = {"source": "measured", "profile": "own", "size": "base", "tau": "inf", "seed": 0}
    score = {"suite": "glue", "task": "cola", "metric": "matthews_corrcoef", "value": 55.5}
    at = {"finetune_seed": 0, "checkpoint": 500_000, "step": 10}
    return records.from_rows(
        [
            {**shared, **at, **score},
            {**shared, **at, **score, "selection": "best_average", "std": 0.5, "runs": 3},
            {**shared, "step": 4, "paper_step": 40, "metric": "validation/sc_loss", "value": 2.5},
            {**shared, "metric": "setting/a", "value": None, "text": "b", "bold": True},
            {**shared, "metric": "cost/pretraining_flops", "value": 1e12, "decimals": 2},
        ]
    )


def _parquet() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from repro import records

    buffer = io.BytesIO()
    table = pa.Table.from_pandas(_records(), schema=records.SCHEMA, preserve_index=False)
    pq.write_table(table, buffer, compression="zstd")
    return [buffer.getvalue()]


def _read_records(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from repro import records

        return records.read(folder / name)

    return read


def _published_csvs() -> list[bytes]:
    return [
        path.read_bytes()
        for path in sorted((ROOT / "repro" / "published").glob("*.csv"))
        if path.name != "tasks.csv" and path.stat().st_size < 4096
    ]


def _read_published(folder: Path) -> None:
    from repro import published
    from repro.published import lines

    path = folder / "table2.csv"
    frame = published.read(path, "Table 2")
    assert len(lines.numbered(path)) <= len(frame)


def _read_tasks(folder: Path) -> object:
    from repro import quantities

    return quantities.read_tasks(folder / "tasks.csv")


# ---- what a run leaves


def _steps() -> list[bytes]:
    values = {"train/loss": 3.5, "validation/sc_loss_clean": 4.25, "timing/seqs_per_second": 7.0}
    return ["".join(json.dumps({"step": step, **values}) + "\n" for step in (5, 10, 10)).encode()]


def _read_steps(folder: Path) -> object:
    from repro import step_lines

    return step_lines.read_steps(folder / "metrics.jsonl")


def _event_files() -> list[bytes]:
    found = sorted(GOLDEN.glob("*/train*/**/events*"))
    return [path.read_bytes() for path in found]


def _place_events(data: bytes, folder: Path) -> None:
    _put(folder / "config.gin", b"RANDOM_SEED = 0\n")
    for home in ("train", "training_eval/task"):
        _put(folder / home / "events.out.tfevents.1.host.2.0.v2", data)


def _read_events(folder: Path) -> object:
    from repro import t5x_folder

    return t5x_folder.read_series(folder), list(t5x_folder.strange_configs(folder))


def _answers() -> list[bytes]:
    home = GOLDEN / "finetuning" / "inference_eval"
    return [path.read_bytes() for path in sorted(home.glob("*-0*.jsonl"))]


def _read_answers(folder: Path) -> object:
    from repro import t5x_folder

    return t5x_folder.read_answers(folder / "task-000010.jsonl")


@functools.cache
def _tree() -> Any:
    """A hybrid segment and a fine-tuning behind it."""
    from repro import plan, specs

    text = """
    extends = "smoke"
    suites = ["glue"]
    [matrix.base]
    taus = ["60K", "inf"]
    checkpoints = ["1M"]
    """
    profile = specs.parse_profile("own", text, "own")
    return plan.build(profile, profile.select(["base"], ["inf"]))


_LOSSES = {"train/loss": 3.5, "validation/sc_loss_clean": 4.0, "timing/seqs_per_second": 7.0}
_SCORE = {"matthews_corrcoef": 55.5}
_DIVERGENCE = {
    **{"metric": "train/loss", "value": "nan", "step": 3},
    **{"batch_digest": "1f", "checkpoint_step": None},
}


@functools.cache
def _run_files() -> Mapping[str, bytes]:
    """Every file of a finished run of that tree, by its path below the runs folder."""
    from repro import identity, provenance, series
    from repro.plan import Finetuning

    profile = _tree().profile
    found: dict[str, bytes] = {"spactor-runs.json": b'{"format": 1, "project": "spactor"}'}
    found["own/engine.json"] = b'{"format": 1, "engine": "local"}'
    parent = None
    for name, node in _tree().nodes.items():
        inputs = identity.settings(_tree(), node) | {"parent": parent, "data": {"a": "1f"}}
        digest = identity.fingerprint(inputs)
        own: dict[str, Any] = {
            "node.json": {"format": 1, "name": name, "fingerprint": digest, "inputs": inputs},
            "done.json": {"format": 1, "fingerprint": digest},
            "diverged.json": {"format": 1, "fingerprint": digest, "divergence": _DIVERGENCE},
            "provenance.json": {
                "node": name,
                "fingerprint": digest,
                "commit": "abc",
                "device": "1 × cpu",
                "machine": provenance.machine(),
                "python": "3.11",
                "command": "repro run",
                "packages": {"numpy": "2.0"},
                "data": {"fingerprint": "1f", "tokens": {"train": 100}}
                | {"unigram_entropy_nats": 5.5, "most_frequent_token_rate": 0.04},
                "inputs": inputs,
                "seeds": {"pretraining": 0},
                "experiments": [{"size": "base", "tau": "inf"}],
                "attempts": [{"started": "2026-01-01", "ended": "2026-01-02", "seconds": 3.5}],
            },
        }
        if isinstance(node, Finetuning):
            steps = series._due(0, node.config.total_steps, node.config.evaluation_period_steps)
            path = f"inference_eval/spactor_{node.suite}_acceptability-metrics.jsonl"
            values, seed = _SCORE, node.draw_seed
        else:
            period = min(profile.log_period_steps, profile.validation_period_steps)
            steps = series._due(node.start_step, node.end_step, period)
            path, values, seed = "metrics.jsonl", _LOSSES, node.seed
            own["example.json"] = {"original": ["a", "b"], "is_original": [1, 0]}
        read = {"run": digest, "seed": seed, "batch": "1f", "masks": "2f"}
        found[f"own/{name}/{path}"] = _rows(*({"step": step, **values} for step in steps))
        found[f"own/{name}/digests.jsonl"] = _rows(*({"step": step, **read} for step in steps))
        for file, value in own.items():
            found[f"own/{name}/{file}"] = json.dumps(value).encode()
        parent = digest
    return found


def _place_run(file: str) -> Callable[[bytes, Path], None]:
    def place(data: bytes, folder: Path) -> None:
        if not (folder / "spactor-runs.json").is_file():
            for path, content in _run_files().items():
                _put(folder / path, content)
        for path in _run_files():
            if path.endswith(f"/{file}"):
                _put(folder / path, data)
            elif file == "diverged.json" and path.endswith("/done.json"):
                (folder / path).unlink(missing_ok=True)

    return place


def _of_runs(file: str) -> Callable[[], list[bytes]]:
    return lambda: [data for path, data in _run_files().items() if path.endswith(f"/{file}")]


def _read_run(folder: Path) -> None:
    """What `repro status`, `plan` and `collect` read, short of making tables of it."""
    from repro import collect, costs, folders, show

    tree = _tree()
    folders.open_runs(folder, create=False)
    folders.engine_of(folder, "own")
    show.status_lines(tree, folder)
    costs.measured_rates(tree, folder)
    finished, _, _ = collect.sort_out(tree, folder)
    collect.read_nodes(tree, folder, finished)
    list(collect._divergence_rows(tree, folder))


def _read_why(folder: Path) -> None:
    """What `repro why` reads."""
    from repro import why

    tree = _tree()
    why.explain(tree, folder, why.recorded_files(tree, folder), tree.nodes)


def _read_twice(folder: Path) -> None:
    """What `repro verify` reads, checkpoints apart."""
    from repro import comparison

    comparison.compare_runs(folder / "own", folder / "own", lambda folder: {})


def _read_logged(folder: Path) -> object:
    from spactor import metrics

    return metrics.logged_steps(folder / "metrics.jsonl")


def _provenance() -> list[bytes]:
    nodes = [json.loads(data) for data in _of_runs("provenance.json")()]
    return [json.dumps({"nodes": nodes}).encode()]


def _read_provenance(folder: Path) -> None:
    from repro import collect
    from repro.report import traces, tree
    from tables import origins

    found = collect.read_provenance(folder / "provenance.json")
    tree.grow(found)
    assert traces.Traces(_records(), found).data
    for name in _tree().nodes:
        origins.of_node(found, name)


def _example() -> list[bytes]:
    stations = {
        "original": ["a", "b", "c"],
        "span_corrupted": ["a", "[S0]", "c"],
        "masked": ["a", "[M]", "c"],
        "replaced": ["a", "b", "c"],
        "targets": ["[S0]", "b"],
        "is_original": [1, 0, 1],
        "judged_original": [1, 0, 1],
    }
    return [json.dumps(stations).encode()]


def _read_example(folder: Path) -> None:
    """As `repro collect` passes it on and Figure 1 draws it."""
    import pandas as pd

    from figures import figure1
    from repro import folders, records

    found = folders.read_json(folder / "example.json")
    shared = {"source": "measured", "profile": "own", "size": "base", "tau": "inf", "seed": 0}
    rows = [
        {**shared, "metric": f"{records.EXAMPLE}{name}", "text": json.dumps(pieces)}
        for name, pieces in found.items()
    ]
    figure1.compute(pd.DataFrame(rows, columns=list(records.COLUMNS)))


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read_predictions(folder: Path) -> None:
    from spactor import predictions

    for step in predictions.steps(folder):
        predictions.read(folder, step)
        predictions.tasks(folder, step)


# ---- prepared data


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
            _put(folder / path, content)
        _put(folder / "manifest.json", json.dumps(_manifest(files)).encode())

    return place


def _place_manifest(data: bytes, folder: Path) -> None:
    """The manifest with its own fingerprint made right, if it has one."""
    from spactor.data import manifest

    for path, content in _prepared().items():
        _put(folder / path, content)
    try:
        facts = json.loads(data)
        if facts["fingerprint"] != "as it is":
            data = json.dumps(facts | {"fingerprint": manifest.fingerprint_of(facts)}).encode()
    except Exception:
        pass  # Then the bytes go in as they are.
    _put(folder / "manifest.json", data)


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
    return [_npz(target_length=np.array(7), **row)]


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
    _put(folder / "c4.json.gz", gzip.compress(data, compresslevel=1))


def _read_c4(folder: Path) -> None:
    from spactor.data import c4

    for _ in c4._lines(folder / "c4.json.gz"):
        pass


# ---- models


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
        _put(folder / "config.json", config)
        _put(folder / "model.safetensors", weights)
        _put(folder / name, data)

    return place


def _read_model(folder: Path) -> object:
    from spactor import huggingface

    return huggingface.load(folder, _model_config())


# ---- benchmarks


def _rows(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _json_lines() -> list[bytes]:
    story = dict.fromkeys(("obs1", "obs2", "hyp1", "hyp2"), "Ada baked.") | {"story_id": "s"}
    blank = {"qID": "x", "sentence": "Ada _.", "option1": "a", "option2": "b", "answer": "2"}
    endings = {"ctx": "Ada", "ind": 3, "label": 2, "endings": ["a", "b", "c", "d"]}
    social = {"context": "Ada", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c"}
    goal = {"goal": "slice", "sol1": "a", "sol2": "b"}
    return [_rows(row, row) for row in (story, blank, endings, social, goal)]


def _place_rainbow(data: bytes, folder: Path) -> None:
    _put(folder / "rows", data)
    _put(folder / "answers", b"1\n2\n")


def _read_rainbow(folder: Path) -> None:
    """Every task's rows, from files as its release has them."""
    from spactor.data.benchmarks.rainbow import BENCHMARK
    from spactor.errors import UserError

    for task in BENCHMARK.tasks:
        files = [folder / "rows", folder / "answers"][: len(task.files["validation"])]
        try:
            task.read(*files)
        except UserError as error:
            assert str(error).isprintable()


def _place_answers(data: bytes, folder: Path) -> None:
    _put(folder / "rows", _json_lines()[0])
    _put(folder / "answers", data)


def _csv_rows() -> list[bytes]:
    return [b'Is it?,a,"b, c",d,e,A\n"Is\nit?",1,2,3,4,D\n']


def _read_mmlu(folder: Path) -> object:
    from spactor.data.benchmarks import mmlu

    return mmlu.read(folder / "rows.csv", subject="anatomy")


def _csv_table() -> list[bytes]:
    head = "id,context,question,answer0,answer1,answer2,answer3,label"
    return [f"{head}\nc,Ada,Why ?,a,b,c,d,0\nd,Bob,How ?,a,b,c,d,3\n".encode()]


def _read_csv_table(folder: Path) -> object:
    from spactor.data.benchmarks import files

    return list(files.csv_table(folder / "rows.csv", ("context", "label")))


def _bbh() -> list[bytes]:
    asked = "Which?\nOptions:\n(A) Ada\n(B) Bob, Cy"
    return [json.dumps({"examples": [{"input": asked, "target": "(A)"}] * 2}).encode()]


def _read_bbh(folder: Path) -> object:
    from spactor.data.benchmarks import bbh

    return bbh.read(folder / "rows.json", name="n", labels=("(A)", "(B)"), instruction="Say.")


def _dataset_info() -> list[bytes]:
    splits = [{"name": "train", "shardLengths": ["8551"]}]
    splits.append({"name": "validation", "shardLengths": ["1043"]})
    return [json.dumps({"name": "glue", "splits": splits}).encode()]


def _place_dataset(data: bytes, folder: Path) -> None:
    home = folder / "glue" / "cola" / "1.0.0"
    _put(home / "dataset_info.json", data)
    for name in ("features.json", *(f"x-{s}.tfrecord-0-of-1" for s in ("train", "validation"))):
        _put(home / name, b"{}")


def _read_dataset(folder: Path) -> object:
    from spactor.data.benchmarks import tfds_folder
    from spactor.data.benchmarks.glue import BENCHMARK

    return tfds_folder.check(folder, BENCHMARK.tasks[0])


# ---- kept measurements


def _kept(name: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        data = json.loads((ROOT / "analysis" / f"{name}.json").read_bytes())
        data["programs"] = data["programs"][:1]
        return [json.dumps(data).encode()]

    return seeds


def _read_kept(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from analysis import compiled, compiled_t5x

        module = {"compiled": compiled, "compiled_t5x": compiled_t5x}[name]
        return module.load(folder / "kept.json")

    return read


TARGETS: tuple[Target, ...] = (
    Target(
        name="command-line",
        readers=("repro.cli.main",),
        kind="bytes",
        seeds=command_line.seeds,
        place=command_line.place,
        read=command_line.read,
        writes=True,
    ),
    Target(
        name="profile",
        readers=("repro.specs.load_profile", "repro.specs._read"),
        kind="toml",
        seeds=_profiles,
        place=_alone("own.toml"),
        read=_read_profile,
    ),
    Target(
        name="records-parquet",
        readers=("repro.records._read_parquet",),
        kind="parquet",
        seeds=_parquet,
        place=_alone("metrics.parquet"),
        read=_read_records("metrics.parquet"),
    ),
    Target(
        name="records-csv",
        readers=("repro.csv_files.read",),
        kind="csv",
        seeds=lambda: [_records().to_csv(index=False).encode()],
        place=_alone("metrics.csv"),
        read=_read_records("metrics.csv"),
    ),
    Target(
        name="published-csv",
        readers=("repro.csv_files.read",),
        kind="csv",
        seeds=_published_csvs,
        place=_alone("table2.csv"),
        read=_read_published,
    ),
    Target(
        name="published-tasks",
        readers=("repro.csv_files.read",),
        kind="csv",
        seeds=lambda: [(ROOT / "repro" / "published" / "tasks.csv").read_bytes()],
        place=_alone("tasks.csv"),
        read=_read_tasks,
    ),
    Target(
        name="step-lines",
        readers=("repro.step_lines.whole", "repro.step_lines._entry"),
        kind="json lines",
        seeds=_steps,
        place=_alone("metrics.jsonl"),
        read=_read_steps,
    ),
    Target(
        name="t5x-events",
        readers=("repro.t5x_folder._events",),
        kind="events",
        seeds=_event_files,
        place=_place_events,
        read=_read_events,
        needs=("tensorboard",),
    ),
    Target(
        name="seqio-answers",
        readers=("repro.t5x_folder.read_answers", "repro.t5x_folder._text"),
        kind="json lines",
        seeds=_answers,
        place=_alone("task-000010.jsonl"),
        read=_read_answers,
    ),
    *(
        Target(
            name=f"run-{file.partition('.')[0]}",
            readers=readers,
            kind="json",
            seeds=_of_runs(file),
            place=_place_run(file),
            read=_read_run,
        )
        for file, readers in {
            "node.json": (
                *("repro.runner.inspect", "repro.folders.read_node"),
                *("repro.folders.read_if_any", "repro.folders.read_json"),
            ),
            "done.json": ("repro.runner._ended",),
            "diverged.json": ("repro.runner._ended",),
            "provenance.json": ("repro.costs.measured_rates", "repro.collect.read_nodes"),
            "example.json": ("repro.collect._example_rows",),
        }.items()
    ),
    Target(
        name="run-scores",
        readers=("repro.step_lines.whole",),
        kind="json lines",
        seeds=_of_runs("spactor_glue_acceptability-metrics.jsonl"),
        place=_place_run("spactor_glue_acceptability-metrics.jsonl"),
        read=_read_run,
    ),
    Target(
        name="run-metrics",
        readers=("repro.step_lines.whole",),
        kind="json lines",
        seeds=_of_runs("metrics.jsonl"),
        place=_place_run("metrics.jsonl"),
        read=_read_run,
    ),
    Target(
        name="run-digests",
        readers=("repro.digest_lines._line",),
        kind="json lines",
        seeds=_of_runs("digests.jsonl"),
        place=_place_run("digests.jsonl"),
        read=_read_run,
    ),
    Target(
        name="why-node",
        readers=("repro.why.recorded_files",),
        kind="json",
        seeds=_of_runs("node.json"),
        place=_place_run("node.json"),
        read=_read_why,
    ),
    Target(
        name="verify-node",
        readers=("repro.comparison._recorded", "repro.comparison.nodes_in"),
        kind="json",
        seeds=_of_runs("node.json"),
        place=_place_run("node.json"),
        read=_read_twice,
    ),
    Target(
        name="logged-steps",
        readers=("spactor.metrics.logged_steps", "spactor.metrics._is_entry"),
        kind="json lines",
        seeds=_steps,
        place=_alone("metrics.jsonl"),
        read=_read_logged,
        needs=("jax",),
    ),
    Target(
        name="provenance",
        readers=("repro.collect.read_provenance", "repro.report.tree._step_flops"),
        kind="json",
        seeds=_provenance,
        place=_alone("provenance.json"),
        read=_read_provenance,
    ),
    Target(
        name="worked-example",
        readers=("figures.figure1.compute",),
        kind="json",
        seeds=_example,
        place=_alone("example.json"),
        read=_read_example,
    ),
    Target(
        name="predictions",
        readers=("spactor.predictions.read",),
        kind="npz",
        seeds=lambda: [_npz(pair=np.arange(6, dtype=np.int32).reshape(2, 3))],
        place=_alone("predictions/10.npz"),
        read=_read_predictions,
    ),
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
        readers=("spactor.data.suites.base.read_lines",),
        kind="json lines",
        seeds=_examples,
        place=_alone("train.jsonl"),
        read=_read_examples,
    ),
    Target(
        name="prepared-lookup",
        readers=("spactor.data.building.find",),
        kind="json",
        seeds=_lookup,
        place=_alone(f"lookup-{'k' * 24}.json"),
        read=_read_lookup,
    ),
    Target(
        name="python-module",
        readers=("spactor.data.corpus.documents_of_source",),
        kind="bytes",
        seeds=_modules,
        place=_alone("module.py"),
        read=_read_module,
    ),
    Target(
        name="c4-documents",
        readers=("spactor.data.c4._lines",),
        kind="json lines",
        seeds=lambda: [_rows({"text": "Ada baked.", "url": "x"}, {"text": "é"})],
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
        place=_alone("sentencepiece.model"),
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
    Target(
        name="benchmark-json-lines",
        readers=("spactor.data.benchmarks.files.json_lines", "spactor.data.benchmarks.files._text"),
        kind="json lines",
        seeds=_json_lines,
        place=_place_rainbow,
        read=_read_rainbow,
    ),
    Target(
        name="benchmark-answers",
        readers=("spactor.data.benchmarks.files._text",),
        kind="bytes",
        seeds=lambda: [b"1\n2\n"],
        place=_place_answers,
        read=_read_rainbow,
    ),
    Target(
        name="benchmark-csv-rows",
        readers=("spactor.data.benchmarks.files._csv",),
        kind="csv",
        seeds=_csv_rows,
        place=_alone("rows.csv"),
        read=_read_mmlu,
    ),
    Target(
        name="benchmark-csv-table",
        readers=("spactor.data.benchmarks.files._csv",),
        kind="csv",
        seeds=_csv_table,
        place=_alone("rows.csv"),
        read=_read_csv_table,
    ),
    Target(
        name="benchmark-json",
        readers=("spactor.data.benchmarks.files.json_examples",),
        kind="json",
        seeds=_bbh,
        place=_alone("rows.json"),
        read=_read_bbh,
    ),
    Target(
        name="benchmark-dataset-info",
        readers=("spactor.data.benchmarks.tfds_folder.rows_in",),
        kind="json",
        seeds=_dataset_info,
        place=_place_dataset,
        read=_read_dataset,
    ),
    *(
        Target(
            name=f"kept-{name.replace('_', '-')}",
            readers=("analysis.kept.load",),
            kind="json",
            seeds=_kept(file),
            place=_alone("kept.json"),
            read=_read_kept(name),
        )
        for name, file in {"compiled": "compiled_flops", "compiled_t5x": "compiled_t5x"}.items()
    ),
)
