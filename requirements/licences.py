"""Writes ``docs/licences.md``: the licence of every package in ``constraints.txt``.

Run by ``python -m nox -s licences``. What a package says of itself in its metadata is listed: as
installed or, of PyTorch, libtpu and what else is in no environment together with the rest, as pip
reports them without installing them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from email.message import Message
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
LONGEST = 60
_CLASSIFIER = "License :: "
_HEAD = """\
# Licences of the dependencies

Written by `python -m nox -s licences`; not to be edited. Packages and versions are those of
`constraints.txt`; the licence is what the package's own metadata say: its SPDX expression, or its
classifiers, or the first words of its field `License`. None of them is shipped with this project.

| package | version | licence |
| --- | --- | --- |
"""


def pins() -> dict[str, str]:
    """Versions of ``constraints.txt`` by name."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def licence_of(about: metadata.PackageMetadata) -> str:
    """What a package's metadata say.

    >>> from email.message import Message
    >>> about = Message()
    >>> about["Classifier"] = "License :: OSI Approved :: MIT License"
    >>> licence_of(about)
    'MIT License'
    """
    if expression := about.get("License-Expression"):
        return str(expression)
    found = [str(c) for c in about.get_all("Classifier") or [] if str(c).startswith(_CLASSIFIER)]
    named = [c.split(" :: ")[-1] for c in found if c != "License :: OSI Approved"]
    if named:
        return ", ".join(sorted(named))
    text = " ".join(str(about.get("License") or "").split())
    return f"{text[:LONGEST]}…" if len(text) > LONGEST else text or "not stated"


def reported(wanted: list[str]) -> dict[str, metadata.PackageMetadata]:
    """Metadata by name of packages that pip could install, such as ``["torch==2.13.0"]``."""
    if not wanted:
        return {}
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps")
    more = ("--ignore-installed", "--report", "-", *wanted)
    done = subprocess.run([*command, *more], check=True, stdout=subprocess.PIPE, text=True)
    found = {}
    for item in json.loads(done.stdout)["install"]:
        about = Message()
        for field in ("license_expression", "license"):
            if value := item["metadata"].get(field):
                about[field.replace("_", "-")] = value
        for value in item["metadata"].get("classifier", ()):
            about["Classifier"] = value
        found[item["metadata"]["name"].lower()] = about
    return found


def main() -> None:
    found, absent = {}, []
    for name, version in pins().items():
        try:
            distribution = metadata.distribution(name)
            if distribution.version != version:
                raise metadata.PackageNotFoundError(name)
            found[name] = distribution.metadata
        except metadata.PackageNotFoundError:
            absent.append(f"{name}=={version}")
    found |= reported(absent)
    rows = [
        f"| {name} | {version} | {licence_of(found[name]).replace('|', '/')} |\n"
        for name, version in pins().items()
    ]
    PAGE.write_text(_HEAD + "".join(rows), "utf-8")


if __name__ == "__main__":
    main()
