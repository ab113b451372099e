"""The ear on the pipe: its frequency response, its own noise, and the converter behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydroear_train.simulate.noise import Real, Samples, highpass, log_uniform, resonance


@dataclass(frozen=True)
class Sensor:
    """A contact sensor with its pre-amplifier and converter.

    Attributes
    ----------
    highpass_hz
        Corner of the second-order high-pass of sensor and pre-amplifier.
    resonance_hz, q
        Mounted resonance; sensitivity falls 12 dB an octave above it.
    noise_dbfs
        RMS of the electronic noise, white, in dB relative to full scale 1.
    adc_bits
        Resolution of the converter.
    """

    highpass_hz: float
    resonance_hz: float
    q: float
    noise_dbfs: float
    adc_bits: int

    def response(self, frequency_hz: Real) -> Real:
        """Amplitude response, about 1 between the corner and the resonance."""
        return highpass(frequency_hz, self.highpass_hz) * resonance(frequency_hz, self.resonance_hz, self.q)


def quantise(x: Samples, bits: int) -> Samples:
    """`x` as a converter of that resolution delivers it: rounded to steps of ``2 / 2**bits``, clipped at ±1.

    Rounding adds nearly white noise of power step²/12 (Widrow, Kollár & Liu, "Statistical theory of quantization",
    IEEE Trans. Instrum. Meas. 45, 1996, pp. 353-361).
    """
    half = 2.0 ** (bits - 1)
    return np.asarray(np.clip(np.rint(x * half), -half, half - 1.0) / half, dtype=np.float32)


def random_sensor(rng: np.random.Generator) -> Sensor:
    """A sensor as fitted to loggers: modelling choices throughout."""
    return Sensor(
        highpass_hz=log_uniform(rng, 15.0, 80.0),
        resonance_hz=log_uniform(rng, 1500.0, 6000.0),
        q=float(rng.uniform(0.8, 4.0)),
        noise_dbfs=float(rng.uniform(-75.0, -55.0)),
        adc_bits=int(rng.choice([12, 16, 16, 24])),
    )
