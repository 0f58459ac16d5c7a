"""Reading docstrings: what is found, what is dropped, where it goes."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spactor.data import corpus
from spactor.errors import UserError

SOURCE = b'''
"""The module says quite enough for anybody to read it."""

import nothing_that_exists

try:
    class Pot:
        """A pot that holds soup and is never quite full.

        Lines keep what they are
            indented by.
        """

        def pour(self):
            """Pour all of the soup into somebody's waiting bowl."""

            def inner():
                "Stir the soup from the bottom of the pot upwards."
except Exception:
    async def rescue():
        """Save what can be saved of the soup before it burns."""

def short():
    """Too short."""

def code():
    """x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]; y = {1: 2, 3: 4, 5: 6} + (1, 2)"""

def sentinel():
    """Fill <extra_id_0> with something that makes sense to the reader."""
'''


def package(root: Path, name: str, files: dict[str, str]) -> corpus.Package:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return corpus.Package(name, "1.0", root, tuple(sorted(files)), "state")


def docstring(text: str) -> str:
    return f'def f():\n    """{text}"""\n'


def test_every_docstring_worth_reading_is_a_document() -> None:
    found = corpus.documents_of_source(SOURCE, "kitchen", "kitchen.pot")
    assert [(d.name, d.kind) for d in found] == [
        ("", "module"),
        ("Pot", "class"),
        ("Pot.pour", "method"),
        ("Pot.pour.inner", "function"),
        ("rescue", "function"),
    ]
    assert found[1].text == (
        "A pot that holds soup and is never quite full.\n\n"
        "Lines keep what they are\n    indented by."
    )
    assert {(d.package, d.module) for d in found} == {("kitchen", "kitchen.pot")}


@pytest.mark.parametrize("source", [b"def f(:", b"\0", b"\xff\xfe\xfa", b"(" * 3000])
def test_a_source_that_does_not_parse_has_no_documents(source: bytes) -> None:
    assert corpus.documents_of_source(source, "p", "m") == []


def test_equal_words_are_read_once_from_their_first_place(tmp_path: Path) -> None:
    text = "Return the number of loaves that are left in the bakery."
    packages = [
        package(tmp_path / "a", "a", {"a/one.py": docstring(text)}),
        package(tmp_path / "b", "b", {"b/two.py": docstring(text.replace(" of ", "\n    of  "))}),
    ]
    (document,) = corpus.read_documents(packages)
    assert (document.package, document.module, document.name) == ("a", "a.one", "f")


def test_module_names_and_skipped_files() -> None:
    assert corpus._module_name("a/b/__init__.py") == "a.b"
    assert corpus._module_name("a/b/c.py") == "a.b.c"
    wanted = ["a/b.py", "a/testing/helpers.py"]
    left = ["a/tests/b.py", "a/test_b.py", "a/b_test.py", "a/b.pyc", "../bin/x.py"]
    assert [path for path in wanted + left if corpus._wanted(path)] == wanted


def test_an_added_package_moves_no_document(tmp_path: Path) -> None:
    def bread(kind: str) -> str:
        return "\n".join(
            docstring(f"Bake the {kind} loaf number {i} until its crust is dark and hard.")
            for i in range(100)
        )

    first = package(tmp_path / "a", "a", {"a.py": bread("white")})
    second = package(tmp_path / "b", "b", {"b.py": bread("brown")})
    alone = corpus.read_documents([first])
    both = corpus.read_documents([second, first])
    assert len(alone) == 100 and len(both) == 200
    assert [d for d in both if d.package == "a"] == alone
    assert [d.split for d in both if d.package == "a"] == [d.split for d in alone]


def test_documents_with_one_summary_share_a_split() -> None:
    assert len({corpus.split_of(f"Bake  it.\n \n{i} minutes") for i in range(50)}) == 1


def test_split_shares() -> None:
    counts = collections.Counter(corpus.split_of(f"Loaf {i}") for i in range(10_000))
    # Four standard deviations of a binomial share: 4·sqrt(p(1-p)·10000) <= 4·38.5.
    expected = {"train": 8200, "validation": 300, "suite_train": 1200, "suite_validation": 300}
    assert set(counts) == set(expected)
    assert all(abs(counts[split] - expected[split]) < 160 for split in expected)


@given(st.text())
def test_split_ignores_white_space_and_never_fails(text: str) -> None:
    assert corpus.split_of(text) == corpus.split_of(f"  {text}\n")


def test_a_pool_of_processes_reads_what_one_process_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        f"p/m{i}.py": docstring(f"Say at least {i} times that bread is good for you.")
        for i in range(9)
    }
    packages = [package(tmp_path, "p", files)]
    alone = corpus.read_documents(packages, workers=1)
    monkeypatch.setattr(corpus, "_FILES_WORTH_A_POOL", 1)
    assert len(alone) == 9
    assert corpus.read_documents(packages, workers=2) == alone


def test_the_closure_follows_requirements_markers_and_extras() -> None:
    class Distribution:
        def __init__(self, *requires: str) -> None:
            self.requires = list(requires) or None

    installed = {
        "root": Distribution("Middle[more]>=1", "absent", "old; python_version < '3'"),
        "middle": Distribution("leaf; extra == 'more'", "other; extra == 'less'"),
        "leaf": Distribution("root"),
        "other": Distribution(),
        "old": Distribution(),
    }
    assert corpus.requirement_closure(["root"], installed) == ["leaf", "middle", "root"]  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"'pan' is not installed: install .* 'train' extra"):
        corpus.requirement_closure(["pan"], {})


def test_all_packages_reach_far_and_name_each_file_once() -> None:
    packages = {package.name: package for package in corpus.installed_packages("all")}
    assert {"python", *corpus.ROOT_DISTRIBUTIONS, "tensorflow", "scipy"} <= set(packages)
    assert "spactor" not in packages
    assert all(len(set(p.files)) == len(p.files) for p in packages.values())
    assert packages["t5"].root.joinpath("t5/data/preprocessors.py").exists()
    assert "t5/data/preprocessors.py" in packages["t5"].files
