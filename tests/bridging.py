"""A simulated device at a port, in real time, that remembers what became of each of its frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from hydroear.app.pipeline import Pipeline
from hydroear.audio import Block, Gap
from hydroear.capture.bridge import BridgeSource
from hydroear.config import schema
from hydroear.config.schema import Decision
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteScorer
from hydroear_bridge.device import Device, Samples, StoredRecording
from hydroear_bridge.endpoint import Endpoint, Server, Terminal
from hydroear_bridge.faults import Faults, Link
from hydroear_bridge.frames import Audio, Body, EventCode, Frame, ResetCause
from hydroear_bridge.link import DELIMITER, encode

RATE_HZ = 16_000
NO_FAULTS = Faults()
Pieces = list[Block | Gap]
_STEP_S = 0.005
_PIECE, _TCP_PIECE = 2048, 65536
"""A terminal takes no more at once, and what it does not take is lost."""


def endpoint(kind: str, folder: Path) -> Endpoint:
    """A terminal in a folder, or a TCP port."""
    return Terminal(folder / "line") if kind == "terminal" else Server(0)


def counting(positions: np.ndarray[tuple[int], np.dtype[np.int64]], sensor: int = 1) -> Samples:
    """Samples that tell their position and their sensor; full scale 1, exact in 16 bits, never still."""
    return ((positions * 7919 + sensor * 4001) % 20_011 - 10_005) / 2**15


class Counter:
    """What a sensor hears: :func:`counting` from 0 on."""

    def __init__(self, sensor: int = 1) -> None:
        self.position = 0
        self._sensor = sensor

    def __call__(self, count: int) -> Samples:
        first, self.position = self.position, self.position + count
        return counting(np.arange(first, first + count), self._sensor)


def position_of(sample: float) -> int:
    """The place of a sample of the first sensor, modulo 20011."""
    return (round(sample * 2**15) + 10_005 - 4001) * pow(7919, -1, 20_011) % 20_011


class Witness(Link):
    """A link that remembers which frames can be read at its end."""

    def __init__(self, faults: Faults, seed: int) -> None:
        super().__init__(faults, seed)
        self.arrives: list[bool] = []

    def carry(self, wire: bytes, *, spared: bool = False) -> tuple[bytes, bool]:
        data, arrives = super().carry(wire, spared=spared)
        self.arrives.append(arrives)
        return data, arrives


class Bench:
    """A device that samples :func:`counting`, behind a link with faults; a context manager lets it run."""

    def __init__(
        self,
        at: Endpoint,
        *,
        faults: Faults = NO_FAULTS,
        seed: int = 0,
        sensors: int = 1,
        recordings: Sequence[StoredRecording] = (),
    ) -> None:
        self.endpoint = at
        self._counters = [Counter(sensor) for sensor in range(1, sensors + 1)]
        self.device = Device(
            *self._counters, rate_hz=RATE_HZ, boot_id=7, floods_log=faults.flood > 0.0, recordings=recordings
        )
        self._down = Witness(faults, seed)
        self._made: list[Frame] = []
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device")

    def __enter__(self) -> Self:
        self._boot()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.endpoint.close()

    @property
    def booted_s(self) -> float:
        """Monotonic time at which the device last began to run."""
        with self._mutex:
            return self._booted_s

    @property
    def stored(self) -> Mapping[int, StoredRecording]:
        """What is in its memory, by number."""
        with self._mutex:
            return self.device.recordings

    def audio(self, sensor: int = 1) -> list[tuple[Audio, bool]]:
        """What a sensor sampled, and whether that could be read at the end of the link."""
        with self._mutex:
            return [
                (frame.body, arrives)
                for frame, arrives in zip(self._made, self._down.arrives, strict=True)
                if isinstance(frame.body, Audio) and frame.stream == sensor
            ]

    @property
    def sending(self) -> set[int]:
        """The sensors that send samples."""
        with self._mutex:
            return {number for number, stream in self.device._streams.items() if stream.started}

    def restart(self, after_s: float = 0.2) -> None:
        """Lose power for so long."""
        with self._mutex:
            self.device.lose_power()
        time.sleep(after_s)
        with self._mutex:
            for counter in self._counters:
                counter.position = 0
            self._boot(ResetCause.BROWN_OUT)

    def unplug(self, for_s: float) -> None:
        """Cut the connection for so long; the device goes on."""
        with self.unplugged():
            time.sleep(for_s)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Cut the connection for as long as the block lasts."""
        with self._mutex:
            self.endpoint.cut()
        yield
        with self._mutex:
            self.endpoint.mend()

    def happen(
        self, event: EventCode, *, begun: bool = True, value: int = 0, lost: bool = False, sensor: int = 0
    ) -> datetime:
        """Let something begin or end, with the device or a sensor of it; gives when it did. Its report may be lost."""
        with self._mutex:
            now_s = time.monotonic()
            reports = self.device.happen(event, now_s, begun=begun, value=value)
            if not lost:
                self._say([replace(report, stream=sensor) for report in reports])
            return datetime.now(UTC) - timedelta(seconds=time.monotonic() - now_s)

    def _boot(self, cause: ResetCause = ResetCause.POWER_ON) -> None:
        self._booted_s = time.monotonic()
        self.device.boot(self._booted_s, cause)

    def ask(self, body: Body, sensor: int) -> None:
        """Ask something of the device, as another receiver would."""
        frame = Frame(sequence=2**31, device_time_us=0, stream=sensor, body=body)
        with self._mutex:
            self._say(self.device.receive(DELIMITER + encode(frame), time.monotonic()))

    def _say(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._made.append(frame)
            self._down.send(encode(frame), time.monotonic())

    def _run(self) -> None:
        waiting, connected = bytearray(), False
        size = _TCP_PIECE if isinstance(self.endpoint, Server) else _PIECE
        while not self._ended.is_set():
            with self._mutex:
                now_s = time.monotonic()
                self._say(self.device.send(now_s))
                waiting += self._down.arrived(now_s)
                if not self.endpoint.connected:
                    waiting, connected = bytearray(), False
                elif not connected:
                    waiting, connected = bytearray(DELIMITER + waiting), True
                piece = bytes(waiting[:size])
                del waiting[:size]
                heard = self.endpoint.exchange(piece, now_s + _STEP_S)
                self._say(self.device.receive(heard, time.monotonic()))


def settings(bench: Bench, **options: object) -> schema.BridgeSource:
    """How to hear its first sensor, with changes."""
    values = {"type": "bridge", "port": bench.endpoint.name, "stall_s": 3.0, **options}
    return schema.BridgeSource.model_validate(values)


def hear(source: BridgeSource, enough: Callable[[Pieces], bool], pieces: Pieces | None = None) -> Pieces:
    """Read until it is enough, at most for 30 s."""
    pieces = [] if pieces is None else pieces
    deadline_s = time.monotonic() + 30.0
    while not (pieces and enough(pieces)):
        assert time.monotonic() < deadline_s, (pieces[-3:], source.status)
        piece = source.read()
        assert piece is not None
        pieces.append(piece)
    assert pieces[0].first_index == 0
    assert all(before.end_index == after.first_index for before, after in pairwise(pieces))
    return pieces


def seconds(count: float) -> Callable[[Pieces], bool]:
    """Enough is so much of the stream."""
    return lambda pieces: pieces[-1].end_index >= count * RATE_HZ


def gaps(pieces: Pieces) -> list[Gap]:
    """What was lost."""
    return [piece for piece in pieces if isinstance(piece, Gap)]


def blocks(pieces: Pieces) -> list[Block]:
    """What was heard."""
    return [piece for piece in pieces if isinstance(piece, Block)]


def assert_exact(pieces: list[Block], first: int, sensor: int = 1, *, atol: float = 0.0) -> None:
    """Every sample is the one that the sensor took at its place, where `first` is the place of index 0."""
    for block in pieces:
        expected = counting(np.arange(block.first_index, block.end_index) + first, sensor)
        np.testing.assert_allclose(block.samples[:, 0], expected.astype(np.float32), rtol=0.0, atol=atol)


def assert_no_window_has_a_gap(pieces: Pieces) -> None:
    """That the daemon scores windows of these pieces, but none in which something is missing."""
    bundle = read_bundle(SHIPPED_BUNDLE)
    spec, scorer = bundle.front_end, SiteScorer(Scorer(bundle, choose_runtime()), None)
    listener = Pipeline("pipe", rate_hz=RATE_HZ, spec=spec, scorer=scorer, decision=Decision())
    scored = [report for piece in pieces for report in listener.hear(piece) if report.decades is not None]
    assert scored
    for report in scored:
        end = round(report.position_s * RATE_HZ)
        begin = end - round(spec.window_s * RATE_HZ)
        assert not [gap for gap in gaps(pieces) if gap.first_index < end and gap.end_index > begin]
    assert len(scored) == listener.windows_scored
    assert listener.samples_lost == sum(gap.length for gap in gaps(pieces))
