"""Runs readers under atheris: ``python tests/fuzz/campaign.py --out FOLDER [READER ...]``.

Each reader runs in a process of its own, as a hang or a crash of native code ends the process.
Half of the inputs come from libFuzzer, half from `mutations`. libFuzzer stores the first input
that `harmless.check` refuses in the folder and ends the reader's run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGES = ("analysis", "figures", "repro", "spactor", "tables", "tomllib", "csv")
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", "-verbosity=0")
"""Seconds, megabytes and bytes of one input, for libFuzzer."""


def fuzz(name: str, runs: int, seconds: int, out: Path) -> None:
    """Fuzzes one reader and ends this process, with code 0 if no input was refused."""
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
    inputs = 0

    def read(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        harmless.check(reader, data, folder)
        if inputs == runs or time.monotonic() > end:
            print(f"{name}: {inputs:,} inputs", flush=True)
            # libFuzzer would wait for threads of libraries, some of which never end.
            os._exit(0)

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        if seed % 2:
            return atheris.Mutate(data, longest)
        return mutations.mutate(reader.kind, data, random.Random(seed))[:longest]

    prefix = f"-artifact_prefix={out}/{name.replace(' ', '-')}-"
    end = time.monotonic() + seconds
    atheris.Setup([sys.argv[0], *LIMITS, prefix, str(corpus)], read, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="READER")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs of each reader")
    parser.add_argument("--seconds", type=int, default=1800, help="most seconds of each reader")
    parser.add_argument("--out", type=Path, required=True, help="folder for inputs that fail")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(TESTS / "repro"), str(TESTS.parent)]
    from readers import BY_NAME

    failed = []
    for name in given.names or BY_NAME:
        arguments = (name, given.runs, given.seconds, given.out)
        process = multiprocessing.get_context("spawn").Process(target=fuzz, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            failed.append(name)
    print(f"readers that failed, hung or crashed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
