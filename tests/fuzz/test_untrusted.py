"""Foreign files: no pickle is loaded, nothing is written elsewhere, names are no paths."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import struct
from pathlib import Path

import harmless
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from readers import BY_NAME, PREPARED, ROOT, TABLE, Reader, manifest_of

from analysis.schema import records
from repro import folders, specs
from spactor import files, predictions, strict_json
from spactor.data import building, manifest
from spactor.errors import LONGEST_MESSAGE, UserError

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNPICKLERS |= {"yaml", "torch", "jsonpickle"}
FORBIDDEN = {"read_pickle", "to_pickle", "fromfile", "loadtxt", "genfromtxt", "eval", "exec"}
FORBIDDEN |= {"system", "popen", "unsafe_load", "full_load", "extractall", "unpack_archive"}
SOURCES = sorted(
    path
    for package in ("analysis", "figures", "repro", "spactor", "tables")
    for path in (ROOT / package).rglob("*.py")
)


def called(path: Path) -> list[tuple[str, ast.Call]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else ""
            found.append((name or getattr(function, "id", ""), node))
    return found


def test_no_code_unpickles_or_evaluates() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
                found = {name.split(".")[0] for name in names} & UNPICKLERS
                assert not found, f"{path}, line {node.lineno}"
        for name, call in called(path):
            where = f"{path}, line {call.lineno}"
            options = {keyword.arg: keyword.value for keyword in call.keywords}
            owner = ast.unparse(call.func).rpartition(".")[0]
            # A model's own `eval` evaluates no text.
            assert name not in FORBIDDEN or (name in ("eval", "exec") and owner), where
            if (owner in ("np", "numpy") and name in ("load", "save")) or name == "read_array":
                allowed = options.get("allow_pickle")
                assert isinstance(allowed, ast.Constant) and allowed.value is False, where
            assert "shell" not in options, where


STREAMS = {name: data for name, data in PREPARED.items() if name.endswith(".npy")}


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def bomb_array(tmp_path: Path) -> tuple[bytes, Path]:
    """A ``.npy`` file of one such object, and the folder that unpickling it would create."""
    mark = tmp_path / "exploded"
    path = tmp_path / "bomb.npy"
    np.save(path, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    with pytest.raises(FileExistsError):
        # It does explode.
        mark.mkdir()
        np.load(path, allow_pickle=True)
    mark.rmdir()
    return path.read_bytes(), mark


@pytest.mark.parametrize("name", ["tokens_train.npy", "predictions", "suites/glue/tokens.npy"])
def test_a_pickle_in_an_array_is_refused(tmp_path: Path, name: str) -> None:
    data, mark = bomb_array(tmp_path)
    assert harmless.check(BY_NAME[name], data, tmp_path / "in")
    assert not mark.exists()


# Older versions of Arrow, which refuse it too, warn of it.
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")
def test_a_pickle_in_a_parquet_file_is_not_loaded(tmp_path: Path) -> None:
    """Arrow once unpickled the metadata of this type when it opened a file (CVE-2023-47248)."""
    mark = tmp_path / "exploded"
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    kind[b"ARROW:extension:metadata"] = pickle.dumps(Bomb(mark))
    field = pa.field("metric", pa.string(), metadata=kind)
    path = tmp_path / "metrics.parquet"
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
    pa.array(["x", None], pa.large_string()),
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
    """A column of another type, or with odd values, is accepted or refused; so is its lack."""
    at = TABLE.column_names.index(name)
    others = [TABLE.set_column(at, name, column) for column in COLUMNS]
    reader, messages = BY_NAME["records as Parquet"], []
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
    assert path.stat().st_size < 1000
    monkeypatch.setattr(records, "_MOST_ROWS", 999)
    with pytest.raises(UserError, match="1,000 rows"):
        records.read(path)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**40, 2**63 - 1, 2**64 - 1])
def test_weights_with_a_wrong_length(tmp_path: Path, length: int) -> None:
    pytest.importorskip("jax")
    reader = BY_NAME["model.safetensors of model"]
    [whole] = reader.seeds()
    wrong = struct.pack("<Q", length) + whole[8:]
    assert "damaged" in harmless.check(reader, wrong, tmp_path)
    header = json.loads(whole[8 : 8 + struct.unpack("<Q", whole[:8])[0]])
    header["shared.weight"]["data_offsets"][1] = length
    text = json.dumps(header).encode()
    assert harmless.check(reader, struct.pack("<Q", len(text)) + text + whole[-64:], tmp_path)


@pytest.mark.parametrize("length", [2**7, 2**31, 2**35, 2**63 - 1])
def test_a_vocabulary_with_wrong_lengths(tmp_path: Path, length: int) -> None:
    pytest.importorskip("sentencepiece")
    reader = BY_NAME["vocabulary"]
    varint = b""
    while length > 127:
        varint += bytes([length % 128 + 128])
        length //= 128
    # Field 1, a piece, of so many bytes.
    wrong = b"\x0a" + varint + bytes([length]) + b"\x0a\x03<p>"
    assert "no SentencePiece model" in harmless.check(reader, wrong, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/etc/passwd",
        "a/../../x",
        "./x",
        "a//b",
        "",
        "..",
        "a\\b",
        "C:/x",
        "a\0b",
        "a\nb",
    ],
)
def test_a_manifest_with_paths_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    facts = manifest_of(STREAMS)
    facts["files"][name] = "0" * 64
    facts["fingerprint"] = manifest.fingerprint_of(facts)
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="damaged"):
        manifest.read(tmp_path)


def test_a_link_out_of_a_prepared_folder_is_refused(tmp_path: Path) -> None:
    folder, secret = tmp_path / "prepared", tmp_path / "secret"
    for name, data in STREAMS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    facts = manifest_of(STREAMS)
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
    assert target.resolve().is_relative_to(runs / "own" / "stale" / "a") and target.is_dir()
    assert target != runs / "own" / "stale" / "a"


def test_a_node_whose_folder_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    runs = folders.open_runs(tmp_path / "runs", create=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    node = folders.node_folder(runs, "own", "base/s0")
    node.mkdir(parents=True)
    folders.require_own(runs, node)
    (node / "metrics.jsonl").symlink_to(outside / "victim")
    with pytest.raises(UserError, match="is a link out of"):
        folders.require_own(runs, node)
    linked = folders.node_folder(runs, "own", "base/s1")
    linked.symlink_to(outside)
    with pytest.raises(UserError, match="is a link out of"):
        folders.require_own(runs, linked)
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


def test_predictions_of_odd_names_are_passed_over(tmp_path: Path) -> None:
    predictions.write(tmp_path, 10, {"pair": np.zeros(1, np.int32)})
    for name in ("1x.npy", "٣.npy", "9" * 40 + ".npy", "1..npy"):
        (tmp_path / predictions.FOLDER / name).write_bytes(b"")
    assert predictions.steps(tmp_path) == (10,)


ODD_NAMES = ("../x", "a/b", "a\\b", "..", ".", "", "A", "a b", "é", "a\0b")
ODD_NAMES += ("a" * 300, "-x", "x\n")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_that_are_no_file_names_are_refused(name: str) -> None:
    """Those of a profile and of a variant; all others are the project's own."""
    for text, match in (
        (
            f'extends = "smoke"\n[variants.{json.dumps(name)}.objective]\nlambda_rtd = 1.0',
            "variant",
        ),
        (f'extends = "smoke"\nsuites = [{json.dumps(name)}]', "suites"),
        (f'extends = "smoke"\n[sizes.{json.dumps(name)}]\nbatch_size = 1', "sizes"),
    ):
        with pytest.raises(UserError, match=match):
            specs.parse_profile("own", text, "own.toml")
    with pytest.raises(UserError):
        specs.load_profile(f"{name}.toml")


def test_every_node_name_is_a_safe_relative_path() -> None:
    from repro import plan

    for profile in specs.PROFILES:
        for name in plan.build(specs.load_profile(profile)).nodes:
            for part in name.split("/"):
                assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", part) and len(part) < 64


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


def test_the_check_notices_a_broken_promise(tmp_path: Path) -> None:
    def print_two_lines(folder: Path) -> None:
        error = UserError("one")
        error.args = ("one\ntwo",)
        raise error

    harmless._used.add("breaking")
    for read in (
        lambda folder: (folder / "y").write_bytes(b""),
        lambda folder: (folder / "x").unlink(),
        lambda folder: (tmp_path / "outside").mkdir(),
        lambda folder: np.save(tmp_path / "outside", np.zeros(1)),
        print_two_lines,
    ):
        with pytest.raises(harmless.Broken):
            harmless.check(Reader("breaking", "bytes", "x", list, read), b"", tmp_path / "in")
