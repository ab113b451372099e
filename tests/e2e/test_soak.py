"""Soaks and mixes of noises through the command line, with units that are the daemon's own commands."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hydroear_train.simulate import write_corpus
from hydroear_train.soak.scenario import healthy_night
from listening import RATE_HZ, write

SETTINGS = ("horizon_s=20", "recheck_s=8", "raise_decades=2", "clear_decades=1")
DECISION = ["--nightly", *SETTINGS, "--continuous", *SETTINGS]
SIZES = ("--sites", 2, "--nights", 3, "--minutes", 1, "--commissioning-minutes", 3, "--onset-minutes", 1.5)
LEAKS = ("--snr", 20, "--leaks-per-site", 1)


Done = subprocess.CompletedProcess[str]


def train(*arguments: object) -> Done:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hydroear_train.cli", *map(str, arguments)]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites, three healthy minutes, a loud leak at each, and one that begins."""
    out = tmp_path_factory.mktemp("soak") / "out"
    done = train("soak", *SIZES, *LEAKS, *DECISION, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert "commissioning: 100%" in done.stderr
    assert "listening: 100%" in done.stderr
    assert json.loads(done.stdout) == json.loads((out / "soak.json").read_text())
    return out


def test_loud_leaks_are_called_and_healthy_nights_counted(soaked: Path) -> None:
    result = json.loads((soaked / "soak.json").read_text())
    (alarms, continuous), (detection,) = result["false_alarms"], result["detection"]
    assert (alarms["mode"], continuous["mode"]) == ("nightly", "continuous")
    assert alarms["events"] == continuous["events"]  # of the same settings
    assert alarms["nights"] == continuous["nights"] == 3
    assert alarms["hours"] == pytest.approx(3 / 60)
    assert alarms["per_month_at_most"] > alarms["per_month"]
    assert detection["snr_db"] == 20.0
    assert detection["within_nights"][0]["count"] == detection["within_nights"][0]["total"] == 2
    assert detection["prompt"]["count"] >= 1
    heard = rows(soaked / "nights.csv")
    assert Counter(row["kind"] for row in heard) == {"healthy": 2 * 3, "leak": 2, "onset": 2}
    nights = [row for row in heard if (row["kind"], row["mode"]) == ("healthy", "nightly")]
    assert alarms["events"] == sum(len(row["opened_s"].split()) for row in nights)
    for row in heard:
        assert len(row["sounding"].split()) == len(row["opened_s"].split())
        assert all(0.0 < float(at_s) <= 60.0 * float(row["minutes"]) for at_s in row["opened_s"].split())
    assert "| +20 dB | 2/2 [34, 100] % |" in (soaked / "soak.md").read_text()


def test_an_interrupted_soak_goes_on_where_it_was_and_gives_the_same(soaked: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("soak", *SIZES, *LEAKS, *DECISION, "--out", out, "--jobs", 1, "--quiet")
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command(*arguments),
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        ) as process,
    ):
        while not (kept := list(out.glob("cache/heard/*.json"))):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert not list(tmp_path.glob("hydroear-soak-*"))
    assert not (out / "soak.json").exists()
    kept = [*kept, *out.glob("cache/sites/*.json")]
    made_ns = {path: path.stat().st_mtime_ns for path in kept}

    done = train(*arguments)
    assert done.returncode == 0, done.stderr
    assert "times real time) and" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == made_ns
    assert (out / "nights.csv").read_bytes() == (soaked / "nights.csv").read_bytes()


