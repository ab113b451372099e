"""What a pipe does to sound in the water it carries: wave speed, attenuation, standing waves, fittings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear_train.simulate.noise import Real, log_uniform

WATER_SPEED_M_S = 1480.0
"""Speed of sound in unconfined fresh water near 20 °C."""
WATER_BULK_MODULUS_PA = 2.2e9
"""Bulk modulus of water; with a density of 1000 kg/m³ it gives the speed above."""


@dataclass(frozen=True)
class Material:
    """A pipe wall.

    Attributes
    ----------
    youngs_modulus_pa
        Of the wall.
    loss_factor
        *Effective* loss factor of the buried pipe: wall damping plus what the soil takes.
    diameter_to_wall
        Inner diameter over wall thickness of common pressure classes.
    diameters_m
        Smallest and largest inner diameter in use.
    """

    youngs_modulus_pa: float
    loss_factor: float
    diameter_to_wall: float
    diameters_m: tuple[float, float]

    @property
    def plastic(self) -> bool:
        """Whether the wall is so soft that it, and not the water, rules the wave speed."""
        return self.youngs_modulus_pa < 10e9


# Young's moduli: handbook and makers' values. Steel 207 GPa, ductile iron 162-170, flake-graphite iron 80-120,
# PE100 0.75-1.25 and PP-R about 0.9 (ISO 527, short-term).
# Modelling choices: the composite values of steel-plastic (plastic-lined steel) and prestressed concrete, the
# diameter ranges, the diameter-to-wall ratios, and all loss factors. Bare metals lose 1e-4 to 1e-3 (Cremer & Heckl,
# "Structure-Borne Sound", 1988), but a buried, coated pipe loses far more to the soil: 0.01 gives about 0.1 dB/m at
# 2 kHz, the order of the 0.12 dB/m measured on a buried pipe in "Acoustic wave attenuation through buried water
# mains", GeoOttawa 2017, paper 593. Plastics: 0.06, near the values used for plastic mains (0.065 in Lu, Sheng, Gao &
# Wang, "Influence of shear effects on the characteristics of axisymmetric wave propagation in a buried fluid-filled
# pipe", Chin. J. Mech. Eng., 2022, doi:10.1186/s10033-022-00710-7).
MATERIALS: dict[str, Material] = {
    "ductile-iron": Material(170e9, 0.010, 22.0, (0.08, 0.40)),
    "steel": Material(207e9, 0.010, 40.0, (0.08, 0.60)),
    "steel-plastic": Material(150e9, 0.020, 25.0, (0.05, 0.20)),
    "pe": Material(1.0e9, 0.060, 9.0, (0.05, 0.315)),
    "ppr": Material(0.9e9, 0.060, 7.0, (0.032, 0.11)),
    "galvanised": Material(207e9, 0.012, 14.0, (0.02, 0.10)),
    "cast-iron": Material(100e9, 0.015, 15.0, (0.08, 0.50)),
    "prestressed-concrete": Material(35e9, 0.020, 12.0, (0.40, 1.20)),
}
"""Pipe materials by name."""


@dataclass(frozen=True)
class Mode:
    """A resonance of a fitting (valve body, hydrant riser, chamber pipework) near the sensor.

    Attributes
    ----------
    gain
        Strength of the resonance at its centre, relative to the direct wave.
    """

    frequency_hz: float
    q: float
    gain: float


@dataclass(frozen=True)
class Pipe:
    """A main between two reflecting fittings, with a sensor on one of them.

    Attributes
    ----------
    material
        Key of :data:`MATERIALS`.
    diameter_m
        Inner diameter.
    section_m
        Length between the fittings, over which standing waves build up.
    reflection
        Product of both fittings' pressure reflection coefficients, within ±1.
    modes
        Resonances of the fitting that carries the sensor.
    """

    material: str
    diameter_m: float
    section_m: float
    reflection: float
    modes: tuple[Mode, ...]

    def wavenumber(self, frequency_hz: Real) -> NDArray[np.complex128]:
        """Complex wavenumber of the fluid-borne wave, 1/m; minus the imaginary part is the attenuation in Np/m.

        Korteweg's wave speed with a complex wall modulus ``E (1 + jη)``::

            k = ω/c_w √(1 + B d / (E (1 + jη) h))

        With a loss factor that does not depend on frequency the attenuation grows in proportion to it, as in
        Gao, Brennan, Joseph, Muggleton & Hunaidi, "A model of the correlation function of leak noise in buried
        plastic pipes", J. Sound Vib. 277, 2004, pp. 133-148. Soil enters through the effective loss factor only.
        """
        wall = MATERIALS[self.material]
        softness = (
            WATER_BULK_MODULUS_PA * wall.diameter_to_wall / (wall.youngs_modulus_pa * (1.0 + 1j * wall.loss_factor))
        )
        return np.asarray(2.0 * np.pi * frequency_hz / WATER_SPEED_M_S * np.sqrt(1.0 + softness))

    @property
    def wave_speed_m_s(self) -> float:
        """Phase speed of the fluid-borne wave."""
        return float(2.0 * np.pi / self.wavenumber(np.ones(1)).real[0])

    def attenuation_db(self, frequency_hz: Real, distance_m: float) -> Real:
        """Loss of the fluid-borne wave over a distance, in dB (positive)."""
        return np.asarray(-8.685889638 * self.wavenumber(frequency_hz).imag * distance_m)

    def response(self, frequency_hz: Real, distance_m: float) -> Real:
        """Amplitude at the sensor of a unit source at a distance along the main.

        The wave decays on its way, rings between the fittings as ``1 / |1 - R exp(-2jkL)|`` and excites the
        fitting's modes. Resonances of this kind show as peaks in measured leak spectra (Gao, Brennan, Liu, Almeida
        & Joseph, "Improving the shape of the cross-correlation function for leak detection in a plastic water
        distribution pipe using acoustic signals", Appl. Acoust., 2017, doi:10.1016/j.apacoust.2017.05.033).
        """
        k = self.wavenumber(frequency_hz)
        ringing = 1.0 / np.abs(1.0 - self.reflection * np.exp(-2j * k * self.section_m))
        return np.asarray(np.exp(k.imag * distance_m) * ringing * self.fitting(frequency_hz))

    def fitting(self, frequency_hz: Real) -> Real:
        """Amplitude response of the fitting that carries the sensor: the direct wave plus its modes."""
        total = np.ones(len(frequency_hz), dtype=np.complex128)
        for mode in self.modes:
            ratio = frequency_hz / mode.frequency_hz
            # Band-pass of a single degree of freedom, 1 at its centre.
            total += mode.gain * (1j * ratio / mode.q) / (1.0 - ratio**2 + 1j * ratio / mode.q)
        return np.abs(total)


def random_pipe(rng: np.random.Generator, material: str | None = None) -> Pipe:
    """A pipe of a given or random material. The ranges are modelling choices."""
    name = material if material is not None else str(rng.choice(list(MATERIALS)))
    wall = MATERIALS[name]
    smallest_m, largest_m = wall.diameters_m
    modes = tuple(
        Mode(log_uniform(rng, 150.0, 3000.0), log_uniform(rng, 3.0, 15.0), float(rng.uniform(0.5, 2.5)))
        for _ in range(int(rng.integers(2, 6)))
    )
    return Pipe(
        material=name,
        diameter_m=log_uniform(rng, smallest_m, largest_m),
        section_m=log_uniform(rng, 3.0, 60.0),
        reflection=float(rng.uniform(0.1, 0.6) * rng.choice([-1.0, 1.0])),
        modes=modes,
    )
