"""Changes that make nodes stale, changes that make none stale, and what `repro status` prints."""

from __future__ import annotations

import dataclasses
import shutil
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from untrained import BASELINE, BRANCH, FIRST, LEAF, FakeEngine, World, make_display

import spactor
from repro import code_digests, folders, identity, status
from repro.plan import Tree
from repro.runner import Runner
from repro.specs import Profile
from spactor import provenance
from spactor.errors import UserError

TOKENS, EXAMPLES = "tokens_train.npy", "suites/glue/tokens.npy"
QUESTIONS = "suites/glue/order/x.jsonl"


@dataclass
class Changing(World):
    """A finished tree, and everything it was made from, to be changed."""

    code: Path = Path()
    versions: dict[str, str] = field(default_factory=dict)

    def edit(self, module: str, change: Callable[[str], str]) -> None:
        path = self.code / f"{module}.py"
        text = path.read_text("utf-8")
        assert change(text) != text
        path.write_text(change(text), "utf-8")

    def change_code(self, module: str) -> None:
        self.edit(module, lambda text: text + "\nextra = 1\n")

    def change_file(self, name: str) -> None:
        self.engine.files[name] = "ff"

    def configure(self, **settings: object) -> None:
        base = dataclasses.replace(self.profile.sizes["base"], **settings)
        self.set(sizes=types.MappingProxyType({"base": base}))

    def set(self, **settings: object) -> None:
        self.profile = dataclasses.replace(self.profile, **settings)

    def remove(self, name: str) -> None:
        shutil.rmtree(self.folder(name))

    def answers(self) -> dict[str, status.Answer]:
        found = status.explain(self.tree, self.runs, self.engine.files, self.tree.nodes)
        return {answer.node: answer for answer in found}

    def stale(self) -> set[str]:
        return {name for name, answer in self.answers().items() if "stale" in answer.verdict}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The method's own source, to be edited."""
    root = tmp_path / "code"
    shutil.copytree(
        Path(spactor.__file__).parent, root / "spactor", ignore=shutil.ignore_patterns("*.pyc")
    )
    monkeypatch.setattr(code_digests, "ROOT", root)
    return root / "spactor"


