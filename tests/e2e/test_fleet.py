"""A small fleet through the command line, with a real broker that dies in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from broker import Mosquitto, wait_for
from hydroear.mqtt.broker import Address
from hydroear_train import cli
from hydroear_train.fleet.run import Outcome, Return, peak_per_s
from hydroear_train.fleet.unit import Unit

OUTCOME = Outcome(
    units=1,
    seconds=60.0,
    messages_per_s=1.0,
    alarms=3,
    alarm_p50_s=0.01,
    alarm_p99_s=0.02,
    alarm_max_s=0.03,
    held_back=0,
    held_back_max_s=None,
    lost=0,
    duplicated=0,
    broker_cpu=0.01,
    broker_rss_bytes=10**7,
    after_kill=Return(down_s=10.0, back=1, all_back_s=5.0, peak_connects_per_s=1),
)


def test_thirty_units_come_back_after_their_broker_was_killed_and_no_alarm_is_lost() -> None:
    options = ["--units", "30", "--minutes", "0.3", "--kill-broker", "--quiet", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "hydroear_train.cli", "fleet", *options], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert done.returncode == (0 if result["ok"] else 1)
    assert result["alarms"] + result["held_back"] >= 3
    assert result["lost"] == 0
    # Status, birth and state at the beginning and after the kill.
    assert result["messages_per_s"] * result["seconds"] >= 2 * 3 * 30
    assert result["after_kill"]["back"] == 30
    assert 0.0 < result["after_kill"]["all_back_s"] < 30.0
    assert 1 <= result["after_kill"]["peak_connects_per_s"] <= 30
    assert result["broker_rss_bytes"] > 10**6


@pytest.mark.parametrize(
    ("missed", "outcome"),
    [
        ("alarm_p99", replace(OUTCOME, alarm_p99_s=2.5)),
        ("alarm_p99", replace(OUTCOME, alarms=0, alarm_p50_s=None, alarm_p99_s=None, alarm_max_s=None)),
        ("lost", replace(OUTCOME, lost=1)),
        ("all_back", replace(OUTCOME, after_kill=Return(10.0, back=0, all_back_s=None, peak_connects_per_s=0))),
        ("all_back", replace(OUTCOME, after_kill=Return(10.0, back=1, all_back_s=61.0, peak_connects_per_s=1))),
    ],
)
def test_a_target_that_is_missed_is_named(missed: str, outcome: Outcome) -> None:
    assert OUTCOME.ok
    assert "MISSED" not in OUTCOME.to_markdown()
    assert not outcome.ok
    assert [target for target, met in outcome.targets.items() if not met] == [missed]
    assert outcome.to_markdown().count("MISSED") == 1


def test_the_peak_is_that_of_any_second() -> None:
    assert peak_per_s([]) == 0
    assert peak_per_s([0.0, 0.9, 1.1, 1.2, 1.8, 5.0]) == 4


def test_a_missing_mosquitto_and_impossible_sizes_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fleet", "--units", "0"]) == 2
    assert "--units: 0; expected 1 or more" in capsys.readouterr().err
    assert cli.main(["fleet", "--minutes", "nan"]) == 2
    assert "--minutes: nan" in capsys.readouterr().err
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert cli.main(["fleet", "--units", "1"]) == 2
    assert "mosquitto is not installed; apt-get install mosquitto" in capsys.readouterr().err


def test_what_a_unit_says_before_it_is_connected_is_historical(mosquitto: Mosquitto) -> None:
    unit = Unit("unit", Address("127.0.0.1", mosquitto.port))
    with mosquitto.subscribe("hydroear/v1/unit/event/+") as room:
        unit.alarm()
        client = unit.new_client(unit.first())
        assert unit.dial(unit.first()) is None

        def drained() -> bool:
            client.loop(0.01)
            return unit.drained

        wait_for(drained, "the first")
        unit.alarm()
        wait_for(drained, "the second")
        room.wait_for(lambda got: len(got) == 2, "both")
        told = [(message.json["phase"], message.json["historical"]) for message in room.received]
        assert told == [("open", True), ("close", False)]
    client.reinitialise()
