"""Prepares the embedded corpus: documents, vocabulary, token arrays and suites, built once.

The look-up key (`building`) digests what is installed (RECORDs, the standard library's file sizes
and times), the settings and this package's code.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from spactor import npy
from spactor.config import DataConfig
from spactor.data import building, corpus, manifest, suite_encoding, suites, vocabulary
from spactor.data.builders.cloze import clozes
from spactor.data.builders.source import sources
from spactor.data.building import Report
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError
from spactor.files import write_atomically

_CLOZE = {"limit": 3_000, "pieces": 42, "word_pieces": 3}
"""Short sentences and words, because every checkpoint is scored; all packages have about 2,050."""


def prepare(
    cache: Path,
    data: DataConfig,
    report: Report = lambda line: None,
    packages: Sequence[corpus.Package] = (),
) -> Path:
    """Finds the prepared data of a configuration, or builds it.

    Args:
      cache: folder for prepared data; made if missing. Several processes may share it: the
        first builds, the others wait for it.
      data: what to read, and the vocabulary's size.
      report: called with one line per stage, and when a damaged folder is replaced.
      packages: to read instead of what is installed.

    Returns:
      ``<cache>/corpus-<first 12 digits of the fingerprint>``, complete and verified.

    Raises:
      UserError: another corpus than the embedded one, a missing package, a text too small for
        the vocabulary, or a disk that does not take the files.
    """
    if data.corpus != "embedded":
        raise UserError(
            f"data.corpus is {data.corpus!r}, which is not embedded: give the folder that has it "
            "with --data-dir"
        )
    with building.disk_errors(cache):
        packages = packages or corpus.installed_packages(data.packages)
        key = _lookup_key(packages, data)
    write = functools.partial(_write_all, packages=packages, data=data, report=report)
    return building.find_or_build(cache, key, write, report)


def find(cache: Path, data: DataConfig) -> Path | None:
    """Finds intact prepared data; None where `prepare` would build them or fail."""
    if data.corpus != "embedded":
        return None
    try:
        key = _lookup_key(corpus.installed_packages(data.packages), data)
    except UserError:
        return None  # This installation can't have prepared it.
    return building.find(cache, key, lambda line: None)


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
        "code": building.code_digest(Path(__file__).parent.rglob("*.py")),
    }
    return building.key_of(facts)


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
        npy.write(work / manifest.tokens_file(name), tokens[name])
        lines = (json.dumps(dataclasses.asdict(document)) for document in by_split[name])
        building.write_lines(work / manifest.documents_file(name), lines)

    report("making the fine-tuning suites")
    made_from = sources(by_split, model)
    for suite in suites.EMBEDDED.values():
        for task in suite.tasks:
            assert isinstance(task, suites.EmbeddedTask)
            examples = {s: task.build(made_from[s], task.limits[s]) for s in made_from}
            for split, found in examples.items():
                path = work / manifest.examples_file(suite.name, task.name, split)
                # A task that lacks one split can't be both trained and scored.
                complete = all(examples.values())
                building.write_lines(path, [e.line() for e in found] if complete else [])
        suite_encoding.write(work, suite, facts)
    held_out = dataclasses.replace(made_from["validation"], documents=by_split["validation"])
    suite_encoding.write_cloze(work, clozes(held_out, **_CLOZE), facts)

    return {
        "corpus": {
            "documents": len(documents),
            "characters": characters,
            "packages": {package.name: package.version for package in packages},
        },
        "vocabulary": dataclasses.asdict(facts),
        "tokens": {name: len(stream) for name, stream in tokens.items()},
        **building.frequency_facts(np.bincount(tokens["train"])),
    }
