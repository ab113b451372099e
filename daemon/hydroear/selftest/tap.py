"""The tap test: somebody knocks on the pipe, and the sensor hears it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Block, Samples
from hydroear.capture import open_source
from hydroear.config.schema import Sensor
from hydroear.errors import CaptureError
from hydroear.selftest.finding import Finding, Result

CALM_S = 2.0
"""How long it listens before it asks for the knock."""
PATIENCE_S = 20.0
FRAME_S = 0.01
KNOCK_DB = 20.0
"""A knock is over the usual calm by so much for a moment: many times what noise does by itself. A choice."""


def knock_over_calm_db(calm: Samples, heard: Samples, rate_hz: int) -> float:
    """How far the loudest moment lies over the usual one of the calm before it, in dB.

    Parameters
    ----------
    calm, heard
        float32, shape (n,), a moment of :data:`FRAME_S` at least, not all zero.
    rate_hz
        Sample rate.
    """
    return float(_moments_db(heard, rate_hz).max() - np.median(_moments_db(calm, rate_hz)))


def _moments_db(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    size = round(FRAME_S * rate_hz)
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    # Without its mean: an offset of the converter is no sound.
    levels_db: NDArray[np.float64] = 10.0 * np.log10(np.var(frames, axis=1) + 1e-20)
    return levels_db


def hear_knock(sensor: Sensor, say: Callable[[str], None]) -> Finding:
    """Ask for a knock and wait for it.

    Parameters
    ----------
    sensor
        The sensor.
    say
        Is told what the person at the pipe is to do.

    Raises
    ------
    AudioError, CaptureError, UsageError
        If the source cannot be opened, or ends.
    """
    stage = f"tap {sensor.id}"
    source = open_source(sensor.source)
    calm: list[Samples] = []
    heard = np.zeros(0, np.float32)
    best_db = float("-inf")
    needed, patience = round(CALM_S * source.rate_hz), round(PATIENCE_S * source.rate_hz)
    size = round(FRAME_S * source.rate_hz)
    try:
        say(f"{sensor.id}: quiet, please")
        while sum(map(len, calm)) < needed:
            calm.append(_samples(source.read(), sensor.id))
        quiet = np.concatenate(calm)
        say(f"{sensor.id}: now knock on the pipe, once, within {PATIENCE_S:.0f} s")
        waited = 0
        while waited < patience:
            heard = np.concatenate([heard, _samples(source.read(), sensor.id)])
            waited += len(heard) // size * size
            if len(heard) >= size:
                best_db = max(best_db, knock_over_calm_db(quiet, heard, source.rate_hz))
            heard = heard[len(heard) // size * size :]
            if best_db >= KNOCK_DB:
                values = {"knock_over_calm_db": round(best_db, 1)}
                return Finding(stage, Result.PASS, f"knock heard, {best_db:.0f} dB over the calm", values=values)
    finally:
        source.close()
    return Finding(
        stage,
        Result.FAIL,
        f"no knock heard: nothing over {best_db:.0f} dB above the calm",
        f"a moment {KNOCK_DB:.0f} dB over it",
        "knock harder and nearer; check that the sensor touches the pipe and is the one that is configured",
        {"knock_over_calm_db": round(best_db, 1)},
    )


def _samples(piece: object, sensor: str) -> Samples:
    """The samples of a piece of audio; none of a gap."""
    if piece is None:
        raise CaptureError("the source ended before the knock", where=sensor, fix="use a live sensor for the tap test")
    samples: Samples = piece.samples[:, 0] if isinstance(piece, Block) else np.zeros(0, np.float32)
    return samples
