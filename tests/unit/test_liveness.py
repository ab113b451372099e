"""A sensor that can't be believed says so: what is wrong with samples, and what becomes of the sensor."""

from __future__ import annotations

import numpy as np
import pytest

from hydroear.audio.vitals import Vitals, VitalSigns
from hydroear.health import Ailment, Cause, Condition, Liveness, examine

RATE_HZ = 8000
WELL = Vitals(flat=False, clipped_share=0.0, offset=0.0)
SLIGHT = Ailment(Cause.CLIPPED, False, "some samples are clipped")
DEAD = Ailment(Cause.FLAT, True, "the audio stands still")


def noise(seconds: float, rms: float = 0.1, seed: int = 0) -> np.ndarray:
    return (rms * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def vitals_of(samples: np.ndarray, piece: int = 800) -> Vitals:
    signs = VitalSigns(RATE_HZ)
    for first in range(0, len(samples), piece):
        signs.push(samples[first : first + piece], first)
    return signs.of(0, len(samples))


@pytest.mark.parametrize(
    ("samples", "cause", "deafening"),
    [
        (noise(2.0), None, False),
        (np.zeros(2 * RATE_HZ, np.float32), Cause.FLAT, True),
        (np.full(2 * RATE_HZ, 0.3, np.float32), Cause.FLAT, True),
        (np.concatenate([noise(1.0), np.zeros(RATE_HZ // 5, np.float32), noise(1.0)]), Cause.FLAT, True),
        (noise(2.0) + 0.4, Cause.OFFSET, True),
        (noise(2.0) - 0.05, Cause.OFFSET, False),
        (np.clip(noise(2.0, rms=2.0), -1.0, 1.0), Cause.CLIPPED, True),
        (np.clip(noise(2.0, rms=0.4), -1.0, 1.0), Cause.CLIPPED, False),
    ],
)
def test_raw_samples_show_what_is_wrong(samples: np.ndarray, cause: Cause | None, deafening: bool) -> None:
    ailment = examine(vitals_of(samples), -20.0, quietest_db=None)
    assert (ailment and ailment.cause, bool(ailment and ailment.deafening)) == (cause, deafening)


def test_only_the_stretch_that_is_asked_for_counts() -> None:
    signs = VitalSigns(RATE_HZ)
    for first, samples in enumerate(np.split(np.concatenate([np.ones(RATE_HZ, np.float32), noise(3.0)]), 40)):
        signs.push(samples, first * len(samples))
    assert signs.of(0, 2 * RATE_HZ).clipped_share == pytest.approx(0.5)
    assert signs.of(2 * RATE_HZ, 4 * RATE_HZ) == Vitals(False, 0.0, pytest.approx(0.0, abs=0.01))


def test_a_pipe_that_is_far_fainter_than_at_its_commissioning_is_not_heard() -> None:
    assert examine(WELL, -79.0, quietest_db=-60.0) is None
    faint = examine(WELL, -81.0, quietest_db=-60.0)
    assert faint is not None
    assert (faint.cause, faint.deafening) == (Cause.FAINT, True)
    assert "21 dB fainter" in faint.text
    assert examine(WELL, -81.0, quietest_db=None) is None


def test_a_sensor_recovers_hears_degraded_and_is_healthy_once_nothing_was_wrong_for_a_while() -> None:
    liveness = Liveness()
    assert liveness.condition is Condition.RECOVERING
    assert liveness.hear(1.0, SLIGHT) is Condition.DEGRADED
    assert liveness.ailment == SLIGHT.text
    assert [liveness.hear(float(second), None) for second in (2, 30, 31)] == [
        Condition.DEGRADED,
        Condition.DEGRADED,
        Condition.HEALTHY,
    ]
    assert liveness.ailment == ""


def test_what_hears_nothing_for_long_has_failed_whatever_the_reason() -> None:
    liveness = Liveness()
    liveness.hear(10.0, None)
    assert liveness.lose(20.0, "unplugged") is Condition.RECOVERING
    assert liveness.hear(69.0, DEAD) is Condition.RECOVERING
    assert liveness.lose(70.0, "unplugged") is Condition.FAILED
    assert liveness.ailment == "unplugged"
    assert liveness.hear(71.0, None) is Condition.DEGRADED
