"""Any bytes, and any changed valid file, give every reader's result or a one-line `UserError`.

``python -m nox -s fuzz`` runs the same readers under atheris; what it found is tested below.
"""

from __future__ import annotations

import random
from pathlib import Path

import harmless
import mutations
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import BY_NAME, READERS, Reader

UNCHECKED = list(HealthCheck)


def available(name: str) -> Reader:
    for module in BY_NAME[name].needs:
        pytest.importorskip(module)
    return BY_NAME[name]


@pytest.fixture(params=BY_NAME)
def reader(request: pytest.FixtureRequest) -> Reader:
    return available(request.param)


def changed(reader: Reader, seed: int, times: int) -> bytes:
    """Returns a valid file changed so many times."""
    rng = random.Random(seed)
    data = rng.choice(reader.seeds())
    for _ in range(times):
        data = mutations.mutate(reader.kind, data, rng)
    return data


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(READERS)


def test_valid_files_are_read_and_changed_ones_keep_the_promise(
    reader: Reader, tmp_path: Path
) -> None:
    for number, seed in enumerate(reader.seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        message = harmless.check(reader, seed, folder)
        assert message == "", message
    files = st.builds(changed, st.just(reader), st.integers(0, 2**32), st.integers(1, 4))

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=UNCHECKED)
    @given(files | st.binary(max_size=64))
    def keeps_its_promise(data: bytes) -> None:
        harmless.check(reader, data, folder)

    keeps_its_promise()


FOUND: tuple[tuple[str, bytes], ...] = (
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
    ("T5X stream record", b'{"facts": [], "state": "", "step": 4}'),
    ("T5X stream record", b'{"facts": {"first_step": "a"}, "state": "", "step": 4}'),
    ("T5X stream record", b"[1]"),
    ("prepared lookup", b'{"fingerprint": 3}'),
    ("prepared lookup", b'{"fingerprint": "/../../../x"}'),
    ("vocabulary", b"rubbish"),
    ("config.json of model", b'{"d_model": ' + b"[" * 100_000),
    ("dataset_info.json of dataset", b'{"splits": ' + b"[" * 100_000),
)
"""What fuzzing found: each raised something else than a `UserError` once."""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_found(tmp_path: Path, name: str, data: bytes) -> None:
    harmless.check(available(name), data, tmp_path)
