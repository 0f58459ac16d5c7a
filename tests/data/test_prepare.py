"""The prepared folder: built once, the same each time, rebuilt when damaged."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from commands import contents

from spactor.config import DataConfig
from spactor.data import building, corpus, manifest, prepare, suites
from spactor.errors import UserError


@pytest.fixture
def installed(
    monkeypatch: pytest.MonkeyPatch, some_packages: tuple[corpus.Package, ...]
) -> tuple[corpus.Package, ...]:
    """What `prepare` finds installed: the small corpus of the shared folder."""
    monkeypatch.setattr(corpus, "installed_packages", lambda which: some_packages)
    return some_packages


@pytest.fixture
def few_files(some_packages: tuple[corpus.Package, ...]) -> tuple[corpus.Package, ...]:
    """The small corpus with an eighth of its files."""
    return (dataclasses.replace(some_packages[0], files=some_packages[0].files[::8]),)


@pytest.fixture
def cache(prepared: Path, tmp_path: Path) -> Path:
    """A cache of its own that holds a copy of the shared folder, look-up file included."""
    return shutil.copytree(prepared.parent, tmp_path / "cache")


def test_the_manifest_describes_the_folder(prepared: Path) -> None:
    facts = manifest.read(prepared)
    assert facts["fingerprint"].startswith(prepared.name.removeprefix("corpus-"))
    assert set(facts["files"]) | {manifest.FILE_NAME} == set(contents(prepared))
    assert manifest.damage(prepared, facts) is None
    assert list(facts["corpus"]["packages"]) == ["python"]
    assert 3 < facts["unigram_entropy_nats"] < 6.24  # ln 512
    assert 0.01 < facts["most_frequent_token_rate"] < 0.3


def test_the_fingerprint_ignores_versions_and_nothing_else(prepared: Path) -> None:
    facts = manifest.read(prepared)
    newer = facts | {"corpus": facts["corpus"] | {"packages": {"python": "99"}}}
    assert manifest.fingerprint_of(newer) == facts["fingerprint"]
    assert manifest.fingerprint_of(facts | {"tokens": {}}) != facts["fingerprint"]


def test_a_second_call_builds_nothing(
    cache: Path, installed: object, small_config: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "build", None)
    lines: list[str] = []
    assert prepare.prepare(cache, small_config, lines.append).parent == cache
    assert lines == []


@pytest.mark.parametrize(
    "name",
    ["tokens_train.npy", "suites/glue/order/train.jsonl", manifest.FILE_NAME, "lookup"],
)
@pytest.mark.parametrize("harm", ["missing", "truncated", "changed"])
def test_damage_is_found_and_reported_in_one_line(
    cache: Path,
    installed: object,
    small_config: DataConfig,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    harm: str,
) -> None:
    built = Path("built")
    monkeypatch.setattr(building, "build", lambda *_: built)
    victim = next(cache.glob("lookup-*" if name == "lookup" else f"corpus-*/{name}"))
    content = victim.read_bytes()
    if harm == "missing":
        victim.unlink()
    else:
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        victim.write_bytes(content[:middle] if harm == "truncated" else changed)
    lines: list[str] = []
    assert prepare.prepare(cache, small_config, lines.append) is built
    if (name, harm) == ("lookup", "missing"):
        # As before the first build: there is nothing to report.
        assert lines == []
    else:
        (line,) = lines
        assert "damaged" in line and line.endswith("preparing the data again")


def test_two_builds_are_equal_byte_for_byte(
    tmp_path: Path,
    few_files: tuple[corpus.Package, ...],
    small_config: DataConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second replaces a damaged folder and clears what a killed process left."""
    # One of each kind of task: labels, spans and ranked choices.
    few = {name: suites.EMBEDDED[name] for name in ("glue", "squad", "superglue")}
    monkeypatch.setattr(suites, "EMBEDDED", few)
    folder, lines = prepare.prepare(tmp_path, small_config, packages=few_files), []
    before = contents(folder)
    (folder / "tokens_validation.npy").write_bytes(b"")
    (tmp_path / "unfinished-1").mkdir()
    assert prepare.prepare(tmp_path, small_config, lines.append, few_files) == folder
    assert contents(folder) == before
    assert len(lines) == 6 and lines[-1].startswith(f"prepared {folder} in ")
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == [
        *("corpus", "lookup", "prepare.lock")
    ]


def test_settings_and_installed_files_are_in_the_key(
    some_packages: tuple[corpus.Package, ...], small_config: DataConfig
) -> None:
    changed = (dataclasses.replace(some_packages[0], state="other"),)
    wider = dataclasses.replace(small_config, vocab_size=640)
    keys = [
        prepare._lookup_key(packages, config)
        for packages in (some_packages, changed)
        for config in (small_config, wider)
    ]
    assert len(set(keys)) == 4
    assert prepare._lookup_key(some_packages, small_config) == keys[0]


def test_c4_is_refused(tmp_path: Path) -> None:
    c4 = DataConfig(corpus="c4", vocab_size=32_128)
    with pytest.raises(UserError, match=r"data.corpus is 'c4', .*--data-dir"):
        prepare.prepare(tmp_path, c4)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made(tmp_path: Path, small_config: DataConfig) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"\(Not a directory\); name a folder that can be written"):
        prepare.prepare(tmp_path / "file" / "cache", small_config)


def test_a_disk_that_fills_leaves_nothing_behind(
    tmp_path: Path,
    few_files: tuple[corpus.Package, ...],
    small_config: DataConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepare.vocabulary, "train", lambda texts, size: b"")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"\(No space left on device\); free some space"):
        prepare.prepare(tmp_path, small_config, packages=few_files)
    assert [path.name for path in tmp_path.iterdir()] == ["prepare.lock"]


def test_documents_lie_in_digest_order_in_the_right_split(prepared: Path) -> None:
    for split in ("train", "validation"):
        lines = (prepared / manifest.documents_file(split)).read_text().splitlines()
        documents = [corpus.Document(**json.loads(line)) for line in lines]
        digests = [document.digest for document in documents]
        assert digests == sorted(set(digests))
        assert {document.split for document in documents} == {split}
