"""Recordings through the daemon's own path, each as a sensor of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np

from hydroear.app.birth import birth_of
from hydroear.app.display import Display
from hydroear.app.pipeline import Pipeline, Report
from hydroear.app.reporter import Reporter
from hydroear.capture import RecordingSource
from hydroear.config import schema
from hydroear.decide import State
from hydroear.errors import AudioError, LinkError
from hydroear.health import Cause
from hydroear.model import choose_runtime, read_bundle
from hydroear.mqtt import payloads
from hydroear.mqtt.stamper import stamper
from hydroear.outbox import Outbox
from hydroear.score import Scorer, SiteCalibration, SiteScorer

DRAIN_S = 3.0
"""How long the broker may take for what is left at the end."""


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
    reference_channel: int | None,
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
    sources = [
        RecordingSource([file], channel=channel, reference_channel=reference_channel, speed=speed) for file in files
    ]
    names = sensor_names(files)
    pipelines = [
        Pipeline(
            name,
            rate_hz=source.rate_hz,
            spec=bundle.front_end,
            scorer=site_scorer,
            decision=decision,
            reference=reference_channel is not None,
        )
        for name, source in zip(names, sources, strict=True)
    ]
    if mqtt is None:
        return [
            _play(source, pipeline, name, display)
            for source, pipeline, name in zip(sources, pipelines, names, strict=True)
        ]
    from hydroear.mqtt.link import Link  # and with it paho, for those who have a broker

    stamp = stamper(unit, bundle.sha256)
    channels = [channel] if reference_channel is None else [channel, reference_channel]
    births = [
        payloads.SensorBirth(name, "wav", None, source.rate_hz, channels, calibrated=site is not None)
        for name, source in zip(names, sources, strict=True)
    ]
    path = state_dir / "outbox.sqlite"
    with Outbox(path) as outbox:
        link = Link(
            mqtt,
            unit=unit,
            outbox=outbox,
            birth=lambda: payloads.encode(birth_of(bundle, scorer.runtime, births), stamp(0)),
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
