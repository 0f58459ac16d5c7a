"""Any bytes, and any mutated valid file, give every reader's result or a `UserError` of one line.

The same targets run under atheris with ``python -m nox -s fuzz``; what it found is below.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path

import harmless
import mutations
import numpy as np
import pytest
import reader_list
import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from target import ROOT, Target, alone

from spactor import numpy_files, predictions, strict_json
from spactor.errors import LONGEST_MESSAGE, UserError

NOT_OF_FILES = {
    "analysis.claims.setup.datasets": "published.load",
    "analysis.compiled": "the project's own child process tells it of a program",
    "analysis.compiled_t5x.compile_step": "XLA's text of a program that was just compiled",
    "analysis.compiled_t5x.macro": "gin files of the project",
    "analysis.compiled_t5x.sources": "a file of the checkout",
    "analysis.tpu.ask": "the project's own child process answers",
    "repro.engines.t5x._failure": "T5X's log, any bytes decoded with errors=replace",
    "repro.code_digests._gin_statements": "gin files of the project and of T5X",
    "repro.code_digests.code_digests": "the project's own code",
    "repro.engines.t5x.T5XEngine._ask_jax": "the project's own child process answers",
    "repro.engines.t5x.T5XEngine._damage": "the project's own child process answers",
    "repro.cli.rebuilding.rebuild.drawn": "figures that it has just written",
    "repro.report.choices.unsaid": "a page of the project",
    "repro.report.numbers.pair": "published.load",
    "repro.report.page._read": "style sheet and script of the project",
    "repro.report.traces.Traces.add": "published.load",
    "repro.identity._t5x_code": "gin files of the project",
    "repro.specs._extended": "a profile of the project",
    "spactor.data.corpus._documents_of_file": "bytes alone; documents_of_source takes them in",
    "spactor.data.corpus._package": "RECORD of an installed package, through importlib.metadata",
    "spactor.data.building.code_digest": "the project's own code",
    "spactor.data.suites.registry._add_task": "counts lines of a file that read_lines takes in",
    "spactor.data.c4.digest_of_ends": "bytes alone, for a digest",
    "spactor.example.write": "bytes alone; piece_names takes them in",
    "spactor.files.make_durable": "opens to flush",
    "spactor.metrics.JsonLines.__init__": "bytes alone, cuts a torn line before it goes on",
    "repro.export._vocabulary": "bytes alone; tokenizer_files takes them in",
    "spactor.t5x.damage.reason": "what it calls takes them in, in a process that may fail",
    "spactor.t5x.compiling": "the project's own child process tells it of a program",
    "spactor.t5x.compiling._digest": "bytes alone, for a digest",
    "spactor.t5x.stream_record.state_digest": "bytes alone, for a digest",
}
"""Functions that `reader_list.py` finds and no stranger's file reaches, or alone, each with why."""

_BY_WAY_OF = {
    "analysis.kept.load": (
        *("analysis.compiled.load", "analysis.compiled.update", "tables.origins._compiled"),
        *("analysis.compiled_t5x.load", "analysis.compiled_t5x.update"),
        *("analysis.savings.overheads_of", "tables.table3._beside_compiled"),
        "tables.table3._compiled_footnotes",
    ),
    "analysis.schema.csv_files.read": (
        *(
            "figures.cost_panels.compute",
            "figures.figure3._published",
            "repro.cli.questions.explain",
            "repro.cli.reading.table",
        ),
        *("analysis.schema.published._everything", "tables.differences.compute"),
    ),
    "repro.folders.read_json": (
        *("repro.engines.local.LocalEngine.run", "repro.export.export"),
        *("repro.folders.engine_of", "repro.folders.open_runs", "repro.folders.read_or_set_aside"),
        *("repro.provenance.read", "repro.runner.Runner._work", "repro.runner._holder"),
        *("repro.scorekeeping.begin", "repro.scorekeeping.complete", "repro.scorekeeping.reasons"),
        "spactor.strict_json.loads",
    ),
    "analysis.schema.records._read_parquet": (
        "analysis.schema.records._require_plain",
        "analysis.schema.subset.read",
    ),
    "spactor.data.suite_tokens.read": (
        "spactor.finetuning.finetune",
        "spactor.numpy_files._mapped",
        "spactor.numpy_files.map_archive",
    ),
    "spactor.data.arrays.load_arrays": ("spactor.numpy_files.read_array",),
    "spactor.predictions.read": ("spactor.numpy_files._array",),
    "figures.figure1.compute": ("figures.figure1._pieces",),
}
THROUGH = {name: through for through, names in _BY_WAY_OF.items() for name in names}
"""Functions that read by way of another, which a target names."""

