"""Any bytes, and any changed valid file, give every reader's result or a one-line `UserError`.

``python -m nox -s fuzz`` runs the same readers under atheris; what it found is tested below.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path

import harmless
import mutations
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import BY_NAME, READERS, Reader

from spactor.errors import UserError


def available(name: str) -> Reader:
    for module in BY_NAME[name].needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return BY_NAME[name]


@pytest.fixture(params=BY_NAME)
def reader(request: pytest.FixtureRequest) -> Reader:
    return available(request.param)


def inputs(reader: Reader) -> st.SearchStrategy[bytes]:
    """Valid files with up to four changes, and arbitrary bytes."""

    def changed(drawn: tuple[bytes, int, int]) -> bytes:
        data, seed, times = drawn
        rng = random.Random(seed)
        for _ in range(times):
            data = mutations.mutate(reader.kind, data, rng)
        return data

    valid = st.tuples(st.sampled_from(reader.seeds()), st.integers(0, 2**32), st.integers(1, 4))
    return valid.map(changed) | st.binary(max_size=64)


def run_hypothesis(reader: Reader, folder: Path, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(reader))
    def keeps_its_promise(data: bytes) -> None:
        harmless.check(reader, data, folder)

    keeps_its_promise()


def test_names_are_unique_and_kinds_known() -> None:
    assert len(BY_NAME) == len(READERS)
    assert {reader.kind for reader in READERS} == set(mutations.KINDS)


def test_valid_files_are_read_and_changed_ones_keep_the_promise(
    reader: Reader, tmp_path: Path
) -> None:
    for number, seed in enumerate(reader.seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        message = harmless.check(reader, seed, folder)
        assert message == "", message
    run_hypothesis(reader, folder, 15)


@pytest.mark.slow
def test_two_thousand_changed_files(reader: Reader, tmp_path: Path) -> None:
    run_hypothesis(reader, tmp_path, 2000)


FOUND: tuple[tuple[str, bytes], ...] = (
    ("seqio answers", b"\xff\xfe"),
    ("step lines", b'{"step": 1, "x": ' + b"9" * 400 + b"}"),
    ("step lines", b'{"step": 1, "a\\nb": "x"}'),
    ("T5X events", b"\x01" * 40),
    ("provenance", b"{}"),
    ("provenance", b'{"nodes": 3}'),
    ("provenance", b'{"nodes": [{"attempts": {"a": 1}}]}'),
    ("provenance", b'{"nodes": [{"node": "a", "inputs": null}]}'),
    ("node.json of run", b"{}"),
    ("node.json of run", b'{"fingerprint": ["a"]}'),
    ("node.json of run", b'{"fingerprint": "a", "inputs": ' + b'{"a":' * 900 + b"1" + b"}" * 901),
    ("provenance.json of run", b'{"attempts": [3]}'),
    ("example.json of run", b'{"original": 3}'),
    ("predictions", b""),
    ("predictions", b"PK\x05\x06" + b"\0" * 18),
    ("tokens_train.npy", b""),
    ("suite examples", b"[1]\n"),
    ("validation.jsonl of stored", b"[1]\n"),
    ("validation.jsonl of stored", b'{"inputs": [[1]]}\n'),
    ("types.json of stored", b'{"inputs": ["int32", 1000000000]}'),
    ("T5X stream record", b"{}"),
    ("T5X stream record", b'{"ahead": 0, "facts": [], "origin": 0, "step": 4}'),
    ("T5X stream record", b"[1]"),
    ("prepared lookup", b'{"fingerprint": 3}'),
    ("prepared lookup", b'{"fingerprint": "/../../../x"}'),
    ("vocabulary", b"rubbish"),
    ("config.json of model", b'{"d_model": ' + b"[" * 100_000),
    ("dataset_info.json of dataset", b'{"splits": ' + b"[" * 100_000),
    ("compiled FLOPs", b"\xff"),
    ("compiled FLOPs", b"[" * 100_000),
    ("published table", b"metric,value,x\nm,1\n"),
    ("published tasks", b"suite,task\nglue,cola\n"),
)
"""What fuzzing found: each raised something else than a `UserError` once."""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_found(tmp_path: Path, name: str, data: bytes) -> None:
    harmless.check(available(name), data, tmp_path)


def _two_lines(folder: Path) -> None:
    error = UserError("one")
    error.args = ("one\ntwo",)
    raise error


def test_the_check_notices_a_broken_promise(tmp_path: Path) -> None:
    def breaking(read: Callable[[Path], object]) -> Reader:
        return Reader("breaking", "bytes", "x", list, read)

    harmless._used.add("breaking")
    for read in (
        lambda folder: (folder / "y").write_bytes(b""),
        lambda folder: (folder / "x").unlink(),
        lambda folder: (tmp_path / "outside").mkdir(),
        lambda folder: np.save(tmp_path / "outside", np.zeros(1)),
        _two_lines,
    ):
        with pytest.raises(harmless.Broken):
            harmless.check(breaking(read), b"", tmp_path / "in")
    with pytest.raises(ZeroDivisionError):
        harmless.check(breaking(lambda folder: 1 // 0), b"", tmp_path / "in")