@pytest.fixture
def world(
    tiny: Profile, runs: Path, code: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> Changing:
    installed: dict[str, str] = {}
    monkeypatch.setattr(
        identity.provenance,
        "versions",
        lambda names: {name: installed.get(name, "1") for name in names},
    )
    world = Changing(tiny, runs, engine, code=code, versions=installed)
    world.run()
    assert world.stale() == set()
    return world


def below_baseline(tree: Tree) -> set[str]:
    return {BASELINE, *(child.name for child in tree.children(BASELINE))}


def everything(tree: Tree) -> set[str]:
    return set(tree.nodes)


def leaves(tree: Tree) -> set[str]:
    return {node.name for node in tree.finetunings()}


def learn_faster(world: Changing) -> None:
    glue = dataclasses.replace(world.profile.finetuning["glue"], learning_rate=1e-2)
    world.set(finetuning=types.MappingProxyType({"glue": glue}))


def train_baseline_before(world: Changing) -> None:
    """As if the baseline's later half had been trained with an older library."""
    path = world.folder(BASELINE) / folders.NODE
    recorded = folders.read_json(path)
    recorded["inputs"]["versions"]["jax"] = "0"
    old = provenance.fingerprint(recorded["inputs"])
    folders.write_json(path, recorded | {"fingerprint": old})
    for child in world.tree.children(BASELINE):
        path = world.folder(child.name) / folders.NODE
        recorded = folders.read_json(path)
        recorded["inputs"]["parent"] = old
        folders.write_json(path, recorded)


# Change, nodes that it makes stale, and what the reason of the first of them must name.
MARKS = {
    "batch size": (lambda world: world.configure(batch_size=8), everything, "batch_size was 4"),
    "validation": (lambda world: world.set(validation_chunks=4), everything, "_chunks was 8, is 4"),
    "fine-tuning": (learn_faster, leaves, "config.learning_rate was 0.001, is 0.01"),
    "loss": (lambda world: world.change_code("objective"), everything, "spactor.objective"),
    "code of fine-tuning": (lambda world: world.change_code("finetuning"), leaves, "finetuning"),
    "code of pre-training": (
        *(lambda world: world.change_code("pretraining"), everything, "spactor.pretraining"),
    ),
    "tokens": (lambda world: world.change_file(TOKENS), everything, f"({TOKENS})"),
    "examples": (lambda world: world.change_file(EXAMPLES), leaves, f"({EXAMPLES})"),
    "library": (lambda world: world.versions.update(jaxlib="2"), everything, "jaxlib was 1, is 2"),
    "parent": (train_baseline_before, below_baseline, "jax was 0, is 1"),
}


@pytest.mark.parametrize("change", MARKS)
def test_what_can_alter_numbers_marks_exactly_the_nodes_below(world: Changing, change: str) -> None:
    make, marked, named = MARKS[change]
    make(world)
    expected = marked(world.tree)
    assert world.stale() == expected
    top = next(name for name in world.tree.nodes if name in expected)
    (reason,) = world.answers()[top].reasons
    assert named in reason
    outcome = world.run()
    assert set(outcome.ran) == set(outcome.set_aside) == expected
    assert world.stale() == set()


def comment(text: str) -> str:
    return text.replace("\n", "\n# A comment.\n", 1) if text.startswith("#") else "# New.\n" + text


def move(world: Changing) -> None:
    world.runs = world.runs.rename(world.runs.with_name("elsewhere"))


SPARES = {
    "comment": lambda world: world.edit("objective", comment),
    "module that trains nothing": lambda world: world.change_code("huggingface"),
    "code of scoring": lambda world: world.change_code("scoring"),
    "library that scores": lambda world: world.versions.update(tensorflow="2"),
    "file that is not read": lambda world: world.change_file("README"),
    "path": move,
    "devices": lambda world: setattr(world.engine, "device", lambda: "8 × other"),
    "saving": lambda world: world.set(checkpoint_period_steps=10),
    "purpose": lambda world: world.set(purpose="other"),
}


@pytest.mark.parametrize("change", SPARES)
def test_what_can_alter_no_number_marks_none(world: Changing, change: str) -> None:
    SPARES[change](world)
    assert {answer.verdict for answer in world.answers().values()} == {"finished"}
    assert world.run().ran == ()


def test_a_change_is_followed_up_to_where_it_was_made(world: Changing) -> None:
    world.change_file(TOKENS)
    assert " ".join(world.answers()[LEAF].text().split()) == (
        f"{LEAF}: stale; the next run sets it aside and trains it again, because "
        f"- its parent {BRANCH} changed: the data changed (tokens_train.npy); "
        f"its parent {FIRST} changed: the data changed (tokens_train.npy)"
    )


def test_a_parent_that_was_set_aside_since_is_found(world: Changing) -> None:
    world.configure(batch_size=8)
    world.run(FIRST)
    reasons = world.answers()[BRANCH].reasons
    assert reasons == (
        "config.batch_size was 4, is 8",
        f"its parent {FIRST} changed: config.batch_size was 4, is 8",
    )
    shutil.rmtree(world.runs / "tiny" / "stale")
    last = world.answers()[BRANCH].reasons[-1]
    assert last == f"its parent {FIRST} is not the run it started from"


def test_nodes_that_are_not_finished(world: Changing) -> None:
    world.remove(LEAF)
    home = world.folder(BRANCH)
    (home / folders.DONE).unlink()
    answers = world.answers()
    assert answers[BRANCH].verdict == "begun; the next run continues it"
    assert answers[LEAF].verdict == "the next run trains it"
    assert answers[LEAF].reasons == ("it has not begun", f"its parent {BRANCH} runs first")
    (home / folders.NODE).unlink()
    assert world.answers()[BRANCH].reasons == ("its node.json is gone",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.versions.update(tensorflow="2"), "tensorflow was 1, is 2"),
        (lambda world: world.versions.update(t5="2"), "t5 was 1, is 2"),
        (lambda world: world.change_code("scoring"), "the method's code changed: spactor.scoring"),
        (lambda world: world.change_file(QUESTIONS), f"the data changed ({QUESTIONS})"),
    ],
)
def test_predictions_that_are_to_be_scored_again(
    world: Changing, change: Callable[[Changing], None], reason: str
) -> None:
    world.engine.scores = world.engine.predicts = True
    world.remove(LEAF)
    world.run()
    assert world.answers()[LEAF].verdict == "finished"
    change(world)
    answer = world.answers()[LEAF]
    assert answer.verdict == "finished; its predictions are to be scored"
    assert answer.reasons == (reason,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.change_code("objective"), "spactor.objective"),
        (lambda world: world.engine.damaged.append(TOKENS), f"{TOKENS} has changed"),
        (lambda world: world.versions.update(jax="2"), "jax was 1, is 2"),
    ],
)
def test_a_node_does_not_count_if_something_changed_on_disk_while_it_trained(
    world: Changing, change: Callable[[Changing], None], reason: str
) -> None:
    world.remove(BRANCH)
    world.engine.before = lambda name: change(world)
    ran = len(world.engine.ran)
    with pytest.raises(UserError) as caught:
        world.run()
    moved_to = next((world.runs / "tiny" / "stale").rglob(folders.NODE)).parent
    message = str(caught.value)
    assert all(each in message for each in (BRANCH, "while it ran", reason, str(moved_to)))
    assert world.engine.ran[ran:] == [BRANCH], "nothing runs on code or data that nobody recorded"
    assert not (moved_to / folders.DONE).exists()
    assert not world.folder(BRANCH).exists()


