"""A picture of an event: what was heard as a spectrogram, and beneath it what the detector made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hydroear.audio import Stretch
from hydroear.dsp.mel import hz_to_mel
from hydroear.evidence.png import Picture, encode_png, text_mask
from hydroear.evidence.spectrogram import cubehelix, levels, range_db

WIDTH, HEIGHT = 1040, 640
_LEFT, _RIGHT = 84, 124
PLOT_LEFT, PLOT_WIDTH = _LEFT, WIDTH - _LEFT - _RIGHT
SPECTROGRAM_TOP, SPECTROGRAM_HEIGHT = 44, 360
SCORE_TOP, SCORE_HEIGHT = 432, 144

_SHADES = 64
_WHITE, _BLACK, _GREY, _FAINT, _RED, _BLUE, _GREEN = range(_SHADES, _SHADES + 7)
_INK = ((255, 255, 255), (0, 0, 0), (128, 128, 128), (225, 225, 225), (200, 30, 30), (25, 70, 190), (60, 255, 120))

_TICKS_HZ = (250.0, 500.0, 1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 64e3)
_MIN_LABEL_GAP = 18
_SCALE = 2


PALETTE = np.vstack([cubehelix(_SHADES), np.array(_INK, np.uint8)])


def draw(
    sound: Stretch,
    *,
    high_hz: float,
    open_index: int,
    scores: Sequence[tuple[float, float]],
    score_hop_s: float,
    raise_decades: float,
    band_hz: tuple[float, float] | None,
    title: str,
    texts: Mapping[str, str],
) -> bytes:
    """The picture as a PNG file of 1040 by 640 pixels.

    Parameters
    ----------
    sound
        The clip, at least one sample.
    high_hz
        Highest frequency to show; at most what the rate carries is shown.
    open_index
        Index in the stream at which the event opened: time 0 of the picture.
    scores
        End of a window in the stream, in seconds, and its site score; each is drawn over the hop before that end.
    score_hop_s
        Seconds from one window to the next.
    raise_decades
        The raise level.
    band_hz
        Low and high edge of a band to mark; None marks none.
    title
        Above the picture; characters that the font lacks are left blank.
    texts
        Kept inside the file, by keyword.
    """
    picture = np.full((HEIGHT, WIDTH), _WHITE, np.uint8)
    open_s = open_index / sound.rate_hz
    start_s = sound.first_index / sound.rate_hz
    time = _Axis(start_s - open_s, start_s + sound.length_s - open_s)
    top_hz = min(high_hz, 0.5 * sound.rate_hz)

    _write(picture, title, _LEFT + 16, 12)
    _draw_spectrogram(picture, sound, top_hz, band_hz)
    _draw_score(picture, [(end_s - open_s, decades) for end_s, decades in scores], score_hop_s, raise_decades, time)
    for second in time.whole_seconds():
        x = time.column(second)
        for bottom in (SPECTROGRAM_TOP + SPECTROGRAM_HEIGHT, SCORE_TOP + SCORE_HEIGHT):
            picture[bottom : bottom + 6, x : x + 2] = _BLACK
        _write(picture, f"{second:+d}" if second else "0", x + 1, SCORE_TOP + SCORE_HEIGHT + 10, anchor="middle")
    _write(picture, "seconds from the opening of the event", _LEFT + PLOT_WIDTH // 2, HEIGHT - 24, anchor="middle")
    if time.first <= 0.0 <= time.last:
        x = min(time.column(0), _LEFT + PLOT_WIDTH - 2)
        picture[SPECTROGRAM_TOP : SPECTROGRAM_TOP + SPECTROGRAM_HEIGHT : 2, x : x + 2] = _WHITE
        picture[SCORE_TOP : SCORE_TOP + SCORE_HEIGHT : 2, x : x + 2] = _GREY
    return encode_png(picture, PALETTE, texts)


class _Axis:
    """Time from left to right."""

    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = first, last

    def column(self, seconds: float) -> int:
        share = (seconds - self.first) / (self.last - self.first)
        return _LEFT + round(min(1.0, max(0.0, share)) * PLOT_WIDTH)

    def whole_seconds(self) -> range:
        step = next(step for step in (1, 2, 5, 10, 30, 60) if step * PLOT_WIDTH >= 60 * (self.last - self.first))
        return range(math.ceil(self.first / step) * step, math.floor(self.last) + 1, step)


def row_of(hz: float, top_hz: float) -> int:
    """Row of the picture at which the spectrogram shows a frequency: even steps in mel."""
    share = float(hz_to_mel(hz)) / float(hz_to_mel(top_hz))
    return SPECTROGRAM_TOP + min(SPECTROGRAM_HEIGHT - 1, int((1.0 - share) * SPECTROGRAM_HEIGHT))


def _draw_spectrogram(picture: Picture, sound: Stretch, top_hz: float, band_hz: tuple[float, float] | None) -> None:
    level_db, heard = levels(sound, top_hz=top_hz, rows=SPECTROGRAM_HEIGHT, columns=PLOT_WIDTH)
    low_db, high_db = range_db(level_db[:, heard])
    shade = (_SHADES - 1) * np.clip((level_db - low_db) / (high_db - low_db), 0.0, 1.0)
    area = _frame(picture, SPECTROGRAM_TOP, SPECTROGRAM_HEIGHT)
    area[:] = np.where(heard, np.round(shade), _GREY).astype(np.uint8)

    free = HEIGHT
    for hz in (0.0, *(tick_hz for tick_hz in _TICKS_HZ if tick_hz < top_hz), top_hz):
        row = row_of(hz, top_hz)
        if free - row < _MIN_LABEL_GAP:
            continue
        free = row
        picture[row : row + 2, _LEFT - 7 : _LEFT - 1] = _BLACK
        _write(picture, f"{hz / 1000:g}", _LEFT - 10, row - 6, anchor="end")
    _write(picture, "kHz", _LEFT - 10, 12, anchor="end")
    if band_hz is not None:
        rows = slice(row_of(band_hz[1], top_hz), row_of(band_hz[0], top_hz) + 1)
        picture[rows, _LEFT + 4 : _LEFT + 8] = _GREEN
        for row in (rows.start, max(rows.start, rows.stop - 3)):
            picture[row : row + 3, _LEFT + 4 : _LEFT + 16] = _GREEN

    x = _LEFT + PLOT_WIDTH + 18
    picture[SPECTROGRAM_TOP : SPECTROGRAM_TOP + SPECTROGRAM_HEIGHT, x : x + 16] = np.linspace(
        _SHADES - 1, 0, SPECTROGRAM_HEIGHT
    )[:, None].astype(np.uint8)
    for db in range(int(np.ceil(low_db / 10.0)) * 10, int(high_db) + 1, 10):
        row = SPECTROGRAM_TOP + int((high_db - db) / (high_db - low_db) * (SPECTROGRAM_HEIGHT - 2))
        picture[row : row + 2, x + 16 : x + 21] = _BLACK
        _write(picture, f"{db}", x + 30, min(max(row - 6, SPECTROGRAM_TOP), SPECTROGRAM_TOP + SPECTROGRAM_HEIGHT - 14))
    _write(picture, "dBFS/Hz", x, 12)


def _draw_score(
    picture: Picture, scores: Sequence[tuple[float, float]], hop_s: float, raise_decades: float, time: _Axis
) -> None:
    top = float(np.ceil(max([1.5 * raise_decades, *(1.1 * decades for _, decades in scores)])))
    area = _frame(picture, SCORE_TOP, SCORE_HEIGHT)

    def row(decades: float) -> int:
        return SCORE_TOP + SCORE_HEIGHT - 2 - int(decades / top * (SCORE_HEIGHT - 2))

    step = next(step for step in (1, 2, 3, 4, 6) if step * 6 >= top)
    for decades in range(0, int(top) + 1, step):
        picture[row(decades), _LEFT : _LEFT + PLOT_WIDTH] = _FAINT
        picture[row(decades) : row(decades) + 2, _LEFT - 7 : _LEFT - 1] = _BLACK
        _write(picture, f"{decades}", _LEFT - 10, row(decades) - 6, anchor="end")
    right = _LEFT + PLOT_WIDTH
    last: tuple[float, int] | None = None
    for end_s, level in scores:
        if end_s <= time.first or end_s - hop_s >= time.last:
            continue
        begin, end, y = time.column(end_s - hop_s), time.column(end_s), row(level)
        if last is not None and end_s - last[0] < 1.5 * hop_s:
            picture[min(last[1], y) - 1 : max(last[1], y) + 2, max(_LEFT, begin - 1) : begin + 2] = _BLUE
        picture[y - 1 : y + 2, begin:end] = _BLUE
        last = end_s, y
    for x in range(0, PLOT_WIDTH, 12):
        area[row(raise_decades) - SCORE_TOP : row(raise_decades) - SCORE_TOP + 2, x : x + 7] = _RED
    _write(picture, f"raise {raise_decades:g}", right + 8, row(raise_decades) - 6, ink=_RED)
    _write(picture, "score", right + 8, SCORE_TOP + SCORE_HEIGHT - 38, ink=_BLUE)
    _write(picture, "decades", right + 8, SCORE_TOP + SCORE_HEIGHT - 18, ink=_BLUE)


def _frame(picture: Picture, top: int, height: int) -> Picture:
    """Draw a border around a plot; gives the plot's inside."""
    picture[top - 1 : top + height + 1, _LEFT - 1 : _LEFT + PLOT_WIDTH + 1] = _BLACK
    area = picture[top : top + height, _LEFT : _LEFT + PLOT_WIDTH]
    area[:] = _WHITE
    return area


def _write(picture: Picture, text: str, x: int, y: int, *, anchor: str = "start", ink: int = _BLACK) -> None:
    mask = text_mask(text, scale=_SCALE)
    x -= {"start": 0, "middle": mask.shape[1] // 2, "end": mask.shape[1]}[anchor]
    x = max(0, x)
    mask = mask[:, : WIDTH - x]
    area = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    area[mask[: area.shape[0]]] = ink
