"""Boxes with a unit in them that hears a pipe with a leak every now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from box import Box, why_not
from listening import LEAK, RATE_HZ, Samples, health, scene

HEALTHY_S, LEAKING_S = 8, 9
PLAYER = Path(__file__).with_name("player.py")


def pcm(*sounds: Samples) -> bytes:
    """Samples as the player wants them."""
    return np.round(np.concatenate(sounds) * 2**15).clip(-(2**15), 2**15 - 1).astype("<i2").tobytes()


@pytest.fixture(scope="session")
def make_box(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Iterator[Callable[[dict[str, Any]], Box]]:
    """Make boxes with a configuration, not booted yet; each ends with the tests."""
    if reason := why_not(tmp_path_factory.mktemp("trial")):
        pytest.skip(f"no systemd can be booted here: {reason}")
    begin = round(LEAK.start_s) * RATE_HZ
    leak = scene()[begin : begin + LEAKING_S * RATE_HZ]
    made: list[Box] = []
    numbers = count()

    def make(settings: dict[str, Any]) -> Box:
        box = Box(tmp_path_factory.mktemp("box"), f"hydroear-box-{next(numbers)}")
        made.append(box)
        box.write("opt/hydroear/player.py", PLAYER.read_text())
        box.write("opt/hydroear/leak.raw", pcm(leak))
        box.write("opt/hydroear/pipe.raw", pcm(health()[: HEALTHY_S * RATE_HZ], leak))
        box.write("etc/hydroear/site.json", site.read_bytes())
        box.write("home/resident/secret", "of the residents")
        box.configure(settings)
        return box

    yield make
    for box in made:
        box.close()
