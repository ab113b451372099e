"""Alarms of a device reach the control room once each, with their true times, whatever fails on the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridging import Bench, endpoint
from broker import Mosquitto, Subscriber, wait_for
from hydroear.app import unit as app
from hydroear.config.loader import load_config
from hydroear.health import alarm as rules
from hydroear.service.notify import Notifier
from hydroear_bridge import device
from hydroear_bridge.frames import EventCode
from running import SENSOR, Daemon, Unit

UNIT = "hydroear/v1/high-street"
EXACT = timedelta(milliseconds=50)
"""Much shorter than anything that delays a report here, and long for two busy cores."""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A device that says HELLO and repeats its reports so often that nobody has to wait for them."""
    monkeypatch.setattr(device, "HELLO_EVERY_S", 0.2)
    monkeypatch.setattr(device, "REPEAT_EVENT_S", 0.3)
    with Bench(endpoint("tcp", tmp_path)) as bench:
        yield bench


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker that keeps the control room's session over a restart."""
    return make_mosquitto(persistence=True).start()


@pytest.fixture
def room(mosquitto: Mosquitto) -> Iterator[Subscriber]:
    with mosquitto.subscribe(f"{UNIT}/#") as room:
        yield room


def steps(room: Subscriber) -> list[dict[str, Any]]:
    """What was told of alarms, in order, each as its schema promises."""
    promised = Draft202012Validator(json.loads((files("hydroear.mqtt") / "schemas/alarm.json").read_text()))
    told = [message for message in room.received if message.topic.startswith(f"{UNIT}/alarm/")]
    for message in told:
        promised.validate(message.json)
        assert message.topic == f"{UNIT}/alarm/{message.json['alarm_id']}"
        assert not message.retained
    return [message.json for message in told]


def wait_for_step(room: Subscriber, number: int, *complaints: object) -> dict[str, Any]:
    """Wait for one more step of an alarm; there must be no others."""
    wait_for(lambda: len(steps(room)) >= number, f"step {number} of {steps(room)}, {complaints}", timeout_s=30.0)
    assert len(steps(room)) == number
    return steps(room)[-1]


def listed(room: Subscriber) -> list[str]:
    """The alarms that the latest health has."""
    return [alarm["alarm_id"] for alarm in room.on(f"{UNIT}/health")[-1].json["sensors"][SENSOR]["alarms"]]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def bridge(bench: Bench) -> dict[str, Any]:
    return {"type": "bridge", "port": bench.endpoint.name}


def test_an_alarm_is_told_at_once_with_its_true_time_however_late_it_is_reported(
    bench: Bench, unit: Unit, mosquitto: Mosquitto, room: Subscriber
) -> None:
    unit.mqtt = {"url": mosquitto.url}
    with Daemon(unit.configure(bridge(bench))) as daemon:
        wait_for(lambda: daemon.windows, f"windows: {daemon.complaints}")
        began = bench.happen(EventCode.LOW_BATTERY, value=3310)
        battery = wait_for_step(room, 1)
        assert (battery["sensor"], battery["alarm"], battery["battery_v"]) == (SENSOR, "low-battery", 3.31)
        assert battery["device"] == {"model": "hydroear simulator", "uid": b"simulated".hex()}
        assert at(battery["opened_time"]) == pytest.approx(began, abs=EXACT)
        wait_for(lambda: listed(room) == [battery["alarm_id"]], "the health that lists it, long before it is due")
        ended = bench.happen(EventCode.LOW_BATTERY, begun=False)
        over = wait_for_step(room, 2)
        assert (over["alarm_id"], over["phase"], over["seq"]) == (battery["alarm_id"], "close", 1)
        assert at(over["closed_time"]) == pytest.approx(ended, abs=EXACT)
        wait_for(lambda: listed(room) == [], "the health that lists it no more")

        with bench.unplugged():
            began = bench.happen(EventCode.TAMPER)
        tamper = wait_for_step(room, 3)
        assert at(tamper["time"]) - at(tamper["opened_time"]) > 4 * EXACT
        assert at(tamper["opened_time"]) == pytest.approx(began, abs=EXACT)

        bench.restart()
        wait_for(lambda: "started anew (1)" in "".join(daemon.complaints), "the device's boot")
        bench.happen(EventCode.TAMPER)
        ended = bench.happen(EventCode.TAMPER, begun=False)
        over = wait_for_step(room, 4)
        assert (over["alarm_id"], over["phase"], over["seq"]) == (tamper["alarm_id"], "close", 1)
        assert over["opened_time"] == tamper["opened_time"]


def test_an_alarm_keeps_its_id_over_kill_9_and_arrives_though_the_broker_was_away(
    bench: Bench, unit: Unit, mosquitto: Mosquitto, room: Subscriber
) -> None:
    unit.mqtt = {"url": mosquitto.url}
    config = unit.configure(bridge(bench))
    mosquitto.stop()
    with Daemon(config) as daemon:
        wait_for(lambda: daemon.windows, f"windows: {daemon.complaints}")
        bench.happen(EventCode.TAMPER)
        wait_for(lambda: f"alarm {SENSOR}-tamper-" in "".join(daemon.complaints), "the alarm")
    with Daemon(config) as daemon:
        wait_for(lambda: daemon.windows, f"windows: {daemon.complaints}")
        mosquitto.start()
        opened = wait_for_step(room, 1, daemon.complaints)
        bench.happen(EventCode.TAMPER, begun=False)
        closed = wait_for_step(room, 2)
    assert opened["historical"]
    assert [opened["phase"], closed["phase"]] == ["open", "close"]
    assert opened["alarm_id"] == closed["alarm_id"]
    assert [opened["seq"], closed["seq"]] == [0, 1]


def test_an_alarm_of_which_no_more_is_heard_is_over_and_says_why(
    bench: Bench, unit: Unit, mosquitto: Mosquitto, room: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PATIENCE_S", 1.5)
    unit.mqtt = {"url": mosquitto.url}
    listener = app.Unit(
        load_config(unit.configure(bridge(bench))), display=lambda _: None, notifier=Notifier.from_environment()
    )
    running = threading.Thread(target=listener.run)
    running.start()
    try:
        bench.happen(EventCode.WATER_INGRESS)
        opened = wait_for_step(room, 1)
        bench.happen(EventCode.WATER_INGRESS, begun=False, lost=True)
        closed = wait_for_step(room, 2)
        assert (closed["alarm_id"], closed["phase"]) == (opened["alarm_id"], "close")
        assert (closed["closed_time"], closed["reason"]) == (None, rules.NOT_REPEATED)
        bench.happen(EventCode.TAMPER)
        opened = wait_for_step(room, 3)
        bench.restart()
        closed = wait_for_step(room, 4)
        assert (closed["alarm_id"], closed["reason"]) == (opened["alarm_id"], rules.FORGOTTEN)
    finally:
        listener.stop()
        running.join()
