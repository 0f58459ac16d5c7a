"""Damaged, missing and foreign data: one line with file and row."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import made_up
import pytest
from blocked import run_blocked
from commands import run

from spactor.data import checking, host_tensorflow, suite_registry, suites
from spactor.data.readers import instructions, tfds_folder
from spactor.data.suites import BENCHMARKS, FileTask, Suite, T5Task
from spactor.errors import UserError

FILE_TASKS = [
    (suite, task)
    for suite in map(made_up.shrunk, BENCHMARKS.values())
    for task in suite.tasks
    if isinstance(task, FileTask)
]


def named(name: str) -> FileTask:
    return next(task for _, task in FILE_TASKS if task.name == name)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A data folder with the made-up files of Rainbow, MMLU and BBH."""
    for suite, task in FILE_TASKS:
        for files in task.files.values():
            paths = [tmp_path / file for file in files]
            made_up.write_files(paths, made_up.CASES[suite.name, task.name].rows)
    return tmp_path


@pytest.mark.parametrize("suite", ["rainbow", "mmlu", "bbh"])
def test_every_file_is_missed_by_name_and_row_count(suite: str, rows: Path) -> None:
    for task in (task for each, task in FILE_TASKS if each.name == suite):
        for split, files in task.files.items():
            assert len(task.examples(rows, split)) == task.rows[split]
            for file in files:
                path = rows / file
                whole = path.read_bytes()
                path.unlink()
                with pytest.raises(UserError) as caught:
                    task.examples(rows, split)
                assert str(caught.value).startswith(f"{path} is missing: ")
                path.write_bytes(whole)
            first = rows / files[0]
            examples = made_up.CASES[suite, task.name].rows
            made_up.write_files([rows / file for file in files], [*examples, examples[0]])
            with pytest.raises(UserError, match=f"^{first}: 3 rows, and the release has 2: take"):
                task.examples(rows, split)


@pytest.mark.parametrize(
    ("task", "file", "old", "new", "message"),
    [
        ("piqa", "train.jsonl", '{"goal"', '{"goal', "row 1: damaged, no JSON"),
        ("piqa", "train.jsonl", '"sol2"', '"sol3"', "row 1: no field 'sol2', it has goal, sol1, "),
        ("piqa", "train.jsonl", '"use a knife"', "3", "row 1: field 'sol1' holds 3, no text"),
        ("piqa", "train-labels.lst", "1\n", "2\n", "row 2: the answer is '2', none of 0, 1"),
        ("piqa", "train-labels.lst", "1\n", "", "1 rows, and train.jsonl has 2: take both"),
        ("winogrande", "train_xl.jsonl", '"2"', '"3"', "row 1: the answer is '3', none of 1, 2"),
        ("winogrande", "train_xl.jsonl", '"answer"', '"a"', "row 1: no field 'answer', it has qID"),
        ("hellaswag", "hellaswag_train.jsonl", '": 2', '": true', "row 1: the answer is True, "),
        ("hellaswag", "hellaswag_train.jsonl", '"sings.", ', "", "row 1: no list of four 'endings"),
        ("hellaswag", "hellaswag_train.jsonl", '"sings."', "7", "field 'endings 0' holds 7, no te"),
        ("cosmosqa", "train.csv", "answer3", "answer4", "no column 'answer3', it has id"),
        ("cosmosqa", "train.csv", ",label", "", "no column 'label', it has id, context"),
        ("cosmosqa", "train.csv", ",to fly,", ",", "row 1: 7 fields, it should have 8"),
        ("cosmosqa", "train.csv", "choices .,3", "choices .,4", "row 2: the answer is '4', none "),
        ("cosmosqa", "train.csv", '"Ada', '"A"da', "row 1: damaged, no CSV"),
        ("anatomy", "anatomy_val.csv", "heat,A", "heat,E", "row 1: the answer is 'E', none of A, "),
        ("anatomy", "anatomy_val.csv", "3,4,D", "3,4", "row 2: 5 fields, it should have 6"),
        ("anatomy", "anatomy_val.csv", "Which is 4?", "", "row 2: no question"),
        ("navigate", "navigate.json", '"No"', '"Nope"', "row 1: the answer is 'Nope', none of its"),
        ("hyperbaton", "hyperbaton.json", '"(B)"', '"(C)"', "none of its choices ((A), (B))"),
        ("word_sorting", "word_sorting.json", '"] ]"', '" "', "row 1: no answer"),
        ("navigate", "navigate.json", '"target"', '"answer"', "row 1: no field 'target', it has "),
        ("navigate", "navigate.json", '"examples"', '"items"', "no list named 'examples'"),
        ("navigate", "navigate.json", "{", "", "line 1: damaged, no JSON"),
        ("navigate", "navigate.json", '[{"', '["x", {"', "row 1: damaged, no JSON object"),
    ],
)
def test_faults(rows: Path, task: str, file: str, old: str, new: str, message: str) -> None:
    split, files = next(iter(named(task).files.items()))
    (path,) = (rows / name for name in files if name.endswith(f"/{file}"))
    replace(path, old, new)
    with pytest.raises(UserError) as caught:
        named(task).examples(rows, split)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_answer_that_a_comma_cut_into_options(rows: Path) -> None:
    path = rows / "bbh/ruin_names.json"
    item = {"input": "Which?\nOptions:\n(A) salt\n(B) pepper\n(C) rye", "target": "salt, pepper"}
    path.write_text(json.dumps({"examples": [item, {**item, "target": "(C)"}]}))
    found = named("ruin_names").examples(rows, "validation")
    assert [example.targets for example in found] == ["salt, pepper", "(C)"]
    path.write_text(json.dumps({"examples": [{**item, "target": "salt, rye"}] * 2}))
    with pytest.raises(UserError, match=r"none of its choices \(\(A\), \(B\), \(C\)\)"):
        named("ruin_names").examples(rows, "validation")


