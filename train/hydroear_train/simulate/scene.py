"""A scene: what happens at a site over a stretch of time, with labels, and the sound of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from hydroear.errors import UsageError
from hydroear_train.simulate import sounds
from hydroear_train.simulate.leak import Leak, leak_noise, random_leak
from hydroear_train.simulate.noise import Samples, band_rms, fade, log_uniform
from hydroear_train.simulate.pipe import Mode, Pipe
from hydroear_train.simulate.sensor import Sensor, quantise
from hydroear_train.simulate.site import Flow, Hum, Service, Site, random_site

Kind = Literal["leak", "tap", "flush", "pump", "prv", "lorry", "rain", "footsteps"]

RATES_HZ = (8000, 48000)
"""Lowest and highest sample rate the simulator renders: the leak band with room above it, and no more than sensors
on mains deliver."""
MAX_DURATION_S = 3600.0
"""Longest scene: it is made in memory, in one piece."""


@dataclass(frozen=True)
class Span:
    """Something that happens.

    Attributes
    ----------
    kind
        What.
    start_s, end_s
        When, in seconds from the start of the scene. A span may reach beyond either end of the scene.
    snr_db
        RMS of its sound over the span, over that of the site's background, both within 50 to 2000 Hz at the
        sensor, in dB.
    """

    kind: Kind
    start_s: float
    end_s: float
    snr_db: float


@dataclass(frozen=True, eq=False)
class Scene:
    """A simulated recording.

    Attributes
    ----------
    samples
        float32, shape (n,), full scale ±1, as the sensor's converter delivers them.
    rate_hz
        Sample rate.
    spans
        What is to be heard, in order of time.
    """

    samples: Samples
    rate_hz: int
    spans: tuple[Span, ...]


def leak_component(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Noise of a random leak on a site's main, as its sensor hears it.

    Returns
    -------
    float32, shape (n,), RMS 1.
    """
    leak = random_leak(site.pipe, rng, head_m=site.head_m)
    return leak_noise(leak, site.pipe, site.sensor, n, rate_hz, rng)


_SOUNDS: dict[Kind, Callable[[Site, int, int, np.random.Generator], Samples]] = {
    "leak": leak_component,
    "tap": sounds.tap,
    "flush": sounds.flush,
    "pump": sounds.pump,
    "prv": sounds.prv,
    "lorry": sounds.lorry,
    "rain": sounds.rain,
    "footsteps": sounds.footsteps,
}
# How long each takes to come and go: a tap is turned, a motor spins up. Modelling choices.
_FADE_S: dict[Kind, float] = {
    "leak": 0.5,
    "tap": 0.3,
    "flush": 0.2,
    "pump": 1.0,
    "prv": 2.0,
    "lorry": 0.5,
    "rain": 3.0,
    "footsteps": 0.1,
}


def render(
    site: Site, spans: Iterable[Span], duration_s: float, rate_hz: int = 16000, *, seed: int, leak: Leak | None = None
) -> Scene:
    """The sound of a site while things happen.

    Every span has its own random stream, so adding one at the end leaves the others and the background as they were.
    The same arguments give the same samples, bit for bit, on the same versions of numpy and scipy.

    Parameters
    ----------
    duration_s
        Length of the scene, over 0, at most :data:`MAX_DURATION_S`.
    rate_hz
        Within :data:`RATES_HZ`.
    seed
        0 or more.
    leak
        What spans of a leak sound of, so that several scenes may hear the same one; by default each is a random one.

    Raises
    ------
    UsageError
        For a rate, a duration, a seed or a span that cannot be.
    """
    spans = tuple(sorted(spans, key=lambda span: (span.start_s, span.end_s, span.kind)))
    check_recording(duration_s, rate_hz, seed)
    _check_spans(spans, duration_s)
    n = round(duration_s * rate_hz)
    streams = np.random.SeedSequence(seed).spawn(1 + len(spans))
    total = sounds.background(site, n, rate_hz, np.random.default_rng(streams[0]))
    reference = band_rms(total, rate_hz)
    for span, stream in zip(spans, streams[1:], strict=True):
        first, last = round(span.start_s * rate_hz), round(span.end_s * rate_hz)
        rng = np.random.default_rng(stream)
        if span.kind == "leak" and leak is not None:
            sound = leak_noise(leak, site.pipe, site.sensor, last - first, rate_hz, rng)
        else:
            sound = _SOUNDS[span.kind](site, last - first, rate_hz, rng)
        sound = fade(sound, rate_hz, _FADE_S[span.kind])
        loudness = band_rms(sound, rate_hz)
        if loudness > 0.0:
            gain = reference * 10.0 ** (span.snr_db / 20.0) / loudness
            heard = slice(max(first, 0), min(last, n))
            total[heard] += np.float32(gain) * sound[heard.start - first : heard.stop - first]
    return Scene(quantise(total, site.sensor.adc_bits), rate_hz, spans)


def check_recording(duration_s: float, rate_hz: int, seed: int) -> None:
    """Refuse what no recording can have; see :func:`render`."""
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise UsageError(f"sample rate {rate_hz} Hz", where="simulate", expected=f"{RATES_HZ[0]} to {RATES_HZ[1]} Hz")
    if not 0.0 < duration_s <= MAX_DURATION_S:
        raise UsageError(
            f"duration {duration_s:g} s", where="simulate", expected=f"more than 0, at most {MAX_DURATION_S:g} s"
        )
    if seed < 0:
        raise UsageError(f"seed {seed}", where="simulate", expected="0 or more")


