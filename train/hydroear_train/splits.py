"""Splits: which recordings a detector learns from, and which it is then heard on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydroear.errors import UsageError
from hydroear_train.corpus import LEAK, NORMAL, Entry, recording_sha256
from hydroear_train.evaluate import Names, Real, Scored


@dataclass(frozen=True)
class Split:
    """One fold held out.

    Attributes
    ----------
    group, fold
        The site or session, and which part of it is held out.
    training
        Normal recordings that an extractor is trained on.
    normals
        Normal recordings of the group, that a back-end is fitted on.
    tests
        The held-out recordings, normal and leak.
    leaks
        Other leaks of the group, for the bound that is taught them; detectors never meet them.
    """

    group: str
    fold: str
    training: tuple[Entry, ...]
    normals: tuple[Entry, ...]
    tests: tuple[Entry, ...]
    leaks: tuple[Entry, ...] = ()

    def __post_init__(self) -> None:
        learned = (*self.training, *self.normals)
        if any(entry.label != NORMAL for entry in learned):
            raise ValueError("a leak among the recordings to learn from")
        if {entry.path for entry in (*learned, *self.leaks)} & {entry.path for entry in self.tests}:
            raise ValueError("a recording on both sides")

    def scored(self, recording: NDArray[np.intp], start_s: Real, score: Real) -> Scored:
        """Scores of windows, shape (n,), as a table; `recording` says in which of the tests each window lies.

        Recordings without a column ``operating_point`` are a point each.
        """

        def column(values: list[str]) -> Names:
            return np.array(values)[recording]

        return Scored(
            file=column([entry.columns["file"] for entry in self.tests]),
            start_s=start_s,
            score=score,
            leak=column([entry.label for entry in self.tests]) == LEAK,
            group=np.full(len(recording), self.group),
            fold=np.full(len(recording), self.fold),
            point=column([entry.columns.get("operating_point", entry.columns["file"]) for entry in self.tests]),
        )


def recording_hashes(entries: Sequence[Entry]) -> dict[Path, str]:
    """SHA-256 of each recording, in hex.

    Raises
    ------
    AudioError
        If a recording cannot be read.
    UsageError
        If two rows are the same recording.
    """
    hashes: dict[Path, str] = {}
    first: dict[str, Path] = {}
    for entry in entries:
        sha256 = recording_sha256(entry.path)
        if sha256 in first:
            raise UsageError(
                f"the same recording as {first[sha256].name}",
                where=entry.path,
                expected="each recording once, or one side of a split would know the other",
                fix="remove one of the two rows",
            )
        first[sha256] = entry.path
        hashes[entry.path] = sha256
    return hashes


def leave_one_fold_out(entries: Sequence[Entry], *, fold_column: str, group_column: str) -> list[Split]:
    """For each fold of each group: learn from the normals of the other folds, hear the recordings of this one.

    Raises
    ------
    UsageError
        If a column is missing, a label is neither ``normal`` nor ``leak``, or a group has one fold or too few normals.
    """
    for column in (fold_column, group_column):
        if column not in entries[0].columns:
            raise UsageError(
                f"no column {column!r}", where="manifest", expected=f"one of: {', '.join(entries[0].columns)}"
            )
    for entry in entries:
        if entry.label not in (NORMAL, LEAK):
            raise UsageError(
                f"label {entry.label!r}", where=entry.path, expected="normal or leak", fix="correct the manifest"
            )
    splits = []
    for group in sorted({entry.columns[group_column] for entry in entries}):
        members = [entry for entry in entries if entry.columns[group_column] == group]
        where = f"{group_column} {group}"
        folds = sorted({entry.columns[fold_column] for entry in members})
        if len(folds) < 2:
            raise UsageError("one fold only", where=where, expected=f"two values of {fold_column} or more")
        for fold in folds:
            normals = tuple(e for e in members if e.columns[fold_column] != fold and e.label == NORMAL)
            if not normals:
                raise UsageError(
                    f"no normal recordings outside {fold_column} {fold}", where=where, fix="choose other folds"
                )
            tests = tuple(e for e in members if e.columns[fold_column] == fold)
            leaks = tuple(e for e in members if e.columns[fold_column] != fold and e.label == LEAK)
            splits.append(Split(group, fold, normals, normals, tests, leaks))
    return splits


def trained_on_other_groups(splits: Sequence[Split], entries: Sequence[Entry], *, group_column: str) -> list[Split]:
    """The same splits, with extractors that are trained on the normals of the other groups.

    Raises
    ------
    UsageError
        If the other groups have no normals.
    """
    transferred = []
    for split in splits:
        others = tuple(e for e in entries if e.label == NORMAL and e.columns[group_column] != split.group)
        if not others:
            raise UsageError(
                "no normal recordings in other groups",
                where=f"{group_column} {split.group}",
                expected="two groups or more to train on the others",
            )
        transferred.append(replace(split, training=others))
    return transferred
