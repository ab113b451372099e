"""Raw PCM from real programs and from standard input: exact while it comes, told in words when it does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hydroear.audio import Block, Gap
from hydroear.capture import open_source
from hydroear.capture.pipe import PipeSource
from hydroear.config import schema
from virtual_microphone import virtual_microphone

RATE_HZ = 16_000
BLOCK = 1_600
COUNT = "import sys, time, struct; out = sys.stdout.buffer; start = time.monotonic()\n"
PACED = COUNT + (
    "for k in range({blocks}):\n"
    "    time.sleep(max(0, start + k / 10 - time.monotonic()))\n"
    "    out.write(struct.pack('<1600h', *[(i % 30000) for i in range(1600 * k, 1600 * k + 1600)])); out.flush()\n"
)
"""A program that writes samples which count themselves, ten blocks a second."""


def settings(*command: str, **options: object) -> schema.PipeSource:
    values = {"type": "pipe", "command": list(command), "rate_hz": RATE_HZ, "stall_s": 0.5, **options}
    return schema.PipeSource.model_validate(values)


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def listen(source: PipeSource, enough: Callable[[list[Block | Gap]], bool]) -> list[Block | Gap]:
    pieces: list[Block | Gap] = []
    deadline_s = time.monotonic() + 20.0
    while not (pieces and enough(pieces)):
        assert time.monotonic() < deadline_s, pieces[-3:]
        piece = source.read()
        assert piece is not None
        pieces.append(piece)
    assert all(before.end_index == after.first_index for before, after in pairwise(pieces))
    return pieces


@pytest.fixture
def pipe() -> Iterator[Callable[..., PipeSource]]:
    """Open sources; each is closed after the test and must leave no open file."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    opened: list[PipeSource] = []

    def make(*command: str, **options: object) -> PipeSource:
        opened.append(PipeSource(settings(*command, **options)))
        return opened[-1]

    yield make
    for source in opened:
        source.close()
        assert source.read() is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def error_of(source: PipeSource) -> str:
    """What a source says once it has failed."""
    listen(source, lambda _: source.status.last_error != "")
    return source.status.last_error


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("s16le", lambda x: np.int16(x * 2**15).astype("<i2").tobytes()),
        ("s24le", lambda x: np.int32(x * 2**23).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()),
        ("s32le", lambda x: np.int64(x * 2**31).astype("<i4").tobytes()),
        ("f32le", lambda x: x.astype("<f4").tobytes()),
    ],
)
def test_every_format_and_channel_is_decoded_exactly(
    tmp_path: Path, pipe: Callable[..., PipeSource], name: str, encode: Callable[[np.ndarray], bytes]
) -> None:
    sound = np.random.default_rng(1).integers(-(2**15), 2**15, size=(2 * BLOCK, 2)) / 2**15
    (tmp_path / "sound").write_bytes(encode(sound.reshape(-1)))
    source = pipe("sh", "-c", f"cat {tmp_path}/sound; sleep 60", format=name, channels=2, channel=2, stall_s=10.0)
    first, second = listen(source, lambda pieces: len(pieces) == 2)
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    np.testing.assert_array_equal(np.concatenate([first.samples, second.samples])[:, 0], sound[:, 1].astype(np.float32))
    source.close()


def test_a_program_that_ends_is_started_again_behind_a_gap_as_long_as_the_clock_says(
    pipe: Callable[..., PipeSource],
) -> None:
    source = pipe(*python(PACED.format(blocks=5)), stall_s=10.0)
    pieces = listen(source, lambda pieces: sum(isinstance(piece, Block) for piece in pieces) == 8)
    gaps = [piece for piece in pieces if isinstance(piece, Gap)]
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    assert "ended with status 0" in gaps[0].reason
    assert source.status.restarts == 1
    passed_s = blocks[-1].monotonic_s - blocks[0].monotonic_s
    assert blocks[-1].first_index - blocks[0].first_index == pytest.approx(passed_s * RATE_HZ, abs=0.1 * RATE_HZ)
    source.close()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("sys.exit(3)", "ended with status 3"),
        ("sys.stderr.write('warming up\\nno such URL\\x1b[0m\\n'); sys.exit(1)", 'status 1, saying "no such URL[0m"'),
        ("out.write(bytes(3201)); out.flush()", "ended with status 0; the last 1 byte(s) are no whole sample of 2; "),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("out.write(bytes(3200)); out.flush(); time.sleep(60)", "stopped sending samples; run it by hand to see why"),
        ("import os; out.write(bytes(3200)); out.flush(); os.close(1); time.sleep(60)", "closed its output"),
        (
            "import threading; flood = lambda: [sys.stderr.write('overrun!!!\\n') for _ in iter(int, 1)]; "
            "threading.Thread(target=flood, daemon=True).start(); out.write(bytes(3200)); out.flush(); time.sleep(60)",
            'stopped sending samples, saying "',
        ),
    ],
    ids=["exit", "complaint", "odd byte", "killed", "stall", "closed", "flood"],
)
def test_what_goes_wrong_is_told_in_words(pipe: Callable[..., PipeSource], script: str, says: str) -> None:
    source = pipe(*python(COUNT + script))
    error = error_of(source)
    assert error.startswith(f"{sys.executable}: ")
    assert says in error
    assert "\n" not in error
    source.close()


