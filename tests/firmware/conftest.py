"""The simulated pipe of the example firmware, a unit that knows it, and the way to its microcontroller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hydroear.model import SHIPPED_BUNDLE
from listening import hydroear
from microcontroller import RATE_HZ, Relay, SimulatedPipe, leaking


@pytest.fixture(scope="session")
def parts() -> list[tuple[int, int]]:
    """What the pipe's sound is made of, from boot on, for two and a half minutes."""
    pipe = SimulatedPipe()
    return [pipe.parts() for _ in range(150 * RATE_HZ)]


@pytest.fixture(scope="session")
def firmware_site(parts: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration on the healthy sound of the firmware's pipe, of a later minute than is heard here."""
    folder = tmp_path_factory.mktemp("site")
    healthy = np.array([leaking(part, 0) for part in parts[-60 * RATE_HZ :]], np.int16)
    soundfile.write(folder / "health.wav", healthy, RATE_HZ)
    done = hydroear("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", folder / "site.json", folder / "health.wav")
    assert done.returncode == 0, done.stderr
    return folder / "site.json"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "line") as relay:
        yield relay
