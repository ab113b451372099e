"""The picture is a sound PNG file that shows what was heard where and when it was heard."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from hydroear.audio import Stretch
from hydroear.evidence.picture import (
    HEIGHT,
    PALETTE,
    PLOT_LEFT,
    PLOT_WIDTH,
    SCORE_HEIGHT,
    SCORE_TOP,
    SPECTROGRAM_HEIGHT,
    SPECTROGRAM_TOP,
    WIDTH,
    draw,
    row_of,
)
from hydroear.evidence.png import text_mask
from hydroear.evidence.spectrogram import cubehelix

RATE_HZ = 16_000
TOP_HZ = 7000.0
SECONDS = 15.0
OPEN_S = 110.0
START_S = 100.0
BLUE, RED, GREY = (25, 70, 190), (200, 30, 30), (128, 128, 128)


def decode(png: bytes) -> tuple[np.ndarray, dict[str, str]]:
    """Red, green and blue of a palette PNG, shape (height, width, 3), and its texts; checks every chunk."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    offset, chunks, texts = 8, {}, {}
    while offset < len(png):
        (length,) = struct.unpack_from(">I", png, offset)
        kind, data = png[offset + 4 : offset + 8], png[offset + 8 : offset + 8 + length]
        assert struct.unpack_from(">I", png, offset + 8 + length) == (zlib.crc32(kind + data),)
        if kind == b"iTXt":
            keyword, text = data.split(b"\0\0\0\0\0")
            texts[keyword.decode()] = text.decode()
        chunks[kind] = data
        offset += 12 + length
    width, height, bits, colour_type, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (bits, colour_type) == (8, 3)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[rows[:, 1:]], texts


def picture(
    samples: np.ndarray,
    *,
    heard: np.ndarray | None = None,
    scores: list[tuple[float, float]] | None = None,
    rate_hz: int = RATE_HZ,
) -> np.ndarray:
    png = draw(
        Stretch(
            rate_hz,
            round(START_S * rate_hz),
            samples.astype(np.float32),
            np.ones(len(samples), bool) if heard is None else heard,
        ),
        high_hz=TOP_HZ,
        open_index=round(OPEN_S * rate_hz),
        scores=scores or [],
        score_hop_s=1.0,
        raise_decades=2.0,
        band_hz=None,
        title="pipe",
        texts={"Title": "pipe-1", "Description": "Straße"},
    )
    return decode(png)[0]


def times_s(rate_hz: int = RATE_HZ) -> np.ndarray:
    return np.arange(round(SECONDS * rate_hz)) / rate_hz


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.001, len(times_s()))


def brightness(rgb: np.ndarray) -> np.ndarray:
    """Of the spectrogram, shape (rows, columns)."""
    area = rgb[SPECTROGRAM_TOP : SPECTROGRAM_TOP + SPECTROGRAM_HEIGHT, PLOT_LEFT : PLOT_LEFT + PLOT_WIDTH]
    return area.astype(float) @ [0.30, 0.59, 0.11]


def column_of(stream_s: float) -> int:
    return round((stream_s - START_S) / SECONDS * PLOT_WIDTH)


@pytest.mark.parametrize("hz", [150.0, 440.0, 1000.0, 2500.0, 6000.0])
def test_a_tone_is_the_brightest_row_at_its_frequency(hz: float) -> None:
    light = brightness(picture(noise() + 0.01 * np.sin(2 * np.pi * hz * times_s())))
    brightest = int(np.argmax(light.mean(axis=1)))
    assert abs(brightest + SPECTROGRAM_TOP - row_of(hz, TOP_HZ)) <= 2


def test_a_sound_is_bright_when_it_is_heard_and_not_before() -> None:
    begins_s = 106.0
    tone = np.where(times_s() >= begins_s - START_S, 0.01 * np.sin(2 * np.pi * 1000.0 * times_s()), 0.0)
    row = brightness(picture(noise() + tone))[row_of(1000.0, TOP_HZ) - SPECTROGRAM_TOP - 1]
    bright = row > 0.5 * (row.min() + row.max())
    change = column_of(begins_s)
    assert not bright[: change - 5].any()
    assert bright[change + 5 : -5].mean() > 0.99