def test_text_that_is_not_plain(rows: Path) -> None:
    path = rows / "rainbow/piqa/train.jsonl"
    # A line separator inside a text ends no row; carriage returns and a missing last newline do
    # no harm.
    text = path.read_text().replace("slice bread", "slice\u2028bread")
    path.write_bytes(text.replace("\n", "\r\n").rstrip().encode())
    assert len(named("piqa").examples(rows, "train")) == 2
    replace(path, "use a knife", "")
    assert "<sol1></sol1>" in named("piqa").examples(rows, "train")[0].inputs
    path.write_bytes(b'{"goal": "a"}\n\xff\n')
    with pytest.raises(UserError, match=r"train\.jsonl, row 2: not UTF-8: take the file"):
        named("piqa").examples(rows, "train")
    subject = rows / "mmlu/val/anatomy_val.csv"
    replace(subject, "dough", "dough\u2028rye")
    assert len(named("anatomy").examples(rows, "validation")) == 2


def test_registering_without_the_files(rows: Path) -> None:
    path = rows / "mmlu/val/virology_val.csv"
    path.unlink()
    vocabulary = host_tensorflow.seqio().ByteVocabulary()
    with pytest.raises(UserError, match=f"^{path} is missing"):
        suite_registry.register_released(made_up.shrunk(BENCHMARKS["mmlu"]), rows, vocabulary)
    with pytest.raises(UserError, match=r"glue/cola is missing in version 1\.0\.0 or 2\.0\.0"):
        suite_registry.register_released(made_up.shrunk(BENCHMARKS["glue"]), rows, vocabulary)


def test_faults_of_prepared_data_sets(data_folder: Path, tmp_path: Path) -> None:
    task = made_up.shrunk(BENCHMARKS["glue"]).tasks[0]
    assert isinstance(task, T5Task)
    newer, older = (tmp_path / "glue/cola" / version for version in ("2.0.0", "1.0.0"))
    shutil.copytree(data_folder / "glue/cola/2.0.0", newer)
    assert tfds_folder.check(tmp_path, task) == "2.0.0"
    shutil.copytree(newer, older)
    assert tfds_folder.check(tmp_path, task) == "1.0.0", "T5's own goes first"
    next(older.glob("*-train.*")).unlink()
    with pytest.raises(UserError, match="split train has 0 of 1 files: prepare the data set again"):
        tfds_folder.check(tmp_path, task)
    shutil.copytree(newer, older, dirs_exist_ok=True)
    (older / "features.json").unlink()
    with pytest.raises(UserError, match=r"features\.json is missing"):
        tfds_folder.check(tmp_path, task)
    shutil.copytree(newer, older, dirs_exist_ok=True)
    replace(older / "dataset_info.json", '"4"', '"5"')
    with pytest.raises(UserError, match="has 5 rows, and the release has 4: prepare"):
        tfds_folder.check(tmp_path, task)
    (older / "dataset_info.json").write_text("{}")
    with pytest.raises(UserError, match=r"dataset_info\.json: damaged \(KeyError\('splits'\)\)"):
        tfds_folder.check(tmp_path, task)


