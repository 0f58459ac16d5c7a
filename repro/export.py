"""Export of a finished node's model in the Hugging Face format."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from analysis.schema.facts import step_label
from repro import advice, folders, provenance
from repro.engines.contract import Engine
from repro.node_state import DESCRIPTIONS, state_of
from repro.plan import Finetuning, Node, Tree
from spactor.config import ModelConfig
from spactor.errors import Damaged, UserError

# Keys of the provenance that an exported model includes; none identifies a machine or a person.
_ABOUT = (
    *("node", "profile", "experiments", "seeds", "fingerprint", "commit", "python", "packages"),
    *("data", "inputs"),
)


def choose(tree: Tree, name: str | None, checkpoint: str | None) -> Node:
    """Selects a node by its name, or by a checkpoint of the tree's only experiment.

    Args:
      tree: tree of the selected experiments.
      name: name of a segment or a fine-tuning run.
      checkpoint: pre-training step on the paper's scale, such as ``500K``; by default the last.

    Raises:
      UserError: no node or more than one matches.

    >>> from repro.plan import build
    >>> from repro.specs import load_profile
    >>> smoke = load_profile("smoke")
    >>> tree = build(smoke, smoke.select(["base"], ["0"]))
    >>> choose(tree, None, "500K").name, choose(tree, None, None).name
    ('base/s0/sc/0-500K', 'base/s0/sc/500K-1M')
    """
    profile = tree.profile.name
    if name is not None:
        if checkpoint is not None:
            raise UserError("--node and --checkpoint exclude each other: leave --checkpoint out")
        if name not in tree.nodes:
            raise UserError(
                f"profile {profile} has no node {name!r}: "
                f"`{advice.command('plan', tree.profile, None, '--format', 'json')}` lists all"
            )
        return tree.nodes[name]
    if len(tree.specs) > 1:
        raise UserError(
            f"{len(tree.specs)} experiments match: select one with --size, --tau and --seed, "
            "or a node with --node"
        )
    ends = {step_label(segment.end_paper): segment for segment in tree.path(tree.specs[0])}
    if checkpoint is None:
        return list(ends.values())[-1]
    if checkpoint not in ends:
        spec = tree.specs[0]
        raise UserError(
            f"{spec.size}, τ = {spec.tau}, seed {spec.seed} has no checkpoint {checkpoint!r}: "
            f"give one of {', '.join(ends)}"
        )
    return ends[checkpoint]


def export(tree: Tree, node: Node, runs: Path, engine: Engine, target: Path) -> None:
    """Writes a finished node's model in the Hugging Face format.

    Args:
      tree: tree of the node.
      node: a segment or a fine-tuning; its last checkpoint is exported.
      runs: an opened folder of runs.
      engine: engine that trained the node.
      target: folder to create.

    Raises:
      UserError: the node is unfinished or stale, its prepared data are missing, or the target
        exists.
    """
    if target.exists():
        raise UserError(f"{target} exists: name another folder, or remove it first")
    folder = folders.node_folder(runs, tree.profile.name, node.name)
    state = state_of(tree, runs, node)
    renew = advice.command("run", tree.profile, runs)
    if state.condition == "stale":
        raise UserError(f"{node.name} is stale, {state.reasons[0]}: `{renew}` renews it")
    if state.divergence is not None:
        raise UserError(f"{node.name} has no trained model: it {state.reasons[0]}")
    if state.condition != "finished":
        raise UserError(f"{node.name} is {DESCRIPTIONS[state.condition]}: `{renew}` trains it")
    record = provenance.read(folder / folders.PROVENANCE)
    if "fingerprint" not in record.get("data", {}):
        raise Damaged(f"{folder / folders.PROVENANCE}: no data.fingerprint; run the node again")
    vocabulary = _vocabulary(folders.cache_folder(runs), record["data"]["fingerprint"])
    params = engine.restore(node, folder)
    about = {name: record[name] for name in _ABOUT if name in record}
    from spactor import huggingface

    huggingface.save(target, params, _model(node), vocabulary=vocabulary, about=about)


def _model(node: Node) -> ModelConfig:
    """Returns the configuration of a node's model, with the dropout rate of its training."""
    if not isinstance(node, Finetuning):
        return node.config.model
    return dataclasses.replace(node.pretraining.model, dropout_rate=node.config.dropout_rate)


def _vocabulary(cache: Path, fingerprint: str) -> bytes:
    """Reads the vocabulary of the data that a node was trained on.

    Raises:
      UserError: the prepared data are missing, damaged or other ones.
    """
    from spactor.data import building, manifest

    folder = building.folder_of(cache, fingerprint)
    facts = manifest.read(folder)
    wrong = manifest.damage(folder, facts, (manifest.VOCABULARY_FILE,))
    if not wrong and facts["fingerprint"] != fingerprint:
        wrong = f"{folder} has other data than the model was trained on"
    if wrong:
        raise UserError(f"{wrong}: restore the prepared data of the run there")
    return (folder / manifest.VOCABULARY_FILE).read_bytes()
