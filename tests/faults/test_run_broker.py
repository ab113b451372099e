"""``hydroear run`` with the broker, the daemon or the sensor failing: no event is lost, and none is made up."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from broker import Mosquitto, Received, Subscriber, wait_for
from listening import LEAK, RATE_HZ, command, health, said, scene
from running import SENSOR, Daemon, Unit
from virtual_microphone import virtual_microphone

SECOND = RATE_HZ
STOP_S = 5.0


def phases(received: list[Received], *, distinct: bool = False) -> list[str]:
    """Phases of the events' messages in order; a message delivered twice counts once if asked so."""
    events = [message.json for message in received if "/event/" in message.topic]
    if distinct:
        events = list({(event["event_id"], event["seq"]): event for event in events}.values())
    return [event["phase"] for event in events]


def event_ids(received: list[Received]) -> set[str]:
    """Events that something was said of."""
    return {message.json["event_id"] for message in received if "/event/" in message.topic}


def wait_for_phases(room: Subscriber, *expected: str) -> None:
    """Wait until the last of these was received, and find it to be exactly these, updates apart."""

    def heard() -> list[str]:
        return [phase for phase in phases(room.received) if phase != "update"]

    wait_for(lambda: len(heard()) >= len(expected), f"{expected}, heard {heard()}")
    assert heard() == list(expected)


def last_status(room: Subscriber) -> str | None:
    """The unit's availability as the control room knows it."""
    statuses = room.on("hydroear/v1/high-street/status")
    return statuses[-1].json["status"] if statuses else None


def test_what_a_whole_run_without_a_broker_heard_is_delivered_by_the_next(mosquitto: Mosquitto, unit: Unit) -> None:
    mosquitto.stop()
    unit.mqtt = {"url": mosquitto.url}
    with unit.run(scene(), speed=0) as daemon:
        assert daemon.wait() == 0
        assert daemon.states == ["quiet", "warning", "leak", "quiet"]
        absent, undelivered = daemon.complaints
    assert absent.startswith(f"hydroear: warning: broker 127.0.0.1:{mosquitto.port} cannot be reached: ")
    assert "messages were not delivered; they wait in " in undelivered
    waiting = unit.outbox
    assert [event["phase"] for event in waiting if event["phase"] != "update"] == ["open", "close"]

    mosquitto.start()
    with mosquitto.subscribe() as room, unit.run(health(), speed=0) as daemon:
        wait_for_phases(room, "open", "close")
        assert daemon.wait() == 0
        assert daemon.complaints == []
        late = [message.json for message in room.received if "/event/" in message.topic]
        assert late == [{**event, "historical": True} for event in waiting]
    assert unit.outbox == []


def test_a_leak_survives_the_death_of_the_daemon_and_is_closed_under_its_name(mosquitto: Mosquitto, unit: Unit) -> None:
    mosquitto.stop()
    unit.mqtt = {"url": mosquitto.url}
    with unit.run(scene()) as daemon:
        daemon.wait_for_state("leak")
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    assert [event["phase"] for event in unit.outbox] == ["open"]

    mosquitto.start()
    with mosquitto.subscribe() as room:
        with unit.run(scene()[round(LEAK.start_s + 5) * SECOND :]) as daemon:
            assert daemon.wait() == 0
            assert daemon.windows[0]["state"] == "leak"
            assert daemon.states == ["quiet"]
        wait_for_phases(room, "open", "close")
        assert len(event_ids(room.received)) == 1
        states = [message.json for message in room.on(f"hydroear/v1/high-street/sensor/{SENSOR}/state")]
        assert (states[0]["state"], {states[0]["event_id"]}) == ("leak", event_ids(room.received))
        assert (states[-1]["state"], states[-1]["event_id"]) == ("quiet", None)
    assert unit.outbox == []


def test_a_refused_login_is_named_and_what_was_heard_is_delivered_once_it_is_right(
    make_mosquitto: Callable[..., Mosquitto], unit: Unit, tmp_path: Path
) -> None:
    broker = make_mosquitto(users={"pole": "right", "room": "room"}).start()
    password = tmp_path / "password"
    password.write_text("wrong")
    unit.mqtt = {"url": broker.url, "username": "pole", "password_file": str(password)}
    with unit.run(scene(), speed=0) as daemon:
        assert daemon.wait() == 0
        refused, undelivered = daemon.complaints
    assert refused == (
        f"hydroear: warning: broker 127.0.0.1:{broker.port} refuses user pole: Not authorized; "
        "check mqtt.username and the password file"
    )
    assert "messages were not delivered; they wait in " in undelivered

    password.write_text("right")
    with broker.subscribe(username="room", password="room") as room, unit.run(health(), speed=0) as daemon:
        wait_for_phases(room, "open", "close")
        assert daemon.wait() == 0


def test_a_broker_that_dies_in_the_middle_of_a_leak_misses_nothing(
    make_mosquitto: Callable[..., Mosquitto], unit: Unit
) -> None:
    broker = make_mosquitto(persistence=True).start()
    unit.mqtt = {"url": broker.url}
    with broker.subscribe() as room, unit.run(scene(), speed=10) as daemon:
        room.wait_for(lambda got: "open" in phases(got), "the event to open")
        broker.kill()
        daemon.wait_for_state("quiet")
        broker.start()
        room.wait_for(lambda got: "close" in phases(got), "the event to close")
        assert daemon.wait() == 0
        assert len(event_ids(room.received)) == 1
        told = phases(room.received, distinct=True)
        assert (told[0], told[-1], set(told[1:-1])) == ("open", "close", {"update"})
    assert unit.outbox == []


