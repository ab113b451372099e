"""A receiver's session against a simulated device over links with faults, in a time of their own."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from hydroear_bridge.account import FramesLost, Restart, SamplesLost
from hydroear_bridge.device import HEARS, SENSOR_STREAM, TELLS, Device, StoredRecording
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.faults import STALL_S, Faults, Link
from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Capabilities,
    Event,
    EventCode,
    Frame,
    Hello,
    Log,
    Parameter,
    RecData,
    RecErase,
    RecList,
    RecRead,
    ResetCause,
    Result,
    ResultCode,
    SampleFormat,
    Selftest,
    Set,
    Start,
    Status,
    Stop,
    Time,
)
from hydroear_bridge.link import DELIMITER, BadFrame, Decoder, encode
from hydroear_bridge.session import ANSWER_S, ATTEMPTS, SILENCE_S, Answer, Happening, Request, Session, Silence
from hydroear_bridge.simulator import noise

RATE_HZ = 8000
START = Start(rate_millihz=1000 * RATE_HZ, sample_format=SampleFormat.INT16)
STEP_S = 0.005
NO_FAULTS = Faults()


class World:
    """A device, a session and what lies between them, in steps of virtual time."""

    def __init__(
        self,
        device: Device | None = None,
        *,
        down: Faults = NO_FAULTS,
        up: Faults = NO_FAULTS,
        jitter_s: float = 0.0,
        seed: int = 0,
        utc_ahead_s: float | None = None,
    ) -> None:
        self.now_s = 100.0
        self.device = device or Device(noise(seed), rate_hz=RATE_HZ)
        self.session = Session(self.now_s)
        self.down, self.up = Link(down, 2 * seed), Link(up, 2 * seed + 1)
        self.told: list[Happening] = []
        self.made: list[Frame] = []
        self.listens = True
        self._jitter_s, self._delays = jitter_s, np.random.default_rng(seed)
        self._utc_ahead_s = utc_ahead_s

    def boot(self, cause: ResetCause = ResetCause.POWER_ON) -> None:
        self.device.boot(self.now_s, cause)

    def say(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.made.append(frame)
            self.down.send(encode(frame), self.now_s, delay_s=self._delays.uniform(0.0, self._jitter_s))

    def run(self, seconds: float, *, step_s: float = STEP_S) -> list[Happening]:
        """Let time pass; give what was told meanwhile."""
        before = len(self.told)
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.say(self.device.send(self.now_s))
            self.say(self.device.receive(self.up.arrived(self.now_s), self.now_s))
            for happening in self.session.receive(self.down.arrived(self.now_s), self.now_s):
                self.told.append(happening)
                if isinstance(happening, Frame) and isinstance(happening.body, Hello) and self.listens:
                    self.session.subscribe(SENSOR_STREAM, START, self.now_s)
            if self.now_s >= self.session.due_s:
                utc_s = None if self._utc_ahead_s is None else self.now_s + self._utc_ahead_s
                self.told += self.session.tick(self.now_s, utc_s)
            if data := self.session.outgoing():
                self.up.send(data, self.now_s, delay_s=self._delays.uniform(0.0, self._jitter_s))
        return self.told[before:]

    def ask(self, request: Request, *, stream: int = 0, seconds: float = 0.1) -> Answer:
        number = self.session.request(request, self.now_s, stream=stream)
        (answer,) = [one for one in self.run(seconds) if isinstance(one, Answer) and one.number == number]
        return answer


def audio(happenings: list[Happening]) -> list[Audio]:
    return [one.body for one in happenings if isinstance(one, Frame) and isinstance(one.body, Audio)]


def bodies(happenings: list[Happening], kind: type) -> list[object]:
    return [one.body for one in happenings if isinstance(one, Frame) and isinstance(one.body, kind)]


def test_a_device_that_waits_to_be_asked_is_asked_and_heard() -> None:
    world = World()
    world.boot()
    told = world.run(3.0)
    heard = audio(told)
    assert [body.sample_index for body in heard] == list(range(0, len(heard) * 160, 160))
    assert len(heard) > 140
    assert any(isinstance(one, Answer) and one.granted and one.result.value == 0 for one in told)
    assert not any(isinstance(one, SamplesLost | FramesLost | BadFrame) for one in told)


def test_a_device_that_cannot_hear_is_asked_nothing() -> None:
    world = World(Device(noise(0), rate_hz=RATE_HZ, capabilities=TELLS))
    world.boot()
    assert len(audio(world.run(3.0))) > 140
    assert world.up.arrived(world.now_s) == b""
    assert world.session.clock.ppm is None


@pytest.mark.parametrize(
    "faults",
    [
        Faults(loss=0.05, corrupt=0.01, stall=0.01, duplicate=0.02),
        Faults(noise=0.0002, loss=0.05),
        Faults(loss=0.3, stall=0.05, flood=1),
        Faults(drift=100, late_hello=3.0, loss=0.05),
    ],
    ids=["loss", "noise", "flood", "late hello"],
)
def test_gaps_are_exactly_what_was_lost_and_what_is_heard_is_what_was_sent(faults: Faults) -> None:
    for seed in range(3):
        device = Device(
            noise(seed),
            rate_hz=RATE_HZ,
            ppm=faults.drift,
            late_hello_s=faults.late_hello,
            floods_log=faults.flood > 0,
        )
        world = World(device, down=faults, up=faults, jitter_s=2e-3, seed=seed)
        world.boot()
        told = world.run(20.0)
        sent = {frame.body.sample_index: frame.body for frame in world.made if isinstance(frame.body, Audio)}
        assert all(sent[body.sample_index] == body for body in audio(told))

        pieces = [one.body if isinstance(one, Frame) else one for one in told]
        at = 0
        for piece in pieces:
            if isinstance(piece, SamplesLost):
                assert piece.first_index == at
                at += piece.count
            elif isinstance(piece, Audio):
                assert piece.sample_index == at
                at = piece.end_index
        assert at > 10 * RATE_HZ
        lost = sum(one.count for one in told if isinstance(one, SamplesLost))
        assert lost == at - sum(body.count for body in audio(told)) > 0


def test_a_byte_in_a_hundred_is_altered_and_nothing_false_is_heard() -> None:
    """Hardly a frame of audio survives that; short ones do now and then."""
    world = World(Device(noise(0), rate_hz=RATE_HZ), down=Faults(noise=0.01), up=Faults(noise=0.01))
    world.boot()
    told = world.run(60.0, step_s=0.02)
    made = {(frame.sequence, encode(frame)) for frame in world.made}
    heard = [one for one in told if isinstance(one, Frame)]
    assert heard
    assert all((frame.sequence, encode(frame)) in made for frame in heard)
    assert any(isinstance(one, BadFrame) for one in told)


@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_after_a_minute_of_jitter_the_device_s_time_is_known_to_a_millisecond(ppm: float) -> None:
    world = World(Device(noise(0), rate_hz=RATE_HZ, ppm=ppm), jitter_s=5e-3)
    world.listens = False
    world.boot()
    world.run(60.0, step_s=0.001)
    assert world.session.clock.time_s(world.device.time_us(world.now_s)) == pytest.approx(world.now_s, abs=1e-3)


def test_the_device_is_told_the_time_of_day_and_says_so_with_its_samples() -> None:
    world = World(utc_ahead_s=1.79e9)
    world.boot()
    told = audio(world.run(3.0))
    assert AudioFlags.TIME_VALID in told[-1].flags
    offset_us = world.device._settings.utc_offset_us
    assert offset_us is not None
    boot_s = 1.79e9 + world.now_s - 1e-6 * world.device.time_us(world.now_s)
    assert 1e-6 * offset_us == pytest.approx(boot_s, abs=STEP_S)


def test_a_boot_is_seen_and_counted_and_samples_are_asked_for_again() -> None:
    world = World()
    world.boot()
    world.run(3.0)
    world.boot(ResetCause.WATCHDOG)
    told = world.run(12.0)
    assert [one for one in told if isinstance(one, Restart)] == [Restart(1)]
    assert world.session.restarts == 1
    assert audio(told)[0].sample_index == 0
    assert not any(isinstance(one, SamplesLost) for one in told)
    (status,) = bodies(told, Status)
    assert status.reset_cause == ResetCause.WATCHDOG
    assert world.session.clock.time_s(world.device.time_us(world.now_s)) == pytest.approx(world.now_s, abs=STEP_S)


def test_a_boot_whose_first_hello_is_lost_is_seen_at_the_next_one() -> None:
    world = World(Device(noise(0), rate_hz=RATE_HZ, capabilities=TELLS))
    world.boot()
    world.run(6.0)
    world.boot()
    world.device.send(world.now_s)
    told = world.run(3.0)
    assert world.session.restarts == 1
    place = next(n for n, one in enumerate(told) if isinstance(one, Restart))
    assert audio(told[:place]) == []
    assert audio(told[place:])[0].sample_index > 0


def test_requests_get_their_answers_over_a_link_that_loses_a_third() -> None:
    for seed in range(5):
        world = World(down=Faults(loss=0.3), up=Faults(loss=0.3), seed=seed)
        world.boot()
        world.run(4.0)
        answer = world.ask(Set(parameter=Parameter.GAIN_CENTIDB, value=900), stream=SENSOR_STREAM, seconds=6.0)
        assert answer.result is None or answer.result.value == 1000
        assert world.device._streams[SENSOR_STREAM].gain_centidb in (0, 1000)
        if answer.granted:
            gains = [body.gain_centidb for body in audio(world.run(0.5))]
            assert set(gains) == {1000}


def test_what_is_not_answered_is_asked_again_and_given_up_in_the_end() -> None:
    world = World()
    world.listens = False
    world.boot()
    world.run(0.1)
    world.device.lose_power()
    number = world.session.request(Set(parameter=Parameter.LOG_LEVEL, value=1), world.now_s)
    asked: list[object] = []
    decoder = Decoder()
    while not any(isinstance(one, Answer) for one in world.told):
        asked += decoder.receive(world.session.outgoing())
        world.now_s = world.session.due_s
        world.told += world.session.tick(world.now_s)
    (answer,) = [one for one in world.told if isinstance(one, Answer)]
    assert (answer.number, answer.result, answer.granted) == (number, None, False)
    sequences = [frame.sequence for frame in asked if isinstance(frame, Frame) and isinstance(frame.body, Set)]
    assert len(set(sequences)) == len(sequences) == ATTEMPTS


def test_what_is_asked_for_again_is_not_stopped_by_the_repeat_of_a_request_that_was_done() -> None:
    world = World()
    world.boot()
    world.run(3.5)
    good, world.down = world.down, Link(Faults(loss=1.0), 0)
    world.session.unsubscribe(SENSOR_STREAM, world.now_s)
    world.run(0.1)
    world.down = good
    assert not audio(world.run(0.3))
    # The HELLO comes before the request to stop is repeated, for want of an answer.
    told = world.run(3.0)
    stop, start = [one for one in told if isinstance(one, Answer)]
    assert (type(stop.request), type(start.request)) == (Stop, Start)
    assert audio(world.run(0.2))


def test_a_stream_that_was_stopped_before_it_was_granted_is_not_asked_for_any_more() -> None:
    world = World()
    world.boot()
    session = world.session
    session.receive(encode(world.device.send(world.now_s)[0]), world.now_s)
    session.subscribe(SENSOR_STREAM, START, world.now_s)
    session.unsubscribe(SENSOR_STREAM, world.now_s)
    session.outgoing()
    session.tick(world.now_s + ANSWER_S)
    repeated = [one.body for one in Decoder().receive(session.outgoing()) if isinstance(one, Frame)]
    assert [type(body) for body in repeated if not isinstance(body, Time)] == [Stop]


def asked(data: bytes, kind: type) -> list[Frame]:
    """The requests of a kind in what a session sends."""
    return [one for one in Decoder().receive(data) if isinstance(one, Frame) and isinstance(one.body, kind)]


def test_an_answer_to_an_earlier_attempt_is_an_answer() -> None:
    session = Session(0.0)
    number = session.request(Stop(), 0.0, stream=1)
    (first,) = asked(session.outgoing(), Stop)
    session.tick(1.5)
    assert len(asked(session.outgoing(), Stop)) == 1
    result = Result(request_sequence=first.sequence, request_type=Stop.TYPE)
    (answer,) = session.receive(DELIMITER + encode(Frame(sequence=0, device_time_us=0, stream=1, body=result)), 1.6)
    assert isinstance(answer, Answer)
    assert (answer.number, answer.granted) == (number, True)
    session.tick(10.0)
    assert session.outgoing() == b""


@pytest.mark.parametrize(("request_", "patience_s"), [(Stop(), 1.0), (Selftest(), 11.0)])
def test_a_self_test_is_given_the_time_that_it_takes(request_: Request, patience_s: float) -> None:
    session = Session(0.0)
    session.request(request_, 0.0)
    session.outgoing()
    session.tick(patience_s - 0.1)
    assert not asked(session.outgoing(), type(request_))
    session.tick(patience_s + 0.1)
    assert len(asked(session.outgoing(), type(request_))) == 1


def test_bytes_that_come_are_not_asked_for_again_and_an_answer_that_does_not_come_is() -> None:
    session, now_s = Session(0.0), 0.0
    session.request(RecRead(recording=1), now_s)
    session.outgoing()
    for sequence in range(20):
        now_s += 0.9
        piece = RecData(recording=1, offset=sequence, data=b"x")
        session.receive(DELIMITER + encode(Frame(sequence=sequence, device_time_us=0, body=piece)), now_s)
        session.tick(now_s)
        assert not asked(session.outgoing(), RecRead)
    session.tick(now_s + 1.1)
    assert len(asked(session.outgoing(), RecRead)) == 1


def test_the_time_that_another_receiver_was_told_is_not_learned_from() -> None:
    session = Session(1000.0)
    # By the clock of one that booted later, and of one that did before.
    for sequence, asked_s in enumerate((5.0, 1001.5)):
        told = Time(receiver_sent_us=round(1e6 * asked_s), device_received_us=10, device_sent_us=20)
        session.receive(DELIMITER + encode(Frame(sequence=sequence, device_time_us=20, body=told)), 1001.0)
    assert session.clock.time_s(20) is None


def test_the_time_is_asked_for_often_until_the_clock_has_settled_and_seldom_from_then_on() -> None:
    world = World()
    world.listens = False
    world.boot()
    world.run(65.0, step_s=0.05)
    before = len(bodies(world.told, Time))
    assert 110 <= before <= 125
    world.run(30.0, step_s=0.05)
    assert len(bodies(world.told, Time)) - before in (5, 6, 7)


def test_events_of_another_boot_are_others_though_they_have_the_same_numbers() -> None:
    world = World()
    for _ in range(2):
        world.boot()
        world.run(0.5)
        world.say(world.device.happen(EventCode.TAMPER, world.now_s))
        (event,) = bodies(world.run(0.5), Event)
        assert event.number == 0


def test_a_boot_ends_what_was_asked_before_it() -> None:
    world = World()
    world.listens = False
    world.boot()
    world.run(0.1)
    number = world.session.request(Selftest(), world.now_s)
    world.session.outgoing()
    world.boot()
    (answer,) = [one for one in world.run(0.1) if isinstance(one, Answer)]
    assert (answer.number, answer.result) == (number, None)


def test_the_device_refuses_in_words_that_arrive() -> None:
    world = World()
    world.boot()
    world.run(0.1)

    def code(request: Request, stream: int = SENSOR_STREAM) -> int:
        result = world.ask(request, stream=stream).result
        assert result is not None
        return result.code

    assert code(Set(parameter=0x8001, value=1)) == ResultCode.NOT_FOUND
    assert code(replace(START, rate_millihz=1)) == ResultCode.UNSUPPORTED
    assert code(START, stream=9) == ResultCode.NOT_FOUND
    assert code(RecRead(recording=7), stream=0) == ResultCode.NOT_FOUND
    assert code(Selftest(), stream=0) == ResultCode.OK


def test_what_another_receiver_has_started_with_other_settings_is_started_anew() -> None:
    world = World()
    world.listens = False
    world.boot()
    world.run(0.1)
    assert world.ask(replace(START, sample_format=SampleFormat.INT24), stream=SENSOR_STREAM).granted
    world.listens = True
    world.run(5.0)
    assert audio(world.run(0.1))[0].sample_format is SampleFormat.INT16


def test_stopped_is_stopped_and_nothing_is_lost_by_it() -> None:
    world = World()
    world.boot()
    world.run(1.0)
    world.listens = False
    assert world.ask(Stop(), stream=SENSOR_STREAM).granted
    assert audio(world.run(1.0)) == []
    assert world.ask(START, stream=SENSOR_STREAM).granted
    assert audio(world.run(1.0))
    assert not any(isinstance(one, SamplesLost) for one in world.told)


def test_silence_is_told_once_and_again_after_it_was_broken() -> None:
    world = World()
    world.boot()
    world.run(3.0)
    world.device.lose_power()
    (silence,) = [one for one in world.run(3 * SILENCE_S) if isinstance(one, Silence)]
    assert silence.duration_s == pytest.approx(SILENCE_S, abs=0.1)
    world.boot()
    world.run(1.0)
    world.device.lose_power()
    assert sum(isinstance(one, Silence) for one in world.run(2 * SILENCE_S)) == 1


def test_a_stall_loses_nothing() -> None:
    world = World(down=Faults(stall=0.05))
    world.boot()
    told = world.run(10.0)
    assert audio(told)[-1].end_index >= (10.0 - 10 * STALL_S) * RATE_HZ
    assert not any(isinstance(one, SamplesLost | FramesLost | Silence) for one in told)


def test_an_event_is_told_as_often_as_it_is_repeated() -> None:
    world = World()
    world.boot()
    world.run(1.0)
    world.say(world.device.happen(EventCode.TAMPER, world.now_s))
    first, *repeats = bodies(world.run(130.0, step_s=0.02), Event)
    assert (first.event, first.begun) == (EventCode.TAMPER, True)
    assert repeats == [first, first]
    world.say(world.device.happen(EventCode.TAMPER, world.now_s, begun=False))
    (event,) = bodies(world.run(1.0), Event)
    assert not event.begun


def test_a_flood_of_log_can_be_stopped() -> None:
    world = World(Device(noise(0), rate_hz=RATE_HZ, floods_log=True))
    world.boot()
    assert len(bodies(world.run(2.0), Log)) > 300
    assert world.ask(Set(parameter=Parameter.LOG_LEVEL, value=1)).granted
    assert bodies(world.run(1.0), Log) == []


def test_a_link_that_was_cut_goes_on_where_the_device_is() -> None:
    world = World()
    world.boot()
    world.run(2.0)
    heard = audio(world.told)[-1].end_index
    for _ in range(40):
        world.now_s += 0.02
        world.device.send(world.now_s)
    world.session.receive(b"\x03half a frame", world.now_s)
    world.session.request(Stop(), world.now_s, stream=9)
    world.session.reconnect(world.now_s)
    assert world.session.outgoing() == DELIMITER  # and nothing that was meant for the line as it was
    told = world.run(3.0)
    # Nobody knows what another receiver has asked of it meanwhile.
    assert any(isinstance(one, Answer) and one.request == START and one.granted for one in told)
    (lost,) = [one for one in told if isinstance(one, SamplesLost)]
    assert (lost.first_index, lost.place) == (heard, "link")
    assert lost.count == audio(told)[0].sample_index - heard == 40 * 160
    assert world.session.restarts == 0


def test_the_recordings_of_a_logger_arrive_over_a_link_that_loses() -> None:
    data = np.random.default_rng(5).bytes(50_000)
    device = Device(
        noise(0),
        rate_hz=RATE_HZ,
        capabilities=HEARS,
        recordings=[StoredRecording(data, 1_790_000_000_000_000, 2500), StoredRecording(b"", None, 0)],
    )
    world = World(device, down=Faults(loss=0.05))
    world.listens = False
    world.boot()
    world.run(2.5)
    number = world.session.request(RecList(), world.now_s)
    told = world.run(8.0)
    listed = {entry.recording: entry for body in bodies(told, RecList) for entry in body.recordings}
    assert any(isinstance(one, Answer) and one.number == number for one in told)
    assert listed[1].size == 50_000
    received = b""
    for _ in range(100):
        if len(received) == listed[1].size:
            break
        world.session.request(RecRead(recording=1, offset=len(received)), world.now_s)
        for piece in bodies(world.run(1.5), RecData):
            if piece.offset == len(received):
                received += piece.data
    assert received == data
    assert not world.ask(RecErase(recording=1, crc32=zlib.crc32(data) ^ 1), seconds=7.0).granted
    assert world.ask(RecErase(recording=1, crc32=zlib.crc32(data)), seconds=7.0).granted


def test_a_request_that_the_device_cannot_take_is_not_sent() -> None:
    session = Session(0.0)
    small = Hello(boot_id=1, max_payload=8, capabilities=Capabilities.START)
    session.receive(DELIMITER + encode(Frame(sequence=0, device_time_us=0, body=small)), 0.1)
    with pytest.raises(BridgeError, match="payloads of 8 bytes"):
        session.request(START, 0.2, stream=1)