def test_what_cannot_be_soaked_is_refused_in_one_line_before_any_night(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, message in (
        (("--sites", 0), "--sites: 0; expected 1 or more"),
        (("--nights", 0), "--nights: 0"),
        (("--jobs", 0), "--jobs: 0"),
        (("--seed", -1), "--seed: -1"),
        (("--minutes", 25), "--minutes: 25; expected more than 25 (the decision's horizon)"),
        (("--onset-minutes", 10), "--onset-minutes: 10; expected more than 10 (the decision's horizon)"),
        (("--minutes", 61), "at most 60"),
        (("--commissioning-minutes", 0.5), "--commissioning-minutes: 0.5"),
        (("--nightly", "horizon=3"), "horizon: unknown key"),
        (("--continuous", "horizon_s=long"), "horizon_s"),
        (("--bundle", tmp_path / "none.hydroear"), "none.hydroear"),
        (("--snr", "nan"), "--snr: nan"),
    ):
        done = train("soak", "--out", tmp_path / "new", *arguments)
        assert done.returncode in (1, 2)
        (line,) = done.stderr.splitlines()
        assert message in line
        assert not (tmp_path / "new/cache").exists()
    (line,) = train("soak", "--out", tmp_path / "file").stderr.splitlines()
    assert "cannot be written" in line


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated pipe on two days, a noise that is loud enough, and silence."""
    folder = tmp_path_factory.mktemp("rig") / "rig"
    write_corpus(folder, sites=1, recordings_per_site=4, duration_s=20.0, leak_fraction=0.25, seed=6)
    manifest = rows(folder / "manifest.csv")
    lines = ["file,label,site,day"]
    lines += [f"{row['file']},{row['label']},{row['site']},{'ab'[n % 2]}" for n, row in enumerate(manifest)]
    (folder / "days.csv").write_text("\n".join(lines) + "\n")
    hiss = np.diff(np.random.default_rng(0).standard_normal(60 * RATE_HZ)).astype(np.float32)
    write(folder / "hiss.wav", 0.1 * hiss)
    write(folder / "click.wav", 0.1 * hiss[: RATE_HZ // 4])
    write(folder / "silence.wav", np.zeros(RATE_HZ, np.float32))
    (folder / "noises.csv").write_text("file,kind\nhiss.wav,hiss\nclick.wav,click\n")
    (folder / "silent.csv").write_text("file,kind\nsilence.wav,nothing\n")
    return folder


def confounders(
    rig: Path, out: Path, *arguments: object, noises: str = "noises.csv"
) -> subprocess.CompletedProcess[str]:
    columns = ("--manifest", rig / "days.csv", "--fold-column", "day", "--group-column", "site")
    return train("confounders", *columns, "--confounders", rig / noises, "--out", out, "--quiet", *arguments)


def test_noises_are_mixed_into_what_the_unit_has_not_learned_and_persistence_forgives_the_short_ones(
    rig: Path, tmp_path: Path
) -> None:
    arguments = ("--levels", 20, -20, "--decision", "raise_decades=2", "--decision", "clear_decades=1")
    done = confounders(rig, tmp_path / "out", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "out/confounders.md").read_text()
    mixes = rows(tmp_path / "out/mixes.csv")
    normals = {row["file"] for row in rows(rig / "days.csv") if row["label"] == "normal"}
    assert {mix["file"] for mix in mixes} == normals
    assert Counter((mix["kind"], mix["level_db"]) for mix in mixes) == {
        (kind, level): len(normals)
        for kind, level in (("none", ""), *((k, lv) for k in ("hiss", "click") for lv in ("20.0", "-20.0")))
    }
    count = Counter(mix["kind"] for mix in mixes if mix["level_db"] == "-20.0" and mix["persistent"] == "True")
    assert count["hiss"] == len(normals)
    assert count["click"] == 0
    assert all(mix["once"] == "True" for mix in mixes if mix["kind"] == "hiss" and mix["level_db"] == "-20.0")
    result = json.loads((tmp_path / "out/confounders.json").read_text())
    assert [(line["kind"], line["level_db"]) for line in result["alarms"]][-2:] == [("all", 20.0), ("all", -20.0)]
    again = confounders(rig, tmp_path / "out", *arguments, "--json")
    assert json.loads(again.stdout) == result


def test_noises_that_cannot_be_mixed_are_refused_in_one_line(rig: Path, tmp_path: Path) -> None:
    for noises, arguments, message in (
        ("silent.csv", (), "silence.wav: digital silence"),
        ("gone.csv", (), "gone.csv: cannot be read"),
        ("days.csv", (), "no column kind"),
        ("noises.csv", ("--bundles", rig), "no bundle trained on the normal recordings"),
        ("noises.csv", ("--minutes", 0.5), "--minutes: 0.5; expected more than the 30 s until an alarm"),
        ("noises.csv", ("--decision", "raise_decades=high"), "--decision: 'raise_decades=high'"),
        ("noises.csv", ("--decision", "loudness=3"), "loudness: unknown key"),
        ("noises.csv", ("--levels", "nan"), "--levels: nan"),
        ("noises.csv", ("--jobs", 0), "--jobs: 0"),
    ):
        done = confounders(rig, tmp_path / "out", *arguments, noises=noises)
        assert done.returncode in (1, 2)
        (line,) = done.stderr.splitlines()
        assert message in line


def test_a_soaks_nights_are_the_scenarios_of_its_seed(soaked: Path) -> None:
    named = {row["site"] for row in rows(soaked / "nights.csv")}
    assert named == {healthy_night(0, site, 0, 60.0).site.name for site in (0, 1)}
