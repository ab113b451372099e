"""The control room's end, over a real broker: what it shows of units, and what it asks of them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import soundfile
import yaml
from paho.mqtt.publish import multiple

from broker import Mosquitto, wait_for
from hydroear.app.delivery import Delivery
from hydroear.app.desk import Desk
from hydroear.cli import main
from hydroear.config.schema import Mqtt
from hydroear.errors import HydroearError
from hydroear.message import Kind, Message
from hydroear.model import read_bundle
from hydroear.model.signature import PublicKey
from hydroear.mqtt import commands, payloads, topics
from hydroear.mqtt.commands import PIECE_BYTES
from hydroear.mqtt.link import Link
from hydroear.mqtt.stamper import stamper
from hydroear.outbox import Outbox
from hydroear.room import errand
from listening import RATE_HZ, Samples, command, hydroear, json_lines, scene
from running import Unit
from signed import key_pair, unsigned
from terminal import Terminal

SENSOR = "hydrant-7"
EVENT = "hydrant-7-20250301T020000Z-0a1b2c3d"


class Street:
    """Publishes what units say, made by the encoder of real ones."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker

    def say(self, unit: str, *bodies: payloads.Body, seq: int = 0, age_s: float = 0.0) -> None:
        """Publish; all but events and alarms are retained."""
        messages = []
        for body in bodies:
            said = datetime.now(UTC) - timedelta(seconds=age_s)
            stamp = replace(stamper(unit, None)(seq), time=said, clock="synchronised")
            match body:
                case payloads.Event():
                    topic = topics.event(unit, body.event_id)
                case payloads.Alarm():
                    topic = topics.alarm(unit, body.alarm_id)
                case payloads.State():
                    topic = topics.state(unit, body.sensor)
                case _:
                    topic = f"{topics.ROOT}/{unit}/{body.kind}"
            retain = not isinstance(body, payloads.Event | payloads.Alarm)
            messages.append({"topic": topic, "payload": payloads.encode(body, stamp), "qos": 1, "retain": retain})
        multiple(messages, "127.0.0.1", self._broker.port)

    def live(self, unit: str, state: payloads.SensorState = "quiet", event_id: str | None = None) -> None:
        """A unit that is online and hears something."""
        self.say(unit, payloads.Status("online"), health(), heard(state, event_id))


def health(*alarms: payloads.OpenAlarm) -> payloads.Health:
    sensor = payloads.SensorHealth(
        "quiet", -40.0, None, None, -44.0, 10, 0, 0, 0, 0, 0, None, None, None, "healthy", "", None, None, alarms
    )
    return payloads.Health(10.0, 1, 0, {}, 0, None, None, None, "cast-iron", None, {SENSOR: sensor})


def heard(state: payloads.SensorState, event_id: str | None = None) -> payloads.State:
    return payloads.State(SENSOR, state, 4.2, -35.0, None, None, datetime.now(UTC), 0.0, 1, 0, event_id, None)


def event(phase: payloads.Phase, state: payloads.EventState, reason: str = "over the raise level") -> payloads.Event:
    evidence = {"low_hz": 420.0, "high_hz": 890.0, "sentences": ["It is broadband, as a jet of water is."]}
    now = datetime.now(UTC)
    return payloads.Event(
        EVENT, SENSOR, phase, state, now, now, 0.0, 4.2, 3.5, -35.0, None, None, 3.0, 0.1, reason, evidence
    )


