"""A tiny profile, an engine that trains nothing, and the folders that it leaves."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from analysis.schema.facts import Tau
from repro import collect, folders, plan
from repro.engines.contract import Engine, Work
from repro.engines.data import PreparedData
from repro.matrix import SizeMatrix
from repro.plan import Finetuning, Node, Tree
from repro.progress import Display
from repro.runner import Outcome, Runner
from repro.specs import Profile, load_profile
from spactor import predictions

FIRST = "base/s0/hybrid/0-250K"
BRANCH = "base/s0/tau250K/250K-500K"
LEAF = "base/s0/tau250K/500K/finetune-glue/f0"
BASELINE = "base/s0/sc/500K-1M"
SCORES = "inference_eval/spactor_glue_order-metrics.jsonl"


def tiny_profile() -> Profile:
    """20 steps for the paper's million; τ = 0, 250K and ∞ of Base; one suite."""
    smoke = load_profile("smoke")
    taus = (Tau.parse("0"), Tau.parse("250K"), Tau.parse("inf"))
    row = SizeMatrix(taus=taus, runs=1, checkpoints=(500_000, 1_000_000))
    return dataclasses.replace(
        smoke,
        name="tiny",
        total_steps=20,
        log_period_steps=5,
        validation_period_steps=5,
        checkpoint_period_steps=5,
        suites=("glue",),
        finetuning={"glue": smoke.finetuning["glue"]},
        sizes={"base": smoke.sizes["base"]},
        matrix={"base": row},
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FakeData(PreparedData):
    """Data without files."""

    damaged: list[str]

    def damage(self, names: Iterable[str]) -> str | None:
        return next((f"{name} has changed" for name in names if name in self.damaged), None)


class FakeEngine(Engine):
    """Writes the files that a trainer would, with values computed from the step.

    Attributes:
      before: called with the name of a node that begins to train.
      files: digests of the prepared data.
      damaged: names of files of the prepared data that have changed.
      predicts: whether fine-tuning writes predictions in place of scores.
      scores: whether it can score them.
      ran, scored: nodes trained, and nodes and steps scored, in order.
    """

    def __init__(self, device: str = "1 × fake") -> None:
        super().__init__(Path("cache"))
        self.ran: list[str] = []
        self.run_id = "started once"
        self.before: Callable[[str], object] = str
        self.files: dict[str, str] = {
            "tokens_train.npy": "1f",
            "suites/glue/tokens.npy": "2e",
            "suites/glue/order/x.jsonl": "3d",
        }
        self.scores = False
        self.predicts = False
        self.damaged: list[str] = []
        self.scored: list[tuple[str, int]] = []
        self._device = device

    def check(self, tree: Tree) -> None:
        pass

    def prepare(self, profile: Profile, report: Callable[[str], None]) -> PreparedData:
        manifest = {
            "fingerprint": "ab",
            "files": self.files,
            "unigram_entropy_nats": 5.5,
            "most_frequent_token_rate": 0.04,
        }
        return FakeData(folder=Path("corpus-ab"), manifest=manifest, damaged=self.damaged)

    def barrier(self, report: Callable[[str], None]) -> str:
        return self.run_id

    def device(self) -> str:
        return self._device

    def metric_versions(self, node: Node) -> Mapping[str, object]:
        return {}

    def run(self, work: Work, observer: Callable[..., None]) -> None:
        node, folder = work.node, work.folder
        assert work.parent is None or (work.parent / folders.DONE).is_file()
        self.before(node.name)
        self.ran.append(node.name)
        run = {"run": folders.read_node(folder)["fingerprint"]}
        if isinstance(node, Finetuning):
            run["seed"] = node.draw_seed
            digests = [{"step": step, **run, "batch": f"b{step}"} for step in (2, 4)]
            if self.predicts:
                for step in (2, 4):
                    predictions.write(folder, step, {"order": np.full((1, 1), step)})
            else:
                lines = [{"step": step, "accuracy": 50.0 + step} for step in (2, 4)]
                _append(folder / SCORES, lines)
        else:
            lines, digests = [], []
            for step in range(node.start_step + 1, node.end_step + 1):
                if step % 5 and step != node.end_step:
                    continue
                values = {
                    "train/loss": 100.0 - step,
                    "validation/sc_loss_clean": 10.0 - step / 10,
                    "timing/seqs_per_second": 7.0,
                }
                lines.append({"step": step, **values})
                read = {"batch": f"b{node.seed}-{step}", "masks": f"m{node.seed}-{step}"}
                digests.append({"step": step, **run, "seed": node.seed, **read})
                observer(step, node.end_step, {"train/loss": 100.0 - step}, 7.0)
            _append(folder / "metrics.jsonl", lines)
        _append(folder / "digests.jsonl", digests)

    def restore(self, node: Node, folder: Path) -> None:
        raise NotImplementedError

    def can_score(self) -> bool:
        return self.scores

    def score(self, node: Finetuning, *, data: PreparedData, folder: Path, step: int) -> None:
        self.scored.append((node.name, step))
        value = float(predictions.read(folder, step)["order"][0, 0])
        _append(folder / SCORES, [{"step": step, "accuracy": value}])


def _append(path: Path, lines: list[dict]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def make_display(tree: Tree) -> Display:
    """A display whose lines `printed` returns."""
    console = Console(file=io.StringIO(), width=200)
    return Display(tree, dict.fromkeys(tree.nodes, 1.0), console)


def printed(display: Display) -> list[str]:
    return display._console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def run_nodes(
    tree: Tree, runs: Path, engine: Engine, *names: str, display: Display | None = None
) -> Outcome:
    """Runs nodes of a tree, by default all."""
    return Runner(tree, runs, engine, display or make_display(tree)).run(names)


def folder_of(runs: Path, node: str) -> Path:
    return folders.node_folder(runs, "tiny", node)


@dataclasses.dataclass
class World:
    """A profile, a folder of runs and an engine that trains nothing, each of which may be changed.

    Attributes:
      lines: what the last run printed.
    """

    profile: Profile
    runs: Path
    engine: FakeEngine
    lines: list[str] = dataclasses.field(default_factory=list)

    @property
    def tree(self) -> Tree:
        return plan.build(self.profile)

    def run(self, *names: str) -> Outcome:
        """Runs nodes, by default all."""
        display = make_display(self.tree)
        outcome = run_nodes(self.tree, self.runs, self.engine, *names, display=display)
        self.lines = printed(display)
        return outcome

    def folder(self, node: str) -> Path:
        return folder_of(self.runs, node)

    def collect(self) -> collect.Collected:
        return collect.collect(self.tree, self.runs)

    def collected_bytes(self, folder: Path) -> list[bytes]:
        """The files that `repro collect` writes."""
        return [path.read_bytes() for path in collect.write(self.collect(), folder)]


def lines_of(path: Path) -> list[dict]:
    """The lines of a log."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path: Path, lines: Iterable[dict]) -> None:
    """Writes a log anew."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def edited(path: Path, edit: Callable[[list[dict]], list[dict]]) -> None:
    """Changes the lines of a log."""
    write_lines(path, edit(lines_of(path)))


def rows(frame: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    return frame
