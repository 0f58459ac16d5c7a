"""Prints the ratios in a benchmark's JSON: ``python tests/benchmarks/summary.py FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spactor.text_table import align

HEADINGS = ("what", "against", "time ratio", "range", "aimed at", "reached")
TEXTS = {
    "speed_ratio": "sequences per second over the control's {:.2f}",
    "flops_ratio": "by counted FLOPs {:.3f}",
    "published_flops_ratio": "of the published size {:.3f}",
    "sequences_per_second": "{:,.1f} sequences per second",
    "flops_per_second": "{:.3g} FLOPs per second and device",
    "mfu": "MFU {:.1%}",
    "divided_by": "of {}",
    "seconds_aimed_at": "aimed at {} s",
    "peak_gigabytes": "peak memory {:.2f} GB",
    "gigabytes_aimed_at": "aimed at {} GB",
}


def lines(result: Mapping[str, Any]) -> list[str]:
    """One line a benchmark, and under it its other facts.

    Args:
      result: what pytest-benchmark writes with ``--benchmark-json``.
    """
    rows, notes = [HEADINGS], []
    for benchmark in result["benchmarks"]:
        facts = benchmark["extra_info"]
        median = f"median {benchmark['stats']['median']:.4g} s"
        aim, least = facts.get("at_most"), facts.get("at_least", 0.0)
        if "ratio" in facts:
            rows.append(
                (
                    facts["what"],
                    facts["against"],
                    f"{facts['ratio']:.3f}",
                    f"{facts['lowest']:.3f}-{facts['highest']:.3f}",
                    "" if aim is None else f"{least:g} to {aim:g}" if least else f"≤ {aim:g}",
                    "" if aim is None else "yes" if least <= facts["ratio"] <= aim else "no",
                )
            )
            median += f", control {facts['control_seconds']:.4g} s, {facts['rounds']} rounds"
        else:
            rows.append((facts.get("what", benchmark["name"]), "", "", "", "", ""))
        extra = [
            text.format(facts[name]) for name, text in TEXTS.items() if facts.get(name) is not None
        ]
        notes.append("; ".join([median, *extra]))
    heading, *aligned = align(rows, width=sys.maxsize)
    pairs = zip(aligned, notes, strict=True)
    return [heading, *(text for line, note in pairs for text in (line, f"    {note}"))]


def main() -> None:
    [path] = sys.argv[1:]
    result = json.loads(Path(path).read_text("utf-8"))
    machine = result["machine_info"]
    cores = machine.get("cpu", {}).get("count", "?")
    print(f"{path}: {machine['machine']}, {cores} cores, Python {machine['python_version']}")
    print("\n".join(lines(result)))


if __name__ == "__main__":
    main()
