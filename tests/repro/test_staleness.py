"""Changes that make nodes stale, changes that make none stale, and the answers of `why`."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import spactor
from repro import code_digests, folders, identity, why
from repro.plan import Finetuning, Tree, build
from repro.progress import Display
from repro.runner import Runner
from repro.specs import Profile
from spactor import provenance
from spactor.errors import UserError

FIRST = "base/s0/hybrid/0-250K"
BRANCH = "base/s0/tau250K/250K-500K"
LEAF = "base/s0/tau250K/500K/finetune-glue/f0"


@dataclass
class World:
    """A finished tree, and everything it was made from, to be changed."""

    profile: Profile
    runs: Path
    code: Path
    engine: object
    versions: dict[str, str]

    @property
    def tree(self) -> Tree:
        return build(self.profile)

    def edit(self, module: str, change: Callable[[str], str]) -> None:
        path = self.code / f"{module}.py"
        text = path.read_text("utf-8")
        assert change(text) != text
        path.write_text(change(text), "utf-8")

    def configure(self, **settings: object) -> None:
        base = dataclasses.replace(self.profile.sizes["base"], **settings)
        self.set(sizes=types.MappingProxyType({"base": base}))

    def set(self, **settings: object) -> None:
        self.profile = dataclasses.replace(self.profile, **settings)

    def answers(self) -> dict[str, why.Answer]:
        found = why.explain(self.tree, self.runs, self.engine.files, self.tree.nodes)
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
    tiny: Profile,
    tree: Tree,
    runs: Path,
    code: Path,
    engine,
    displays: Callable[[Tree], Display],
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    installed: dict[str, str] = {}
    monkeypatch.setattr(
        identity.provenance,
        "versions",
        lambda names: {name: installed.get(name, "1") for name in names},
    )
    Runner(tree, runs, engine, displays(tree)).run()
    world = World(tiny, runs, code, engine, installed)
    assert world.stale() == set()
    return world


def below(tree: Tree, *tops: str) -> set[str]:
    found = set(tops)
    for name, node in tree.nodes.items():
        if node.parent in found:
            found.add(name)
    return found


def everything(tree: Tree) -> set[str]:
    return set(tree.nodes)


def leaves(tree: Tree) -> set[str]:
    return {node.name for node in tree.finetunings()}


def learn_faster(world: World) -> None:
    glue = dataclasses.replace(world.profile.finetuning["glue"], learning_rate=1e-2)
    world.set(finetuning=types.MappingProxyType({"glue": glue}))


def shorten_baseline(world: World) -> None:
    """As if the baseline's later half had been trained before a library came."""
    path = folders.node_folder(world.runs, "tiny", "base/s0/sc/500K-1M") / folders.NODE
    recorded = folders.read_json(path)
    recorded["inputs"]["versions"]["jax"] = "0"
    old = provenance.fingerprint(recorded["inputs"])
    folders.write_json(path, recorded | {"fingerprint": old})
    for child in world.tree.children("base/s0/sc/500K-1M"):
        path = folders.node_folder(world.runs, "tiny", child.name) / folders.NODE
        recorded = folders.read_json(path)
        recorded["inputs"]["parent"] = old
        folders.write_json(path, recorded)


# Change, nodes it marks, and what is said of the first of them.
MARKS = {
    "batch size": (
        lambda world: world.configure(batch_size=8),
        everything,
        "config.batch_size was 4, is 8",
    ),
    "chunks of validation": (
        lambda world: world.set(validation_chunks=4),
        everything,
        "validation_chunks was 8, is 4",
    ),
    "fine-tuning": (learn_faster, leaves, "config.learning_rate was 0.001, is 0.01"),
    "loss": (
        lambda world: world.edit("objective", lambda text: text + "\nextra = 1\n"),
        everything,
        "the method's code changed: spactor.objective",
    ),
    "code of fine-tuning": (
        lambda world: world.edit("finetuning", lambda text: text + "\nextra = 1\n"),
        leaves,
        "the method's code changed: spactor.finetuning",
    ),
    "code of pre-training": (
        lambda world: world.edit("pretraining", lambda text: text + "\nextra = 1\n"),
        everything,
        "the method's code changed: spactor.pretraining",
    ),
    "tokens": (
        lambda world: world.engine.files.update({"tokens_train.npy": "ff"}),
        everything,
        "the data changed (tokens_train.npy)",
    ),
    "examples": (
        lambda world: world.engine.files.update({"suites/glue/tokens.npy": "ff"}),
        leaves,
        "the data changed (suites/glue/tokens.npy)",
    ),
    "library": (
        lambda world: world.versions.update(jaxlib="2"),
        everything,
        "jaxlib was 1, is 2",
    ),
    "parent": (
        shorten_baseline,
        lambda tree: below(tree, "base/s0/sc/500K-1M"),
        "jax was 0, is 1",
    ),
}


