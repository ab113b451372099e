"""A microphone through the real PortAudio and ALSA: exact while it works, honest when it does not."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hydroear.audio import Block, Gap
from hydroear.capture import microphone
from hydroear.capture.microphone import MicrophoneSource
from hydroear.capture.supervised import SourceStatus
from hydroear.config import schema
from virtual_microphone import virtual_microphone

RATE_HZ = 16_000
BLOCK = 1_600
STALL_S = 0.5
COUNTING = (np.arange(60 * RATE_HZ) + 1) / 2**24
"""A minute in which every sample says which one it is."""


def position(block: Block) -> int:
    """Which sample of the counting sound a block begins with; every other must follow it."""
    numbers = np.rint(block.samples[:, 0].astype(np.float64) * 2**24).astype(int)
    assert (np.diff(numbers) == 1).all()
    return int(numbers[0]) - 1


def children() -> set[int]:
    """Processes this one has started and not yet reaped."""
    while True:
        # A thread that ends meanwhile leaves its children to another one, so that all are asked again.
        with suppress(FileNotFoundError, ProcessLookupError):
            tasks = Path("/proc/self/task").iterdir()
            return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def listen(source: MicrophoneSource, enough: Callable[[list[Block | Gap]], bool]) -> list[Block | Gap]:
    """Read until it is enough; pieces must follow each other and no read may take much longer than a stall."""
    pieces: list[Block | Gap] = []
    deadline_s = time.monotonic() + 20.0
    while not (pieces and enough(pieces)):
        asked_s = time.monotonic()
        assert asked_s < deadline_s, pieces[-3:]
        piece = source.read()
        assert piece is not None
        assert time.monotonic() - asked_s < source._live.stall_s + 1.0
        pieces.append(piece)
    assert all(before.end_index == after.first_index for before, after in pairwise(pieces))
    return pieces


def blocks(count: int) -> Callable[[list[Block | Gap]], bool]:
    return lambda pieces: sum(isinstance(piece, Block) for piece in pieces) >= count


def heard_again(pieces: list[Block | Gap]) -> bool:
    """A gap was followed by two blocks."""
    return any(isinstance(piece, Gap) for piece in pieces) and all(isinstance(piece, Block) for piece in pieces[-2:])


@pytest.fixture
def open_source() -> Iterator[Callable[..., MicrophoneSource]]:
    """Open microphones; each is closed after the test and must leave neither process nor open file."""
    before = children(), open_files()
    opened: list[MicrophoneSource] = []

    def make(device: str = "alsa:leakmic", **options: object) -> MicrophoneSource:
        settings = {"type": "microphone", "device": device, "rate_hz": RATE_HZ, "stall_s": STALL_S, **options}
        opened.append(MicrophoneSource(schema.MicrophoneSource.model_validate(settings)))
        return opened[-1]

    yield make
    for source in opened:
        source.close()
        assert source.read() is None
    assert (children(), open_files()) == before


def test_what_arrives_is_what_was_played(tmp_path: Path, open_source: Callable[..., MicrophoneSource]) -> None:
    with virtual_microphone(tmp_path, COUNTING):
        source = open_source(stall_s=10.0)
        pieces = listen(source, blocks(15))
        assert source.status == SourceStatus("healthy")
        source.close()
    assert pieces[0].first_index == 0
    heard = [piece for piece in pieces if isinstance(piece, Block)]
    assert len(heard) == len(pieces)
    assert heard[0].samples.shape == (BLOCK, 1)
    assert heard[0].samples.dtype == np.float32
    assert {piece.first_index - position(piece) for piece in heard} == {-position(heard[0])}
    assert heard[-1].monotonic_s - heard[4].monotonic_s == pytest.approx(1.0, abs=0.2)


def test_one_channel_of_several_is_heard(tmp_path: Path, open_source: Callable[..., MicrophoneSource]) -> None:
    with virtual_microphone(tmp_path, np.stack([0.0 * COUNTING, COUNTING, 0.0 * COUNTING], axis=1)):
        source = open_source(channels=3, channel=2)
        (block,) = listen(source, blocks(1))
        assert isinstance(block, Block)
        assert block.samples.shape == (BLOCK, 1)
        assert position(block) >= 0
        source.close()


def test_the_reference_channel_comes_second_whatever_its_number(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource]
) -> None:
    with virtual_microphone(tmp_path, np.stack([0.5 * COUNTING, 0.0 * COUNTING, COUNTING], axis=1)):
        source = open_source(channels=3, channel=3, reference_channel=1)
        (block,) = listen(source, blocks(1))
        assert isinstance(block, Block)
        assert block.samples.shape == (BLOCK, 2)
        assert position(block) >= 0
        np.testing.assert_array_equal(block.samples[:, 1], np.float32(0.5) * block.samples[:, 0])
        source.close()


def test_a_driver_that_hangs_becomes_a_gap_and_is_heard_again(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with virtual_microphone(tmp_path, COUNTING) as device:
        source = open_source()
        first = listen(source, blocks(2))[-1]
        assert isinstance(first, Block)
        device.stall()
        lost = listen(source, lambda pieces: sum(isinstance(piece, Gap) for piece in pieces) == 2)[-1]
        assert isinstance(lost, Gap)
        assert "stopped sending" in lost.reason
        interrupted = source.status
        device.resume()
        # Whether another gap comes first hangs on whether the last one reached up to now.
        last = listen(source, blocks(2))[-1]
        assert isinstance(last, Block)
        assert (interrupted.state, source.status.state) == ("recovering", "healthy")
        assert source.status.restarts >= 1
        # The indices have gone on as fast as the sound did, to the two blocks that ALSA may hold at a start.
        played, counted = position(last) - position(first), last.first_index - first.first_index
        assert abs(counted - played) <= 2 * BLOCK
        source.close()
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]


@pytest.mark.parametrize(
    ("sent", "reason"), [(signal.SIGKILL, "killed by SIGKILL"), (signal.SIGSTOP, "stopped sending")]
)
def test_a_child_that_is_killed_or_stopped_is_replaced(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource], sent: signal.Signals, reason: str
) -> None:
    others = children()
    with virtual_microphone(tmp_path, COUNTING):
        source = open_source()
        first = listen(source, blocks(2))[-1]
        (child,) = children() - others
        os.kill(child, sent)
        pieces = listen(source, heard_again)
        last = pieces[-1]
        assert isinstance(first, Block)
        assert isinstance(last, Block)
        assert reason in next(piece.reason for piece in pieces if isinstance(piece, Gap))
        assert abs((last.first_index - first.first_index) - (position(last) - position(first))) <= 2 * BLOCK
        assert child not in children()
        source.close()


def test_a_missing_device_is_named_and_no_other_is_heard(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource], caplog: pytest.LogCaptureFixture
) -> None:
    with virtual_microphone(tmp_path, COUNTING, name="leakmic2"):
        source = open_source("alsa:leakmic")
        pieces = listen(source, lambda pieces: pieces[-1].end_index > 2 * RATE_HZ)
        source.close()
    assert all(isinstance(piece, Gap) for piece in pieces)
    assert source.status.state == "recovering"
    assert source.status.last_error.startswith("alsa:leakmic: no such device; inputs are: alsa:leakmic2;")
    assert len(caplog.records) == 1


def test_a_usb_device_that_is_not_plugged_in_is_waited_for_and_no_other_is_heard(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource]
) -> None:
    """The machine's own sysfs, in which no device has this vendor."""
    with virtual_microphone(tmp_path, COUNTING):
        source = open_source("usb:ffff:ffff:NONE")
        pieces = listen(source, lambda pieces: pieces[-1].end_index > 2 * RATE_HZ)
        source.close()
    assert all(isinstance(piece, Gap) for piece in pieces)
    assert source.status.restarts >= 1
    assert source.status.last_error.startswith("usb:ffff:ffff:NONE: not plugged in; sound devices on USB are: ")


