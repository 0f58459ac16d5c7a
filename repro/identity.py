"""A node's identity: a digest of everything that can change its numbers.

That is its stage, steps, seed, configurations, the files it reads, its parent, the engine, the
method's code, the versions and settings of the numerical libraries, and the kind of device. Scores,
made from a node's predictions, have one of their own. Paths, the number of devices and logging are
no part of it. The engines read the data in
another order and begin from other values, so their nodes are different; a profile's folder
of runs holds nodes of one engine (`repro.folders.claim`).
Code is compared module by module (`repro.code_digests`): a comment or a log line changes nothing.
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

from repro.code_digests import ROOT, code_digests, gin_digests
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
"""Installed from sources, so that a version does not identify their code, which is digested."""
_T5X_PROGRAM = ("t5x.train", "t5x.adafactor", "t5x.examples.t5.network")


@dataclass(frozen=True)
class Identity:
    """What a node's numbers depend on.

    Attributes:
      inputs: plain data.
      fingerprint: SHA-256 of it.
    """

    inputs: Mapping[str, Any]
    fingerprint: str


def settings(tree: Tree, node: Node) -> dict[str, Any]:
    """The part of a node's inputs that its profile alone decides."""
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
        # A node's numbers include its series: means over log periods, and validation losses.
        "log_period_steps": tree.profile.log_period_steps,
        "validation_period_steps": tree.profile.validation_period_steps,
        "validation_chunks": tree.profile.validation_chunks,
    }


# Thousands of nodes share a few configurations.
_plain = cache(to_mapping)


def data_of(node: Node, files: Mapping[str, str], engine: Engine = "local") -> dict[str, str]:
    """Digests of the prepared files a node reads.

    Args:
      node: of the tree.
      files: digests by path, from the prepared data's manifest.
      engine: T5X pre-trains on the documents, which it tokenizes itself.

    >>> from repro.plan import build
    >>> from repro.specs import load_profile
    >>> first = next(iter(build(load_profile("smoke")).nodes.values()))
    >>> data_of(first, {"tokens_train.npy": "1f", "suites/glue/cola/train.jsonl": "2e"})
    {'tokens_train.npy': '1f'}
    """
    if engine == "t5x":
        # It reads text, of documents or C4, and scores what it decodes.
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
    """Inputs of a fine-tuning's scores besides its predictions, on this installation."""
    prefixes = (f"suites/{node.suite}/", "sentencepiece")
    return {
        "format": FORMAT,
        "data": {path: digest for path, digest in files.items() if path.startswith(prefixes)},
        "code": code_digests("spactor.scoring"),
        "versions": provenance.versions(SCORING_STACK),
    }


def environment(device: str) -> dict[str, Any]:
    """What a node's numbers depend on that cannot be pinned: the kind of device, XLA's flags.

    Args:
      device: as an engine describes it; the number of devices is left out.

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
    """Identity of every node of a tree on this installation.

    Args:
      tree: whose parents are complete.
      files: digests by path, from the prepared data's manifest.
      environment: what ``environment`` returned where the nodes train.
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
    """The method's code and the numerical libraries that train a kind of node, as installed now."""
    if engine == "t5x":
        return {
            "code": _t5x_code(),
            "versions": provenance.versions((*TRAINING_STACK, *SCORING_STACK)),
        }
    module = "spactor.finetuning" if kind is Finetuning else "spactor.pretraining"
    return {"code": code_digests(module), "versions": provenance.versions(TRAINING_STACK)}


def changes_since(known: Identity, node: Node) -> list[str]:
    """Code and libraries of a node's identity that differ from those on disk now, one a line."""
    now = program(type(node), known.inputs["engine"])
    return differences({key: known.inputs[key] for key in now}, now)


def _t5x_code() -> dict[str, str]:
    """Our gin files and what they load, T5X's trainer, network and gin files; "missing" without."""
    gin = ROOT / "spactor" / "t5x" / "gin"
    digests = gin_digests(gin)
    # Only what gin loads changes numbers; `spactor.t5x.convert` does not.
    texts = "".join(path.read_text("utf-8") for path in gin.rglob("*.gin"))
    loaded = re.findall(r"^from spactor\.t5x import (\w+)$", texts, re.MULTILINE)
    for module in {"gin_files", *loaded}:
        digests |= code_digests(f"spactor.t5x.{module}")
    found = importlib.util.find_spec("t5x")
    if found is None or not found.submodule_search_locations:
        return digests | {"t5x": "missing"}
    home = Path(found.submodule_search_locations[0])
    for name in _T5X_PROGRAM:
        digests |= code_digests(name, home.parent)
    theirs = gin_digests(home / "configs" / "runs")
    return digests | {f"t5x/{name}": digest for name, digest in theirs.items()}


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """The inputs that differ, one line each.

    >>> differences({"seed": 0, "config": {"a": 1}}, {"seed": 0, "config": {"a": 2}})
    ['config.a was 1, is 2']
    >>> differences({"code": {"spactor.step": "9f"}}, {"code": {"spactor.step": "ff"}})
    ["the method's code changed: spactor.step"]
    """
    if recorded == current:  # The usual case, and a quick comparison.
        return []
    old, new = _flat(recorded), _flat(current)
    changed = [
        key
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key] != new[key]
    ]
    modules = [key.removeprefix("code.") for key in changed if key.startswith("code.")]
    lines = []
    if "code" in changed or modules:
        # Runs of earlier versions recorded one digest for all modules.
        named = "" if "code" in old or "code" in new else f": {', '.join(modules)}"
        lines.append(f"the method's code changed{named}")
    for key in changed:
        if key.startswith("data."):
            lines.append(f"the data changed ({key.removeprefix('data.')})")
        elif key != "parent" and key != "code" and not key.startswith("code."):
            was, now = old.get(key, "absent"), new.get(key, "absent")
            lines.append(f"{key.removeprefix('versions.')} was {was}, is {now}")
    # The other lines explain more, so this one is last.
    return [*lines, "its parent changed"] if "parent" in changed else lines


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[prefix + key] = item
    return flat
