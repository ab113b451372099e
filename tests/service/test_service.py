"""The service in a booted systemd: ready, in its sandbox, heard by the control room, ended in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from box import SENSOR, STATE, UNIT, Box, config
from broker import Mosquitto, Subscriber

STOP_S = 5.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that lets the unit and the control room in by their passwords."""
    mosquitto = Mosquitto(tmp_path_factory.mktemp("mosquitto"), users={"pole": "secret", "room": "room"}).start()
    yield mosquitto
    mosquitto.stop()


@pytest.fixture(scope="module")
def room(broker: Mosquitto) -> Iterator[Subscriber]:
    """The control room, since before the unit was switched on."""
    with broker.subscribe(username="room", password="room") as room:
        yield room


@pytest.fixture(scope="module")
def box(make_box: Callable[[dict[str, Any]], Box], broker: Mosquitto, room: Subscriber) -> Box:  # noqa: ARG001
    """A booted box whose service became ready, after the control room had begun to listen."""
    settings = config(broker.url, sound="leak", evidence={"after_s": 1.0})
    settings["mqtt"] |= {"username": "pole", "password_file": "/run/credentials/hydroear.service/mqtt_password"}
    box = make_box(settings)
    box.write("etc/credstore/hydroear.mqtt_password", "secret", mode=0o600)
    box.boot()
    box.wait_until_ready()
    return box


def journal(box: Box, *matches: str) -> list[dict[str, Any]]:
    """Entries of the box's journal."""
    lines = box.run("journalctl", "--no-pager", "-o", "json", *matches).splitlines()
    return [json.loads(line) for line in lines]


def test_it_is_ready_once_it_hears_and_says_so_in_words(box: Box) -> None:
    assert box.show("NRestarts") == "0"
    box.wait_for(lambda: "broker connected; 0 queued" in box.show("StatusText"), "the status")
    assert box.show("StatusText").startswith(f"1 sensor: {SENSOR} ")


def test_the_control_room_hears_of_a_leak_by_a_secret_that_only_the_service_has(box: Box, room: Subscriber) -> None:
    room.wait_for(
        lambda got: any("/event/" in message.topic and message.json["phase"] == "open" for message in got),
        f"an alarm; the unit says: {box.log()}",
        timeout_s=60.0,
    )
    folder = Path("/run/credentials/hydroear.service")
    assert box.run("stat", "-c", "%a", folder / "mqtt_password").strip() in ("400", "440")
    assert "secret" not in box.log()


def test_the_sandbox_lets_it_keep_sound_picture_and_record_of_the_leak(box: Box) -> None:
    def kept() -> set[str]:
        names = box.run("find", f"{STATE}/evidence/{SENSOR}", "-type", "f", check=False).split()
        return {Path(name).suffix for name in names}

    box.wait_for(lambda: {".json", ".png"} < kept() and kept() & {".flac", ".wav"}, "the evidence")


def test_nobody_in_the_sandbox_does_what_a_listener_need_not_do(box: Box) -> None:
    found = json.loads(box.run("cat", f"{STATE}/probe.json"))
    assert {name for name, outcome in found.items() if outcome == "done"} == {"write state", "write tmp"}
    assert {found[f"write {folder}"] for folder in ("usr", "opt", "var")} == {"EROFS"}
    assert found["uid"] not in (0, 65534)
    assert {int(found[key], 16) for key in ("CapBnd", "CapEff")} == {0}
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_an_event_in_the_journal_has_fields_and_an_explanation(box: Box, room: Subscriber) -> None:
    events = [message.json["event_id"] for message in room.received if "/event/" in message.topic]
    opened = journal(box, "CODE=event-opened", f"UNIT={UNIT}", f"SENSOR={SENSOR}")
    assert opened[0]["EVENT_ID"] == events[0]
    assert opened[0]["PRIORITY"] == "6"
    assert opened[0]["_SYSTEMD_UNIT"] == "hydroear.service"
    # UNIT is a field that systemd has too, but it believes it of its own messages alone.
    assert journal(box, "-u", UNIT) == []
    assert f"A leak is heard by {SENSOR}" in box.run("journalctl", "--no-pager", "-x", "CODE=event-opened")


def test_a_reload_puts_another_configuration_in_force_and_a_bad_one_changes_nothing(box: Box, room: Subscriber) -> None:
    good = (box.root / "etc/hydroear/config.yaml").read_text()
    pid = box.main_pid()
    box.write("etc/hydroear/config.yaml", good.replace("unit: ", "unti: "))
    box.run("systemctl", "reload", "hydroear")
    box.wait_for(lambda: "reload refused" in box.show("StatusText"), "a refusal")
    box.wait_for(lambda: ": unti: " in str(journal(box, "CODE=reload-refused")), "the reason in the log")
    assert box.show("ActiveState") == "active"

    box.write("etc/hydroear/config.yaml", good.replace(f"unit: {UNIT}", "unit: low-street"))
    box.run("systemctl", "reload", "hydroear")
    room.wait_for(
        lambda got: any(message.topic == "hydroear/v1/low-street/birth" for message in got), f"a birth: {box.log()}"
    )
    box.wait_until_ready()
    assert (box.main_pid(), box.show("NRestarts")) == (pid, "0")
    box.wait_for(lambda: journal(box, "CODE=reloaded", "UNIT=low-street"), "the log of the reload")


def test_the_nightly_test_has_the_unit_examine_itself_and_tell(box: Box, room: Subscriber) -> None:
    topic = "hydroear/v1/low-street/selftest"
    room.wait_for(lambda _: room.on(topic), "the test after the start", timeout_s=30.0)
    before = len(room.on(topic))
    box.run("systemctl", "start", "hydroear-selftest.service")
    room.wait_for(lambda _: len(room.on(topic)) > before, "another test", timeout_s=30.0)
    box.run("systemctl", "start", "hydroear-selftest.timer")
    assert "hydroear-selftest.service" in box.run("systemctl", "list-timers", "--no-pager")


def test_people_run_commands_as_the_user_of_the_service_beside_it(box: Box) -> None:
    user = ["DynamicUser=yes", "User=hydroear", "StateDirectory=hydroear", "StateDirectoryMode=0700"]
    options = [option for setting in user for option in ("-p", setting)]
    program = ["/opt/hydroear/bin/hydroear", "model", "status", "-c", "/etc/hydroear/config.yaml"]
    assert "factory" in box.run("systemd-run", "--pipe", "--wait", "--quiet", *options, *program)


def test_it_stops_in_order_and_in_time_with_nothing_left_to_say(box: Box, room: Subscriber) -> None:
    began_s = time.monotonic()
    box.run("systemctl", "stop", "hydroear")
    assert time.monotonic() - began_s < STOP_S
    assert box.show("Result") == "success"
    last = room.on("hydroear/v1/low-street/status")[-1]
    assert last.json["status"] == "offline"
    assert not box.run("find", "/run/hydroear/", "-name", "starts.json", check=False).startswith("/run")
