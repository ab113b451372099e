"""The example firmware on an emulated microcontroller, heard by the daemon, as the control room sees it.

``make test-firmware`` builds the image and runs these, in real time.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from broker import Mosquitto, Subscriber, wait_for
from hydroear.audio import Block, Gap
from hydroear.capture.bridge import BridgeSource
from hydroear.config import schema
from hydroear.model import SHIPPED_BUNDLE
from hydroear_bridge.frames import Audio, Body, Frame, Set
from hydroear_bridge.link import DELIMITER, Decoder, encode
from listening import hydroear
from microcontroller import SENSOR, SET_LEAK, Microcontroller, SimulatedPipe, leaking
from running import SENSOR as EAR
from running import Daemon, Unit

RATE_HZ = 16_000
LEAK = 60
HEALTHY_S = 60.0
PATIENCE_S = 60.0

Integers = NDArray[np.int16]


class Relay:
    """A TCP port that leads to whichever microcontroller is there, and lets others speak in between."""

    def __init__(self, line: Path) -> None:
        self._line = line
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.audio: list[Audio] = []
        """What the microcontroller that is there has sent."""
        self._device: socket.socket | None = None
        self._mutex = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._server.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def ask(self, body: Body, stream: int) -> None:
        """Say something to the device, behind what the daemon says to it."""
        with self._mutex:
            assert self._device is not None
            frame = Frame(sequence=2**31, device_time_us=0, stream=stream, body=body)
            self._device.sendall(DELIMITER + encode(frame))

    def _accept(self) -> None:
        while True:
            try:
                daemon, _ = self._server.accept()
            except OSError:
                return
            device = socket.socket(socket.AF_UNIX)
            try:
                device.connect(str(self._line))
            except OSError:
                device.close()
                daemon.close()
                continue
            self.audio, self._device = [], device
            for ends in ((daemon, device), (device, daemon)):
                self._threads.append(threading.Thread(target=self._pass, args=ends))
                self._threads[-1].start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        decoder, audio = Decoder(), self.audio
        from_device = source is self._device
        with suppress(OSError):
            while data := source.recv(65536):
                if from_device:
                    received = decoder.receive(data)
                    audio += [one.body for one in received if isinstance(one, Frame) and isinstance(one.body, Audio)]
                    target.sendall(data)
                else:
                    with self._mutex:
                        target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if not from_device:
            return
        source.close()
        target.close()


def lost(audio: list[Audio]) -> int:
    """Samples that an emulator which was held up lost on the device."""
    return audio[-1].end_index - audio[0].sample_index - sum(one.count for one in audio)


@pytest.fixture(scope="module")
def parts() -> list[tuple[int, int]]:
    """What the pipe's sound is made of, from boot on, for two and a half minutes."""
    pipe = SimulatedPipe()
    return [pipe.parts() for _ in range(150 * RATE_HZ)]


@pytest.fixture(scope="module")
def firmware_site(parts: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration on the healthy sound of the firmware's pipe, of a later minute than is heard here."""
    folder = tmp_path_factory.mktemp("site")
    healthy = np.array([leaking(part, 0) for part in parts[-60 * RATE_HZ :]], np.int16)
    soundfile.write(folder / "health.wav", healthy, RATE_HZ)
    done = hydroear("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", folder / "site.json", folder / "health.wav")
    assert done.returncode == 0, done.stderr
    return folder / "site.json"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "line") as relay:
        yield relay


def test_a_minute_is_heard_without_a_sample_too_many_or_another_one(
    parts: list[tuple[int, int]], tmp_path: Path, relay: Relay
) -> None:
    settings = schema.BridgeSource(type="bridge", port=relay.url)
    pieces: list[Block | Gap] = []
    with Microcontroller(tmp_path):
        source = BridgeSource(settings)
        while not pieces or pieces[-1].end_index < HEALTHY_S * RATE_HZ:
            piece = source.read()
            assert piece is not None
            if pieces or isinstance(piece, Block):  # it took a moment to boot
                pieces.append(piece)
        source.close()
    begin = pieces[0].first_index
    for piece in pieces:
        first, end = piece.first_index - begin, piece.end_index - begin
        if isinstance(piece, Block):
            expected = [leaking(part, 0) for part in parts[first:end]]
            assert (piece.samples[:, 0] * 2**15).tolist() == expected
    gaps = [piece for piece in pieces if isinstance(piece, Gap)]
    sent = [one for one in relay.audio if one.end_index <= pieces[-1].end_index - begin]
    assert sum(gap.length for gap in gaps) == lost(sent)
    assert {gap.reason for gap in gaps} <= {"lost on the device"}


