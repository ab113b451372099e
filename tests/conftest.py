"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import Mosquitto
from hydroear.model import SHIPPED_BUNDLE
from listening import health, hydroear, write
from running import Unit


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calibration of :mod:`listening`'s pipe, learned by ``hydroear calibrate`` from a minute of its health."""
    folder = tmp_path_factory.mktemp("site")
    recording = write(folder / "health.wav", health(60.0, seed=1))
    done = hydroear("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", folder / "site.json", recording)
    assert done.returncode == 0, done.stderr
    return folder / "site.json"


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


@pytest.fixture
def unit(tmp_path: Path, site: Path) -> Unit:
    """A unit with nothing in its outbox."""
    return Unit(tmp_path, site)
