"""Commands ``repro data``: sizes of the embedded suites, and files of C4 and the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import DataDir, Profile, Runs
from spactor import text_table
from spactor.errors import UserError

if TYPE_CHECKING:
    from spactor.data.checking import Part
    from spactor.data.suites import Suite

data = typer.Typer(
    name="data",
    help="Describes the embedded suites; checks C4 and the benchmarks.",
    no_args_is_help=True,
)
app.add_typer(data)


@command(data)
def describe(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, format: Format = "text"
) -> None:
    """Prints sizes and label balance of the embedded suites.

    Prepares them if necessary.
    """
    from repro import folders
    from repro.engines.factory import engine_for
    from repro.specs import load_profile
    from spactor.data import describing

    chosen = load_profile(profile)
    if chosen.data.corpus != "embedded":
        raise UserError(
            f"profile {profile} has no embedded suites: run 'repro data check SUITE' for the "
            "benchmarks it reads"
        )
    engine = engine_for(chosen, folders.cache_folder(runs))
    folders.open_runs(runs, create=True)
    folder = engine.prepare(chosen, lambda line: print(line, file=sys.stderr)).folder
    found = describing.rows(folder)
    emit(format, lambda: describing.text(found), found)


@command(data)
def check(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE", help="c4, or glue, superglue, squad, cnndm, rainbow, mmlu or bbh."
        ),
    ],
    data_dir: DataDir = None,
    format: Format = "text",
) -> None:
    """Lists the files of C4 or a benchmark, and which are in a folder.

    Without a folder, it lists what is needed. Downloads nothing.
    """
    from spactor.data import checking
    from spactor.data.suites import suite_named

    if suite == "c4":
        splits = _c4_splits(data_dir)
        emit(format, lambda: _c4_text(splits), splits)
        return
    benchmark = suite_named(suite, "c4")
    parts = checking.check(benchmark, data_dir)
    emit(format, lambda: _text(benchmark, parts), parts)
    if format == "text" and not benchmark.has_training_data:
        # Printed after the parts, because invalid instruction data raises an error.
        print("\n" + "\n".join(text_table.wrap(_instructions(data_dir))))
    if faults := [part for part in parts if part.fault]:
        raise UserError(
            f"{len(faults)} of {len(parts)} parts of {suite} are missing or wrong in {data_dir}: "
            "correct what is listed and check again"
        )


def _fitting(rows: Sequence[Sequence[str]]) -> list[str]:
    """Formats the parts as a table, or as a list if their names are too long for a table."""
    lines = text_table.align(rows, right=[2])
    if max(map(len, lines)) <= text_table.WIDTH:
        return lines
    listed = []
    for task, split, count, place, state in rows[1:]:
        listed += [f"{task}, {split}: {count} rows{state and f', {state}'}", f"  {place}"]
    return listed


def _instructions(folder: Path | None) -> str:
    """Describes the instruction data that a benchmark without training data is fine-tuned on."""
    from spactor.data.readers import instructions

    needed = (
        "Has no training data. To fine-tune for it, add a mixture such as a sample of the FLAN "
        f"collection: {instructions.PATTERN}, JSON lines with inputs and targets"
    )
    if folder is None:
        return needed
    paths = instructions.paths(folder)
    if not paths:
        return f"{needed}: missing"
    return f"{needed}: {len(instructions.read(None, *paths)):,} examples in {len(paths)} files"


@dataclass(frozen=True)
class _Split:
    """A split of C4 in a folder: numbers of present and of all files."""

    split: str
    present: int
    files: int
    folder: str
    vocabulary_pieces: int


def _c4_splits(folder: Path | None) -> list[_Split]:
    """Returns the splits of C4 in a folder; [] without a folder.

    Raises:
      UserError: a file is missing or damaged.
    """
    from spactor.data import c4

    if folder is None:
        return []
    release = c4.find(folder)
    _, vocabulary = c4.vocabulary_model(folder)
    return [
        _Split(
            split,
            sum(release.file(split, number).is_file() for number in range(count)),
            count,
            str(release.home),
            vocabulary.sentencepiece_size,
        )
        for split, count in release.counts.items()
    ]


def _c4_text(splits: Sequence[_Split]) -> str:
    """Describes the files of C4 and T5's vocabulary, with the numbers that a folder has."""
    from spactor.data import c4

    either = f"{c4.FOLDER}/{' or '.join(c4.VERSIONS)}/: as TensorFlow Datasets prepares it, either"
    lines = [
        "C4, English",
        "",
        "Raffel et al. (2020), Exploring the limits of transfer learning. Described by TensorFlow "
        "Datasets, data set 'c4/en', and by the Allen Institute for AI, data set 'allenai/c4'.",
        "",
        f"{either} engine; or",
        f"{c4.FOLDER}/c4-train.NNNNN-of-01024.json.gz and c4-validation.NNNNN-of-00008.json.gz: "
        "--engine local, from the first on as many as a profile needs, 150 M tokens each.",
        "sentencepiece.model: T5's vocabulary, 32,000 pieces (cc_all.32000).",
    ]
    for one in splits:
        lines.append(f"{one.split}: {one.present:,} of {one.files:,} files in {one.folder}")
    if splits:
        lines.append(f"vocabulary: {splits[0].vocabulary_pieces:,} pieces")
    return text_table.paragraphs(lines)


def _text(benchmark: Suite, parts: Sequence[Part]) -> str:
    """Describes a benchmark's releases, the state of its parts, and their faults."""
    head = ("task", "split", "rows", "in the data folder", "state")
    table = [(part.task, part.split, f"{part.rows:,}", part.place, part.state) for part in parts]
    lines = [benchmark.title, ""]
    for release in dict.fromkeys(task.release for task in benchmark.released_tasks):
        lines += text_table.wrap(f"{release.citation}. Described by {release.described}.")
    lines += ["", *_fitting([head, *table])]
    # Several splits may have the same fault.
    if faults := list(dict.fromkeys(part.fault for part in parts if part.fault)):
        lines += ["", text_table.paragraphs(faults)]
    return "\n".join(lines)
