"""Everything a site may be heard to do besides leaking. Each sound is a function of site, length, rate and chance.

All return float32, shape (n,), on an arbitrary scale: :func:`~hydroear_train.simulate.scene.render` sets levels.
"""

from __future__ import annotations

import numpy as np

from hydroear_train.simulate.leak import Jet
from hydroear_train.simulate.noise import (
    Real,
    Samples,
    Spectrum,
    band_rms,
    convolve,
    harmonics,
    highpass,
    resonance,
    shaped_noise,
    slow_gain,
    unit_rms,
)
from hydroear_train.simulate.site import Flow, Pump, Site, Valve

MAINS_DRIFT = 4e-4
"""Relative wander of the mains frequency, 20 mHz in 50 Hz: modelling choice, well within the 1 % of EN 50160."""


def background(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """What a quiet site sounds like: flow noise, mains hum, and the sensor's own noise, at their true levels.

    From one recording to the next the flow changes a little: its level by 1 dB, its upper corner by 5 % (standard
    deviations; modelling choices).
    """
    flow = Flow(
        level_dbfs=site.flow.level_dbfs + float(rng.normal(0.0, 1.0)),
        low_corner_hz=site.flow.low_corner_hz,
        high_corner_hz=site.flow.high_corner_hz * float(np.exp(rng.normal(0.0, 0.05))),
    )
    hiss = shaped_noise(lambda f: flow.spectrum(f) * site.coupling(f), n, rate_hz, rng)
    hiss *= slow_gain(n, rate_hz, rng, period_s=8.0, depth_db=0.5)
    level = 10.0 ** (flow.level_dbfs / 20.0)
    lines = unit_rms(harmonics(site.hum.frequency_hz, np.array(site.hum.harmonics), n, rate_hz, rng, drift=MAINS_DRIFT))
    self_noise = rng.standard_normal(n, dtype=np.float32) * 10.0 ** (site.sensor.noise_dbfs / 20.0)
    total = hiss * (level / band_rms(hiss, rate_hz)) + lines * (level * 10.0 ** (site.hum.level_db / 20.0)) + self_noise
    return np.asarray(total, dtype=np.float32)


def tap(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Somebody draws water: a jet at the end of the service pipe, its strength adjusted by hand as it runs."""
    jet = Jet(head_m=site.head_m * float(rng.uniform(0.3, 0.9)), orifice_m=float(rng.uniform(0.003, 0.008)))
    x = _through_service(site, jet, n, rate_hz, rng)
    return x * slow_gain(n, rate_hz, rng, period_s=1.5, depth_db=1.5)


def flush(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """A cistern fills: steady, then fading over the last third as the float closes the valve."""
    x = _through_service(site, Jet(site.head_m * 0.8, float(rng.uniform(0.002, 0.004))), n, rate_hz, rng)
    closing = np.clip(3.0 * (1.0 - np.arange(n) / n), 0.0, 1.0)
    return np.asarray(x * closing, dtype=np.float32)


def pump(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """A pump runs: lines at multiples of shaft and blade-pass frequency over the noise of its flow."""
    machine = site.pump if site.pump is not None else Pump(shaft_hz=24.3, blades=6)
    orders = np.arange(1, 4 * machine.blades + 1)
    amplitudes = 0.3 / orders
    amplitudes[machine.blades - 1 :: machine.blades] = 1.0 / np.arange(1, 5)
    lines = harmonics(
        machine.shaft_hz, amplitudes * site.coupling(orders * machine.shaft_hz), n, rate_hz, rng, drift=1e-3
    )
    hiss = shaped_noise(lambda f: site.flow.spectrum(f) * site.coupling(f), n, rate_hz, rng)
    return unit_rms(lines) + 0.4 * hiss


def prv(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """A pressure-reducing valve throttles: a broad hiss and a whistle, both swelling where the valve hunts."""
    valve = site.valve if site.valve is not None else Valve(whistle_hz=900.0, whistle_db=-8.0, hunting_hz=0.0)
    jet = Jet(head_m=0.5 * site.head_m, orifice_m=0.015)
    hiss = shaped_noise(lambda f: jet.spectrum(f, site.pipe.diameter_m) * site.coupling(f), n, rate_hz, rng)
    whistle = unit_rms(harmonics(valve.whistle_hz, np.array([1.0, 0.2]), n, rate_hz, rng, drift=5e-3))
    swell = 1.0 + 0.5 * np.sin(2.0 * np.pi * valve.hunting_hz * np.arange(n) / rate_hz)
    return np.asarray((hiss + whistle * 10.0 ** (valve.whistle_db / 20.0)) * swell, dtype=np.float32)


def lorry(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """A lorry passes: it comes, peaks, goes.

    Ground-borne vibration of road traffic lies mostly at 5 to 25 Hz (Mikielewicz, Jakubczyk-Gałczyńska & Jankowski,
    "Investigating the effects of ground-transmitted vibrations from vehicles on buildings and their occupants",
    Appl. Sci. 15, 2025, 1689), exhaust noise of heavy vehicles at 63 to 125 Hz (TRL report SR429); tyre roar above
    is a modelling choice. The level over time is that of a point passing on a straight road.
    """

    def spectrum(frequency_hz: Real) -> Real:
        ground = resonance(frequency_hz, 12.0, 1.0)
        exhaust = 0.15 * _bump(frequency_hz, 63.0, 125.0)
        tyres = 0.008 * _bump(frequency_hz, 200.0, 800.0)
        return np.asarray((ground + exhaust + tyres) * site.sensor.response(frequency_hz))

    x = shaped_noise(spectrum, n, rate_hz, rng)
    passing = 1.0 / np.sqrt(1.0 + np.square(8.0 * (np.arange(n) / n - float(rng.uniform(0.4, 0.6)))))
    ends = np.sin(np.pi * (np.arange(n) + 0.5) / n)
    return np.asarray(x * passing * ends, dtype=np.float32)


def rain(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Rain on the cover: drops at random moments over a steady patter.

    Drop diameters are exponentially distributed (Marshall & Palmer, "The distribution of raindrops with size",
    J. Meteorol. 5, 1948, pp. 165-166); a drop's blow goes with its mass, hence with the diameter cubed (terminal
    speed changes little among the large drops that matter). Drop rate, largest drop (four mean diameters) and knock
    are modelling choices.
    """
    drops = rng.poisson(float(rng.uniform(15.0, 80.0)) * n / rate_hz)
    blows = np.zeros(n, dtype=np.float32)
    np.add.at(blows, rng.integers(0, n, drops), np.minimum(rng.exponential(1.0, drops), 4.0) ** 3)
    knock = _knock(lambda f: site.coupling(f) * highpass(f, 300.0), 0.004, rate_hz, rng)
    patter = shaped_noise(lambda f: site.coupling(f) * highpass(f, 400.0), n, rate_hz, rng)
    return unit_rms(convolve(blows, knock)) + 0.7 * patter


def footsteps(site: Site, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Somebody walks by.

    Steps come every 0.5 to 0.69 s. The heel's blow is heard at 20 to 90 Hz, the friction of the sole above 500 Hz
    (Ekimov & Sabatier, "Vibration and sound signatures of human footsteps in buildings", J. Acoust. Soc. Am. 120,
    2006, pp. 762-768; "Rhythm analysis of orthogonal signals from human walking", ibid. 129, 2011, p. 1306).
    """
    period = float(rng.uniform(0.5, 0.69)) * rate_hz
    at = np.cumsum(rng.normal(period, 0.03 * period, int(n / period) + 1))
    steps = np.zeros(n, dtype=np.float32)
    steps[at[(at > 0) & (at < n)].astype(np.intp)] = 1.0
    steps *= np.sin(np.pi * (np.arange(n) + 0.5) / n).astype(np.float32)
    heel = _knock(lambda f: _bump(f, 20.0, 90.0) * site.sensor.response(f), 0.05, rate_hz, rng)
    sole = _knock(lambda f: highpass(f, 500.0) * site.coupling(f), 0.03, rate_hz, rng)
    heel[: len(sole)] += 0.3 * sole
    return convolve(steps, heel)


def _through_service(site: Site, jet: Jet, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    pipe, length_m = site.service.pipe, site.service.length_m
    return shaped_noise(
        lambda f: jet.spectrum(f, pipe.diameter_m) * pipe.response(f, length_m) * site.coupling(f), n, rate_hz, rng
    )


def _bump(frequency_hz: Real, low_hz: float, high_hz: float) -> Real:
    """About 1 between two frequencies, falling 12 dB an octave outside."""
    return highpass(frequency_hz, low_hz) * resonance(frequency_hz, high_hz, 0.7)


def _knock(spectrum: Spectrum, decay_s: float, rate_hz: int, rng: np.random.Generator) -> Samples:
    """A blow: noise of the given spectrum dying away."""
    n = int(8.0 * decay_s * rate_hz)
    decay = np.exp(-np.arange(n) / (decay_s * rate_hz)).astype(np.float32)
    return unit_rms(shaped_noise(spectrum, n, rate_hz, rng) * decay)
