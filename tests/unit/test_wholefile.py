"""A file that is written again is the old one or the new one, never a part of either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hydroear.errors import CalibrationError
from hydroear.score.sitefile import site_file
from hydroear.wholefile import whole_file

OLD, NEW = b"old", b"new and longer"


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "state.json"
    file.write_bytes(OLD)
    return file


def test_the_old_file_stands_until_the_new_one_is_whole(path: Path) -> None:
    with whole_file(path) as out:
        out.write(NEW)
        out.flush()
        assert path.read_bytes() == OLD
    assert path.read_bytes() == NEW
    assert listing(path.parent) == ["state.json"]


@pytest.mark.parametrize("error", [OSError("the disk is full"), ValueError("no JSON"), KeyboardInterrupt()])
def test_whatever_goes_wrong_leaves_the_old_file_and_nothing_else(path: Path, error: BaseException) -> None:
    def write() -> None:
        with whole_file(path) as out:
            out.write(NEW)
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == OLD
    assert listing(path.parent) == ["state.json"]


def test_a_writer_that_is_killed_leaves_the_old_file_and_the_next_one_tidies_up(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from hydroear.wholefile import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as out:\n"
        "    out.write(bytes(100_000)); out.flush(); print('half', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == OLD
    assert len(listing(path.parent)) == 2
    with whole_file(path) as out:
        out.write(NEW)
    assert path.read_bytes() == NEW
    assert listing(path.parent) == ["state.json"]


@pytest.mark.parametrize(("mode", "expected"), [(0o666, 0o640), (0o600, 0o600)])
def test_permissions_are_those_asked_for_less_the_umask(tmp_path: Path, mode: int, expected: int) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "file", mode=mode) as out:
            out.write(NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected


def test_a_folder_that_is_missing_is_made_for_a_site_and_not_for_others(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "gone" / "file") as out:
        out.write(NEW)
    with site_file(tmp_path / "site" / "pipe.json", fix="") as out:
        out.write(NEW)
    assert listing(tmp_path) == ["site"]


def test_a_site_file_that_cannot_be_written_says_so_in_one_line(path: Path) -> None:
    with (
        pytest.raises(CalibrationError, match=r"pipe\.json: cannot be written \(File exists\); choose another"),
        site_file(path / "pipe.json", fix="choose another place") as out,
    ):
        out.write(NEW)
