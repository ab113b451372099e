"""What is wrong with recordings is measured, found and told; the manifest holds what can be used."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from hydroear_train.cli import main
from hydroear_train.corpus import read_manifest
from hydroear_train.scan.measure import measure
from hydroear_train.scan.report import Report, scan

RATE_HZ = 8000


def noise(seed: int, seconds: float = 4.0, rms: float = 0.05, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0.0, rms, round(seconds * rate_hz))


def hum(mains_hz: float, seconds: float = 4.0, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return sum((np.sin(2 * np.pi * k * mains_hz * t) / k for k in (1, 2, 3)), np.zeros(len(t)))


def write(path: Path, sound: NDArray[Any], rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate_hz, subtype=subtype)
    return path


def found(report: Report, check: str) -> dict[tuple[str, ...], str]:
    """Severity by the files of each case."""
    return {
        case.files: str(finding.severity)
        for finding in report.findings
        if finding.check == check
        for case in finding.cases
    }


def told(report: Report) -> set[tuple[str, str]]:
    return {(one.scope, one.factor) for one in report.telltales if one.tells}


def test_a_healthy_corpus_has_no_findings_and_its_manifest_trains(tmp_path: Path) -> None:
    for i in range(10):
        write(tmp_path / "mill" / ("leak" if i % 2 else "normal") / f"{i}.wav", noise(i))
    report = scan(tmp_path, quiet=True)
    assert report.findings == ()
    assert (report.ok, report.written, report.labels) == (True, True, {"leak": 5, "normal": 5})
    entries = read_manifest(tmp_path / "manifest.csv")
    assert all(entry.path.is_file() for entry in entries)
    assert {(entry.columns["site"], entry.label) for entry in entries} == {("mill", "normal"), ("mill", "leak")}
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_given_manifest_is_audited_and_kept_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(1))
    write(tmp_path / "stray.wav", noise(2))
    text = b'\xef\xbb\xbffile;label;why\r\na.wav;normal;"x, y"\r\n'
    (tmp_path / "manifest.csv").write_bytes(text)
    report = scan(tmp_path, quiet=True)
    assert (report.layout, report.written, report.ok) == ("manifest", False, True)
    assert (tmp_path / "manifest.csv").read_bytes() == text
    assert found(report, "rows") == {("stray.wav",): "note"}


def test_another_manifest_names_the_recordings_from_where_it_stands(tmp_path: Path) -> None:
    write(tmp_path / "corpus" / "normal" / "a.wav", noise(1))
    (tmp_path / "lists").mkdir()
    scan(tmp_path / "corpus", out=tmp_path / "lists" / "all.csv", quiet=True)
    (entry,) = read_manifest(tmp_path / "lists" / "all.csv")
    assert entry.columns["file"] == "../corpus/normal/a.wav"
    assert entry.path.is_file()
    assert not (tmp_path / "corpus" / "manifest.csv").exists()


def test_the_same_samples_are_found_in_any_container(tmp_path: Path) -> None:
    first, second = (np.round(noise(seed) * 32768).astype(np.int16) for seed in (1, 3))
    write(tmp_path / "normal" / "a.wav", first)
    write(tmp_path / "normal" / "b.flac", first)
    write(tmp_path / "leak" / "c.wav", first / 32768, subtype="FLOAT")
    write(tmp_path / "normal" / "d.wav", noise(2))
    write(tmp_path / "normal" / "e.wav", second)
    write(tmp_path / "normal" / "f.flac", second)
    report = scan(tmp_path, quiet=True)
    assert found(report, "duplicates") == {
        ("leak/c.wav", "normal/a.wav", "normal/b.flac"): "error",  # neither label can be believed
        ("normal/e.wav", "normal/f.flac"): "warning",
    }
    assert not report.ok


def test_the_same_sound_is_found_at_another_gain_shifted_and_coarser(tmp_path: Path) -> None:
    pipe = noise(1, 12.0) + 0.1 * hum(50.0, 12.0)
    write(tmp_path / "normal" / "a.wav", pipe)
    write(tmp_path / "normal" / "quiet.wav", -0.3 * pipe)
    write(tmp_path / "normal" / "cut.wav", pipe[RATE_HZ // 3 :])
    write(tmp_path / "normal" / "coarse.wav", pipe, subtype="PCM_U8")
    report = scan(tmp_path, quiet=True)
    (finding,) = (finding for finding in report.findings if finding.check == "near duplicates")
    shifts = {case.files: case.value for case in finding.cases}
    assert len(shifts) == 6  # every pair of the four
    assert shifts["normal/a.wav", "normal/quiet.wav"] == 0.0
    assert shifts["normal/a.wav", "normal/cut.wav"] == pytest.approx(-1 / 3, abs=1e-3)


def test_a_shared_click_or_hum_makes_no_duplicate(tmp_path: Path) -> None:
    click = np.zeros(4 * RATE_HZ)
    click[1000:1100] = 0.9 * np.exp(-np.arange(100) / 10) * np.cos(np.arange(100))
    for i in range(3):
        write(tmp_path / "normal" / f"{i}.wav", noise(i, rms=0.01) + 0.3 * hum(50.0) + click * 0.5)
    assert found(scan(tmp_path, quiet=True), "near duplicates") == {}


def test_clipping_flat_lines_offset_and_short_recordings(tmp_path: Path) -> None:
    stuck = noise(3)
    stuck[RATE_HZ : RATE_HZ + 2000] = 0.0
    write(tmp_path / "normal" / "clipped.wav", np.clip(noise(1) * 10, -1, 1))
    write(tmp_path / "normal" / "touched.wav", np.concatenate([noise(2), [1.0]]))
    write(tmp_path / "normal" / "stuck.wav", stuck)
    write(tmp_path / "normal" / "offset.wav", noise(4) + 0.1)
    write(tmp_path / "normal" / "short.wav", noise(5, 0.5))
    report = scan(tmp_path, quiet=True)
    assert report.ok
    assert found(report, "clipping") == {("normal/clipped.wav",): "warning", ("normal/touched.wav",): "note"}
    assert found(report, "flat lines") == {("normal/stuck.wav",): "warning"}
    assert found(report, "DC offset") == {("normal/offset.wav",): "note"}
    assert found(report, "duration") == {("normal/short.wav",): "warning"}


def test_rates_and_levels_that_stand_out(tmp_path: Path) -> None:
    for i in range(8):
        write(tmp_path / "normal" / f"{i}.wav", noise(i, rms=0.05 * 1.05**i))
    write(tmp_path / "normal" / "loud.wav", noise(8, rms=0.2))
    write(tmp_path / "normal" / "other.wav", noise(9, rate_hz=16000), rate_hz=16000)
    report = scan(tmp_path, quiet=True)
    assert found(report, "level") == {("normal/loud.wav",): "warning"}
    assert found(report, "sample rate") == {("normal/other.wav",): "warning"}


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_is_told_from_noise_and_by_its_mains(tmp_path: Path, mains_hz: int) -> None:
    humming = measure(write(tmp_path / "hum.wav", noise(1) + 0.03 * hum(mains_hz + 0.1)))
    other_hz = 110 - mains_hz
    assert min(humming.hum_db[mains_hz][:3]) > 10.0
    assert max(humming.hum_db[other_hz]) < 4.0
    quiet = measure(write(tmp_path / "quiet.wav", noise(1)))
    assert max(quiet.hum_db[mains_hz]) < 4.0


def test_a_measurement_is_that_of_the_sound(tmp_path: Path) -> None:
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    tone = measure(write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * t) + 0.25, subtype="FLOAT"))
    assert tone.level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=1e-3)
    assert tone.heard_db == pytest.approx(tone.level_db, abs=0.1)
    assert tone.dc_offset == pytest.approx(0.25)
    assert tone.duration_s == 4.0


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def peak(seconds: float) -> int:
        path = write(tmp_path / "long.wav", noise(1, seconds))
        tracemalloc.start()
        measure(path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2.0)  # whatever is made once
    assert peak(300.0) < 1.2 * peak(30.0)


def test_a_corpus_whose_leaks_hum_is_caught_and_which_session_it_was(tmp_path: Path) -> None:
    """Both sessions hold the same sounds; in one, the leaks were recorded while a pump's supply hummed."""
    rows = []
    for session, hums in (("clean", False), ("spoilt", True)):
        for i in range(16):
            leak = i % 2 == 1
            level = 0.05 * hum(50.0, 2.0) if hums and leak else 0.0
            write(tmp_path / f"{session}{i}.wav", noise(50 + 100 * hums + i, 2.0) + level)
            rows.append({"file": f"{session}{i}.wav", "label": "leak" if leak else "normal", "session": session})
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    report = scan(tmp_path, quiet=True)
    assert ("session=spoilt", "hum 50 Hz") in told(report)
    assert not {factor for scope, factor in told(report) if scope == "session=clean"}
    assert report.ok  # a warning: the recordings themselves are sound


