"""Text of traces, which ``repro explain`` prints."""

from __future__ import annotations

import re
from collections.abc import Iterable

from analysis.rounding import rounded
from analysis.schema.nodes import Nodes
from spactor.text_table import WIDTH, paragraphs
from tables.traces import PrintedNumber, ScoredRun, Trace

MORE = "--details prints tasks, pre-training, code, data, machine and command of each run."


def text(trace: Trace, *, details: bool = True) -> str:
    """Formats the trace of a cell.

    Args:
      trace: the trace.
      details: whether to print all that is known of each run, instead of a line for each run.
    """
    place = trace.place
    bold = ", bold" if place.cell.bold else ""
    written = [f"{place.title}: {place.cell.text()}{bold}", trace.source, *lines(trace)]
    if not details and trace.runs:
        return paragraphs([*written, *map(_short, trace.runs), MORE])
    for run in trace.runs:
        written += _run(run, place.task, trace.nodes)
    parts = [
        _command(line) if line.startswith("  repro ") else paragraphs([line]) for line in written
    ]
    return "\n".join(parts)


def _command(line: str) -> str:
    """Breaks a command into lines that can be pasted into a shell."""
    lines = [""]
    for part in re.split(r"(?<=\S) (?=--[a-z])", line):
        if lines[-1] and len(lines[-1]) + len(part) + len(" \\") >= WIDTH:
            lines.append("   ")
        lines[-1] += f" {part}" if lines[-1] else part
    return " \\\n".join(lines)


def _short(run: ScoredRun) -> str:
    name = run.node or "a run without a name"
    return f"  {name}: {rounded(run.score, 2)} at fine-tuning step {run.step}"


def lines(trace: Trace) -> list[str]:
    """Returns the derivation of the cell, without its runs."""
    return [*trace.lines, *(line for number in trace.printed for line in _printed(number))]


def _printed(number: PrintedNumber) -> Iterable[str]:
    yield f"{number.metric}: {number.text}"
    if number.bold is not None:
        yield f"  {'bold' if number.bold else 'not bold'}, as printed"
    if number.over:
        yield f"  {number.over}, by the caption or that of its sister tables"
    yield f"  {number.path}, line {number.line}"
    if number.note:
        yield f"  note: {number.note}"


def _run(run: ScoredRun, task: str, nodes: Nodes) -> Iterable[str]:
    yield f"run {run.node or 'without a name'}"
    yield (
        f"  score {run.score:.4f} at fine-tuning step {run.step} of "
        f"{', '.join(map(str, run.steps))}; pre-training seed {run.seed}, fine-tuning "
        f"seed {run.finetune_seed}"
    )
    if run.last:
        yield f"  score {run.last[1]:.4f} at the last of them, step {run.last[0]}"
    for name, metric, value in run.metrics:
        if task in ("", name):
            yield f"  {name} {metric}: {value:.4f}"
    yield from provenance_lines(nodes, run.node, run.fingerprint)


def provenance_lines(nodes: Nodes, name: str, fingerprint: str) -> Iterable[str]:
    """Yields the provenance of a run, or a remark that there is none.

    Args:
      nodes: the provenance of all runs.
      name, fingerprint: name and fingerprint of the run; "" if the records lack them.
    """
    node = nodes.named.get(name)
    if not name or node is None:
        yield "  provenance: none beside the records; `repro collect` writes it"
        return
    if fingerprint and node.fingerprint != fingerprint:
        yield (
            f"  provenance: that of another run of this name ({node.fingerprint[:12]}, not "
            f"{fingerprint[:12]}); run `repro collect` again"
        )
        return
    yield f"  fingerprint {node.fingerprint[:12]}"
    behind = list(nodes.ancestors(node))
    step = node.checkpoint_step
    at = "" if step is None else f" to its checkpoint at step {step}"
    names = " > ".join(one.name or "?" for one in reversed(behind))
    yield f"  pre-trained{at}: {names or 'by a node that is not in the provenance'}"
    yield f"  code {', '.join(dict.fromkeys(one.commit or 'unknown' for one in (node, *behind)))}"
    known = node.surroundings
    tokens = known.get("training tokens")
    size = f", {tokens} training tokens" if tokens else ""
    yield f"  data {known.get('data', 'unknown')[:12]}{size}"
    yield f"  ran {node.machine_and_time}"
    yield f"  Python {known.get('Python', 'unknown')}; {node.versions}"
    yield f"  {known.get('command', 'unknown command')}"
