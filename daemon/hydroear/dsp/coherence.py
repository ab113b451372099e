"""What two channels have in common: how much of a pipe's sound is heard by a microphone in the air as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp.frontend import FrontEnd
from hydroear.dsp.spectra import ChannelSpectra
from hydroear.dsp.stft import power_of
from hydroear.dsp.window import Window

Spectra = NDArray[np.complex64]


@dataclass(frozen=True)
class CommonSound:
    """What the pipe's channel and the reference channel both hear.

    Attributes
    ----------
    share
        Share of the pipe's power in the band that is linearly predictable from the reference, 0 to 1.
    louder_db
        How much louder that is in the reference than on the pipe, in dB; None where nothing is in common.
    """

    share: float
    louder_db: float | None


def coherence(pipe: Spectra, reference: Spectra) -> NDArray[np.float64]:
    """Magnitude-squared coherence by Welch's method: spectra averaged over frames.

    Parameters
    ----------
    pipe, reference
        Spectra of the same frames, shape (m, bins).

    Returns
    -------
    ndarray
        ``|Sxy|**2 / (Sxx * Syy)``, float64, shape (bins,), 0 to 1; 0 where a channel is silent.

    Notes
    -----
    The estimate is biased upwards by ``(1 - c)**2 / n`` for a true coherence c and n independent frames (G. C. Carter,
    "Coherence and time delay estimation", Proc. IEEE 75(2), 1987), most where nothing is in common. Half overlapping
    Hann frames are correlated by 1/6, so that m of them count as ``n = m / (1 + 2 (1 - 1/m) / 36)``, about 0.95 m
    (P. D. Welch, IEEE Trans. Audio Electroacoust. 15(2), 1967): the 60 frames of a window as 57, a bias of at most
    0.018.

    It is biased downwards where a sound reaches one channel later than the other, or rings in a room, for a good part
    of a frame or longer: what arrives a frame later is not predictable from this one. White noise and nothing else,
    with as much energy in echoes as before them in each channel, has a share of 0.86 in frames of 64 ms where the
    echoes fall by 60 dB in 50 ms, of 0.61 where in 200 ms, and of 0.47 where in 500 ms.
    """
    auto = _mean(power_of(pipe)) * _mean(power_of(reference))
    cross = np.square(np.abs(np.mean(np.conj(pipe) * reference, axis=0, dtype=np.complex128)))
    return np.divide(cross, auto, out=np.zeros(len(auto)), where=auto > 0.0)


def common_sound(pipe: Spectra, reference: Spectra) -> CommonSound:
    """What two channels have in common in the bins given, shape (m, bins) each.

    The share is the coherence averaged with the pipe's power as its weight, and biased as that is. The ratio of the
    levels is averaged in dB, with the power in common as its weight.
    """
    pipe_power, reference_power = _mean(power_of(pipe)), _mean(power_of(reference))
    shared = coherence(pipe, reference) * pipe_power
    heard = shared > 0.0
    if not heard.any():
        return CommonSound(0.0, None)
    ratio_db = 10.0 * np.log10(reference_power[heard] / pipe_power[heard])
    return CommonSound(
        share=min(1.0, float(shared.sum() / pipe_power.sum())),
        louder_db=float(np.average(ratio_db, weights=shared[heard])),
    )


class ReferencedFrontEnd:
    """A front end with a second channel beside it: windows, each with what the reference hears of it.

    Both channels go through the same resampler, high-pass and frames, and each sample is transformed once.

    Parameters
    ----------
    front_end
        The pipe's, at the beginning of its stream; counts what is lost.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        spec = front_end.spec
        self._front_end, self._hop_frames, self._window_frames = front_end, spec.window_hop_frames, spec.window_frames
        self._reference = ChannelSpectra(spec, input_rate_hz=front_end.input_rate_hz)
        frequency_hz = np.fft.rfftfreq(spec.n_fft, 1.0 / spec.rate_hz)
        first, end = np.searchsorted(frequency_hz, (spec.low_hz, np.nextafter(spec.high_hz, np.inf)))
        self._band = slice(int(first), int(end))
        self._next_index = 0
        self._restart_at(0)

    def _restart_at(self, frame: int) -> None:
        self._first_frame = self._end_frame = frame
        self._pieces: list[Spectra] = []

    def push(self, samples: NDArray[np.float32]) -> list[tuple[Window, CommonSound]]:
        """Take the next samples, shape (n, 2), the pipe's channel first; give the windows that became complete."""
        self._next_index += len(samples)
        pipe, reference = self._front_end.spectra(samples[:, 0]), self._reference.push(samples[:, 1])
        self._pieces.append(np.stack([pipe[:, self._band], reference[:, self._band]]))
        self._end_frame += len(pipe)
        windows = self._front_end.windows(pipe)
        if not windows:
            return []
        frames = np.concatenate(self._pieces, axis=1)
        heard = []
        for window in windows:
            begin = window.index * self._hop_frames - self._first_frame
            heard.append((window, common_sound(*frames[:, begin : begin + self._window_frames])))
        done = (windows[-1].index + 1) * self._hop_frames - self._first_frame
        self._first_frame += done
        self._pieces = [frames[:, done:]]
        return heard

    def lose(self, count: int, *, counted: bool = True) -> None:
        """As :meth:`hydroear.dsp.FrontEnd.lose`, of both channels."""
        self._next_index += count
        self._front_end.lose(count, counted=counted)
        frame = self._reference.start(self._next_index)
        if frame != self._end_frame:
            self._restart_at(frame)


def _mean(power: NDArray[np.float32]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = power.mean(axis=0, dtype=np.float64)
    return mean
