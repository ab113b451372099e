"""What the measurements of a corpus say about its recordings; pure functions of a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hydroear.dsp import FrontEndSpec
from hydroear_train.corpus import LEAK, NORMAL, Entry
from hydroear_train.scan.confounding import (
    MIN_EACH,
    Factor,
    Scope,
    Telltale,
    columns_as_factors,
    find_telltales,
    find_telltales_within,
)
from hydroear_train.scan.finding import Case, Finding, Severity
from hydroear_train.scan.landmarks import find_matches
from hydroear_train.scan.measure import Measurement
from hydroear_train.scan.spectrum import FIRST_BAND_HZ, MAINS_HZ

CLIPPED_FRACTION = 1e-3
"""From here clipping is a warning: its clicks spread over all bands."""
DC_OFFSET = 0.01
"""Of full scale: 1 %, which costs headroom; the front end's high-pass removes the rest of its harm."""
HUM_DB = 6.0
"""From here a line is heard rather than guessed."""
OUTLIER_SCORE = 3.5
"""Modified z-score of an outlier: B. Iglewicz and D. C. Hoaglin, *How to Detect and Handle Outliers*, 1993, 3.3."""
LEAST_DEVIATION_DB = 1.0
"""Levels that all lie closer together have no outliers that matter."""


@dataclass(frozen=True)
class Recording:
    """A row of the corpus and what was measured."""

    entry: Entry
    measured: Measurement

    @property
    def name(self) -> str:
        """As the manifest names it."""
        return self.entry.columns["file"]

    @property
    def label(self) -> str:
        """Its label, empty where it has none."""
        return self.entry.columns.get("label", "")


def judge_recordings(recordings: Sequence[Recording], group_column: str | None) -> list[Finding]:
    """Everything but confounding.

    Parameters
    ----------
    recordings
        Those that can be used: read to their end, with sound in them.
    group_column
        Levels are compared within its values; None to compare all.
    """
    checks = (
        _labels(recordings),
        _duplicates(recordings),
        _near_duplicates(recordings),
        _clipping(recordings),
        _flat(recordings),
        _short(recordings),
        _rates(recordings),
        _levels(recordings, group_column),
        _hum(recordings),
        _dc(recordings),
    )
    return [finding for findings in checks for finding in findings]


def judge_confounding(
    recordings: Sequence[Recording], group_column: str | None
) -> tuple[list[Telltale], list[Finding]]:
    """Ask of the corpus, and within its groups, what tells leaks from normal recordings without listening."""
    labelled = [one for one in recordings if one.label in (NORMAL, LEAK)]
    counts = Counter(one.label for one in labelled)
    if len(counts) < 2:
        message = f"{' and '.join(counts) or 'nothing'} only: whether labels are confounded cannot be told"
        return [], [Finding(Severity.NOTE, "confounding", message)]
    mains_hz = loudest_mains_hz(recordings)
    telltales = find_telltales(_scope(labelled, mains_hz, []))
    if group_column is not None:
        groups = _by(labelled, group_column)
        if len(groups) > 1:
            scopes = {value: _scope(group, mains_hz, [group_column]) for value, group in groups.items()}
            telltales += find_telltales_within(group_column, scopes)
    if not telltales:
        message = f"fewer than {MIN_EACH} normals or leaks: too few to tell whether labels are confounded"
        return [], [Finding(Severity.NOTE, "confounding", message)]
    cases = tuple(
        Case(
            (),
            f"{one.scope}: {one.factor} alone, AUC {one.auc:.2f} (chance {one.chance_auc:.2f}, p {one.p:.4f})",
            one.auc,
        )
        for one in telltales
        if one.tells
    )
    message = "the label can be told without listening for leaks: a result counts where it holds with these removed"
    return telltales, [Finding(Severity.WARNING, "confounding", message, cases)] if cases else []


