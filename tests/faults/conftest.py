"""A unit with an outbox and a link, for tests that break something around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from hydroear.config.schema import Mqtt
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """The outbox of the unit."""
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        yield outbox


@pytest.fixture
def make_link(outbox: Outbox) -> Iterator[Callable[..., Link]]:
    """Make links of the outbox from MQTT settings; each is stopped after the test.

    The birth payloads count connections, so that one can tell them apart.
    """
    made: list[Link] = []

    def make(url: str, **settings: Any) -> Link:
        births = count(1)
        link = Link(
            Mqtt.model_validate({"url": url, **settings}),
            unit="unit",
            outbox=outbox,
            birth=lambda: b"birth %d" % next(births),
            status=str.encode,
            reconnect_s=(0.2, 0.5),
        )
        link.start()
        made.append(link)
        return link

    yield make
    for link in made:
        link.stop(1.0)