class Watching:
    """A running ``hydroear room --json``, ended at the end of its ``with``."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(command("room", "--json", *arguments), stdout=subprocess.PIPE, text=True)
        self._text: list[str] = []

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._text.extend, args=(self._process.stdout,))
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return json_lines("".join(self._text), kind)

    def wait_for(self, count: int, kind: str) -> list[dict[str, Any]]:
        wait_for(lambda: len(self.lines(kind)) >= count, f"{count} lines of {kind}: {self._text}", timeout_s=40.0)
        return self.lines(kind)


@pytest.fixture
def street(mosquitto: Mosquitto) -> Street:
    return Street(mosquitto)


def test_one_look_lists_units_by_how_soon_somebody_has_to_look(street: Street, mosquitto: Mosquitto) -> None:
    street.live("calm-street")
    calm = hydroear("room", "--mqtt", mosquitto.url, "--once")
    assert (calm.returncode, calm.stderr) == (0, "")
    street.live("leaky-lane", "leak", EVENT)
    opened = payloads.OpenAlarm("tamper-1", "tamper", datetime(2025, 3, 1, 2, 11, tzinfo=UTC))
    street.say("open-yard", payloads.Status("online"), health(opened), heard("quiet"))
    street.say("dead-end", payloads.Status("offline"), health(), heard("quiet"))
    street.say("silent-way", payloads.Status("online"), health(), heard("quiet"), age_s=7200.0)
    done = hydroear("room", "--mqtt", mosquitto.url, "--once")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines[1:6]] == [
        ["leak", "leaky-lane"], ["alarm", "open-yard"], ["deaf", "dead-end"], ["deaf", "silent-way"],
        ["quiet", "calm-street"],
    ]  # fmt: skip
    assert "tamper since 2025-03-01 02:11 UTC: look after its device" in done.stdout
    assert "it is offline" in done.stdout
    assert "it is silent since" in done.stdout
    assert done.stdout.splitlines()[-1] == "5 units: 1 leak, 1 alarm, 2 deaf, 1 quiet"
    snapshot = json.loads(hydroear("room", "--mqtt", mosquitto.url, "--once", "--json").stdout)
    assert [unit["severity"] for unit in snapshot["units"]] == ["leak", "alarm", "deaf", "deaf", "quiet"]
    assert snapshot["units"][1]["alarms"][0]["alarm_id"] == "tamper-1"
    assert snapshot["units"][0]["events"][0]["event_id"] == EVENT


def test_a_script_gets_one_alarm_a_leak_and_hears_of_a_lost_broker(street: Street, mosquitto: Mosquitto) -> None:
    with Watching("--mqtt", mosquitto.url) as watching:
        assert watching.wait_for(1, "link") == [{"kind": "link", "connected": True, "why": ""}]
        street.live("high-street")
        for _ in range(3):
            street.say("high-street", event("open", "leak"), heard("leak", EVENT), seq=1)
        street.say("high-street", event("update", "acknowledged", "acknowledged by Ada"), seq=2)
        (step,) = watching.wait_for(1, "event")
        assert (step["state"], step["steps"][-1]["reason"]) == ("acknowledged", "acknowledged by Ada")
        (alarm,) = watching.lines("alarm")
        assert (alarm["unit"], alarm["event_id"], alarm["low_hz"]) == ("high-street", EVENT, 420.0)
        wet, device = datetime.now(UTC), payloads.AlarmDevice("hydrophone", "00a1b2")
        told = payloads.Alarm("wet-1", SENSOR, "water-ingress", "open", wet, None, None, device, "water came in")
        for _ in range(2):
            street.say("high-street", told)
        street.say("high-street", replace(told, phase="close", closed_time=wet, reason="it is over"), seq=1)
        opened, closed = watching.wait_for(2, "device-alarm")
        assert (opened["alarm"], opened["open"], opened["uid"]) == ("water-ingress", True, "00a1b2")
        assert (closed["alarm_id"], closed["open"], closed["reason"]) == ("wet-1", False, "it is over")
        mosquitto.restart()
        lost = watching.wait_for(3, "link")
        assert [line["connected"] for line in lost[1:]][-1] is True
        assert "ended the connection" in lost[1]["why"] or "cannot be reached" in lost[1]["why"]
        street.say("high-street", event("open", "leak"), heard("leak", EVENT), seq=1)
        street.say("high-street", event("close", "quiet"), seq=3)
        watching.wait_for(2, "event")
        assert len(watching.lines("alarm")) == 1


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        (None, 2, "which broker?; expected either -c FILE or --mqtt URL"),
        (
            {"mqtt": {"url": "mqtt://127.0.0.1:{port}", "home_assistant": "ha"}},
            2,
            "mqtt.home_assistant is a setting of",
        ),
        ({"mqtt": {"url": "mqtt://127.0.0.1:{port}"}}, 1, "refuses this unit: Not authorized; check mqtt.username"),
        ({"mqtt": {"url": "mqtt://127.0.0.1:1"}}, 1, "cannot be reached: refused: nothing listens there"),
        (
            {"mqtt": {"url": "mqtt://127.0.0.1:{port}", "username": "room", "password_file": "room.password"}},
            1,
            "no unit has ever told this broker anything",
        ),
    ],
    ids=["none", "a unit's", "no login", "nobody there", "right, but silence must not pass for all being well"],
)
def test_settings_come_from_a_file_and_what_is_wrong_is_told_in_words(
    make_mosquitto: Callable[..., Mosquitto],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any] | None,
    code: int,
    words: str,
) -> None:
    broker = make_mosquitto(users={"room": "x"}).start()
    (tmp_path / "room.password").write_text("x")
    if settings is not None:
        (tmp_path / "room.yaml").write_text(yaml.safe_dump(settings).replace("{port}", str(broker.port)))
    assert main(["room", "--once", *([] if settings is None else ["-c", str(tmp_path / "room.yaml")])]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err


class Counter:
    """A unit reduced to what answers: its real outbox, link and desk, with handlers of the test's.

    Attributes
    ----------
    asked
        What was done, in order.
    sound
        The clip of the one event.
    pieces
        After how many of its pieces the unit is lost, for a while; None sends all.
    """

    def __init__(self, broker: Mosquitto, folder: Path, trusted: Sequence[Path] = ()) -> None:
        self._stamp = stamper("high-street", None)
        self._outbox = Outbox(folder / "counter.sqlite")
        self._delivery = Delivery(folder / "incoming")
        self.asked: list[commands.Command] = []
        self.sound = os.urandom(5 * PIECE_BYTES + 1)
        self.pieces: int | None = None
        names = ("ping", "ack", "mute", "clip", "model-piece", "model-install")
        handlers = {name: getattr(self, name.replace("-", "_")) for name in names}
        keys = [PublicKey.load(path) for path in trusted]
        desk = Desk("high-street", handlers, outbox=self._outbox, stamp=self._stamp, trusted=keys)
        self._link = Link(
            Mqtt(url=broker.url),
            unit="high-street",
            outbox=self._outbox,
            birth=lambda: self._encode(payloads.Birth({}, "none", "none", [], [], None)),
            status=lambda availability: self._encode(payloads.Status(availability)),
            subscriptions={topics.command("high-street", "+"): desk.take},
            reconnect_s=(0.05, 0.1),
        )

    def __enter__(self) -> Self:
        self._link.start()
        wait_for(lambda: self._link.connected, "the counter to open")
        return self

    def __exit__(self, *_: object) -> None:
        self._link.stop(1.0)
        self._outbox.close()

    def ping(self, command: commands.Ping) -> dict[str, Any]:
        self.asked.append(command)
        return {"uptime_s": 1.5, "word": "\x1b[2Jboo"}

    def ack(self, command: commands.Ack) -> dict[str, Any]:
        self.asked.append(command)
        return {"sensor": SENSOR, "state": "acknowledged"}

    def mute(self, command: commands.Mute) -> dict[str, Any]:
        raise HydroearError(f"no sensor {command.sensor!r}", expected="one of: hydrant-7")

    def clip(self, command: commands.Clip) -> dict[str, Any]:
        if command.event_id != EVENT:
            raise HydroearError(f"there is no sound of event {command.event_id}")
        self.asked.append(command)
        digest, count = hashlib.sha256(self.sound).hexdigest(), -(-len(self.sound) // PIECE_BYTES)
        for number in range(command.first, count if self.pieces is None else min(count, self.pieces)):
            data = base64.b64encode(self.sound[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]).decode()
            body = payloads.Clip(EVENT, SENSOR, f"{EVENT}.wav", len(self.sound), digest, number, count, data)
            message = Message(topics.clip("high-street", EVENT), self._encode(body), Kind.CLIP)
            self._outbox.put(message)
        return {"size_bytes": len(self.sound), "sha256": digest, "pieces": count}

    def model_piece(self, command: commands.ModelPiece) -> dict[str, Any]:
        wanted = self._delivery.take(command.sha256, command.size_bytes, command.piece, command.data)
        return {"next": wanted, "whole": self._delivery.whole(command.sha256) is not None}

    def model_install(self, command: commands.ModelInstall) -> dict[str, Any]:
        path = self._delivery.whole(command.sha256)
        assert path is not None
        return {"name": read_bundle(path).name, "without_calibration": command.without_calibration}

    def _encode(self, body: payloads.Body) -> bytes:
        return payloads.encode(body, self._stamp(0))


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask the unit at the counter; gives exit code, output and complaints."""

    def asking(verb: str, *arguments: object, unit: str = "high-street") -> tuple[int, str, str]:
        code = main(["room", "--mqtt", mosquitto.url, "ask", unit, verb, *map(str, arguments)])
        return code, *capsys.readouterr()

    return asking


