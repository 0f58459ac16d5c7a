"""Files from elsewhere: no pickle is loaded, names are no paths, and links are not followed.

That no module imports an unpickler or calls ``eval`` is checked by ruff; see pyproject.toml.
"""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path

import harmless
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from readers import BY_NAME, PREPARED, TABLE, manifest_of

from analysis.schema import records
from repro import folders, plan, profile_files, specs
from spactor import files, predictions, strict_json
from spactor.data import building, manifest
from spactor.errors import LONGEST_MESSAGE, UserError

ARRAYS = {name: data for name, data in PREPARED.items() if name.endswith(".npy")}


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "name", ["tokens_train.npy of prepared", "predictions", "tokens.npy of prepared"]
)
def test_a_pickle_in_an_array_is_refused(tmp_path: Path, name: str) -> None:
    mark, path = tmp_path / "exploded", tmp_path / "bomb.npy"
    np.save(path, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    np.load(path, allow_pickle=True)
    mark.rmdir()  # NumPy's own reader unpickled it.
    assert harmless.check(BY_NAME[name], path.read_bytes(), tmp_path / "in")
    assert not mark.exists()


# Older versions of Arrow, which refuse it too, warn of it.
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
def test_a_pickle_in_a_parquet_file_is_not_loaded(tmp_path: Path) -> None:
    """Arrow once unpickled the metadata of this type when it opened a file (CVE-2023-47248)."""
    mark, path = tmp_path / "exploded", tmp_path / "metrics.parquet"
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    kind[b"ARROW:extension:metadata"] = pickle.dumps(Bomb(mark))
    field = pa.field("metric", pa.string(), metadata=kind)
    pq.write_table(pa.table([pa.array(["m"])], schema=pa.schema([field])), path)
    with pytest.raises(UserError):
        records.read(path)
    assert not mark.exists()


COLUMNS = (
    pa.array([0, -1]),
    pa.array([2**62, None]),
    pa.array([0, 2**64 - 1], pa.uint64()),
    pa.array([float("nan"), float("inf")]),
    pa.array([1e300, -5.0]),
    pa.array(["", "a\nb"]),
    pa.array(["\x00", "1"]),
    pa.array(["base", None]),
    pa.array(["glue", "x"]).dictionary_encode(),
    pa.array([b"", b"\xff"]),
    pa.array([None, None]),
    pa.array([[], [1]]),
    pa.array([{"a": 1}] * 2),
    pa.array([0, 10**10], pa.timestamp("s")),
    pa.array([1, None], pa.decimal128(30, 2)),
)


@pytest.mark.parametrize("name", TABLE.column_names)
def test_odd_columns_of_parquet(tmp_path: Path, name: str) -> None:
    """A file with another type or odd values in a column, or without it, is read or refused."""
    at = TABLE.column_names.index(name)
    others = [TABLE.set_column(at, name, column) for column in COLUMNS]
    reader, messages = BY_NAME["records"], []
    for table in (*others, TABLE.remove_column(at)):
        pq.write_table(table, tmp_path / "written")
        data = (tmp_path / "written").read_bytes()
        messages.append(harmless.check(reader, data, tmp_path / "in"))
    refused = [message for message in messages if message]
    assert all("x.parquet" in message for message in refused)
    # Nested, binary and temporal columns never hold records.
    assert len(refused) >= 5


def test_a_parquet_file_of_too_many_rows_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.parquet"
    pq.write_table(pa.table({"metric": pa.array(["m"] * 1000)}), path)
    monkeypatch.setattr(records, "_MOST_ROWS", 999)
    with pytest.raises(UserError, match="1,000 rows"):
        records.read(path)


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/passwd", "a/../../x", "./x", "a//b", "", "..", "a\\b", "C:/x", "a\0b", "a\n"],
)
def test_a_manifest_with_paths_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    facts = manifest_of({**ARRAYS, name: b""})
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="damaged"):
        manifest.read(tmp_path)


