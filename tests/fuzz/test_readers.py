"""Any bytes, and any changed valid file, give every reader's result or a `UserError`.

``python -m nox -s fuzz`` runs the same readers under atheris; what it found is tested below.
"""

from __future__ import annotations

import random
from pathlib import Path

import harmless
import mutations
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import BY_NAME, Reader


def available(name: str) -> Reader:
    for module in BY_NAME[name].needs:
        pytest.importorskip(module)
    return BY_NAME[name]


def changed(reader: Reader, seed: int, times: int) -> bytes:
    """Returns a valid file changed so many times."""
    rng = random.Random(seed)
    data = rng.choice(reader.seeds())
    for _ in range(times):
        data = mutations.mutate(reader.kind, data, rng)
    return data


@pytest.mark.parametrize("name", BY_NAME)
def test_valid_files_are_read_and_any_bytes_give_a_result_or_an_error(
    name: str, tmp_path: Path
) -> None:
    reader = available(name)
    for number, seed in enumerate(reader.seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        message = harmless.check(reader, seed, folder)
        assert message == "", message
    for data in (b"", b"{}", b"[1]\n", b"\xff\xfe\x00"):
        harmless.check(reader, data, folder)
    files = st.builds(changed, st.just(reader), st.integers(0, 2**32), st.integers(1, 4))

    @settings(
        max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(files | st.binary(max_size=64))
    def gives_a_result_or_an_error(data: bytes) -> None:
        harmless.check(reader, data, folder)

    gives_a_result_or_an_error()


FOUND: tuple[tuple[str, bytes], ...] = (
    ("step lines", b'{"step": 1, "x": ' + b"9" * 400 + b"}"),
    ("step lines", b'{"step": 1, "a\\nb": "x"}'),
    ("T5X events", b"\x01" * 40),
    ("provenance", b'{"nodes": 3}'),
    ("provenance", b'{"nodes": [{"attempts": {"a": 1}}]}'),
    ("provenance", b'{"nodes": [{"node": "a", "inputs": null}]}'),
    ("node.json of run", b'{"fingerprint": ["a"]}'),
    ("node.json of run", b'{"fingerprint": "a", "inputs": ' + b'{"a":' * 900 + b"1" + b"}" * 901),
    ("provenance.json of run", b'{"attempts": [3]}'),
    ("example.json of run", b'{"original": 3}'),
    ("predictions", b"PK\x05\x06" + b"\0" * 18),
    ("validation.jsonl of stored", b'{"inputs": [[1]]}\n'),
    ("types.json of stored", b'{"inputs": ["int32", 1000000000]}'),
    ("T5X stream record", b'{"facts": [], "state": "", "step": 4}'),
    ("T5X stream record", b'{"facts": {"first_step": "a"}, "state": "", "step": 4}'),
    ("prepared lookup", b'{"fingerprint": 3}'),
    ("prepared lookup", b'{"fingerprint": "/../../../x"}'),
    ("vocabulary", b"rubbish"),
    # A piece of 2**7, 2**31, 2**35 and 2**63 - 1 bytes, of which there are three.
    ("vocabulary", b"\x0a\x80\x01\x0a\x03<p>"),
    ("vocabulary", b"\x0a\x80\x80\x80\x80\x08\x0a\x03<p>"),
    ("vocabulary", b"\x0a\x80\x80\x80\x80\x80\x01\x0a\x03<p>"),
    ("vocabulary", b"\x0a" + b"\xff" * 8 + b"\x7f\x0a\x03<p>"),
    ("config.json of model", b'{"d_model": ' + b"[" * 100_000),
    ("dataset_info.json of dataset", b'{"splits": ' + b"[" * 100_000),
)
"""Inputs on which a reader once raised another exception or crashed."""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_inputs_that_fuzzing_found(tmp_path: Path, name: str, data: bytes) -> None:
    harmless.check(available(name), data, tmp_path)


def test_a_reader_that_writes_or_deletes_is_noticed(tmp_path: Path) -> None:
    harmless._used.add("writing")
    for read in (
        lambda folder: (folder / "y").write_bytes(b""),
        lambda folder: (folder / "x").unlink(),
        lambda folder: (tmp_path / "outside").mkdir(),
        lambda folder: np.save(tmp_path / "outside", np.zeros(1)),
    ):
        reader = Reader("writing", "bytes", "x", list, lambda data: {"x": data}, read)
        with pytest.raises(harmless.Broken):
            harmless.check(reader, b"", tmp_path / "in")
