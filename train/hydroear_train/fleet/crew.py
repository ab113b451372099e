"""Some of the units, all in one process and one loop."""

from __future__ import annotations

import heapq
import json
import random
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client

from hydroear.mqtt.broker import Address
from hydroear.mqtt.roster import Attempt
from hydroear_train.fleet.unit import Unit

STATE_EVERY_S = 60.0
ALARM_EVERY_S = 5.0
"""How often an alarming unit opens an event, which it closes after half of that."""
ANSWER_S = 5.0
"""How long the broker may take to answer CONNECT, as for a unit's link."""
MISC_EVERY_S = 1.0
DRAIN_S = 20.0
"""How long to wait at the end for what is not acknowledged yet, and for units that are not back."""
GOODBYE_S = 5.0
"""How long goodbyes may take."""


@dataclass(frozen=True)
class Crew:
    """Work for one process: run these units.

    Attributes
    ----------
    names, alarming
        The units, and which of them raise alarms.
    address
        The broker.
    start_s, ramp_s, end_s
        Monotonic time, the same in all processes, at which the first dials, how long later the last does, and
        when they have no more to say.
    log
        Where to write what they did, as :class:`Log`.
    """

    names: tuple[str, ...]
    alarming: frozenset[str]
    address: Address
    start_s: float
    ramp_s: float
    end_s: float
    log: Path

    def __call__(self) -> None:
        """Run them to the end, and write the log."""
        log = _Loop(self).run()
        self.log.write_text(json.dumps({"connected_s": log.connected_s, "said": sorted(log.said)}))


@dataclass(frozen=True)
class Log:
    """What units did.

    Attributes
    ----------
    connected_s
        Monotonic times at which the broker accepted each of them.
    said
        The messages about events that they had to say: event, number.
    """

    connected_s: dict[str, list[float]]
    said: set[tuple[str, int]]

    @classmethod
    def read(cls, paths: list[Path]) -> Log:
        """What all of them did."""
        connected_s: dict[str, list[float]] = {}
        said: set[tuple[str, int]] = set()
        for path in paths:
            content = json.loads(path.read_text())
            connected_s |= content["connected_s"]
            said |= {(event_id, seq) for event_id, seq in content["said"]}
        return cls(connected_s, said)


class _Loop:
    """Does what is due, and serves the sockets meanwhile, as paho's manual says for an event loop of one's own."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._units = [Unit(name, crew.address) for name in crew.names]
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def run(self) -> Log:
        crew = self._crew
        begin_s = crew.start_s + crew.ramp_s
        for unit in self._units:
            self._at(crew.start_s + random.uniform(0.0, crew.ramp_s), partial(self._dial, unit, unit.first()))
            self._repeat(begin_s + random.uniform(0.0, STATE_EVERY_S), STATE_EVERY_S, unit.tell_state)
            if unit.name in crew.alarming:
                self._repeat(begin_s + random.uniform(0.0, ALARM_EVERY_S / 2), ALARM_EVERY_S / 2, unit.alarm)
        self._look_after()
        while not self._is_done(time.monotonic()):
            while self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            self._serve(self._due[0][0] - time.monotonic())
        for unit in self._units:
            unit.hang_up()
        deadline_s = time.monotonic() + GOODBYE_S
        while self._selector.get_map() and time.monotonic() < deadline_s:
            self._serve(MISC_EVERY_S)
        return Log(
            connected_s={unit.name: unit.connected_s for unit in self._units},
            said={key for unit in self._units for key in unit.said},
        )

    def _is_done(self, now_s: float) -> bool:
        over_s = now_s - self._crew.end_s
        return over_s >= DRAIN_S or (over_s >= 0 and all(unit.connected and unit.drained for unit in self._units))

    def _at(self, due_s: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._due, (due_s, next(self._numbers), work))

    def _repeat(self, due_s: float, every_s: float, work: Callable[[], None]) -> None:
        """Do it again and again, in time however late the last one was, until there is no more to say."""

        def once() -> None:
            work()
            self._repeat(due_s + every_s, every_s, work)

        if due_s < self._crew.end_s:
            self._at(due_s, once)

    def _look_after(self) -> None:
        """Let paho keep connections alive."""
        for unit in self._units:
            if unit.client is not None:
                unit.client.loop_misc()
        self._at(time.monotonic() + MISC_EVERY_S, self._look_after)

    def _dial(self, unit: Unit, attempt: Attempt) -> None:
        client = unit.new_client(attempt)
        client.on_socket_open = lambda _client, _data, socket: self._register(socket, client)
        client.on_socket_close = lambda _client, _data, socket: self._close(socket, unit, client)
        client.on_socket_register_write = lambda _client, _data, socket: self._watch(socket, client, write=True)
        client.on_socket_unregister_write = lambda _client, _data, socket: self._watch(socket, client, write=False)
        failed = unit.dial(attempt)
        if failed is not None:
            self._retry(unit, failed)
        else:
            self._at(time.monotonic() + ANSWER_S, partial(self._give_up, unit, client))

    def _retry(self, unit: Unit, attempt: Attempt) -> None:
        self._at(time.monotonic() + attempt.wait_s, partial(self._dial, unit, attempt))

    def _give_up(self, unit: Unit, client: Client) -> None:
        if unit.client is client and not unit.connected:
            client.reinitialise()  # paho's one public way to close a socket without a word

    def _register(self, socket: Any, client: Client) -> None:
        self._selector.register(socket, selectors.EVENT_READ, client)

    def _watch(self, socket: Any, client: Client, *, write: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        self._selector.modify(socket, events, client)

    def _close(self, socket: Any, unit: Unit, client: Client) -> None:
        self._selector.unregister(socket)
        self._at(time.monotonic(), partial(self._lose, unit, client))

    def _lose(self, unit: Unit, client: Client) -> None:
        if unit.client is client:
            self._retry(unit, unit.lost())

    def _serve(self, timeout_s: float) -> None:
        for key, events in self._selector.select(max(0.0, timeout_s)):
            client: Client = key.data
            if events & selectors.EVENT_READ:
                client.loop_read()
            if events & selectors.EVENT_WRITE:
                client.loop_write()