@pytest.fixture
def counter(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Counter]:
    with Counter(mosquitto, tmp_path) as counter:
        yield counter


def test_a_unit_is_asked_and_its_reply_is_printed(counter: Counter, ask: Ask) -> None:
    assert ask("ping", "--by", "Ada") == (0, "high-street ping: done\n  uptime_s: 1.5\n  word: \ufffd[2Jboo\n", "")
    code, out, _ = ask("ack", f"event={EVENT}", "--json")
    assert (code, json.loads(out)["values"]["state"]) == (0, "acknowledged")
    assert counter.asked[0].by == "Ada"
    assert counter.asked[1].event_id == EVENT  # type: ignore[attr-defined]


def test_what_is_refused_or_fails_is_told_in_the_units_words(counter: Counter, ask: Ask) -> None:
    code, out, complaint = ask("mute", "sensor=attic", "for=60")
    assert (code, out) == (1, "")
    assert complaint == "hydroear: error: high-street mute: failed: no sensor 'attic'; expected one of: hydrant-7\n"
    code, _, complaint = ask("restart")
    assert (code, complaint) == (1, "hydroear: error: high-street restart: refused: this unit does not take restart\n")
    code, _, complaint = ask("mute", "sensor=attic")
    assert (code, complaint) == (
        2, "hydroear: error: mute: for_s: Field required; see daemon/docs/topics.md\n",
    )  # fmt: skip
    assert counter.asked == []


