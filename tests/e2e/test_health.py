"""What the control room is told of how a unit is doing, from a sensor whose clock is known to be off."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator

from broker import Mosquitto
from hydroear.app import unit as app
from hydroear.app.unit import Unit
from hydroear.capture.supervised import FeedEnd, Frame, SupervisedSource
from hydroear.config import schema
from hydroear.config.loader import load_config
from hydroear.model import SHIPPED_BUNDLE
from hydroear.service.notify import Notifier
from listening import DECISION, RATE_HZ, Samples, health, scene

SENSOR = "hydrant-7"
PPM = 40.0
BLOCK = RATE_HZ // 10
TIMES_REAL_TIME = 30.0


class Tape:
    """Samples that arrive as from a crystal that is off, by a clock that runs faster than the one on the wall."""

    def __init__(self, samples: Samples) -> None:
        self._samples, self._next = samples, 0
        self._rng = np.random.default_rng(0)
        self.heard_for_s = 0.0

    def receive(self, _: float) -> Frame | None:
        block = self._samples[self._next : self._next + BLOCK, None]
        if not len(block):
            raise FeedEnd
        time.sleep(0.1 / TIMES_REAL_TIME)
        self._next += len(block)
        late_s = self._rng.exponential(5e-4)
        return Frame(block, 1000.0 + self._next / (RATE_HZ * (1.0 + 1e-6 * PPM)) + late_s)

    def check_stalled(self) -> None:
        pass

    def kill(self) -> None:
        pass

    def end(self) -> None:
        pass


class Player(SupervisedSource):
    """A live sensor that plays a tape."""

    def __init__(self, samples: Samples) -> None:
        super().__init__("tape", schema.PipeSource(type="pipe", command=["tape"], rate_hz=RATE_HZ))
        self._samples = samples

    def _start(self) -> Tape:
        return Tape(self._samples)


def healths(
    folder: Path, site: Path, broker: Mosquitto, samples: Samples, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> list[dict[str, Any]]:
    """What a unit says of its sensor from the beginning of a tape to its end, each as its schema promises."""
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
    monkeypatch.setattr(app, "open_source", lambda _: Player(samples))
    promised = Draft202012Validator(json.loads((files("hydroear.mqtt") / "schemas" / "health.json").read_text()))
    with broker.subscribe() as room:
        unit = Unit(load_config(folder / "unit.yaml"), display=lambda _: None, notifier=Notifier.from_environment())
        assert unit.run()
        told = [message.json for message in room.on("hydroear/v1/high-street/health")]
    for payload in told:
        promised.validate(payload)
    return [payload["sensors"][SENSOR] for payload in told]


def test_a_crystal_that_is_off_and_the_evidence_of_a_leak_are_told(
    tmp_path: Path, site: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = np.concatenate([scene(), health(60.0, seed=9)])
    told = healths(tmp_path, site, mosquitto, tape, monkeypatch, evidence={"keep_free_mb": 0})
    assert told[0]["drift_ppm"] is None, "a moment tells nothing"
    assert told[0]["evidence"] == dict.fromkeys(("clips", "pictures", "evicted", "refused", "failed", "dropped"), 0)
    assert told[-1]["drift_ppm"] == pytest.approx(PPM, abs=5.0)
    assert told[-1]["evidence"] == {**told[0]["evidence"], "clips": 1, "pictures": 1}


def test_evidence_that_has_no_room_is_told_and_none_is_told_of_where_none_is_kept(
    tmp_path: Path, site: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, settings in (("full", {"keep_free_mb": 100_000}), ("off", {"enabled": False})):
        (tmp_path / name).mkdir()
        last = healths(tmp_path / name, site, mosquitto, scene(), monkeypatch, evidence=settings)[-1]["evidence"]
        if name == "off":
            assert last is None
        else:
            assert last["refused"] == 3, "record, clip and picture"
            assert (last["clips"], last["pictures"]) == (0, 0)
