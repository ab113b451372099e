"""``hydroear-bridge upload``: what a logger recorded is fetched whole, with its true time, whatever comes between."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge_tool import BRIDGE, Serving, bridge, recordings
from hydroear_bridge.frames import Audio, Body, Frame, Hello, SampleFormat
from hydroear_bridge.link import encode
from hydroear_bridge.simulator import noise

RATE_HZ = 8000
FRAME = RATE_HZ // 50
UID = b"simulated".hex()

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a simulated logger; gives its port."""
    with ExitStack() as running:

        def start(*options: object) -> str:
            return running.enter_context(Serving("simulate", "--at", "tcp:0", "--rate", RATE_HZ, *options)).port

        yield start


def upload(port: str, out: Path, *options: str) -> list[dict[str, Any]]:
    done = bridge("upload", port, "--out", out, "--json", "--quiet", *options)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Memory:
    """The bytes of a recording as a logger writes them."""

    def __init__(self) -> None:
        self.data = b"\0"
        self._sequence = 0

    def boot(self, boot_id: int) -> None:
        self._sequence = 0
        self.say(Hello(boot_id=boot_id, uid=b"logger", firmware="1.0"))

    def audio(self, index: int, *, at_s: float, stream: int = 1, damaged: bool = False) -> None:
        samples = np.arange(index, index + FRAME) % 2**15
        body = Audio(
            sample_index=index,
            rate_millihz=1000 * RATE_HZ,
            sample_format=SampleFormat.INT16,
            data=samples.astype("<i2").tobytes(),
        )
        self.say(body, at_s=at_s, stream=stream, damaged=damaged)

    def say(self, body: Body, *, at_s: float = 0.0, stream: int = 0, damaged: bool = False) -> None:
        wire = bytearray(
            encode(Frame(sequence=self._sequence, device_time_us=round(1e6 * at_s), stream=stream, body=body))
        )
        self._sequence += 1
        if damaged:
            wire[20] = wire[20] % 255 + 1
        self.data += wire


