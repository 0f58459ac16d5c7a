"""What is installed, and how a person runs it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def requirements() -> list[Requirement]:
    base, groups = PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]
    extras = (*EXTRAS["train"], *EXTRAS["tpu-compile"])
    extra_groups = (*groups["torch"], *groups["browser"])
    return [Requirement(text) for text in (*base, *extras, *groups["dev"], *extra_groups)]


def test_constraints_pin_every_requirement_within_its_range() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert not [line for line in lines if re.search(r"https?:|@|^-", line)], "no addresses"
    pins = {}
    for line in lines:
        pin = Requirement(line)
        [specifier] = pin.specifier
        assert specifier.operator == "=="
        pins[canonicalize_name(pin.name)] = specifier.version
    for requirement in requirements():
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_what_a_tier_must_not_have() -> None:
    """The distribution seqio is another project than the package that we need."""

    def names(*texts: str) -> set[str]:
        return {Requirement(text).name for text in texts}

    base, groups = PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]
    tiers = names(*base, *groups["dev"], *(text for texts in EXTRAS.values() for text in texts))
    assert not names(*base) & {"jax", "flax", "optax", "tensorflow", "t5", "sentencepiece"}
    assert "torch" not in tiers and "torch" in names(*groups["torch"])
    everything = tiers | pinned(ROOT / "constraints.txt").keys()
    assert "seqio" not in everything and "seqio-nightly" in everything


@pytest.mark.parametrize("name", ["t5x", "airio", "jestimator"])
def test_t5x_sources_are_pinned_to_commits(name: str) -> None:
    text = (ROOT / "t5x-sources.txt").read_text("utf-8")
    assert re.search(rf"^{name} @ git\+https://\S+@[0-9a-f]{{40}}$", text, re.MULTILINE)


def test_every_session_is_documented_and_finds_its_tests_and_ci_runs_some() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "set -euo pipefail" in script
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    assert [p for p in re.findall(r"tests/[\w/.]+", noxfile) if not (ROOT / p).exists()] == []
    sessions = re.findall(r"^def ([a-z]\w*)\(session", noxfile, re.MULTILINE)
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert [name for name in sessions if not re.search(rf"(`|-s ){name}`", page)] == []
    pages = page + (ROOT / "README.md").read_text("utf-8")
    assert {*re.findall(r"nox -s (\w+)", pages)} - {"SESSION"} <= {*sessions}
    called = re.search(r"nox -s (.*)", script)
    assert called and {"tests", "compiled", "crosscheck", "lint", "smoke"} <= {*called[1].split()}


def pinned(path: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([\w.+-]+)", path.read_text("utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


TIERS = {
    "base": (),
    "train": EXTRAS["train"],
    "tpu-compile": EXTRAS["tpu-compile"],
    "dev": PROJECT["dependency-groups"]["dev"],
}


@pytest.mark.parametrize("tier", TIERS)
def test_hashes_are_of_the_versions_that_constraints_pin(tier: str) -> None:
    """`python -m nox -s lock` writes them; a tier is installed behind those it needs."""
    home = ROOT / "requirements"
    text = (home / f"{tier}.txt").read_text("utf-8")
    constraints, found = pinned(ROOT / "constraints.txt"), pinned(home / f"{tier}.txt")
    assert found and found.items() <= constraints.items()
    behind = {**pinned(home / "base.txt"), **({} if tier == "base" else pinned(home / "train.txt"))}
    needed = [*PROJECT["project"]["dependencies"], *TIERS[tier]]
    assert {canonicalize_name(Requirement(text).name) for text in needed} <= {*behind, *found}
    # Every requirement has a hash, and no line has an address.
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    entries = re.split(r"\n(?=\S)", "\n".join(lines))
    assert len(entries) == len(found) and all("--hash=sha256:" in entry for entry in entries)
    assert not [line for line in lines if not re.match(r"[\w.-]+==|    --hash=sha256:", line)]


def test_the_page_of_licences_is_up_to_date() -> None:
    """`python -m nox -s licences` writes it."""
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (.+) \|$", page, re.MULTILINE)[2:]
    listed = {canonicalize_name(name): version for name, version, _ in rows}
    assert listed == pinned(ROOT / "constraints.txt") and len(rows) == len(listed)
    # A further package without a stated licence is to be checked by hand.
    assert [name for name, _, licence in rows if licence == "not stated"] == ["namex"]
