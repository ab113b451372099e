"""A labelled session of a sensor, as recordings that the trainer reads."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from hydroear.audio import Block, Gap, Samples, Scale, clipped_count, level_db, level_of, unit_of
from hydroear.audio.wav_writer import WavWriter
from hydroear.capture import Source, open_source
from hydroear.capture.supervised import SupervisedSource
from hydroear.config import schema
from hydroear.errors import CaptureError, HydroearError, UsageError

Label = Literal["normal", "leak"]

FILE_S = 600.0
"""Longest recording; a longer session becomes several."""
MANIFEST = "manifest.csv"
COLUMNS = ("file", "label", "site", "sensor", "date", "time")

_METER_DB = 80.0
_METER_WIDTH = 24


@dataclass
class Session:
    """What was recorded.

    Attributes
    ----------
    files
        Recordings, relative to the folder of the session.
    heard_s, lost_s
        Length of what is in them, and of the gaps between them.
    gaps
        Gaps in words, each with its time since the first sample.
    clipped
        Samples that were clipped.
    interrupted
        Whether a person ended it early.
    full_scale, unit
        What full scale of the recordings stands for; None where nobody knows.
    """

    files: list[str] = field(default_factory=list)
    heard_s: float = 0.0
    lost_s: float = 0.0
    gaps: list[str] = field(default_factory=list)
    clipped: int = 0
    interrupted: bool = False
    full_scale: float | None = None
    unit: str | None = None


class Meter:
    """Time and level on one line of a terminal, gaps on lines of their own.

    Parameters
    ----------
    out
        Where to write.
    for_s
        How long the session is to be.
    """

    def __init__(self, out: TextIO, for_s: float) -> None:
        self._out, self._for_s = out, for_s
        self._live = out.isatty()

    def hear(self, at_s: float, samples: Samples, scale: Scale | None) -> None:
        """Show the level of the latest samples, and what it is in the unit of their scale."""
        if self._live:
            level = level_db(samples)
            physical = level_of(level, scale)
            filled = 0 if level is None else round(max(0.0, 1.0 + level / _METER_DB) * _METER_WIDTH)
            text = "silence" if level is None else f"{level:6.1f} dBFS"
            text += "" if physical is None else f"  {physical:.3g} {unit_of(scale)}"
            clipped = "  CLIPPED" if clipped_count(samples) else ""
            bar = f"[{'#' * filled}{'.' * (_METER_WIDTH - filled)}]"
            self._out.write(f"\r\x1b[K{at_s:7.1f} of {self._for_s:g} s  {bar} {text}{clipped}")
            self._out.flush()

    def note(self, text: str) -> None:
        """Say something that stays."""
        self._out.write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")
        self._out.flush()

    def close(self) -> None:
        """Leave the live line."""
        if self._live:
            self._out.write("\r\x1b[K")


def record(config: schema.Config, sensor_id: str, *, for_s: float, label: Label, out: Path, meter: Meter) -> Session:
    """Record a sensor into ``OUT/UNIT/LABEL/SENSOR-TIME.wav`` and add the recordings to ``OUT/manifest.csv``.

    A recording is whole: where samples are lost, the next one begins. What was recorded stays valid
    whatever ends the session.

    Parameters
    ----------
    config
        The unit; its name stands for the site.
    sensor_id
        Which of its sensors.
    for_s
        Length in seconds from the first sample, gaps included.
    label
        What the pipe sounds like, as the person who records it knows.
    out
        Folder of the corpus; made if it is not there.
    meter
        Is shown the level.

    Raises
    ------
    UsageError
        If there is no such sensor, or the folder holds another kind of manifest.
    CaptureError
        If nothing was heard.
    AudioError
        If a recording cannot be written.
    """
    sensor = next((one for one in config.sensors if one.id == sensor_id), None)
    if sensor is None:
        names = ", ".join(one.id for one in config.sensors)
        raise UsageError(f"no sensor {sensor_id!r}", where="--sensor", expected=f"one of {names}")
    corpus = _Corpus(out, site=config.unit, sensor=sensor_id, label=label)
    session = Session()
    source = open_source(sensor.source)
    with ExitStack() as parts:
        parts.callback(meter.close)
        parts.callback(source.close)
        parts.callback(corpus.end_file)
        try:
            _record(source, corpus, session, for_s, meter)
        except KeyboardInterrupt:
            session.interrupted = True
    if (scale := source.scale) is not None:
        session.full_scale, session.unit = scale.full_scale, scale.unit
    session.files = corpus.files
    session.heard_s, session.lost_s = round(session.heard_s, 3), round(session.lost_s, 3)
    if not session.files:
        error = source.status.last_error if isinstance(source, SupervisedSource) else ""
        raise CaptureError(f"nothing was heard{': ' if error else ''}{error}", where=sensor_id)
    return session


def _record(source: Source, corpus: _Corpus, session: Session, for_s: float, meter: Meter) -> None:
    begin, end = None, round(for_s * source.rate_hz)
    while (piece := source.read()) is not None and piece.first_index < end:
        if begin is None:
            if isinstance(piece, Gap):
                continue
            begin = piece.first_index
            end += begin
        at_s, left = (piece.first_index - begin) / source.rate_hz, end - piece.first_index
        if isinstance(piece, Block):
            samples = piece.samples[:left, 0]
            corpus.write(samples, source.rate_hz)
            session.heard_s += len(samples) / source.rate_hz
            session.clipped += clipped_count(samples)
            meter.hear(at_s, samples, source.scale)
        else:
            _note(session, piece, at_s, min(left, piece.length) / source.rate_hz, meter)
            corpus.end_file()
        if piece.end_index >= end:
            break


def _note(session: Session, gap: Gap, at_s: float, lost_s: float, meter: Meter) -> None:
    session.lost_s += lost_s
    session.gaps.append(f"{at_s:.1f} s: {lost_s:.2f} s lost: {gap.reason}")
    meter.note(session.gaps[-1])


class _Corpus:
    """A folder of recordings with its manifest, and the recording that grows."""

    def __init__(self, folder: Path, *, site: str, sensor: str, label: Label) -> None:
        self._folder, self._site, self._sensor, self._label = folder, site, sensor, label
        self._manifest = folder / MANIFEST
        self._writer: WavWriter | None = None
        self._row: dict[str, str] = {}
        self.files: list[str] = []
        try:
            (folder / site / label).mkdir(parents=True, exist_ok=True)
            header = self._manifest.read_text(encoding="utf-8").partition("\n")[0] if self._manifest.exists() else None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be used ({error})", where=folder, fix="choose another folder") from error
        if header is not None and header != ",".join(COLUMNS):
            raise UsageError(
                "a manifest of other columns",
                where=self._manifest,
                expected=",".join(COLUMNS),
                fix="choose another folder",
            )

    def write(self, samples: Samples, rate_hz: int) -> None:
        """Append samples of shape (n,) to a recording that has room for them."""
        if self._writer is not None and self._writer.samples >= FILE_S * rate_hz:
            self.end_file()
        if self._writer is None:
            self._writer = self._next_file(rate_hz)
        self._writer.write(samples)

    def end_file(self) -> None:
        """Close the recording that grows, and enter it into the manifest."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        if not writer.samples:
            writer.path.unlink()
            return
        self.files.append(self._row["file"])
        try:
            with self._manifest.open("a", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                if not file.tell():
                    table.writeheader()
                table.writerow(self._row)
        except OSError as error:
            raise HydroearError(
                f"cannot be written ({error.strerror})", where=self._manifest, fix="make it with hydroear-train scan"
            ) from error

    def _next_file(self, rate_hz: int) -> WavWriter:
        now = datetime.now(UTC)
        name = f"{self._sensor}-{now:%Y%m%dT%H%M%S.%f}"[:-3] + "Z.wav"
        path = Path(self._site, self._label, name)
        self._row = {
            "file": path.as_posix(),
            "label": self._label,
            "site": self._site,
            "sensor": self._sensor,
            "date": f"{now:%Y-%m-%d}",
            "time": f"{now:%H:%M:%S}",
        }
        return WavWriter(self._folder / path, rate_hz)
