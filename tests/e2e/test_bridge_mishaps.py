"""What ``simulate --at`` lets befall its device, as a receiver's session sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from bridge_tool import Serving, bridge, recordings
from hydroear_bridge.account import FramesLost, Restart, SamplesLost, Stale
from hydroear_bridge.errors import PortError
from hydroear_bridge.frames import (
    Audio,
    Event,
    EventCode,
    Frame,
    Hello,
    Log,
    Parameter,
    ResetCause,
    SampleFormat,
    Set,
    Start,
    Status,
)
from hydroear_bridge.link import BadFrame
from hydroear_bridge.ports import Port, open_port
from hydroear_bridge.session import Happening, Session
from hydroear_bridge.simulator import noise

RATE_HZ = 8000
FRAME = RATE_HZ // 50
SEED = 3
START = Start(rate_millihz=1000 * RATE_HZ, sample_format=SampleFormat.INT24)
PATIENCE_S = 30.0

Kind = TypeVar("Kind")


class Receiver:
    """Listens to a simulated sensor, and comes back when the line breaks off.

    Attributes
    ----------
    told
        What has happened so far.
    breaks
        Times that the line broke off.
    """

    def __init__(self, name: str) -> None:
        self.told: list[Happening] = []
        self.session = Session(time.monotonic())
        self.breaks = 0
        self._name = name
        self._port: Port | None = None

    def listen(self, enough: Callable[[list[Happening]], object]) -> list[Happening]:
        """Listen until what was told is enough; give what was told meanwhile."""
        before, deadline_s = len(self.told), time.monotonic() + PATIENCE_S
        while not enough(self.told[before:]):
            assert time.monotonic() < deadline_s, self.told[-5:]
            try:
                self._listen()
            except PortError:
                self._hang_up()
                time.sleep(0.02)
        return self.told[before:]

    def close(self) -> None:
        if self._port is not None:
            self._port.close()

    def _listen(self) -> None:
        session = self.session
        if self._port is None:
            self._port = open_port(self._name)
            session.reconnect(time.monotonic())
        if time.monotonic() >= session.due_s:
            self.told += session.tick(time.monotonic())
        self._port.write(session.outgoing())
        data = self._port.read(min(session.due_s, time.monotonic() + 0.1))
        for happening in session.receive(data, time.monotonic()):
            self.told.append(happening)
            if isinstance(happening, Frame) and isinstance(happening.body, Hello):
                session.subscribe(1, START, time.monotonic())

    def _hang_up(self) -> None:
        if self._port is not None:
            self.breaks += 1
            self._port.close()
            self._port = None


@pytest.fixture(params=["tcp", "terminal"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "tcp:0" if request.param == "tcp" else str(tmp_path / "line")


def serve(place: str, faults: str) -> Serving:
    return Serving("simulate", "--at", place, "--rate", RATE_HZ, "--seed", SEED, "--faults", faults)


def bodies(told: list[Happening], kind: type[Kind]) -> list[Kind]:
    return [one.body for one in told if isinstance(one, Frame) and isinstance(one.body, kind)]


def of(told: list[Happening], kind: type[Kind]) -> list[Kind]:
    return [one for one in told if isinstance(one, kind)]


def assert_exact(told: list[Happening]) -> None:
    """What was heard since one boot is what was sent, and what was lost is what lies between."""
    audio = bodies(told, Audio)
    sound = noise(SEED)
    sent = np.concatenate([sound(FRAME) for _ in range(audio[-1].end_index // FRAME)])
    for body in audio:
        expected = np.floor(sent[body.sample_index : body.end_index] * 2**23) / 2**23
        np.testing.assert_array_equal(body.samples()[:, 0], expected.astype(np.float32))
    pieces = [one.body if isinstance(one, Frame) else one for one in told]
    ends = [
        (one.sample_index, one.end_index) if isinstance(one, Audio) else (one.first_index, one.first_index + one.count)
        for one in pieces
        if isinstance(one, Audio | SamplesLost)
    ]
    assert ends[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(ends))


def test_what_comes_late_and_out_of_order_after_a_cut_is_not_used_and_the_gap_is_exact(place: str) -> None:
    with serve(place, "cut=3") as device:
        receiver = Receiver(device.port)
        told = receiver.listen(lambda told: of(told, SamplesLost))
        told += receiver.listen(lambda told: len(bodies(told, Audio)) > 20)
        receiver.close()
    assert_exact(told)
    assert len(of(told, Stale)) > 10
    (lost,) = of(told, SamplesLost)
    assert lost.place == "link"
    assert lost.count > 0.5 * RATE_HZ
    assert receiver.breaks >= 1
    assert not of(told, BadFrame)
    assert receiver.session.restarts == 0


def test_a_cut_ends_a_recording_in_order(tmp_path: Path) -> None:
    with serve("tcp:0", "cut=4") as device:
        done = bridge("record", device.port, "--out", tmp_path, "--seconds", 30, "--quiet", code=1)
    assert "gone" in done.stderr
    ((told, _),) = recordings(tmp_path)
    assert told["samples"] > 0.5 * RATE_HZ
    assert str(tmp_path / told["file"]) in done.stdout


def test_before_a_brown_out_there_is_a_warning_and_behind_it_half_a_frame_and_its_cause(place: str) -> None:
    with serve(place, "brownout=3") as device:
        receiver = Receiver(device.port)
        told = receiver.listen(lambda told: of(told, Restart))
        receiver.session.request(Set(parameter=Parameter.STATUS_INTERVAL_MS, value=100), time.monotonic())
        status = bodies(receiver.listen(lambda told: bodies(told, Status)), Status)[0]
        receiver.close()
    (warning,) = bodies(told, Event)
    assert (warning.event, warning.begun, warning.value) == (EventCode.LOW_BATTERY, True, 2900)
    assert isinstance(told[-1], Frame)
    assert isinstance(told[-1].body, Hello)
    assert (told[-1].sequence, told[-1].body.boot_id) == (0, SEED + 1)
    assert len(of(told, BadFrame)) == 1
    assert not of(told, FramesLost)
    assert status.reset_cause == ResetCause.BROWN_OUT


def test_what_arrives_twice_is_used_once(place: str) -> None:
    with serve(place, "duplicate=0.5") as device:
        receiver = Receiver(device.port)
        told = receiver.listen(lambda told: len(bodies(told, Audio)) > 100)
        receiver.close()
    assert_exact(told)
    assert len(of(told, Stale)) > 30
    assert not of(told, SamplesLost)
    assert not of(told, FramesLost)


def test_nothing_is_said_before_a_late_hello(place: str) -> None:
    with serve(place, "late_hello=3") as device:
        receiver = Receiver(device.port)
        told = receiver.listen(lambda told: len(bodies(told, Audio)) > 10)
        receiver.close()
    first = told[0]
    assert isinstance(first, Frame)
    assert isinstance(first.body, Hello)
    assert (first.sequence, first.device_time_us) == (0, 3_000_000)
    assert_exact(told)


def test_a_hello_that_is_too_late_is_told_with_what_to_look_at() -> None:
    with serve("tcp:0", "late_hello=60") as device:
        done = bridge("hello", device.port, code=1)
    assert "no HELLO within 5 s; check the cable, the baud rate and that the device runs" in done.stderr


def test_a_flood_of_lines_drowns_no_sample_and_can_be_stopped(place: str) -> None:
    with serve(place, "flood=1") as device:
        receiver = Receiver(device.port)
        told = receiver.listen(lambda told: len(bodies(told, Audio)) > 50)
        assert len(bodies(told, Log)) > 150
        numbers = [int(line.text.split()[1]) for line in bodies(told, Log)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        receiver.session.request(Set(parameter=Parameter.LOG_LEVEL, value=1), time.monotonic())
        receiver.listen(lambda told: len(bodies(told, Audio)) > 10)
        quiet = receiver.listen(lambda told: len(bodies(told, Audio)) > 10)
        receiver.close()
    assert not bodies(quiet, Log)
    assert_exact(receiver.told)
    assert not of(told, SamplesLost)


def test_an_opened_case_and_water_are_told_once_with_their_time(place: str) -> None:
    with serve(place, "tamper=2,ingress=2.5") as device:
        receiver = Receiver(device.port)
        told = receiver.listen(lambda told: len(bodies(told, Event)) == 2)
        told += receiver.listen(lambda told: len(bodies(told, Audio)) > 20)
        receiver.close()
    tamper, ingress = bodies(told, Event)
    assert (tamper.event, tamper.number, tamper.begun) == (EventCode.TAMPER, 0, True)
    assert (ingress.event, ingress.number, ingress.begun) == (EventCode.WATER_INGRESS, 1, True)
    assert 1e-6 * tamper.time_us >= 2.0
    assert 1e-6 * ingress.time_us >= 2.5
    assert_exact(told)
