"""Digests of modules, which change only with code that can change numbers.

A digest is of a module's syntax tree, without docstrings and without statements that only print or
log, so comments, formatting and log lines do not change it. A print statement is ignored only if
its arguments have no side effects: ``print(next(batches))`` consumes a batch, so it counts as code.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeGuard

import spactor

ROOT = Path(spactor.__file__).parent.parent
"""Parent folder of the package ``spactor``."""
_DIGITS = 16
_LOGGING = ("logging", "absl.logging")
_LOGGING_METHODS = {
    *("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log"),
    *("setLevel", "set_verbosity", "basicConfig"),
}
_TERMINAL = ("sys.stdout", "sys.stderr")
_PLAIN_CALLS = {"len", "str", "repr", "round", "int", "float", "abs", "bool", "type"}
_UNPLAIN = (
    *(ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Starred),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def code_digests(module: str, root: Path | None = None) -> dict[str, str]:
    """Digests a module, and every module of its package that it imports, directly or not.

    Args:
      module: dotted name, such as ``spactor.pretraining``.
      root: parent folder of the package; by default ``ROOT``.

    Returns:
      Digests by name of the module.

    Raises:
      FileNotFoundError: there is no such module.
    """
    root = root or ROOT
    package = module.split(".")[0]
    digests: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _module_path(root, name)
        if name in digests or path is None:
            continue
        digests[name], imported = _digest_and_imports(path.read_text("utf-8"))
        waiting += [found for found in imported if found.split(".")[0] == package]
    if module not in digests:
        raise FileNotFoundError(f"no module {module} under {root}")
    return dict(sorted(digests.items()))


def gin_digests(folder: Path) -> dict[str, str]:
    """Digests every gin file below a folder, without comments and blank lines, by path."""
    return {
        path.relative_to(folder).as_posix(): _digest("\n".join(_gin_statements(path)))
        for path in sorted(folder.rglob("*.gin"))
    }


def _gin_statements(path: Path) -> Iterator[str]:
    for line in path.read_text("utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.rstrip()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _module_path(root: Path, name: str) -> Path | None:
    stem = root.joinpath(*name.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


# Cached by the text, so that digesting unchanged files again is quick.
@lru_cache(maxsize=512)
def _digest_and_imports(source: str) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(source)
    imported = tuple(_imports(tree))
    return _digest(ast.unparse(_OutputRemover(tree).visit(tree))), imported


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError("the method's code imports by absolute names only")
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _OutputRemover(ast.NodeTransformer):
    """Removes docstrings, print and log statements, and imports that only these use."""

    def __init__(self, tree: ast.Module) -> None:
        bound = Counter(_bound_names(tree))
        self._prints = "print" not in bound
        # A name that is bound more than once is not taken as a logger.
        found = [
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if _full_name(node, alias) in _LOGGING
        ]
        self._loggers = {name for name in found if bound[name] == 1}
        found = [ast.unparse(node.targets[0]) for node in tree.body if self._makes_logger(node)]
        self._loggers |= {name for name in found if bound[name] == 1}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text or self._only_prints(node.value) else node

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        return self._without_logging(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return self._without_logging(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        makes = self._makes_logger(node) and ast.unparse(node.targets[0]) in self._loggers
        return None if makes else self.generic_visit(node)

    def _without_logging(self, node: ast.Import | ast.ImportFrom) -> ast.AST | None:
        node.names = [
            alias
            for alias in node.names
            if _full_name(node, alias) not in _LOGGING
            or (alias.asname or alias.name) not in self._loggers
        ]
        return node if node.names else None

    def _makes_logger(self, node: ast.stmt) -> TypeGuard[ast.Assign]:
        return (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.value, ast.Call)
            and self._is_logger(node.value)
        )

    def _is_logger(self, node: ast.expr) -> bool:
        """Whether an expression is ``logging``, a logger's name, or ``logging.getLogger(…)``."""
        if isinstance(node, ast.Name):
            return node.id in self._loggers
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "getLogger"
            and self._is_logger(node.func.value)
            and _are_plain(node)
        )

    def _only_prints(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call) or not _are_plain(node):
            return False
        if isinstance(node.func, ast.Name):
            files = [word.value for word in node.keywords if word.arg in ("file", None)]
            to_terminal = all(ast.unparse(file) in _TERMINAL for file in files)
            return node.func.id == "print" and self._prints and to_terminal
        return (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in _LOGGING_METHODS
            and self._is_logger(node.func.value)
        )


def _full_name(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    return f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name


def _bound_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _are_plain(call: ast.Call) -> bool:
    """Whether evaluating a call's arguments has no side effects."""
    arguments = (*call.args, *(keyword.value for keyword in call.keywords))
    return not any(
        isinstance(node, _UNPLAIN)
        or (isinstance(node, ast.Call) and ast.unparse(node.func) not in _PLAIN_CALLS)
        for argument in arguments
        for node in ast.walk(argument)
    )