def test_channels_that_the_device_lacks_are_refused_in_words(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource]
) -> None:
    one_channel = "pcm.mono { type multi  slaves.a { pcm null channels 1 }  bindings.0 { slave a channel 0 } }\n"
    with virtual_microphone(tmp_path, COUNTING):
        with (tmp_path / "asound.conf").open("a") as config:
            config.write(one_channel)
        source = open_source("alsa:mono", channels=2)
        listen(source, lambda _: source.status.last_error != "")
        assert "2 channel(s) asked, 1 offered" in source.status.last_error
        source.close()


FRAMES = """
import sys, time
sys.path.insert(0, {folder!r})
from microphone_child import Kind, frame
send = lambda data: (sys.stdout.buffer.write(data), sys.stdout.flush(), time.sleep(0.1))
second = bytes(4 * 1600)
send(frame(Kind.AUDIO, second, 0))
{then}
time.sleep(60)
"""
"""Stands in for a driver whose failures cannot be made on purpose; its frames and its pipe are real."""


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("time.sleep(0.2); send(frame(Kind.AUDIO_AFTER_LOSS, second, 1600))", "overflow"),
        ("send(b'ALSA lib pcm.c: underrun, or whatever a driver prints')", "malformed"),
        ("send(frame(Kind.AUDIO, second, 4800))", "lost count"),
        ("send(frame(Kind.AUDIO, b'\\xff' * 6400, 1600))", "not numbers"),
        ("sys.exit(3)", "ended with status 3"),
    ],
    ids=["overflow", "malformed", "out of count", "not a number", "exit"],
)
def test_frames_that_are_not_a_seamless_sequel_become_a_gap(
    open_source: Callable[..., MicrophoneSource], monkeypatch: pytest.MonkeyPatch, then: str, reason: str
) -> None:
    script = FRAMES.format(folder=str(Path(microphone.__file__).parent), then=then)
    monkeypatch.setattr(microphone, "command", lambda _: [sys.executable, "-c", script])
    source = open_source(stall_s=10.0)
    block, gap = listen(source, lambda pieces: isinstance(pieces[-1], Gap))
    assert isinstance(block, Block)
    assert isinstance(gap, Gap)
    assert reason in gap.reason
    if reason == "overflow":
        after = source.read()
        assert isinstance(after, Block)
        assert gap.length == pytest.approx((after.monotonic_s - block.monotonic_s) * RATE_HZ - BLOCK, abs=1)
        assert 0.15 * RATE_HZ < gap.length < RATE_HZ
        assert source.status.restarts == 0


