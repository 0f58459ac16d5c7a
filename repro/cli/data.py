"""Commands about data: the embedded suites, and the files of C4 and the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import Profile, Runs, app, local_path
from spactor import text_table
from spactor.errors import UserError

if TYPE_CHECKING:
    from spactor.data.checking import Part
    from spactor.data.suites import Suite

data = typer.Typer(name="data", help="Describe or check the data.", no_args_is_help=True)
app.add_typer(data)


@data.command()
def describe(profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS) -> None:
    """Prints sizes and label balance of the embedded suites; prepares them if necessary."""
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
    cache = folders.cache_folder(runs)
    engine = engine_for(chosen, cache)
    folders.open_runs(runs, create=True)
    folder = engine.prepare(chosen, cache, lambda line: print(line, file=sys.stderr)).folder
    print(describing.describe(folder))


@data.command()
def check(
    suite: Annotated[
        str, typer.Argument(help="c4, or glue, superglue, squad, cnndm, rainbow, mmlu or bbh.")
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            parser=local_path,
            metavar="PATH",
            envvar="SPACTOR_DATA_DIR",
            help="Your folder with the data; without it, the needed files are listed.",
        ),
    ] = None,
) -> None:
    """Lists the files of C4 or a benchmark, which are in a folder, and where to find them.

    Fetches nothing.
    """
    from spactor.data import checking
    from spactor.data.suites import suite_named

    if suite == "c4":
        _check_c4(data_dir)
        return
    benchmark = suite_named(suite, "c4")
    parts = checking.check(benchmark, data_dir)
    print(_text(benchmark, parts))
    if not benchmark.has_training_data:
        print(f"\n{_instructions(data_dir)}")
    if faults := [part for part in parts if part.fault]:
        raise UserError(
            f"{len(faults)} of {len(parts)} parts of {suite} are missing or wrong in {data_dir}: "
            "correct what is listed and check again"
        )


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


def _check_c4(folder: Path | None) -> None:
    """Prints the files of C4 and T5's vocabulary, and how many a folder holds.

    Raises:
      UserError: a file is missing or damaged.
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
        present = sum(release.file(split, number).is_file() for number in range(count))
        print(f"{split}: {present:,} of {count:,} files in {release.home}")
    _, vocabulary = c4.vocabulary_model(folder)
    print(f"vocabulary: {vocabulary.sentencepiece_size:,} pieces")


def _text(benchmark: Suite, parts: Sequence[Part]) -> str:
    """Formats a benchmark's releases, the state of its parts, and their faults."""
    head = ("task", "split", "rows", "in the data folder", "state")
    table = [(part.task, part.split, f"{part.rows:,}", part.place, part.state) for part in parts]
    lines = [benchmark.title, ""]
    for release in dict.fromkeys(task.release for task in benchmark.released_tasks):
        lines.append(f"{release.citation}. Described by {release.described}.")
    lines += ["", *text_table.align([head, *table], right=[2])]
    # A data set holds several splits, so a fault may repeat.
    if faults := list(dict.fromkeys(part.fault for part in parts if part.fault)):
        lines += ["", *faults]
    return "\n".join(lines)
