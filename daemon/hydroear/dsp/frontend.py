"""The front end as one stream: resample, high-pass, STFT, log-mel, windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp.mel import mel_bank
from hydroear.dsp.spec import FrontEndSpec
from hydroear.dsp.spectra import ChannelSpectra
from hydroear.dsp.stft import power_of
from hydroear.dsp.window import Window, WindowAssembler
from hydroear.errors import AudioError

_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))
"""Of power. NumPy's natural logarithm is vectorised, the decimal one is not."""

_PIECE = 16384
"""Samples of a long recording to take at a time: spectra that stay in the cache cost half as much."""


class LogMel:
    """Log-mel of power spectra.

    Parameters
    ----------
    spec
        The front end.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        bank = mel_bank(
            rate_hz=spec.rate_hz,
            n_fft=spec.n_fft,
            n_mels=spec.n_mels,
            low_hz=spec.low_hz,
            high_hz=spec.high_hz,
        )
        heard = np.flatnonzero(bank.any(axis=0))
        self._bins = slice(int(heard[0]), int(heard[-1]) + 1)
        self._bank = np.ascontiguousarray(bank[:, self._bins].T)
        self._floor = np.float32(10.0 ** (spec.floor_db / 10.0))

    def __call__(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Power, shape (m, n_fft // 2 + 1), to mel power in dB, float32, shape (m, n_mels)."""
        mel = power[:, self._bins] @ self._bank
        np.maximum(mel, self._floor, out=mel)
        np.log(mel, out=mel)
        mel *= _DB_PER_NEPER
        return mel


class FrontEnd:
    """Samples in, windows out, whatever the sizes of the blocks.

    Parameters
    ----------
    spec
        The front end, from the bundle.
    input_rate_hz
        Sample rate of the source.

    Raises
    ------
    AudioError
        If the input rate cannot carry the band that the front end hears.
    """

    def __init__(self, spec: FrontEndSpec, *, input_rate_hz: int) -> None:
        if input_rate_hz < 2 * spec.high_hz:
            raise AudioError(
                f"audio at {input_rate_hz} Hz carries nothing above {input_rate_hz / 2:g} Hz",
                expected=f"at least {2 * spec.high_hz:g} Hz for a front end that hears up to {spec.high_hz:g} Hz",
                fix="record at a higher rate, or train a bundle with a lower high_hz",
            )
        self.spec = spec
        self.input_rate_hz = input_rate_hz
        self._spectra = ChannelSpectra(spec, input_rate_hz=input_rate_hz)
        self._log_mel = LogMel(spec)
        self._assembler = WindowAssembler(spec)
        self._next_index = 0

    @property
    def windows_skipped(self) -> int:
        """Windows that held lost audio and were not given out."""
        return self._assembler.skipped

    def frames(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Take the next samples, shape (n,); give the frames that became complete.

        Returns
        -------
        log_mel
            float32, shape (m, n_mels), in dB.
        mean_square
            float32, shape (m,): of each frame under the Hann window, above the high-pass.
        """
        pieces = [samples[begin : begin + _PIECE] for begin in range(0, len(samples), _PIECE)] or [samples]
        log_mel, mean_square = zip(*map(self._frames, pieces), strict=True)
        return np.concatenate(log_mel), np.concatenate(mean_square)

    def _frames(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._measure(self.spectra(samples))

    def _measure(self, spectra: NDArray[np.complex64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        power = power_of(spectra)
        return self._log_mel(power), power @ self._spectra.to_mean_square

    def spectra(self, samples: NDArray[np.float32]) -> NDArray[np.complex64]:
        """The first half of :meth:`push`: spectra, shape (m, n_fft // 2 + 1), for those who need their phase."""
        self._next_index += len(samples)
        return self._spectra.push(samples)

    def windows(self, spectra: NDArray[np.complex64]) -> list[Window]:
        """The second half of :meth:`push`."""
        return self._assembler.push(*self._measure(spectra))

    def push(self, samples: NDArray[np.float32]) -> list[Window]:
        """Take the next samples, float32, shape (n,), full scale ±1; give the windows that became complete."""
        return self._assembler.push(*self.frames(samples))

    def lose(self, count: int, *, counted: bool = True) -> None:
        """Tell that the next `count` samples of the source are lost. No window will span them.

        Unless `counted`, no window is skipped by that: there was nothing to hear.
        """
        self._next_index += count
        self._assembler.lose_before(self._spectra.start(self._next_index), counted=counted)
