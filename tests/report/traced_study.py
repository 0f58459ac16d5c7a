"""A study of two runs a cell, with the provenance of every node: fit to trace each cell."""

from __future__ import annotations

import synthetic_records as synthetic

from analysis.schema import records
from spactor.config import PAPER
from spactor.plain_data import to_mapping

HOSTILE = '</script><img src="x" onerror="alert(1)"><script>alert(2)</script>'
"""A name that a page must show as it is."""
_SEGMENTS = (
    # name, stage, start, end, parent
    ("base/s0/hybrid/0-120K", "hybrid", 0, 240, None),
    ("base/s0/tau120K/120K-500K", "span_corruption", 240, 1000, "base/s0/hybrid/0-120K"),
    ("base/s0/sc/0-500K", "span_corruption", 0, 1000, None),
)


def node_of(row):
    """A fine-tuning's name."""
    at = f"base/s0/tau{row['tau']}/{row['checkpoint'] // 1000}K"
    return f"{at}/finetune-{row['suite']}/f{row['finetune_seed']}"


def study():
    """Two runs a cell, each with its node."""
    rows = synthetic.scores(runs=2)
    for row in rows:
        row["node"] = node_of(row)
        row["fingerprint"] = f"print of {row['node']}"
    more = (*synthetic.series(), *synthetic.costs(), *synthetic.facts(), *synthetic.example())
    return records.from_rows([*rows, *more])


def provenance(study):
    """Of every node; Base's shapes, ten seconds each, and a hostile command."""
    shared = {
        "commit": "c0ffee",
        "data": {"fingerprint": "d" * 64, "tokens": {"train": 12_000}},
        "packages": {"jax": "0.10.2"},
        "command": HOSTILE,
        "attempts": [{"started": "2026-01-01T00:00:00+00:00", "seconds": 10.0}],
        "seeds": {"pretraining": 0},
    }
    config = to_mapping(PAPER["base"])
    entries = []
    for name, stage, start, end, parent in _SEGMENTS:
        inputs = {"kind": "pretraining", "size": "base", "stage": stage, "config": config}
        inputs |= {"start_step": start, "end_step": end}
        inputs |= {"parent": parent and f"print of {parent}"}
        taus = ("120K", "250K") if stage == "hybrid" else ("0",)
        experiments = [{"size": "base", "tau": tau, "seed": 0} for tau in taus]
        entries.append({"node": name, "inputs": inputs, "experiments": experiments})
    for node in study.loc[study["node"] != "", "node"].unique():
        length = {"total_steps": 60, "batch_size": 128, "input_length": 512}
        inputs = {"kind": "finetuning", "size": "base", "suite": "glue", "config": length}
        inputs |= {"pretraining": config, "parent": "print of base/s0/tau120K/120K-500K"}
        entries.append({"node": node, "inputs": inputs, "experiments": []})
    return [{**shared, **entry, "fingerprint": f"print of {entry['node']}"} for entry in entries]
