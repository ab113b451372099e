"""Recordings through the daemon's own path, each as a sensor of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import numpy as np

from hydroear.app.display import Display, Progress
from hydroear.app.pipeline import Pipeline, Report, front_end_of
from hydroear.app.reporter import Reporter
from hydroear.app.stamper import stamper
from hydroear.app.unit import DRAIN_S
from hydroear.audio import open_recording
from hydroear.audio.flatline import Flatline
from hydroear.capture import RecordingSource
from hydroear.config import schema
from hydroear.decide import State
from hydroear.dsp import FrontEndSpec, Window
from hydroear.errors import AudioError, CalibrationError, LinkError, UsageError
from hydroear.health import Cause
from hydroear.model import choose_runtime, read_bundle
from hydroear.mqtt import payloads
from hydroear.outbox import Outbox
from hydroear.score import Scorer, SiteCalibration, SiteScorer, calibrate

_SHORT_WINDOWS = 100
_DENSE = 12
# So short a calibration is read with windows that overlap by eleven twelfths: they say little more, but what they say
# does not hang on where the first one began.


@dataclass(frozen=True)
class Summary:
    """What a recording came to.

    Attributes
    ----------
    sensor
        Name made from the file's name.
    windows_scored, windows_skipped
        Counts.
    median_decades, highest_decades
        Of the site scores; None if no window was scored.
    events
        Stream times at which events opened, in seconds.
    clipped
        Windows with clipped samples.
    state
        At the end.
    """

    sensor: str
    windows_scored: int
    windows_skipped: int
    median_decades: float | None
    highest_decades: float | None
    events: tuple[float, ...]
    clipped: int
    state: State


def sensor_names(files: Sequence[Path]) -> list[str]:
    """Names that topics can carry, made from the files' names; none is given twice."""
    names: list[str] = []
    for file in files:
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", file.stem).lstrip("_.-")[:50] or "recording"
        name = next(name for name in chain([stem], (f"{stem}-{n}" for n in count(2))) if name not in names)
        names.append(name)
    return names


def replay(
    files: Sequence[Path],
    *,
    bundle_path: Path,
    site_path: Path | None,
    runtime: str,
    decision: schema.Decision,
    channel: int,
    speed: float,
    mqtt: schema.Mqtt | None,
    unit: str,
    state_dir: Path,
    publish: schema.Publish,
    display: Display,
) -> list[Summary]:
    """Play recordings one after the other; every file is checked before the first is played.

    Returns
    -------
    list of Summary
        One a file.

    Raises
    ------
    HydroearError
        If a file, the bundle, the calibration or the broker's settings cannot be used.
    LinkError
        If the broker did not take everything; what is left waits in the outbox.
    """
    bundle = read_bundle(bundle_path)
    scorer = Scorer(bundle, choose_runtime(runtime))
    site = SiteCalibration.load(site_path) if site_path is not None else None
    site_scorer = SiteScorer(scorer, site)
    sources = [RecordingSource([file], channel=channel, speed=speed) for file in files]
    names = sensor_names(files)
    pipelines = [
        Pipeline(
            name, rate_hz=source.rate_hz, spec=bundle.front_end, scorer=site_scorer, decision=decision, leaking=False
        )
        for name, source in zip(names, sources, strict=True)
    ]
    if mqtt is None:
        return [
            _play(source, pipeline, name, display)
            for source, pipeline, name in zip(sources, pipelines, names, strict=True)
        ]
    from hydroear.mqtt.link import Link  # and with it paho, for those who have a broker

    stamp = stamper(unit)
    path = state_dir / "outbox.sqlite"
    with Outbox(path) as outbox:
        link = Link(
            mqtt,
            unit=unit,
            outbox=outbox,
            birth=lambda: payloads.encode(
                payloads.Birth(
                    versions={str(scorer.runtime): scorer.runtime.version},
                    runtime=str(scorer.runtime),
                    bundle=bundle.sha256,
                    sensors=names,
                ),
                stamp(0),
            ),
            status=lambda availability: payloads.encode(payloads.Status(availability), stamp(0)),
        )
        link.start()
        try:
            summaries = []
            for source, pipeline, name in zip(sources, pipelines, names, strict=True):
                outbox.put(forget=name)
                reporter = Reporter(
                    unit=unit,
                    sensor=name,
                    outbox=outbox,
                    stamp=stamp,
                    bundle_sha256=bundle.sha256,
                    decision=decision,
                    state_every_s=publish.state_every_s,
                    update_every_s=publish.event_update_every_s,
                )
                summaries.append(_play(source, pipeline, name, display, reporter))
        finally:
            delivered = link.stop(DRAIN_S)
        if not delivered:
            raise LinkError(
                f"{outbox.depth()} messages were not delivered",
                where=mqtt.url,
                fix=f"they wait in {path} and go out with the next replay that reaches the broker",
            )
    return summaries


