"""What of the method's code changes its digests, and what doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.code_digests import code_digests, gin_digests

LOSSES = "def loss(x):\n    return x\n"
STEP = '''"""Docstring."""
from method.losses import loss

def step(x, batches):
    """Adds one."""
    # A comment.
    return loss(x) + 1
'''


def digests(folder: Path, step: str, losses: str = LOSSES) -> dict[str, str]:
    package = folder / "method"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "step.py").write_text(step)
    (package / "losses.py").write_text(losses)
    (package / "plots.py").write_text(f"unused = {len(losses)}\n")
    return code_digests("method.step", folder)


def inserted(line: str, head: str = "") -> str:
    """The step with a line in its body and another above its functions."""
    return STEP.replace("    # A comment.\n", f"    {line}\n").replace("\ndef", f"{head}\n\ndef")


LOGGER = "import logging\nlogger = logging.getLogger(__name__)\n"
SAME = {
    "comment": STEP.replace("A comment.", "Another.\n    # And another."),
    "docstring": STEP.replace("Adds one", "One more"),
    "no docstring": STEP.replace('    """Adds one."""\n', ""),
    "formatter": STEP.replace("loss(x) + 1", "(\n        loss(x)\n        + 1\n    )"),
    "print": inserted('print(f"at {x:.3f}", len(batches), sep="")'),
    "print to stderr": inserted("print(x, file=sys.stderr)"),
    "log line": inserted('logger.info("at %s", x)', LOGGER),
    "log line of absl": inserted("logging.warning(x)", "from absl import logging"),
    "log line without a name": inserted('logging.getLogger("a").error(x)', "import logging"),
    "log level": inserted("logger.setLevel(logging.DEBUG)", LOGGER),
    "log level of all": inserted("logging.basicConfig(level=logging.DEBUG)", "import logging"),
    "import in the function": inserted("import logging; logging.debug(x)"),
}
OTHER = {
    "number": STEP.replace("+ 1", "+ 2"),
    "statement": inserted("x = x + 0"),
    "text that is returned": STEP.replace("loss(x) + 1", '"loss"'),
    "print takes a batch away": inserted("print(next(batches))"),
    "print binds a name": inserted("print(x := 2)"),
    "print exhausts": inserted("print(*batches)"),
    "print into a file": inserted("print(x, file=batches)"),
    "print is another": inserted("print(x)", "from method.losses import loss as print"),
    "log line takes a batch away": inserted("logger.info(batches.pop())", LOGGER),
    "logger is another": inserted("logger.info(x)", "logger = object()"),
    "logger is an argument": inserted("logger.info(x)", LOGGER).replace("batches", "logger"),
    "import that is used": inserted("pass", "import logging\nlevel = logging.DEBUG").replace(
        "+ 1", "+ level"
    ),
}


@pytest.mark.parametrize("change", SAME)
def test_what_only_prints_or_logs_changes_nothing(tmp_path: Path, change: str) -> None:
    assert SAME[change] != STEP
    assert digests(tmp_path, SAME[change]) == digests(tmp_path, STEP)


@pytest.mark.parametrize("change", OTHER)
def test_what_can_alter_a_number_changes_its_module(tmp_path: Path, change: str) -> None:
    before, after = digests(tmp_path, STEP), digests(tmp_path, OTHER[change])
    assert {name for name in before if before[name] != after[name]} == {"method.step"}


def test_a_module_is_named_and_what_is_not_imported_is_none(tmp_path: Path) -> None:
    before = digests(tmp_path, STEP)
    assert list(before) == ["method.losses", "method.step"]
    after = digests(tmp_path, STEP, "def loss(x):\n    return 2 * x\n")
    assert {name for name in before if before[name] != after[name]} == {"method.losses"}
    with pytest.raises(FileNotFoundError, match=r"no module method\.nothing"):
        code_digests("method.nothing", tmp_path)


def test_relative_imports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absolute names only"):
        digests(tmp_path, "from . import losses\n")


def test_comments_of_gin_files_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.gin"
    path.write_text("A = 1\n")
    before = gin_digests(tmp_path)
    path.write_text("# why\n\nA = 1  \n")
    assert gin_digests(tmp_path) == before and list(before) == ["a.gin"]
    path.write_text("A = 2\n")
    assert gin_digests(tmp_path) != before
