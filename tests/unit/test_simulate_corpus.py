"""A simulated corpus on disk, and the verb that writes it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from hydroear.errors import UsageError
from hydroear_train.cli import main
from hydroear_train.simulate import write_corpus

SMALL: dict[str, Any] = {"sites": 2, "recordings_per_site": 3, "duration_s": 4.0, "leak_fraction": 0.34, "seed": 7}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_corpus_reads_back_as_its_manifest_says(tmp_path: Path) -> None:
    write_corpus(tmp_path, **SMALL, rate_hz=8000)
    manifest = table(tmp_path / "manifest.csv")
    assert len(manifest) == 6
    assert {path.name for path in tmp_path.glob("*.wav")} == {row["file"] for row in manifest}
    for row in manifest:
        rate_hz, samples = wavfile.read(tmp_path / row["file"])
        assert (rate_hz, samples.dtype, samples.shape) == (8000, np.int16, (32000,))
        assert (row["sample_rate_hz"], float(row["seconds"])) == ("8000", 4.0)
        assert samples.std() > 0
        with wave.open(str(tmp_path / row["file"])) as file:
            assert file.getnframes() == 32000


def test_labels_follow_the_spans_and_every_site_has_both(tmp_path: Path) -> None:
    write_corpus(tmp_path, **SMALL)
    spans = table(tmp_path / "spans.csv")
    for row in table(tmp_path / "manifest.csv"):
        leaks = [span for span in spans if span["file"] == row["file"] and span["kind"] == "leak"]
        assert (row["label"] == "leak") == bool(leaks)
        assert row["snr_db"] == (leaks[0]["snr_db"] if leaks else "")
    labels = {(row["site"], row["label"]) for row in table(tmp_path / "manifest.csv")}
    assert len(labels) == 4
    assert all(0.0 <= float(span["start_s"]) < float(span["end_s"]) <= 4.0 for span in spans)


def test_everything_says_that_it_is_simulated(tmp_path: Path) -> None:
    write_corpus(tmp_path, **SMALL)
    for row in table(tmp_path / "manifest.csv"):
        assert row["simulated"] == "yes"
        assert row["file"].startswith("simulated_")
        assert row["site"].startswith("simulated")
        assert b"ICMT" in (data := (tmp_path / row["file"]).read_bytes())
        assert b"simulated by hydroear-train" in data


def test_the_same_seed_writes_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    for folder, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_corpus(tmp_path / folder, **{**SMALL, "seed": seed})

    def contents(folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    assert contents("a") == contents("b")
    assert not set(contents("a").values()) & set(contents("c").values())


@pytest.mark.parametrize(("leak_fraction", "leaks"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_leak_fraction(tmp_path: Path, leak_fraction: float, leaks: int) -> None:
    rows = write_corpus(tmp_path, sites=1, recordings_per_site=4, duration_s=1.0, leak_fraction=leak_fraction)
    assert [row.label for row in rows].count("leak") == leaks


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sites": 0}, "--sites"),
        ({"recordings_per_site": 0}, "--recordings"),
        ({"duration_s": 0.0}, "duration 0 s"),
        ({"duration_s": float("nan")}, "duration nan s"),
        ({"rate_hz": 4000}, "sample rate 4000 Hz"),
        ({"leak_fraction": 1.5}, "--leak-fraction"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        write_corpus(tmp_path / "out", **{**SMALL, **change})
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert main(["simulate", "--out", str(tmp_path), "--sites", "1", "--recordings", "1", "--seconds", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hydroear-train: error: {tmp_path}: is not empty")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")
    assert main(["simulate", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_verb_prints_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--sites", "1", "--recordings", "4", "--seconds", "1.5", "--seed", "3", "--rate", "8000"]
    assert main(["simulate", "--out", str(tmp_path / "a"), *arguments]) == 0
    manifest = tmp_path / "a" / "manifest.csv"
    assert (
        capsys.readouterr().out == f"simulated 4 recordings (3 normal, 1 with a leak), 0.1 min at 1 site: {manifest}\n"
    )
    assert main(["simulate", "--out", str(tmp_path / "b"), *arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["simulated"], summary["normal"], summary["leak"], summary["sites"]) == (True, 3, 1, 1)


def test_the_demo_scene_comes_with_a_quiet_recording_of_its_site(tmp_path: Path) -> None:
    assert main(["simulate", "--out", str(tmp_path), "--demo-scene", "--rate", "8000"]) == 0
    manifest = {row["file"]: row for row in table(tmp_path / "manifest.csv")}
    assert manifest["simulated_demo.wav"]["label"] == "leak"
    assert manifest["simulated_demo_quiet.wav"]["label"] == "normal"
    assert len({row["site"] for row in manifest.values()}) == 1


def test_the_simulator_needs_numpy_and_scipy_only() -> None:
    code = (
        "import sys, hydroear_train.simulate, hydroear_train.cli; "
        "print({'tensorflow', 'sklearn', 'soundfile', 'matplotlib', 'tqdm', 'pandas'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
