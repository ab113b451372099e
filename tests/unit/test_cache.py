"""The cache: what it holds is what was computed, by the code that is there now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hydroear.errors import UsageError
from hydroear_train.cache import Arrays, Cache

ROOT = Path(__file__).parents[2]


class Work:
    """Counts how often it is done."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> Arrays:
        self.done += 1
        return {"score": np.arange(3.0), "name": np.array(["a", "b", "ä"])}


def test_work_is_done_once_for_each_key(tmp_path: Path) -> None:
    work = Work()
    for _ in range(2):
        found = Cache(tmp_path, pytest.fail).arrays("scores", {"seed": 0}, work)
        assert found["score"].tolist() == [0.0, 1.0, 2.0]
        assert found["name"].tolist() == ["a", "b", "ä"]
    assert work.done == 1
    Cache(tmp_path, pytest.fail).arrays("scores", {"seed": 1}, work)
    assert work.done == 2


@pytest.mark.parametrize("damage", ["truncated", "emptied", "altered"])
def test_a_damaged_file_is_made_again_and_said_so(tmp_path: Path, damage: str) -> None:
    work, notes = Work(), list[str]()
    cache = Cache(tmp_path, notes.append)
    cache.arrays("scores", "key", work)
    (file,) = (tmp_path / "scores").iterdir()
    whole = file.read_bytes()
    altered = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    file.write_bytes({"truncated": whole[:-1], "emptied": b"", "altered": altered}[damage])
    assert cache.arrays("scores", "key", work)["score"].tolist() == [0.0, 1.0, 2.0]
    assert notes == [f"{file}: damaged, made again"]
    assert [path.read_bytes() for path in (tmp_path / "scores").iterdir()] == [whole]


def test_work_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        Cache(tmp_path, pytest.fail).arrays("scores", "key", fail)
    assert not list(tmp_path.rglob("*"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        Cache(tmp_path / "file", pytest.fail).arrays("scores", "key", Work())


def test_a_change_of_code_counts_where_it_is_imported_and_nowhere_else(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.hydroear")
    for source in ("daemon/hydroear", "train/hydroear_train"):
        shutil.copytree(ROOT / source, tmp_path / Path(source).name, ignore=ignore)

    def code() -> str:
        script = "from hydroear_train.cache import code_sha256; print(code_sha256('hydroear_train.whitening'))"
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
        ).stdout

    before = code()
    with (tmp_path / "hydroear_train/fit.py").open("a") as file:
        file.write("# another comment\n")
    assert code() == before
    with (tmp_path / "hydroear/errors.py").open("a") as file:
        file.write("# another comment\n")
    assert code() != before
