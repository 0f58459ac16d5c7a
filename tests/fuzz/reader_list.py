"""Finds, by ``ast``, every function of the project that reads what lies in a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "figures", "repro", "spactor", "tables")
PARSERS = frozenset(
    {"read_text", "read_bytes", "readlines", "load", "loads", "reader", "DictReader", "safe_open"}
    | {"ParquetFile", "read_table", "FromString", "ParseFromString", "SentencePieceProcessor"}
    | {"PyRecordReader_New", "fromstring", "frombuffer", "read_json", "read_array", "read_archive"}
    | {"map_archive", "memmap", "read_array_header_1_0"}
    | {"read_node", "read_if_any", "read_or_set_aside"}
)
"""Calls that take in a file, or the text of one."""


def readers() -> dict[str, int]:
    """Dotted names of the functions that read, with the line of the first such call."""
    found: dict[str, int] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            module = module.removesuffix(".__init__")
            for name, line in _in_module(ast.parse(path.read_text("utf-8"))):
                found.setdefault(f"{module}.{name}" if name else module, line)
    return found


def _in_module(tree: ast.AST, name: str = "") -> Iterator[tuple[str, int]]:
    for node in ast.iter_child_nodes(tree):
        inner = name
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{name}.{node.name}" if name else node.name
        if isinstance(node, ast.Call) and _reads(node):
            yield inner, node.lineno
        yield from _in_module(node, inner)


def _reads(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name != "open":
        return name in PARSERS
    # To write, a mode is given, last or by name.
    modes = [
        item.value
        for item in (*call.args, *(k.value for k in call.keywords if k.arg == "mode"))
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
    return not any(set(mode) & set("wax") for mode in modes)
