"""Identity of a node: everything that can change its numbers, and the fingerprint of that.

The identity includes stage, steps, seed, configurations, files that the node reads, parent, engine,
code of the method, versions and settings of the numerical libraries, and the kind of device. It
excludes paths, the number of devices and logging. Scores of a node's predictions have an identity
of their own. The engines read the data in different orders and start from different values, so
their nodes differ, and a profile's folder has nodes of one engine (`repro.folders.claim`). Code is
compared module by module (`repro.code_digests`); comments and log lines do not count.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from repro.code_digests import code_digests, gin_digests
from repro.plan import Finetuning, Node, Tree
from repro.specs import Engine
from spactor import numerics, provenance
from spactor.plain_data import to_mapping

FORMAT = 1
TRAINING_STACK = ("jax", "jaxlib", "flax", "optax", "numpy")
SCORING_STACK = (
    *("numpy", "scikit-learn", "scipy", "rouge-score", "sentencepiece"),
    *("seqio-nightly", "t5", "tensorflow", "tensorflow-text"),
)
T5X_SOURCES = ("t5x", "airio", "jestimator")
"""Packages installed from sources: their code is digested, since a version does not identify it."""
_T5X_PROGRAM = ("t5x.train", "t5x.adafactor", "t5x.examples.t5.network")


@dataclass(frozen=True)
class Identity:
    """Inputs that a node's numbers depend on.

    Attributes:
      inputs: the inputs, as plain data.
      fingerprint: SHA-256 of the inputs.
    """

    inputs: Mapping[str, Any]
    fingerprint: str


def settings(tree: Tree, node: Node) -> dict[str, Any]:
    """Returns the inputs of a node that depend only on its profile."""
    shared: dict[str, Any] = {"format": FORMAT, "size": node.size, "seed": node.seed}
    shared["numerics"] = dict(numerics.SETTINGS)
    if isinstance(node, Finetuning):
        return shared | {
            "kind": "finetuning",
            "suite": node.suite,
            "finetune_seed": node.finetune_seed,
            "checkpoint_step": node.checkpoint_step,
            "config": _plain(node.config),
            "pretraining": _plain(node.pretraining),
        }
    return shared | {
        "kind": "pretraining",
        "stage": node.stage,
        "start_step": node.start_step,
        "end_step": node.end_step,
        "config": _plain(node.config),
        # These change a node's series: means over log periods, and validation losses.
        "log_period_steps": tree.profile.log_period_steps,
        "validation_period_steps": tree.profile.validation_period_steps,
        "validation_chunks": tree.profile.validation_chunks,
    }


# Cached, since thousands of nodes share a few configurations.
_plain = cache(to_mapping)


def data_of(node: Node, files: Mapping[str, str], engine: Engine = "local") -> dict[str, str]:
    """Selects the digests of the prepared files that a node reads.

    Args:
      node: a node of the tree.
      files: digests by path, from the prepared data's manifest.
      engine: the engine; T5X reads documents and tokenizes them itself.

    >>> from repro.plan import build
    >>> from repro.specs import load_profile
    >>> first = next(iter(build(load_profile("smoke")).nodes.values()))
    >>> data_of(first, {"tokens_train.npy": "1f", "suites/glue/cola/train.jsonl": "2e"})
    {'tokens_train.npy': '1f'}
    """
    if engine == "t5x":
        # T5X reads text of documents or C4, and scores its own predictions.
        prefixes: tuple[str, ...] = (
            (f"suites/{node.suite}/", "sentencepiece")
            if isinstance(node, Finetuning)
            else ("documents_", "c4/", "sentencepiece")
        )
    else:
        prefixes = (
            (f"suites/{node.suite}/tokens.",)
            if isinstance(node, Finetuning)
            else ("tokens_", "suites/cloze/tokens.")
        )
    return {path: digest for path, digest in files.items() if path.startswith(prefixes)}


def scoring(node: Finetuning, files: Mapping[str, str]) -> dict[str, Any]:
    """Returns the inputs of a fine-tuning's scores on this machine, without its predictions."""
    prefixes = (f"suites/{node.suite}/", "sentencepiece")
    return {
        "format": FORMAT,
        "data": {path: digest for path, digest in files.items() if path.startswith(prefixes)},
        "code": code_digests("spactor.scoring"),
        "versions": provenance.versions(SCORING_STACK),
    }


