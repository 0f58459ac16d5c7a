"""A prefix of English C4 in the user's data folder, in either of its two published forms.

    D/c4/en/3.0.1/c4-train.tfrecord-00000-of-01024       TensorFlow Datasets, and its description
    D/c4/en/c4-train.00000-of-01024.json.gz              JSON lines with a field ``text``
    D/sentencepiece.model                                T5's vocabulary, cc_all.32000

Documents are read in the order of the files' numbers and, within a file, in file order. Both
releases are shuffled, so a prefix is a fair sample, and only its files are needed. The two forms
hold the same documents in different orders.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from spactor import strict_json
from spactor.data import host_tensorflow, manifest, vocabulary
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError

FOLDER = "c4/en"
VERSIONS = ("3.0.1", "3.1.0")
"""Of TensorFlow Datasets' ``c4/en``; the first is T5X's own."""
TOKENS = 156_000_000_000
"""In the training split, about, with T5's vocabulary (Raffel et al. 2020)."""
ENDS_BYTES = 65_536

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")
_DOCUMENTS = 1024  # tokenized at once
_TFDS = re.compile(r"c4-(train|validation)\.tfrecord-(\d{5})-of-(\d{5})")
_JSON = re.compile(r"c4-(train|validation)\.(\d{5})-of-(\d{5})\.json\.gz")


@dataclass(frozen=True)
class Release:
    """C4 in a folder.

    Attributes:
      form: "tfds" or "json".
      home: folder of its files.
      counts: files of each split, from their names.
    """

    form: Literal["tfds", "json"]
    home: Path
    counts: dict[Split, int]

    def file(self, split: Split, number: int) -> Path:
        """Path of a file, whether or not it exists."""
        of = f"{number:05d}-of-{self.counts[split]:05d}"
        name = f"tfrecord-{of}" if self.form == "tfds" else f"{of}.json.gz"
        return self.home / f"c4-{split}.{name}"

    def files(self) -> list[Path]:
        """The files that exist, in order."""
        every = (self.file(split, i) for split in SPLITS for i in range(self.counts[split]))
        return [path for path in every if path.is_file()]

    def texts(self, split: Split) -> Iterator[list[str]]:
        """All documents of a split, in batches.

        Raises:
          UserError: a file is missing or damaged.
        """
        read = _records if self.form == "tfds" else _lines
        for number in range(self.counts[split]):
            path = self.file(split, number)
            if not path.is_file():
                raise UserError(
                    f"{path} is missing, and the files before it hold too little text: put it "
                    "there, or ask for fewer steps"
                )
            yield from read(path)


def find(folder: Path) -> Release:
    """Finds C4 in a data folder, TensorFlow Datasets' form before the other.

    Raises:
      UserError: the folder has neither.
    """
    home = folder / FOLDER
    for version in VERSIONS:
        if found := _counts(home / version, _TFDS):
            return Release("tfds", home / version, found)
    if found := _counts(home, _JSON):
        return Release("json", home, found)
    raise UserError(
        f"{home} has no C4: put TensorFlow Datasets' c4/en there (version "
        f"{' or '.join(VERSIONS)}), or files such as c4-train.00000-of-01024.json.gz and "
        "c4-validation.00000-of-00008.json.gz ('repro data check c4' says more)"
    )


def find_tfds(folder: Path) -> Release:
    """Finds TensorFlow Datasets' form of C4, with all its files.

    Raises:
      UserError: it is missing or not complete.
    """
    release = find(folder)
    if release.form != "tfds":
        raise UserError(
            f"{release.home} has C4 as JSON lines, and T5X reads TensorFlow Datasets' c4/en: "
            "prepare that there, or use --engine local"
        )
    for name in ("dataset_info.json", "features.json"):
        if not (release.home / name).is_file():
            raise UserError(f"{release.home / name} is missing: prepare c4/en again")
    there = len(release.files())
    if there != sum(release.counts.values()):
        raise UserError(
            f"{release.home} has {there:,} of {sum(release.counts.values()):,} files of c4/en, and "
            "T5X shuffles all of them: prepare it again"
        )
    return release


