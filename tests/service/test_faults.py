"""What happens to a unit in the field, done to one in a booted systemd. These take minutes: ``make test-service``."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from box import SENSOR, STATE, Box, config
from broker import Mosquitto, Received, Subscriber

pytestmark = [pytest.mark.service, pytest.mark.timeout(900)]

WATCHDOG_S = 5
STOP_S = 5.0
POWER_CUTS = 20
LONGEST_RUN_S = 25.0

MakeBox = Callable[[dict[str, Any]], Box]


@pytest.fixture
def broker(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A broker that keeps what it has over its own death."""
    return make_mosquitto(persistence=True).start()


@pytest.fixture
def room(broker: Mosquitto) -> Iterator[Subscriber]:
    """The control room."""
    with broker.subscribe() as room:
        yield room


def drop_in(box: Box, *lines: str) -> None:
    """Change settings of the service."""
    box.write("etc/systemd/system/hydroear.service.d/test.conf", "\n".join(["[Service]", *lines, ""]))


def coded(box: Box, code: str) -> list[dict[str, Any]]:
    """The entries of the journal with a code, of all boots."""
    lines = box.run("journalctl", "--no-pager", "-o", "json", f"CODE={code}").splitlines()
    return [json.loads(line) for line in lines]


def told(received: list[Received]) -> dict[str, dict[int, str]]:
    """Phases of what was said of each event, by number; what was said twice counts once."""
    events: dict[str, dict[int, str]] = defaultdict(dict)
    for message in received:
        if "/event/" in message.topic:
            events[message.json["event_id"]][message.json["seq"]] = message.json["phase"]
    return dict(events)


def wait_until_told(box: Box, room: Subscriber, *, closed: int) -> None:
    """Wait until so many events are over, and the queue is empty."""
    box.wait_for(
        lambda: sum("close" in phases.values() for phases in told(room.received).values()) >= closed,
        f"{closed} events from open to close",
        timeout_s=180.0,
    )
    box.wait_for(lambda: "broker connected; 0 queued" in box.show("StatusText"), "an empty queue")


def test_a_unit_that_hangs_is_started_again_and_what_it_did_is_in_the_log(
    make_box: MakeBox, broker: Mosquitto, room: Subscriber
) -> None:
    box = make_box(config(broker.url))
    drop_in(box, f"WatchdogSec={WATCHDOG_S}")
    box.boot()
    box.wait_until_ready()
    began_s = time.monotonic()
    box.run("kill", "-STOP", box.main_pid())
    box.wait_for(lambda: box.show("NRestarts") == "1" and box.show("ActiveState") == "active", "a restart")
    print(f"hang to ready again in {time.monotonic() - began_s:.1f} s, with WatchdogSec={WATCHDOG_S}")
    assert "Watchdog timeout" in box.log()
    assert "Current thread" in box.log()
    wait_until_told(box, room, closed=1)


def test_a_sensor_that_is_gone_is_named_and_nothing_is_started_again_for_that(
    make_box: MakeBox, broker: Mosquitto, room: Subscriber
) -> None:
    box = make_box(config(broker.url))
    drop_in(box, f"WatchdogSec={WATCHDOG_S}")
    sound = (box.root / "opt/hydroear/pipe.raw").read_bytes()
    (box.root / "opt/hydroear/pipe.raw").unlink()
    box.boot()
    box.wait_until_ready()
    assert f"1 sensor: {SENSOR} fault (" in box.show("StatusText")
    ready_s = time.monotonic()
    box.wait_for(lambda: time.monotonic() - ready_s > 3 * WATCHDOG_S, "three watchdog intervals")
    assert (box.show("ActiveState"), box.show("NRestarts")) == ("active", "0")
    box.write("opt/hydroear/pipe.raw", sound)
    wait_until_told(box, room, closed=1)


def test_a_unit_that_fails_at_once_is_tried_ever_more_seldom_but_for_ever(make_box: MakeBox, broker: Mosquitto) -> None:
    settings = config(broker.url)
    box = make_box({**settings, "unti": 1})
    box.boot()
    box.wait_for(lambda: len(coded(box, "config-bad")) >= 5, "five failed starts")
    at_s = [int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6 for entry in coded(box, "config-bad")]
    gaps_s = [after - before for before, after in pairwise(at_s)]
    print(f"failed starts apart by {', '.join(f'{gap:.1f}' for gap in gaps_s)} s")
    for gap_s, least_s in zip(gaps_s, (1.0, 2.0, 4.0, 8.0), strict=True):
        assert gap_s >= least_s
    box.wait_for(lambda: "starts in a row: 5;" in box.show("StatusText"), "the next one to wait")
    box.configure(settings)
    began_s = time.monotonic()
    box.run("systemctl", "restart", "hydroear")
    assert time.monotonic() - began_s < 14.0  # and not 16 s
    assert box.show("ActiveState") == "active"
    assert box.run("systemctl", "is-enabled", "hydroear").strip() == "enabled"