def test_a_comment_while_a_node_trains_is_no_change(world: Changing) -> None:
    world.remove(BRANCH)
    world.engine.before = lambda name: world.edit("objective", comment)
    assert world.run().ran == (BRANCH,)


def test_a_node_is_not_begun_on_code_changed_since_the_command_began(
    world: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while it waited for another process's node."""
    world.remove(LEAF)
    runner = Runner(world.tree, world.runs, world.engine, make_display(world.tree))
    prepare = runner._prepare

    def then_edited():
        prepared = prepare()
        world.change_code("objective")
        return prepared

    monkeypatch.setattr(runner, "_prepare", then_edited)
    ran = len(world.engine.ran)
    with pytest.raises(UserError, match=f"{LEAF} was not begun: since .* command, the met"):
        runner.run()
    assert len(world.engine.ran) == ran


def test_files_that_nodes_recorded_stand_in_for_data_that_is_not_prepared(world: Changing) -> None:
    files = status.recorded_files(world.tree, world.runs)
    assert files == {TOKENS: "1f", EXAMPLES: "2e"}
    found = status.explain(world.tree, world.runs, files, [FIRST, LEAF])
    assert [answer.verdict for answer in found] == ["finished", "finished"]


def test_differences_name_the_input() -> None:
    old = {
        "seed": 0,
        "parent": "a",
        "code": {"spactor.step": "x", "spactor.network": "y", "spactor.old": "z"},
        "versions": {"jax": "1"},
        "config": {"model": {"emb_dim": 32}},
        "data": {},
    }
    new = {
        "seed": 0,
        "parent": "b",
        "code": {"spactor.step": "1", "spactor.network": "y", "spactor.new": "2"},
        "versions": {"jax": "2"},
        "config": {"model": {"emb_dim": 64}},
        "data": {"tokens_train.npy": "1f"},
    }
    assert identity.differences(old, new) == [
        "the method's code changed: spactor.new, spactor.old, spactor.step",
        "config.model.emb_dim was 32, is 64",
        "the data changed (tokens_train.npy)",
        "jax was 1, is 2",
        "its parent changed",
    ]
