"""A node's identity: a digest of everything that can change its numbers.

That is its stage, steps, seed, configurations, the files it reads, its parent, the engine, the
method's code and the versions of the numerical libraries. Scores, made from a node's predictions,
have one of their own. Paths, devices and logging are no part of it. The engines read the data in
another order and begin from other values, so a node of one is none of the other; a profile's folder
of runs holds nodes of one engine (`repro.folders.claim`).
Code is compared as ``ast`` sees it, so a comment, a docstring or a formatter changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import spactor
from repro.plan import Finetuning, Node, Tree
from repro.specs import Engine
from spactor.config import to_mapping

FORMAT = 1
TRAINING_STACK = ("jax", "jaxlib", "flax", "optax", "numpy")
SCORING_STACK = (
    *("numpy", "scikit-learn", "scipy", "rouge-score", "sentencepiece"),
    *("seqio-nightly", "t5", "tensorflow", "tensorflow-text"),
)
T5X_SOURCES = ("t5x", "airio", "jestimator")
"""On no registry, so they have no versions that mean anything: their code is part of a node."""
_T5X_PROGRAM = ("t5x.train", "t5x.adafactor", "t5x.examples.t5.network")
NUMERICS: Mapping[str, Any] = {"jax_threefry_partitionable": True}
"""Settings of JAX that change numbers; the engines apply them."""


@dataclass(frozen=True)
class Identity:
    """What a node's numbers depend on.

    Attributes:
      inputs: plain data.
      fingerprint: SHA-256 of it.
    """

    inputs: Mapping[str, Any]
    fingerprint: str


def canonical(value: Any) -> str:
    """JSON text that is the same for equal plain data.

    >>> canonical({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, in hexadecimal."""
    return hashlib.sha256(canonical(inputs).encode()).hexdigest()


def settings(tree: Tree, node: Node) -> dict[str, Any]:
    """The part of a node's inputs that its profile alone decides."""
    shared = {"format": FORMAT, "size": node.size, "seed": node.seed, "numerics": dict(NUMERICS)}
    if isinstance(node, Finetuning):
        return shared | {
            "kind": "finetuning",
            "suite": node.suite,
            "finetune_seed": node.finetune_seed,
            "checkpoint_step": node.checkpoint_step,
            "config": to_mapping(node.config),
            "pretraining": to_mapping(node.pretraining),
        }
    return shared | {
        "kind": "pretraining",
        "stage": node.stage,
        "start_step": node.start_step,
        "end_step": node.end_step,
        "config": to_mapping(node.config),
        # The series are numbers of the node too: means over log periods, validation losses.
        "log_period_steps": tree.profile.log_period_steps,
        "validation_period_steps": tree.profile.validation_period_steps,
        "validation_chunks": tree.profile.validation_chunks,
    }


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
            (f"suites/{node.suite}/tokens.",) if isinstance(node, Finetuning) else ("tokens_",)
        )
    return {path: digest for path, digest in files.items() if path.startswith(prefixes)}


def scoring(node: Finetuning, files: Mapping[str, str]) -> dict[str, Any]:
    """What the scores of a fine-tuning depend on beside its predictions, on this installation."""
    prefixes = (f"suites/{node.suite}/", "sentencepiece")
    return {
        "format": FORMAT,
        "data": {path: digest for path, digest in files.items() if path.startswith(prefixes)},
        "code": code_digest("spactor.scoring"),
        "versions": versions(SCORING_STACK),
    }


def identities(tree: Tree, files: Mapping[str, str]) -> dict[str, Identity]:
    """Identity of every node of a tree on this installation.

    Args:
      tree: whose parents are complete.
      files: digests by path, from the prepared data's manifest.
    """
    result: dict[str, Identity] = {}
    engine = tree.profile.engine
    for name, node in tree.nodes.items():
        inputs = settings(tree, node) | {
            "engine": engine,
            "data": data_of(node, files, engine),
            "parent": result[node.parent].fingerprint if node.parent else None,
            **(_t5x_program() if engine == "t5x" else _local_program(node)),
        }
        result[name] = Identity(inputs, fingerprint(inputs))
    return result


def _local_program(node: Node) -> dict[str, Any]:
    finetuning = isinstance(node, Finetuning)
    return {
        "code": code_digest("spactor.finetuning" if finetuning else "spactor.pretraining"),
        "versions": versions(TRAINING_STACK),
    }


def _t5x_program() -> dict[str, Any]:
    """Our models and gin files, the libraries, and T5X's own code and gin files."""
    home = Path(spactor.__file__).parent / "t5x"
    modules = [f"spactor.t5x.{path.stem}" for path in sorted(home.glob("[a-z]*.py"))]
    return {
        "code": fingerprint(
            {name: code_digest(name) for name in modules} | gin_statements(home / "gin")
        ),
        "versions": versions((*TRAINING_STACK, *SCORING_STACK)) | {"t5x": t5x_digest()},
    }


def gin_statements(folder: Path) -> dict[str, list[str]]:
    """Lines of every gin file below a folder, without comments and blank lines."""
    return {
        path.relative_to(folder).as_posix(): [
            line.rstrip()
            for line in path.read_text("utf-8").splitlines()
            if line.strip() and not line.lstrip().startswith("#")
        ]
        for path in sorted(folder.rglob("*.gin"))
    }


@cache
def t5x_digest() -> str:
    """Digest of T5X's trainer, network and gin files as they are installed, or "missing"."""
    found = importlib.util.find_spec("t5x")
    if found is None or not found.submodule_search_locations:
        return "missing"
    home = Path(found.submodule_search_locations[0])
    programs = {name: code_digest(name, home.parent) for name in _T5X_PROGRAM}
    return fingerprint(programs | gin_statements(home / "configs" / "runs"))


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Installed versions; "missing" where there is none."""
    return {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Says which inputs differ, one line each.

    >>> differences({"seed": 0, "config": {"a": 1}}, {"seed": 0, "config": {"a": 2}})
    ['config.a was 1, is 2']
    >>> differences({"code": "9f"}, {"code": "ff"})
    ["the method's code changed"]
    """
    old, new = _flat(recorded), _flat(current)
    lines = []
    # "its parent changed" explains least, so it is said last.
    for key in sorted(old.keys() | new.keys(), key=lambda key: (key == "parent", key)):
        if key in old and key in new and old[key] == new[key]:
            continue
        if key == "code":
            lines.append("the method's code changed")
        elif key == "parent":
            lines.append("its parent changed")
        elif key.startswith("data."):
            lines.append(f"the data changed ({key.removeprefix('data.')})")
        else:
            lines.append(f"{key} was {old.get(key, 'absent')}, is {new.get(key, 'absent')}")
    return lines


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[prefix + key] = item
    return flat


@cache
def code_digest(module: str, root: Path | None = None) -> str:
    """Digest of a module of the method and of all it imports from the method, by ``ast``.

    Args:
      module: dotted name, such as ``spactor.pretraining``.
      root: folder that holds the top package; by default where ``spactor`` is installed.
    """
    root = root or Path(spactor.__file__).parent.parent
    package = module.split(".")[0]
    sources: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(root, name)
        if name in sources or path is None:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        waiting += [found for found in _imports(tree) if found.split(".")[0] == package]
        sources[name] = ast.unparse(_without_docstrings(tree))
    if module not in sources:
        raise FileNotFoundError(f"no module {module} under {root}")
    return fingerprint(sources)


def _module_path(root: Path, name: str) -> Path | None:
    stem = root.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError("the method's code imports by absolute names only")
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ] or [ast.Pass()]
    return tree