@pytest.mark.parametrize("broken", ["down", "hung"])
def test_it_stops_in_time_whatever_the_broker_does_and_says_the_rest_at_the_next_start(
    make_box: MakeBox, broker: Mosquitto, room: Subscriber, broken: str
) -> None:
    box = make_box(config(broker.url, sound="leak"))
    box.boot()
    box.wait_until_ready()
    box.wait_for(lambda: "broker connected" in box.show("StatusText"), "a connection")
    if broken == "down":
        broker.stop()
    else:
        broker.freeze()
    box.wait_for(lambda: coded(box, "event-opened"), "an event")
    began_s = time.monotonic()
    box.run("systemctl", "stop", "hydroear")
    took_s = time.monotonic() - began_s
    print(f"stopped in {took_s:.1f} s with the broker {broken}")
    assert took_s < STOP_S
    assert box.show("Result") == "success"
    (opened,) = (entry["EVENT_ID"] for entry in coded(box, "event-opened"))
    if broken == "down":
        assert told(room.received) == {}
        broker.start()
    else:
        broker.thaw()
    box.run("systemctl", "start", "hydroear")
    room.wait_for(lambda got: told(got).get(opened, {}).get(0) == "open", "the event", timeout_s=60.0)


def test_power_cuts_lose_no_event_and_damage_nothing(make_box: MakeBox, broker: Mosquitto, room: Subscriber) -> None:
    chance = random.Random(20)
    box = make_box(config(broker.url))
    broker_runs = True
    for _ in range(POWER_CUTS):
        if broker_runs is not (chance.random() < 0.5):
            broker_runs = not broker_runs
            if broker_runs:
                broker.start()
            else:
                broker.kill()
        box.boot()
        time.sleep(chance.uniform(0.0, LONGEST_RUN_S))
        box.power_cut()
    if not broker_runs:
        broker.start()
    box.boot()
    box.wait_until_ready()
    wait_until_told(box, room, closed=1)
    box.run("systemctl", "stop", "hydroear")

    opened = {entry["EVENT_ID"] for entry in coded(box, "event-opened")}
    closed = {entry["EVENT_ID"] for entry in coded(box, "event-closed")}
    events = told(room.received)
    ended = {event for event, phases in events.items() if "close" in phases.values()}
    lost = (opened - set(events)) | (closed - ended)
    print(f"{POWER_CUTS} power cuts, {len(opened)} events raised, {len(events)} delivered, {len(lost)} lost")
    assert len(opened) >= 3
    assert not lost
    for phases in events.values():
        assert sorted(phases) == list(range(len(phases)))  # nothing that was said of it is missing
        assert phases[0] == "open"
    assert sum(len(phases) for phases in events.values()) > len(events)
    assert coded(box, "outbox-damaged") == coded(box, "memory-lost") == []
    assert box.run("find", f"{STATE}/", "-name", "*.corrupt*") == ""
    assert box.show("NRestarts") == "0"


def test_a_root_that_cannot_be_written_is_enough_with_a_state_folder_that_can(
    make_box: MakeBox, broker: Mosquitto, room: Subscriber
) -> None:
    box = make_box(config(broker.url))
    # What the first start leaves on the root: the way to the state, which is on a disk of its own from then on.
    (box.root / "var/lib/hydroear").symlink_to("private/hydroear")
    (box.root / "var/lib/private").mkdir(mode=0o700, exist_ok=True)
    disk = box.make_disk()
    box.boot("--read-only", f"--bind={disk}:/var/lib/private")
    box.wait_until_ready()
    assert "Read-only file system" in box.run("touch", "/etc/probe", "/var/lib/probe", check=False)
    wait_until_told(box, room, closed=1)
    assert (disk / "hydroear/outbox.sqlite").exists()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is installed: apt-get install gcc libc6-dev")
def test_a_clock_that_steps_from_1970_to_now_disturbs_nothing(
    make_box: MakeBox, broker: Mosquitto, room: Subscriber
) -> None:
    box = make_box(config(broker.url))
    library, clock = "opt/hydroear/clock.so", "etc/hydroear/clock"
    box.write(clock, struct.pack("=q", 60 - round(time.time())))
    source = Path(__file__).with_name("clock.c")
    build = ["cc", "-shared", "-fPIC", "-Wall", "-Werror", f'-DCLOCK_FILE="/{clock}"', "-o", box.root / library, source]
    subprocess.run(build, check=True)
    drop_in(box, f"WatchdogSec={WATCHDOG_S}", f"Environment=LD_PRELOAD=/{library}")
    box.boot()
    box.wait_until_ready()
    box.wait_for(lambda: told(room.received), "an event in 1970", timeout_s=60.0)
    (event,) = told(room.received)
    opened = next(message.json for message in room.received if "/event/" in message.topic)
    assert opened["time"].startswith("1970-01-01")
    with (box.root / clock).open("r+b") as file:
        file.write(bytes(8))
    wait_until_told(box, room, closed=2)
    events = told(room.received)
    assert next(iter(events)) == event
    assert "close" in events[event].values()
    for phases in events.values():
        assert sorted(phases) == list(range(len(phases)))
    last = next(message.json for message in reversed(room.received) if "/event/" in message.topic)
    assert last["time"] > "2020"
    assert (box.show("NRestarts"), box.show("ActiveState")) == ("0", "active")