def test_sigterm_ends_a_unit_in_order_and_in_time(mosquitto: Mosquitto, unit: Unit) -> None:
    unit.mqtt = {"url": mosquitto.url}
    with mosquitto.subscribe() as room, unit.run(health(60.0, seed=1), speed=1) as daemon:
        wait_for(lambda: last_status(room) == "online" and daemon.windows, "the unit to listen")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait(STOP_S) == 0
        wait_for(lambda: last_status(room) == "offline", "the goodbye")
        assert daemon.complaints == []
    with mosquitto.subscribe("hydroear/v1/+/status") as latecomer:
        latecomer.wait_for(lambda got: got, "the retained status")
        assert last_status(latecomer) == "offline"


def test_a_unit_that_dies_is_known_to_be_offline(mosquitto: Mosquitto, unit: Unit) -> None:
    unit.mqtt = {"url": mosquitto.url}
    with mosquitto.subscribe() as room, unit.run(health(60.0, seed=1), speed=1) as daemon:
        wait_for(lambda: last_status(room) == "online", "the unit")
        daemon.signal(signal.SIGKILL)
        wait_for(lambda: last_status(room) == "offline", "the last will")


def test_a_sensor_that_goes_silent_is_at_fault_and_no_leak_is_made_of_it(mosquitto: Mosquitto, unit: Unit) -> None:
    warning = scene()[: round(LEAK.start_s + 5.5) * SECOND]
    unit.mqtt = {"url": mosquitto.url}
    with mosquitto.subscribe() as room, unit.run(np.concatenate([warning, 0 * health(30.0), health()])) as daemon:
        assert daemon.wait() == 0
        wait_for(lambda: last_status(room) == "offline", "the goodbye")
        assert daemon.states == ["quiet", "warning", "fault", "quiet"]
        told = [message.json for message in room.on(f"hydroear/v1/high-street/sensor/{SENSOR}/state")]
        faults = [state for state in told if state["state"] == "fault"]
        assert len(faults) >= 2
        assert all((state["score_decades"], state["event_id"]) == (None, None) for state in faults)
        assert faults[-1]["level_db"] is None
        assert phases(room.received) == []


def test_a_reader_that_leaves_ends_the_unit_quietly(unit: Unit) -> None:
    line = command("run", "--json", "-c", unit.configure(unit.recording(health(60.0, seed=1))))
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline()
        program.stdout.close()
        stderr = program.stderr.read()
    assert said(stderr) == []
    assert program.returncode == 141


class Manager:
    """A service manager: receives what services tell it."""

    def __init__(self) -> None:
        self._name = f"hydroear-{uuid.uuid4().hex}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self._name}")
        self.messages: list[str] = []
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a service must know to tell it something."""
        return {"NOTIFY_SOCKET": f"@{self._name}", "WATCHDOG_USEC": "60000000"}

    def close(self) -> None:
        """Hear no more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as oneself:
            oneself.sendto(b"", f"\0{self._name}")
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while message := self._socket.recv(4096).decode():
            self.messages.append(message)


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A service manager."""
    manager = Manager()
    yield manager
    manager.close()


def test_the_service_manager_is_told_of_every_window_and_how_the_unit_is(manager: Manager, unit: Unit) -> None:
    with unit.run(health(), speed=0, **manager.environment) as daemon:
        assert daemon.wait() == 0
        ready, *watchdogs, stopping = [told for told in manager.messages if not told.startswith("STATUS=")]
        assert ready.startswith(f"READY=1\nSTATUS=1 sensor: {SENSOR} learning; no broker; ")
        assert watchdogs == ["WATCHDOG=1"] * len(daemon.windows)
        assert stopping == "STOPPING=1"


def test_the_watchdog_starves_while_the_unit_hangs(manager: Manager, unit: Unit) -> None:
    with unit.run(health(60.0, seed=1), speed=5, **manager.environment) as daemon:
        wait_for(lambda: manager.messages.count("WATCHDOG=1") >= 3, "the unit to listen")
        daemon.signal(signal.SIGSTOP)
        wait_for(daemon.is_stopped, "the unit to stop")
        fed = len(manager.messages)
        time.sleep(1.0)  # five windows
        assert len(manager.messages) == fed
        daemon.signal(signal.SIGCONT)
        wait_for(lambda: len(manager.messages) > fed, "the unit to go on")


def test_a_leak_on_a_microphone_reaches_the_control_room(mosquitto: Mosquitto, unit: Unit, tmp_path: Path) -> None:
    unit.mqtt = {"url": mosquitto.url}
    source = {"type": "microphone", "device": "alsa:leakmic", "rate_hz": RATE_HZ}
    with mosquitto.subscribe() as room, virtual_microphone(tmp_path, scene()[10 * SECOND :]):
        began_s = time.monotonic()
        with Daemon(unit.configure(source, horizon_s=3.0, recheck_s=1.0)) as daemon:
            room.wait_for(lambda got: "open" in phases(got), f"the event: {daemon.complaints}", timeout_s=30.0)
            assert time.monotonic() - began_s > LEAK.start_s - 10.0
            wait_for(lambda: daemon.states[-2:] == ["warning", "leak"], "the state")
            assert daemon.states[0] == "quiet"
            assert "fault" not in daemon.states
            assert all(window["scored"] for window in daemon.windows)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait(STOP_S) == 0
        assert last_status(room) == "offline"
        assert phases(room.received) == ["open"]