def _check_spans(spans: tuple[Span, ...], duration_s: float) -> None:
    for span in spans:
        if span.kind not in get_args(Kind):
            raise UsageError(
                f"span of kind {span.kind!r}", where="simulate", expected=f"one of {', '.join(get_args(Kind))}"
            )
        if not np.isfinite([span.start_s, span.end_s, span.snr_db]).all():
            raise UsageError(f"{span}", where="simulate", expected="finite times and a finite level")
        if not (span.start_s < span.end_s and span.start_s < duration_s and span.end_s > 0.0):
            raise UsageError(
                f"{span.kind} from {span.start_s:g} to {span.end_s:g} s",
                where="simulate",
                expected=f"an end after its start, and a part within 0 to {duration_s:g} s",
            )


def random_spans(site: Site, duration_s: float, rng: np.random.Generator) -> list[Span]:
    """What a street does by day: the confounders of a recording, drawn at random.

    Rates are modelling choices: 20 taps, 8 flushes, 12 lorries and 6 walkers an hour, rain in one recording of
    twenty; a pump runs half the time, a pressure-reducing valve always. Some have begun before the recording, some
    outlast it.
    """
    spans: list[Span] = []

    def draw(kind: Kind, per_hour: float, lengths_s: tuple[float, float], snr_db: tuple[float, float]) -> None:
        for _ in range(rng.poisson(per_hour * duration_s / 3600.0)):
            length_s = log_uniform(rng, *lengths_s)
            start_s = float(rng.uniform(-length_s, duration_s))
            spans.append(Span(kind, start_s, start_s + length_s, float(rng.uniform(*snr_db))))

    draw("tap", 20.0, (3.0, 90.0), (0.0, 15.0))
    draw("flush", 8.0, (25.0, 80.0), (-3.0, 12.0))
    draw("lorry", 12.0, (8.0, 15.0), (-3.0, 10.0))
    draw("footsteps", 6.0, (5.0, 20.0), (-10.0, 3.0))
    if rng.random() < 0.05:
        spans.append(Span("rain", -3.0, duration_s + 3.0, float(rng.uniform(-10.0, 3.0))))
    if site.valve is not None:
        spans.append(Span("prv", -3.0, duration_s + 3.0, float(rng.uniform(-12.0, 0.0))))
    if site.pump is not None and rng.random() < 0.5:
        start_s = float(rng.uniform(-duration_s, 0.5 * duration_s))
        end_s = start_s + float(rng.uniform(0.6, 2.0)) * duration_s
        if end_s > 0.0:
            spans.append(Span("pump", start_s, end_s, float(rng.uniform(-6.0, 6.0))))
    return spans


DEMO_SITE = Site(
    name="simulated-demo",
    pipe=Pipe(
        material="ductile-iron",
        diameter_m=0.15,
        section_m=12.0,
        reflection=0.35,
        modes=(Mode(420.0, 6.0, 1.2), Mode(1150.0, 8.0, 1.5), Mode(1900.0, 5.0, 0.8)),
    ),
    sensor=Sensor(highpass_hz=40.0, resonance_hz=2600.0, q=1.5, noise_dbfs=-62.0, adc_bits=16),
    flow=Flow(level_dbfs=-42.0, low_corner_hz=60.0, high_corner_hz=1800.0),
    hum=Hum(frequency_hz=50.0, level_db=-12.0, harmonics=(1.0, 0.2, 0.5, 0.1, 0.3, 0.05, 0.15)),
    service=Service(Pipe("galvanised", 0.025, 8.0, 0.3, (Mode(700.0, 5.0, 1.0),)), 12.0),
    head_m=40.0,
    pump=None,
    valve=None,
)
"""The site of the demo: 150 mm ductile iron, a contact sensor on a hydrant."""


def demo_scene(seed: int = 0, rate_hz: int = 16000) -> Scene:
    """Four minutes at :data:`DEMO_SITE`: quiet, a tap at 35 s, a lorry at 65 s, a leak from 100 to 170 s that is then
    repaired, quiet again to 240 s."""
    timeline = (
        Span("tap", 35.0, 50.0, 9.0),
        Span("lorry", 65.0, 80.0, 6.0),
        Span("leak", 100.0, 170.0, 2.0),
    )
    return render(DEMO_SITE, timeline, 240.0, rate_hz, seed=seed)


def quiet_scene(site: Site, duration_s: float, rate_hz: int = 16000, *, seed: int) -> Scene:
    """A site without a leak, as met at commissioning: its background, one short use of a tap, somebody walking by.

    The tap runs from 40 % of the scene for up to 8 s, the steps from 75 % for up to 10 s.
    """
    tap_s, steps_s = 0.4 * duration_s, 0.75 * duration_s
    spans = (
        Span("tap", tap_s, tap_s + min(8.0, 0.1 * duration_s), 6.0),
        Span("footsteps", steps_s, steps_s + min(10.0, 0.1 * duration_s), -3.0),
    )
    return render(site, spans, duration_s, rate_hz, seed=seed)


def nights(sites: int, duration_s: float, rate_hz: int = 16000, *, seed: int) -> Iterator[tuple[Site, Scene]]:
    """Normal pipes in the small hours, each another site, when nobody draws water.

    An open tap and a leak are both a jet: what a detector is to take for normal should hold neither.
    """
    for number in range(sites):
        rng = np.random.default_rng([seed, number])
        site = random_site(rng, name=f"simulated-site-{number:03d}")
        spans = [span for span in random_spans(site, duration_s, rng) if span.kind not in ("tap", "flush")]
        yield site, render(site, spans, duration_s, rate_hz, seed=int(rng.integers(2**31)))
