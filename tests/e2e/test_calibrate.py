"""``hydroear calibrate`` live from a unit's sensor: to the end, over interruptions, and not beside the daemon."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hydroear.app import lesson
from hydroear.app.calibrate import LiveCalibration
from hydroear.app.duration import parse_duration
from hydroear.app.lesson import Goal, count_nights
from hydroear.app.zone import night_hours
from hydroear.capture import RecordingSource
from hydroear.config.loader import load_config
from hydroear.config.schema import Night
from hydroear.errors import CalibrationError, UsageError
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from hydroear.outbox import Outbox
from hydroear.progress import Progress
from hydroear.score import SiteCalibration
from hydroear.score.learner import SiteLearner
from hydroear_train.simulate import DEMO_SITE, Span, render
from listening import RATE_HZ, command, health, hydroear, json_lines, said, write


def unit(folder: Path, recording: Path, *, speed: float = 0.0, **source: Any) -> Path:
    """The configuration of a unit whose sensor plays a recording."""
    config = {
        "unit": "u",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(folder / "state"),
        "sensors": [{"id": "pipe", "source": {"type": "wav", "files": [str(recording)], "speed": speed, **source}}],
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def calibrate(config: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return hydroear("calibrate", "-c", config, "--sensor", "pipe", *options)


def test_a_sensor_is_learned_for_a_time_as_from_recordings(tmp_path: Path) -> None:
    recording = write(tmp_path / "health.wav", health(240.0))
    done = calibrate(unit(tmp_path, recording), "--for", "230s", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["out"] == str(tmp_path / "state" / "site" / "pipe.json")
    live = SiteCalibration.load(Path(told["out"]))
    assert sorted(path.name for path in (tmp_path / "state" / "site").iterdir()) == ["pipe.json"]
    assert told["knows_floor"] is False
    on_files = ("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", tmp_path / "files.json", "--to-s", 230.0, recording)
    assert "the noise floor is not known: it takes 3 hours" in hydroear(*on_files).stdout
    files = SiteCalibration.load(tmp_path / "files.json")
    assert live.fused.conditions == pytest.approx(files.fused.conditions, rel=0.01)
    assert live.level_db == pytest.approx(files.level_db, abs=0.05)
    assert live.fused.deviation == pytest.approx(files.fused.deviation, rel=0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_calibration_goes_on_where_it_was(tmp_path: Path, number: signal.Signals) -> None:
    config = unit(tmp_path, write(tmp_path / "health.wav", health(60.0)), speed=4.0)
    learning = tmp_path / "state" / "site" / "pipe.learning.npz"
    process = subprocess.Popen(
        command("calibrate", "-c", config, "--sensor", "pipe", "--for", "30s"), stderr=subprocess.PIPE, text=True
    )
    time.sleep(4.0)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20.0)
    assert process.returncode == 1
    assert "stopped after" in stderr
    assert "give the same command to go on" in stderr
    before_s = SiteLearner.load(learning, read_bundle(SHIPPED_BUNDLE)).heard_s
    assert 2.0 < before_s < 30.0
    done = calibrate(unit(tmp_path, tmp_path / "health.wav"), "--for", f"{before_s + 20.0:.0f}s", "--json")
    assert done.returncode == 0, done.stderr
    assert "goes on after" in done.stderr
    assert json.loads(done.stdout)["windows"] * 0.96 == pytest.approx(before_s + 20.0, abs=4.0)
    assert not learning.exists()


def test_a_killed_calibration_loses_no_more_than_since_it_last_saved(tmp_path: Path) -> None:
    config = unit(tmp_path, write(tmp_path / "health.wav", health(60.0)), speed=4.0)
    learning = tmp_path / "state" / "site" / "pipe.learning.npz"
    often = "import sys, hydroear.app.lesson as c, hydroear.cli as cli; c.SAVE_EVERY_S = 0.5; cli.main(sys.argv[1:])"
    arguments = command("calibrate", "-c", config, "--sensor", "pipe", "--for", "50s")[3:]
    process = subprocess.Popen([sys.executable, "-c", often, *arguments], stderr=subprocess.DEVNULL)
    due_s = time.monotonic() + 20.0
    while not learning.exists() and time.monotonic() < due_s:
        time.sleep(0.1)
    time.sleep(1.0)
    process.kill()
    process.wait()
    heard_s = SiteLearner.load(learning, read_bundle(SHIPPED_BUNDLE)).heard_s
    assert heard_s > 1.0
    done = calibrate(unit(tmp_path, tmp_path / "health.wav"), "--for", "50s")
    assert done.returncode == 0, done.stderr
    assert f"goes on after {heard_s / 3600.0:.2f} h" in done.stderr


def test_it_does_not_run_beside_the_daemon_or_another_calibration(tmp_path: Path) -> None:
    config = unit(tmp_path, write(tmp_path / "health.wav", health()))
    with Outbox(tmp_path / "state" / "outbox.sqlite"):
        done = calibrate(config, "--for", "10s")
    assert done.returncode == 2
    (line,) = said(done.stderr)
    assert "the unit is running, or another calibration is" in line
    assert "stop it first" in line


def test_a_leak_that_begins_meanwhile_is_refused_and_can_be_insisted_on(tmp_path: Path) -> None:
    samples = render(DEMO_SITE, [Span("leak", 60.0, 125.0, 12.0)], 120.0, RATE_HZ, seed=3).samples
    config = unit(tmp_path, write(tmp_path / "leak.wav", samples))
    refused = calibrate(config, "--for", "110s")
    assert refused.returncode == 1
    assert "the site is unsteady: its level rose by" in refused.stderr
    assert not (tmp_path / "state" / "site" / "pipe.json").exists()
    accepted = calibrate(config, "--for", "110s", "--accept-anyway", "--json")
    assert accepted.returncode == 0, accepted.stderr
    assert "accepted although the site is unsteady" in accepted.stderr
    assert "unsteady" in SiteCalibration.load(tmp_path / "state" / "site" / "pipe.json").accepted[0]
    on_files = ("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", tmp_path / "files.json", tmp_path / "leak.wav")
    assert "unsteady" in hydroear(*on_files).stderr
    assert hydroear(*on_files, "--accept-anyway").returncode == 0


def test_a_recording_that_ends_too_soon_is_told_and_what_was_heard_is_kept(tmp_path: Path) -> None:
    done = calibrate(unit(tmp_path, write(tmp_path / "health.wav", health())), "--for", "1h")
    assert done.returncode == 1
    assert "the recordings ended after" in done.stderr
    assert (tmp_path / "state" / "site" / "pipe.learning.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to learn from"),
        (["-c", "c.yaml"], "needs --sensor"),
        (["-c", "c.yaml", "--sensor", "pipe"], "either --for TIME or --nights N"),
        (["-c", "c.yaml", "--sensor", "pipe", "--for", "1h", "--nights", "2"], "either --for TIME or --nights N"),
        (["-c", "c.yaml", "--sensor", "pipe", "--for", "1h", "--channel", "2"], "takes no --channel"),
        (["-c", "c.yaml", "--sensor", "pipe", "--nights", "0"], "expected 1 or more"),
        (["-c", "c.yaml", "--sensor", "pipe", "--for", "1h", "--reference-channel", "2"], "takes no --reference"),
        (["a.wav", "--out", "o.json"], "needs --bundle"),
        (["a.wav", "--bundle", "b", "--out", "o.json", "--for", "1h"], "takes no --for"),
    ],
)
def test_a_command_that_mixes_the_two_ways_is_refused(options: list[str], message: str) -> None:
    done = hydroear("calibrate", *options)
    assert done.returncode == 2
    (line,) = said(done.stderr)
    assert message in line


def test_a_sensor_that_the_unit_has_not_is_named(tmp_path: Path) -> None:
    config = unit(tmp_path, write(tmp_path / "health.wav", health()))
    done = hydroear("calibrate", "-c", config, "--sensor", "pump", "--for", "1h")
    assert done.returncode == 2
    assert "no sensor 'pump'; expected one of pipe" in done.stderr


AIR_S = (30.0, 80.0)
"""Between these times something in the air is louder on the pipe than the pipe is."""


def with_a_sound_in_the_air(seconds: float = 180.0) -> np.ndarray:
    """A pipe that is well, shape (n, 2): the reference channel hears the air alone, and louder."""
    own = health(seconds)
    air = np.random.default_rng(5).normal(scale=3.0 * own.std(), size=len(own)).astype(np.float32)
    time_s = np.arange(len(own)) / RATE_HZ
    air[(time_s < AIR_S[0]) | (time_s >= AIR_S[1])] = 0.0
    own_noise = np.random.default_rng(6).normal(scale=1e-4, size=len(own)).astype(np.float32)
    return np.stack([own + air, 3.0 * air + own_noise], axis=1)


def of_what_is_well(folder: Path) -> SiteCalibration:
    """What is learned of the same pipe with nothing in the air."""
    files = (write(folder / "before.wav", health(180.0)[: 30 * RATE_HZ]),)
    files += (write(folder / "after.wav", health(180.0)[80 * RATE_HZ :]),)
    done = hydroear("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", folder / "well.json", *files)
    assert done.returncode == 0, done.stderr
    return SiteCalibration.load(folder / "well.json")


@pytest.mark.parametrize("live", [True, False])
def test_what_a_unit_would_veto_is_not_learned(tmp_path: Path, live: bool) -> None:
    recording = write(tmp_path / "both.wav", with_a_sound_in_the_air(), subtype="FLOAT")
    on_files = ("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", tmp_path / "site.json", recording, "--json")
    if live:
        config = unit(tmp_path, recording, reference_channel=2)
        done = calibrate(config, "--for", "115s", "--json")
        assert re.search(r"pipe: left out: \d+ % of what the pipe sounds like is a sound in the air", done.stderr)
    else:
        done = hydroear(*on_files, "--reference-channel", 2)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    site, well = SiteCalibration.load(Path(told["out"])), of_what_is_well(tmp_path)

    hearing = ("--bundle", SHIPPED_BUNDLE, "--reference-channel", 2, recording)
    (summary,) = json_lines(hydroear("replay", "--json", *hearing).stdout, "summary")
    assert summary["windows_skipped"] == pytest.approx((AIR_S[1] - AIR_S[0]) / 0.96, abs=3)
    (cause,), (left_out,) = told["left_out"].keys(), told["left_out"].values()
    assert (cause, site.windows) == ("airborne", told["windows"])
    if live:
        assert left_out == summary["windows_skipped"]
    else:
        share = summary["windows_skipped"] / (summary["windows_skipped"] + summary["windows_scored"])
        assert left_out / (left_out + site.windows) == pytest.approx(share, abs=0.02)
    assert site.fused.conditions == pytest.approx((115.0 if live else 130.0) / 60.0, abs=0.1)
    assert site.level_db == pytest.approx(well.level_db, abs=0.2)
    assert np.abs(site.band_mean - well.band_mean).max() < 0.5

    deceived = hydroear(*on_files, "--accept-anyway")
    assert json.loads(deceived.stdout)["left_out"] == {}
    assert json.loads(deceived.stdout)["level_db"] > well.level_db + 2.0


def test_what_is_too_sick_to_score_is_not_learned_and_told_to_people_too(tmp_path: Path) -> None:
    samples = health(60.0).copy()
    samples[20 * RATE_HZ : 40 * RATE_HZ] *= 1000.0
    recording = write(tmp_path / "clipped.wav", samples.clip(-1.0, 1.0))
    live = calibrate(unit(tmp_path, recording), "--for", "35s")
    assert live.returncode == 0, live.stderr
    assert "pipe: left out: " in live.stderr
    assert "of the samples are clipped: lower the gain" in live.stderr
    told = re.search(r"left out, because a unit would not score them: (\d+) clipped\n", live.stdout)
    assert told is not None
    assert int(told[1]) == pytest.approx(20.0 / 0.96, abs=2)
    on_files = ("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", tmp_path / "site.json", recording)
    again = hydroear(*on_files)
    assert re.search(r": \d+ clipped\n", again.stdout), again.stdout
    quietest_db = SiteCalibration.load(tmp_path / "state" / "site" / "pipe.json").quietest_db
    assert SiteCalibration.load(tmp_path / "site.json").quietest_db == pytest.approx(quietest_db, abs=1.0)
    nothing = hydroear(*on_files, "--from-s", 21, "--to-s", 39)
    assert nothing.returncode == 1
    assert re.search(r"no window between 21 s and 39 s that a unit would score: \d+ clipped; ", nothing.stderr)


def test_a_reference_that_is_dead_is_told_and_the_pipe_learned_all_the_same(tmp_path: Path) -> None:
    samples = np.stack([health(60.0), 0.0 * health(60.0)], axis=1)
    config = unit(tmp_path, write(tmp_path / "both.wav", samples), reference_channel=2)
    done = calibrate(config, "--for", "50s", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["left_out"] == {}
    assert "pipe: the reference channel cannot veto: the audio stands still" in done.stderr


def test_the_night_hours_are_the_settings_and_nights_are_learned_in_them_alone(tmp_path: Path) -> None:
    recording = write(tmp_path / "health.wav", health())
    config = unit(tmp_path, recording)
    hours = night_hours(Night())
    now = datetime.now(UTC).astimezone(hours.zone)
    begin, end = now + timedelta(hours=3), now + timedelta(hours=5)
    config.write_text(config.read_text() + f'night: {{from: "{begin:%H:%M}", to: "{end:%H:%M}"}}\n')
    done = calibrate(config, "--nights", "1")
    assert "ended after 0 s of audio" in done.stderr
    assert "1 of 1 nights left" in done.stderr


def test_nights_are_counted_once_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = write(tmp_path / "health.wav", health())
    now = datetime.now(UTC).astimezone(night_hours(Night()).zone)
    begin, end = now - timedelta(hours=3), now + timedelta(hours=3)
    config = unit(tmp_path, recording)
    config.write_text(config.read_text() + f'night: {{from: "{begin:%H:%M}", to: "{end:%H:%M}"}}\n')
    counts: list[int] = []
    monkeypatch.setattr(lesson, "count_nights", lambda *arguments: counts.append(1) or count_nights(*arguments))
    live = LiveCalibration(load_config(config), "pipe", Goal(nights=1))
    with pytest.raises(CalibrationError, match="expected more: 1 of 1 nights left"):
        live.run(accept_anyway=False, progress=Progress(StringIO()))
    blocks = len(list(iter(RecordingSource([recording]).read, None)))
    assert blocks <= len(counts) <= blocks + 2, "before the first, and to say what is left"


def test_a_night_counts_once_it_is_over_and_half_of_it_was_heard() -> None:
    learner, hours = SiteLearner(read_bundle(SHIPPED_BUNDLE), capacity=2), night_hours(Night())
    learner.nights = {"2025-07-03": 3700.0, "2025-07-04": 3500.0, "2025-07-05": 3700.0}
    begin, end = hours.bounds(datetime(2025, 7, 5).date())
    assert count_nights(learner, hours, end - timedelta(seconds=1)) == 1
    assert count_nights(learner, hours, end) == 2
    assert end - begin == timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400.0), ("90s", 90.0), ("15m", 900.0), ("1.5h", 5400.0), ("7d", 604800.0)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "0s", "1w", "1e9h", "nan s", "١h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="bad duration"):
        parse_duration(text)
