"""What a level is in the unit of what the sensor measures."""

from __future__ import annotations

import numpy as np
import pytest

from hydroear.app.display import level
from hydroear.audio import Scale, level_db, level_of, unit_of
from hydroear.dsp import FrontEnd
from hydroear.model import SHIPPED_BUNDLE, read_bundle

HYDROPHONE = Scale("Pa", 2000.0)


def test_the_level_of_a_window_is_its_root_mean_square() -> None:
    spec = read_bundle(SHIPPED_BUNDLE).front_end
    time_s = np.arange(round(2.0 * spec.rate_hz)) / spec.rate_hz
    tone = (0.5 * np.sin(2 * np.pi * 1000.0 * time_s)).astype(np.float32)
    window = FrontEnd(spec, input_rate_hz=spec.rate_hz).push(tone)[0]
    measured_pa = 0.5 * HYDROPHONE.full_scale / np.sqrt(2.0)
    assert level_of(window.level_db, HYDROPHONE) == pytest.approx(measured_pa, rel=5e-3)
    assert level_of(level_db(tone), HYDROPHONE) == pytest.approx(measured_pa, rel=1e-3)


def test_it_is_told_to_four_digits_however_small() -> None:
    assert level_of(-123.456, HYDROPHONE) == 0.001343
    assert level_of(0.0, Scale("m/s²", 49.0326)) == 49.03


def test_without_a_scale_or_a_level_there_is_none() -> None:
    assert (level_of(None, HYDROPHONE), unit_of(HYDROPHONE)) == (None, "Pa")
    assert (level_of(-40.0, None), unit_of(None)) == (None, None)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ((-41.5, None, None), " -41.5 dBFS"),
        ((-41.5, 16.82, "Pa"), " -41.5 dBFS      16.8 Pa  "),
        ((-41.5, 0.0001234, "m/s²"), " -41.5 dBFS  0.000123 m/s²"),
        ((None, None, "Pa"), "   -  dBFS         - Pa  "),
        ((None, None, None), "   -  dBFS"),
    ],
)
def test_people_see_it_in_columns(told: tuple[float | None, float | None, str | None], shown: str) -> None:
    assert level(*told) == shown
