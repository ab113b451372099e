"""What happens at simulated sites in health and with leaks, drawn from a seed; rates and ranges are modelling choices.

A site keeps its habits: how loud its pump and its pressure-reducing valve are, how often the pump runs. Rates are those
of the small hours, but for the part of a commissioning that is recorded by day.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from hydroear_train.simulate import Leak, Scene, Site, Span, random_leak, random_site, render
from hydroear_train.simulate.noise import log_uniform
from hydroear_train.simulate.scene import Kind

SHOWER_S = (300.0, 1200.0)
TAP_S = (3.0, 90.0)
RAIN_SHARE = 0.05
RAIN_S = (600.0, 4.0 * 3600.0)
PARTS = 12
"""Recordings of a commissioning, by night and by day in turn: what one day holds, if a pipe's condition lasts for two
hours."""
LEAK_NIGHTS = 3
ONSET_SHARE = 10.0 / 45.0
"""When a leak begins that is listened to without a break, as a share of the recording."""


@dataclass(frozen=True)
class Rates:
    """How often something happens, an hour."""

    tap: float
    flush: float
    shower: float
    lorry: float
    footsteps: float


NIGHT = Rates(tap=2.0, flush=1.5, shower=0.1, lorry=3.0, footsteps=1.0)
DAY = Rates(tap=20.0, flush=8.0, shower=1.0, lorry=12.0, footsteps=6.0)


class Purpose(IntEnum):
    """What a stream of random numbers is for; none changes where another is drawn from more often."""

    PLACE = 0
    COMMISSIONING = 1
    HEALTHY = 2
    LEAK = 3
    ONSET = 4


@dataclass(frozen=True)
class Place:
    """A site with its habits.

    Attributes
    ----------
    site
        Pipe, sensor and neighbourhood.
    pump_db, valve_db
        Levels of pump and valve over the background, in dB, where the site has them.
    pump_run_s, pump_rest_s
        How long the pump runs, and rests, in the mean.
    """

    site: Site
    pump_db: float
    valve_db: float
    pump_run_s: float
    pump_rest_s: float


@dataclass(frozen=True)
class Scenario:
    """A recording that is still to be rendered.

    Attributes
    ----------
    site
        Where.
    spans
        What happens.
    duration_s
        Length.
    seed
        Of its sound.
    leak
        What spans of a leak are the sound of.
    """

    site: Site
    spans: tuple[Span, ...]
    duration_s: float
    seed: int
    leak: Leak | None = None

    def render(self, rate_hz: int) -> Scene:
        """Its sound."""
        return render(self.site, self.spans, self.duration_s, rate_hz, seed=self.seed, leak=self.leak)

    def sounding(self, start_s: float, end_s: float, *, share: float) -> list[str]:
        """What else than a leak sounds for at least this share of a time, in alphabetical order."""
        names = sorted({_name(span) for span in self.spans if span.kind != "leak"})
        times_s = np.linspace(start_s, end_s, 200)
        return [
            name
            for name in names
            if np.mean(
                np.any([(s.start_s <= times_s) & (times_s <= s.end_s) for s in self.spans if _name(s) == name], axis=0)
            )
            >= share
        ]


def _name(span: Span) -> str:
    """A shower is a tap that runs for long."""
    return "shower" if span.kind == "tap" and span.end_s - span.start_s > TAP_S[1] else span.kind


def place(seed: int, number: int) -> Place:
    """A random site with random habits."""
    rng = _rng(seed, number, Purpose.PLACE)
    return Place(
        site=random_site(rng, name=f"simulated-{seed}-site{number + 1:03d}"),
        pump_db=float(rng.uniform(-6.0, 6.0)),
        valve_db=float(rng.uniform(-12.0, 0.0)),
        pump_run_s=log_uniform(rng, 180.0, 1800.0),
        pump_rest_s=log_uniform(rng, 300.0, 3600.0),
    )


def commissioning(seed: int, number: int, duration_s: float) -> list[Scenario]:
    """What a site is learned from: :data:`PARTS` recordings without a leak, `duration_s` together."""
    where = place(seed, number)
    scenarios = []
    for part in range(PARTS):
        rng = _rng(seed, number, Purpose.COMMISSIONING, part)
        scenarios.append(_scenario(where, (NIGHT, DAY)[part % 2], duration_s / PARTS, rng))
    return scenarios


def healthy_night(seed: int, number: int, night: int, duration_s: float) -> Scenario:
    """A night of a site in health."""
    return _scenario(place(seed, number), NIGHT, duration_s, _rng(seed, number, Purpose.HEALTHY, night))


def leak_nights(seed: int, number: int, leak: int, snr_db: float, duration_s: float) -> list[Scenario]:
    """:data:`LEAK_NIGHTS` nights of a site with one and the same leak, which never stops."""
    where = place(seed, number)
    found = random_leak(where.site.pipe, _rng(seed, number, Purpose.LEAK, leak), head_m=where.site.head_m)
    always = Span("leak", -1.0, duration_s + 1.0, snr_db)
    return [
        _scenario(where, NIGHT, duration_s, _rng(seed, number, Purpose.LEAK, leak, 1 + night), always, leak=found)
        for night in range(LEAK_NIGHTS)
    ]


def onset(seed: int, number: int, snr_db: float, duration_s: float) -> Scenario:
    """A leak that begins, at :data:`ONSET_SHARE` of a recording, and stays."""
    where = place(seed, number)
    found = random_leak(where.site.pipe, _rng(seed, number, Purpose.LEAK, 0), head_m=where.site.head_m)
    begins = Span("leak", ONSET_SHARE * duration_s, duration_s + 1.0, snr_db)
    return _scenario(where, NIGHT, duration_s, _rng(seed, number, Purpose.ONSET), begins, leak=found)


def _rng(seed: int, number: int, purpose: Purpose, *which: int) -> np.random.Generator:
    return np.random.default_rng([seed, number, purpose, *which])


def _scenario(
    where: Place, rates: Rates, duration_s: float, rng: np.random.Generator, *leaks: Span, leak: Leak | None = None
) -> Scenario:
    spans = _spans(where, rates, duration_s, rng)
    return Scenario(where.site, (*spans, *leaks), duration_s, int(rng.integers(2**31)), leak)


def _spans(where: Place, rates: Rates, duration_s: float, rng: np.random.Generator) -> list[Span]:
    spans: list[Span] = []

    def draw(kind: Kind, per_hour: float, lengths_s: tuple[float, float], snr_db: tuple[float, float]) -> None:
        """Some have begun before the recording, so chance is asked for as long before it as one may last."""
        shortest_s, longest_s = lengths_s
        for _ in range(rng.poisson(per_hour * (longest_s + duration_s) / 3600.0)):
            start_s = float(rng.uniform(-longest_s, duration_s))
            span = Span(kind, start_s, start_s + log_uniform(rng, shortest_s, longest_s), float(rng.uniform(*snr_db)))
            if span.end_s > 0.0:
                spans.append(span)

    draw("tap", rates.tap, TAP_S, (0.0, 15.0))
    draw("tap", rates.shower, SHOWER_S, (0.0, 15.0))
    draw("flush", rates.flush, (25.0, 80.0), (-3.0, 12.0))
    draw("lorry", rates.lorry, (8.0, 15.0), (-3.0, 10.0))
    draw("footsteps", rates.footsteps, (5.0, 20.0), (-10.0, 3.0))
    if rng.random() < RAIN_SHARE:
        length_s = log_uniform(rng, *RAIN_S)
        start_s = float(rng.uniform(-length_s, duration_s))
        spans.append(Span("rain", start_s, start_s + length_s, float(rng.uniform(-10.0, 3.0))))
    if where.site.valve is not None:
        spans.append(Span("prv", -3.0, duration_s + 3.0, where.valve_db + float(rng.normal(0.0, 1.0))))
    if where.site.pump is not None:
        start_s = -float(rng.uniform(0.0, where.pump_run_s + where.pump_rest_s))
        while start_s < duration_s:
            end_s = start_s + where.pump_run_s * float(rng.uniform(0.8, 1.2))
            if end_s > 0.0:
                spans.append(Span("pump", start_s, end_s, where.pump_db + float(rng.normal(0.0, 1.0))))
            start_s = end_s + where.pump_rest_s * float(rng.uniform(0.8, 1.2))
    return [_heard(span, duration_s) for span in spans]


def _heard(span: Span, duration_s: float) -> Span:
    """A span without what lies so far beyond the recording that only rendering it would take time."""
    if span.kind not in ("rain", "pump"):
        return span
    return Span(span.kind, max(span.start_s, -5.0), min(span.end_s, duration_s + 5.0), span.snr_db)