@pytest.mark.parametrize("change", MARKS)
def test_what_can_alter_numbers_marks_exactly_the_nodes_below(
    world: World, engine, displays: Callable[[Tree], Display], change: str
) -> None:
    make, marked, reason = MARKS[change]
    make(world)
    expected = marked(world.tree)
    assert world.stale() == expected
    top = next(name for name in world.tree.nodes if name in expected)
    assert world.answers()[top].reasons == (reason,)
    # What is said is what happens.
    tree = world.tree
    outcome = Runner(tree, world.runs, engine, displays(tree)).run()
    assert set(outcome.ran) == set(outcome.set_aside) == expected
    assert world.stale() == set()


def comment(text: str) -> str:
    return text.replace("\n", "\n# A comment.\n", 1) if text.startswith("#") else "# New.\n" + text


def move(world: World) -> None:
    world.runs = world.runs.rename(world.runs.with_name("elsewhere"))


SPARES = {
    "comment": lambda world: world.edit("objective", comment),
    "log level": lambda world: logging.getLogger("spactor").setLevel(logging.DEBUG),
    "module that trains nothing": lambda world: world.edit(
        "huggingface", lambda text: text + "x=1\n"
    ),
    "code of scoring": lambda world: world.edit("scoring", lambda text: text + "x=1\n"),
    "library that scores": lambda world: world.versions.update(tensorflow="2"),
    "file that is not read": lambda world: world.engine.files.update({"README": "ff"}),
    "path": move,
    "devices": lambda world: setattr(world.engine, "device", lambda: "8 × other"),
    "saving": lambda world: world.set(checkpoint_period_steps=10),
    "purpose": lambda world: world.set(purpose="other"),
}


@pytest.mark.parametrize("change", SPARES)
def test_what_can_alter_no_number_marks_none(
    world: World, engine, displays: Callable[[Tree], Display], change: str
) -> None:
    SPARES[change](world)
    assert {answer.verdict for answer in world.answers().values()} == {"finished"}
    tree = world.tree
    assert Runner(tree, world.runs, engine, displays(tree)).run().ran == ()


def test_why_follows_a_change_up_to_where_it_was_made(world: World) -> None:
    world.engine.files["tokens_train.npy"] = "ff"
    assert " ".join(world.answers()[LEAF].text().split()) == (
        f"{LEAF}: stale; the next run sets it aside and trains it again, because "
        f"- its parent {BRANCH} changed: the data changed (tokens_train.npy); "
        f"its parent {FIRST} changed: the data changed (tokens_train.npy)"
    )


def test_why_finds_a_parent_that_was_set_aside_since(
    world: World, engine, displays: Callable[[Tree], Display]
) -> None:
    world.configure(batch_size=8)
    Runner(world.tree, world.runs, engine, displays(world.tree)).run([FIRST])
    reasons = world.answers()[BRANCH].reasons
    assert reasons == (
        "config.batch_size was 4, is 8",
        f"its parent {FIRST} changed: config.batch_size was 4, is 8",
    )
    shutil.rmtree(world.runs / "tiny" / "stale")
    last = world.answers()[BRANCH].reasons[-1]
    assert last == f"its parent {FIRST} is not the run it started from"


