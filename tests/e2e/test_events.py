"""What a unit leaves of an event: the messages, and the evidence beside its state."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from hydroear.app.zone import night_hours
from hydroear.config.schema import Night
from hydroear.model import SHIPPED_BUNDLE
from hydroear.outbox import Outbox
from listening import DECISION, LEAK, RATE_HZ, Samples, health, hydroear, said, scene, write

SENSOR = "hydrant-7"


def run(folder: Path, site: Path, samples: Samples, **settings: Any) -> list[str]:
    """Let a unit hear samples as fast as it can; what it complains of."""
    source = {"type": "wav", "files": [str(write(folder / "main.wav", samples))], "speed": 0}
    config = {
        "unit": "high-street",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(folder / "state"),
        "sensors": [{"id": SENSOR, "source": source, "site": str(site)}],
        "decision": DECISION,
        **settings,
    }
    (folder / "unit.yaml").write_text(yaml.safe_dump(config))
    done = hydroear("run", "-c", folder / "unit.yaml")
    assert done.returncode == 0, done.stderr
    return said(done.stderr)


def events(folder: Path) -> list[dict[str, Any]]:
    """Payloads of the events that wait for a broker."""
    with Outbox(folder / "state" / "outbox.sqlite") as outbox:
        return [json.loads(s.message.payload) for s in outbox.pending(1000) if "/event/" in s.message.topic]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_leak_leaves_a_clip_a_picture_and_the_reasons(suffix: str, tmp_path: Path, site: Path) -> None:
    assert not run(tmp_path, site, scene(), evidence={"format": suffix, "keep_free_mb": 0})
    opened, *_, closed = events(tmp_path)
    assert (opened["phase"], closed["phase"]) == ("open", "close")
    assert opened["horizon_decades"] >= opened["raise_decades"] == DECISION["raise_decades"]
    assert opened["false_alarms_per_month"] == 0.1
    folder = tmp_path / "state" / "evidence" / SENSOR
    assert {path.name for path in folder.iterdir()} == {
        f"{opened['event_id']}.{kind}" for kind in (suffix, "png", "json")
    }
    heard, rate_hz = soundfile.read(folder / f"{opened['event_id']}.{suffix}", dtype="float32")
    assert rate_hz == RATE_HZ
    assert len(heard) == pytest.approx(15.0 * RATE_HZ, rel=0.05)
    first = round(opened["position_s"] * RATE_HZ) - 10 * RATE_HZ
    lag = int(np.argmax(np.correlate(scene()[first - 3200 : first + len(heard) + 3200], heard, "valid"))) - 3200
    np.testing.assert_allclose(heard, scene()[first + lag : first + lag + len(heard)], atol=1e-4)
    reasons = json.loads((folder / f"{opened['event_id']}.json").read_text())
    assert opened["evidence"]["sentences"]
    assert opened["evidence"]["low_hz"] < opened["evidence"]["high_hz"]
    assert opened["evidence"]["over_normal_db"] > 6.0, "the leak is 16 dB over the background"
    assert closed["evidence"] is None
    assert opened["event_id"] in json.dumps(reasons)
    assert (folder / f"{opened['event_id']}.png").read_bytes().startswith(b"\x89PNG")
    assert LEAK.start_s < opened["position_s"] < LEAK.end_s


def test_without_an_event_nothing_is_kept_of_what_was_heard(tmp_path: Path, site: Path) -> None:
    assert not run(tmp_path, site, health(30.0))
    assert events(tmp_path) == []
    assert [path for path in (tmp_path / "state" / "evidence").rglob("*") if path.is_file()] == []


def test_evidence_can_be_switched_off_and_the_event_is_told_all_the_same(tmp_path: Path, site: Path) -> None:
    assert not run(tmp_path, site, scene(), evidence={"enabled": False})
    opened, *_ = events(tmp_path)
    assert opened["evidence"] is None
    assert not (tmp_path / "state" / "evidence").exists()


def test_a_full_disk_keeps_no_evidence_and_loses_no_event(tmp_path: Path, site: Path) -> None:
    (complaint,) = run(tmp_path, site, scene(), evidence={"keep_free_mb": 100_000})
    assert "evidence" in complaint
    assert next(event["phase"] for event in events(tmp_path)) == "open"
    assert [path for path in (tmp_path / "state" / "evidence").rglob("*") if path.is_file()] == []


def test_a_site_is_followed_while_it_is_quiet(tmp_path: Path, site: Path) -> None:
    assert not run(tmp_path, site, health(60.0, seed=3))
    remembered = tmp_path / "state" / "site" / f"{SENSOR}.adaptation.json"
    shift = json.loads(remembered.read_text())["shift"]
    assert shift != 0.0
    assert abs(shift) < 0.01, "a minute is nothing against days"


def test_a_night_goes_on_after_a_restart(tmp_path: Path, site: Path) -> None:
    now = datetime.now(UTC).astimezone(night_hours(Night()).zone)
    begin, end = now - timedelta(hours=2), now + timedelta(hours=2)
    hours = {"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}"}
    heard = []
    for _ in range(2):
        assert not run(tmp_path, site, health(30.0), night=hours)
        remembered = json.loads((tmp_path / "state" / "site" / f"{SENSOR}.night.json").read_text())
        heard.append(sum(remembered["histogram"]))
    assert heard[0] > 25
    assert heard[1] == 2 * heard[0]