def test_labels_told_by_the_place_are_confounded_and_paired_places_are_not(tmp_path: Path) -> None:
    for i in range(12):
        label = "leak" if i % 2 else "normal"
        write(tmp_path / "apart" / f"{label}-street" / label / f"{i}.wav", noise(i, 2.0))
        write(tmp_path / "paired" / f"street{i // 2 % 3}" / label / f"{i}.wav", noise(i, 2.0))
    assert ("all", "site") in told(scan(tmp_path / "apart", quiet=True))
    assert told(scan(tmp_path / "paired", quiet=True)) == set()


def test_the_verb_prints_a_table_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(7):
        write(tmp_path / "normal" / f"{i}.wav", np.clip(noise(i) * 10, -1, 1))
    assert main(["scan", str(tmp_path), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layout", "class-folders"]
    assert lines[2].endswith("manifest.csv, written")
    assert any(line.startswith("warning   clipping: ") and line.endswith("(7)") for line in lines)
    assert any("and 2 more" in line for line in lines)
    assert any(line.startswith("note      confounding: normal only") for line in lines)
    assert main(["scan", str(tmp_path), "--quiet", "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (report["schema"], report["layout"], report["written"]) == ("hydroear/scan/1", "manifest", False)
    (clipping,) = (finding for finding in report["findings"] if finding["check"] == "clipping")
    assert len(clipping["cases"]) == 7
