"""Stages of a sensor: what it delivers, how that sounds, and whether its site is known."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Block, Gap, Scale, clipped_count, level_db, level_of, unit_of
from hydroear.audio.flatline import Flatline
from hydroear.audio.vitals import VitalSigns
from hydroear.capture import Lines, open_source
from hydroear.capture.supervised import SupervisedSource
from hydroear.config import schema
from hydroear.dsp import FrontEnd, FrontEndSpec
from hydroear.errors import CaptureError, HydroearError
from hydroear.health import Cause, examine
from hydroear.score import Scorer, SiteCalibration, SiteScorer
from hydroear.selftest.finding import Finding, Result, failure

if TYPE_CHECKING:
    from hydroear.capture.collector import Inventory

LISTEN_S = 3.0
MOSTLY_FLAT = 0.5
"""Share of flat audio from which a sensor is dead rather than interrupted."""


@dataclass(frozen=True, eq=False)
class Heard:
    """The first seconds of a source.

    Attributes
    ----------
    rate_hz
        Sample rate.
    samples
        float32, shape (n,), n at least 1; what was lost is left out.
    first_sound_s
        Time from opening the source to its first samples.
    gaps
        Times that samples were lost after those.
    reference
        As `samples`, of the reference channel; None where there is none.
    scale
        What the samples stand for; None where nobody knows.
    """

    rate_hz: int
    samples: NDArray[np.float32]
    first_sound_s: float
    gaps: tuple[Gap, ...]
    reference: NDArray[np.float32] | None = None
    scale: Scale | None = None

    @property
    def seconds(self) -> float:
        """Length of what was heard."""
        return len(self.samples) / self.rate_hz


def listen(settings: schema.Source, *, patience_s: float, lines: Lines | None = None) -> Heard:
    """Hear :data:`LISTEN_S` of a source: of a live sensor as it sounds now, of recordings their beginning.

    Raises
    ------
    AudioError, CaptureError, UsageError
        If the source cannot be opened, or is not heard for so long within `patience_s`.
    """
    if isinstance(settings, schema.WavSource):
        settings = settings.model_copy(update={"speed": 0.0})
    opened_s = time.monotonic()
    source = open_source(settings, lines)
    too_late = threading.Event()

    def end() -> None:
        too_late.set()
        source.close()

    timer = threading.Timer(patience_s, end)
    timer.daemon = True
    timer.start()
    blocks: list[Block] = []
    gaps: list[Gap] = []
    missing = round(LISTEN_S * source.rate_hz)
    first_sound_s = 0.0
    error = ""
    try:
        while missing > 0 and not error and (piece := source.read()) is not None:
            if isinstance(piece, Block):
                first_sound_s = first_sound_s if blocks else time.monotonic() - opened_s
                blocks.append(piece)
                missing -= len(piece.samples)
            elif blocks:
                gaps.append(piece)
            # What is heard of the closing is no error of the sensor.
            if isinstance(source, SupervisedSource) and not too_late.is_set():
                error = source.status.last_error
    finally:
        timer.cancel()
        source.close()
    if isinstance(source, SupervisedSource) and missing > 0:
        heard_s = LISTEN_S - missing / source.rate_hz
        when = f"fell silent after {heard_s:.1f} s: " if blocks else ""
        if error:  # says itself what to do
            raise CaptureError(when + error)
        raise CaptureError(
            f"{when}{source.name}: not heard for {LISTEN_S:g} s within {patience_s:g} s",
            fix="check that it is not held by another program, then its cable and its driver",
        )
    samples = np.concatenate([block.samples for block in blocks])
    reference = None if settings.reference_channel is None else samples[:, 1]
    return Heard(source.rate_hz, samples[:, 0], first_sound_s, tuple(gaps), reference, source.scale)


def judge_logger(stage: str, inventory: Inventory) -> Finding:
    """Whether a logger can be emptied."""
    newest = ""
    if inventory.newest_utc_s is not None:
        newest = f", the newest of {datetime.fromtimestamp(inventory.newest_utc_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
    measured = f"{inventory.model or 'a logger'}: {inventory.recordings} recording(s) wait{newest}"
    values = {"recordings": inventory.recordings, "size_bytes": inventory.size_bytes}
    return Finding(stage, Result.PASS, measured, values=values)


def judge_source(stage: str, heard: Heard, spec: FrontEndSpec | None) -> Finding:
    """Whether audio arrives whole, and carries what the front end hears (None where there is no bundle)."""
    lost_s = sum(gap.length for gap in heard.gaps) / heard.rate_hz
    measured = f"{heard.seconds:.1f} s at {heard.rate_hz} Hz"
    values = {
        "rate_hz": heard.rate_hz,
        "heard_s": round(heard.seconds, 3),
        "first_sound_s": round(heard.first_sound_s, 3),
        "gaps": len(heard.gaps),
        "lost_s": round(lost_s, 3),
    }
    if spec is not None:
        try:
            FrontEnd(spec, input_rate_hz=heard.rate_hz)
        except HydroearError as error:
            return failure(stage, error)
        if heard.seconds < spec.window_s:
            expected = f"at least one window, {spec.window_s:.2f} s"
            return Finding(stage, Result.FAIL, measured, expected, "give a longer recording", values)
    if heard.gaps:
        return Finding(
            stage,
            Result.WARN,
            f"{measured}, {len(heard.gaps)} gap(s), {lost_s:.2f} s lost: {heard.gaps[0].reason}",
            "no audio lost",
            "check the cable, and what else this unit is doing",
            values,
        )
    return Finding(
        stage, Result.PASS, f"{measured}, no gaps, first sound after {heard.first_sound_s:.1f} s", "", "", values
    )


def judge_sound(
    stage: str, heard: Heard, spec: FrontEndSpec | None = None, *, quietest_db: float | None = None
) -> Finding:
    """Whether what arrives can be the sound of a pipe, and of this one.

    Parameters
    ----------
    stage
        Name of the row.
    heard
        What arrives.
    spec, quietest_db
        The front end, whose level the quietest of the commissioning is; None where there is none.
    """
    level = level_db(heard.samples)
    clipped = clipped_count(heard.samples) / len(heard.samples)
    flat = flat_share(heard)
    physical, unit = level_of(level, heard.scale), unit_of(heard.scale)
    measured = "digital silence" if level is None else f"{level:.1f} dBFS"
    if physical is not None:
        measured += f", {physical:g} {unit}"
    signs = VitalSigns(heard.rate_hz)
    signs.push(heard.samples, 0)
    ailment = examine(signs.of(0, len(heard.samples)), _quietest(heard, spec), quietest_db=quietest_db)
    values = {
        "level_db": level and round(level, 2),
        "level": physical,
        "level_unit": unit,
        "clipped_share": clipped,
        "flat_share": flat,
    }
    result, expected, fix = Result.PASS, "", ""
    if level is None or flat > MOSTLY_FLAT:
        measured += f": stands still for {100 * flat:.0f} % of the time"
        result, expected = Result.FAIL, "the sound of a pipe, which never stands still"
        fix = "check the sensor, its cable and supply, and that it is not muted"
    elif flat:
        measured += f", stands still for {100 * flat:.0f} % of the time"
        result, expected, fix = Result.WARN, "audio that never stands still", "check the cable and its plugs"
    elif ailment is not None and ailment.cause in (Cause.OFFSET, Cause.FAINT):
        measured, _, fix = f"{measured}: {ailment.text}".rpartition(": ")
        result = Result.FAIL if ailment.deafening else Result.WARN
        expected = "samples around zero" if ailment.cause is Cause.OFFSET else f"at least {quietest_db:.0f} dBFS or so"
    elif clipped:
        measured += f", {100 * clipped:.2g} % clipped"
        result, expected, fix = Result.WARN, "nothing clipped", "lower the gain"
    else:
        measured += ", nothing clipped or flat"
    return Finding(stage, result, measured, expected, fix, values)


def _quietest(heard: Heard, spec: FrontEndSpec | None) -> float | None:
    """Level of the quietest window; that of everything where there is no front end, or no window."""
    if spec is not None and heard.rate_hz > 2 * spec.high_hz:
        windows = FrontEnd(spec, input_rate_hz=heard.rate_hz).push(heard.samples)
        if windows:
            return min((w.level_db for w in windows if w.level_db is not None), default=None)
    return level_db(heard.samples)


def flat_share(heard: Heard) -> float:
    """Share of the tenths of a second that a flat stretch touches."""
    flatline = Flatline(heard.rate_hz)
    flatline.push(heard.samples, 0)
    step = heard.rate_hz // 10
    flat = [flatline.overlaps(first, first + step) for first in range(0, len(heard.samples), step)]
    return round(sum(flat) / len(flat), 3)


def load_calibration(path: Path, scorer: Scorer, *, required: bool) -> SiteCalibration | None:
    """The calibration of a sensor; None where there is none and none is required.

    Raises
    ------
    CalibrationError
        If it is missing, damaged, or was learned with another bundle.
    """
    if not required and not path.exists():
        return None
    site = SiteCalibration.load(path)
    SiteScorer(scorer, site)  # refuses one that does not fit
    return site


def judge_calibration(stage: str, site: SiteCalibration | None) -> Finding:
    """Whether the sensor is scored against its own pipe."""
    if site is None:
        return Finding(
            stage,
            Result.WARN,
            "none: scores against the trainer's pipes",
            "a calibration of this sensor",
            "record this pipe while it is well, and run hydroear calibrate",
        )
    return Finding(
        stage,
        Result.PASS,
        f"learned from {site.windows} windows at {site.level_db:.1f} dBFS, fits the bundle",
        values={"windows": site.windows, "level_db": site.level_db},
    )