def test_a_link_out_of_a_prepared_folder_is_refused(tmp_path: Path) -> None:
    folder, secret = tmp_path / "prepared", tmp_path / "secret"
    for name, data in ARRAYS.items():
        files.write_atomically(folder / name, data)
    facts = manifest_of(ARRAYS)
    assert manifest.damage(folder, facts) is None
    (folder / "tokens_train.npy").rename(secret)
    (folder / "tokens_train.npy").symlink_to(secret)
    assert "leads out of its folder" in str(manifest.damage(folder, facts))


@pytest.mark.parametrize("fingerprint", ["../../x", "/x", "", "ab/../..", "AB", "0x\n"])
def test_a_fingerprint_is_no_path(tmp_path: Path, fingerprint: str) -> None:
    with pytest.raises(UserError, match="names no prepared data"):
        building.folder_of(tmp_path, fingerprint)


@pytest.mark.parametrize("fingerprint", ["/../../../x", "../../../../", "..", "a\0b", "ab" * 400])
def test_setting_aside_stays_in_its_folder(tmp_path: Path, fingerprint: str) -> None:
    runs = folders.open_runs(tmp_path / "runs", create=True)
    folders.node_folder(runs, "own", "a/b").mkdir(parents=True)
    target = folders.set_aside(runs, "own", "a/b", fingerprint)
    assert target.is_dir() and (runs / "own" / "stale" / "a") in target.resolve().parents


def test_a_node_whose_folder_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    runs = folders.open_runs(tmp_path / "runs", create=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    node = folders.node_folder(runs, "own", "base/s0")
    node.mkdir(parents=True)
    folders.require_own(runs, node)
    (node / "metrics.jsonl").symlink_to(outside / "victim")
    linked = folders.node_folder(runs, "own", "base/s1")
    linked.symlink_to(outside)
    for folder in (node, linked):
        with pytest.raises(UserError, match="is a link out of"):
            folders.require_own(runs, folder)
    assert list(outside.iterdir()) == []


def test_writing_follows_no_link(tmp_path: Path) -> None:
    """Neither one under the final name nor one that waits under the temporary name."""
    victim, path = tmp_path / "victim", tmp_path / "in" / "done.json"
    victim.write_bytes(b"precious")
    path.parent.mkdir()
    path.symlink_to(victim)
    path.with_name(f".{path.name}.{os.getpid()}.tmp").symlink_to(victim)
    files.write_atomically(path, b"new")
    assert victim.read_bytes() == b"precious"
    assert path.read_bytes() == b"new" and not path.is_symlink()
    assert [entry.name for entry in path.parent.iterdir()] == ["done.json"]


def test_predictions_of_odd_names_are_ignored(tmp_path: Path) -> None:
    predictions.write(tmp_path, 10, {"order": np.zeros(1, np.int32)})
    for name in ("1x.npy", "٣.npy", "9" * 40 + ".npy", "1..npy"):
        (tmp_path / predictions.FOLDER / name).write_bytes(b"")
    assert predictions.steps(tmp_path) == (10,)


ODD_NAMES = ("../x", "a/b", "a\\b", "..", ".", "", "A", "a b", "é", "a\0b")
ODD_NAMES += ("a" * 300, "-x", "x\n")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_in_a_profile_that_are_no_file_names_are_refused(name: str) -> None:
    quoted = json.dumps(name)
    for text, match in (
        (f"[variants.{quoted}.objective]\nlambda_rtd = 1.0", "variant"),
        (f"suites = [{quoted}]", "suites"),
        (f"[sizes.{quoted}]\nbatch_size = 1", "sizes"),
    ):
        with pytest.raises(UserError, match=match):
            specs.parse_profile("own", f'extends = "smoke"\n{text}', "own.toml")
    with pytest.raises(UserError):
        specs.load_profile(f"{name}.toml")


def test_every_node_name_is_a_safe_relative_path() -> None:
    for profile in profile_files.PROFILES:
        for name in plan.build(specs.load_profile(profile)).nodes:
            for part in name.split("/"):
                assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", part) and len(part) < 64


def test_an_error_is_one_printable_line_of_bounded_length() -> None:
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
