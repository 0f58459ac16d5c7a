"""Builds the prepared data folder, once: corpus, vocabulary, token arrays and suites.

Two names are in play. The *look-up key* digests what is installed (RECORDs, the standard
library's file sizes and times), the settings and this package's code: cheap, and different
whenever the result might be. The *fingerprint* digests the result itself. A changed key means
building again; if the same content comes out, it is the same folder, and nothing that was
trained on it becomes stale.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from spactor import strict_json
from spactor.config import DataConfig
from spactor.data import corpus, manifest, suite_encoding, suites, vocabulary
from spactor.data.suites.sources import sources
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError
from spactor.files import make_durable, refused, write_atomically

_UNFINISHED = "unfinished-"

Report = Callable[[str], None]


def prepare(cache: Path, data: DataConfig, report: Report = lambda line: None) -> Path:
    """Finds the prepared data of a configuration, or builds it.

    Args:
      cache: folder for prepared data; made if missing. Several processes may share it: the
        first builds, the others wait for it.
      data: what to read, and the vocabulary's size.
      report: called with one line per stage, and when a damaged folder is replaced.

    Returns:
      ``<cache>/corpus-<first 12 digits of the fingerprint>``, complete and verified.

    Raises:
      UserError: another corpus than the embedded one, a missing package, a text too small for
        the vocabulary, or a disk that does not take the files.
    """
    if data.corpus != "embedded":
        raise UserError(
            f"data.corpus is {data.corpus!r}: the local engine reads only the embedded corpus; "
            'set data.corpus = "embedded", or run this profile on the T5X engine'
        )
    with _disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        packages = corpus.installed_packages(data.packages)
        key = _lookup_key(packages, data)
        if found := find(cache, key, lambda line: None):
            return found
        with filelock.FileLock(cache / "prepare.lock"):
            # Another process may have built it while this one waited.
            return find(cache, key, report) or _build(cache, key, packages, data, report)


def prepare_from(
    cache: Path,
    packages: Sequence[corpus.Package],
    data: DataConfig,
    report: Report = lambda line: None,
) -> Path:
    """Builds the folder from the given packages without looking for an earlier one."""
    with _disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / "prepare.lock"):
            return _build(cache, _lookup_key(packages, data), packages, data, report)


@contextlib.contextmanager
def _disk_errors(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused(error, Path(error.filename or cache)) from error


def _code_digest() -> str:
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        # The tree, not the bytes: comments and layout can't change what is built.
        digest.update(ast.dump(ast.parse(path.read_bytes())).encode())
    return digest.hexdigest()


def _lookup_key(packages: Sequence[corpus.Package], data: DataConfig) -> str:
    try:
        trainer = metadata.version("sentencepiece")
    except metadata.PackageNotFoundError as error:
        raise UserError(
            "sentencepiece is not installed: install this project with its 'train' extra"
        ) from error
    facts = {
        "format": manifest.FORMAT,
        "vocab_size": data.vocab_size,
        "packages": [(package.name, package.version, package.state) for package in packages],
        "sentencepiece": trainer,
        "code": _code_digest(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _lookup_file(cache: Path, key: str) -> Path:
    return cache / f"lookup-{key[:24]}.json"


def folder_of(cache: Path, fingerprint: str) -> Path:
    """Where the prepared data with this fingerprint lie, if they do.

    Raises:
      UserError: it is no fingerprint, but may be a way out of the cache.
    """
    if not re.fullmatch("[0-9a-f]+", fingerprint):
        raise UserError(f"{fingerprint!r} is no fingerprint of prepared data: run 'repro prepare'")
    return cache / f"corpus-{fingerprint[:12]}"


def find(cache: Path, key: str, report: Report) -> Path | None:
    """The whole prepared folder of a look-up key, if there is one.

    Args:
      cache: folder for prepared data.
      key: of what is installed and asked for.
      report: told what is damaged.
    """
    lookup = _lookup_file(cache, key)
    try:
        fingerprint = strict_json.loads(lookup.read_text(encoding="utf-8"))["fingerprint"]
        folder = folder_of(cache, fingerprint)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, UserError):
        report(f"{lookup}: damaged; preparing the data again")
        return None
    try:
        facts = manifest.read(folder)
        wrong = manifest.damage(folder, facts)
        if not wrong and facts["fingerprint"] != fingerprint:
            wrong = f"{folder} holds other data than its name says"
    except UserError as error:
        wrong = str(error)
    if wrong:
        report(f"damaged: {wrong}; preparing the data again")
        return None
    return folder


def _build(
    cache: Path, key: str, packages: Sequence[corpus.Package], data: DataConfig, report: Report
) -> Path:
    started = time.monotonic()
    for leftover in cache.glob(f"{_UNFINISHED}*"):
        # The lock is held, so whoever wrote these is gone.
        shutil.rmtree(leftover, ignore_errors=True)
    work = cache / f"{_UNFINISHED}{os.getpid()}"
    work.mkdir()
    try:
        facts = _write_all(work, packages, data, report)
        folder = folder_of(cache, facts["fingerprint"])
        _move_into_place(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _write_lookup(_lookup_file(cache, key), facts["fingerprint"])
    report(f"prepared {folder} in {time.monotonic() - started:.0f} s")
    return folder


def _move_into_place(work: Path, folder: Path) -> None:
    if folder.exists():
        try:
            facts = manifest.read(folder)
            if manifest.damage(folder, facts) is None:
                return
        except UserError:
            pass
        # Renamed before it is deleted: a reader finds all of the old folder or the new one.
        old = folder.with_name(f"{_UNFINISHED}{os.getpid()}-replaced")
        folder.rename(old)
        work.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        work.rename(folder)
    make_durable(folder.parent)


def _write_lookup(path: Path, fingerprint: str) -> None:
    write_atomically(path, json.dumps({"fingerprint": fingerprint}).encode())


def _write_all(
    work: Path, packages: Sequence[corpus.Package], data: DataConfig, report: Report
) -> dict[str, Any]:
    report(f"reading the docstrings of {len(packages)} package{'s' * (len(packages) != 1)}")
    documents = corpus.read_documents(packages)
    by_split: dict[corpus.Split, list[corpus.Document]] = {split: [] for split in corpus.SPLITS}
    for document in documents:
        by_split[document.split].append(document)
    characters = sum(len(document.text) for document in documents)
    report(f"{len(documents):,} documents, {characters:,} characters; training the vocabulary")

    names: tuple[corpus.Split, ...] = ("train", "validation")
    texts = {name: [document.text for document in by_split[name]] for name in names}
    model = vocabulary.train(texts["train"], data.vocab_size)
    write_atomically(work / manifest.VOCABULARY_FILE, model)
    facts = VocabularyFacts.of_pieces(vocabulary.pieces_for(data.vocab_size))

    report(f"encoding with {facts.sentencepiece_size:,} pieces")
    tokens = {name: vocabulary.encode(model, texts[name], facts) for name in texts}
    for name in texts:
        if not len(tokens[name]):
            raise UserError(f"the {name} split has no text: read more packages")
        _write_array(work / manifest.tokens_file(name), tokens[name])
        _write_lines(work / manifest.documents_file(name), map(_document_line, by_split[name]))

    report("making the fine-tuning suites")
    made_from = sources(by_split, model)
    for suite in suites.SUITES.values():
        for task in suite.tasks:
            examples = {s: task.build(made_from[s], task.limits[s]) for s in made_from}
            for split, found in examples.items():
                path = work / suites.examples_file(suite.name, task.name, split)
                path.parent.mkdir(parents=True, exist_ok=True)
                # Without one of its splits a task can't be trained, or can't be scored.
                lines = [example.line() for example in found] if all(examples.values()) else []
                _write_lines(path, lines)
        suite_encoding.write(work, suite, model, facts)

    entropy, commonest = _frequencies(tokens["train"])
    files = sorted(path for path in work.rglob("*") if path.is_file())
    result: dict[str, Any] = {
        "format": manifest.FORMAT,
        "corpus": {
            "documents": len(documents),
            "characters": characters,
            "packages": {package.name: package.version for package in packages},
        },
        "vocabulary": {
            "sentencepiece_size": facts.sentencepiece_size,
            "extra_ids": facts.extra_ids,
            "mask_token_id": facts.mask_token_id,
            "padded_size": facts.padded_size,
        },
        "tokens": {name: len(stream) for name, stream in tokens.items()},
        "unigram_entropy_nats": entropy,
        "most_frequent_token_rate": commonest,
        "files": {p.relative_to(work).as_posix(): manifest.digest_of_file(p) for p in files},
    }
    result["fingerprint"] = manifest.fingerprint_of(result)
    manifest.write(work, result)
    make_durable(work)
    return result


def _frequencies(stream: np.ndarray) -> tuple[float, float]:
    shares = np.bincount(stream) / len(stream)
    present = shares[shares > 0]
    entropy = float(-(present * np.log(present)).sum())
    # Rounded, because the last digits of a logarithm differ between processors.
    return round(entropy, 6), round(float(present.max()), 6)


def _document_line(document: corpus.Document) -> str:
    fields: Mapping[str, str] = {
        "package": document.package,
        "module": document.module,
        "name": document.name,
        "kind": document.kind,
        "text": document.text,
    }
    return json.dumps(fields)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _write_array(path: Path, stream: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, stream, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