def loudest_mains_hz(recordings: Sequence[Recording]) -> int:
    """The mains frequency whose strongest line stands out more in the median recording."""

    def strength(mains_hz: int) -> float:
        strongest = [one.measured.hum_db[mains_hz].max() for one in recordings]
        return float(np.nanmedian(strongest)) if np.isfinite(strongest).any() else 0.0

    return max(MAINS_HZ, key=strength)


def _scope(recordings: Sequence[Recording], mains_hz: int, leave_out: Sequence[str]) -> Scope:
    measured = [one.measured for one in recordings]
    factors: dict[str, Factor] = {
        "duration": np.array([one.duration_s for one in measured]),
        "sample rate": np.array([one.rate_hz for one in measured], np.float64),
        **columns_as_factors([one.entry.columns for one in recordings], ["file", "label", *leave_out]),
    }
    if all(one.duration_s >= 1.0 for one in measured):
        factors[f"hum {mains_hz} Hz"] = np.array([one.hum_db[mains_hz] for one in measured])
        factors[f"below {FIRST_BAND_HZ} Hz"] = np.array([one.third_octaves_db for one in measured])
        factors["level"] = np.array([one.heard_db for one in measured])
    else:
        factors["level"] = np.array([one.level_db for one in measured], np.float64)
    return Scope(factors, np.array([one.label == LEAK for one in recordings]))


def _labels(recordings: Sequence[Recording]) -> list[Finding]:
    counts = Counter(one.label for one in recordings)
    findings = []
    if any(counts) and NORMAL not in counts:
        findings.append(
            Finding(Severity.WARNING, "labels", "no normal recording, and training learns from these alone")
        )
    if suspected := counts.get("suspected"):
        message = f"{suspected} suspected: training leaves them out, neither normal nor leak"
        findings.append(Finding(Severity.NOTE, "labels", message))
    return findings


def _duplicates(recordings: Sequence[Recording]) -> list[Finding]:
    same = defaultdict(list)
    for one in recordings:
        same[one.measured.sha256].append(one)
    groups = [group for group in same.values() if len(group) > 1]
    return _by_labels(
        "duplicates",
        "the same samples in several files: a split may put one on either side",
        [(group, Case(tuple(one.name for one in group))) for group in groups],
        contradiction=Severity.ERROR,
    )


def _near_duplicates(recordings: Sequence[Recording]) -> list[Finding]:
    found = []
    for rate_hz in sorted({one.measured.rate_hz for one in recordings}):
        alike = [one for one in recordings if one.measured.rate_hz == rate_hz]
        for match in find_matches([one.measured.landmarks for one in alike]):
            pair = [alike[match.first], alike[match.second]]
            if pair[0].measured.sha256 != pair[1].measured.sha256:
                shift_s = match.shift / rate_hz
                case = Case(tuple(one.name for one in pair), f"{shift_s:+.3f} s apart", shift_s)
                found.append((pair, case))
    return _by_labels(
        "near duplicates",
        "the same sound at another gain, cut or shifted: a split may put one on either side",
        found,
        contradiction=Severity.WARNING,
    )


def _by_labels(
    check: str, message: str, found: Sequence[tuple[Sequence[Recording], Case]], *, contradiction: Severity
) -> list[Finding]:
    """A finding for those of one label, another for those whose labels contradict each other."""
    agreeing = tuple(case for group, case in found if len({one.label for one in group}) == 1)
    contradicting = tuple(case for group, case in found if len({one.label for one in group}) > 1)
    findings = []
    if contradicting:
        findings.append(Finding(contradiction, check, f"{message}; and their labels contradict", contradicting))
    if agreeing:
        findings.append(Finding(Severity.WARNING, check, message, agreeing))
    return findings


def _clipping(recordings: Sequence[Recording]) -> list[Finding]:
    findings = []
    for severity, low, high in ((Severity.WARNING, CLIPPED_FRACTION, 1.1), (Severity.NOTE, 0.0, CLIPPED_FRACTION)):
        cases = tuple(
            Case((one.name,), f"{fraction:.3%} of the samples", fraction)
            for one in recordings
            if (fraction := one.measured.clipped_fraction) > 0.0 and low <= fraction < high
        )
        if cases:
            findings.append(Finding(severity, "clipping", "samples at full scale", cases))
    return findings


