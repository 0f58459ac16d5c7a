"""Files of benchmarks as their releases have them, as targets."""

from __future__ import annotations

import json
from pathlib import Path

from target import Target, alone, put, rows


def _json_lines() -> list[bytes]:
    story = dict.fromkeys(("obs1", "obs2", "hyp1", "hyp2"), "Ada baked.") | {"story_id": "s"}
    blank = {"qID": "x", "sentence": "Ada _.", "option1": "a", "option2": "b", "answer": "2"}
    endings = {"ctx": "Ada", "ind": 3, "label": 2, "endings": ["a", "b", "c", "d"]}
    social = {"context": "Ada", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c"}
    goal = {"goal": "slice", "sol1": "a", "sol2": "b"}
    return [rows(row, row) for row in (story, blank, endings, social, goal)]


def _place_rainbow(data: bytes, folder: Path) -> None:
    put(folder / "rows", data)
    put(folder / "answers", b"1\n2\n")


def _read_rainbow(folder: Path) -> None:
    """Every task's rows, from files as its release has them."""
    from spactor.data.benchmarks.rainbow import BENCHMARK
    from spactor.errors import UserError

    for task in BENCHMARK.tasks:
        files = [folder / "rows", folder / "answers"][: len(task.files["validation"])]
        try:
            task.read(*files)
        except UserError as error:
            assert str(error).isprintable()


def _place_answers(data: bytes, folder: Path) -> None:
    put(folder / "rows", _json_lines()[0])
    put(folder / "answers", data)


def _csv_rows() -> list[bytes]:
    return [b'Is it?,a,"b, c",d,e,A\n"Is\nit?",1,2,3,4,D\n']


def _read_mmlu(folder: Path) -> object:
    from spactor.data.benchmarks import mmlu

    return mmlu.read(folder / "rows.csv", subject="anatomy")


def _csv_table() -> list[bytes]:
    head = "id,context,question,answer0,answer1,answer2,answer3,label"
    return [f"{head}\nc,Ada,Why ?,a,b,c,d,0\nd,Bob,How ?,a,b,c,d,3\n".encode()]


def _read_csv_table(folder: Path) -> object:
    from spactor.data.benchmarks import files

    return list(files.csv_table(folder / "rows.csv", ("context", "label")))


def _bbh() -> list[bytes]:
    asked = "Which?\nOptions:\n(A) Ada\n(B) Bob, Cy"
    return [json.dumps({"examples": [{"input": asked, "target": "(A)"}] * 2}).encode()]


def _read_bbh(folder: Path) -> object:
    from spactor.data.benchmarks import bbh

    return bbh.read(folder / "rows.json", name="n", labels=("(A)", "(B)"), instruction="Say.")


def _dataset_info() -> list[bytes]:
    splits = [{"name": "train", "shardLengths": ["8551"]}]
    splits.append({"name": "validation", "shardLengths": ["1043"]})
    return [json.dumps({"name": "glue", "splits": splits}).encode()]


def _place_dataset(data: bytes, folder: Path) -> None:
    home = folder / "glue" / "cola" / "1.0.0"
    put(home / "dataset_info.json", data)
    for name in ("features.json", *(f"x-{s}.tfrecord-0-of-1" for s in ("train", "validation"))):
        put(home / name, b"{}")


def _read_dataset(folder: Path) -> object:
    from spactor.data.benchmarks import tfds_folder
    from spactor.data.benchmarks.glue import BENCHMARK

    return tfds_folder.check(folder, BENCHMARK.tasks[0])


TARGETS: tuple[Target, ...] = (
    Target(
        name="benchmark-json-lines",
        readers=("spactor.data.benchmarks.files.json_lines", "spactor.data.benchmarks.files._text"),
        kind="json lines",
        seeds=_json_lines,
        place=_place_rainbow,
        read=_read_rainbow,
    ),
    Target(
        name="benchmark-answers",
        readers=("spactor.data.benchmarks.files._text",),
        kind="bytes",
        seeds=lambda: [b"1\n2\n"],
        place=_place_answers,
        read=_read_rainbow,
    ),
    Target(
        name="benchmark-csv-rows",
        readers=("spactor.data.benchmarks.files._csv",),
        kind="csv",
        seeds=_csv_rows,
        place=alone("rows.csv"),
        read=_read_mmlu,
    ),
    Target(
        name="benchmark-csv-table",
        readers=("spactor.data.benchmarks.files._csv",),
        kind="csv",
        seeds=_csv_table,
        place=alone("rows.csv"),
        read=_read_csv_table,
    ),
    Target(
        name="benchmark-json",
        readers=("spactor.data.benchmarks.files.json_examples",),
        kind="json",
        seeds=_bbh,
        place=alone("rows.json"),
        read=_read_bbh,
    ),
    Target(
        name="benchmark-dataset-info",
        readers=("spactor.data.benchmarks.tfds_folder.rows_in",),
        kind="json",
        seeds=_dataset_info,
        place=_place_dataset,
        read=_read_dataset,
    ),
)
