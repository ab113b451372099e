"""Every payload is what its schema says, and what it said in the release before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hydroear.health.device import DeviceHealth
from hydroear.mqtt import topics
from hydroear.mqtt.payloads import (
    Alarm,
    AlarmDevice,
    Birth,
    Body,
    Calibration,
    Clip,
    Event,
    EvidenceHealth,
    Health,
    Model,
    Night,
    OpenAlarm,
    Reply,
    SelfTest,
    SensorBirth,
    SensorHealth,
    ShadowHealth,
    Stamp,
    State,
    Status,
    as_historical,
    encode,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "payloads"
BUNDLE = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
STAMP = Stamp(
    unit="high-street",
    time=datetime(2025, 3, 1, 4, 5, 6, 789_000, tzinfo=timezone(timedelta(hours=2))),
    clock="synchronised",
    boot_id="0f6a6d0e-4c7a-4a51-9b57-0e2f4d8a3c11",
    seq=3,
    bundle=BUNDLE,
)
WET = datetime(2025, 3, 1, 2, 3, 6, 250_000, tzinfo=UTC)
QUANTILES = {"p50_decades": 0.3, "p95_decades": 1.25, "p99_decades": 2.0, "low_decades": 0.25}
EXAMPLES: list[Body] = [
    Status("online"),
    Birth(
        versions={"hydroear": "0.1.0", "python": "3.11.2"},
        runtime="tflite-runtime 2.14.0",
        model="cast-iron",
        sensors=[SensorBirth("hydrant-7", "microphone", "usb:0d8c:0014:A1", 16000, (1, 2), calibrated=True)],
        commands=["selftest"],
        slots={"active": "a", "slots": {"a": {"name": "cast-iron", "phase": "confirmed"}, "b": None}},
    ),
    Health(
        uptime_s=3600.5,
        rss_bytes=73_400_320,
        queue_depth=2,
        drops={"event": 0, "state": 0, "health": 0, "clip": 4},
        refused=0,
        disk_free_bytes=8_589_934_592,
        cpu_temperature_c=48.5,
        clock_error_s=0.0125,
        model="cast-iron",
        shadow=ShadowHealth(windows=450, of=600, agreement=0.995),
        sensors={
            "hydrant-7": SensorHealth(
                state="quiet",
                level_db=-41.5,
                level=16.82,
                level_unit="Pa",
                floor_db=-44.25,
                windows_scored=3590,
                windows_skipped=10,
                windows_vetoed=4,
                gaps=1,
                samples_lost=1600,
                overflows=1,
                drift_ppm=-18.4,
                score_p50_ms=6.25,
                score_p95_ms=9.5,
                condition="degraded",
                ailment="some samples are clipped",
                evidence=EvidenceHealth(clips=3, pictures=3, evicted=4, refused=1, failed=0, dropped=0),
                device=DeviceHealth(
                    model="hydrophone",
                    firmware="1.4.0",
                    restarts=1,
                    reset_cause="watchdog",
                    battery_v=3.612,
                    charge=0.8,
                    temperature_c=11.25,
                    adc_overruns=0,
                    samples_dropped=320,
                    clips=2,
                    frames_dropped=1,
                    frames_lost=4,
                    frames_bad=2,
                ),
                alarms=[OpenAlarm("hydrant-7-water-ingress-20250301T020306Z-0a1b2c3d", "water-ingress", WET)],
            )
        },
    ),
    State(
        "hydrant-7",
        "quiet",
        0.75,
        None,
        None,
        None,
        datetime(2025, 3, 1, 2, 5, 6, 700_000, UTC),
        3600.0,
        3590,
        10,
        None,
        1800.0,
    ),
    Event(
        event_id="b5b8f0a4-7d0e-4d6f-9a50-3a1b8c2d4e6f",
        sensor="hydrant-7",
        phase="open",
        state="leak",
        opened_time=datetime(2025, 3, 1, 2, 5, 6, tzinfo=UTC),
        heard_time=datetime(2025, 3, 1, 2, 5, 6, tzinfo=UTC),
        position_s=1234.5,
        score_decades=4.25,
        horizon_decades=3.5,
        level_db=-41.5,
        level=0.2104,
        level_unit="m/s²",
        raise_decades=3.0,
        false_alarms_per_month=0.1,
        reason="over the raise level for 60 s",
        evidence={"low_hz": 420.0, "sentences": ["over the raise level for 60 s"]},
    ),
    Alarm(
        alarm_id="hydrant-7-low-battery-20250301T020306Z-4e5f6071",
        sensor="hydrant-7",
        alarm="low-battery",
        phase="close",
        opened_time=WET,
        closed_time=WET + timedelta(minutes=1),
        battery_v=3.31,
        device=AlarmDevice(model="hydrophone", uid="00a1b2c3"),
        reason="the device says that it is over",
    ),
    SelfTest(
        "warn",
        [
            {
                "stage": "machine",
                "result": "warn",
                "measured": "812 MiB of memory free, 74 °C",
                "expected": "below 70 °C",
                "fix": "shade the unit or give it air",
                "values": {"temperature_c": 74.0},
            }
        ],
    ),
    Night(
        sensor="hydrant-7",
        night="2025-03-01",
        start_time=datetime(2025, 3, 1, 1, 0, tzinfo=UTC),
        end_time=datetime(2025, 3, 1, 3, 0, tzinfo=UTC),
        clock_trusted=True,
        coverage=0.98,
        silent=0.0,
        minimum_db=-61.25,
        persistent_db=-58.5,
        spread_db=2.75,
        histogram_start_db=-62,
        histogram=[31, 210, 400, 5100, 1604],
        problem="",
    ),
    Calibration("hydrant-7", "learning", 0.25, 21600.0, "18 h 0 min left", {"clipped": 12}, ""),
    Model(
        step="withdrawn",
        name="cast-iron-2",
        sha256=BUNDLE,
        release=8,
        reason="on sensor hydrant-7 it is deaf: it gives at least half of 600 windows one and the same score",
        changed_time=datetime(2025, 3, 1, 2, 5, 6, tzinfo=UTC),
        shadow={
            "hydrant-7": {
                "windows": 600,
                "missed": 0,
                "agreement": 0.995,
                "active": {**QUANTILES, "median_ms": 6.25},
                "candidate": {**QUANTILES, "median_ms": 5.5},
            }
        },
    ),
    Reply("ask-1", "mute", "done", "", {"sensor": "hydrant-7", "muted_s": 3600.0}),
    Clip("hydrant-7-20250301T020506Z-3a1b8c2d", "hydrant-7", "e.wav", 3, BUNDLE, 0, 1, "UklG"),
]
each_kind = pytest.mark.parametrize("body", EXAMPLES, ids=lambda body: body.kind)


def schema_of(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((files("hydroear.mqtt") / "schemas" / f"{kind}.json").read_text())
    return schema


@each_kind
def test_a_payload_is_what_its_schema_promises(body: Body) -> None:
    schema = schema_of(body.kind)
    payload = json.loads(encode(body, STAMP))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(payload)
    assert list(payload) == list(schema["properties"]) == schema["required"]


@each_kind
def test_a_payload_reads_as_it_always_did(body: Body) -> None:
    golden = (GOLDEN / f"{body.kind}.json").read_text()
    assert json.loads(encode(body, STAMP)) == json.loads(golden)


@each_kind
def test_a_payload_that_is_no_news_any_more_says_so_and_nothing_else_changes(body: Body) -> None:
    fresh, late = (json.loads(payload) for payload in (encode(body, STAMP), as_historical(encode(body, STAMP))))
    assert (fresh["historical"], late["historical"]) == (False, True)
    assert {**fresh, "historical": True} == late


def test_only_what_this_module_wrote_is_marked_as_historical() -> None:
    evidence = {"historical": False}
    payload = encode(SelfTest("pass", [{"values": evidence}]), STAMP)
    assert as_historical(as_historical(payload)).count(b'"historical":false') == 1
    for foreign in (b"offline", b'{"historical":false}', b'\xff{"schema":"s","historical":false'):
        assert as_historical(foreign) == foreign


def test_every_schema_has_an_example() -> None:
    names = {entry.name for entry in (files("hydroear.mqtt") / "schemas").iterdir()}
    assert names - {"commands"} == {f"{body.kind}.json" for body in EXAMPLES}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_say_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(State("hydrant-7", "quiet", value, None, None, None, STAMP.time, 0.0, 0, 0, None, None), STAMP)


def test_a_time_without_a_zone_is_refused() -> None:
    naive = Stamp("high-street", datetime(2025, 3, 1), "unknown", "boot", 0, None)
    with pytest.raises(ValueError, match="no time zone"):
        encode(Status("online"), naive)


def test_topics_are_those_of_version_1() -> None:
    assert [
        topics.status("u"),
        topics.birth("u"),
        topics.health("u"),
        topics.state("u", "s"),
        topics.night("u", "s"),
        topics.model("u"),
        topics.event("u", "e"),
        topics.alarm("u", "a"),
        topics.clip("u", "e"),
        topics.command("u", "selftest"),
        topics.reply("u", "r"),
    ] == [
        "hydroear/v1/u/status",
        "hydroear/v1/u/birth",
        "hydroear/v1/u/health",
        "hydroear/v1/u/sensor/s/state",
        "hydroear/v1/u/sensor/s/night",
        "hydroear/v1/u/model",
        "hydroear/v1/u/event/e",
        "hydroear/v1/u/alarm/a",
        "hydroear/v1/u/clip/e",
        "hydroear/v1/u/cmd/selftest",
        "hydroear/v1/u/reply/r",
    ]
