"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import Mosquitto


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Make brokers with the arguments of :class:`broker.Mosquitto`; each is stopped after the test."""
    made: list[Mosquitto] = []

    def make(**options: Any) -> Mosquitto:
        folder = tmp_path / f"mosquitto{len(made)}"
        folder.mkdir()
        made.append(Mosquitto(folder, **options))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker that lets everybody in and forgets everything when it stops."""
    return make_mosquitto().start()