def _play(
    source: RecordingSource, pipeline: Pipeline, name: str, display: Display, reporter: Reporter | None = None
) -> Summary:
    decades: list[float] = []
    opened: list[float] = []
    clipped = 0
    last: Report | None = None
    try:
        while (piece := source.read()) is not None:
            for report in pipeline.hear(piece):
                if report.decades is not None:
                    decades.append(report.decades)
                if report.event == "open":
                    opened.append(round(report.position_s, 3))
                clipped += report.ailment is not None and report.ailment.cause is Cause.CLIPPED
                last = report
                if reporter is not None:
                    reporter.take(report, pipeline)
                display(report)
    finally:
        if last is not None and reporter is not None and reporter.event is not None:
            reporter.end(last)
    if last is None:
        raise AudioError("shorter than one window", where=source.name, fix="give a longer recording")
    return Summary(
        sensor=name,
        windows_scored=pipeline.windows_scored,
        windows_skipped=pipeline.windows_skipped,
        median_decades=float(np.median(decades)) if decades else None,
        highest_decades=max(decades) if decades else None,
        events=tuple(opened),
        clipped=clipped,
        state=last.state,
    )


def calibrate_on_recordings(
    files: Sequence[Path],
    *,
    bundle_path: Path,
    runtime: str,
    channel: int,
    from_s: float,
    to_s: float | None,
    progress: Progress,
) -> SiteCalibration:
    """Learn a site from recordings of it in health.

    Parameters
    ----------
    files
        Recordings of one sensor.
    bundle_path
        The bundle that the sensor will be scored with.
    runtime
        Which interpreter.
    channel
        Which channel, counted from 1.
    from_s, to_s
        The stretch of every file to learn from.
    progress
        Shows how far it is.

    Raises
    ------
    HydroearError
        If a file or the bundle cannot be used, or there is too little audio.
    """
    if to_s is not None and to_s <= from_s:
        raise UsageError(
            f"from {from_s:g} s to {to_s:g} s is no stretch", where="--to-s", expected="more than --from-s"
        )
    bundle = read_bundle(bundle_path)
    scorer = Scorer(bundle, choose_runtime(runtime))
    sources = [RecordingSource([file], channel=channel) for file in files]
    spec = bundle.front_end
    if sum(_seconds(file) for file in files) < _SHORT_WINDOWS * spec.window_s:
        spec = replace(spec, window_hop_frames=max(1, spec.window_frames // _DENSE))
    segments = []
    for number, (source, file) in enumerate(zip(sources, files, strict=True)):
        progress(f"reading {file.name}", number / len(files))
        segments.append(_windows(source, file, spec, from_s, math.inf if to_s is None else to_s))
    return calibrate(segments, scorer, progress=partial(progress, "learning"))


def _seconds(file: Path) -> float:
    with open_recording(file) as recording:
        return recording.frames / recording.rate_hz


def _windows(source: RecordingSource, file: Path, spec: FrontEndSpec, from_s: float, to_s: float) -> list[Window]:
    front_end = front_end_of(spec, rate_hz=source.rate_hz, where=file)
    flatline = Flatline(source.rate_hz)
    windows: list[Window] = []
    while (piece := source.read()) is not None:
        time_s = np.arange(piece.first_index, piece.end_index) / source.rate_hz
        inside = np.flatnonzero((from_s <= time_s) & (time_s < to_s))
        if not len(inside):
            continue
        samples, first_index = piece.samples[inside, 0], piece.first_index + int(inside[0])
        flatline.push(samples, first_index)
        if flatline.overlaps(first_index, piece.end_index):
            raise CalibrationError(
                f"the audio stands still at {first_index / source.rate_hz:.1f} s: digital silence, a dead cable or a "
                "stuck converter",
                where=file,
                expected="the sound of a pipe throughout",
                fix="check the sensor and its cable and record again, or leave this stretch out with --from-s, --to-s",
            )
        windows += front_end.push(samples)
    if not windows:
        raise CalibrationError(
            f"no whole window between {from_s:g} s and {'the end' if math.isinf(to_s) else f'{to_s:g} s'}",
            where=file,
            expected=f"at least {spec.window_s:.2f} s of audio",
            fix="give a longer stretch",
        )
    return windows