def _flat(recordings: Sequence[Recording]) -> list[Finding]:
    cases = tuple(
        Case((one.name,), f"within {one.measured.flat_s:.1f} s of {one.measured.duration_s:.1f} s", one.measured.flat_s)
        for one in recordings
        if one.measured.flat_s > 0.0
    )
    message = "stretches in which nothing moves: digital silence, or a stuck converter"
    return [Finding(Severity.WARNING, "flat lines", message, cases)] if cases else []


def _short(recordings: Sequence[Recording]) -> list[Finding]:
    spec = FrontEndSpec()
    window_s = spec.window_samples / spec.rate_hz
    cases = tuple(
        Case((one.name,), f"{one.measured.duration_s:.2f} s", one.measured.duration_s)
        for one in recordings
        if one.measured.duration_s < window_s
    )
    message = f"shorter than one window of the default front end, {window_s:.2f} s: training refuses them"
    return [Finding(Severity.WARNING, "duration", message, cases)] if cases else []


def _rates(recordings: Sequence[Recording]) -> list[Finding]:
    counts = Counter(one.measured.rate_hz for one in recordings)
    if len(counts) < 2:
        return []
    (usual_hz, _), *_ = counts.most_common()
    told = ", ".join(f"{count} at {rate_hz} Hz" for rate_hz, count in counts.most_common())
    cases = tuple(
        Case((one.name,), f"{one.measured.rate_hz} Hz", one.measured.rate_hz)
        for one in recordings
        if one.measured.rate_hz != usual_hz
    )
    return [Finding(Severity.WARNING, "sample rate", f"rates differ, {told}: so do their bands and sensors", cases)]


def _levels(recordings: Sequence[Recording], group_column: str | None) -> list[Finding]:
    cases = []
    groups = _by(recordings, group_column) if group_column is not None else {"": list(recordings)}
    for group in groups.values():
        for label in sorted({one.label for one in group}):
            cases += _level_outliers([one for one in group if one.label == label])
    message = "levels far from those of the same label"
    return [Finding(Severity.WARNING, "level", message, tuple(cases))] if cases else []


def _level_outliers(recordings: Sequence[Recording]) -> list[Case]:
    levels = np.array([one.measured.level_db for one in recordings], np.float64)
    median = float(np.median(levels))
    # The factor makes the median absolute deviation that of a normal distribution.
    deviation = max(1.4826 * float(np.median(np.abs(levels - median))), LEAST_DEVIATION_DB)
    return [
        Case((one.name,), f"{level:.1f} dB, median {median:.1f} dB", float(level))
        for one, level in zip(recordings, levels, strict=True)
        if abs(level - median) > OUTLIER_SCORE * deviation
    ]


def _hum(recordings: Sequence[Recording]) -> list[Finding]:
    mains_hz = loudest_mains_hz(recordings)
    cases = tuple(
        Case((one.name,), f"{hum_db:.1f} dB", hum_db)
        for one in recordings
        if (hum_db := float(one.measured.hum_db[mains_hz].max())) >= HUM_DB
    )
    message = f"mains hum: lines of {mains_hz} Hz stand above the sound around them"
    return [Finding(Severity.NOTE, "hum", message, cases)] if cases else []


def _dc(recordings: Sequence[Recording]) -> list[Finding]:
    cases = tuple(
        Case((one.name,), f"{one.measured.dc_offset:+.3f} of full scale", one.measured.dc_offset)
        for one in recordings
        if abs(one.measured.dc_offset) >= DC_OFFSET
    )
    return [Finding(Severity.NOTE, "DC offset", "the mean is not zero", cases)] if cases else []


def _by(recordings: Sequence[Recording], column: str) -> dict[str, list[Recording]]:
    groups = defaultdict(list)
    for one in recordings:
        groups[one.entry.columns.get(column, "")].append(one)
    return dict(groups)
