"""The cross-validation, from a manifest to the scores it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hydroear.dsp import FrontEndSpec
from hydroear.errors import UsageError
from hydroear_train.cache import Arrays, Cache, note
from hydroear_train.corpus import Entry
from hydroear_train.evaluate import Scored
from hydroear_train.fits import do_each, fits_of
from hydroear_train.recipe import Recipe
from hydroear_train.splits import Split, leave_one_fold_out, recording_hashes, trained_on_other_groups
from hydroear_train.textfile import check_writable, csv_text, write_text
from hydroear_train.trial import DECADES, PARTS, SITE, Trials, windows

TRANSFER_SITES = 16
"""Simulated pipes that help out where a bundle hears few real ones, and none of the site it is for."""


@dataclass(frozen=True)
class Files:
    """What a cross-validation leaves.

    Attributes
    ----------
    scores
        Site scores of every window by every seed: ``file,start_s,score,fold,seed``.
    mean
        The same, averaged over seeds: ``file,start_s,score,fold``.
    parts
        What the site scores are fused from: ``file,start_s,PART…,fold,seed``.
    cache
        Folder of bundles and of what they hear, from which an interrupted run goes on.
    """

    scores: Path
    mean: Path
    parts: Path
    cache: Path

    @classmethod
    def beside(cls, scores: Path) -> Files:
        """Files named after the first of them.

        Raises
        ------
        UsageError
            If that is no CSV file's name, or nothing can be written there.
        """
        if scores.suffix != ".csv":
            raise UsageError("no name for a CSV file", where=scores, expected="a name that ends in .csv")
        files = cls(scores, *(scores.with_suffix(suffix) for suffix in (".mean.csv", ".parts.csv", ".cache")))
        for path in (files.scores, files.mean, files.parts):
            check_writable(path)
        return files


@dataclass(frozen=True)
class Outcome:
    """What a cross-validation gave.

    Attributes
    ----------
    runs
        Site scores of all windows of all recordings, by seed.
    decades
        Minus log10 of the probability that a unit gives each window, by seed, in the order of `runs`.
    fit_s
        How long each fit took, with one thread.
    """

    runs: dict[int, Scored]
    decades: dict[int, NDArray[np.float64]]
    fit_s: NDArray[np.float64]


def crossval(
    entries: Sequence[Entry],
    recipe: Recipe,
    out: Path,
    *,
    fold_column: str,
    group_column: str,
    seeds: int,
    transfer: bool = False,
    jobs: int = 1,
    quiet: bool = False,
) -> Outcome:
    """Score each fold of each group by bundles that never heard it, and write the :class:`Files` beside `out`.

    Parameters
    ----------
    entries
        Rows of a manifest. Those that share a value in a column ``operating_point`` are drawn together for intervals.
    recipe
        How to train; its seed is replaced by 0, 1 and so on.
    out
        CSV file for the scores.
    fold_column, group_column
        Columns that name the fold and the group of a recording.
    seeds
        How many runs.
    transfer
        Whether bundles are trained on the other groups and on simulated pipes (:data:`TRANSFER_SITES`, where the recipe
        names none), so that a group's own normals only calibrate the site.
    jobs
        How many fits at once, each with one thread; the scores do not depend on it.
    quiet
        Whether to show no progress.

    Raises
    ------
    UsageError
        If the manifest does not allow it, or `out` cannot be written.
    HydroearError
        If a recording or the recipe cannot be used, or a fit fails.
    """
    hashes = recording_hashes(entries)
    splits = leave_one_fold_out(entries, fold_column=fold_column, group_column=group_column)
    if transfer:
        splits = trained_on_other_groups(splits, entries, group_column=group_column)
        recipe = recipe.with_simulated_sites(TRANSFER_SITES)
    files = Files.beside(out)
    _check(entries, recipe.spec, quiet=quiet)
    trials = Trials(recipe.extractor.architecture, recipe, hashes, Cache(files.cache, note), group_column=group_column)
    fits = fits_of(trials, splits, seeds)
    do_each(fits, jobs=jobs, quiet=quiet)

    heard = {seed: [trials.heard(split, seed) for split in splits] for seed in range(seeds)}
    runs = {seed: _scored(splits, of_splits) for seed, of_splits in heard.items()}
    parts = {seed: {part: np.concatenate([of[part] for of in heard[seed]]) for part in PARTS} for seed in heard}
    write_text(files.scores, _table(runs, {seed: {"score": scored.score} for seed, scored in runs.items()}))
    write_text(files.parts, _table(runs, parts))
    mean = Scored.mean_of(list(runs.values()))
    write_text(files.mean, _csv(["file", "start_s", "score", "fold"], [mean.file, mean.start_s, mean.score, mean.fold]))
    decades = {seed: np.concatenate([of[DECADES] for of in heard[seed]]) for seed in heard}
    return Outcome(runs, decades, np.array([trials.fit_s(fit.splits[0], fit.seed) for fit in fits]))


def _check(entries: Sequence[Entry], spec: FrontEndSpec, *, quiet: bool) -> None:
    """Hear every recording once: what is wrong with one is better known before hours of training."""
    for entry in tqdm(entries, desc="checking", unit="recording", disable=quiet):
        windows(entry, spec)


def _scored(splits: Sequence[Split], heard: Sequence[Arrays]) -> Scored:
    return Scored.concatenate(
        [split.scored(of["recording"], of["start_s"], of[SITE]) for split, of in zip(splits, heard, strict=True)]
    )


def _table(runs: Mapping[int, Scored], values: Mapping[int, Mapping[str, NDArray[np.float64]]]) -> str:
    """Columns of values of every window, by seed."""
    names = list(values[0])
    header = ["file", "start_s", *names, "fold", "seed"]
    columns = [
        [scored.file, scored.start_s, *values[seed].values(), scored.fold, np.full(len(scored), seed)]
        for seed, scored in runs.items()
    ]
    return _csv(header, [np.concatenate(parts) for parts in zip(*columns, strict=True)])


def _csv(header: Sequence[str], columns: Iterable[NDArray[np.generic]]) -> str:
    return csv_text(header, zip(*(column.tolist() for column in columns), strict=True))