def environment(device: str) -> dict[str, Any]:
    """Returns the inputs of a node that can't be pinned: the kind of device, and XLA's flags.

    Args:
      device: description by ``Engine.device``; the number of devices is left out.

    >>> environment("8 × tpu TPU v4 on 2 hosts")["device"]
    'tpu TPU v4'
    """
    kind = device.partition(" × ")[2].partition(" on ")[0]
    if kind.startswith("cpu"):
        kind = f"cpu {platform.machine()}"
    return {"device": kind, "xla_flags": numerics.xla_flags(os.environ)}


def identities(
    tree: Tree, files: Mapping[str, str], environment: Mapping[str, Any]
) -> dict[str, Identity]:
    """Returns the identity of every node of a tree with the installed code and packages.

    Args:
      tree: a tree that includes the parents of its nodes.
      files: digests by path, from the prepared data's manifest.
      environment: result of :func:`environment` on the machine that trains.
    """
    result: dict[str, Identity] = {}
    engine = tree.profile.engine
    programs = {
        kind: program(kind, engine) for kind in {type(node) for node in tree.nodes.values()}
    }
    for name, node in tree.nodes.items():
        inputs = settings(tree, node) | {
            "engine": engine,
            "environment": dict(environment),
            "data": data_of(node, files, engine),
            "parent": result[node.parent].fingerprint if node.parent else None,
            **programs[type(node)],
        }
        result[name] = Identity(inputs, provenance.fingerprint(inputs))
    return result


def program(kind: type[Node], engine: Engine) -> dict[str, Any]:
    """Returns digests of the code, and versions of the libraries, that train a kind of node."""
    if engine == "t5x":
        return {
            "code": _t5x_code(),
            "versions": provenance.versions((*TRAINING_STACK, *SCORING_STACK)),
        }
    module = "spactor.finetuning" if kind is Finetuning else "spactor.pretraining"
    return {"code": code_digests(module), "versions": provenance.versions(TRAINING_STACK)}


def changes_since(known: Identity, node: Node) -> list[str]:
    """Lists changes of code and libraries on disk since a node's identity was computed."""
    now = program(type(node), known.inputs["engine"])
    return differences({key: known.inputs[key] for key in now}, now)


def _t5x_code() -> dict[str, str]:
    """Digests our gin files and the modules they load, and T5X's trainer, network and gin files.

    The digest of T5X is "missing" if it is not installed.
    """
    from analysis.compiled.t5x_step import GIN  # takes long to import, and only T5X needs it

    digests = gin_digests(GIN)
    # Modules that gin does not load, such as `spactor.t5x.convert`, change no numbers.
    texts = "".join(path.read_text("utf-8") for path in GIN.rglob("*.gin"))
    loaded = re.findall(r"^from spactor\.t5x import (\w+)$", texts, re.MULTILINE)
    for module in set(loaded):
        digests |= code_digests(f"spactor.t5x.{module}")
    digests |= code_digests("repro.engines.t5x_gin_text")  # Writes the gin of a node's settings.
    found = importlib.util.find_spec("t5x")
    if found is None or not found.submodule_search_locations:
        return digests | {"t5x": "missing"}
    home = Path(found.submodule_search_locations[0])
    for name in _T5X_PROGRAM:
        digests |= code_digests(name, home.parent)
    theirs = gin_digests(home / "configs" / "runs")
    return digests | {f"t5x/{name}": digest for name, digest in theirs.items()}


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Lists the inputs that differ, one line each.

    >>> differences({"seed": 0, "config": {"a": 1}}, {"seed": 0, "config": {"a": 2}})
    ['config.a was 1, is 2']
    >>> differences({"code": {"spactor.step": "9f"}}, {"code": {"spactor.step": "ff"}})
    ["the method's code changed: spactor.step"]
    """
    if recorded == current:  # a quick check for the usual case
        return []
    old, new = _flat(recorded), _flat(current)
    changed = [
        key
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key] != new[key]
    ]
    modules = [key.removeprefix("code.") for key in changed if key.startswith("code.")]
    lines = []
    if modules:
        lines.append(f"the method's code changed: {', '.join(modules)}")
    for key in changed:
        if key.startswith("data."):
            lines.append(f"the data changed ({key.removeprefix('data.')})")
        elif key != "parent" and not key.startswith("code."):
            was, now = old.get(key, "absent"), new.get(key, "absent")
            lines.append(f"{key.removeprefix('versions.')} was {was}, is {now}")
    # This line is last, since the others explain more.
    return [*lines, "its parent changed"] if "parent" in changed else lines


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[prefix + key] = item
    return flat