def test_closing_ends_a_read_in_another_thread_though_the_driver_hangs(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource]
) -> None:
    with virtual_microphone(tmp_path, COUNTING) as device:
        source = open_source(stall_s=30.0)
        listen(source, blocks(1))
        device.stall()
        ends: list[Block | Gap | None] = []

        def read_on() -> None:
            while not ends or ends[-1] is not None:
                ends.append(source.read())

        thread = threading.Thread(target=read_on)
        thread.start()
        time.sleep(0.3)  # any moment will do; most likely the reader waits by now
        before_s = time.monotonic()
        source.close()
        thread.join(5.0)
        assert not thread.is_alive()
        assert time.monotonic() - before_s < 2.0
        assert ends[-1] is None


def test_the_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "from hydroear.capture.microphone import MicrophoneSource, schema\n"
        "source = MicrophoneSource(schema.MicrophoneSource(type='microphone', device='alsa:leakmic'))\n"
        "source.read()\n"
        "print(source._supply._feed._process.pid, flush=True)\n"
        "while True: source.read()\n"
    )
    with (
        virtual_microphone(tmp_path, COUNTING) as device,
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent,
    ):
        assert parent.stdout is not None
        child = Path("/proc") / parent.stdout.readline().strip()
        device.stall()  # a hanging driver must not keep it alive
        parent.kill()
        deadline_s = time.monotonic() + 5.0
        while child.exists() and " Z " not in (child / "stat").read_text():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


