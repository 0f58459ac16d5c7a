"""`repro audit` and `repro explain` from the command line."""

import json

import pytest
import synthetic_records
from commands import run

from analysis.schema import records
from repro import collect, folders


def test_audit_lists_what_is_not_consistent_and_counts(capsys):
    code, out, _ = run(capsys, "audit")
    assert code == 0
    assert "Table 2, Base, τ = 0, 500K, BBH" in out and " checks: " in out.splitlines()[0]
    code, everything, _ = run(capsys, "audit", "--all", "--details")
    assert code == 0 and "[average/large/0/1M/squad]" in everything
    assert len(everything.splitlines()) > 2_000 > len(out.splitlines())
    code, out, _ = run(capsys, "audit", "--format", "json")
    assert code == 0 and json.loads(out)["counts"]["inconsistent"] > 10


def test_explain_reads_a_folder_of_runs_with_its_provenance(capsys, tmp_path):
    rows = synthetic_records.scores()
    for row in rows:
        row |= {"node": f"{row['suite']}/{row['tau']}/{row['checkpoint']}", "fingerprint": "print"}
    runs = folders.open_runs(tmp_path / "runs", create=True)
    home = folders.records_folder(runs, "micro")
    home.mkdir(parents=True)
    records.write(records.from_rows(rows), home / collect.METRICS)
    entry = {"node": "glue/120K/500000", "fingerprint": "print", "commit": "c0ffee"}
    folders.write_json(home / collect.PROVENANCE, {"nodes": [entry]})
    arguments = ["explain", "2", "--row", "120K 500K", "--column", "GLUE"]
    code, out, _ = run(capsys, *arguments, "--from", "published")
    assert code == 0 and out.startswith("Table 2, τ 120K, Ckpt. 500K, GLUE: 86.35 ± 0.13, bold\n")
    code, out, _ = run(capsys, *arguments, "--from", str(home / collect.METRICS))
    assert code == 0 and "GLUE: 41.50, bold\nmeasured, micro profile" in out
    code, out, _ = run(capsys, *arguments, "--runs", str(runs), "--details")
    assert code == 0
    assert "run glue/120K/500000" in out and "  code c0ffee" in out
    assert "pre-trained: by a node that is not in the provenance" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "2", "--row", "0 1M"], "Missing option '--column'"),
        (
            ["explain", "99", "--row", "0", "--column", "x", "--from", "published"],
            "there is no table 99",
        ),
        (
            ["explain", "2", "--row", "7", "--column", "x", "--from", "nowhere"],
            "--from nowhere: no such file or folder",
        ),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("repro: ") and err.count("\n") == 1 and message in err