def test_nobody_waits_for_a_unit_that_is_not_there(street: Street, ask: Ask) -> None:
    code, _, complaint = ask("ping", "--timeout", 0.5, unit="nowhere")
    assert code == 3
    assert "nowhere ping: unanswered: no reply; look whether the unit is online" in complaint
    street.say("dead-end", payloads.Status("offline"))
    code, _, complaint = ask("ping", unit="dead-end")
    assert (code, complaint) == (
        3, "hydroear: error: dead-end ping: unanswered: the unit is offline; ask again when it is back\n",
    )  # fmt: skip


def test_who_may_not_ask_is_told_so(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = make_mosquitto(users={"wallboard": "x"}, acl=["topic read hydroear/v1/#"]).start()
    (tmp_path / "password").write_text("x")
    mqtt = {"url": broker.url, "username": "wallboard", "password_file": "password"}
    (tmp_path / "room.yaml").write_text(yaml.safe_dump({"mqtt": mqtt}))
    assert main(["room", "-c", str(tmp_path / "room.yaml"), "ask", "high-street", "ping"]) == 1
    assert "the broker does not let this user ask units: Not authorized; see" in capsys.readouterr().err


def test_a_request_is_signed_for_a_unit_that_wants_that(mosquitto: Mosquitto, tmp_path: Path, ask: Ask) -> None:
    key, public = key_pair(tmp_path, "commands")
    stranger, _ = key_pair(tmp_path, "stranger")
    with Counter(mosquitto, tmp_path, trusted=[public]) as counter:
        assert ask("ping", "--key", key)[0] == 0
        code, _, complaint = ask("ping")
        assert (code, "refused: not signed; expected a signed request" in complaint) == (1, True)
        code, _, complaint = ask("ping", "--key", stranger)
        assert (code, "the signature is not that of a trusted key" in complaint) == (1, True)
        assert len(counter.asked) == 1
    assert "no private key; expected a private key of Ed25519" in ask("ping", "--key", public)[2]


def test_a_clip_is_fetched_and_goes_on_where_it_was_broken_off(
    counter: Counter, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errand, "STALL_S", 0.5)
    out = tmp_path / "evidence [1].wav"
    counter.pieces = 3
    code, _, complaint = ask("clip", f"event={EVENT}", "--out", out)
    assert (code, "the pieces of the clip do not come" in complaint) == (3, True)
    assert not out.exists()
    counter.pieces = None
    asked = len(counter.asked)
    assert ask("clip", f"event={EVENT}", "--out", out)[0] == 0
    assert out.read_bytes() == counter.sound
    assert counter.asked[asked].first == 2  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.glob("*evidence*")] == [out.name]

    code, _, complaint = ask("clip", "event=other", "--out", out)
    assert (code, "there is no sound of event other" in complaint) == (1, True)
    assert "it with clip alone" in ask("ping", "--out", out)[2]


