"""Training micro's Base on made-up text; as a program, to be timed from its start.

``python tests/benchmarks/resuming.py FOLDER`` goes on from the checkpoint in FOLDER, makes one step
and prints, as JSON, what of its time was compilation.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from repro.specs import load_profile
from spactor import step, trainer
from spactor.checkpoints import Checkpoints
from spactor.data.arrays import TokenArrays, train_batch
from spactor.data.digest import batch_digest
from spactor.data.vocabulary import VocabularyFacts

PROFILE = load_profile("micro")
CONFIG = PROFILE.sizes["base"]
_SPECIAL_ROWS = 101
VOCABULARY = VocabularyFacts.of_pieces(CONFIG.model.vocab_size - _SPECIAL_ROWS)


def arrays() -> TokenArrays:
    """A million made-up tokens."""
    tokens = np.random.default_rng(0).integers(3, 1000, 1_000_000).astype(np.int32)
    return TokenArrays(tokens, tokens, VOCABULARY, "made-up", 6.9, 0.001)


def fit(folder: Path, checkpoints: Checkpoints, *, end_step: int) -> None:
    """Trains to a step, logging and saving as micro does; validation left out."""
    made = arrays()
    task = trainer.Task(
        seed=0,
        initial_state=lambda: step.init_state(CONFIG, 0, "hybrid"),
        train_step=step.build_train_step(CONFIG, VOCABULARY, "hybrid"),
        batch_at=lambda at: train_batch(
            made,
            seed=0,
            step=at,
            batch_size=CONFIG.batch_size,
            chunk_tokens=CONFIG.lengths.chunk_tokens,
        ),
        evaluate=lambda state, at: {},
        digests=lambda at, batch: {"batch": batch_digest(batch)},
        batch_size=CONFIG.batch_size,
        schedule=trainer.Schedule(
            start_step=0,
            end_step=end_step,
            log_period_steps=PROFILE.log_period_steps,
            evaluation_period_steps=PROFILE.log_period_steps,
            checkpoint_period_steps=PROFILE.checkpoint_period_steps,
        ),
    )
    trainer.fit(task=task, checkpoints=checkpoints, folder=folder, observer=lambda *_: None)


def main() -> None:
    folder = Path(sys.argv[1])
    compiling: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            compiling.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    with closing(Checkpoints(folder, CONFIG, "hybrid")) as checkpoints:
        begun = checkpoints.newest()
        assert begun is not None
        batch = train_batch(
            arrays(),
            seed=0,
            step=begun.step,
            batch_size=CONFIG.batch_size,
            chunk_tokens=CONFIG.lengths.chunk_tokens,
        )
        update = step.build_train_step(CONFIG, VOCABULARY, "hybrid")
        jax.block_until_ready(update(begun.state, jnp.asarray(batch), jnp.asarray(0)))
    print(json.dumps({"compiling_seconds": sum(compiling)}))


if __name__ == "__main__":
    main()
