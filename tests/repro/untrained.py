"""A tiny profile and an engine that trains nothing, for the runner and the collector."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

from analysis.schema.facts import Tau
from repro import folders, plan
from repro.engines.data import PreparedData
from repro.matrix import SizeMatrix
from repro.plan import Finetuning, Node
from repro.progress import Display
from repro.specs import Profile, load_profile
from spactor import predictions


@dataclasses.dataclass(frozen=True, kw_only=True)
class FakeData(PreparedData):
    """Files that lie nowhere."""

    damaged: list[str]

    def damage(self, names: Iterable[str]) -> str | None:
        return next((f"{name} has changed" for name in names if name in self.damaged), None)


class FakeEngine:
    """Writes the files a trainer would, with values that tell where they come from."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.run_id = "started once"
        self.before: Callable[[str], object] = str
        self.files: dict[str, str] = {
            "tokens_train.npy": "1f",
            "suites/glue/tokens.npy": "2e",
            "suites/glue/pair/x.jsonl": "3d",
        }
        self.scores = False
        self.predicts = False
        self.damaged: list[str] = []
        self.scored: list[tuple[str, int]] = []

    def prepare(self, profile: Profile, cache: Path, report: Callable[[str], None]) -> PreparedData:
        manifest = {
            "fingerprint": "ab",
            "files": self.files,
            "unigram_entropy_nats": 5.5,
            "most_frequent_token_rate": 0.04,
        }
        return FakeData(folder=cache / "corpus-ab", manifest=manifest, damaged=self.damaged)

    def barrier(self, report: Callable[[str], None]) -> str:
        return self.run_id

    def device(self) -> str:
        return "1 × fake"

    def metric_versions(self, node: Node) -> Mapping[str, object]:
        return {}

    def run(
        self,
        profile: Profile,
        node: Node,
        *,
        data: PreparedData,
        folder: Path,
        parent: Path | None,
        observer: Callable[..., None],
    ) -> None:
        assert parent is None or (parent / folders.DONE).is_file()
        self.before(node.name)
        self.ran.append(node.name)
        if isinstance(node, Finetuning):
            run = folders.read_json(folder / folders.NODE)["fingerprint"]
            of = {"run": run, "seed": node.draw_seed}
            _append(
                folder / "digests.jsonl",
                [{"step": step, **of, "batch": f"b{step}"} for step in (2, 4)],
            )
        if isinstance(node, Finetuning) and self.predicts:
            for step in (2, 4):
                predictions.write(folder, step, {"pair": np.full((1, 1), step)})
            return
        if isinstance(node, Finetuning):
            home = folder / "inference_eval"
            home.mkdir(exist_ok=True)
            lines = [{"step": step, "accuracy": 50.0 + step} for step in (2, 4)]
            _append(home / "spactor_glue_pair-metrics.jsonl", lines)
            return
        lines, digests = [], []
        run = folders.read_json(folder / folders.NODE)["fingerprint"]
        for step in range(node.start_step + 1, node.end_step + 1):
            if step % 5 == 0 or step == node.end_step:
                lines.append(
                    {
                        "step": step,
                        "train/loss": 100.0 - step,
                        "validation/sc_loss_clean": 10.0 - step / 10,
                        "timing/seqs_per_second": 7.0,
                    }
                )
                read = {"batch": f"b{node.seed}-{step}", "masks": f"m{node.seed}-{step}"}
                digests.append({"step": step, "run": run, "seed": node.seed, **read})
                observer(step, node.end_step, {"train/loss": 100.0 - step}, 7.0)
        _append(folder / "digests.jsonl", digests)
        _append(folder / "metrics.jsonl", lines)

    def take_spent(self) -> dict[str, float]:
        return {}

    def can_score(self) -> bool:
        return self.scores

    def score(self, node: Finetuning, *, data: PreparedData, folder: Path, step: int) -> None:
        self.scored.append((node.name, step))
        home = folder / "inference_eval"
        home.mkdir(exist_ok=True)
        value = float(predictions.read(folder, step)["pair"][0, 0])
        _append(home / "spactor_glue_pair-metrics.jsonl", [{"step": step, "accuracy": value}])


def _append(path: Path, lines: list[dict]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


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


def make_display(tree: plan.Tree) -> Display:
    """Keeps what it prints in ``display.console.file``."""
    console = Console(file=io.StringIO(), width=200)
    return Display(tree, dict.fromkeys(tree.nodes, 1.0), console)
