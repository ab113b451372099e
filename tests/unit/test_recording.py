"""Recordings: what was written is read back, whatever the format, and a bad file is one clear line."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydroear.audio import Samples, open_recording
from hydroear.errors import AudioError

RATE_HZ = 16_000
SOUND = np.random.default_rng(1).uniform(-1.0, 1.0, (1_001, 3)).astype(np.float32)
"""Noise of odd length, so that 8-bit and 24-bit data chunks need a padding byte."""


def read_all(path: Path, block: int = 100) -> Samples:
    with open_recording(path) as recording:
        blocks = []
        while len(samples := recording.read(block)):
            blocks.append(samples)
        samples = np.concatenate(blocks)
        assert samples.shape == (recording.frames, recording.channels)
        assert samples.dtype == np.float32
        return samples


def error_of(path: Path) -> str:
    """The one line that reading a bad file ends in."""
    with pytest.raises(AudioError) as caught:
        read_all(path)
    line = str(caught.value)
    assert caught.value.exit_code == 1
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def fmt(codec: int = 1, channels: int = 1, rate_hz: int = RATE_HZ, bits: int = 16) -> bytes:
    frame_bytes = channels * bits // 8
    return chunk(
        b"fmt ",
        struct.pack("<HHIIHH", codec, channels, rate_hz, rate_hz * frame_bytes % 2**32, frame_bytes, bits),
    )


SAMPLES = chunk(b"data", np.arange(100, dtype="<i2").tobytes())


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 3])
def test_reads_every_uncompressed_wav_exactly_as_libsndfile_does(
    tmp_path: Path, container: str, subtype: str, channels: int
) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, SOUND[:, :channels], RATE_HZ, format=container, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    with open_recording(path) as recording:
        assert (recording.rate_hz, recording.channels, recording.frames) == (RATE_HZ, channels, len(SOUND))
    np.testing.assert_array_equal(read_all(path), expected)


@pytest.mark.parametrize(("dtype", "full_scale"), [("u1", 2**7), ("<i2", 2**15), ("<i4", 2**31), ("<f4", 1)])
def test_reads_what_scipy_wrote(tmp_path: Path, dtype: str, full_scale: int) -> None:
    values = SOUND if dtype == "<f4" else np.floor(SOUND.astype(np.float64) * full_scale)
    stored = (values + 128 if dtype == "u1" else values).astype(dtype)
    scipy.io.wavfile.write(tmp_path / "sound.wav", RATE_HZ, stored)
    np.testing.assert_allclose(read_all(tmp_path / "sound.wav"), values / full_scale, atol=1e-7)


def test_reads_what_the_standard_library_wrote(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(8_000)
        file.writeframes(b"".join(value.to_bytes(3, "little", signed=True) for value in (-(2**23), -1, 0, 2**22)))
    np.testing.assert_array_equal(read_all(path)[:, 0], np.array([-1.0, -(2.0**-23), 0.0, 0.5]))


@pytest.mark.parametrize("suffix", [".flac", ".raw", ".ogg"])
def test_reads_other_formats_by_their_content_whatever_the_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sound{suffix}"
    soundfile.write(tmp_path / "sound.flac", SOUND, RATE_HZ, subtype="PCM_24")
    (tmp_path / "sound.flac").rename(path)
    np.testing.assert_allclose(read_all(path), SOUND, atol=2.0**-23)


def test_a_unit_without_libsndfile_reads_wav_and_says_what_flac_needs(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "sound.wav", SOUND, RATE_HZ)
    soundfile.write(tmp_path / "sound.flac", SOUND, RATE_HZ)
    script = """
import sys
sys.modules["soundfile"] = None
from hydroear.audio import open_recording
print(open_recording(sys.argv[1]).read(2000).shape)
try:
    open_recording(sys.argv[2])
except Exception as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "sound.wav", tmp_path / "sound.flac"],
        capture_output=True,
        text=True,
        check=True,
    )
    shape, error = run.stdout.splitlines()
    assert shape == "(1001, 3)"
    assert error == (
        f"{tmp_path / 'sound.flac'}: not a WAV file; expected RIFF/WAVE; "
        'for FLAC and other formats: pip install "hydroear[train]"'
    )


def test_skips_unknown_chunks_and_their_padding(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(chunk(b"LIST", b"odd"), fmt(), chunk(b"bext", b"x" * 601), SAMPLES, chunk(b"id3 ", b"?")))
    np.testing.assert_array_equal(read_all(path)[:, 0], np.arange(100) / np.float32(2**15))


