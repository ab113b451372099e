"""What the control room is told of how a unit is doing, from a sensor whose clock is known to be off."""

from __future__ import annotations

import json
import shutil
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator

from broker import Mosquitto
from hydroear.app import health as app_health
from hydroear.app import unit as app
from hydroear.app.unit import Unit
from hydroear.capture.attempts import Attempts
from hydroear.capture.supervised import FeedEnd, Frame, SupervisedSource
from hydroear.config import schema
from hydroear.config.loader import load_config
from hydroear.health.machine import Machine
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from hydroear.service.notify import Notifier
from listening import DECISION, RATE_HZ, Samples, health, scene

SENSOR = "hydrant-7"
PPM = 40.0
LOST_S = 0.5
BLOCK = RATE_HZ // 10
TIMES_REAL_TIME = 30.0


class Tape:
    """Samples that arrive as from a crystal that is off, by a clock that runs faster than the one on the wall.

    After so many samples the driver discards as many as sound in :data:`LOST_S`.
    """

    def __init__(self, samples: Samples, overflow_at: int | None) -> None:
        self._samples, self._next = samples, 0
        self._overflow_at, self._lost_s = overflow_at, 0.0
        self._rng = np.random.default_rng(0)
        self.heard_for_s = 0.0

    def receive(self, _: float) -> Frame | None:
        block = self._samples[self._next : self._next + BLOCK, None]
        if not len(block):
            raise FeedEnd
        time.sleep(0.1 / TIMES_REAL_TIME)
        self._next += len(block)
        late_s = self._rng.exponential(5e-4)
        overflow = self._overflow_at is not None and not self._lost_s and self._next > self._overflow_at
        self._lost_s += LOST_S * overflow
        end_s = 1000.0 + self._lost_s + self._next / (RATE_HZ * (1.0 + 1e-6 * PPM)) + late_s
        return Frame(block, end_s, after_loss=overflow)

    def check_stalled(self) -> None:
        pass

    def kill(self) -> None:
        pass

    def end(self) -> None:
        pass


class Player(SupervisedSource):
    """A live sensor that plays a tape."""

    def __init__(self, samples: Samples, overflow_at: int | None) -> None:
        settings = schema.PipeSource(type="pipe", command=["tape"], rate_hz=RATE_HZ)
        super().__init__("tape", settings, Attempts(lambda: Tape(samples, overflow_at)))


def healths(
    folder: Path,
    site: Path,
    broker: Mosquitto,
    samples: Samples,
    monkeypatch: pytest.MonkeyPatch,
    *,
    overflow_at: int | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """What a unit says of itself from the beginning of a tape to its end, each as its schema promises."""
    config = {
        "unit": "high-street",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(folder / "state"),
        "sensors": [{"id": SENSOR, "source": {"type": "pipe", "command": ["tape"]}, "site": str(site)}],
        "decision": DECISION,
        "publish": {"health_every_s": 0.2},
        "mqtt": {"url": broker.url},
        **settings,
    }
    (folder / "unit.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(app, "open_source", lambda *_, **__: Player(samples, overflow_at))
    promised = Draft202012Validator(json.loads((files("hydroear.mqtt") / "schemas" / "health.json").read_text()))
    with broker.subscribe() as room:
        unit = Unit(load_config(folder / "unit.yaml"), display=lambda _: None, notifier=Notifier.from_environment())
        assert unit.run()
        told = [message.json for message in room.on("hydroear/v1/high-street/health")]
    for payload in told:
        promised.validate(payload)
    return told


def of_sensor(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of it is about the sensor."""
    return [payload["sensors"][SENSOR] for payload in told]


def test_a_crystal_that_is_off_and_the_evidence_of_a_leak_are_told(
    tmp_path: Path, site: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = np.concatenate([scene(), health(60.0, seed=9)])
    told = of_sensor(healths(tmp_path, site, mosquitto, tape, monkeypatch, evidence={"keep_free_mb": 0}))
    assert told[0]["drift_ppm"] is None, "a moment tells nothing"
    assert told[0]["evidence"] == dict.fromkeys(("clips", "pictures", "evicted", "refused", "failed", "dropped"), 0)
    assert told[-1]["drift_ppm"] == pytest.approx(PPM, abs=5.0)
    assert told[-1]["evidence"] == {**told[0]["evidence"], "clips": 1, "pictures": 1}


def test_evidence_that_has_no_room_is_told_and_none_is_told_of_where_none_is_kept(
    tmp_path: Path, site: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, settings in (("full", {"keep_free_mb": 100_000}), ("off", {"enabled": False})):
        (tmp_path / name).mkdir()
        told = healths(tmp_path / name, site, mosquitto, scene(), monkeypatch, evidence=settings)
        last = of_sensor(told)[-1]["evidence"]
        if name == "off":
            assert last is None
        else:
            assert last["refused"] == 3, "record, clip and picture"
            assert (last["clips"], last["pictures"]) == (0, 0)


def test_what_was_lost_and_how_loud_it_is_are_told_of_the_sensor(
    tmp_path: Path, site: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = of_sensor(healths(tmp_path, site, mosquitto, scene(), monkeypatch, overflow_at=10 * RATE_HZ))
    assert told[0]["state"] == "learning"
    assert {"quiet", "leak"} <= {sensor["state"] for sensor in told}
    last = told[-1]
    assert (last["gaps"], last["overflows"]) == (1, 1)
    assert last["samples_lost"] == pytest.approx(LOST_S * RATE_HZ, rel=0.1)
    loudest_db = max(sensor["level_db"] for sensor in told[1:] if sensor["level_db"] is not None)
    assert last["floor_db"] <= last["level_db"] < loudest_db - 10.0, "the leak is over, and was 16 dB over the pipe"
    assert last["floor_db"] == pytest.approx(last["level_db"], abs=3.0)


def test_what_the_kernel_tells_of_the_machine_is_told_on(
    tmp_path: Path, site: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(free_bytes=None, temperature_c=48.5, under_voltage_now=None, under_voltage_since_start=None)
    monkeypatch.setattr(app_health, "look_at_machine", lambda: machine)
    last = healths(tmp_path, site, mosquitto, health(10.0), monkeypatch)[-1]
    bundle = read_bundle(SHIPPED_BUNDLE)
    assert (last["model"], last["bundle"], last["cpu_temperature_c"]) == (bundle.name, bundle.sha256, 48.5)
    assert last["disk_free_bytes"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert (last["clock_error_s"] is None) == (last["clock"] != "synchronised")
