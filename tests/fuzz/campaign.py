"""Every target under atheris, one after the other, and a table of what came out.

``python tests/fuzz/campaign.py --runs 100000 --seconds 1800 --out runs/fuzz [TARGET ...]``. Exits
with 1 if an input broke a reader; such inputs lie in the folder, by target.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import targets

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs of each target")
    parser.add_argument("--seconds", type=int, default=1800, help="most seconds of each target")
    parser.add_argument("--out", type=Path, required=True, help="folder for results and findings")
    given = parser.parse_args()
    known = [target.name for target in targets.TARGETS]
    if unknown := set(given.names) - set(known):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{'target':24} {'inputs':>9} {'seconds':>9} {'refused':>9}  findings")
    broken = 0
    for name in given.names or known:
        found = run(name, given.runs, given.seconds, given.out)
        broken += bool(found["findings"])
        numbers = (f"{found['inputs']:9,}", f"{found['seconds']:9.1f}", f"{found['refused']:9,}")
        print(f"{name:24} {' '.join(numbers)}  {len(found['findings'])}", flush=True)
        for where, message in found["findings"].items():
            print(f"    {where}: {message}", flush=True)
    return int(broken > 0)


def run(name: str, runs: int, seconds: int, out: Path) -> dict:
    """One target in a process of its own, which a hang or a crash of native code may end."""
    path = out / f"{name}.json"
    path.unlink(missing_ok=True)
    bounds = ("--runs", str(runs), "--seconds", str(seconds), "--out", str(out))
    with (out / f"{name}.log").open("wb") as log:
        command = (sys.executable, str(HERE / "coverage_guided.py"), name, *bounds)
        try:
            code = subprocess.run(command, stdout=log, stderr=log, timeout=seconds + 300).returncode
        except subprocess.TimeoutExpired:
            code = -9
    nothing = {"inputs": 0, "seconds": 0.0, "refused": 0, "findings": {}}
    found = json.loads(path.read_text("utf-8")) if path.is_file() else nothing
    if code:
        found["findings"][f"ended with {code}"] = f"a hang, a crash or too much memory: {log.name}"
    return found


if __name__ == "__main__":
    sys.exit(main())
