"""Runs readers under atheris: ``python tests/fuzz/campaign.py --out FOLDER [READER ...]``.

Each reader runs in a process of its own, as a hang or a crash of native code ends the process.
Half of the inputs come from libFuzzer, half from `mutations`. The first input that breaks the
promise (see `harmless`) ends the reader's run and is stored in the folder.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGES = ("analysis", "figures", "repro", "spactor", "tables", "tomllib", "csv")
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", "-verbosity=0")
"""Seconds, megabytes and bytes of one input, for libFuzzer."""


def fuzz(name: str, runs: int, seconds: int, out: Path) -> None:
    """Fuzzes one reader and ends this process: with code 1 if the reader broke the promise."""
    import atheris

    with atheris.instrument_imports(include=[*PACKAGES]):
        import harmless
        import mutations
        import readers

    reader = readers.BY_NAME[name]
    folder, corpus = (Path(tempfile.mkdtemp(prefix="fuzz-")) for _ in range(2))
    for number, seed in enumerate(reader.seeds()):
        (corpus / str(number)).write_bytes(seed)
        harmless.check(reader, seed, folder)
    began, inputs = time.monotonic(), 0

    def read(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        code = None
        try:
            harmless.check(reader, data, folder)
        except Exception:
            code = 1
            traceback.print_exc()
            (out / name.replace(" ", "-")).write_bytes(data)
        if code or inputs >= runs or time.monotonic() - began > seconds:
            print(f"{name}: {inputs:,} inputs in {time.monotonic() - began:.0f} s", flush=True)
            # libFuzzer would wait for threads of libraries, some of which never end.
            os._exit(code or 0)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        if seed % 2:
            return atheris.Mutate(data, longest)
        return mutations.mutate(reader.kind, data, random.Random(seed))[:longest]

    arguments = [sys.argv[0], *LIMITS, f"-artifact_prefix={out}/", str(corpus)]
    atheris.Setup(arguments, read, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="READER")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs of each reader")
    parser.add_argument("--seconds", type=int, default=1800, help="most seconds of each reader")
    parser.add_argument("--out", type=Path, required=True, help="folder for inputs that break one")
    parser.add_argument("--here", action="store_true", help="fuzz one reader in this process")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(TESTS / "repro"), str(TESTS.parent)]
    if given.here:
        fuzz(*given.names, given.runs, given.seconds, given.out)
    from readers import BY_NAME

    bounds = ("--runs", str(given.runs), "--seconds", str(given.seconds), "--out", str(given.out))
    failed = [
        name
        for name in given.names or BY_NAME
        if subprocess.run((sys.executable, __file__, "--here", *bounds, name)).returncode
    ]
    print(f"readers that broke the promise, hung or crashed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
