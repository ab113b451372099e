"""A unit reduced to what it says: it hears nothing, keeps nothing on disk, and speaks as a real one does."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear import __version__
from hydroear.errors import LinkError
from hydroear.message import Kind, Message
from hydroear.mqtt import payloads, topics
from hydroear.mqtt.broker import Address, dial
from hydroear.mqtt.roster import Attempt, Roster
from hydroear.mqtt.stamper import stamper

SENSOR = "hydrant"
RECONNECT_S = (1.0, 30.0)
"""First and longest wait between attempts, as a unit's link has them."""
KEEPALIVE_S = 60
WINDOW = 16
"""Events handed over and not yet acknowledged, as with a unit's link."""
PROTOCOL = MQTTProtocolVersion.MQTTv5


class Unit:
    """One unit, driven from outside: whoever owns it reads and writes its socket when it may.

    Parameters
    ----------
    name
        Its name.
    address
        The broker.

    Attributes
    ----------
    client
        The client of the connection that stands or is being made; None when there is none.
    connected
        The broker has accepted it.
    connected_s
        Monotonic times at which it did.
    said
        Messages about events that it had to say: event, number.
    """

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.client: Client | None = None
        self.connected = False
        self.connected_s: list[float] = []
        self.said: list[tuple[str, int]] = []
        self._roster = Roster([address], [PROTOCOL], RECONNECT_S)
        self._stamp = stamper(name, None)
        self._queue: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._event: tuple[str, datetime] | None = None
        self._states = self._events = 0

    @property
    def drained(self) -> bool:
        """Whether the broker has acknowledged everything about events."""
        return not self._queue and not self._in_flight

    def first(self) -> Attempt:
        """When to dial first."""
        return self._roster.first()

    def new_client(self, attempt: Attempt) -> Client:
        """The client of the next connection, not connected yet."""
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"hydroear-{self.name}",
            protocol=attempt.protocol,
            reconnect_on_failure=False,
        )
        self.client.will_set(topics.status(self.name), self._status("offline"), qos=1, retain=True)
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        return self.client

    def dial(self, attempt: Attempt) -> Attempt | None:
        """Dial with the new client; gives what to try next if that fails at once."""
        assert self.client is not None
        try:
            dial(self.client, attempt.address, keepalive_s=KEEPALIVE_S, protocol=attempt.protocol)
        except LinkError:
            self.client = None
            return self._roster.failed()
        return None

    def lost(self) -> Attempt:
        """What to try next, after its connection has ended."""
        accepted, self.client, self.connected = self.connected, None, False
        # What is not acknowledged is said again, before what came later.
        self._queue.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        return self._roster.lost() if accepted else self._roster.failed()

    def tell_state(self) -> None:
        """Say what it hears, if it is connected: only the latest counts."""
        if self.connected:
            self._publish(self._state())

    def alarm(self) -> None:
        """Open an event, or close the one that is open; say so now or as soon as there is a connection."""
        now = datetime.now(UTC)
        if self._event is None:
            self._events += 1
            self._event = f"{SENSOR}-{self.name}-{self._events}", now
            self._say(0, "open")
        else:
            self._say(1, "close")
            self._event = None

    def hang_up(self) -> None:
        """Say goodbye."""
        if self.client is not None and self.connected:
            self._publish(Message(topics.status(self.name), self._status("offline"), Kind.STATE, retain=True))
            self.client.disconnect()

    def _say(self, seq: int, phase: payloads.Phase) -> None:
        assert self._event is not None
        event_id, opened_time = self._event
        body = payloads.Event(
            event_id=event_id,
            sensor=SENSOR,
            phase=phase,
            state="leak" if phase == "open" else "quiet",
            opened_time=opened_time,
            heard_time=datetime.now(UTC),
            position_s=0.0,
            score_decades=4.0,
            horizon_decades=4.0,
            level_db=-40.0,
            level=None,
            level_unit=None,
            raise_decades=3.0,
            false_alarms_per_month=0.1,
            reason="simulated",
            evidence=None,
        )
        self.said.append((event_id, seq))
        self._queue.append(
            Message(topics.event(self.name, event_id), payloads.encode(body, self._stamp(seq)), Kind.EVENT)
        )
        self._hand_over()

    def _hand_over(self) -> None:
        while self.connected and self._queue and len(self._in_flight) < WINDOW:
            message = self._queue.popleft()
            self._in_flight[self._publish(message)] = message

    def _publish(self, message: Message) -> int:
        assert self.client is not None
        return self.client.publish(message.topic, message.payload, qos=1, retain=message.retain).mid

    def _status(self, availability: payloads.Availability) -> bytes:
        return payloads.encode(payloads.Status(availability), self._stamp(0))

    def _birth(self) -> Message:
        sensor = payloads.SensorBirth(SENSOR, "wav", None, 16000, (1,), calibrated=True)
        body = payloads.Birth({"hydroear": __version__}, "none", "none", (sensor,), (), slots=None)
        return Message(topics.birth(self.name), payloads.encode(body, self._stamp(0)), Kind.STATE, retain=True)

    def _state(self) -> Message:
        body = payloads.State(
            sensor=SENSOR,
            state="quiet" if self._event is None else "leak",
            score_decades=1.0,
            level_db=-50.0,
            level=None,
            level_unit=None,
            heard_time=datetime.now(UTC),
            position_s=0.0,
            windows_scored=self._states,
            windows_skipped=0,
            event_id=None if self._event is None else self._event[0],
            muted_s=None,
        )
        payload = payloads.encode(body, self._stamp(self._states))
        self._states += 1
        return Message(topics.state(self.name, SENSOR), payload, Kind.STATE, retain=True)

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        if reason.is_failure:
            return
        self._roster.accepted()
        self._queue = deque(_historical(message) for message in self._queue)  # said before this connection stood
        self.connected = True
        self.connected_s.append(time.monotonic())
        self._publish(Message(topics.status(self.name), self._status("online"), Kind.STATE, retain=True))
        self._publish(self._birth())
        self._publish(self._state())
        self._hand_over()

    def _on_publish(self, _client: Client, _data: object, mid: int, _reason: ReasonCode, _: Properties | None) -> None:
        if self._in_flight.pop(mid, None) is not None:
            self._hand_over()


def _historical(message: Message) -> Message:
    return replace(message, payload=payloads.as_historical(message.payload))
