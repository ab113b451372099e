"""The example firmware, in C, on an emulated Cortex-M3, heard by the bridge in Python.

``make test-firmware`` builds the image and runs these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hydroear_bridge.account import FramesLost, Restart, Stale
from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Capabilities,
    Frame,
    Hello,
    Log,
    Parameter,
    Result,
    ResultCode,
    SampleFormat,
    Selftest,
    SensorKind,
    Set,
    Start,
    Status,
    Stop,
    Time,
)
from hydroear_bridge.link import encode
from hydroear_bridge.sniff import Summary, events
from microcontroller import SENSOR, SET_LEAK, Conversation, Microcontroller, SimulatedPipe, leaking

START = Start(rate_millihz=16_000_000, sample_format=SampleFormat.INT16)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Conversation]:
    with Microcontroller(tmp_path, boot_id=0xCAFE0001) as microcontroller, microcontroller.connect() as conversation:
        yield conversation


def samples(frame: Frame) -> list[int]:
    assert isinstance(frame.body, Audio)
    return np.frombuffer(frame.body.data, "<i2").tolist()  # type: ignore[no-any-return]


def test_it_says_who_it_is_as_soon_as_it_boots(device: Conversation) -> None:
    frame = device.next()
    assert device.heard.startswith(b"\0")
    assert (frame.sequence, frame.stream) == (0, 0)
    hello = frame.body
    assert isinstance(hello, Hello)
    assert hello.boot_id == 0xCAFE0001
    assert hello.model == "simulated pipe"
    assert Capabilities.START in hello.capabilities
    (sensor,) = hello.sensors
    assert (sensor.stream, sensor.kind) == (SENSOR, SensorKind.HYDROPHONE)
    assert sensor.rates_millihz == (16_000_000,)
    assert sensor.formats == (SampleFormat.INT16,)
    # It sends nothing before START but HELLO, over and over.
    again = device.next()
    assert again.body == hello
    assert again.sequence == 1
    assert 2_000_000 <= again.device_time_us - frame.device_time_us < 4_000_000


def test_every_sample_is_the_one_that_the_pipe_made_with_and_without_a_leak(device: Conversation) -> None:
    assert device.ask(START, SENSOR) == Result(request_sequence=0, request_type=Start.TYPE, value=0)
    frames = [device.next_of(Audio) for _ in range(50)]
    asked = device.send(Set(parameter=SET_LEAK, value=60), SENSOR)
    results = []
    while len(frames) < 100:
        frame = device.next()
        frames += [frame] if isinstance(frame.body, Audio) else []
        results += [frame.body] if isinstance(frame.body, Result) else []
    assert results == [Result(request_sequence=asked, request_type=Set.TYPE, value=60)]

    pipe, taken, leak, begun_at = SimulatedPipe(), 0, 0, None
    for number, frame in enumerate(frames):
        assert isinstance(frame.body, Audio)
        # An emulator that was held up loses samples on the device, and says so.
        assert (frame.body.sample_index > taken) == (AudioFlags.GAP in frame.body.flags)
        for _ in range(frame.body.sample_index - taken):
            pipe.parts()
        parts = [pipe.parts() for _ in range(frame.body.count)]
        taken = frame.body.end_index
        if begun_at is None and samples(frame) != [leaking(part, leak) for part in parts]:
            begun_at, leak = number, 60
        assert samples(frame) == [leaking(part, leak) for part in parts]
    assert begun_at is not None
    assert begun_at >= 50
    # The bytes as a capture say the same, and nothing was lost on the link.
    summary = Summary()
    told = list(events([bytes(device.heard)], summary))
    assert summary.bad_frames == 0
    assert not any(isinstance(event, FramesLost | Restart | Stale) for event in told)


def test_a_leak_is_louder_than_the_flow_where_leaks_are_heard() -> None:
    pipe = SimulatedPipe()
    parts = [pipe.parts() for _ in range(8000)]
    levels = []
    for leak in (0, 100):
        spectrum = np.abs(np.fft.rfft([leaking(part, leak) for part in parts[-4000:]])) ** 2
        levels.append(10 * np.log10(spectrum[125:500].sum()))  # 500 to 2000 Hz
    assert levels[1] - levels[0] > 12


def test_sample_times_are_those_of_the_rate(device: Conversation) -> None:
    device.ask(START, SENSOR)
    first, *others = [device.next_of(Audio) for _ in range(20)]
    assert isinstance(first.body, Audio)
    for frame in others:
        assert isinstance(frame.body, Audio)
        elapsed = frame.body.sample_index - first.body.sample_index
        assert abs(frame.device_time_us - first.device_time_us - elapsed * 62.5) <= 1


def test_stop_and_start_lose_nothing(device: Conversation) -> None:
    device.ask(START, SENSOR)
    stop = device.send(Stop(), 0)
    end = 0
    while not isinstance(body := device.next().body, Result):
        end = body.end_index if isinstance(body, Audio) else end
    assert (body.request_sequence, body.code) == (stop, ResultCode.OK)
    again = device.ask(Start(rate_millihz=16_000_000, sample_format=SampleFormat.INT16, count=100), SENSOR)
    assert again.value == end
    audio = device.next_of(Audio).body
    assert isinstance(audio, Audio)
    assert (audio.sample_index, audio.count) == (end, 100)
    assert AudioFlags.GAP not in audio.flags


def test_gain_is_set_to_the_nearest_and_told(device: Conversation) -> None:
    device.ask(START, SENSOR)
    assert device.ask(Set(parameter=SET_LEAK, value=1000), SENSOR).value == 100
    assert device.ask(Set(parameter=Parameter.GAIN_CENTIDB, value=1000), SENSOR).value == 1204
    changed = [device.next_of(Audio).body for _ in range(3)]
    assert all(isinstance(body, Audio) and body.gain_centidb == 1204 for body in changed)
    assert [AudioFlags.GAIN_CHANGED in body.flags for body in changed if isinstance(body, Audio)] == [
        True,
        False,
        False,
    ]


def test_requests_it_cannot_grant_are_refused_with_the_right_code(device: Conversation) -> None:
    def code(body: Start | Set | Stop | Log | Selftest, stream: int) -> int:
        return device.ask(body, stream).code

    assert code(Start(rate_millihz=8_000_000, sample_format=SampleFormat.INT16), SENSOR) == ResultCode.UNSUPPORTED
    assert code(Start(rate_millihz=16_000_000, sample_format=SampleFormat.INT24), SENSOR) == ResultCode.UNSUPPORTED
    assert code(START, 2) == ResultCode.NOT_FOUND
    assert code(Stop(), 2) == ResultCode.NOT_FOUND
    assert code(Set(parameter=77, value=1), 0) == ResultCode.NOT_FOUND
    assert code(Log(level=1, text="?"), 0) == ResultCode.UNKNOWN
    assert code(Selftest(), 0) == ResultCode.OK
    assert code(START, SENSOR) == ResultCode.OK
    assert code(START, SENSOR) == ResultCode.OK
    assert code(Start(rate_millihz=16_000_000, sample_format=SampleFormat.INT16, count=99), SENSOR) == ResultCode.BUSY


def test_its_clock_can_be_read_and_told_the_time(device: Conversation) -> None:
    device.ask(START, SENSOR)
    device.send(Time(receiver_sent_us=123))
    frame = device.next_of(Time)
    answer = frame.body
    assert isinstance(answer, Time)
    assert answer.receiver_sent_us == 123
    assert 0 < answer.device_received_us <= answer.device_sent_us == frame.device_time_us
    assert answer.utc_offset_us is None
    audio = device.next_of(Audio).body
    assert isinstance(audio, Audio)
    assert AudioFlags.TIME_VALID not in audio.flags

    device.send(Time(receiver_sent_us=456, utc_offset_us=1_790_000_000_000_000, uncertainty_us=80))
    answer = device.next_of(Time).body
    assert isinstance(answer, Time)
    assert (answer.utc_offset_us, answer.uncertainty_us) == (1_790_000_000_000_000, 80)
    audio = device.next_of(Audio).body
    assert isinstance(audio, Audio)
    assert AudioFlags.TIME_VALID in audio.flags


def test_status_has_the_level_of_the_samples_it_sent(device: Conversation) -> None:
    device.ask(START, SENSOR)
    device.ask(Set(parameter=Parameter.STATUS_INTERVAL_MS, value=500))
    sent: list[int] = []
    # The first begins with samples that were passed over.
    device.next_of(Status)
    while not isinstance(body := (frame := device.next()).body, Status):
        sent += samples(frame) if isinstance(body, Audio) else []
    (sensor,) = body.sensors
    assert sensor.stream == SENSOR
    assert sensor.peak == max(abs(sample) for sample in sent) << 16
    rms = np.sqrt(np.mean(np.square(sent, dtype=np.float64)))
    assert sensor.rms / 2**31 == pytest.approx(rms / 2**15, rel=1e-3)


def test_what_it_must_understand_and_does_not_is_not_done(device: Conversation) -> None:
    device.ask(START, SENSOR)
    stop = Frame(sequence=70, device_time_us=0, stream=SENSOR, flags=0x40, body=Stop())
    device._line.sendall(encode(stop))
    result = device.next_of(Result).body
    assert result == Result(request_sequence=70, request_type=Stop.TYPE, code=ResultCode.UNKNOWN)
    assert isinstance(device.next_of(Audio).body, Audio)


def test_a_gain_beyond_all_is_the_nearest(device: Conversation) -> None:
    for value, nearest in ((2**31 - 1, 1204), (-(2**31), 0)):
        assert device.ask(Set(parameter=Parameter.GAIN_CENTIDB, value=value), SENSOR).value == nearest


def test_damage_on_the_way_to_it_does_no_harm(device: Conversation) -> None:
    device._line.sendall(b"\0\x05hello\0" + bytes(range(256)) + b"\xff" * 5000 + b"\0")
    assert device.ask(Selftest()).code == ResultCode.OK
