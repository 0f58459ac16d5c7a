"""Twenty Adafactor updates of a few tensors, and T5X's results for them.

``goldens/adafactor.json`` holds what T5X computed. Where T5X is installed it is made again with::

    python tests/spactor/adafactor_trial.py --record
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spactor.config import OptimizerConfig

GOLDENS = Path(__file__).parent / "goldens" / "adafactor.json"
COMMAND = "python tests/spactor/adafactor_trial.py --record"
T5X_COMMIT = "cc342d419ec3e3e9c4bf1df33c82330cafdc1e16"
UPDATES = 20
RECORDED_AFTER = (1, 2, 5, 20)
TOLERANCE = 1e-5
"""Absolute, on values below 8: twenty updates of a few float32 roundings, each at most 2.4e-7."""

CONFIG = OptimizerConfig()
# Factored; too narrow to be factored; a vector; a tensor at zero, whose updates are scaled by the
# smallest size a parameter is taken to have.
SCALES = {
    "matrix": ((130, 140), 1.0),
    "narrow": ((16, 140), 1.0),
    "vector": ((16,), 1.0),
    "zero": ((128, 128), 0.0),
}
RATE_STEPS = (0, 1, 9_999, 10_000, 10_001, 40_000, 262_144, 1_000_000)


def parameters() -> dict[str, np.ndarray]:
    """float32, of NumPy's old generator, whose stream is promised never to change."""
    random = np.random.RandomState(0)
    return {
        name: (scale * random.standard_normal(shape)).astype(np.float32)
        for name, (shape, scale) in SCALES.items()
    }


def gradients() -> Iterator[dict[str, np.ndarray]]:
    """One tree per update; every fifth is fifty times larger, so that updates are clipped."""
    random = np.random.RandomState(1)
    for n in range(UPDATES):
        size = 50.0 if n % 5 == 4 else 1.0
        yield {
            name: (size * random.standard_normal(shape)).astype(np.float32)
            for name, (shape, _) in SCALES.items()
        }


def rate(update: int) -> float:
    """Large and falling, so that twenty updates leave their mark."""
    return 0.3 / float(np.sqrt(1.0 + update))


def probes(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sixteen values spread over each tensor, and the root mean square of all."""
    found = {}
    for name, leaf in tree.items():
        flat = np.asarray(leaf, np.float64).ravel()
        at = np.linspace(0, len(flat) - 1, 16).astype(int)
        found[name] = {
            "values": [float(f"{x:.7g}") for x in flat[at]],
            "rms": float(f"{np.sqrt(np.mean(flat**2)):.7g}"),
        }
    return found


def of_this_project() -> Iterator[dict[str, Any]]:
    """Parameters after every update of ours."""
    import jax

    from spactor import optimizer

    update = jax.jit(optimizer.update, static_argnums=4)
    params: dict[str, Any] = parameters()
    slots = optimizer.init_slots(params, CONFIG)
    for n, grads in enumerate(gradients()):
        params, slots = update(params, grads, slots, rate(n), CONFIG)
        yield params


def of_t5x() -> Iterator[dict[str, Any]]:
    """Parameters after every update of T5X's own Adafactor."""
    import jax.numpy as jnp
    from t5x import adafactor

    optimizer = adafactor.Adafactor(
        learning_rate=1.0,
        decay_rate=0.8,
        step_offset=0,
        min_dim_size_to_factor=128,
        logical_factor_rules=None,
    )
    params = {name: jnp.asarray(leaf) for name, leaf in parameters().items()}
    state = optimizer.init_state(params)
    for n, grads in enumerate(gradients()):
        hyper = dataclasses.replace(optimizer.hyper_params, learning_rate=rate(n))
        params, state = optimizer.apply_gradient(hyper, params, state, grads)
        yield params


def t5x_learning_rates() -> list[float]:
    """T5X's scheduler as its T5.1.0 pre-training sets it, at ``RATE_STEPS``."""
    import jax.numpy as jnp
    from t5x import utils

    schedule = utils.create_learning_rate_scheduler(
        factors="constant * rsqrt_decay",
        base_learning_rate=1.0,
        warmup_steps=CONFIG.warmup_steps,
    )
    return [float(f"{float(schedule(jnp.asarray(step))):.8g}") for step in RATE_STEPS]


def record() -> dict[str, Any]:
    """What T5X computes here, with its provenance."""
    steps = {n: params for n, params in enumerate(of_t5x(), start=1) if n in RECORDED_AFTER}
    versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy")}
    return {
        "provenance": {
            "of": "t5x.adafactor.Adafactor, t5x.utils.create_learning_rate_scheduler",
            "t5x_commit": T5X_COMMIT,
            "command": COMMAND,
            "versions": versions,
            "platform": "cpu",
            "tolerance": TOLERANCE,
        },
        "learning_rates": dict(zip(map(str, RATE_STEPS), t5x_learning_rates(), strict=True)),
        "parameters_after_updates": {str(n): probes(params) for n, params in steps.items()},
    }


def recorded() -> dict[str, Any]:
    """The committed values."""
    return json.loads(GOLDENS.read_text("utf-8"))


def _on_short_lines(values: dict[str, Any]) -> str:
    text = json.dumps(values, indent=1)
    return re.sub(r"\[[^\]]*\]", lambda found: " ".join(found[0].split()), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", required=True, help="write the goldens")
    parser.parse_args()
    GOLDENS.parent.mkdir(exist_ok=True)
    GOLDENS.write_text(_on_short_lines(record()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
