"""Everything at once: processes killed at random, a network that fails, days without one, and a long queue.

Each test prints what it counted; ``pytest -s`` shows it.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import outbox_worker
from broker import Mosquitto, Received, Subscriber, wait_for
from hydroear.message import Kind, Message
from hydroear.mqtt import topics
from hydroear.mqtt.link import DRAIN_PER_S, Link
from hydroear.outbox import Outbox
from proxy import CUTS, Proxy

SENSORS = ("hydrant-7", "hydrant-8")
EACH = 500
KILLS_OF_THE_DAEMON, KILLS_OF_THE_BROKER, CUTS_OF_THE_NETWORK = 12, 8, 10
SEED = 20260101

Key = tuple[str, int]


class Daemon:
    """An ``outbox_worker`` that can be killed and begun anew, for the length of a ``with``."""

    def __init__(self, path: Path, port: int) -> None:
        self._command = [sys.executable, outbox_worker.__file__, str(path), f"mqtt://127.0.0.1:{port}", *SENSORS]
        self._goal = 0
        self._start()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def put(self, goal: int) -> None:
        """Have it put so many events for each sensor."""
        self._goal = goal
        assert self._process.stdin is not None
        self._process.stdin.write(f"{goal}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """``kill -9``, and another one takes over."""
        self._end()
        self._start()
        self.put(self._goal)

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


def keys(received: list[Received]) -> list[Key]:
    """What tells one message from another, in order of arrival."""
    return [(content["event_id"], content["seq"]) for content in (message.json for message in received)]


def disorder(received: list[Received]) -> list[Key]:
    """Messages whose first arrival comes after that of a later one of the same event."""
    latest: dict[str, int] = {}
    wrong = []
    for event_id, seq in dict.fromkeys(keys(received)):
        if seq < latest.get(event_id, -1):
            wrong.append((event_id, seq))
        latest[event_id] = max(seq, latest.get(event_id, -1))
    return wrong


@pytest.mark.timeout(150)
def test_nothing_is_lost_or_disordered_while_everything_is_killed_and_cut(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    dice = random.Random(SEED)
    faults = (
        ["daemon"] * KILLS_OF_THE_DAEMON
        + ["broker"] * KILLS_OF_THE_BROKER
        + [CUTS[number % len(CUTS)] for number in range(CUTS_OF_THE_NETWORK)]
    )
    dice.shuffle(faults)
    broker = make_mosquitto(persistence=True).start()
    events = topics.event(outbox_worker.UNIT, "+")
    began_s = time.monotonic()
    # Two listeners, for mosquitto acknowledges a message before it saves it: see test_link_delivery.
    with (
        broker.subscribe(events, qos=1) as durable,
        broker.subscribe(events, qos=0) as prompt,
        Proxy(broker.port, seed=SEED) as network,
        Daemon(tmp_path / "outbox.sqlite", network.port) as daemon,
    ):
        rooms = (durable, prompt)
        done: Counter[str] = Counter()
        for number, fault in enumerate(faults, 1):
            daemon.put(EACH * number // len(faults))
            time.sleep(dice.uniform(0.0, 0.3))
            done[fault] += 1
            if fault == "daemon":
                daemon.kill()
            elif fault == "broker":
                _kill(broker, rooms)
            else:
                wait_for(lambda: cut(network, fault), "a connection to cut")  # noqa: B023
            time.sleep(dice.uniform(0.0, 0.6))
        expected = {(f"{sensor}-event", seq) for sensor in SENSORS for seq in range(EACH)}

        def missing() -> set[Key]:
            return expected - set(keys(durable.received)) - set(keys(prompt.received))

        try:
            wait_for(lambda: not missing(), "every event", timeout_s=20.0)
        except AssertionError:
            pytest.fail(f"lost {len(missing())} of {len(expected)} after {dict(done)}: {sorted(missing())[:5]}")
    took_s = time.monotonic() - began_s
    arrived = keys(durable.received)
    print(
        f"\nchaos: {len(expected)} events, faults {dict(done)}, connections cut {network.cuts}, "
        f"lost 0, delivered again {len(arrived) - len(set(arrived))}, {took_s:.1f} s"
    )
    assert set(arrived) | set(keys(prompt.received)) == expected
    assert [disorder(room.received) for room in rooms] == [[], []]
    assert_repeats_say_the_same([*durable.received, *prompt.received])


def _kill(broker: Mosquitto, rooms: tuple[Subscriber, ...]) -> None:
    before = [room.subscriptions for room in rooms]
    broker.kill()
    broker.start()
    wait_for(lambda: all(room.subscriptions > had for room, had in zip(rooms, before, strict=True)), "the listeners")


def cut(network: Proxy, how: str) -> bool:
    """Cut the network; tell whether there was anything to cut."""
    before = network.cuts[how]
    network.cut(how)
    return network.cuts[how] > before


def assert_repeats_say_the_same(received: list[Received]) -> None:
    """What is delivered again differs at most in that it is no news any more."""
    told: dict[Key, Any] = {}
    for message in received:
        content = {**message.json, "historical": None}
        assert told.setdefault((content["event_id"], content["seq"]), content) == content


def test_three_days_without_a_network_cost_clips_before_anything_else_and_all_is_counted(tmp_path: Path) -> None:
    max_bytes = 150_000
    put: Counter[Kind] = Counter()
    kept_events: list[tuple[bool, int]] = []

    with Outbox(tmp_path / "outbox.sqlite", max_bytes=max_bytes) as outbox:

        def say(*messages: Message) -> None:
            outbox.put(*messages)
            put.update(message.kind for message in messages if not message.retain)

        for minute in range(72 * 60):
            for sensor in SENSORS:
                outbox.put(Message(topics.state("unit", sensor), b"s" * 400, Kind.STATE, retain=True))
            outbox.put(Message(topics.health("unit"), b"h" * 1500, Kind.HEALTH, retain=True))
            if minute % 10 == 0:
                say(outbox_worker.event(SENSORS[0], minute // 10))
            if minute % 60 == 0:
                say(*(Message(topics.clip("unit", "e"), b"c" * 24_000, Kind.CLIP) for _ in range(4)))
                say(Message(topics.reply("unit", f"r{minute}"), b"r" * 600, Kind.STATE))
                drops = outbox.drops()
                kept_events.append((put[Kind.CLIP] > drops[Kind.CLIP], drops[Kind.EVENT]))
        waiting = outbox.pending(10_000)
        drops = outbox.drops()

    held = Counter(stored.message.kind for stored in waiting if not stored.message.retain)
    held_bytes = sum(len(stored.message.payload) for stored in waiting if not stored.message.retain)
    print(f"\n72 h: put {named(put)}, kept {named(held)} in {held_bytes} bytes, dropped {named(drops)}")
    assert {kind: put[kind] - drops[kind] for kind in Kind} == {kind: held[kind] for kind in Kind}
    assert held_bytes <= max_bytes
    assert sum(stored.message.retain for stored in waiting) == len(SENSORS) + 1, "the latest on each topic"
    assert drops[Kind.CLIP] > 0, "it was never full"
    assert drops[Kind.EVENT] > 0, "it was never too small for the events alone"
    assert not any(clips and events for clips, events in kept_events), "an event was dropped and a clip was kept"


def named(counts: dict[Kind, int]) -> dict[str, int]:
    """Counts by the names of the kinds."""
    return {kind.name.lower(): counts[kind] for kind in Kind}


def test_what_is_dropped_is_dropped_by_importance(tmp_path: Path) -> None:
    """Each kind in turn pushes out those below it, and none above."""
    order = []
    with Outbox(tmp_path / "outbox.sqlite", max_bytes=1000) as outbox:
        outbox.put(*(Message("t", b"x" * 100, kind) for kind in reversed(Kind) for _ in range(2)))
        for _ in range(9):
            before = outbox.drops()
            outbox.put(Message("t", b"x" * 100, Kind.EVENT))
            order += [kind for kind in Kind for _ in range(outbox.drops()[kind] - before[kind])]
        assert outbox.depth() == 10
    assert order == [Kind.CLIP] * 2 + [Kind.HEALTH] * 2 + [Kind.STATE] * 2 + [Kind.EVENT]


def test_a_long_queue_drains_fast_and_putting_is_cheap(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    backlog = 20_000
    outbox.put(*(outbox_worker.event(SENSORS[0], number) for number in range(backlog)))
    began_s = time.monotonic()
    link = make_link(mosquitto.url)
    wait_for(lambda: link.status.delivered == backlog, "the queue to drain", timeout_s=120.0)
    per_s = backlog / (time.monotonic() - began_s)
    event_ms = [put_ms(outbox, outbox_worker.event(SENSORS[0], number)) for number in range(200)]
    state = Message(topics.state("unit", SENSORS[0]), b"s" * 400, Kind.STATE, retain=True)
    state_ms = [put_ms(outbox, state) for _ in range(200)]
    print(
        f"\ndrain: {per_s:.0f} messages/s QoS 1; put p50: event {statistics.median(event_ms):.2f} ms (on disk), "
        f"state {statistics.median(state_ms):.2f} ms (in memory)"
    )
    assert per_s < 1.1 * DRAIN_PER_S
    assert per_s > 100.0, "a busy machine is slow, but sorting 20000 messages again and again is slower"
    assert statistics.median(event_ms) < 100.0
    assert statistics.median(state_ms) < 20.0


def put_ms(outbox: Outbox, message: Message) -> float:
    """How long one put takes."""
    began_s = time.perf_counter()
    outbox.put(message)
    return 1e3 * (time.perf_counter() - began_s)
