"""The control room that listens to all units, and notes how late alarms are."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hydroear.errors import HydroearError
from hydroear.mqtt import topics
from hydroear.mqtt.broker import Address, hang_up

CONNECT_S = 15.0
SESSION_S = 3600
RECONNECT_S = 0.2


class Room:
    """Hears everything, over the death of the broker as well, for the length of a ``with``.

    Attributes
    ----------
    messages
        How many arrived.
    heard
        How often each message about an event arrived: event, number.
    delays_s, late_s
        How long after it was said each opening of an event first arrived: those sent at once, and those that were held
        back by a unit without a connection.

    Raises
    ------
    HydroearError
        The broker does not let it in.
    """

    def __init__(self, address: Address) -> None:
        self.messages = 0
        self.heard: Counter[tuple[str, int]] = Counter()
        self.delays_s: list[float] = []
        self.late_s: list[float] = []
        self._address = address
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="control-room", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(RECONNECT_S, RECONNECT_S)  # type: ignore[arg-type]  # it takes parts of seconds
        self._client.on_connect = lambda client, *_: client.subscribe(f"{topics.ROOT}/#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._hear

    def __enter__(self) -> Self:
        # The session outlives the connection, so that what units say before it is back is kept for it.
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S
        self._client.connect(self._address.host, self._address.port, clean_start=False, properties=properties)
        self._client.loop_start()
        if not self._subscribed.wait(CONNECT_S):
            hang_up(self._client)
            raise HydroearError("the broker does not let the control room in", where=self._address)
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self._client)

    def wait_for(self, said: set[tuple[str, int]], timeout_s: float) -> None:
        """Wait until all of that was heard, but no longer."""
        deadline_s = time.monotonic() + timeout_s
        while not said <= set(self.heard) and time.monotonic() < deadline_s:
            time.sleep(0.05)

    def _hear(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        now = datetime.now(UTC)
        self.messages += 1
        if "/event/" not in message.topic:
            return
        content = json.loads(message.payload)
        key = content["event_id"], content["seq"]
        self.heard[key] += 1
        if content["phase"] == "open" and self.heard[key] == 1:
            delay_s = (now - datetime.fromisoformat(content["time"])).total_seconds()
            (self.late_s if content["historical"] else self.delays_s).append(max(0.0, delay_s))
