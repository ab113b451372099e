"""A disk that is full, read-only, gone, or loses its power costs evidence and nothing else."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydroear.audio import open_recording
from hydroear.config.schema import Evidence
from hydroear.evidence import EvidenceStore
from hydroear.evidence.guano import read_guano

SETTINGS = Evidence(keep_free_mb=0.0, clips_mb=100.0)
DISK_BYTES = 4 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if made.returncode:
        pytest.skip(f"a file system can be mounted by root alone: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def put(store: EvidenceStore, number: int, size: int = 500_000) -> Path | None:
    return store.put("pipe", f"event-{number:02}", 3.0, ".wav", bytes(size))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("evidence/*/*"))


def free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_a_disk_that_others_fill_is_told_once_and_leaves_no_half_file(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EvidenceStore(small_disk / "evidence", SETTINGS)
    assert put(store, 0)
    with (small_disk / "others").open("wb") as others:
        others.write(bytes(free(small_disk) - 100_000))
    # To evict the one clip would not make room enough, so it stays.
    assert put(store, 1, size=3_000_000) is None
    assert put(store, 2, size=3_000_000) is None
    assert files(small_disk) == ["event-00.wav"]
    assert store.counts == {("pipe", "clip"): 1, ("pipe", "refused"): 2}
    assert len(caplog.records) == 1
    assert "listening goes on" in caplog.text


def test_when_room_is_back_evidence_is_kept_again_and_the_next_trouble_told_again(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EvidenceStore(small_disk / "evidence", SETTINGS)
    others = small_disk / "others"
    for _ in range(2):
        others.write_bytes(bytes(free(small_disk) - 100_000))
        assert put(store, 1) is None
        others.unlink()
        assert put(store, 2)
        (small_disk / "evidence/pipe/event-02.wav").unlink()
    assert len(caplog.records) == 2


@pytest.fixture
def files_end_at_200_kb() -> Iterator[None]:
    """As if the disk were full from there on: the kernel refuses to write more into any file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("files_end_at_200_kb")
def test_a_write_that_fails_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", SETTINGS)
    assert put(store, 0) is None
    assert put(store, 1, size=100_000)
    assert store.counts == {("pipe", "clip"): 1, ("pipe", "failed"): 1}
    assert files(tmp_path) == ["event-01.wav"]


def test_a_disk_without_a_place_for_another_file_is_counted(small_disk: Path) -> None:
    """Full as the disk looks empty: every inode is taken."""
    store = EvidenceStore(small_disk / "evidence", SETTINGS)
    assert put(store, 0)
    subprocess.run(["mount", "-o", f"remount,size={DISK_BYTES},nr_inodes=5", str(small_disk)], check=True)
    (small_disk / "other").touch()
    assert put(store, 1) is None
    assert store.counts["pipe", "failed"] == 1
    assert files(small_disk) == ["event-00.wav"]


def test_clips_fill_a_disk_to_its_floor_and_then_take_turns(small_disk: Path) -> None:
    store = EvidenceStore(small_disk / "evidence", SETTINGS.model_copy(update={"keep_free_mb": 2.0}))
    for number in range(20):
        assert put(store, number)
        assert free(small_disk) >= 1_990_000  # what a folder takes is not counted
    assert files(small_disk)[-1] == "event-19.wav"
    assert 3 <= len(files(small_disk)) <= 5
    assert store.counts["pipe", "evicted"] >= 15


def test_a_read_only_disk_is_told_once(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = EvidenceStore(small_disk / "evidence", SETTINGS)
    assert put(store, 0)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert put(store, 1) is None
    assert put(store, 2) is None
    assert store.counts == {("pipe", "clip"): 1, ("pipe", "failed"): 2}
    assert [record.message for record in caplog.records if "Read-only" in record.message] == [caplog.records[0].message]


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path / "evidence", SETTINGS)
    assert put(store, 0)
    shutil.rmtree(tmp_path / "evidence")
    assert put(store, 1)
    assert files(tmp_path) == ["event-01.wav"]


def test_a_disk_that_is_gone_is_counted_and_not_written_beside(tmp_path: Path) -> None:
    """Where it was mounted, another disk may have no room for clips."""
    state = tmp_path / "state"
    state.mkdir()
    store = EvidenceStore(state / "evidence", SETTINGS)
    assert put(store, 0)
    shutil.rmtree(state)
    assert put(store, 1) is None
    assert not state.exists()
    assert store.counts["pipe", "failed"] == 1
    state.write_text("no folder")
    assert put(store, 2) is None
    store.clean()


def test_killed_while_it_writes_it_leaves_whole_files_or_none(tmp_path: Path) -> None:
    """Each round kills a process that writes clips as fast as it can, at another moment."""
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        import numpy as np
        from hydroear.config.schema import Evidence
        from hydroear.evidence import EvidenceStore
        from hydroear.evidence.clip import encode

        store = EvidenceStore(Path(sys.argv[1]), Evidence(keep_free_mb=0, clips_mb=60))
        data = encode(np.zeros(4_000_000, np.float32), 16000, {"Note": "whole"}, "wav")
        store.clean()
        print("ready", flush=True)
        for number in range(10**6):
            store.put("pipe", f"{sys.argv[2]}-{number}", 3.0, ".wav", data)
    """)
    folder = tmp_path / "evidence"
    halves = 0
    for number in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.05 + 0.023 * number)
            process.send_signal(signal.SIGKILL)
            process.wait()
        halves += len(list(folder.glob("*/.*")))
        for path in folder.glob("*/*.wav"):
            with open_recording(path) as recording:
                assert recording.frames == 4_000_000
            assert read_guano(path)["Note"] == "whole"
    assert halves, "no kill came in the middle of writing"
    EvidenceStore(folder, SETTINGS).clean()
    assert not list(folder.glob("*/.*"))