def test_a_program_that_is_missing_or_sends_nothing_is_named(
    pipe: Callable[..., PipeSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert error_of(pipe("no-such-recorder", "-q")) == "no-such-recorder: no such program; install it, or give its path"
    (tmp_path / "text").write_text("no program")
    assert "cannot be run (Permission denied)" in error_of(pipe(str(tmp_path / "text")))
    monkeypatch.setattr("hydroear.capture.pipe.START_S", 0.5)
    assert "has sent no samples" in error_of(pipe("sleep", "60"))


def test_a_flood_of_complaints_delays_no_samples(pipe: Callable[..., PipeSource]) -> None:
    flood = (
        "import threading\n"
        "flood = lambda: [(sys.stderr.write('x' * 9999), time.sleep(0.01)) for _ in iter(int, 1)]\n"
        "threading.Thread(target=flood, daemon=True).start()\n"
    )
    source = pipe(*python(COUNT + flood + PACED.format(blocks=100)), stall_s=10.0)
    pieces = listen(source, lambda pieces: len(pieces) == 15)
    assert all(isinstance(piece, Block) for piece in pieces)
    assert source.status.state == "healthy"
    source.close()


def test_a_busy_reader_makes_no_sample_late(pipe: Callable[..., PipeSource]) -> None:
    source = pipe(*python(PACED.format(blocks=100)), stall_s=10.0)
    pieces = listen(source, lambda pieces: len(pieces) == 3)
    time.sleep(1.0)
    pieces += listen(source, lambda pieces: len(pieces) == 8)
    began_s = [piece.monotonic_s - piece.end_index / RATE_HZ for piece in pieces if isinstance(piece, Block)]
    assert len(began_s) == 11
    assert max(began_s) - min(began_s) < 0.5
    source.close()


def test_closing_kills_all_that_the_program_has_started(tmp_path: Path, pipe: Callable[..., PipeSource]) -> None:
    script = f"sleep 61 & echo $! > {tmp_path}/pid; head -c 3200 /dev/zero; trap '' TERM INT; wait"
    source = pipe("sh", "-c", script, stall_s=10.0)
    listen(source, lambda pieces: isinstance(pieces[-1], Block))
    sleeper = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{sleeper}").exists()
    source.close()
    deadline_s = time.monotonic() + 5.0
    with suppress(FileNotFoundError, ProcessLookupError):
        while "Z (zombie)" not in Path(f"/proc/{sleeper}/status").read_text():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


@pytest.mark.skipif(not shutil.which("arecord"), reason="arecord is not installed")
def test_arecord_is_heard_exactly(tmp_path: Path, pipe: Callable[..., PipeSource]) -> None:
    counting = (np.arange(30 * RATE_HZ) + 1) / 2**24
    with virtual_microphone(tmp_path, counting):
        command = "arecord -q -D leakmic -t raw -f FLOAT_LE -r 16000 -c 1 --period-size=1600 --buffer-size=6400"
        source = pipe(*command.split(), format="f32le", stall_s=10.0)
        pieces = listen(source, lambda pieces: len(pieces) == 10)
        heard = np.concatenate([piece.samples[:, 0] for piece in pieces if isinstance(piece, Block)])
        assert len(heard) == 10 * BLOCK
        assert (np.diff(np.rint(heard.astype(np.float64) * 2**24)) == 1).all()
        source.close()


STDIN = """
import json, sys, threading
from hydroear.capture import open_source
from hydroear.config import schema
source = open_source(schema.PipeSource(type="pipe", command="stdin", stall_s=0.5))
while (piece := source.read()) is not None:
    heard = hasattr(piece, "samples")
    print(json.dumps([heard, piece.first_index, piece.end_index]), flush=True)
"""


def test_standard_input_is_heard_to_its_end_with_its_pauses() -> None:
    """A second, a pause that is counted as lost, and half a second more with an odd byte at its end."""
    with subprocess.Popen(
        [sys.executable, "-c", STDIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdin.write(bytes(2 * RATE_HZ))
        reader.stdin.flush()
        first = [reader.stdout.readline() for _ in range(10)]
        time.sleep(2.0)
        reader.stdin.write(bytes(2 * 8_100 + 1))
        reader.stdin.close()
        rest = reader.stdout.read().splitlines()
        complaint = reader.stderr.read().decode()
    pieces = [json.loads(line) for line in first + rest]
    assert all(before[2] == after[1] for before, after in pairwise(pieces))
    assert [heard for heard, *_ in pieces[:10]] == [True] * 10
    heard = sum(end - begin for is_block, begin, end in pieces if is_block)
    lost = sum(end - begin for is_block, begin, end in pieces if not is_block)
    assert RATE_HZ + 7_000 <= heard <= RATE_HZ + 8_100
    assert lost > 0
    assert "the last 1 byte(s) are no whole sample of 2" in complaint
    assert reader.returncode == 0


def test_closing_ends_a_read_of_standard_input_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin, os.fdopen(write_end, "wb"):
        monkeypatch.setattr(sys, "stdin", stdin)
        source = open_source(schema.PipeSource(type="pipe", command="stdin", stall_s=30.0))
        ends: list[object] = []
        thread = threading.Thread(target=lambda: ends.append(source.read()))
        thread.start()
        time.sleep(0.3)
        source.close()
        thread.join(5.0)
        assert ends == [None]


def test_two_sensors_cannot_hear_one_standard_input() -> None:
    sensors = [{"id": name, "source": {"type": "pipe", "command": "stdin"}} for name in "ab"]
    with pytest.raises(ValueError, match="two sensors hear stdin"):
        schema.Config.model_validate({"unit": "u", "bundle": "b", "sensors": sensors})
