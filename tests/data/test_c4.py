"""C4 in both forms: which documents are read, in which order, and what is refused."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import made_c4
import numpy as np
import pytest
from commands import run

from spactor.data import c4, manifest, vocabulary
from spactor.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with JSON lines and a vocabulary; not to be changed."""
    home = tmp_path_factory.mktemp("c4")
    made_c4.write_json(home)
    made_c4.write_vocabulary(home)
    return home


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(folder, tmp_path, dirs_exist_ok=True)


def texts(release: c4.Release, split: c4.Split) -> list[str]:
    return [text for some in release.texts(split) for text in some]


def written(folder: Path, split: c4.Split, tokens: int, to: Path) -> np.ndarray:
    model, facts = c4.vocabulary_model(folder, made_c4.VOCAB_SIZE)
    path = to / "tokens.npy"
    counts = c4.write_tokens(c4.find(folder), split, path, tokens, model, facts)
    found = np.load(path, allow_pickle=False)
    assert counts.tolist() == np.bincount(found, minlength=made_c4.VOCAB_SIZE).tolist()
    return found


def test_json_lines_are_read_file_after_file(folder: Path) -> None:
    release = c4.find(folder)
    assert (release.form, release.counts) == ("json", {"train": 1024, "validation": 8})
    expected = [row["text"] for row in made_c4.documents(80)]
    found = []
    # The third of 1,024 files isn't there: what lies before it can be read all the same.
    with pytest.raises(UserError, match=r"c4-train.00002-of-01024.json.gz is missing, .* before"):
        for some in release.texts("train"):
            found += some
    assert found == expected
    assert "\u2028" in found[0] and "\n" in found[0] and "é" in found[0]


def test_tensorflow_datasets_files_hold_the_same(tmp_path: Path) -> None:
    home = made_c4.write_tfds(tmp_path)
    release = c4.find(tmp_path)
    assert (release.form, release.home) == ("tfds", home)
    assert texts(release, "train") == [row["text"] for row in made_c4.documents(80)]
    held_out = [row["text"] for row in made_c4.documents(40, 100_000)]
    assert texts(release, "validation") == held_out
    assert c4.find_tfds(tmp_path) == release
    # Beside it, JSON lines would be read by no engine.
    made_c4.write_json(tmp_path)
    assert c4.find(tmp_path) == release


def test_a_prefix_of_the_tokens_is_written(folder: Path, tmp_path: Path) -> None:
    model, facts = c4.vocabulary_model(folder, made_c4.VOCAB_SIZE)
    rows = [row["text"] for row in made_c4.documents(80)]
    every = vocabulary.encode(model, rows, facts)
    some = written(folder, "train", 3000, tmp_path)
    assert some.dtype == np.uint16 and some.tolist() == every[:3000].tolist()
    more = written(folder, "train", 5000, tmp_path)
    assert more.tolist() == every[:5000].tolist()


