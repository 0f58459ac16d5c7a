"""What is declared as read is enough: every output is the same of a part of a file as of all."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import synthetic_records as synthetic

import figures
import tables
from analysis import learning, paper, power, savings, scores, trend
from analysis.schema import published, records
from analysis.schema.rows import SCORES, of_metrics
from spactor.errors import UserError

GROUP_ROWS = 300


def claims_and_power(frame: pd.DataFrame) -> tuple:
    judged = paper.judge(frame)
    return judged, power.run(judged, {"base": 5, "large": 3})


OUTPUTS = {
    **{f"table {n}": (module.reads, module.compute) for n, module in tables.REGISTRY.items()},
    **{f"figure {n}": (module.reads, module.compute) for n, module in figures.REGISTRY.items()},
    "trend": (trend.READS, trend.run),
    "savings": (savings.READS, lambda frame: savings.run(frame, draws=99)),
    "learned": (learning.READS, lambda f: (learning.run(f), learning.compare_with_scratch(f))),
    "claims, power": (paper.READS, claims_and_power),
}
TRAIN = [{**row, "metric": "train/loss", "value": 1.0} for row in synthetic.series()[::8]]


def small_study() -> pd.DataFrame:
    """Made-up records; of some fine-tuning runs the rules' selections too, as if collected."""
    made = records.from_rows([*TRAIN, *synthetic.series(seeds=3), *synthetic.costs()])
    runs = records.from_rows([*synthetic.scores(2), *synthetic.scores(2, "large", ("0", "120K"))])
    zero = records.from_rows(
        {**row, "checkpoint": 0} for row in synthetic.scores(2) if row["checkpoint"] == 500_000
    )
    facts = records.from_rows([*synthetic.facts(), *synthetic.example()])
    collected = runs[runs["finetune_seed"] == 0]
    return records.combine(
        made, runs, zero, scores.select_by_all_rules(collected), facts, synthetic.timing()
    ).sort_values("value", ignore_index=True)


FRAMES = {
    "small": small_study(),
    "published": published.load_all(),
    "no score": records.from_rows(TRAIN),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The frames as files of several groups of rows."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "GROUP_ROWS", GROUP_ROWS)
        for name, frame in FRAMES.items():
            records.write(frame, folder / f"{name}.parquet")
    return folder


@functools.cache
def whole(path):
    return records.read(path)


def plain(result):
    """Results as nested tuples, for comparison; a NaN equals itself."""
    if dataclasses.is_dataclass(result):
        values = [(f.name, plain(getattr(result, f.name))) for f in dataclasses.fields(result)]
        return (type(result).__name__, *values)
    if isinstance(result, dict):
        return tuple((key, plain(value)) for key, value in result.items())
    if isinstance(result, (tuple, list)):
        return tuple(map(plain, result))
    if isinstance(result, (pd.Series, pd.DataFrame)):
        return plain(list(result.items()))
    if isinstance(result, np.ndarray):
        return plain(result.tolist())
    return "NaN" if isinstance(result, float) and math.isnan(result) else result


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_part_gives_what_the_whole_gives(files, output):
    reads, compute = OUTPUTS[output]
    for name in FRAMES:
        path = files / f"{name}.parquet"
        assert pq.read_metadata(path).num_row_groups == -(-len(FRAMES[name]) // GROUP_ROWS)
        part = records.read(path, reads)
        assert len(part) < len(FRAMES[name])
        assert plain(compute(part)) == plain(compute(whole(path)))


def test_a_part_has_just_the_records_meant(files):
    frame = FRAMES["small"]
    part = records.read(files / "small.parquet", of_metrics("data/", "train/loss") | SCORES)
    found = frame["metric"].str.startswith("data/") | (frame["metric"] == "train/loss")
    score = frame["suite"] != ""
    # The first fine-tuning seed's runs have what each rule selected; the others' evaluations are
    # all needed, since the rules have yet to select from them.
    selected = (frame["finetune_seed"] == 0) & (frame["checkpoint"] > 0)
    chosen = score & ((frame["selection"] != "") | ~selected.fillna(False))
    expected = frame[found | chosen].sort_values(list(records.KEY_COLUMNS), ignore_index=True)
    pd.testing.assert_frame_equal(part, expected)


def test_faults_are_found_in_what_is_read_and_named_by_their_row_in_the_file(tmp_path):
    path = tmp_path / "metrics.parquet"
    records.write(FRAMES["small"], path)
    frame = records.read(path)
    row = int(frame.index[frame["metric"] == "cost/pretraining_flops"][3])
    frame.loc[row, "value"] = -1.0
    frame.to_parquet(path, row_group_size=GROUP_ROWS)
    for wanted in (of_metrics("cost/"), None):
        with pytest.raises(UserError, match=f"row {row + 1}, cost/pretraining_flops is -1"):
            records.read(path, wanted)
    assert len(records.read(path, of_metrics("data/"))) == 3


def test_a_part_shows_mixed_profiles_and_damaged_columns(tmp_path):
    path = tmp_path / "metrics.parquet"
    other = records.from_rows({**row, "profile": "smoke"} for row in TRAIN)
    records.write(records.combine(FRAMES["small"], other), path)
    part = records.read(path, of_metrics("data/"))
    assert part["profile"].tolist() == ["micro"] * 3 + ["smoke"]
    with pytest.raises(UserError, match="several profiles"):
        trend.run(records.read(path, of_metrics("train/")).assign(metric=trend.CLEAN))
    FRAMES["small"].drop(columns="suite").to_parquet(path)
    with pytest.raises(UserError, match="other columns than those of records: suite"):
        records.read(path, of_metrics("data/"))
    FRAMES["small"].assign(metric=1).to_parquet(path)
    with pytest.raises(UserError, match="column 'metric' has type int64"):
        records.read(path, of_metrics("data/"))