def _counts(home: Path, pattern: re.Pattern[str]) -> dict[Split, int] | None:
    """Files of each split, from the names of the existing ones; None unless both splits exist."""
    found: dict[str, set[int]] = {}
    for path in home.glob("c4-*"):
        if match := pattern.fullmatch(path.name):
            found.setdefault(match[1], set()).add(int(match[3]))
    for split, counts in found.items():
        if len(counts) > 1:
            raise UserError(
                f"{home}: the {split} files are of {' and '.join(map(str, sorted(counts)))} each: "
                "leave the files of one release there"
            )
    if set(found) != set(SPLITS):
        return None
    return {split: next(iter(found[split])) for split in SPLITS}


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path}: damaged ({what}): take the file from the release again")


def _lines(path: Path) -> Iterator[list[str]]:
    texts: list[str] = []
    row = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row += 1
                texts.append(strict_json.loads(line)["text"])
                if not isinstance(texts[-1], str):
                    raise TypeError("no text")
                if len(texts) == _DOCUMENTS:
                    yield texts
                    texts = []
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"row {max(row, 1):,}, {error!r}") from None
    if texts:
        yield texts


def _records(path: Path) -> Iterator[list[str]]:
    tf = host_tensorflow.tensorflow()
    feature = {"text": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset([str(path)]).batch(_DOCUMENTS)
    try:
        for batch in records.as_numpy_iterator():
            found = tf.io.parse_example(batch, feature)["text"].numpy()
            yield [text.decode("utf-8") for text in found]
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from None


def vocabulary_model(folder: Path, vocab_size: int | None = None) -> tuple[bytes, VocabularyFacts]:
    """The vocabulary in a data folder, serialised, and its numbers.

    Args:
      folder: the data folder.
      vocab_size: rows of the model's embedding, if it is known.

    Raises:
      UserError: it is missing, is no SentencePiece model with T5's first ids, or doesn't fill the
        embedding.
    """
    path = folder / manifest.VOCABULARY_FILE
    try:
        model = path.read_bytes()
        processor = vocabulary.processor(model)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: put T5's vocabulary there, the SentencePiece model of 32,000 "
            "pieces (cc_all.32000/sentencepiece.model)"
        ) from None
    except (OSError, UserError) as error:
        raise UserError(f"{path}: no SentencePiece model ({error}): put T5's there") from None
    ids = (processor.pad_id(), processor.eos_id(), processor.unk_id())
    if ids != (vocabulary.PAD_ID, vocabulary.EOS_ID, vocabulary.UNK_ID):
        raise UserError(
            f"{path}: pad, eos and unk are ids {ids}, and T5's are 0, 1 and 2: put T5's there"
        )
    facts = VocabularyFacts.of_pieces(processor.get_piece_size())
    if vocab_size not in (None, facts.padded_size):
        raise UserError(
            f"{path} has {facts.sentencepiece_size:,} pieces, which fill {facts.padded_size:,} "
            f"rows, and data.vocab_size is {vocab_size:,}: put T5's there, or change vocab_size"
        )
    return model, facts


def write_tokens(
    release: Release, split: Split, path: Path, tokens: int, model: bytes, facts: VocabularyFacts
) -> np.ndarray:
    """Writes the first tokens of a split as an array, a few documents at a time.

    Args:
      release: where it is read from.
      split: which.
      path: of the ``.npy`` file to write.
      tokens: how many.
      model: serialised SentencePiece model.
      facts: of that vocabulary.

    Returns:
      How often each id occurs, int64[rows of the embedding].

    Raises:
      UserError: a file is missing or damaged, or the split is shorter.
    """
    counts = np.zeros(facts.padded_size, np.int64)
    left = tokens
    with path.open("wb") as file:
        for texts in release.texts(split):
            part = vocabulary.encode(model, texts, facts)[:left]
            if left == tokens:
                header = {"descr": part.dtype.str, "fortran_order": False, "shape": (tokens,)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(part.tobytes())
            counts += np.bincount(part, minlength=len(counts))
            left -= len(part)
            if not left:
                return counts
    raise UserError(
        f"{release.home}: the {split} split has {tokens - left:,} tokens and this profile reads "
        f"{tokens:,}: take a release with more text, or ask for fewer steps"
    )


def digest_of_ends(path: Path) -> str:
    """SHA-256 of a file's size, beginning and end, for files too large to read in full."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(ENDS_BYTES))
        file.seek(max(0, size - ENDS_BYTES))
        digest.update(file.read(ENDS_BYTES))
    return digest.hexdigest()
