"""Prepares C4 and official benchmarks in the user's data folder, for either engine.

For the local engine, all that a run reads is written to a prepared folder: a prefix of C4's tokens
(`c4`), and the suites' ids with what scoring needs (`suite_encoding`). T5X reads the user's folder
itself; its prepared folder has the vocabulary, and digests of the files it reads. Nothing is ever
fetched.

The look-up key digests names, sizes and times of the files, the settings and this package's code.
C4's tokens have a key of their own, since they take an hour for `mini` and no suite changes them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spactor.data import building, c4, checking, manifest, suite_encoding
from spactor.data.building import Report
from spactor.data.examples import Example
from spactor.data.suites import FileTask, suite_named
from spactor.errors import UserError
from spactor.files import write_atomically

CORPUS = "c4"
SOURCES = "sources"
"""Key of the manifest for digests of the files that T5X reads in the user's folder, and of the
examples that readers make of some."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The part of a data folder that a profile reads.

    Attributes:
      vocab_size: rows of the embedding.
      train_tokens, validation_tokens: length of the prefix of each split.
      suites: names.
    """

    vocab_size: int
    train_tokens: int
    validation_tokens: int
    suites: tuple[str, ...]


def prepare(cache: Path, folder: Path, wanted: Wanted, report: Report = lambda line: None) -> Path:
    """Finds the prepared folder of the local engine, or builds it.

    Args:
      cache: folder for prepared data.
      folder: the user's, with C4, vocabulary and benchmarks.
      wanted: what a profile reads of it.
      report: called with one line per stage.

    Returns:
      ``<cache>/corpus-<first 12 digits of the fingerprint>``, complete and verified.

    Raises:
      UserError: something is missing or damaged, C4 is too short, or the disk refuses.
    """
    if wanted.train_tokens > c4.TOKENS:
        raise UserError(
            f"this profile reads {wanted.train_tokens:,} tokens and C4 has about {c4.TOKENS:,}, "
            "which the local engine lays out before it begins: use --engine t5x"
        )
    release = _require(folder, wanted, c4.find)
    home = Path(__file__).parent
    text = [*release.files(), folder / manifest.VOCABULARY_FILE]
    tokens_key = building.key_of(
        {
            "format": manifest.FORMAT,
            "tokens": [wanted.vocab_size, wanted.train_tokens, wanted.validation_tokens],
            "files": _states(folder, text),
            "code": building.code_digest(home / f"{name}.py" for name in ("c4", "vocabulary")),
        }
    )
    key = _key(folder, wanted, [tokens_key])
    write = functools.partial(
        _write, cache=cache, source=folder, wanted=wanted, tokens_key=tokens_key, report=report
    )
    found = building.find_or_build(cache, key, write, report)
    building.name(cache, tokens_key, manifest.read(found)["fingerprint"])
    return found


def prepare_for_t5x(
    cache: Path, folder: Path, wanted: Wanted, report: Report = lambda line: None
) -> Path:
    """Finds the prepared folder of T5X, or builds it; see `prepare`."""
    release = _require(folder, wanted, c4.find_tfds)
    key = _key(folder, wanted, ["t5x", *_states(folder, release.files())])
    write = functools.partial(_write_for_t5x, source=folder, wanted=wanted, report=report)
    return building.find_or_build(cache, key, write, report)


def _require(folder: Path, wanted: Wanted, find: Callable[[Path], c4.Release]) -> c4.Release:
    """Checks that all data are there, before hours are spent on any of them."""
    c4.vocabulary_model(folder, wanted.vocab_size)
    release = find(folder)
    for suite in wanted.suites:
        checking.require(suite_named(suite, CORPUS), folder)
    return release


def _states(folder: Path, paths: Iterable[Path]) -> list[Any]:
    """Name, size and time of files."""
    found = ((path, path.stat()) for path in paths)
    return [
        [path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns]
        for path, stat in found
    ]


def _key(folder: Path, wanted: Wanted, more: list[Any]) -> str:
    suites = [
        _states(folder, checking.files(suite_named(suite, CORPUS), folder))
        for suite in wanted.suites
    ]
    return building.key_of(
        {
            "format": manifest.FORMAT,
            "wanted": dataclasses.asdict(wanted),
            "vocabulary": _states(folder, [folder / manifest.VOCABULARY_FILE]),
            "suites": suites,
            "more": more,
            "code": building.code_digest(Path(__file__).parent.rglob("*.py")),
        }
    )


def _write(
    work: Path, *, cache: Path, source: Path, wanted: Wanted, tokens_key: str, report: Report
) -> dict[str, Any]:
    model, facts = c4.vocabulary_model(source, wanted.vocab_size)
    write_atomically(work / manifest.VOCABULARY_FILE, model)
    release = c4.find(source)
    known = building.find(cache, tokens_key, report)
    if known:
        report(f"reusing the tokens of {known}")
        frequencies = _reuse_tokens(known, work)
    else:
        sizes = {"train": wanted.train_tokens, "validation": wanted.validation_tokens}
        counts = {}
        for split in c4.SPLITS:
            report(f"encoding {sizes[split]:,} tokens of C4's {split} split ({release.form})")
            path = work / manifest.tokens_file(split)
            counts[split] = c4.write_tokens(release, split, path, sizes[split], model, facts)
        frequencies = building.frequency_facts(counts["train"])
    for suite in wanted.suites:
        report(f"encoding {suite}")
        suite_encoding.write(work, suite_named(suite, CORPUS), facts, source)
    return {
        "corpus": {"name": "c4/en", "form": release.form},
        "vocabulary": dataclasses.asdict(facts),
        "tokens": {"train": wanted.train_tokens, "validation": wanted.validation_tokens},
        **frequencies,
    }


def _digest_of_texts(examples: Iterable[Example]) -> str:
    texts = json.dumps([[example.inputs, example.targets] for example in examples])
    return hashlib.sha256(texts.encode()).hexdigest()


def _reuse_tokens(known: Path, work: Path) -> dict[str, float]:
    """Links or copies the tokens of another prepared folder, which never change."""
    for split in c4.SPLITS:
        name = manifest.tokens_file(split)
        try:
            os.link(known / name, work / name)
        except OSError:  # A file system without links.
            shutil.copyfile(known / name, work / name)
    facts = manifest.read(known)
    return {key: facts[key] for key in building.FREQUENCIES}


def _write_for_t5x(work: Path, *, source: Path, wanted: Wanted, report: Report) -> dict[str, Any]:
    model, facts = c4.vocabulary_model(source, wanted.vocab_size)
    write_atomically(work / manifest.VOCABULARY_FILE, model)
    release = c4.find_tfds(source)
    report(f"computing digests of the files in {source}")
    sources = {
        path.relative_to(source).as_posix(): c4.digest_of_ends(path) for path in release.files()
    }
    for suite in wanted.suites:
        benchmark = suite_named(suite, CORPUS)
        for path in checking.files(benchmark, source):
            name = path.relative_to(source).as_posix()
            sources[f"suites/{suite}/{name}"] = manifest.digest_of_file(path)
        # A reader is imported when it is called, so no digest of code covers the prompts it writes.
        for task in (task for task in benchmark.tasks if isinstance(task, FileTask)):
            for split in task.files:
                examples = task.examples(source, split)
                sources[f"suites/{suite}/{task.name} ({split})"] = _digest_of_texts(examples)
    return {
        "corpus": {"name": "c4/en", "form": release.form, "version": release.home.name},
        "vocabulary": dataclasses.asdict(facts),
        SOURCES: sources,
    }