def test_the_nights_of_a_logger_are_fetched_over_a_bad_line_and_forgotten_when_asked(
    serve: Serve, tmp_path: Path
) -> None:
    port = serve("--recordings", 2, "--faults", "loss=0.02,noise=1e-6")
    done = bridge("upload", port, "--out", tmp_path, "--quiet")
    assert done.stdout.endswith("2 recording(s) are here\n")
    for night, (told, samples) in enumerate(recordings(tmp_path)):
        began = f"2025-01-0{night + 1}T01:00:00.000Z"
        assert told["file"] == f"{UID}-{night + 1}-stream1-2025010{night + 1}T010000.000Z.wav"
        assert (told["began"], told["ended"], told["gaps"]) == (began, began.replace("00.000", "10.000"), [])
        sound = noise(night)
        heard = np.concatenate([sound(FRAME) for _ in range(10 * RATE_HZ // FRAME)])
        np.testing.assert_array_equal(samples[:, 0], np.floor(heard * 2**15))
    assert "nowhere else" in bridge("upload", port, "--out", tmp_path, "--erase", "--quiet").stdout
    assert bridge("upload", port, "--out", tmp_path, "--quiet").stdout == "0 recording(s) are here\n"


def test_an_upload_goes_on_where_it_was_broken_off_and_takes_nothing_damaged(serve: Serve, tmp_path: Path) -> None:
    port = serve("--recordings", 1)
    bridge("upload", port, "--out", tmp_path, "--quiet")
    (whole,) = tmp_path.glob("*.bin")
    data = whole.read_bytes()
    whole.unlink()
    part = whole.with_name(whole.name + ".part")

    part.write_bytes(b"\xff" + data[1:1000])
    done = bridge("upload", port, "--out", tmp_path, "--erase", "--quiet", code=1)
    assert "what came is not what the device says that it has; give the command again" in done.stderr
    assert not part.exists()

    part.write_bytes(data[: len(data) // 2])
    capture = bridge("upload", port, "--out", tmp_path, "--quiet")
    assert whole.read_bytes() == data
    assert "1 recording(s) are here" in capture.stdout


def test_of_many_nights_none_is_left_out_though_the_list_is_lost_in_part(serve: Serve, tmp_path: Path) -> None:
    port = serve("--recordings", 12, "--night-seconds", 0.1, "--faults", "loss=0.1", "--seed", 1)
    assert [told["recording"] for told in upload(port, tmp_path)] == list(range(1, 13))


def test_a_night_of_one_s_own_sound_is_here_to_the_sample_and_is_played_again_as_it_is(
    serve: Serve, tmp_path: Path
) -> None:
    sound = np.random.default_rng(3).integers(-(2**15), 2**15, 3 * RATE_HZ).astype("<i2")
    with wave.open(str(tmp_path / "pipe.wav"), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    port = serve("--night", tmp_path / "pipe.wav", "--first-night", "2025-06-01T02:30:00.250+02:00")
    (told,) = upload(port, tmp_path / "nights")
    assert (told["start"], told["duration_s"], told["erased"]) == ("2025-06-01T00:30:00.250Z", 3.0, False)
    ((_, samples),) = recordings(tmp_path / "nights")
    np.testing.assert_array_equal(samples[:, 0], sound)

    port = serve("--sound", tmp_path / "pipe.wav")
    bridge("record", port, "--out", tmp_path / "live", "--seconds", 4, "--quiet")
    ((live, samples),) = recordings(tmp_path / "live")
    first = live["first_sample_index"]
    np.testing.assert_array_equal(samples[:, 0] >> 8, sound.take(range(first, first + len(samples)), mode="wrap"))

    with Serving("replay", tmp_path / "nights" / told["file"], "--at", "tcp:0", "--speed", 0, "--quiet") as replay:
        bridge("record", replay.port, "--out", tmp_path / "again", "--seconds", 60, "--quiet", code=1)
        replay.wait()
    ((_, samples),) = recordings(tmp_path / "again")
    np.testing.assert_array_equal(samples[:, 0], sound)


def test_gaps_boots_stops_and_damage_in_a_recording_are_told_with_their_place_and_true_time(
    serve: Serve, tmp_path: Path
) -> None:
    memory = Memory()
    memory.boot(1)
    memory.audio(0, at_s=50.0)
    memory.audio(0, at_s=50.0, stream=2, damaged=True)
    memory.audio(FRAME, at_s=50.02, damaged=True)
    memory.audio(FRAME, at_s=50.02, stream=2)
    memory.audio(2 * FRAME, at_s=50.04)
    memory.audio(102 * FRAME, at_s=52.04)  # it lost two seconds
    memory.audio(103 * FRAME, at_s=60.0)  # it was stopped
    memory.boot(2)
    memory.audio(0, at_s=1.0)
    (tmp_path / "night.bin").write_bytes(memory.data)
    port = serve("--night", tmp_path / "night.bin")
    (told,) = upload(port, tmp_path / "nights", "--erase")
    assert (tmp_path / "nights" / told["file"]).read_bytes() == memory.data
    assert (told["start"], told["bad_frames"], told["erased"]) == ("2025-01-01T01:00:00.000Z", 2, True)
    first, stopped, booted, other = told["files"]
    assert (first["stream"], first["began"], first["ended"]) == (
        1, "2025-01-01T01:00:00.000Z", "2025-01-01T01:00:02.060Z",
    )  # fmt: skip
    assert first["gaps"] == [
        {"first": FRAME, "count": FRAME, "place": "link"},
        {"first": 3 * FRAME, "count": 99 * FRAME, "place": "device"},
    ]
    assert (stopped["began"], stopped["samples"], stopped["gaps"]) == ("2025-01-01T01:00:10.000Z", FRAME, [])
    assert (booted["began"], booted["ended"], booted["samples"]) == (None, None, FRAME)
    assert (other["stream"], other["began"], other["first_sample_index"]) == (2, "2025-01-01T01:00:00.020Z", FRAME)
    written = {told["file"]: (told, samples[:, 0]) for told, samples in recordings(tmp_path / "nights")}
    assert {name: told for name, (told, _) in written.items()} == {
        one["file"]: one | {"device": written[one["file"]][0]["device"]} for one in told["files"]
    }
    samples = written[first["file"]][1]
    heard = np.flatnonzero(samples)
    np.testing.assert_array_equal(samples[heard], heard)
    assert [written[one["file"]][0]["device"]["boot_id"] for one in told["files"]] == [1, 1, 2, 1]


def test_what_is_no_recording_is_fetched_and_said_to_hold_no_samples(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "junk.bin").write_bytes(b"\0no\0frames")
    done = bridge("upload", serve("--night", tmp_path / "junk.bin"), "--out", tmp_path, "--quiet")
    path = tmp_path / f"{UID}-1.bin"
    assert f"{path}: 1 bad frame(s), no samples; look with: hydroear-bridge sniff {path}" in done.stdout
    assert path.read_bytes() == b"\0no\0frames"


def test_an_upload_that_is_killed_goes_on_from_there(serve: Serve, tmp_path: Path) -> None:
    port = serve("--recordings", 1, "--night-seconds", 40)
    part = tmp_path / f"{UID}-1.bin.part"
    killed = subprocess.Popen([BRIDGE, "upload", port, "--out", tmp_path, "--quiet"])
    deadline_s = time.monotonic() + 60
    while not part.exists() or part.stat().st_size < 200_000:
        assert killed.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    there = part.stat()
    (told,) = upload(port, tmp_path, "--erase")
    whole = (tmp_path / told["file"]).stat()
    assert whole.st_ino == there.st_ino
    assert whole.st_size == told["size"] > there.st_size
    ((_, samples),) = recordings(tmp_path)
    sound = noise(0)
    np.testing.assert_array_equal(samples[:, 0], np.floor(np.concatenate([sound(FRAME) for _ in range(2000)]) * 2**15))


def limit_files() -> None:
    """Let no file be longer than 100 kB, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.parametrize("there", [False, True], ids=["bytes", "samples"])
def test_a_full_disk_is_told_with_the_file_and_nothing_is_forgotten(there: bool, serve: Serve, tmp_path: Path) -> None:
    port = serve("--recordings", 1)
    if there:
        upload(port, tmp_path)
        for path in tmp_path.glob("*.[wj]*"):
            path.unlink()
    full = subprocess.run(
        [BRIDGE, "upload", port, "--out", tmp_path, "--erase", "--quiet"],
        preexec_fn=limit_files, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert full.returncode == 1
    name = "-stream1-20250101T010000.000Z.wav" if there else ".bin.part"
    assert full.stderr == (
        f"hydroear-bridge: error: {tmp_path}/{UID}-1{name}: File too large; mend that, and give the command again\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [f"{UID}-1.bin" + ("" if there else ".part")]
    (told,) = upload(port, tmp_path, "--erase")
    assert told["files"][0]["samples"] == 10 * RATE_HZ


def test_a_full_disk_ends_a_recording_that_can_be_read(serve: Serve, tmp_path: Path) -> None:
    full = subprocess.run(
        [BRIDGE, "record", serve(), "--out", tmp_path, "--seconds", "60", "--quiet"],
        preexec_fn=limit_files, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert full.returncode == 1
    assert ".wav: File too large; mend that" in full.stderr
    ((told, samples),) = recordings(tmp_path)
    assert len(samples) == (100_000 - 44) // 3
    first = told["first_sample_index"]
    sound = noise(0)
    sent = np.floor(np.concatenate([sound(FRAME) for _ in range(-(-(first + len(samples)) // FRAME))]) * 2**23)
    np.testing.assert_array_equal(samples[:, 0], sent[first : first + len(samples)])


def test_a_memory_with_nothing_in_it_is_said_so(serve: Serve, tmp_path: Path) -> None:
    assert "0 recording(s)" in bridge("upload", serve(), "--out", tmp_path, "--quiet").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--night", "nowhere.wav"], "nowhere.wav: No such file"),
        (["--sound", "nowhere.wav"], "nowhere.wav: No such file"),
        (["--sound", "junk"], "junk: file does not start with RIFF id; expected a WAV file of one channel at 16000 Hz"),
        (["--sound", "slow.wav"], "slow.wav: 1 channel(s) at 8000 Hz of 16 bits, 4 bytes; expected a WAV file"),
        (["--recordings", "1", "--night-seconds", "0"], "seconds is 0.0, expected"),
        (["--first-night", "noon"], "'noon' is no time; expected one as 2025-01-01T01:00:00Z"),
    ],
)
def test_what_cannot_be_heard_is_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk").write_bytes(b"no sound")
    with wave.open(str(tmp_path / "slow.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(4))
    assert said in bridge("simulate", "--at", "tcp:0", *arguments, code=2).stderr