@pytest.mark.parametrize("suite", BENCHMARKS.values(), ids=BENCHMARKS)
def test_the_check(suite: Suite, data_folder: Path) -> None:
    small = made_up.shrunk(suite)
    unseen = checking.check(suite, None)
    assert {part.state for part in unseen} == {""}
    seen = checking.check(small, data_folder)
    assert {(part.state, part.fault) for part in seen} == {("there", "")}
    # A release's own counts are not those of the made-up rows.
    wrong = checking.check(suite, data_folder)
    assert {part.state for part in wrong} == {"wrong"}
    assert [part[:2] for part in map(astuple, wrong)] == [part[:2] for part in map(astuple, unseen)]


def astuple(part: checking.Part) -> tuple[str, str, int]:
    return part.task, part.split, part.rows


@pytest.mark.parametrize("suite", BENCHMARKS)
def test_the_command_lists_what_is_needed(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "data", "check", suite)
    out = " ".join(out.split())
    assert (code, err) == (0, "")
    for task in BENCHMARKS[suite].released_tasks:
        assert task.name in out
        assert task.release.citation in out and task.release.described in out
    for part in checking.check(BENCHMARKS[suite], None):
        assert part.place in out and f"{part.rows:,}" in out
    assert "there" not in out and "missing" not in out and "wrong" not in out


def test_the_command_lists_what_is_missing(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        vars(suites), "BENCHMARKS", {"rainbow": made_up.shrunk(BENCHMARKS["rainbow"])}
    )

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it used the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    code, out, err = run(capsys, "data", "check", "rainbow", "--data-dir", str(rows))
    assert (code, err) == (0, "") and out.count(" there\n") == 12
    (rows / "rainbow/piqa/valid.jsonl").unlink()
    replace(rows / "rainbow/socialiqa/dev-labels.lst", "2\n", "4\n")
    code, out, err = run(capsys, "data", "check", "rainbow", "--data-dir", str(rows))
    assert code == 2 and err.count("\n") == 1
    assert "2 of 12 parts of rainbow are missing or wrong" in err
    unwrapped = " ".join(out.split())
    assert f"{rows}/rainbow/piqa/valid.jsonl is missing: put the release's file there" in unwrapped
    assert "dev-labels.lst, row 1: the answer is '4', none of 1, 2, 3" in unwrapped
    assert out.count(" there\n") == 10
    assert out.count(" missing\n") == out.count(" wrong\n") == 1


@pytest.mark.parametrize("suite", ["mmlu", "bbh"])
def test_the_command_refuses_a_mixture_too_small(
    suite: str, rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(suites), "BENCHMARKS", {suite: made_up.shrunk(BENCHMARKS[suite])})
    mixture = rows / instructions.PATTERN.replace("*", "a")
    mixture.parent.mkdir()
    line = '{"inputs": "Is it rye?", "targets": "no"}\n'
    for content, fault in (
        ("", ": 0 rows: give it lines with inputs and targets, or remove it"),
        (7 * line, ": 7 rows, and fine-tuning needs at least 8: add lines with inputs and targets"),
        (8 * line + '{"inputs": "a"}\n', ", row 9: no field 'targets', it has inputs: take the"),
    ):
        mixture.write_text(content)
        code, out, err = run(capsys, "data", "check", suite, "--data-dir", str(rows))
        assert code == 2 and err.startswith(f"repro: {mixture}{fault}") and " there\n" in out
    mixture.write_text(instructions.LEAST_ROWS * line)
    code, out, err = run(capsys, "data", "check", suite, "--data-dir", str(rows))
    assert (code, err) == (0, "") and " ".join(out.split()).endswith(": 8 examples in 1 files")


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "data", "check", "qlue")
    assert (code, out) == (2, "") and "unknown suite 'qlue'" in err
    code, out, err = run(capsys, "data", "check", "glue", "--data-dir", "nowhere")
    assert (code, out) == (2, "") and "--data-dir nowhere: no such folder" in err


def test_the_check_needs_no_tensorflow(tmp_path: Path) -> None:
    command = ("data", "check", "glue", "--data-dir", tmp_path)
    done = run_blocked("from repro.cli import main; main(sys.argv[1:])", *command)
    assert done.returncode == 2 and "parts of glue are missing" in done.stderr