def test_what_is_lost_while_the_child_is_stopped_is_counted_and_does_not_add_up(
    tmp_path: Path, open_source: Callable[..., MicrophoneSource]
) -> None:
    """The child is stopped for less than a stall, so that nobody is told of the loss; ALSA keeps a part of it."""
    others = children()
    with virtual_microphone(tmp_path, COUNTING):
        source = open_source(stall_s=10.0)
        first = listen(source, blocks(5))[-1]
        assert isinstance(first, Block)
        (child,) = children() - others
        for _ in range(2):
            os.kill(child, signal.SIGSTOP)
            time.sleep(2.0)
            os.kill(child, signal.SIGCONT)
            pieces = listen(source, lambda pieces: blocks(75)(pieces) and isinstance(pieces[-1], Block))
            assert any(isinstance(piece, Gap) and "did not report" in piece.reason for piece in pieces)
            last = pieces[-1]
            assert isinstance(last, Block)
            played, counted = position(last) - position(first), last.first_index - first.first_index
            assert abs(counted - played) < BLOCK
        assert source.status.restarts == 0
        source.close()


@contextmanager
def sound_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A PulseAudio of one's own with the microphone of a silent sink."""
    server = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
    server += ["-L", f"module-native-protocol-unix auth-anonymous=1 socket={folder}/native"]
    server += ["-L", f"module-null-sink sink_name=mic rate={RATE_HZ} channels=1 format=s16le"]
    with subprocess.Popen(server, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def sound_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where :func:`sound_server` runs, and ALSA looks for its microphone."""
    monkeypatch.setenv("PULSE_RUNTIME_PATH", str(tmp_path / "run"))
    monkeypatch.setenv("PULSE_STATE_PATH", str(tmp_path / "state"))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/native")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    (tmp_path / "asound.conf").write_text(
        '</usr/share/alsa/alsa.conf>\npcm.leakmic { type pulse device "mic.monitor" hint { show on } }\n'
    )
    return tmp_path


needs_pulseaudio = pytest.mark.skipif(not shutil.which("pulseaudio"), reason="pulseaudio is not installed")


@needs_pulseaudio
@pytest.mark.parametrize(("stall_s", "restarts"), [(10.0, False), (0.5, True)], ids=["patient", "impatient"])
def test_a_sound_server_that_is_stopped_for_a_while_leaves_index_and_clock_together(
    sound_folder: Path, open_source: Callable[..., MicrophoneSource], stall_s: float, restarts: bool
) -> None:
    with sound_server(sound_folder) as server:
        source = open_source(stall_s=stall_s)
        first = listen(source, blocks(40))[-1]
        assert isinstance(first, Block)
        for _ in range(2):
            os.kill(server.pid, signal.SIGSTOP)
            until_s = time.monotonic() + 1.5
            while restarts and time.monotonic() < until_s:
                assert source.read() is not None
            time.sleep(max(0.0, until_s - time.monotonic()))
            os.kill(server.pid, signal.SIGCONT)
            last = listen(source, lambda pieces: blocks(70)(pieces) and isinstance(pieces[-1], Block))[-1]
            assert isinstance(last, Block)
            passed_s = last.monotonic_s - first.monotonic_s
            assert (last.end_index - first.end_index) / RATE_HZ == pytest.approx(passed_s, abs=0.25)
        assert (source.status.restarts > 0) is restarts
        source.close()


@needs_pulseaudio
def test_a_sound_server_that_dies_and_returns_is_heard_again(
    sound_folder: Path, open_source: Callable[..., MicrophoneSource]
) -> None:
    with sound_server(sound_folder):
        source = open_source()
        listen(source, blocks(3))
    listen(source, lambda pieces: isinstance(pieces[-1], Gap))
    (sound_folder / "native").unlink()
    with sound_server(sound_folder):
        listen(source, heard_again)
        assert source.status.restarts >= 1
        source.close()
