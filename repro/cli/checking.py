"""The command that says what of a benchmark's data is there, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli.data import data
from spactor.errors import UserError

if TYPE_CHECKING:
    from spactor.data.benchmarks import Benchmark
    from spactor.data.benchmarks.checking import Part


@data.command()
def check(
    suite: Annotated[
        str, typer.Argument(help="c4, or glue, superglue, squad, cnndm, rainbow, mmlu or bbh.")
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            envvar="SPACTOR_DATA_DIR",
            help="Your folder with the data; without it, what is needed.",
        ),
    ] = None,
) -> None:
    """Says what of a benchmark, or of C4, is in a folder, what is missing, where it is described.

    Fetches nothing.
    """
    from spactor.data.benchmarks import benchmark_named, checking

    if suite == "c4":
        _check_c4(data_dir)
        return
    benchmark = benchmark_named(suite)
    parts = checking.check(benchmark, data_dir)
    print(_text(benchmark, parts))
    if not benchmark.has_training_data:
        print(f"\n{_instructions(data_dir)}")
    if faults := [part for part in parts if part.fault]:
        raise UserError(
            f"{len(faults)} of {len(parts)} parts of {suite} are missing or wrong in {data_dir}: "
            "mend what is listed and check again"
        )


def _instructions(folder: Path | None) -> str:
    from spactor.data.benchmarks import instructions

    needed = (
        "Scored alone. To fine-tune for it, bring a mixture such as a sample of the FLAN "
        f"collection: {instructions.PATTERN}, JSON lines with inputs and targets"
    )
    if folder is None:
        return needed
    paths = instructions.paths(folder)
    if not paths:
        return f"{needed}: missing"
    return f"{needed}: {len(instructions.examples(folder)):,} examples in {len(paths)} files"


def _check_c4(folder: Path | None) -> None:
    """Says what of C4 and T5's vocabulary is in a folder.

    Raises:
      UserError: something is missing or wrong.
    """
    from spactor.data import c4

    print(
        "C4, English\n\nRaffel et al. (2020), Exploring the limits of transfer learning. Described "
        "by TensorFlow Datasets, data set 'c4/en',\nand by the Allen Institute for AI, data set "
        "'allenai/c4'.\n\n"
        f"{c4.FOLDER}/{' or '.join(c4.VERSIONS)}/: as TensorFlow Datasets prepares it, either "
        f"engine; or\n{c4.FOLDER}/c4-train.NNNNN-of-01024.json.gz and "
        "c4-validation.NNNNN-of-00008.json.gz: --engine local, from the first on\nas many as a "
        "profile needs, 150 M tokens each.\n"
        "sentencepiece.model: T5's vocabulary, 32,000 pieces (cc_all.32000)."
    )
    if folder is None:
        return
    release = c4.find(folder)
    print()
    for split, count in release.counts.items():
        there = sum(release.file(split, number).is_file() for number in range(count))
        print(f"{split}: {there:,} of {count:,} files in {release.home}")
    pieces = c4.vocabulary_pieces(folder)
    print(f"vocabulary: {pieces:,} pieces")


def _text(benchmark: Benchmark, parts: Sequence[Part]) -> str:
    head = ("task", "split", "rows", "in the data folder", "state")
    table = [(part.task, part.split, f"{part.rows:,}", part.place, part.state) for part in parts]
    widths = [max(map(len, column)) for column in zip(head, *table, strict=True)]
    lines = [benchmark.title, ""]
    for release in dict.fromkeys(task.release for task in benchmark.tasks):
        lines.append(f"{release.citation}. Described by {release.described}.")
    lines.append("")
    for row in (head, *table):
        cells = (
            cell.rjust(width) if index == 2 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    # A data set holds several splits, a fault is said once.
    if faults := list(dict.fromkeys(part.fault for part in parts if part.fault)):
        lines += ["", *faults]
    return "\n".join(lines)
