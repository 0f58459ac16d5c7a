"""Where a profile's data come from: packages installed here, the user's folder, or prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.specs import Profile
from spactor.errors import UserError

if TYPE_CHECKING:
    from spactor.data.released import Wanted

_FACTS = (
    *("fingerprint", "corpus", "tokens", "vocabulary"),
    *("unigram_entropy_nats", "most_frequent_token_rate"),
)


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A prepared data folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def files(self) -> Mapping[str, str]:
        """Digest of each file, by its path in the folder; of the user's that T5X reads, too."""
        return {**self.manifest["files"], **self.manifest.get("sources", {})}

    @property
    def facts(self) -> dict[str, Any]:
        """What provenance and the records say about the data."""
        return {name: self.manifest[name] for name in _FACTS if name in self.manifest}


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """What the user said of the data of a profile.

    Attributes:
      corpus: the profile's.
      prepared: a prepared data folder to read, instead of preparing one.
      released: the user's folder with C4 and the benchmarks; never for the embedded corpus.
    """

    corpus: str = "embedded"
    prepared: Path | None = None
    released: Path | None = None

    @classmethod
    def of(cls, profile: Profile, data: Path | None, data_dir: Path | None) -> DataSource:
        """What the options ``--data`` and ``--data-dir`` say for a profile."""
        corpus = profile.data.corpus
        return cls(
            corpus=corpus, prepared=data, released=None if corpus == "embedded" else data_dir
        )

    def require(self, profile: Profile) -> None:
        """Refuses a profile whose data nobody named.

        Raises:
          UserError: a folder is missing, or one too many.
        """
        if self.corpus == "embedded":
            return
        if self.released is not None and self.prepared is not None:
            raise UserError("--data names prepared data and --data-dir what to prepare: give one")
        if profile.engine == "t5x" and self.prepared is not None:
            raise UserError(
                "T5X reads C4 and the benchmarks themselves: name their folder with --data-dir, "
                "and leave --data out"
            )
        if self.released is None and self.prepared is None:
            raise UserError(
                f"profile {profile.name} reads {self.corpus.upper()} and the real benchmarks, "
                "which nothing here fetches: name the folder that holds yours with --data-dir "
                "('repro data check c4' says what belongs there); without any, run --profile micro"
            )

    def require_here(self, profile: Profile) -> None:
        """The same on the machine that runs it.

        Raises:
          UserError: the folder named is not there, too.
        """
        self.require(profile)
        if self.released is not None and not self.released.is_dir():
            raise UserError(
                f"--data-dir {self.released}: no such folder; give the one that holds the data"
            )

    def prepare(self, profile: Profile, cache: Path, report: Callable[[str], None]) -> PreparedData:
        """Finds or builds what an engine reads of it.

        Args:
          profile: what is run.
          cache: folder for prepared data.
          report: called with one line per stage.

        Raises:
          UserError: something is missing, damaged, or made for another profile.
        """
        from spactor.data import manifest, prepare, released

        self.require_here(profile)
        if self.prepared is not None:
            facts = manifest.read(self.prepared)
            self._require_fitting(profile, facts)
            return PreparedData(folder=self.prepared, manifest=facts)
        if self.released is None:
            folder = prepare.prepare(cache, profile.data, report)
        else:
            of = released.prepare_for_t5x if profile.engine == "t5x" else released.prepare
            folder = of(cache, self.released, wanted(profile), report)
        return PreparedData(folder=folder, manifest=manifest.read(folder))

    def _require_fitting(self, profile: Profile, facts: Mapping[str, Any]) -> None:
        from spactor.data import manifest

        assert self.prepared is not None
        if wrong := manifest.damage(self.prepared, dict(facts)):
            raise UserError(f"{wrong}: copy the prepared data again")
        where = f"{self.prepared} has"
        mend = "name data prepared for this profile"
        if facts["vocabulary"]["padded_size"] != profile.data.vocab_size:
            raise UserError(
                f"{where} a vocabulary of {facts['vocabulary']['padded_size']} and profile "
                f"{profile.name} one of {profile.data.vocab_size}: {mend}"
            )
        if ("packages" in facts["corpus"]) != (self.corpus == "embedded"):
            raise UserError(f"{where} another corpus than profile {profile.name}: {mend}")
        if self.corpus != "embedded":
            needed = wanted(profile)
            found = facts.get("tokens", {"train": 0, "validation": 0})
            if (
                found["train"] < needed.train_tokens
                or found["validation"] < needed.validation_tokens
            ):
                raise UserError(
                    f"{where} {found['train']:,} training and {found['validation']:,} validation "
                    f"tokens and profile {profile.name} reads {needed.train_tokens:,} and "
                    f"{needed.validation_tokens:,}: {mend}"
                )

    def metric_versions(self, suite: str) -> dict[str, Any]:
        """Versions of a suite's metrics by the records' tasks, from its own table."""
        if self.corpus != "embedded":
            from spactor.data import benchmarks

            return dict(benchmarks.metric_versions(suite))
        from spactor.data.suites import SUITES

        return {
            task.name: {metric.name: metric.version for metric in task.metrics}
            for task in SUITES[suite].tasks
        }


EMBEDDED = DataSource()
"""The docstrings of this machine's packages."""


def wanted(profile: Profile) -> Wanted:
    """What a profile reads of C4 and the benchmarks.

    As many tokens as its longest pre-training, so that no chunk is read twice, and the validation
    set; the largest of all sizes.
    """
    from spactor.data.released import Wanted

    sizes = [(config.lengths.chunk_tokens, config.batch_size) for config in profile.sizes.values()]
    return Wanted(
        vocab_size=profile.data.vocab_size,
        train_tokens=max(profile.total_steps * batch * chunk for chunk, batch in sizes),
        validation_tokens=max(profile.validation_chunks * chunk for chunk, _ in sizes),
        suites=profile.suites,
    )
