"""One target under atheris: ``python tests/fuzz/coverage_guided.py TARGET --runs N --out FOLDER``.

Half the inputs are libFuzzer's own mutations, half those of `mutations.py`, in a corpus seeded from
valid files. An input that breaks the promise is kept once for each place that breaks it, and the
run goes on; a hang, a crash of native code or too much memory ends it. What came out is written to
``FOLDER/TARGET.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("analysis", "figures", "repro", "spactor", "tables")
SECONDS_EACH = 10
MEMORY_MB = 2048
LONGEST = 1 << 16
MEMORY = Path("/dev/shm")
"""Where files are written without a disk, which can cost more than all that reads them."""


def _place_of(error: BaseException) -> str:
    """The kind of error and the line of ours that let it through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(ROOT) and "tests" not in f.filename]
    last = own[-1] if own else frames[-1]
    return f"{type(error).__name__} {Path(last.filename).name}:{last.lineno} {last.name}"


def main() -> None:
    # Here, since pytest reads this file too and atheris is installed for the fuzzer alone.
    import atheris

    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=[*PACKAGES, "tomllib", "csv"]):
        import harmless
        import mutations
        import targets

        target = next(one for one in targets.TARGETS if one.name == given.target)
        home = MEMORY if MEMORY.is_dir() else None
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target.name}-", dir=home))
        corpus = Path(tempfile.mkdtemp(prefix=f"corpus-{target.name}-", dir=home))
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed{number}").write_bytes(seed)
            with contextlib.suppress(Exception):
                # Imports what is imported late; atheris tells of each on stderr.
                harmless.check(target, seed, folder)

    inputs = 0
    refused = 0
    found: dict[str, str] = {}

    def one_input(data: bytes) -> None:
        nonlocal inputs, refused
        inputs += 1
        try:
            refused += bool(harmless.check(target, data, folder))
        except Exception as error:
            where = _place_of(error)
            if where not in found:
                found[where] = str(error)[:200]
                given.out.mkdir(parents=True, exist_ok=True)
                name = f"{target.name}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"
                (given.out / name).write_bytes(data)
                print(f"FOUND {where}: {error!s:.200}", file=sys.stderr)
        over = inputs >= given.runs or time.monotonic() - began > given.seconds
        if over or not inputs % 100:
            report()
        if over:
            # libFuzzer's own end waits for threads of libraries, some of which never end.
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(corpus, ignore_errors=True)
            os._exit(0)

    def mutated(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, longest)
        return mutations.mutated(target.kind, data, rng)[:longest]

    began = time.monotonic()

    def report() -> None:
        line = {
            "target": target.name,
            "inputs": inputs,
            "seconds": round(time.monotonic() - began, 1),
            "refused": refused,
            "findings": found,
        }
        (given.out / f"{target.name}.json").write_text(json.dumps(line) + "\n")

    arguments = [
        sys.argv[0],
        f"-timeout={SECONDS_EACH}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={given.out}/{target.name}-",
        "-print_final_stats=0",
        "-verbosity=0",
        str(corpus),
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    atheris.Setup(arguments, one_input, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
