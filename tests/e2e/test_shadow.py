"""A unit at work tries a new model beside the one it has, and the control room is told what came of it, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator

from broker import Mosquitto, Subscriber
from hydroear.app import unit as app
from hydroear.app.models import install, status
from hydroear.app.pipeline import Report
from hydroear.config.loader import load_config
from hydroear.config.schema import Config
from hydroear.errors import BundleError
from hydroear.model import Bundle, read_bundle
from hydroear.score import Score, Scorer, SiteCalibration
from hydroear.service.notify import Notifier
from listening import DECISION, health, write
from signed import Change, alarming, deaf, key_pair, signed

UNIT = "hydroear/v1/high-street"
WINDOWS = 15
MORE = 5
PROMISED = Draft202012Validator(json.loads((files("hydroear.mqtt") / "schemas" / "model.json").read_text()))


def same(bundle: Bundle) -> Bundle:
    return bundle


@pytest.fixture
def config(tmp_path: Path, site: Path, mosquitto: Mosquitto) -> Config:
    """A calibrated unit that hears a healthy pipe forty times as fast as it is."""
    recording = str(write(tmp_path / "pipe.wav", health(60.0)))
    config = {
        "unit": "high-street",
        "bundle": str(signed(tmp_path, 1)),
        "state_dir": str(tmp_path / "state"),
        "sensors": [
            {"id": "pipe", "source": {"type": "wav", "files": [recording] * 20, "speed": 40}},
        ],
        "decision": DECISION,
        "mqtt": {"url": mosquitto.url},
        "publish": {"health_every_s": 0.1},
        "models": {
            "trusted_keys": [str(key_pair(tmp_path)[1])],
            "shadow_windows": WINDOWS,
            "probation_windows": 20,
        },
    }
    (tmp_path / "unit.yaml").write_text(yaml.safe_dump(config))
    loaded = load_config(tmp_path / "unit.yaml")
    calibrate(loaded, site, loaded.bundle)
    return loaded


def calibrate(config: Config, site: Path, bundle: Path) -> None:
    """The models of all bundles are the same, so that the same calibration fits."""
    sha256 = read_bundle(bundle).sha256
    for model in ("", sha256):
        path = config.site_path(config.sensors[0], model)
        path.parent.mkdir(parents=True, exist_ok=True)
        if model or not path.exists():
            replace(SiteCalibration.load(site), bundle_sha256=sha256).save(path)


def run(config: Config, until: Callable[[], bool]) -> list[Report]:
    """Run the unit until something holds and it has heard some windows more; what it heard."""
    heard: list[Report] = []
    enough: list[int] = []

    def take(report: Report) -> None:
        if report.decades is None:
            return
        heard.append(report)
        if not enough and until():
            enough.append(len(heard) + MORE)
        if enough and len(heard) == enough[0]:
            unit.stop()

    unit = app.Unit(config, display=take, notifier=Notifier.from_environment())
    assert unit.run()
    assert enough, "the recording ended before"
    return heard


def step(room: Subscriber) -> str:
    """What became of a model last, as far as the control room knows."""
    payloads = told(room)
    return payloads[-1]["step"] if payloads else ""


def told(room: Subscriber) -> list[dict[str, Any]]:
    """What the unit has told of its models, each as the schema promises."""
    payloads = [message.json for message in room.on(f"{UNIT}/model")]
    for payload in payloads:
        PROMISED.validate(payload)
    return payloads


def test_a_good_model_is_activated_by_the_start_after_it_was_heard_beside_the_one_at_work(
    tmp_path: Path, config: Config, site: Path, mosquitto: Mosquitto
) -> None:
    new = signed(tmp_path, 2)
    calibrate(config, site, new)
    install(config, new, without_calibration=False)
    with mosquitto.subscribe() as room:
        run(config, until=lambda: step(room) == "shadowed")
        steps = [(payload["step"], payload["name"], payload["release"], payload["reason"]) for payload in told(room)]
        assert steps[-1] == ("shadowed", "release-2", 2, "")
        result = told(room)[-1]["shadow"]["pipe"]
        assert result["windows"] >= WINDOWS
        assert result["agreement"] == 1.0
        assert result["candidate"]["median_ms"] > 0.0
        assert room.on(f"{UNIT}/birth")[-1].json["model"] == "release-1"
        run(config, until=lambda: step(room) == "confirmed")
        birth = room.on(f"{UNIT}/birth")[-1].json
        assert (birth["model"], birth["slots"]["slots"]["a"]["shadow"]["pipe"]["windows"]) == (
            "release-2",
            result["windows"],
        )
        assert {payload["step"] for payload in told(room)[len(steps) :]} <= {"activated", "confirmed"}


def with_models(config: Config, **models: int) -> Config:
    """The unit with other settings of that section."""
    return config.model_copy(update={"models": config.models.model_copy(update=models)})


def test_how_far_it_has_come_is_told_meanwhile_and_kept_when_the_unit_ends(
    tmp_path: Path, config: Config, mosquitto: Mosquitto
) -> None:
    config = with_models(config, shadow_windows=100_000)
    install(config, signed(tmp_path, 2), without_calibration=True)
    with mosquitto.subscribe() as room:

        def standings() -> list[dict[str, Any]]:
            return [message.json["shadow"] for message in room.on(f"{UNIT}/health") if message.json["shadow"]]

        run(config, until=lambda: bool(standings()) and standings()[-1]["windows"] > 5)
        assert standings()[-1]["of"] == 100_000
        assert 0.0 <= standings()[-1]["agreement"] <= 1.0
        room.wait_for(lambda _: told(room)[-1]["shadow"], "the last word of the unit")
        assert step(room) == "shadowing"
        kept = status(config)["slots"]["a"]
        assert kept["shadow"] == told(room)[-1]["shadow"]
        assert kept["shadow"]["pipe"]["windows"] > 5
        assert kept["starts"] == 0


def gives_no_number(score: Callable[..., Score]) -> Callable[..., Score]:
    """A scorer that breaks with the new model after some windows."""
    seen: list[None] = []

    def broken(self: Scorer, *arguments: Any) -> Score:
        if self.bundle.name == "release-2":
            seen.append(None)
            if len(seen) > 5:
                self.bundle = replace(self.bundle, embedding_mean=np.full_like(self.bundle.embedding_mean, np.nan))
        return score(self, *arguments)

    return broken


@pytest.mark.parametrize(
    ("change", "breaks", "why"),
    [
        (deaf, False, "on sensor pipe it is deaf: it gives at least half of "),
        (alarming, False, "on sensor pipe it would alarm where the model at work hears nothing: 12.0 decades over "),
        (same, True, "release-2: the score of a window is no number"),
    ],
    ids=["deaf", "alarming", "NaN"],
)
def test_a_bad_model_never_runs_and_the_control_room_is_told_why(
    tmp_path: Path,
    config: Config,
    mosquitto: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    change: Change,
    breaks: bool,
    why: str,
) -> None:
    installed = install(config, signed(tmp_path, 2, change=change), without_calibration=True).installed
    if breaks:
        monkeypatch.setattr(Scorer, "score", gives_no_number(Scorer.score))
    with mosquitto.subscribe() as room:
        heard = run(config, until=lambda: step(room) == "withdrawn")
        assert max(report.decades for report in heard if report.decades is not None) < 12.0
        last = told(room)[-1]
        assert (last["name"], last["sha256"]) == ("release-2", installed.sha256)
        assert last["reason"].startswith(why)
        run(config, until=lambda: len(room.on(f"{UNIT}/birth")) == 2)
        birth = room.on(f"{UNIT}/birth")[-1].json
        assert (birth["model"], birth["slots"]["slots"]["a"]["reason"]) == ("release-1", last["reason"])
    with mosquitto.subscribe(f"{UNIT}/model") as late:
        late.wait_for(lambda received: received, "what is retained")
        assert late.received[0].retained
        assert told(late)[0]["reason"] == last["reason"]


def test_a_model_that_fails_at_work_is_left_behind_and_the_control_room_is_told_why(
    tmp_path: Path, config: Config, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    untried = with_models(config, shadow_windows=0)
    install(untried, signed(tmp_path, 2), without_calibration=True)
    monkeypatch.setattr(Scorer, "score", gives_no_number(Scorer.score))
    with mosquitto.subscribe() as room:
        with pytest.raises(BundleError, match="the score of a window is no number"):
            run(untried, until=lambda: False)
        room.wait_for(lambda _: step(room) == "rolled-back", "what became of it")
        assert told(room)[-1]["reason"] == "release-2: the score of a window is no number"
        run(untried, until=lambda: len(room.on(f"{UNIT}/birth")) == 2)
        assert room.on(f"{UNIT}/birth")[-1].json["model"] == "release-1"
