"""The demonstration: a simulated site, the real daemon, a real broker, and the control room's end of the line.

Everything but the sound is the product: `hydroear calibrate` learns the site, `hydroear run` listens to it as a process
of its own, and what is shown as the alarm is what a subscriber received over MQTT.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from hydroear.errors import HydroearError
from hydroear.model import SHIPPED_BUNDLE
from hydroear_train.broker import EmbeddedBroker
from hydroear_train.simulate import Span, demo_scene
from hydroear_train.simulate.corpus import write_demo

UNIT, SENSOR = "demo-unit", "hydrant-7"
SPEED = 16.0
DECISION = {"horizon_s": 25.0, "recheck_s": 8.0, "clear_s": 20.0, "raise_decades": 2.0, "clear_decades": 1.0}
_LINE_EVERY_S = 5.0
_ARRIVAL_S = 5.0
_BAR_DECADES, _BAR_WIDTH = 6.0, 30
_COLOURS = {"learning": "36", "quiet": "32", "warning": "33", "leak": "31;1", "fault": "35"}


@dataclass
class ControlRoom:
    """What the control room received.

    Attributes
    ----------
    events
        Payloads of the event topics, in the order they came.
    status
        Every value of the unit's status.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    status: list[str] = field(default_factory=list)

    def listen(self, url: str) -> Client:
        """Subscribe to everything the unit says."""
        host, _, port = url.removeprefix("mqtt://").partition(":")
        client = Client(CallbackAPIVersion.VERSION2, client_id="control-room")
        client.on_message = self._receive
        client.connect(host, int(port))
        client.subscribe("hydroear/v1/#", qos=1)
        client.loop_start()
        return client

    def _receive(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        payload = json.loads(message.payload)
        if "/event/" in message.topic:
            self.events.append(payload)
        elif message.topic.endswith("/status"):
            self.status.append(payload["status"])

    def phase(self, name: str) -> list[dict[str, Any]]:
        """The events' messages of one phase."""
        return [event for event in self.events if event["phase"] == name]


@dataclass(frozen=True)
class Verdict:
    """Whether the demo showed what it is meant to show.

    Attributes
    ----------
    windows
        Windows scored.
    alarms, false_alarms
        Events opened, and those of them that opened while there was no leak.
    time_to_alarm_s
        From the beginning of the leak to the window that opened the first true event; None if none did.
    cleared
        Whether the event was closed after the repair.
    """

    windows: int
    alarms: int
    false_alarms: int
    time_to_alarm_s: float | None
    cleared: bool

    @property
    def ok(self) -> bool:
        """One alarm, for the leak, and closed after the repair."""
        return self.alarms == 1 and self.false_alarms == 0 and self.cleared

    def __str__(self) -> str:
        seconds = "none" if self.time_to_alarm_s is None else f"{self.time_to_alarm_s:.1f}"
        return (
            f"demo: {'ok' if self.ok else 'failed'} windows={self.windows} alarms={self.alarms} "
            f"false_alarms={self.false_alarms} time_to_alarm_s={seconds} cleared={'yes' if self.cleared else 'no'}"
        )


def judge(room: ControlRoom, windows: int, leak: Span) -> Verdict:
    """Hold what the control room received against the true leak."""
    opened = [float(event["position_s"]) for event in room.phase("open")]
    true = [at_s for at_s in opened if leak.start_s <= at_s <= leak.end_s]
    return Verdict(
        windows=windows,
        alarms=len(opened),
        false_alarms=len(opened) - len(true),
        time_to_alarm_s=true[0] - leak.start_s if true else None,
        cleared=any(event["position_s"] >= leak.end_s for event in room.phase("close")),
    )


def run_demo(out_dir: Path, *, bundle: Path = SHIPPED_BUNDLE, speed: float = SPEED, seed: int = 0) -> Verdict:
    """Run the demonstration and write its picture.

    Parameters
    ----------
    out_dir
        Where the picture, the sound and the alarm are kept.
    bundle
        The bundle the unit scores with.
    speed
        Times real time.
    seed
        Of the simulated sound.

    Raises
    ------
    HydroearError
        If a part of the product fails.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    spans = demo_scene(seed).spans
    leak = next(span for span in spans if span.kind == "leak")
    with tempfile.TemporaryDirectory(prefix="hydroear-demo-") as folder:
        sounds = Path(folder) / "sounds"
        _say("simulating a 150 mm ductile-iron main: two minutes of health, then four minutes with a leak in them")
        write_demo(sounds, seed=seed)
        scene = out_dir / "simulated_demo.wav"
        scene.write_bytes((sounds / scene.name).read_bytes())
        _say("learning the site: hydroear calibrate")
        _hydroear("calibrate", "--bundle", bundle, "--out", f"{folder}/site.json", sounds / "simulated_demo_quiet.wav")
        room = ControlRoom()
        with EmbeddedBroker() as broker:
            client = room.listen(broker.url)
            config = Path(folder) / "config.yaml"
            config.write_text(yaml.safe_dump(_config(bundle, scene, Path(folder), broker.url, speed)))
            _say(f"listening at {speed:g} times real time: hydroear run, broker {broker.url}\n")
            lines = [_show(line, spans) for line in _run_unit(config)]
            deadline = time.monotonic() + _ARRIVAL_S
            while "offline" not in room.status and time.monotonic() < deadline:
                time.sleep(0.05)
            client.disconnect()
            client.loop_stop()
            client.reinitialise()
    windows = [line for line in lines if line["kind"] == "window"]
    for event in room.events:
        if event["phase"] == "open":
            print("\nthe control room received this alarm:\n" + json.dumps(event, indent=2))
    (out_dir / "events.json").write_text(json.dumps(room.events, indent=1) + "\n")
    picture = out_dir / "demo.png"
    from hydroear_train.picture import draw

    draw(picture, recording=scene, windows=windows, spans=spans, events=room.events, decision=DECISION)
    print(f"\npicture: {picture}\nsound:   {scene}\nevents:  {out_dir / 'events.json'}")
    return judge(room, sum(line["scored"] for line in windows), leak)


def _config(bundle: Path, scene: Path, folder: Path, url: str, speed: float) -> dict[str, Any]:
    return {
        "unit": UNIT,
        "bundle": str(bundle),
        "state_dir": str(folder / "state"),
        "sensors": [
            {
                "id": SENSOR,
                "source": {"type": "wav", "files": [str(scene.absolute())], "speed": speed},
                "site": str(folder / "site.json"),
            }
        ],
        "decision": DECISION,
        "mqtt": {"url": url, "protocol": "3.1.1"},
        "publish": {"state_every_s": 10.0},
    }


def _hydroear(*arguments: object) -> None:
    command = [sys.executable, "-m", "hydroear.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HydroearError(done.stderr.strip() or f"exit code {done.returncode}", where=f"hydroear {arguments[0]}")
    _say("  " + done.stdout.strip())


def _run_unit(config: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "hydroear.cli", "run", "-c", str(config), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as unit:
        assert unit.stdout is not None
        for line in unit.stdout:
            yield json.loads(line)
    if unit.returncode:
        raise HydroearError(f"ended with exit code {unit.returncode}", where="hydroear run")


def _show(line: dict[str, Any], spans: tuple[Span, ...]) -> dict[str, Any]:
    """Print a change of state, and a window now and then; on a terminal every window, in place."""
    live = sys.stdout.isatty()
    position_s = line["position_s"]
    if line["kind"] == "state":
        arrow = f"{line['previous']} -> {_coloured(line['state'], live)}"
        print(f"{_CLEAR if live else ''}{position_s:6.1f} s  {arrow}: {line['reason']}", flush=True)
    elif live or int(position_s / _LINE_EVERY_S) != int((position_s - 0.96) / _LINE_EVERY_S):
        decades = line["score_decades"] or 0.0
        filled = round(min(1.0, decades / _BAR_DECADES) * _BAR_WIDTH)
        level = "-" if line["level_db"] is None else f"{line['level_db']:.1f}"
        true = ", ".join(span.kind for span in spans if span.start_s <= position_s <= span.end_s)
        text = (
            f"{position_s:6.1f} s  {_coloured(line['state'], live)}  {level:>6} dBFS  "
            f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {decades:4.1f}  {f'(simulated: {true})' if true else ''}"
        )
        print(f"{_CLEAR}{text}" if live else text, end="" if live else "\n", flush=True)
    return line


_CLEAR = "\r\x1b[K"


def _coloured(state: str, live: bool) -> str:
    padded = f"{state:<8}"
    return f"\x1b[{_COLOURS[state]}m{padded}\x1b[0m" if live else padded


def _say(text: str) -> None:
    print(text, flush=True)
