"""Corpora: a manifest of recordings, and their audio on the front end's grid."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hydroear.audio import open_recording
from hydroear.dsp import FrontEndSpec
from hydroear.dsp.highpass import HighPass
from hydroear.dsp.resample import Resampler
from hydroear.errors import AudioError, HydroearError, UsageError
from hydroear_train.simulate import nights

NORMAL = "normal"
LEAK = "leak"
_BLOCK = 65536


@dataclass(frozen=True)
class Entry:
    """One row of a manifest.

    Attributes
    ----------
    path
        The recording.
    columns
        The row as it stands: at least ``file`` and ``label``.
    """

    path: Path
    columns: dict[str, str]

    @property
    def label(self) -> str:
        """``normal`` or ``leak``."""
        return self.columns["label"]


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording ready for the STFT.

    Attributes
    ----------
    entry
        Its row.
    group
        Name of the site it belongs to: recordings of one site share the mean of each band.
    samples
        float32, shape (n,), at the front end's rate, high-passed.
    """

    entry: Entry
    group: str
    samples: NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """A condition on a manifest's rows: ``COLUMN=VALUE`` or ``COLUMN!=VALUE``."""

    column: str
    value: str
    equal: bool

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises
        ------
        UsageError
            If it has no ``=``.
        """
        column, sign, value = text.partition("!=") if "!=" in text else text.partition("=")
        if not sign or not column:
            raise UsageError(f"{text!r} is no condition", where="--where", expected="COLUMN=VALUE or COLUMN!=VALUE")
        return cls(column.strip(), value.strip(), sign == "=")

    def holds(self, row: dict[str, str]) -> bool:
        """Whether a row meets the condition."""
        return (row[self.column] == self.value) is self.equal


def read_rows(path: Path, *, required: Sequence[str] = ("file",)) -> list[dict[str, str]]:
    """Read the rows of a manifest as they stand.

    Parameters
    ----------
    path
        A CSV file with a header, in UTF-8 with or without a byte order mark, separated by commas or, as spreadsheets
        of many countries write them, by semicolons.
    required
        Columns that must be there.

    Returns
    -------
    list of dict
        At least one.

    Raises
    ------
    UsageError
        If the file cannot be read, lacks a column or holds no row, or a row is longer or shorter than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in header and "," not in header else ",")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise _no_manifest(path, f"line {reader.line_num} is longer or shorter than the header", required)
            rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot be read ({reason})", where=path, expected="a CSV manifest") from error
    if not rows:
        raise _no_manifest(path, "it holds no rows", required)
    if missing := [column for column in required if column not in rows[0]]:
        raise _no_manifest(path, f"it has no column {' or '.join(missing)}", required)
    return rows


def read_manifest(path: Path, conditions: Sequence[Condition] = ()) -> list[Entry]:
    """Read a manifest.

    Parameters
    ----------
    path
        A CSV file with a header and at least the columns ``file`` (relative to the manifest) and ``label``.
    conditions
        Rows must meet all of them.

    Returns
    -------
    list of Entry
        In the order of the manifest.

    Raises
    ------
    UsageError
        If the file cannot be read or holds no such rows, or a condition names a column that is not there.
    """
    rows = read_rows(path, required=("file", "label"))
    header = set(rows[0])
    for condition in conditions:
        if condition.column not in header:
            raise UsageError(
                f"no column {condition.column!r}", where=path, expected=f"one of: {', '.join(sorted(header))}"
            )
    entries = [
        Entry(path.parent / row["file"], row) for row in rows if all(condition.holds(row) for condition in conditions)
    ]
    if not entries:
        raise UsageError("no row meets the conditions", where=path, fix="check --where")
    return entries


def _no_manifest(path: Path, what: str, required: Sequence[str]) -> UsageError:
    return UsageError(
        f"no manifest: {what}",
        where=path,
        expected=f"a CSV header with {' and '.join(required)}, and rows as long as it",
        fix="check the file",
    )


def data_sha256(entries: Sequence[Entry], *, quiet: bool = False) -> str:
    """Hash of the rows and of the bytes of every recording, in hex.

    Raises
    ------
    AudioError
        If a recording cannot be read.
    """
    digest = hashlib.sha256()
    for entry in tqdm(entries, desc="hashing", unit="file", disable=quiet):
        digest.update(repr(sorted(entry.columns.items())).encode())
        digest.update(bytes.fromhex(recording_sha256(entry.path)))
    return digest.hexdigest()


def recording_sha256(path: Path) -> str:
    """Hash of the bytes of a recording, in hex.

    Raises
    ------
    AudioError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", where=path, fix="correct the manifest") from error


def load_clips(entries: Sequence[Entry], spec: FrontEndSpec, *, group_column: str, quiet: bool = False) -> list[Clip]:
    """Read recordings (first channel), resample and high-pass them as the front end does.

    Parameters
    ----------
    entries
        Rows of a manifest.
    spec
        The front end.
    group_column
        Column that names the site of a recording; rows without it are one site.
    quiet
        Whether to show no progress.

    Raises
    ------
    AudioError
        If a recording cannot be read, is digital silence or shorter than one window.
    """
    clips = []
    for entry in tqdm(entries, desc="reading", unit="file", disable=quiet):
        samples = _samples(entry.path, spec)
        if len(samples) < spec.window_samples:
            raise AudioError(
                f"{len(samples) / spec.rate_hz:.2f} s are too short",
                where=entry.path,
                expected=f"at least {spec.window_s:.2f} s",
                fix="leave it out of the manifest",
            )
        if not samples.any():
            raise AudioError("digital silence", where=entry.path, fix="leave it out of the manifest")
        clips.append(Clip(entry, entry.columns.get(group_column, ""), samples))
    return clips


def simulated_clips(sites: int, duration_s: float, spec: FrontEndSpec, *, seed: int, quiet: bool = False) -> list[Clip]:
    """Simulated normal pipes, each a site of its own: variety that few recordings have."""
    scenes = nights(sites, duration_s, spec.rate_hz, seed=seed)
    clips = []
    for site, scene in tqdm(scenes, total=sites, desc="simulating", unit="site", disable=quiet):
        samples = HighPass(spec.highpass_hz, spec.rate_hz).push(scene.samples)
        clips.append(Clip(Entry(Path(site.name), {"label": NORMAL, "simulated": "yes"}), site.name, samples))
    return clips


def _samples(path: Path, spec: FrontEndSpec) -> NDArray[np.float32]:
    with open_recording(path) as recording:
        if recording.rate_hz < 2 * spec.high_hz:
            raise HydroearError(
                f"{recording.rate_hz} Hz carry nothing above {recording.rate_hz / 2:g} Hz",
                where=path,
                expected=f"at least {2 * spec.high_hz:g} Hz",
                fix="lower high_hz in the recipe's front_end",
            )
        resampler, highpass = Resampler(recording.rate_hz, spec.rate_hz), HighPass(spec.highpass_hz, spec.rate_hz)
        blocks = []
        while len(block := recording.read(_BLOCK)):
            blocks.append(highpass.push(resampler.push(block[:, 0])))
    return np.concatenate(blocks)