@pytest.mark.usefixtures("counter")
def test_a_model_is_sent_in_pieces_and_installed(ask: Ask, tmp_path: Path) -> None:
    bundle = unsigned(tmp_path, "cast-iron")
    code, out, complaint = ask("model-install", "without=true", "--file", bundle, "--json")
    assert (code, complaint) == (0, "")
    assert json.loads(out)["values"] == {"name": "cast-iron", "without_calibration": True}
    (tmp_path / "no-bundle").write_bytes(b"x")
    assert ask("model-install", "--file", tmp_path / "no-bundle")[0] == 1


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def test_an_operator_sees_hears_and_takes_on_a_leak(street: Street, counter: Counter, mosquitto: Mosquitto) -> None:
    counter.sound = wav(scene()[12 * RATE_HZ : 27 * RATE_HZ])
    street.say("high-street", payloads.Status("online"), health(), heard("quiet"))
    street.live("calm-street")
    with Terminal(command("room", "--mqtt", mosquitto.url, "--by", "Ada")) as terminal:
        terminal.wait_for("2 units: 2 quiet")
        assert terminal.whole
        assert terminal.bells == 0
        street.say("high-street", event("open", "leak", HOSTILE), heard("leak", EVENT), seq=1)
        terminal.wait_for("▶ leak         high-street")
        terminal.wait_for("It is broadband, as a jet of water is.")
        assert terminal.bells == 1
        assert "\x1b]" not in terminal.sent
        assert "owned" in terminal.text

        terminal.type("c")
        terminal.wait_for("▀▀▀")
        terminal.type("a")
        terminal.wait_for("Take the leak at hydrant-7 of high-street on?")
        terminal.type("n")
        terminal.wait_for("taken back")
        terminal.type("a")
        terminal.type("y")
        terminal.wait_for("high-street ack: done")
        assert [type(command).__name__ for command in counter.asked] == ["Clip", "Ack"]
        assert counter.asked[1].by == "Ada"
        street.say("high-street", event("update", "acknowledged"), heard("acknowledged", EVENT), seq=2)
        terminal.wait_for("▶ acknowledged high-street")

        terminal.type("\x1b[B")
        terminal.wait_for("▶ quiet        calm-street")
        terminal.type("m")
        terminal.wait_for("for how long?")
        terminal.type("1")
        terminal.wait_for("waiting for calm-street mute")
        terminal.type("\r")
        wait_for(lambda: "acknowledged high" not in terminal.text, "the detail to have the screen")
        terminal.resize(100, 30)
        wait_for(lambda: terminal.lines[-1].endswith("q quit"), "the screen in its new size")
        assert len(terminal.lines) == 30
        mosquitto.stop()
        terminal.wait_for("NOT CONNECTED")
        terminal.type("qq")
        assert terminal.wait() == 0
        assert not terminal.whole
        assert terminal.current_mode == terminal.mode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_screen_that_is_ended_leaves_the_terminal_as_it_was(
    street: Street, mosquitto: Mosquitto, number: signal.Signals
) -> None:
    street.live("calm-street")
    with Terminal(command("room", "--mqtt", mosquitto.url)) as terminal:
        terminal.wait_for("calm-street")
        assert terminal.current_mode != terminal.mode
        terminal.signal(number)
        assert terminal.wait() == 130
        wait_for(lambda: not terminal.whole, "the terminal's own screen")
        assert terminal.sent.rindex("\x1b[?25h") > terminal.sent.rindex("\x1b[?25l"), "the cursor is shown again"
        assert terminal.current_mode == terminal.mode
        assert "Traceback" not in terminal.sent


