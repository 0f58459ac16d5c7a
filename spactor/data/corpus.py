"""The embedded corpus: docstrings of the standard library and of installed packages.

Sources are parsed with `ast` and never imported. Each docstring is one document, cleaned as
`inspect.cleandoc` does; documents whose words repeat an earlier one are dropped. A document's
split depends on its own text alone, so an added package moves no other document.
"""

from __future__ import annotations

import ast
import concurrent.futures
import contextlib
import functools
import gc
import hashlib
import multiprocessing
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spactor.errors import UserError

Kind = Literal["module", "class", "function", "method"]
Split = Literal["train", "validation", "suite_train", "suite_validation"]
SPLITS: tuple[Split, ...] = get_args(Split)

ROOT_DISTRIBUTIONS = ("jax", "flax", "optax", "orbax-checkpoint", "clu", "t5")
"""What the ``train`` extra names; the closure of their requirements is read."""

STANDARD_LIBRARY = "python"
"""Package name given to the documents of the standard library."""

MIN_WORDS = 6
MIN_CHARACTERS = 40

_SPLIT_BOUNDS: tuple[tuple[float, Split], ...] = (
    (0.82, "train"),
    (0.85, "validation"),
    (0.97, "suite_train"),
    (1.00, "suite_validation"),
)
_SKIPPED_FOLDERS = frozenset(
    (
        *("test", "tests", "testdata", "idlelib", "lib2to3", "turtledemo"),
        *("_vendor", "_vendored", "vendored", "_bundled"),
        *("__pycache__", "site-packages", "dist-packages"),
    )
)
_SKIPPED_FILE = re.compile(r"test_.*|.*_test\.py|conftest\.py")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# With fewer files a pool of processes costs more to start than it saves.
_FILES_WORTH_A_POOL = 3000
_COMPOUND_FIELDS = ("body", "orelse", "finalbody", "handlers")


@dataclass(frozen=True)
class Package:
    """An installed distribution, or the standard library.

    Attributes:
      name, version: from its metadata; the name is canonical (``orbax-checkpoint``).
      root: folder that ``files`` are relative to.
      files: relative paths of Python sources, ``/``-separated, sorted.
      state: cheap digest that changes when the installed files do (see `installed_packages`).
    """

    name: str
    version: str
    root: Path
    files: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Document:
    """One docstring.

    Attributes:
      package: distribution it came from.
      module: dotted module name.
      name: qualified name inside the module; empty for the module's own docstring.
      kind: what it documents.
      text: the cleaned docstring, line breaks kept.
    """

    package: str
    module: str
    name: str
    kind: Kind
    text: str

    @functools.cached_property
    def digest(self) -> str:
        """Hash of the words; equal for texts that differ in white space only."""
        return hashlib.sha256(_words(self.text).encode()).hexdigest()

    @property
    def split(self) -> Split:
        """Split of the corpus; see `split_of`."""
        return split_of(self.text)


def _words(text: str) -> str:
    return " ".join(text.split())


def words_of(text: str) -> list[str]:
    """Words in lower case, without punctuation.

    >>> words_of("Return `x`, the  Value.")
    ['return', 'x', 'the', 'value']
    """
    return re.findall(r"\w+", text.lower())