def test_silence_and_clipping_are_no_errors(tmp_path: Path) -> None:
    for value in (0.0, 1.0):
        soundfile.write(tmp_path / "sound.wav", np.full(100, value), RATE_HZ, subtype="FLOAT")
        np.testing.assert_array_equal(read_all(tmp_path / "sound.wav"), np.full((100, 1), np.float32(value)))


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """A sparse file of a gibibyte is read from within an address space that could not hold it."""
    path, data_bytes = tmp_path / "day.wav", 2**30
    with path.open("wb") as file:
        file.write(wav(fmt(), b"data" + struct.pack("<I", data_bytes)))
        file.truncate(file.tell() + data_bytes)
    script = """
import resource, sys
from hydroear.audio import open_recording
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
with open_recording(sys.argv[1]) as recording:
    assert len(recording.read(16_000)) == 16_000
    print(recording.frames)
"""
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert int(run.stdout) == data_bytes // 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "empty file, 0 bytes", id="empty"),
        pytest.param(b"Dear diary, today the pipe was quiet.\n" * 9, "not audio", id="text"),
        pytest.param(bytes(range(1, 255)), "not audio", id="random bytes"),
        pytest.param(b"RI", "not audio", id="two bytes"),
        pytest.param(wav(), "ends after 12 bytes without samples", id="nothing but a container"),
        pytest.param(wav(fmt()), "without samples; expected a data chunk", id="no data chunk"),
        pytest.param(wav(fmt(), chunk(b"data", b"")), "holds no samples, only a header", id="no samples"),
        pytest.param(wav(fmt(), chunk(b"data", b"?")), "holds no samples", id="half a sample"),
        pytest.param(
            wav(fmt(), SAMPLES)[:-150],
            "truncated: the header promises 200 bytes of samples, the file holds 50",
            id="truncated",
        ),
        pytest.param(wav(fmt())[:20], "format chunk has 0 bytes", id="cut in its format"),
        pytest.param(wav(chunk(b"fmt ", b"short"), SAMPLES), "format chunk has 5 bytes", id="short format"),
        pytest.param(wav(SAMPLES, fmt()), "its samples come before their format", id="wrong order"),
        pytest.param(wav(fmt(codec=0x55), SAMPLES), "unsupported WAV codec: MP3", id="mp3"),
        pytest.param(wav(fmt(codec=0x1234), SAMPLES), "unsupported WAV codec: codec 0x1234", id="unknown codec"),
        pytest.param(wav(fmt(bits=12), SAMPLES), "unsupported WAV codec: 12-bit PCM; expected PCM of", id="12 bit"),
        pytest.param(wav(fmt(codec=0xFFFE), SAMPLES), "extensible format chunk has 16 bytes", id="extensible"),
        pytest.param(wav(fmt(channels=0), SAMPLES), "it has 0 channels; expected at least 1", id="no channel"),
        pytest.param(wav(fmt(rate_hz=0), SAMPLES), "sample rate 0 Hz; expected 1000 to 1000000", id="no rate"),
        pytest.param(wav(fmt(rate_hz=2**32 - 1), SAMPLES), "sample rate 4294967295 Hz", id="absurd rate"),
        pytest.param(
            wav(fmt(codec=3, bits=32), chunk(b"data", struct.pack("<3f", 0.0, 0.5, float("nan")))),
            "sample nan at 0.000 s in channel 1; expected finite samples",
            id="nan",
        ),
        pytest.param(
            wav(fmt(codec=3, bits=64, channels=2), chunk(b"data", b"\0" * 512_008 + struct.pack("<d", -1e300))),
            "sample -inf at 2.000 s in channel 2",
            id="more than a float32 can hold",
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "sound.wav").write_bytes(content)
    assert says in error_of(tmp_path / "sound.wav")


@pytest.mark.parametrize(
    ("subtype", "name"),
    [("MS_ADPCM", "Microsoft ADPCM"), ("IMA_ADPCM", "IMA ADPCM"), ("ALAW", "A-law"), ("ULAW", "µ-law"),
     ("GSM610", "GSM 6.10")],
)  # fmt: skip
def test_compressed_wav_is_refused_by_the_name_of_its_codec(tmp_path: Path, subtype: str, name: str) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, SOUND[:, :1], RATE_HZ, subtype=subtype)
    assert f"unsupported WAV codec: {name}; expected PCM of 8, 16, 24 or 32 bit" in error_of(path)


def test_a_truncated_flac_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    soundfile.write(path, np.random.default_rng(2).uniform(-1, 1, 50_000), RATE_HZ)
    os.truncate(path, path.stat().st_size // 2)
    assert "cannot be decoded" in (line := error_of(path)) or "promises 50000 samples" in line


def test_a_flac_without_a_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    soundfile.write(path, SOUND, RATE_HZ)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the low 36 bits of the eight bytes from 18 on are the total samples (RFC 9639, 8.2)
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert "its header gives no length" in error_of(path)


def test_what_is_no_readable_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in error_of(tmp_path / "none.wav")
    assert "is a directory" in error_of(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")  # opening it would wait for a writer
    assert "is no regular file" in error_of(tmp_path / "pipe.wav")
    assert "cannot be opened (File name too long)" in error_of(tmp_path / ("x" * 300))


def test_a_file_without_read_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(fmt(), SAMPLES))
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # whom no mode keeps out
        os.seteuid(65_534)
    try:
        assert "permission denied; expected a recording; give the user that runs this" in error_of(path)
    finally:
        os.seteuid(user)


def test_a_file_cut_while_it_is_read_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(fmt(), chunk(b"data", b"\0" * 200_000)))
    with open_recording(path) as recording:
        assert len(recording.read(10)) == 10
        os.truncate(path, 1_044)
        with pytest.raises(AudioError, match="promises 100000 samples, the file holds"):
            recording.read(90_000)


@settings(max_examples=400, deadline=2_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    container=st.sampled_from(["WAV", "WAVEX"]),
    keep=st.integers(0, 400) | st.none(),
    changes=st.lists(st.tuples(st.integers(4, 120), st.integers(0, 255)), max_size=8),
)
def test_no_damage_to_a_wav_file_ends_in_anything_but_an_audio_error(
    tmp_path: Path, subtype: str, container: str, keep: int | None, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, SOUND[:50], RATE_HZ, format=container, subtype=subtype)
    content = bytearray(path.read_bytes()[:keep])
    for offset, value in changes:
        if offset < len(content):
            content[offset] = value
    path.write_bytes(content)
    try:
        samples = read_all(path)
    except AudioError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either outcome is right
    else:
        assert np.isfinite(samples).all()