def test_without_a_terminal_or_the_package_for_it_the_other_ways_are_told(mosquitto: Mosquitto) -> None:
    done = hydroear("room", "--mqtt", mosquitto.url)
    assert (done.returncode, done.stderr) == (
        2, "hydroear: error: room: no terminal to show it on; give --once or --json\n",
    )  # fmt: skip
    script = f"""
import sys
sys.modules["rich"] = None
from hydroear.cli import main
sys.exit(main(["room", "--mqtt", "{mosquitto.url}"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the package rich is not installed; expected it for the live view" in done.stderr
    assert 'pip install "hydroear[room]"' in done.stderr


def test_a_real_unit_hears_a_leak_that_the_room_shows_takes_on_and_listens_to(
    mosquitto: Mosquitto, unit: Unit, tmp_path: Path
) -> None:
    unit.mqtt = {"url": mosquitto.url}
    leak = scene()[24 * RATE_HZ : 38 * RATE_HZ]
    lasting = np.concatenate([scene()[: 38 * RATE_HZ], *[leak] * 30])
    out = tmp_path / "leak.wav"
    with unit.run(lasting, speed=8.0) as daemon, Watching("--mqtt", mosquitto.url) as watching:
        (alarm,) = watching.wait_for(1, "alarm")
        event_id = alarm["event_id"]
        wait_for(lambda: watching.lines("unit")[-1]["severity"] == "leak", "the unit to be shown as leaking")
        done = hydroear("room", "--mqtt", mosquitto.url, "ask", "high-street", "ack", f"event={event_id}")
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "high-street ack: done")
        wait_for(lambda: watching.lines("unit")[-1]["sensors"][0]["state"] == "acknowledged", "the acknowledgement")

        fetch = ["room", "--mqtt", mosquitto.url, "ask", "high-street", "clip", f"event={event_id}", "--out", str(out)]
        wait_for(lambda: main(fetch) == 0, "the clip, which is written some seconds after the event opened")
        with soundfile.SoundFile(out) as sound:
            assert sound.samplerate == RATE_HZ
            assert sound.frames > 10 * RATE_HZ
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        wait_for(lambda: watching.lines("unit")[-1]["severity"] == "deaf", "the last will")
        assert watching.lines("unit")[-1]["troubles"] == ["it is offline"]
    assert len(watching.lines("alarm")) == 1
    assert alarm["sentences"][-1].startswith("It is")


def wav(samples: Samples) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, RATE_HZ, format="WAV", subtype="PCM_16")
    return content.getvalue()