def split_of(text: str) -> Split:
    """Split of a document, from a hash of its first paragraph.

    Docstrings of sibling functions often share their summary and differ further down; keyed
    on the first paragraph they share a split too, so no held-out summary was trained on.

    Shares: train 82 %, validation 3 %, suite_train 12 %, suite_validation 3 %.

    >>> split_of("Return it.\\n\\nFor ever.") == split_of("Return  it.\\n\\nNever.")
    True
    """
    summary = _words(re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]).lower()
    digest = hashlib.sha256(b"split:" + summary.encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return next(split for bound, split in _SPLIT_BOUNDS if place < bound)


def _wanted(path: str) -> bool:
    *folders, name = path.split("/")
    return (
        name.endswith(".py")
        and ".." not in folders
        and _SKIPPED_FOLDERS.isdisjoint(folders)
        and not _SKIPPED_FILE.fullmatch(name)
    )


def standard_library() -> Package:
    """The running interpreter's standard library, test folders left out."""
    root = Path(sysconfig.get_path("stdlib"))
    found: list[tuple[str, int, int]] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        for path in (Path(folder, name) for name in names):
            if _wanted(relative := path.relative_to(root).as_posix()):
                stat = path.stat()
                found.append((relative, stat.st_size, stat.st_mtime_ns))
    found.sort()
    state = hashlib.sha256(repr((sys.version, found)).encode()).hexdigest()
    version = ".".join(map(str, sys.version_info[:3]))
    return Package(STANDARD_LIBRARY, version, root, tuple(path for path, _, _ in found), state)


def requirement_closure(
    roots: Iterable[str], installed: dict[str, metadata.Distribution]
) -> list[str]:
    """Installed distributions reachable from ``roots``, markers and extras respected; sorted.

    Raises:
      UserError: a root is not installed.
    """
    for root in roots:
        if root not in installed:
            raise UserError(
                f"distribution {root!r} is not installed: install this project with its 'train' "
                'extra, or use data.packages = "stdlib"'
            )
    waiting = [(name, "") for name in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name not in installed:
            continue
        seen.add((name, extra))
        for line in installed[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                waiting.extend((needed, wanted) for wanted in ("", *requirement.extras))
    return sorted({name for name, _ in seen})


def _package(name: str, distribution: metadata.Distribution) -> Package:
    record = distribution.read_text("RECORD") or ""
    # The first column of RECORD is the path; Distribution.files builds an object per line,
    # which for 150 distributions takes longer than all the rest of a look-up.
    paths = {line.rsplit(",", 2)[0].strip('"') for line in record.splitlines()}
    return Package(
        name=name,
        version=distribution.version,
        root=Path(str(distribution.locate_file(""))),
        files=tuple(sorted(filter(_wanted, paths))),
        state=hashlib.sha256(record.encode()).hexdigest(),
    )


def installed_packages(which: Literal["all", "stdlib"]) -> tuple[Package, ...]:
    """Distributions that the corpus is read from: the standard library, then by name.

    A package's ``state`` digests its RECORD (the hashes of the files as installed), the
    standard library's the sizes and times of its files: reading neither opens a source.

    Raises:
      UserError: a distribution of the ``train`` extra is missing.
    """
    if which == "stdlib":
        return (standard_library(),)
    installed: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        # The first on the import path is the one that Python would import; a half-removed
        # distribution has no name.
        if distribution.metadata["Name"]:
            installed.setdefault(canonicalize_name(distribution.name), distribution)
    names = requirement_closure(ROOT_DISTRIBUTIONS, installed)
    return (standard_library(), *(_package(name, installed[name]) for name in names))


def _module_name(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _docstrings(
    body: Sequence[ast.stmt], prefix: str, in_class: bool
) -> Iterator[tuple[str, Kind, str]]:
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            name = f"{prefix}{node.name}"
            is_class = isinstance(node, ast.ClassDef)
            text = ast.get_docstring(node)
            if text:
                yield name, "class" if is_class else "method" if in_class else "function", text
            yield from _docstrings(node.body, f"{name}.", is_class)
            continue
        for field in _COMPOUND_FIELDS:
            inner = getattr(node, field, None)
            if isinstance(inner, list):
                yield from _docstrings(inner, prefix, in_class)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # A syntax tree is a million objects without a cycle: garbage collection halves the speed.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def documents_of_source(source: bytes, package: str, module: str) -> list[Document]:
    """Documents of one Python source, in source order; none if it does not parse.

    >>> [d.name for d in documents_of_source(
    ...     b'def f():\\n  "Say hello to everyone who happens to be listening."', "p", "m")]
    ['f']
    """
    # Every docstring longer than a line, and nearly every other, is triple-quoted; the test
    # spares generated tables, which are slow to parse.
    if b'"""' not in source and b"'''" not in source and len(source) > 100_000:
        return []
    with warnings.catch_warnings(), _without_garbage_collection():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
    found: list[tuple[str, Kind, str]] = []
    if text := ast.get_docstring(tree):
        found.append(("", "module", text))
    found.extend(_docstrings(tree.body, "", False))
    return [
        Document(package, module, name, kind, text.strip())
        for name, kind, text in found
        if _worth_reading(text)
    ]


def _worth_reading(text: str) -> bool:
    words = text.split()
    if len(words) < MIN_WORDS or len(text.strip()) < MIN_CHARACTERS:
        return False
    # seqio reads a literal sentinel in a text as the sentinel itself.
    if "<extra_id_" in text:
        return False
    # Tables of data and lone surrogates are not prose.
    letters = sum(map(str.isalpha, text))
    return letters * 2 >= sum(map(len, words)) and _LONE_SURROGATE.search(text) is None


def _documents_of_file(task: tuple[str, str, str]) -> list[Document]:
    package, root, path = task
    try:
        source = Path(root, path).read_bytes()
    except OSError:
        # A RECORD may name files that were deleted since; they have no text.
        return []
    documents = documents_of_source(source, package, _module_name(path))
    for document in documents:
        # Computed here, in parallel; pickling keeps a cached property.
        _ = document.digest
    return documents


def read_documents(packages: Sequence[Package], workers: int = 2) -> list[Document]:
    """All documents of the packages, de-duplicated, sorted by `Document.digest`.

    Of equal texts the first is retained, in the order of ``packages``, path and place in the file.
    The order of the result is as good as shuffled, and independent of what else is installed.
    """
    tasks: list[tuple[str, str, str]] = []
    seen_files: set[tuple[Path, str]] = set()
    for package in packages:
        for path in package.files:
            # Two distributions may own one file (tensorflow-datasets and tfds-nightly do).
            if (package.root, path) not in seen_files:
                seen_files.add((package.root, path))
                tasks.append((package.name, str(package.root), path))
    documents: dict[str, Document] = {}
    for document in _parse(tasks, workers):
        documents.setdefault(document.digest, document)
    return [documents[digest] for digest in sorted(documents)]


def _parse(tasks: list[tuple[str, str, str]], workers: int) -> Iterable[Document]:
    if workers > 1 and len(tasks) >= _FILES_WORTH_A_POOL:
        # Spawned, because the caller may hold the threads of JAX or TensorFlow.
        context = multiprocessing.get_context("spawn")
        try:
            with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
                files = list(pool.map(_documents_of_file, tasks, chunksize=64))
            return (document for found in files for document in found)
        except BrokenProcessPool:
            # A caller without an importable main module (python -) can't spawn.
            pass
    return (document for task in tasks for document in _documents_of_file(task))
