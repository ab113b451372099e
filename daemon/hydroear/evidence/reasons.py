"""Why an event was raised, in plain words and in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hydroear.audio import Stretch
from hydroear.dsp import FrontEndSpec
from hydroear.dsp.mel import hz_to_mel, mel_to_hz
from hydroear.dsp.stft import Framer, PowerSpectrum

STANDS_OUT_DB = 3.0
"""Rise over normal from which a band is named as the one that changed: twice the power."""

AS_LOUD_DB = 1.0
"""Difference of level that nobody would call one."""

TONAL_SHARE, MIXED_SHARE = 0.5, 0.15
"""Share of a band's power in narrow lines from which it is called tonal, and from which partly so."""

STEADY_DB = 2.0
"""Deviation of a band's level, half second by half second, below which it is called steady."""

_FRAME_S = 0.25
_LINE_DB = 6.0
_NEIGHBOURS_HZ = 100.0
_MIN_FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class Normal:
    """What the sensor sounds like when its pipe is well.

    Attributes
    ----------
    band_db
        float32, shape (n_mels,): normal mean of each band, as in the front end's features.
    level_db
        Normal level; None where the site was never calibrated and `band_db` is of the trainer's pipes.
    """

    band_db: NDArray[np.float32]
    level_db: float | None


@dataclass(frozen=True, kw_only=True)
class Abnormal:
    """What was heard while the score was high.

    Attributes
    ----------
    band_db
        shape (n_mels,): mean of each band over the windows.
    level_db
        Mean level of the windows; None without one.
    decades
        Median site score of the windows.
    raise_decades
        The raise level.
    lasted_s
        How long the score has been high.
    share_over
        Share of the windows at or over the raise level, 0 to 1.
    """

    band_db: NDArray[np.floating[Any]]
    level_db: float | None
    decades: float
    raise_decades: float
    lasted_s: float
    share_over: float


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """Why an event was raised.

    Attributes
    ----------
    low_hz, high_hz
        The band that rose most.
    rise_db
        How far it rose over its normal mean, compared with the other bands where the front end removes the level.
    level_db, over_normal_db
        Mean level, and how far over the normal level it is; None where one of them is not known.
    line_share
        Share of the band's power in narrow lines, 0 (a jet) to 1 (a pump, hum); None if too little was heard.
    line_hz
        Frequency of the strongest line; None where there is none.
    unsteadiness_db
        Standard deviation of the band's level, half second by half second; None if too little was heard.
    lasted_s, share_over, decades, raise_decades
        As in :class:`Abnormal`.
    sentences
        The same in plain words.
    """

    low_hz: float
    high_hz: float
    rise_db: float
    level_db: float | None
    over_normal_db: float | None
    line_share: float | None
    line_hz: float | None
    unsteadiness_db: float | None
    lasted_s: float
    share_over: float
    decades: float
    raise_decades: float
    sentences: tuple[str, ...] = ()

    @property
    def stands_out(self) -> bool:
        """Whether the band rose enough to be named."""
        return self.rise_db >= STANDS_OUT_DB

    def to_json(self) -> dict[str, Any]:
        """Numbers and sentences as JSON can say them, the numbers rounded."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


def explain(spec: FrontEndSpec, normal: Normal, abnormal: Abnormal, sound: Stretch) -> Reasons:
    """Say why.

    Parameters
    ----------
    spec
        The front end.
    normal, abnormal
        What is normal here, and what was heard.
    sound
        The latest audio, at the source's rate: a few seconds of it tell lines from noise.
    """
    rise_db = np.asarray(abnormal.band_db - normal.band_db, np.float64)
    first, last = _risen(rise_db)
    edges_hz = _band_edges_hz(spec)
    low_hz, high_hz = float(edges_hz[first]), float(edges_hz[last + 1])
    power, hz = _power(sound)
    line_share, line_hz = _lines(power, hz, low_hz, high_hz)
    over_db = None
    if abnormal.level_db is not None and normal.level_db is not None:
        over_db = abnormal.level_db - normal.level_db
    reasons = Reasons(
        low_hz=low_hz,
        high_hz=high_hz,
        rise_db=float(rise_db[first : last + 1].mean()),
        level_db=abnormal.level_db,
        over_normal_db=over_db,
        line_share=line_share,
        line_hz=line_hz,
        unsteadiness_db=_unsteadiness_db(power[:, (low_hz <= hz) & (hz < high_hz)]),
        lasted_s=abnormal.lasted_s,
        share_over=abnormal.share_over,
        decades=abnormal.decades,
        raise_decades=abnormal.raise_decades,
    )
    return _worded(reasons, calibrated=normal.level_db is not None, relative=spec.remove_level)


def _risen(rise_db: NDArray[np.float64]) -> tuple[int, int]:
    """First and last of the bands around the one that rose most which rose at least half as far as it."""
    first = last = int(np.argmax(rise_db))
    enough_db = 0.5 * rise_db[first] if rise_db[first] > 0.0 else rise_db[first]
    while first > 0 and rise_db[first - 1] >= enough_db:
        first -= 1
    while last < len(rise_db) - 1 and rise_db[last + 1] >= enough_db:
        last += 1
    return first, last


def _band_edges_hz(spec: FrontEndSpec) -> NDArray[np.float64]:
    """Where one mel band hands over to the next, halfway between their centres in mel; shape (n_mels + 1,)."""
    low, high = float(hz_to_mel(spec.low_hz)), float(hz_to_mel(spec.high_hz))
    step = (high - low) / (spec.n_mels + 1)
    return mel_to_hz(low + step * (0.5 + np.arange(spec.n_mels + 1)))


def _power(sound: Stretch) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Power spectra of half-overlapped frames without loss, shape (m, bins), and the frequencies of the bins."""
    n_fft = 2 ** round(np.log2(_FRAME_S * sound.rate_hz))
    frames = Framer(n_fft, n_fft // 2).push(sound.samples)
    heard = Framer(n_fft, n_fft // 2).push(sound.heard.astype(np.float32)).all(axis=1)
    return PowerSpectrum(n_fft)(frames[heard]), np.fft.rfftfreq(n_fft, 1.0 / sound.rate_hz)


def _lines(
    power: NDArray[np.float32], hz: NDArray[np.float64], low_hz: float, high_hz: float
) -> tuple[float | None, float | None]:
    """Share of a band's power in narrow lines, and the frequency of the strongest.

    A line is what stands 6 dB over the median of the mean spectrum within 100 Hz to either side, which the mean of
    many frames of noise does not.
    """
    inside = np.flatnonzero((low_hz <= hz) & (hz < high_hz))
    if len(power) < _MIN_FRAMES or not len(inside):
        return None, None
    mean = power.mean(axis=0, dtype=np.float64)
    reach = max(1, round(_NEIGHBOURS_HZ / hz[1]))
    around = np.pad(mean, reach, mode="reflect")
    background = np.median(sliding_window_view(around, 2 * reach + 1), axis=1)[inside]
    band = mean[inside]
    if not band.any():
        return None, None
    is_line = band > 10.0 ** (_LINE_DB / 10.0) * background
    if not is_line.any():
        return 0.0, None
    return float(band[is_line].sum() / band.sum()), float(hz[inside[np.argmax(np.where(is_line, band, 0.0))]])


def _unsteadiness_db(band: NDArray[np.float32]) -> float | None:
    """Deviation of the level of a band from spectra, shape (m, bins), four of which make about half a second."""
    together = 4
    whole = len(band) // together
    if whole < 2:
        return None
    levels = band[: whole * together].sum(axis=1, dtype=np.float64).reshape(whole, together).mean(axis=1)
    if not levels.all():
        return None
    return float(np.std(10.0 * np.log10(levels)))


def _worded(reasons: Reasons, *, calibrated: bool, relative: bool) -> Reasons:
    sentences = [
        f"The score has been high for {_duration(reasons.lasted_s)}, with {100 * reasons.share_over:.0f} % of the "
        f"windows at or over the raise level of {reasons.raise_decades:g} decades; half of them reach "
        f"{reasons.decades:.1f}.",
        _band_sentence(reasons, "at this site" if calibrated else "on the pipes of the trainer", relative=relative),
    ]
    if reasons.over_normal_db is not None:
        sentences.append(_level_sentence(reasons.over_normal_db, reasons.level_db))
    if reasons.line_share is not None:
        sentences.append(_tonality_sentence(reasons.line_share, reasons.line_hz))
    if reasons.unsteadiness_db is not None:
        kind = "steady" if reasons.unsteadiness_db < STEADY_DB else "unsteady"
        sentences.append(f"It is {kind}: its level varies by {reasons.unsteadiness_db:.1f} dB.")
    return Reasons(**{**asdict(reasons), "sentences": tuple(sentences)})


def _band_sentence(reasons: Reasons, where: str, *, relative: bool) -> str:
    band = f"{_hz(reasons.low_hz)} to {_hz(reasons.high_hz)}"
    if not reasons.stands_out:
        return f"No band stands out: {band} rose most, by {reasons.rise_db:.1f} dB over what is normal {where}."
    against = ", compared with the other bands" if relative else ""
    return f"It changed most from {band}: {reasons.rise_db:.1f} dB over what is normal {where}{against}."


def _level_sentence(over_db: float, level_db: float | None) -> str:
    if abs(over_db) < AS_LOUD_DB:
        return f"As a whole it is as loud as normal ({level_db:.1f} dBFS)."
    word = "louder" if over_db > 0.0 else "quieter"
    return f"As a whole it is {abs(over_db):.1f} dB {word} than normal ({level_db:.1f} dBFS)."


def _tonality_sentence(share: float, line_hz: float | None) -> str:
    lines = f"{100 * share:.0f} % of the band's power is in narrow lines"
    if line_hz is not None and share >= MIXED_SHARE:
        lines += f", the strongest at {line_hz:.0f} Hz"
    if share >= TONAL_SHARE:
        return f"It is tonal, as a pump or hum is: {lines}."
    if share >= MIXED_SHARE:
        return f"It is partly tonal: {lines}."
    return f"It is broadband, as a jet of water is: {lines}."


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"


def _hz(hz: float) -> str:
    return f"{hz:.0f} Hz" if hz < 1000.0 else f"{hz / 1000.0:.1f} kHz"
