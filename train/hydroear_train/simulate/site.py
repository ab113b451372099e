"""A site: one pipe, one sensor, one neighbourhood. Whatever makes it sound unlike another is drawn here, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydroear_train.simulate.noise import Real, log_uniform
from hydroear_train.simulate.pipe import Pipe, random_pipe
from hydroear_train.simulate.sensor import Sensor, random_sensor


@dataclass(frozen=True)
class Flow:
    """The hiss of a healthy main: its own turbulence, fittings, and all the consumption further off.

    The power spectrum falls as f^-0.7 over its middle range and as f^-5 at its end, after the shape of wall pressure
    under turbulent flow (Goody, "Empirical spectral model of surface pressure fluctuations", AIAA J. 42, 2004,
    pp. 1788-1794). Using that shape for the sum of many sources, and its corners, are modelling choices.

    Attributes
    ----------
    level_dbfs
        RMS within the leak band, in dB relative to full scale 1.
    low_corner_hz, high_corner_hz
        Where each slope begins.
    """

    level_dbfs: float
    low_corner_hz: float
    high_corner_hz: float

    def spectrum(self, frequency_hz: Real) -> Real:
        """Amplitude over frequency, 1 at its low end."""
        low = (1.0 + (frequency_hz / self.low_corner_hz) ** 2) ** (-0.7 / 4.0)
        high = (1.0 + (frequency_hz / self.high_corner_hz) ** 2) ** (-4.3 / 4.0)
        return np.asarray(low * high)


@dataclass(frozen=True)
class Hum:
    """Mains pick-up.

    Attributes
    ----------
    frequency_hz
        50 or 60.
    level_db
        RMS over that of the flow noise within the leak band.
    harmonics
        Relative peak amplitudes, fundamental first.
    """

    frequency_hz: float
    level_db: float
    harmonics: tuple[float, ...]


@dataclass(frozen=True)
class Pump:
    """A centrifugal pump within earshot: lines at the shaft speed and at blades × shaft speed."""

    shaft_hz: float
    blades: int


@dataclass(frozen=True)
class Valve:
    """A pressure-reducing valve: hiss and a whistle.

    Attributes
    ----------
    whistle_hz
        Tone of the valve's trim.
    whistle_db
        Level of the tone over the hiss.
    hunting_hz
        Rate at which the valve searches for its set point; 0 is steady.
    """

    whistle_hz: float
    whistle_db: float
    hunting_hz: float


@dataclass(frozen=True)
class Service:
    """The house connection through which taps and cisterns are heard."""

    pipe: Pipe
    length_m: float


@dataclass(frozen=True)
class Site:
    """A place where a sensor listens.

    Attributes
    ----------
    name
        Begins with ``simulated``.
    head_m
        Pressure head in the main, metres of water.
    pump, valve
        None where the neighbourhood has none.
    """

    name: str
    pipe: Pipe
    sensor: Sensor
    flow: Flow
    hum: Hum
    service: Service
    head_m: float
    pump: Pump | None
    valve: Valve | None

    def coupling(self, frequency_hz: Real) -> Real:
        """Amplitude response of the fitting and the sensor on it, which colours all that comes along the main."""
        return self.pipe.fitting(frequency_hz) * self.sensor.response(frequency_hz)


def random_site(rng: np.random.Generator, *, name: str = "simulated-site", material: str | None = None) -> Site:
    """A site drawn from the range of water networks. The ranges are modelling choices.

    Parameters
    ----------
    material
        Key of :data:`~hydroear_train.simulate.pipe.MATERIALS`; any by default.
    """
    service = random_pipe(rng, str(rng.choice(["pe", "galvanised"])))
    mains_hz = float(rng.choice([50.0, 60.0]))
    odd_even = np.where(np.arange(1, 13) % 2 == 1, 1.0, 0.3)
    # An induction motor runs a few per cent below synchronous speed; two or four poles drive most pumps.
    shaft_hz = mains_hz / float(rng.choice([1, 2])) * float(rng.uniform(0.95, 0.99))
    return Site(
        name=name,
        pipe=random_pipe(rng, material),
        sensor=random_sensor(rng),
        flow=Flow(
            level_dbfs=float(rng.uniform(-50.0, -35.0)),
            low_corner_hz=log_uniform(rng, 20.0, 150.0),
            high_corner_hz=log_uniform(rng, 1000.0, 4000.0),
        ),
        hum=Hum(
            frequency_hz=mains_hz,
            level_db=float(rng.uniform(-25.0, 0.0)),
            harmonics=tuple(float(a) for a in odd_even * rng.uniform(0.1, 1.0, 12) / np.arange(1, 13)),
        ),
        service=Service(service, float(rng.uniform(4.0, 20.0))),
        head_m=float(rng.uniform(15.0, 70.0)),
        pump=Pump(shaft_hz, int(rng.integers(5, 8))) if rng.random() < 0.25 else None,
        valve=(
            Valve(log_uniform(rng, 400.0, 2500.0), float(rng.uniform(-20.0, 0.0)), float(rng.choice([0.0, 0.2, 0.5])))
            if rng.random() < 0.2
            else None
        ),
    )