def test_lost_audio_is_grey_and_nothing_else_is() -> None:
    heard = np.ones(len(times_s()), bool)
    heard[3 * RATE_HZ : 4 * RATE_HZ] = False
    rgb = picture(noise(), heard=heard)
    grey = (rgb[SPECTROGRAM_TOP + 10, PLOT_LEFT : PLOT_LEFT + PLOT_WIDTH] == GREY).all(axis=-1)
    assert grey[column_of(103.1) : column_of(103.9)].all()
    assert not grey[: column_of(102.8)].any()
    assert not grey[column_of(104.2) :].any()


def test_the_score_stands_beneath_the_sound_it_was_made_of() -> None:
    scores = [(end_s, 4.0 if end_s > 107.0 else 1.0) for end_s in np.arange(100.5, 115.0)]
    rgb = picture(noise(), scores=scores)[SCORE_TOP : SCORE_TOP + SCORE_HEIGHT, PLOT_LEFT : PLOT_LEFT + PLOT_WIDTH]
    blue = (rgb == BLUE).all(axis=-1)
    red = (rgb == RED).all(axis=-1)
    raise_row = float(np.flatnonzero(red.any(axis=1)).mean())
    low, high = (np.flatnonzero(blue[:, column_of(at_s)]).mean() for at_s in (103.0, 110.0))
    assert high < raise_row < low
    # Zero is at the bottom and the scale is even: 1, 2 and 4 decades above it.
    zero = SCORE_HEIGHT - 2
    assert (zero - low) * 2 == pytest.approx(zero - raise_row, abs=3)
    assert (zero - high) == pytest.approx(2 * (zero - raise_row), abs=3)
    step = np.flatnonzero(blue[round(raise_row) + 6])
    assert step.mean() == pytest.approx(column_of(106.5), abs=2)


def test_a_score_that_is_missing_leaves_a_hole_in_the_curve() -> None:
    scores = [(end_s, 1.0) for end_s in np.arange(100.5, 115.0) if not 105.0 < end_s < 108.0]
    rgb = picture(noise(), scores=scores)[SCORE_TOP : SCORE_TOP + SCORE_HEIGHT, PLOT_LEFT : PLOT_LEFT + PLOT_WIDTH]
    blue = (rgb == BLUE).all(axis=-1).any(axis=0)
    assert not blue[column_of(105.0) : column_of(107.2)].any()
    assert blue[: column_of(104.4)].all()


@pytest.mark.parametrize("samples", [np.zeros(1), np.zeros(RATE_HZ), np.ones(50), np.full(RATE_HZ, 1e-9)])
def test_any_audio_gives_a_picture(samples: np.ndarray) -> None:
    assert picture(samples).shape == (HEIGHT, WIDTH, 3)


def test_audio_that_was_lost_altogether_gives_a_picture() -> None:
    assert picture(np.zeros(RATE_HZ), heard=np.zeros(RATE_HZ, bool)).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 192_000])
def test_a_tone_is_at_its_frequency_at_any_rate(rate_hz: int) -> None:
    light = brightness(picture(0.01 * np.sin(2 * np.pi * 1000.0 * times_s(rate_hz)), rate_hz=rate_hz))
    brightest = int(np.argmax(light.mean(axis=1)))
    assert abs(brightest + SPECTROGRAM_TOP - row_of(1000.0, min(TOP_HZ, rate_hz / 2))) <= 2


def test_it_says_in_text_what_it_is_of() -> None:
    sound = Stretch(RATE_HZ, 0, np.zeros(100, np.float32), np.ones(100, bool))
    texts = {"Title": "pipe-1", "Description": "Straße"}
    png = draw(
        sound, high_hz=TOP_HZ, open_index=0, scores=[], score_hop_s=1, raise_decades=2, band_hz=None, title="",
        texts=texts,
    )  # fmt: skip
    assert decode(png)[1] == texts


def test_the_colours_grow_brighter_from_the_faintest_to_the_strongest() -> None:
    light = cubehelix(64).astype(float) @ [0.30, 0.59, 0.11]
    assert (np.diff(light) > 0).all()
    assert len(PALETTE) <= 256
    assert len({tuple(colour) for colour in cubehelix(64)}) == 64


def test_each_character_that_is_written_has_ink_of_its_own() -> None:
    glyphs = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+:/_"
    assert len({text_mask(glyph).tobytes() for glyph in glyphs}) == len(glyphs)
    assert text_mask("kHz", scale=2).shape == (14, 34)
    assert not text_mask("ß").any()
    assert text_mask("").shape[0] == 7