BY_NAME = {target.name: target for target in targets.TARGETS}


def available(target: Target) -> Target:
    for name in target.needs:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    return target


@pytest.fixture(params=BY_NAME)
def target(request: pytest.FixtureRequest) -> Target:
    return available(BY_NAME[request.param])


def test_every_reader_is_a_target() -> None:
    found = set(reader_list.readers())
    covered = {name for target in targets.TARGETS for name in target.readers}
    missing = found - covered - set(NOT_OF_FILES) - set(THROUGH)
    assert not missing, "these read files: make each a target, or say why it is none"
    assert set(NOT_OF_FILES) <= found, "these don't read any more: strike them out"
    assert set(THROUGH) <= found and set(THROUGH.values()) <= covered


def test_names_are_told_apart() -> None:
    assert len(BY_NAME) == len(targets.TARGETS)
    assert all(target.kind in mutations.KINDS for target in targets.TARGETS)


def test_a_target_reaches_the_readers_it_names(target: Target, tmp_path: Path) -> None:
    """A valid file is read without a complaint, by the functions named."""
    called = set()

    def profiler(frame: object, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code  # type: ignore[attr-defined]
            called.add((code.co_filename, code.co_qualname))

    for number, seed in enumerate(target.seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        sys.setprofile(profiler)
        try:
            message = harmless.check(target, seed, folder)
        finally:
            sys.setprofile(None)
        # A command alone may lack an argument.
        assert message == "" or target.writes, message
    names = {
        f"{'.'.join(Path(file).relative_to(ROOT).with_suffix('').parts)}.{name}"
        for file, name in called
        if Path(file).is_relative_to(ROOT)
    }
    assert set(target.readers) <= {name.replace(".__init__", "") for name in names}


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Valid files changed in up to four places, and now and then any bytes."""
    seeds = target.seeds()

    def changed(drawn: tuple[bytes, int, int]) -> bytes:
        data, seed, times = drawn
        rng = random.Random(seed)
        for _ in range(times):
            data = mutations.mutated(target.kind, data, rng)
        return data

    valid = st.tuples(st.sampled_from(seeds), st.integers(0, 2**32), st.integers(1, 4))
    return valid.map(changed) | st.binary(max_size=64)


def hold(target: Target, folder: Path, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target))
    def holds(data: bytes) -> None:
        harmless.check(target, data, folder)

    holds()


def test_rubbish(target: Target, tmp_path: Path) -> None:
    hold(target, tmp_path, 15)


@pytest.mark.slow
def test_much_rubbish(target: Target, tmp_path: Path) -> None:
    hold(target, tmp_path, 2000)


FOUND: tuple[tuple[str, bytes], ...] = (
    ("seqio-answers", b"\xff\xfe"),
    ("step-lines", b'{"step": 1, "x": ' + b"9" * 400 + b"}"),
    ("step-lines", b'{"step": 1, "a\\nb": "x"}'),
    ("t5x-events", b"\x01" * 40),
    ("provenance", b"{}"),
    ("provenance", b'{"nodes": 3}'),
    ("provenance", b'{"nodes": [{"attempts": {"a": 1}}]}'),
    ("provenance", b'{"nodes": [{"node": "a", "inputs": null}]}'),
    ("run-node", b"{}"),
    ("run-node", b'{"fingerprint": ["a"]}'),
    ("run-node", b'{"fingerprint": "a", "inputs": ' + b'{"a":' * 900 + b"1" + b"}" * 901),
    ("run-provenance", b'{"attempts": [3]}'),
    ("worked-example", b'{"original": 3}'),
    ("predictions", b""),
    ("predictions", b"PK\x05\x06" + b"\0" * 18),
    ("token-stream", b""),
    ("suite-examples", b"[1]\n"),
    ("kept-examples", b"[1]\n"),
    ("kept-examples", b'{"inputs": [[1]]}\n'),
    ("kept-types", b'{"inputs": ["int32", 1000000000]}'),
    ("t5x-stream-record", b"{}"),
    ("t5x-stream-record", b'{"ahead": 0, "facts": [], "origin": 0, "step": 4}'),
    ("t5x-stream-batch", b""),
    ("t5x-stream-index", b""),
    ("t5x-vocabulary", b"[1]"),
    ("prepared-lookup", b'{"fingerprint": 3}'),
    ("prepared-lookup", b'{"fingerprint": "/../../../x"}'),
    ("vocabulary", b"rubbish"),
    ("model-config", b'{"d_model": ' + b"[" * 100_000),
    ("benchmark-dataset-info", b'{"splits": ' + b"[" * 100_000),
    ("kept-compiled", b"\xff"),
    ("kept-compiled", b"[" * 100_000),
    ("published-csv", b"metric,value,x\nm,1\n"),
    ("published-tasks", b"suite,task\nglue,cola\n"),
)
"""What fuzzing found and what reading the code for it did: each was a traceback once."""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_found(tmp_path: Path, name: str, data: bytes) -> None:
    harmless.check(available(BY_NAME[name]), data, tmp_path)


def test_the_promise_sees_what_breaks_it(tmp_path: Path) -> None:
    """Without this, a check that saw nothing would pass every reader."""

    def breaking(read: object) -> Target:
        return Target(
            name="breaking",
            readers=(),
            kind="bytes",
            seeds=list,
            place=alone("x"),
            read=read,  # type: ignore[arg-type]
        )

    def says_two_lines(folder: Path) -> None:
        error = UserError("one")
        error.args = ("one\ntwo",)
        raise error

    outside = tmp_path / "outside"
    harmless._imported.add("breaking")
    for read in (
        lambda folder: (folder / "y").write_bytes(b""),
        lambda folder: (folder / "x").unlink(),
        lambda folder: outside.mkdir(),
        lambda folder: np.save(outside, np.zeros(1)),
        says_two_lines,
    ):
        with pytest.raises(harmless.Broken):
            harmless.check(breaking(read), b"", tmp_path / "in")
    with pytest.raises(ZeroDivisionError):
        harmless.check(breaking(lambda folder: 1 // 0), b"", tmp_path / "in")


def test_a_mistake_is_one_printable_line_of_bounded_length() -> None:
    message = str(UserError("a\nb\x00\ud800\u2028é" + "x" * 10_000 + "end"))
    assert message.startswith("a b\\x00\\ud800 é") and message.endswith("end")
    assert message.isprintable() and len(message) <= LONGEST_MESSAGE + 3 + 12


@pytest.mark.parametrize(
    "text",
    ["NaN", "-Infinity", "1e999", "9" * 30, '"\\ud800"', "[" * 101 + "]" * 101, "[" * 10**6, "{"],
)
def test_strict_json_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        strict_json.loads(text)


def test_strict_json_reads_what_json_writes() -> None:
    value = {"a": [1, -(2**63), 2.5e-300, None, True, "😀", "\\ud800"], "b": {"c": []}}
    for escaped in (True, False):
        assert strict_json.loads(json.dumps(value, ensure_ascii=escaped)) == value


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions.write(tmp_path, 1, {"pair": np.zeros(10_000, np.int32)})
    assert (tmp_path / "predictions" / "1.npz").stat().st_size < 1000
    monkeypatch.setattr(numpy_files, "_MOST_BYTES", 30_000)
    with pytest.raises(UserError, match="more than a gigabyte"):
        predictions.read(tmp_path, 1)
