"""What the example firmware records on an emulated Cortex-M3, and how it is emptied.

``make test-firmware`` builds the image and runs these, in real time but for one.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from broker import wait_for
from hydroear_bridge.cli import main
from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Frame,
    Hello,
    Parameter,
    RecData,
    RecErase,
    Recording,
    RecordingState,
    RecRead,
    Result,
    ResultCode,
    SampleFormat,
    Set,
    Start,
    Status,
    Time,
)
from hydroear_bridge.link import DELIMITER, Decoder
from microcontroller import (
    RATE_HZ,
    SENSOR,
    SET_LEAK,
    SET_RECORDING_S,
    Conversation,
    Microcontroller,
    Relay,
    SimulatedPipe,
    leaking,
)

LEAK = 60
SECONDS = 5
CONVERTER_S = 4096 / RATE_HZ  # what waits for longer is lost
NIGHT_US = 1_735_693_200_000_000  # 2025-01-01T01:00:00Z
DAY_US = 86_400_000_000
MEMORY = 1 << 24


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Conversation]:
    with Microcontroller(tmp_path) as microcontroller, microcontroller.connect() as conversation:
        yield conversation


def record(device: Conversation, seconds: int) -> Recording:
    """Have it record, and wait until that is over."""
    assert device.ask(Set(parameter=SET_RECORDING_S, value=seconds)).value == seconds
    return finished(device)


def finished(device: Conversation) -> Recording:
    """Wait until its last recording is over."""
    while (last := device.recordings()[-1]).state != RecordingState.FINISHED:
        time.sleep(0.02)
    return last


def lasts(entry: Recording, seconds: int) -> bool:
    """To the end of the frame in which they were over; where samples were lost that is not where they were."""
    return 0 <= entry.duration_ms - 1000 * seconds < 20


def tell_time(device: Conversation, utc_us: int = NIGHT_US) -> int:
    """Say what time it is; gives the UTC of its boot."""
    device.send(Time(receiver_sent_us=0))
    offset_us = utc_us - device.next_of(Time).device_time_us
    device.send(Time(receiver_sent_us=0, utc_offset_us=offset_us, uncertainty_us=0))
    device.next_of(Time)
    return offset_us


def frames_of(data: bytes) -> list[Frame]:
    """The frames of a recording, none of them damaged or missing."""
    assert data.startswith(DELIMITER)
    frames = [item for item in Decoder().receive(data) if isinstance(item, Frame)]
    assert data.count(DELIMITER) == 1 + len(frames)
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert isinstance(frames[0].body, Hello)
    return frames


def audio_of(frames: list[Frame]) -> list[Audio]:
    return [frame.body for frame in frames if isinstance(frame.body, Audio)]


def test_a_recording_is_fetched_to_the_sample_over_a_line_that_is_cut_and_forgotten_by_its_checksum(
    tmp_path: Path, relay: Relay, capsys: pytest.CaptureFixture[str]
) -> None:
    nights = tmp_path / "nights"
    upload = ["upload", relay.url, "--out", str(nights), "--quiet"]
    with Microcontroller(tmp_path, recordings=41) as device:
        with device.connect() as evening:
            booted_us = tell_time(evening)
            evening.ask(Set(parameter=SET_LEAK, value=LEAK), SENSOR)
            evening.ask(Set(parameter=SET_RECORDING_S, value=SECONDS))
            wait_for(lambda: evening.recordings()[0].duration_ms > 0, "samples")
            device.hold_up(2 * CONVERTER_S)
            entry = finished(evening)
        assert entry.recording == 42
        assert lasts(entry, SECONDS)

        relay.cut_at = entry.size // 2
        assert main(upload) == 1
        assert "gone" in capsys.readouterr().err
        (part,) = nights.glob("*.part")
        assert 0 < part.stat().st_size < entry.size
        relay.cut_at = None
        wait_for(lambda: is_idle(device, entry), "the end of the read that nobody heard")
        assert main(upload) == 0
        assert relay.passed < entry.size, "what has come does not come again"

        (path,) = nights.glob("*.bin")
        assert_is_the_pipe(path.read_bytes(), entry)
        assert_is_told(nights, path.read_bytes(), entry, booted_us)

        with device.connect() as morning:
            wrong = RecErase(recording=entry.recording, crc32=entry.crc32 ^ 1)
            assert morning.ask(wrong).code == ResultCode.REFUSED
            assert morning.recordings() == [entry]
        assert main([*upload, "--erase"]) == 0
        with device.connect() as morning:
            assert morning.recordings() == []
            assert record(morning, 1).recording == 43, "a number never comes again"


def is_idle(device: Microcontroller, entry: Recording) -> bool:
    """Whether it serves no read."""
    with device.connect() as conversation:
        asked = conversation.send(RecRead(recording=entry.recording, length=1))
        while True:
            result = conversation.next_of(Result).body
            assert isinstance(result, Result)
            if result.request_sequence == asked:
                return result.code == ResultCode.OK


def assert_is_the_pipe(data: bytes, entry: Recording) -> None:
    """It holds the first seconds of the pipe; what the microcontroller lost while it was held up is told."""
    assert (len(data), zlib.crc32(data)) == (entry.size, entry.crc32)
    pipe, taken, lost = SimulatedPipe(), 0, 0
    for audio in audio_of(frames_of(data)):
        assert (audio.sample_index > taken) == (AudioFlags.GAP in audio.flags)
        assert AudioFlags.TIME_VALID in audio.flags
        for _ in range(audio.sample_index - taken):
            pipe.parts()
            lost += 1
        assert samples(audio) == [leaking(pipe.parts(), LEAK) for _ in range(audio.count)]
        taken = audio.end_index
    assert taken * 1000 // RATE_HZ == entry.duration_ms
    assert lost > 0


def assert_is_told(folder: Path, data: bytes, entry: Recording, booted_us: int) -> None:
    """The WAV file has the samples of the recording, and the time at which the first was taken."""
    (about,) = folder.glob("*.json")
    told = json.loads(about.read_text())
    assert entry.start_utc_us == began_us(data, booted_us)
    assert datetime.fromisoformat(told["began"]).timestamp() == pytest.approx(1e-6 * entry.start_utc_us, abs=0.001)
    sound, _ = soundfile.read(folder / told["file"], dtype="int16")
    expected = np.zeros(audio_of(frames_of(data))[-1].end_index, np.int16)
    for audio in audio_of(frames_of(data)):
        expected[audio.sample_index : audio.end_index] = samples(audio)
    np.testing.assert_array_equal(sound, expected)


def began_us(data: bytes, booted_us: int) -> int:
    """UTC of the first sample."""
    return booted_us + next(frame.device_time_us for frame in frames_of(data) if isinstance(frame.body, Audio))


def samples(audio: Audio) -> list[int]:
    return np.frombuffer(audio.data, "<i2").tolist()  # type: ignore[no-any-return]


def test_it_is_asked_for_any_bytes_of_any_recording(device: Conversation) -> None:
    assert device.ask(Set(parameter=SET_RECORDING_S, value=2)).code == ResultCode.OK
    (growing,) = device.recordings()
    assert (growing.recording, growing.state) == (1, RecordingState.BEING_RECORDED)
    so_far = device.read(1)
    assert len(so_far) >= growing.size
    assert device.ask(RecErase(recording=1, crc32=zlib.crc32(so_far))).code == ResultCode.BUSY
    first, second = finished(device), record(device, 1)
    assert device.recordings() == [first, second]
    assert device.recordings(from_recording=2) == [second]
    data = device.read(1)
    assert (len(data), zlib.crc32(data)) == (first.size, first.crc32)
    assert data.startswith(so_far)
    assert device.read(1, offset=5000) == data[5000:]
    assert device.read(1, offset=5000, length=4321) == data[5000:9321]
    assert device.read(1, offset=first.size - 1, length=4321) == data[-1:]
    assert device.read(1, offset=first.size) == b""
    assert device.ask(RecRead(recording=1, offset=first.size + 1)).code == ResultCode.BAD
    assert device.ask(RecRead(recording=3)).code == ResultCode.NOT_FOUND
    assert device.ask(RecErase(recording=3, crc32=0)).code == ResultCode.NOT_FOUND
    assert device.ask(RecErase(recording=1, crc32=first.crc32)).code == ResultCode.OK
    assert device.recordings() == [second]


def test_one_read_is_served_at_a_time_and_asked_twice_is_the_same(device: Conversation) -> None:
    entry = record(device, 1)
    # The line takes no more than it holds before somebody listens: the first is still being served.
    device.send(RecRead(recording=1))
    another = device.send(RecRead(recording=1, offset=1))
    again = device.send(RecRead(recording=1))
    assert device.next_of(Result).body == Result(
        request_sequence=another, request_type=RecRead.TYPE, code=ResultCode.BUSY
    )
    assert device.next_of(Result).body == Result(request_sequence=again, request_type=RecRead.TYPE, value=entry.size)
    assert zlib.crc32(device.read(1)) == entry.crc32


def test_a_line_that_is_slow_loses_no_byte_of_a_recording_and_audio_goes_first(device: Conversation) -> None:
    entry = record(device, 3)
    device.ask(Start(rate_millihz=1000 * RATE_HZ, sample_format=SampleFormat.INT16), SENSOR)
    device.send(RecRead(recording=1))
    time.sleep(0.5)  # nobody reads
    frames = []
    while not isinstance((frame := device.next()).body, Result):
        frames.append(frame)
    data = b"".join(frame.body.data for frame in frames if isinstance(frame.body, RecData))
    assert zlib.crc32(data) == entry.crc32
    sequences = [frame.sequence for frame in frames]
    assert sequences == list(range(sequences[0], sequences[0] + len(frames))), "none was lost but those not made"
    # The ring has room for four pieces of the recording. Two wait in it, or three if the line takes one.
    waiting = frames[: next(i for i, frame in enumerate(frames) if is_behind_a_gap(frame))]
    assert sum(isinstance(frame.body, RecData) for frame in waiting) <= 3
    audio = audio_of(frames)
    device.ask(Set(parameter=Parameter.STATUS_INTERVAL_MS, value=100))
    status = device.next_of(Status).body
    assert isinstance(status, Status)
    assert status.frames_dropped > 0
    assert status.sensors[0].drops >= audio[-1].end_index - sum(one.count for one in audio)


def is_behind_a_gap(frame: Frame) -> bool:
    return isinstance(frame.body, Audio) and AudioFlags.GAP in frame.body.flags


def test_it_records_and_streams_the_same_samples(device: Conversation) -> None:
    device.ask(Start(rate_millihz=1000 * RATE_HZ, sample_format=SampleFormat.INT16), SENSOR)
    device.next_of(Audio)
    streamed: dict[int, Audio] = {}
    frames, _ = device.serve(Set(parameter=SET_RECORDING_S, value=2))
    while len(streamed) < 150:
        streamed |= {frame.device_time_us: frame.body for frame in frames if isinstance(frame.body, Audio)}
        frames = [device.next()]
    finished(device)
    recorded = frames_of(device.read(1))
    offsets = set()
    for frame in recorded:
        if isinstance(audio := frame.body, Audio) and frame.device_time_us in streamed:
            same = streamed[frame.device_time_us]
            assert audio.data == same.data
            offsets.add(same.sample_index - audio.sample_index)
    assert len(offsets) == 1, "each counts for itself"
    assert offsets.pop() > 0
    assert audio_of(recorded)[0].sample_index == 0
    assert 0 <= audio_of(recorded)[-1].end_index - 2 * RATE_HZ < 320


def test_it_says_when_it_recorded_as_soon_as_it_knows(device: Conversation) -> None:
    assert record(device, 1).start_utc_us is None
    device.ask(Set(parameter=SET_RECORDING_S, value=1))
    booted_us = tell_time(device)
    assert finished(device).start_utc_us == began_us(device.read(2), booted_us)


def test_a_recording_is_made_longer_and_ended(device: Conversation) -> None:
    device.ask(Set(parameter=SET_RECORDING_S, value=1))
    entry = record(device, 2)
    assert entry.recording == 1
    assert lasts(entry, 2)
    assert device.ask(Set(parameter=SET_RECORDING_S, value=1000)).code == ResultCode.OK
    while device.recordings()[-1].duration_ms < 200:
        time.sleep(0.02)
    ended = record(device, 0)
    assert 200 <= ended.duration_ms < 1_000_000
    assert zlib.crc32(device.read(2)) == ended.crc32
    assert len(device.recordings()) == 2


def test_it_records_once_a_night_from_when_it_knows_the_time(device: Conversation) -> None:
    def put(parameter: int, value: int) -> int:
        return device.ask(Set(parameter=parameter, value=value)).value

    assert put(Parameter.RECORDING_START_S, 100_000) == 86_399
    assert put(Parameter.RECORDING_START_S, 3600) == 3600
    assert put(Parameter.RECORDING_DURATION_S, 2) == 2
    assert device.recordings() == []
    tell_time(device, NIGHT_US - DAY_US)
    first = finished(device)
    assert_fills(first, NIGHT_US - DAY_US)
    tell_time(device, NIGHT_US - DAY_US)
    assert device.recordings() == [first], "the night does not come twice, though the clock was set back"
    tell_time(device, NIGHT_US)
    assert_fills(finished(device), NIGHT_US)
    assert put(Parameter.RECORDING_DURATION_S, -1) == 0
    tell_time(device, NIGHT_US + DAY_US)
    assert [entry.recording for entry in device.recordings()] == [1, 2]


def assert_fills(entry: Recording, night_us: int) -> None:
    """It began with the night, or as soon as the emulator went on, and ended with it."""
    assert entry.start_utc_us is not None
    assert night_us <= entry.start_utc_us < night_us + 2_000_000
    assert 2_000_000 <= entry.start_utc_us + 1000 * entry.duration_ms - night_us < 3_000_000


def test_a_full_memory_ends_a_recording_in_order(tmp_path: Path) -> None:
    with Microcontroller(tmp_path, hurried=True) as microcontroller, microcontroller.connect() as device:
        first = record(device, 20)
        second = record(device, 1000)
        assert (first.duration_ms, second.recording) == (20_000, 2)
        assert 0 < MEMORY - 1 - first.size - second.size < 700, "not another frame has room"
        end = device.read(2, offset=second.size - 20_000)
        _, *frames = Decoder().receive(end)
        assert isinstance(frames[-1], Frame)
        assert isinstance(frames[-1].body, Audio)
        assert frames[-1].body.end_index * 1000 // RATE_HZ == second.duration_ms
        assert end.endswith(DELIMITER)

        assert device.ask(Set(parameter=SET_RECORDING_S, value=5)).code == ResultCode.REFUSED
        assert device.ask(RecErase(recording=1, crc32=first.crc32)).code == ResultCode.OK
        third = record(device, 5)
        assert third.recording == 3
        data = device.read(3)
        assert zlib.crc32(data) == third.crc32
        assert sum(audio.count for audio in audio_of(frames_of(data))) == 5 * RATE_HZ
