"""A leak: a turbulent jet into the ground, heard through the pipe."""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma, pi, sqrt

import numpy as np

from hydroear_train.simulate.noise import Real, Samples, Spectrum, log_uniform, shaped_noise, slow_gain, unit_rms
from hydroear_train.simulate.pipe import MATERIALS, Pipe, random_pipe
from hydroear_train.simulate.sensor import Sensor, random_sensor

GRAVITY_M_S2 = 9.81
VELOCITY_COEFFICIENT = 0.97
"""Jet speed over Torricelli's √(2gh), sharp-edged orifice (Encyclopædia Britannica, 11th ed., "Hydraulics", § 17)."""
CONTRACTION_COEFFICIENT = 0.64
"""Area of the contracted jet over that of the orifice, sharp-edged orifice (ibid., § 18)."""
WATER_DENSITY_KG_M3 = 1000.0

_PRESSURE_FRACTION = 0.05
# Modelling choice: RMS pressure fluctuation over the jet's dynamic pressure. Every use of the simulator scales leak
# noise to a stated SNR, so this constant only sets the unit of `Jet.spectrum`.
_ROLL_OFF_INTEGRAL = 0.5 * sqrt(pi) * gamma(2.0 / 3.0) / gamma(7.0 / 6.0)
# ∫ (1 + x²)^(-7/6) dx from 0 to ∞, which turns the RMS pressure into a density.


@dataclass(frozen=True)
class Jet:
    """Water under pressure leaving an orifice.

    Attributes
    ----------
    head_m
        Pressure head that drives it, metres of water.
    orifice_m
        Diameter of the orifice, or of a round one of the same area.
    strouhal
        Strouhal number of the spectrum's corner, customarily 0.2 for the peak of jet noise.
    """

    head_m: float
    orifice_m: float
    strouhal: float = 0.2

    @property
    def velocity_m_s(self) -> float:
        """Speed of the contracted jet, ``0.97 √(2 g h)`` (Torricelli)."""
        return VELOCITY_COEFFICIENT * sqrt(2.0 * GRAVITY_M_S2 * self.head_m)

    @property
    def corner_hz(self) -> float:
        """Frequency of the energy-carrying eddies, ``St U / d`` with the contracted jet's diameter."""
        return self.strouhal * self.velocity_m_s / (self.orifice_m * sqrt(CONTRACTION_COEFFICIENT))

    def spectrum(self, frequency_hz: Real, diameter_m: float) -> Real:
        """Pressure amplitude the jet puts into a pipe, Pa/√Hz.

        Leak noise in water pipes is made by turbulence, not cavitation, and its spectrum depends on hole size and jet
        speed (Papastefanou, Joseph & Brennan, "Experimental investigation into the characteristics of in-pipe leak
        noise in plastic water filled pipes", Acta Acust. united Ac. 98, 2012, pp. 847-856). The power spectrum is
        flat below the corner, as Gao et al. (2004) assume at source, and falls as f^(-7/3) above, which Kolmogorov's
        scaling gives for pressure: ``p ~ ρ u²``, ``u ~ (ε/k)^(1/3)``. RMS pressure is a fixed fraction of the dynamic
        pressure ``ρ U²/2``, diluted by the ratio of orifice to pipe area (modelling choice).
        """
        rms_pa = (
            _PRESSURE_FRACTION
            * 0.5
            * WATER_DENSITY_KG_M3
            * self.velocity_m_s**2
            * min(1.0, self.orifice_m / diameter_m) ** 2
        )
        shape = (1.0 + (frequency_hz / self.corner_hz) ** 2) ** (-7.0 / 12.0)
        return np.asarray(rms_pa / np.sqrt(_ROLL_OFF_INTEGRAL * self.corner_hz) * shape)


@dataclass(frozen=True)
class Leak:
    """A jet at a distance from the sensor, along the main."""

    jet: Jet
    distance_m: float


def random_leak(pipe: Pipe, rng: np.random.Generator, *, head_m: float | None = None) -> Leak:
    """A leak on a pipe. The ranges are modelling choices: distribution pressure, holes of 1.5 to 8 mm, and
    distances at which the material still lets something through."""
    reach_m = 15.0 if MATERIALS[pipe.material].plastic else 120.0
    jet = Jet(
        head_m=float(rng.uniform(15.0, 70.0)) if head_m is None else head_m,
        orifice_m=log_uniform(rng, 0.0015, 0.008),
        strouhal=float(rng.uniform(0.15, 0.3)),
    )
    return Leak(jet, log_uniform(rng, 1.0, reach_m))


def leak_spectrum(leak: Leak, pipe: Pipe, sensor: Sensor) -> Spectrum:
    """Amplitude of a leak as a sensor on a pipe hears it: source × path × sensor."""

    def spectrum(frequency_hz: Real) -> Real:
        source = leak.jet.spectrum(frequency_hz, pipe.diameter_m)
        return source * pipe.response(frequency_hz, leak.distance_m) * sensor.response(frequency_hz)

    return spectrum


def leak_noise(leak: Leak, pipe: Pipe, sensor: Sensor, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Leak noise at a sensor: steady, but for a breath of some tenths of a dB. float32, shape (n,), RMS 1."""
    steady = shaped_noise(leak_spectrum(leak, pipe, sensor), n, rate_hz, rng)
    return unit_rms(steady * slow_gain(n, rate_hz, rng, period_s=4.0, depth_db=0.4))


def random_leak_noise(n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Noise of a random leak on a random pipe at a random sensor, for mixing into recordings as an augmentation.

    Parameters
    ----------
    n
        Number of samples, at least 1.

    Returns
    -------
    float32, shape (n,), RMS 1.
    """
    pipe = random_pipe(rng)
    return leak_noise(random_leak(pipe, rng), pipe, random_sensor(rng), n, rate_hz, rng)
