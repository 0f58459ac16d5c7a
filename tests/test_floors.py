"""Imports go down only, and the base installation needs neither JAX nor TensorFlow."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocked import run_blocked

ROOT = Path(__file__).parent.parent
FLOORS = {"spactor": 0, "analysis.schema": 1, "analysis": 2, "figures": 3, "tables": 3, "repro": 4}
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("analysis", "figures", "repro", "spactor", "tables")
    for path in (ROOT / package).rglob("*.py")
)


def name_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def floor_of(module: str) -> int:
    parts = module.split(".")
    return FLOORS.get(".".join(parts[:2]), FLOORS[parts[0]])


@functools.cache
def imports_of(path: Path) -> tuple[str, ...]:
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}, line {node.lineno}: import by the absolute name"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_down_only(path: Path) -> None:
    here = name_of(path)
    for name in imports_of(path):
        if name.split(".")[0] not in FLOORS:
            continue
        assert floor_of(name) <= floor_of(here), f"{path} imports {name}, a level above it"
        # Both are on one level, and do not import each other.
        assert {here.split(".")[0], name.split(".")[0]} != {"tables", "figures"}


def test_the_engine_alone_imports_t5x() -> None:
    for path in MODULES:
        # These two run in the process of T5X, or start it.
        if path.parts[:2] in (("spactor", "t5x"), ("analysis", "compiled")):
            continue
        is_engine = path.parts[:2] == ("repro", "engines") and path.stem.startswith("t5x")
        closed = ("t5x", "spactor.t5x.models") if is_engine else ("t5x", "spactor.t5x")
        assert [name for name in imports_of(path) if name.startswith(closed)] == [], path


def test_no_file_is_long_and_none_is_a_catch_all() -> None:
    for path in MODULES:
        lines = len((ROOT / path).read_text("utf-8").splitlines())
        assert lines <= 500, f"{path} has {lines} lines; split it"
        assert path.name != "utils.py", f"{path}: name it after what it does"


def test_the_reading_order_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:analysis|figures|repro|spactor|tables|tests)/[\w./]+)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
    numbered = re.findall(r"^\d+\. `([\w./]+)`", text, re.MULTILINE)
    lines = sum(len((ROOT / name).read_text("utf-8").splitlines()) for name in numbered)
    assert len(numbered) == 10 and lines < 2500, lines


def test_base_packages_need_neither_jax_nor_tensorflow() -> None:
    names = [
        name_of(path)
        for path in MODULES
        if path.parts[0] != "spactor" and path.name != "__main__.py"
    ]
    names += ["spactor.config", "spactor.errors", "spactor.data", "spactor.data.suites"]
    done = run_blocked("for name in sys.argv[1:]: importlib.import_module(name)", *names)
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    command = ("run", "--profile", "smoke", "--runs", tmp_path / "runs")
    done = run_blocked("from repro.cli import main; main(sys.argv[1:])", *command)
    assert done.returncode == 2
    assert "the extra 'train'" in done.stderr and done.stderr.count("\n") == 1
    assert "-e '.[train]'" in done.stderr and not (tmp_path / "runs").exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom repro.cli import main\n"
        "try:\n    main(['--help'])\n"
        "finally:\n    print(sorted({'pandas', 'numpy', 'jax', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.rstrip().endswith("[]")
