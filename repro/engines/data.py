"""Sources of a profile's data: installed packages, the user's folder, or a prepared folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
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
        """Digests of the prepared files and of the user's that T5X reads, by path."""
        return {**self.manifest["files"], **self.manifest.get("sources", {})}

    @property
    def facts(self) -> dict[str, Any]:
        """Facts about the data for provenance and records."""
        return {name: self.manifest[name] for name in _FACTS if name in self.manifest}

    def damage(self, names: Iterable[str]) -> str | None:
        """Describes the first of some files that differs from the manifest; None if all agree.

        The user's files, which T5X reads, are not checked again.
        """
        from spactor.data import manifest

        only = tuple(name for name in names if name in self.manifest["files"])
        return manifest.damage(self.folder, dict(self.manifest), only) if only else None


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Source of a profile's data, as options select it.

    Attributes:
      corpus: name of the profile's corpus.
      prepared: a prepared data folder to read, instead of preparing one.
      released: the user's folder with C4 and the benchmarks; None for the embedded corpus.
    """

    corpus: str = "embedded"
    prepared: Path | None = None
    released: Path | None = None

    @classmethod
    def of(cls, profile: Profile, data: Path | None, data_dir: Path | None) -> DataSource:
        """Returns the source that ``--data`` and ``--data-dir`` select for a profile."""
        corpus = profile.data.corpus
        return cls(
            corpus=corpus, prepared=data, released=None if corpus == "embedded" else data_dir
        )

    def require(self, profile: Profile) -> None:
        """Checks that the options name the data that the profile needs.

        Raises:
          UserError: no folder is named, two are, or T5X can't read the folder.
        """
        if self.corpus == "embedded":
            return
        if self.released is not None and self.prepared is not None:
            raise UserError("--data and --data-dir exclude each other: give one of them")
        if profile.engine == "t5x" and self.prepared is not None:
            raise UserError(
                "T5X reads C4 and the benchmarks themselves: name their folder with --data-dir, "
                "and leave --data out"
            )
        if self.released is None and self.prepared is None:
            raise UserError(
                f"profile {profile.name} reads {self.corpus.upper()} and the real benchmarks, "
                "which no command downloads: name your folder with them by --data-dir ('repro "
                "data check c4' lists its files); without one, run --profile micro"
            )

    def require_here(self, profile: Profile) -> None:
        """Does the checks of `require`, and checks that the folder exists on this machine.

        Raises:
          UserError: the folder does not exist, or see `require`.
        """
        self.require(profile)
        if self.released is not None and not self.released.is_dir():
            raise UserError(
                f"--data-dir {self.released}: no such folder; give the folder with the data"
            )

    def prepare(self, profile: Profile, cache: Path, report: Callable[[str], None]) -> PreparedData:
        """Finds or builds the data that the profile's engine reads.

        Args:
          profile: profile with the names of corpus, engine and suites.
          cache: folder for prepared data.
          report: function that is called with one line per stage.

        Raises:
          UserError: a file is missing or damaged, or the data are of another profile.
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

    def find(self, profile: Profile, cache: Path) -> PreparedData | None:
        """Returns prepared data without building any; None if there are none.

        Without ``prepared`` only the embedded corpus can be found.
        """
        from spactor.data import manifest, prepare

        if self.prepared is not None:
            return self.prepare(profile, cache, lambda line: None)
        folder = prepare.find(cache, profile.data)
        if folder is None:
            return None
        return PreparedData(folder=folder, manifest=manifest.read(folder))

    def _require_fitting(self, profile: Profile, facts: Mapping[str, Any]) -> None:
        from spactor.data import manifest

        assert self.prepared is not None
        if wrong := manifest.damage(self.prepared, dict(facts)):
            raise UserError(f"{wrong}: copy the prepared data again")
        where = f"{self.prepared} has"
        advice = "name data prepared for this profile"
        if facts["vocabulary"]["padded_size"] != profile.data.vocab_size:
            raise UserError(
                f"{where} a vocabulary of {facts['vocabulary']['padded_size']} and profile "
                f"{profile.name} one of {profile.data.vocab_size}: {advice}"
            )
        if ("packages" in facts["corpus"]) != (self.corpus == "embedded"):
            raise UserError(f"{where} another corpus than profile {profile.name}: {advice}")
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
                    f"{needed.validation_tokens:,}: {advice}"
                )

    def metric_versions(self, suite: str) -> dict[str, Any]:
        """Returns the versions of a suite's metrics, by the task's name in the records."""
        from spactor.data.suites import suite_named

        return dict(suite_named(suite, self.corpus).metric_versions)


EMBEDDED = DataSource()
"""The docstrings of the packages installed on this machine."""


def wanted(profile: Profile) -> Wanted:
    """Returns the number of C4's tokens and the benchmarks that a profile reads.

    There are enough training tokens that no pre-training reads a chunk twice, and enough validation
    tokens for the validation set, at every size.
    """
    from spactor.data.released import Wanted

    sizes = [(config.lengths.chunk_tokens, config.batch_size) for config in profile.sizes.values()]
    return Wanted(
        vocab_size=profile.data.vocab_size,
        train_tokens=max(profile.total_steps * batch * chunk for chunk, batch in sizes),
        validation_tokens=max(profile.validation_chunks * chunk for chunk, _ in sizes),
        suites=profile.suites,
    )


def require_packages(*names: str) -> None:
    """Checks, without importing them, that packages of the ``train`` extra are installed.

    Raises:
      ModuleNotFoundError: one is not; the command line prints how to install the extra.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
