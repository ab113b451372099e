"""One channel of a stream on its way into the frequency domain: resample, high-pass, STFT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp.highpass import HighPass
from hydroear.dsp.resample import Resampler
from hydroear.dsp.spec import FrontEndSpec
from hydroear.dsp.stft import Framer, PowerSpectrum


class ChannelSpectra:
    """Samples in, spectra of frames out, whatever the sizes of the blocks.

    Parameters
    ----------
    spec
        The front end.
    input_rate_hz
        Sample rate of the source.

    Attributes
    ----------
    to_mean_square
        As in :class:`~hydroear.dsp.stft.PowerSpectrum`.
    """

    def __init__(self, spec: FrontEndSpec, *, input_rate_hz: int) -> None:
        self._hop = spec.hop
        self._resampler = Resampler(input_rate_hz, spec.rate_hz)
        self._highpass = HighPass(spec.highpass_hz, spec.rate_hz)
        self._framer = Framer(spec.n_fft, spec.hop)
        self._transform = PowerSpectrum(spec.n_fft)
        self.to_mean_square = self._transform.to_mean_square

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Take the next samples, shape (n,); give the spectra of the frames that became complete.

        Returns
        -------
        ndarray
            complex64, shape (m, n_fft // 2 + 1), as of :meth:`~hydroear.dsp.stft.PowerSpectrum.spectra`.
        """
        return self._transform.spectra(self._framer.push(self._highpass.push(self._resampler.push(samples))))

    def start(self, sample_index: int) -> int:
        """Begin anew at a sample of the source, as after lost ones; give the number of the next frame."""
        first_output = self._resampler.start(sample_index)
        self._highpass.start()
        self._framer.start(first_output)
        return -(-first_output // self._hop)