def test_a_leak_becomes_an_event_and_a_reboot_is_counted_and_resumed(
    parts: list[tuple[int, int]], firmware_site: Path, tmp_path: Path, relay: Relay, mosquitto: Mosquitto
) -> None:
    unit = Unit(tmp_path, firmware_site)
    unit.mqtt = {"url": mosquitto.url}
    config = unit.configure({"type": "bridge", "port": relay.url})
    config.write_text(config.read_text().replace("publish:", "publish:\n  health_every_s: 1.0"))
    with mosquitto.subscribe() as room, Microcontroller(tmp_path, boot_id=1) as device, Daemon(config) as daemon:
        wait_for(lambda: heard_s(room) >= HEALTHY_S, f"a minute: {daemon.complaints}", timeout_s=2 * PATIENCE_S)
        assert set(daemon.states) == {"quiet"}
        assert not events(room)

        relay.ask(Set(parameter=SET_LEAK, value=LEAK), SENSOR)
        wait_for(lambda: events(room), f"an event: {daemon.windows[-1:]} {daemon.complaints}", timeout_s=PATIENCE_S)
        opened = events(room)[0]
        assert (opened["phase"], opened["state"], opened["sensor"]) == ("open", "leak", EAR)
        wait_for(lambda: clips(tmp_path), f"a clip: {daemon.complaints}", timeout_s=PATIENCE_S)
        wait_for(lambda: health(room)["samples_lost"] == lost(list(relay.audio)), "each sample accounted for")
        told = health(room)
        assert told["device"]["restarts"] == 0
        assert (told["device"]["model"], told["device"]["frames_lost"]) == ("simulated pipe", 0)
        assert_clip_is_exact(clips(tmp_path)[0], parts)

        device.__exit__()
        scored = health(room)["windows_scored"]
        with Microcontroller(tmp_path, boot_id=2):
            wait_for(
                lambda: health(room)["device"]["restarts"] == 1, f"a reboot: {daemon.complaints}", timeout_s=PATIENCE_S
            )
            wait_for(lambda: health(room)["windows_scored"] > scored + 5, "windows after it", timeout_s=PATIENCE_S)
            assert health(room)["gaps"] >= 1
            assert any("started anew" in line for line in daemon.complaints)
            # The pipe is whole again after a boot.
            wait_for(
                lambda: events(room)[-1]["phase"] == "close",
                f"the end of the leak: {daemon.states}",
                timeout_s=PATIENCE_S,
            )
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0


def health(room: Subscriber) -> dict[str, Any]:
    """What was said of the sensor last."""
    said: dict[str, Any] = room.on("hydroear/v1/high-street/health")[-1].json["sensors"][EAR]
    return said


def heard_s(room: Subscriber) -> float:
    """How much of the stream was heard."""
    states = room.on(f"hydroear/v1/high-street/sensor/{EAR}/state")
    return float(states[-1].json["position_s"]) if states else 0.0


def events(room: Subscriber) -> list[dict[str, Any]]:
    """Steps of events."""
    return [message.json for message in room.received if message.topic.startswith("hydroear/v1/high-street/event/")]


def clips(folder: Path) -> list[Path]:
    """Sounds that were kept."""
    return [path for path in (folder / "state" / "evidence").rglob("*") if path.suffix in (".wav", ".flac")]


def assert_clip_is_exact(path: Path, parts: list[tuple[int, int]]) -> None:
    """The seconds after the event opened are those of a stretch of the leaking pipe."""
    sound, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == RATE_HZ
    end = sound[-4 * RATE_HZ :].tolist()
    leak = [leaking(part, LEAK) for part in parts]
    begins = [at for at in range(len(leak) - len(end)) if leak[at] == end[0] and leak[at : at + 20] == end[:20]]
    assert any(leak[at : at + len(end)] == end for at in begins)