def test_why_of_nodes_that_are_not_finished(world: World) -> None:
    shutil.rmtree(folders.node_folder(world.runs, "tiny", LEAF))
    home = folders.node_folder(world.runs, "tiny", BRANCH)
    (home / folders.DONE).unlink()
    answers = world.answers()
    assert answers[BRANCH].verdict == "begun; the next run goes on with it"
    assert answers[LEAF].verdict == "the next run trains it"
    assert answers[LEAF].reasons == (
        f"there is no {folders.node_folder(world.runs, 'tiny', LEAF) / folders.NODE}",
        f"first runs its parent {BRANCH}",
    )
    (home / folders.NODE).unlink()
    assert world.answers()[BRANCH].reasons == ("its node.json is gone",)


def test_why_says_what_is_to_be_scored_again(
    world: World, engine, displays: Callable[[Tree], Display]
) -> None:
    engine.scores = engine.predicts = True
    shutil.rmtree(folders.node_folder(world.runs, "tiny", LEAF))
    Runner(world.tree, world.runs, engine, displays(world.tree)).run()
    assert world.answers()[LEAF].verdict == "finished"
    world.versions["tensorflow"] = "2"
    answer = world.answers()[LEAF]
    assert answer.verdict == "finished; its predictions are to be scored"
    assert answer.reasons == ("tensorflow was 1, is 2",)


def change_code(world: World) -> None:
    world.edit("objective", lambda text: text + "\nextra = 1\n")


def change_data(world: World) -> None:
    world.engine.damaged.append("tokens_train.npy")


def change_library(world: World) -> None:
    world.versions["jax"] = "2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_code, "the method's code changed: spactor.objective"),
        (change_data, "tokens_train.npy has changed"),
        (change_library, "jax was 1, is 2"),
    ],
)
def test_what_changed_on_disk_while_a_node_trained_does_not_count(
    world: World, engine, displays: Callable[[Tree], Display], change, said: str
) -> None:
    shutil.rmtree(folders.node_folder(world.runs, "tiny", BRANCH))
    engine.before = lambda name: change(world)
    ran = len(engine.ran)
    with pytest.raises(UserError) as caught:
        Runner(world.tree, world.runs, engine, displays(world.tree)).run()
    kept = next((world.runs / "tiny" / "stale").rglob(folders.NODE)).parent
    assert str(caught.value) == (
        f"{BRANCH} does not count: while it ran, {said}; it was moved to {kept}; "
        "run the same command again"
    )
    assert engine.ran[ran:] == [BRANCH], "nothing runs on code or data that nobody recorded"
    assert not (kept / folders.DONE).exists()
    assert not folders.node_folder(world.runs, "tiny", BRANCH).exists()


def test_a_comment_while_a_node_trains_is_no_change(
    world: World, engine, displays: Callable[[Tree], Display]
) -> None:
    shutil.rmtree(folders.node_folder(world.runs, "tiny", BRANCH))
    engine.before = lambda name: world.edit("objective", comment)
    outcome = Runner(world.tree, world.runs, engine, displays(world.tree)).run()
    assert outcome.ran == (BRANCH,)


def test_a_node_is_not_begun_on_code_changed_since_the_command_began(
    world: World, engine, displays: Callable[[Tree], Display], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while it waited for another process's node."""
    shutil.rmtree(folders.node_folder(world.runs, "tiny", LEAF))
    runner = Runner(world.tree, world.runs, engine, displays(world.tree))
    prepare = runner._prepare

    def then_edited():
        prepared = prepare()
        change_code(world)
        return prepared

    monkeypatch.setattr(runner, "_prepare", then_edited)
    ran = len(engine.ran)
    with pytest.raises(UserError, match=f"{LEAF} was not begun: since this command began, the met"):
        runner.run()
    assert len(engine.ran) == ran


def test_files_that_nodes_recorded_stand_in_for_data_that_is_not_prepared(world: World) -> None:
    files = why.recorded_files(world.tree, world.runs)
    assert files == {"tokens_train.npy": "1f", "suites/glue/tokens.npy": "2e"}
    found = why.explain(world.tree, world.runs, files, [FIRST, LEAF])
    assert [answer.verdict for answer in found] == ["finished", "finished"]
    assert isinstance(world.tree.nodes[LEAF], Finetuning)
