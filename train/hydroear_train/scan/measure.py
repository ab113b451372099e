"""What one recording measures, heard once from beginning to end in blocks of a second."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Samples, clipped_count, open_recording
from hydroear.audio.flatline import Flatline
from hydroear_train.scan.landmarks import Landmarks, LandmarkTracker
from hydroear_train.scan.spectrum import MAINS_HZ, Spectrum


@dataclass(frozen=True, eq=False)
class Measurement:
    """A recording in numbers; the sound is that of the first channel, which is the one that training hears.

    Attributes
    ----------
    rate_hz, channels, duration_s
        As the header and the number of samples say.
    level_db
        RMS without the mean, dB relative to full scale; None where nothing moves.
    dc_offset
        Mean, full scale ±1.
    clipped_fraction
        Part of the samples that are at full scale, 0 to 1.
    flat_s
        Length of the seconds that hold a stretch in which nothing moves.
    hum_db
        Lines of each mains frequency, by the frequency in Hz, float64, shape (harmonics,): see
        :meth:`~hydroear_train.scan.spectrum.Spectrum.hum_db`. NaN under a second.
    heard_db
        Level from 200 Hz up, where the default front end begins to hear, dB relative to full scale. NaN under a second.
    third_octaves_db
        Bands from 20 to 160 Hz relative to their mean, float64, shape (bands,). NaN under a second.
    sha256
        Of the samples, whatever container held them.
    landmarks
        Its loudest instants, by which it can be found again.
    """

    rate_hz: int
    channels: int
    duration_s: float
    level_db: float | None
    dc_offset: float
    clipped_fraction: float
    flat_s: float
    hum_db: Mapping[int, NDArray[np.float64]]
    heard_db: float
    third_octaves_db: NDArray[np.float64]
    sha256: str
    landmarks: Landmarks


def measure(path: Path) -> Measurement:
    """Measure a recording, in memory that does not depend on its length.

    Raises
    ------
    AudioError
        If it cannot be read to its end, or holds samples that are not finite.
    """
    with open_recording(path) as recording:
        rate_hz = recording.rate_hz
        spectrum, landmarks, moments, flatline = Spectrum(rate_hz), LandmarkTracker(), _Moments(), Flatline(rate_hz)
        digest = hashlib.sha256()
        frames = clipped = flat = 0
        while len(block := recording.read(rate_hz)):
            samples = np.ascontiguousarray(block[:, 0])
            digest.update((samples + np.float32(0.0)).astype("<f4").tobytes())  # + 0 turns -0 into 0
            moments.push(samples)
            spectrum.push(samples)
            landmarks.push(samples)
            flatline.push(samples, frames)
            if flatline.overlaps(frames, frames + len(samples)):
                flat += len(samples)
            clipped += clipped_count(samples)
            frames += len(samples)
        return Measurement(
            rate_hz=rate_hz,
            channels=recording.channels,
            duration_s=frames / rate_hz,
            level_db=moments.level_db,
            dc_offset=moments.mean,
            clipped_fraction=clipped / frames,
            flat_s=flat / rate_hz,
            hum_db={mains_hz: spectrum.hum_db(mains_hz) for mains_hz in MAINS_HZ},
            heard_db=spectrum.heard_db(),
            third_octaves_db=spectrum.third_octaves_db(),
            sha256=digest.hexdigest(),
            landmarks=landmarks.landmarks,
        )


class _Moments:
    """Mean and variance of a stream, about its first sample, so that a constant has exactly none."""

    def __init__(self) -> None:
        self._origin: float | None = None
        self._count, self._sum, self._square_sum = 0, 0.0, 0.0

    def push(self, samples: Samples) -> None:
        if self._origin is None:
            self._origin = float(samples[0])
        moved = samples.astype(np.float64) - self._origin
        self._count += len(moved)
        self._sum += float(moved.sum())
        self._square_sum += float(moved @ moved)

    @property
    def mean(self) -> float:
        return (self._origin or 0.0) + self._sum / self._count

    @property
    def level_db(self) -> float | None:
        variance = self._square_sum / self._count - (self._sum / self._count) ** 2
        return 10.0 * float(np.log10(variance)) if variance > 0.0 else None
