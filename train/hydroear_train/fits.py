"""Fits that evaluations need: each bundle trained once, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hydroear_train import works
from hydroear_train.cache import digest
from hydroear_train.splits import Split
from hydroear_train.trial import Trials


@dataclass(frozen=True)
class Fit:
    """One bundle to be trained, and the splits that it serves.

    Attributes
    ----------
    trials
        Trains it, and keeps what it hears.
    splits
        All have the same training recordings.
    seed
        Of the training.
    """

    trials: Trials
    splits: tuple[Split, ...]
    seed: int

    @property
    def name(self) -> str:
        """What people call it."""
        folds = ", ".join(split.fold for split in self.splits)
        return f"{self.trials.name}, {self.splits[0].group}, fold {folds}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether all that it hears is kept."""
        return all(self.trials.is_heard(split, self.seed) for split in self.splits)

    def do(self) -> None:
        """Train, and hear the splits."""
        for split in self.splits:
            self.trials.heard(split, self.seed)


def fits_of(trials: Trials, splits: Sequence[Split], seeds: int) -> list[Fit]:
    """The fits that splits need, seed by seed."""
    fits = []
    for seed in range(seeds):
        served: dict[str, list[Split]] = {}
        for split in splits:
            served.setdefault(digest(trials.bundle_key(split, seed)), []).append(split)
        fits += [Fit(trials, tuple(of_bundle), seed) for of_bundle in served.values()]
    return fits


def do_each(fits: Sequence[Fit], *, jobs: int, quiet: bool) -> None:
    """Do those that are not done yet; see :func:`hydroear_train.works.do_each`."""
    works.do_each(fits, title="fitting", unit="fit", jobs=jobs, quiet=quiet)