def test_too_little_text_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"c4-train.00002-of-01024.json.gz is missing"):
        written(folder, "train", 10**6, tmp_path)
    made_c4.write_tfds(tmp_path)
    made_c4.write_vocabulary(tmp_path)
    with pytest.raises(UserError, match=r"the validation split has [\d,]+ tokens and .* 1,000,000"):
        written(tmp_path, "validation", 10**6, tmp_path)


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (b'{"text": "a"}\n{"tex', "row 2, "),
        (b'{"text": "a"}\n{"url": "b"}\n', "row 2, KeyError"),
        (b'{"text": 1}\n', "row 1, TypeError"),
        (b'{"text": "\xff"}\n', "UnicodeDecodeError"),
    ],
)
def test_a_damaged_file_is_named_with_its_row(own: Path, rows: bytes, cause: str) -> None:
    path = own / c4.FOLDER / "c4-validation.00000-of-00008.json.gz"
    path.write_bytes(gzip.compress(rows))
    with pytest.raises(UserError, match="damaged") as caught:
        texts(c4.find(own), "validation")
    assert str(path) in str(caught.value) and cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_damaged(own: Path, tmp_path: Path) -> None:
    path = own / c4.FOLDER / "c4-train.00001-of-01024.json.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"00001-of-01024.json.gz: damaged \(row"):
        texts(c4.find(own), "train")
    home = made_c4.write_tfds(tmp_path / "other")
    record = home / "c4-train.tfrecord-00000-of-00001"
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    with pytest.raises(UserError, match=r"tfrecord-00000-of-00001: damaged"):
        texts(c4.find(tmp_path / "other"), "train")


def test_where_there_is_no_c4(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"c4/en has no C4: .*'repro data check c4'"):
        c4.find(tmp_path)
    home = made_c4.write_json(tmp_path)
    (home / "c4-train.00000-of-00512.json.gz").touch()
    with pytest.raises(UserError, match="the train files are of 512 and 1024 each"):
        c4.find(tmp_path)


def test_t5x_takes_tensorflow_datasets_alone_and_all_of_it(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"JSON lines, and T5X reads .* --engine local"):
        c4.find_tfds(own)
    home = made_c4.write_tfds(tmp_path)
    (home / "c4-train.tfrecord-00000-of-00001").rename(home / "c4-train.tfrecord-00000-of-00002")
    with pytest.raises(UserError, match="has 2 of 3 files of c4/en"):
        c4.find_tfds(tmp_path)
    (home / "features.json").unlink()
    with pytest.raises(UserError, match=r"features.json is missing"):
        c4.find_tfds(tmp_path)


def test_the_vocabulary_must_be_one_of_t5s_kind(own: Path) -> None:
    import sentencepiece

    model, facts = c4.vocabulary_model(own, made_c4.VOCAB_SIZE)
    assert (facts.sentencepiece_size, facts.mask_token_id, facts.padded_size) == (411, 511, 512)
    assert facts.sentinel_id(0) == 510
    with pytest.raises(UserError, match=r"411 pieces, which fill 512 rows, .* is 32,128"):
        c4.vocabulary_model(own, 32_128)
    path = own / manifest.VOCABULARY_FILE
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([row["text"] for row in made_c4.documents(80)]),
        model_prefix=str(path.with_suffix("")),
        vocab_size=60,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    with pytest.raises(UserError, match=r"pad, eos and unk are ids \(-1, 2, 0\)"):
        c4.vocabulary_model(own, made_c4.VOCAB_SIZE)
    path.write_bytes(model[:-10])
    with pytest.raises(UserError, match="no SentencePiece model"):
        c4.vocabulary_model(own, made_c4.VOCAB_SIZE)
    path.unlink()
    with pytest.raises(UserError, match=r"is missing: put T5's vocabulary there"):
        c4.vocabulary_model(own, made_c4.VOCAB_SIZE)


def test_the_command_lists_what_is_needed_and_what_is_there(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, needed, err = run(capsys, "data", "check", "c4")
    assert (code, err) == (0, "")
    assert all(version in needed for version in c4.VERSIONS) and manifest.VOCABULARY_FILE in needed
    code, out, err = run(capsys, "data", "check", "c4", "--data-dir", str(own))
    assert (code, err) == (0, "") and out.startswith(needed)
    home = own / c4.FOLDER
    words = " ".join(out.split())
    assert f"train: 2 of 1,024 files in {home} validation: 1 of 8 files in {home} " in words
    assert out.endswith("vocabulary: 411 pieces\n")
    (own / manifest.VOCABULARY_FILE).unlink()
    code, _, err = run(capsys, "data", "check", "c4", "--data-dir", str(own))
    assert code == 2 and "put T5's vocabulary there" in err and err.count("\n") == 1


def test_the_digest_of_ends_sees_size_beginning_and_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * 1024

    def digest(changed: bytes) -> str:
        path.write_bytes(changed)
        return c4.digest_of_ends(path)

    first = digest(content)
    assert digest(content) == first
    assert digest(b"x" + content[1:]) != first
    assert digest(content[:-1] + b"x") != first
    assert digest(content + b"x") != first
