"""Which data a profile reads, and prepared data that were made for another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from repro.engines.data import DataSource, wanted
from repro.specs import Profile, load_profile
from spactor.data import manifest
from spactor.errors import UserError


@pytest.fixture
def mini() -> Profile:
    return load_profile("mini")


def folder_with(home: Path, **facts: Any) -> Path:
    """A prepared folder of ``mini``'s kind, but for some facts, without files."""
    own: dict[str, Any] = {
        "format": manifest.FORMAT,
        "corpus": {"name": "c4/en", "form": "json"},
        "vocabulary": {"padded_size": 32_128},
        "tokens": {"train": 2_908_160_000, "validation": 290_816},
        "files": {},
    }
    own |= facts
    own["fingerprint"] = manifest.fingerprint_of(own)
    home.mkdir()
    manifest.write(home, own)
    return home


def test_a_profile_reads_every_chunk_once(mini: Profile) -> None:
    found = wanted(mini)
    # 40,000 steps of 128 chunks of 568 tokens; 512 chunks to validate on.
    assert found.train_tokens == 40_000 * 128 * 568 == 2_908_160_000
    assert found.validation_tokens == 512 * 568
    assert (found.vocab_size, found.suites) == (32_128, mini.suites)
    assert wanted(load_profile("paper")).train_tokens == 1_000_000 * 2048 * 568


def test_prepared_data_of_this_profile_are_taken(mini: Profile, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "data")
    source = DataSource.of(mini, folder, None)
    assert source.prepare(mini, tmp_path / "cache", print).folder == folder
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("name", "facts", "message"),
    [
        ("mini", {"vocabulary": {"padded_size": 2048}}, "a vocabulary of 2048 and profile mini"),
        ("mini", {"corpus": {"packages": {}}}, "another corpus than profile mini"),
        ("micro", {"vocabulary": {"padded_size": 2048}}, "another corpus than profile micro"),
        ("mini", {"tokens": {"train": 9, "validation": 290_816}}, "has 9 training and 290,816 v"),
        ("mini", {"tokens": {"train": 2_908_160_000, "validation": 1}}, "and 1 validation tokens"),
        ("mini", {"files": {"tokens_train.npy": "1f"}}, "tokens_train.npy is missing: copy the"),
    ],
)
def test_prepared_data_of_another_profile_are_refused(
    tmp_path: Path, name: str, facts: dict[str, Any], message: str
) -> None:
    profile = load_profile(name)
    source = DataSource.of(profile, folder_with(tmp_path / "data", **facts), None)
    with pytest.raises(UserError, match=message) as caught:
        source.prepare(profile, tmp_path / "cache", print)
    assert "\n" not in str(caught.value)


def test_the_folder_is_of_no_use_to_the_embedded_corpus(mini: Profile, tmp_path: Path) -> None:
    """The environment variable may name one for every command."""
    micro = load_profile("micro")
    assert DataSource.of(micro, None, tmp_path) == DataSource()
    assert DataSource.of(mini, None, tmp_path).released == tmp_path
    t5x = dataclasses.replace(mini, engine="t5x")
    with pytest.raises(UserError, match=r"T5X reads C4 .* leave --data out"):
        DataSource.of(t5x, tmp_path, None).require(t5x)


def test_metrics_are_those_of_the_profiles_suites(mini: Profile) -> None:
    real = DataSource.of(mini, None, None).metric_versions("glue")
    assert real["mnli"] == {"accuracy_matched": "1", "accuracy_mismatched": "1"}
    assert set(DataSource().metric_versions("glue")) == {"acceptability", "order", "topic"}
