"""A scan: read the folder, hear every recording, judge, and write the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hydroear.errors import AudioError, UsageError
from hydroear_train.corpus import Entry
from hydroear_train.scan.audit import Recording, judge_confounding, judge_recordings
from hydroear_train.scan.confounding import Telltale
from hydroear_train.scan.finding import Case, Finding, Severity
from hydroear_train.scan.folder import MANIFEST_NAME, check_writable, read_corpus, write_manifest
from hydroear_train.scan.layouts import LABELS
from hydroear_train.scan.measure import measure

SCHEMA = "hydroear/scan/1"
_DEFAULT_GROUP_COLUMN = "session"


@dataclass(frozen=True)
class Report:
    """What a scan found.

    Attributes
    ----------
    layout
        Name of the layout that was taken.
    manifest
        The manifest that was read or written; None where nothing could go into it.
    written
        Whether it was written now.
    labels
        Usable recordings by label.
    duration_s
        Their length together.
    findings
        The worst first.
    telltales
        What tells the labels without listening, by scope.
    """

    layout: str
    manifest: Path | None
    written: bool
    labels: dict[str, int]
    duration_s: float
    findings: tuple[Finding, ...]
    telltales: tuple[Telltale, ...]

    @property
    def ok(self) -> bool:
        """Whether everything can be used."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "schema": SCHEMA,
            "layout": self.layout,
            "manifest": None if self.manifest is None else str(self.manifest),
            "written": self.written,
            "labels": self.labels,
            "duration_s": round(self.duration_s, 3),
            "findings": [asdict(finding) for finding in self.findings],
            "confounding": [asdict(telltale) for telltale in self.telltales],
        }


def scan(
    folder: Path,
    *,
    out: Path | None = None,
    layout: str | None = None,
    group_column: str | None = None,
    quiet: bool = False,
) -> Report:
    """Scan a folder of recordings.

    Parameters
    ----------
    folder
        The corpus. A ``manifest.csv`` in it is its layout, and is never changed.
    out
        The manifest to write; by default ``manifest.csv`` in the folder.
    layout
        One of :data:`~hydroear_train.scan.folder.LAYOUT_NAMES`; None to recognise it.
    group_column
        Column within whose values levels are compared and confounding is judged as well; by default ``session``
        where there is one.
    quiet
        Whether to show no progress.

    Raises
    ------
    UsageError
        If there is nothing to scan or the manifest cannot be written. A recording that cannot be used is a finding.
    """
    corpus = read_corpus(folder, layout)
    columns = {column for entry in corpus.entries for column in entry.columns}
    if group_column is not None and group_column not in columns:
        raise UsageError(
            f"no column {group_column!r}", where="--group-column", expected=f"one of: {', '.join(sorted(columns))}"
        )
    if group_column is None and _DEFAULT_GROUP_COLUMN in columns:
        group_column = _DEFAULT_GROUP_COLUMN
    manifest = out or corpus.manifest or folder / MANIFEST_NAME
    writes = corpus.manifest is None or not manifest.exists() or not manifest.samefile(corpus.manifest)
    if writes:
        check_writable(manifest)
    recordings, unusable = _hear(corpus.entries, quiet=quiet)
    telltales, confounding = judge_confounding(recordings, group_column)
    findings = [*corpus.findings, *unusable, *confounding, *judge_recordings(recordings, group_column)]
    worst_first = sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
    kept = [one.entry for one in recordings if one.label in LABELS]
    if writes and kept:
        write_manifest(manifest, kept)
    return Report(
        layout=corpus.layout,
        manifest=manifest if kept or not writes else None,
        written=writes and bool(kept),
        labels=dict(Counter(one.label for one in recordings)),
        duration_s=sum(one.measured.duration_s for one in recordings),
        findings=tuple(worst_first),
        telltales=tuple(telltales),
    )


def _hear(entries: Sequence[Entry], *, quiet: bool) -> tuple[list[Recording], list[Finding]]:
    recordings, cases = [], []
    for entry in tqdm(entries, desc="hearing", unit="file", disable=quiet):
        try:
            one = Recording(entry, measure(entry.path))
        except AudioError as error:
            cases.append(Case((entry.columns["file"],), error.what))
            continue
        if one.measured.level_db is None:
            what = "digital silence" if one.measured.dc_offset == 0.0 else "one value throughout"
            cases.append(Case((one.name,), what))
        else:
            recordings.append(one)
    message = "recordings that cannot be used: training stops at them, leave them out of the manifest"
    return recordings, [Finding(Severity.ERROR, "recordings", message, tuple(cases))] if cases else []
