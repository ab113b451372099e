"""Folders, manifests and recordings that are not what they should be: one clear line, or one finding each."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hydroear.errors import UsageError
from hydroear_train.cli import main
from hydroear_train.corpus import read_manifest, read_rows
from hydroear_train.scan.report import Report, scan

RATE_HZ = 8000


def write(path: Path, seed: int = 0, gain: float = 0.05, rate_hz: int = RATE_HZ) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = gain * np.random.default_rng(seed).normal(size=2 * rate_hz)
    soundfile.write(path, sound, rate_hz)
    return path


def errors(report: Report) -> dict[str, str]:
    """What is wrong by file, of the findings that are errors."""
    return {
        " ".join(case.files): case.detail
        for finding in report.findings
        if finding.severity == "error"
        for case in finding.cases
    }


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["scan", "--quiet", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hydroear-train: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_nothing_to_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("no audio")
    assert "holds no recordings" in complaint(capsys, tmp_path / "empty")
    assert "holds no recordings" in complaint(capsys, tmp_path / "text")
    assert "cannot be read (No such file or directory)" in complaint(capsys, tmp_path / "gone")
    assert "cannot be read (Not a directory)" in complaint(capsys, tmp_path / "text" / "notes.txt")
    assert "cannot be read (No such file" in complaint(capsys, tmp_path / "text", "--layout", "manifest")
    write(tmp_path / "a" / "normal" / "a.wav")
    assert "expected one of: file, label, site" in complaint(capsys, tmp_path / "a", "--group-column", "street")


def test_recordings_that_cannot_be_used_stay_out_of_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    normal = tmp_path / "normal"
    good = write(normal / "good.wav")
    (normal / "empty.wav").touch()
    (normal / "text.wav").write_text("the pipe in the High Street\n" * 100)
    (normal / "truncated.wav").write_bytes(good.read_bytes()[:9000])
    (normal / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    soundfile.write(normal / "nan.wav", np.append(np.ones(RATE_HZ) * 0.1, np.nan), RATE_HZ, subtype="FLOAT")
    soundfile.write(normal / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(normal / "stuck.wav", np.full(RATE_HZ, 0.25), RATE_HZ)
    assert main(["scan", str(tmp_path), "--quiet"]) == 1
    assert "error     recordings: " in capsys.readouterr().out
    assert [entry.columns["file"] for entry in read_manifest(tmp_path / "manifest.csv")] == ["normal/good.wav"]
    (tmp_path / "manifest.csv").unlink()
    told = errors(scan(tmp_path, quiet=True))
    unusable = ["empty", "text", "truncated", "gone", "nan", "silent", "stuck"]
    assert set(told) == {f"normal/{name}.wav" for name in unusable}
    assert told["normal/silent.wav"] == "digital silence"
    assert told["normal/gone.wav"] == "no such file"
    assert "nan at 1.000 s" in told["normal/nan.wav"]


def test_a_corpus_of_silence_leaves_no_manifest(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "normal").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "normal" / f"{name}.wav", np.zeros(RATE_HZ), RATE_HZ)
    report = scan(tmp_path, quiet=True)
    assert (report.ok, report.manifest, report.labels) == (False, None, {})
    assert not (tmp_path / "manifest.csv").exists()


@pytest.mark.parametrize("label", ["normal", "leak"])
def test_one_recording_is_scanned_and_says_what_it_cannot_prove(tmp_path: Path, label: str) -> None:
    write(tmp_path / label / "a.wav")
    report = scan(tmp_path, quiet=True)
    assert report.ok
    assert report.written
    messages = [finding.message for finding in report.findings]
    assert any(f"{label} only: whether labels are confounded cannot be told" in message for message in messages)
    assert any("no normal recording" in message for message in messages) == (label == "leak")


def test_rows_without_file_with_other_labels_and_twice(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"{i}.wav", i)
    (tmp_path / "manifest.csv").write_text(
        "file,label\n0.wav,normal\n1.wav,broken\n2.wav,normal\n./2.wav,leak\ngone.wav,normal\n,normal\n"
    )
    told = errors(scan(tmp_path, quiet=True))
    assert told == {
        "1.wav": "label 'broken'",
        "./2.wav": "with other labels",
        "gone.wav": "no such file",
        "": "is a directory",
    }


def test_the_same_row_twice_is_counted_once(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "manifest.csv").write_text("file,label\na.wav,normal\na.wav,normal\n")
    report = scan(tmp_path, quiet=True)
    assert report.ok
    assert report.labels == {"normal": 1}
    assert [(finding.severity, finding.check) for finding in report.findings if finding.check == "rows"] == [
        ("warning", "rows")
    ]


def test_a_manifest_without_labels_is_audited_but_no_use_for_training(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "manifest.csv").write_text("file,kind\na.wav,rain\n")
    report = scan(tmp_path, quiet=True)
    assert not report.ok
    assert any("no column label" in finding.message for finding in report.findings)
    with pytest.raises(UsageError, match="no column label"):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no rows"),
        (b"file,label\n", "holds no rows"),
        (b"name,label\na.wav,normal\n", "no column file"),
        (b"file,label\na.wav\n", "line 2 is longer or shorter"),
        (b"file,label\na.wav,normal\n\nb.wav,normal,7\n", "line 4 is longer or shorter"),
        (b"file,label\n\xff\xfe.wav,normal\n", "cannot be read"),
    ],
)
def test_what_is_no_manifest_is_told_by_its_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        scan(tmp_path, quiet=True)


def test_what_a_spreadsheet_saves_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes("\ufefffile;label;street\r\na.wav;normal;Mühlweg\r\n".encode())
    assert read_rows(tmp_path / "manifest.csv") == [{"file": "a.wav", "label": "normal", "street": "Mühlweg"}]


def test_a_manifest_that_is_there_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "normal" / "a.wav")
    (tmp_path / "manifest.csv").write_text("file,label\nnormal/a.wav,normal\n")
    (tmp_path / "other.csv").write_text("mine")
    assert "is there already" in complaint(capsys, tmp_path, "--layout", "class-folders")
    assert "is there already" in complaint(capsys, tmp_path, "--out", tmp_path / "other.csv")
    assert (tmp_path / "other.csv").read_text() == "mine"
    assert (tmp_path / "manifest.csv").read_text() == "file,label\nnormal/a.wav,normal\n"


def test_a_manifest_that_cannot_be_written_is_told_before_anything_is_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "normal" / "a.wav")
    assert "cannot be written (No such file" in complaint(capsys, tmp_path, "--out", tmp_path / "no" / "m.csv")
    assert "cannot be written (Not a directory)" in complaint(
        capsys, tmp_path, "--out", tmp_path / "normal" / "a.wav" / "m.csv"
    )
    assert "cannot be written" in complaint(capsys, tmp_path, "--out", "/proc/m.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_may_only_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "normal" / "a.wav")
    tmp_path.chmod(0o500)
    try:
        assert "cannot be written (Permission denied)" in complaint(capsys, tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_disk_that_fills_up_leaves_no_part_of_a_manifest(tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk's; only the manifest's text goes over it."""
    for i in range(60):
        write(tmp_path / "normal" / f"{'long' * 20}{i}.wav", i, rate_hz=1000)
    done = subprocess.run(
        [sys.executable, "-m", "hydroear_train.cli", "scan", str(tmp_path), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be written (File too large)" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["normal"]
