"""The self-test with real parts: it passes on a unit that works, and names the part that does not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from scipy.io import wavfile

from authority import Authority
from broker import Mosquitto, free_port
from hydroear.capture import microphone
from hydroear.cli import main
from hydroear.model import SHIPPED_BUNDLE
from hydroear.outbox import Outbox
from hydroear.selftest import tap
from listening import command
from virtual_microphone import virtual_microphone

RATE_HZ = 16_000
SECRET = "correct horse"
LIMIT_S = 25.0
"""The self-test ends within 20 s whatever hangs; the rest is for a busy machine."""

Selftest = Callable[..., tuple[int, dict[str, Any]]]


def hiss(seconds: float, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(scale=0.01, size=round(seconds * RATE_HZ)).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32]) -> Path:
    wavfile.write(path, RATE_HZ, np.round(32767 * samples).astype(np.int16))
    return path


@pytest.fixture(scope="session")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration on hiss."""
    folder = tmp_path_factory.mktemp("site")
    sound = write_wav(folder / "well.wav", hiss(20.0, seed=1))
    assert main(["calibrate", "--bundle", str(SHIPPED_BUNDLE), "--out", str(folder / "site.json"), str(sound)]) == 0
    return folder / "site.json"


@pytest.fixture
def config(tmp_path: Path, calibration: Path) -> dict[str, Any]:
    """A unit with one sensor, well in every way, and no broker."""
    sound = write_wav(tmp_path / "pipe.wav", hiss(5.0))
    (tmp_path / "state").mkdir()
    return {
        "unit": "unit-1",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(tmp_path / "state"),
        "sensors": [{"id": "pipe", "source": {"type": "wav", "files": [str(sound)]}, "site": str(calibration)}],
    }


def as_promised(printed: str) -> dict[str, Any]:
    """What was printed, which is what a running unit publishes."""
    report: dict[str, Any] = json.loads(printed)
    schema = json.loads((files("hydroear.mqtt") / "schemas" / "selftest.json").read_text())
    Draft202012Validator(schema).validate(report)
    assert list(report) == list(schema["properties"])
    return report


@pytest.fixture
def selftest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Selftest:
    """Run the self-test of a configuration: exit code, and the JSON with its stages by name."""

    def run(config: dict[str, Any], *options: str, limit_s: float = LIMIT_S) -> tuple[int, dict[str, Any]]:
        path = tmp_path / "unit.yaml"
        path.write_text(yaml.safe_dump(config))
        capsys.readouterr()
        began_s = time.monotonic()
        code = main(["selftest", "-c", str(path), "--json", *options])
        assert time.monotonic() - began_s < limit_s
        report = as_promised(capsys.readouterr().out)
        stages = {stage["stage"]: stage for stage in report["stages"]}
        assert len(stages) == len(report["stages"])
        return code, {**report, "stages": stages}

    return run


def results(report: dict[str, Any]) -> dict[str, str]:
    return {name: stage["result"] for name, stage in report["stages"].items()}


def the_failure(report: dict[str, Any]) -> dict[str, Any]:
    """The one stage that failed."""
    (stage,) = [stage for stage in report["stages"].values() if stage["result"] == "fail"]
    return stage


def test_a_unit_that_works_passes_every_stage_and_is_left_as_it_was(
    tmp_path: Path, make_mosquitto: Callable[..., Mosquitto], config: dict[str, Any], selftest: Selftest
) -> None:
    broker = make_mosquitto(users={"unit": SECRET}).start()
    (tmp_path / "password").write_text(SECRET + "\n")
    config["mqtt"] = {"url": broker.url, "username": "unit", "password_file": str(tmp_path / "password")}
    source = {"type": "microphone", "device": "alsa:leakmic", "rate_hz": RATE_HZ}
    config["sensors"].append({"id": "mic", "source": source, "site": config["sensors"][0]["site"]})
    with (
        virtual_microphone(tmp_path, hiss(30.0)),
        broker.subscribe("#", username="unit", password=SECRET) as room,
    ):
        code, report = selftest(config)
        room.wait_for(lambda got: got, "the message of the self-test")
    assert code == 0
    assert results(report) == {
        "config": "pass",
        "bundle": "warn",
        "runtime": "pass",
        "latency": results(report)["latency"],  # the machine's own
        "state": "pass",
        "machine": results(report)["machine"],  # so are these two
        "clock": results(report)["clock"],
        "source pipe": "pass",
        "sound pipe": "pass",
        "calibration pipe": "pass",
        "source mic": "pass",
        "sound mic": "pass",
        "calibration mic": "pass",
        "broker name": "pass",
        "broker tcp": "pass",
        "broker login": "pass",
        "broker publish": "pass",
        "broker echo": "pass",
    }
    assert (report["schema"], report["unit"], report["result"]) == ("hydroear/selftest/1", "unit-1", "warn")
    keys = {"stage", "result", "measured", "expected", "fix", "values"}
    assert all(stage.keys() == keys for stage in report["stages"].values())
    assert "demonstration only" in report["stages"]["bundle"]["measured"]
    assert report["stages"]["source mic"]["values"]["rate_hz"] == RATE_HZ
    assert report["stages"]["sound mic"]["values"]["level_db"] == pytest.approx(-40.0, abs=1.0)
    (message,) = room.received
    assert message.topic.startswith("hydroear/v1/unit-1/selftest/")
    assert not message.retained
    assert list((tmp_path / "state").iterdir()) == []


def test_a_running_unit_publishes_what_the_command_prints(
    tmp_path: Path, mosquitto: Mosquitto, config: dict[str, Any], selftest: Selftest
) -> None:
    config["mqtt"] = {"url": mosquitto.url}
    _, printed = selftest(config)
    config["sensors"][0]["source"] |= {"files": [str(write_wav(tmp_path / "long.wav", hiss(60.0)))], "speed": 1}
    (tmp_path / "unit.yaml").write_text(yaml.safe_dump(config))
    topic = "hydroear/v1/unit-1/selftest"
    with mosquitto.subscribe() as room:
        with subprocess.Popen(command("run", "-c", tmp_path / "unit.yaml"), stdout=subprocess.DEVNULL) as unit:
            try:
                room.wait_for(lambda _: room.on(topic), "the self-test of the unit")
            finally:
                unit.terminate()
        (message,) = room.on(topic)
    published = as_promised(message.payload.decode())
    assert {key: value for key, value in published.items() if key not in ("time", "result", "stages")} == {
        key: value for key, value in printed.items() if key not in ("time", "result", "stages")
    }
    inside = {stage["stage"]: stage for stage in published["stages"]}
    assert inside.keys() == {"config", "bundle", "runtime", "latency", "state", "machine", "clock"}
    assert inside["bundle"] == printed["stages"]["bundle"]


def test_without_a_broker_that_part_is_skipped_and_the_table_says_what_to_do(
    tmp_path: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    del config["sensors"][0]["site"]
    (tmp_path / "unit.yaml").write_text(yaml.safe_dump(config))
    assert main(["selftest", "-c", str(tmp_path / "unit.yaml")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    lines = out.splitlines()
    assert any(line.startswith("skip  broker ") and "no broker configured" in line for line in lines)
    (row,) = [number for number, line in enumerate(lines) if line.startswith("warn  calibration pipe ")]
    assert "the trainer's pipes" in lines[row]
    assert lines[row].index("none:") == lines[0].index("measured")
    assert "do: record this pipe while it is well" in lines[row + 1]
    assert lines[-1].startswith("selftest: warn (")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_named_and_not_shown(
    tmp_path: Path, make_mosquitto: Callable[..., Mosquitto], config: dict[str, Any], selftest: Selftest, protocol: str
) -> None:
    broker = make_mosquitto(users={"unit": SECRET}).start()
    (tmp_path / "password").write_text("wrong battery")
    login = {"username": "unit", "password_file": str(tmp_path / "password"), "protocol": protocol}
    code, report = selftest({**config, "mqtt": {"url": broker.url, **login}})
    failure = the_failure(report)
    assert code == 1
    assert failure["stage"] == "broker login"
    assert "refuses user unit: Not authorized" in failure["measured"]
    assert "the password file" in failure["fix"]
    assert results(report)["broker tcp"] == "pass"
    assert report["stages"]["broker publish"]["measured"] == "broker login failed"
    assert results(report)["broker echo"] == "skip"
    assert "wrong battery" not in json.dumps(report)


def test_a_broker_that_is_not_there_is_told_from_a_name_that_is_not_known(
    config: dict[str, Any], selftest: Selftest
) -> None:
    _, report = selftest({**config, "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"}})
    assert the_failure(report)["stage"] == "broker tcp"
    assert "nothing listens" in the_failure(report)["measured"]
    _, report = selftest({**config, "mqtt": {"url": "mqtt://no-such-broker.invalid"}})
    assert the_failure(report)["stage"] == "broker name"
    assert results(report)["broker tcp"] == "skip"


def test_a_broker_with_mutual_tls_passes_and_each_way_of_failing_has_its_words(
    tmp_path: Path, make_mosquitto: Callable[..., Mosquitto], config: dict[str, Any], selftest: Selftest
) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    broker = make_mosquitto(tls=authority.vouch_for("broker"), client_ca=authority.file).start()
    unit = authority.vouch_for("unit")
    tls = {
        "ca_file": str(authority.file),
        "certificate_file": str(unit.certificate_file),
        "key_file": str(unit.key_file),
    }
    code, report = selftest({**config, "mqtt": {"url": broker.url, "tls": tls}})
    assert code == 0
    assert results(report)["broker tls"] == results(report)["broker echo"] == "pass"
    assert report["stages"]["broker tls"]["measured"].startswith("TLSv1.3, ")

    code, report = selftest({**config, "mqtt": {"url": broker.url, "tls": {**tls, "ca_file": str(stranger.file)}}})
    assert code == 1
    assert the_failure(report)["stage"] == "broker tls"
    assert "its certificate is signed by somebody unknown" in the_failure(report)["measured"]

    _, report = selftest({**config, "mqtt": {"url": broker.url, "tls": {"ca_file": str(authority.file)}}})
    assert the_failure(report)["stage"] == "broker login"
    assert "it asks for a certificate of this unit" in the_failure(report)["measured"]
    assert "mqtt.tls.certificate_file" in the_failure(report)["fix"]


def test_a_second_broker_has_its_own_stages(
    make_mosquitto: Callable[..., Mosquitto], config: dict[str, Any], selftest: Selftest
) -> None:
    broker = make_mosquitto().start()
    mqtt = {"url": broker.url, "fallback_urls": [f"mqtt://127.0.0.1:{free_port()}"]}
    _, report = selftest({**config, "mqtt": mqtt})
    assert results(report)["broker echo"] == "pass"
    assert the_failure(report)["stage"] == "broker 2 tcp"


def test_a_port_that_never_answers_ends_the_wait(config: dict[str, Any], selftest: Selftest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, report = selftest({**config, "mqtt": {"url": f"mqtt://127.0.0.1:{silent.getsockname()[1]}"}})
    assert the_failure(report)["stage"] == "broker login"
    assert "no answer to CONNECT" in the_failure(report)["measured"]


@pytest.mark.parametrize(("protocol", "stage"), [("5", "broker publish"), ("3.1.1", "broker echo")])
def test_a_user_who_may_not_write_is_found_out_even_where_the_broker_keeps_silent(
    make_mosquitto: Callable[..., Mosquitto], config: dict[str, Any], selftest: Selftest, protocol: str, stage: str
) -> None:
    broker = make_mosquitto(acl=["topic read #"]).start()
    code, report = selftest({**config, "mqtt": {"url": broker.url, "protocol": protocol}})
    assert code == 1
    assert the_failure(report)["stage"] == stage
    assert "let this user write and read hydroear/v1/unit-1/#" in the_failure(report)["fix"]


def test_an_altered_bundle_fails_and_the_sensor_is_still_examined(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest
) -> None:
    content = bytearray(SHIPPED_BUNDLE.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "altered.hydroear").write_bytes(content)
    code, report = selftest({**config, "bundle": str(tmp_path / "altered.hydroear")})
    assert code == 1
    assert the_failure(report)["stage"] == "bundle"
    assert "altered" in the_failure(report)["measured"]
    skipped = {name for name, result in results(report).items() if result == "skip"}
    assert skipped == {"runtime", "latency", "calibration pipe", "broker"}
    assert results(report)["sound pipe"] == "pass"


def test_a_calibration_learned_with_another_bundle_is_refused(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest, calibration: Path
) -> None:
    document = {**json.loads(calibration.read_text()), "bundle_sha256": "0" * 64}
    (tmp_path / "state" / "site").mkdir()
    (tmp_path / "state" / "site" / "pipe.json").write_text(json.dumps(document))
    del config["sensors"][0]["site"]
    code, report = selftest(config)
    assert code == 1
    assert the_failure(report)["stage"] == "calibration pipe"
    assert f"learned with bundle {12 * '0'}" in the_failure(report)["measured"]
    assert "hydroear calibrate again" in the_failure(report)["fix"]


def test_a_microphone_that_is_missing_is_named_with_those_that_are_there(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest
) -> None:
    config["sensors"][0]["source"] = {"type": "microphone", "device": "alsa:leakmic"}
    with virtual_microphone(tmp_path, hiss(30.0), name="othermic"):
        code, report = selftest(config)
    assert code == 1
    assert the_failure(report)["stage"] == "source pipe"
    assert "alsa:leakmic: no such device; inputs are: alsa:othermic" in the_failure(report)["measured"]
    assert results(report)["sound pipe"] == "skip"


def test_a_microphone_that_never_sends_ends_the_wait(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest
) -> None:
    config["sensors"][0]["source"] = {"type": "microphone", "device": "alsa:leakmic", "stall_s": 2.0}
    with virtual_microphone(tmp_path, hiss(30.0)) as device:
        device.stall()
        code, report = selftest(config)
    assert code == 1
    assert the_failure(report)["stage"] == "source pipe"
    assert "alsa:leakmic: not heard for 3 s within" in the_failure(report)["measured"]


HANGS_AFTER_A_SECOND = """
import sys, time
sys.path.insert(0, {folder!r})
from microphone_child import Kind, frame
samples = bytes(range(1, 65)) * 1000
sys.stdout.buffer.write(frame(Kind.AUDIO, samples, 0))
sys.stdout.flush()
time.sleep(60)
"""


def test_a_microphone_that_falls_silent_is_told_from_one_that_never_sent(
    config: dict[str, Any], selftest: Selftest, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = HANGS_AFTER_A_SECOND.format(folder=str(Path(microphone.__file__).parent))
    monkeypatch.setattr(microphone, "command", lambda _: [sys.executable, "-c", script])
    config["sensors"][0]["source"] = {"type": "microphone", "device": "alsa:leakmic", "stall_s": 0.5}
    _, report = selftest(config)
    complaint = the_failure(report)["measured"]
    assert complaint.startswith("fell silent after 1.0 s: alsa:leakmic: the driver stopped sending samples")


def test_digital_silence_is_a_dead_sensor_without_a_level(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest
) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(5 * RATE_HZ, np.float32))
    config["sensors"][0]["source"]["files"] = [str(silence)]
    code, report = selftest(config)
    assert code == 1
    failure = the_failure(report)
    assert failure["stage"] == "sound pipe"
    assert failure["values"]["level_db"] is None
    assert "stands still" in failure["measured"]


def test_a_running_daemon_passes_and_keeps_its_sensors(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest
) -> None:
    config["sensors"][0]["source"] = {"type": "microphone", "device": "alsa:nobody-may-open-this"}
    with Outbox(tmp_path / "state" / "outbox.sqlite"):
        code, report = selftest(config)
    assert code == 0
    assert "the daemon is running" in report["stages"]["state"]["measured"]
    assert "the daemon is running" in report["stages"]["source pipe"]["measured"]
    assert (results(report)["source pipe"], results(report)["sound pipe"]) == ("skip", "skip")


def test_a_state_folder_that_cannot_be_written_fails(
    tmp_path: Path, config: dict[str, Any], selftest: Selftest
) -> None:
    (tmp_path / "file").touch()
    code, report = selftest({**config, "state_dir": str(tmp_path / "file" / "state")})
    assert code == 1
    assert the_failure(report)["stage"] == "state"
    assert "cannot be written" in the_failure(report)["measured"]


def test_every_problem_of_a_configuration_is_a_row_and_the_exit_code_is_two(
    tmp_path: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unit.yaml"
    path.write_text(yaml.safe_dump({**config, "runtime": "abacus", "colour": "blue"}))
    assert main(["selftest", "-c", str(path), "--json"]) == 2
    report = as_promised(capsys.readouterr().out)
    assert (report["unit"], report["result"]) == (None, "fail")
    assert {stage["stage"] for stage in report["stages"]} == {"config"}
    assert any("'abacus'" in stage["measured"] for stage in report["stages"])
    assert any("colour" in stage["measured"] for stage in report["stages"])


@pytest.mark.parametrize("knocks", [True, False])
def test_a_knock_on_the_pipe_is_asked_for_and_heard(
    knocks: bool, tmp_path: Path, config: dict[str, Any], selftest: Selftest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap, "PATIENCE_S", 8.0)
    sound = hiss(60.0)
    if knocks:
        ring = np.exp(-np.arange(800) / 80.0).astype(np.float32)
        for second in range(1, 60, 2):
            sound[second * RATE_HZ : second * RATE_HZ + 800] += 0.8 * ring
    source = {"type": "microphone", "device": "alsa:leakmic", "rate_hz": RATE_HZ}
    config["sensors"].append({"id": "mic", "source": source, "site": config["sensors"][0]["site"]})
    with virtual_microphone(tmp_path, sound):
        code, report = selftest(config, "--sensor", "mic", "--tap", limit_s=60.0)
    stage = report["stages"]["tap mic"]
    assert "source pipe" not in report["stages"]
    if knocks:
        assert (code, stage["result"]) == (0, "pass"), stage
        assert stage["values"]["knock_over_calm_db"] > 20.0
    else:
        assert (code, stage["result"]) == (1, "fail")
        assert "no knock heard" in stage["measured"]


def test_a_sensor_that_is_not_configured_cannot_be_tested(
    tmp_path: Path, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "unit.yaml"
    path.write_text(yaml.safe_dump(config))
    assert main(["selftest", "-c", str(path), "--sensor", "hydrant-9"]) == 2
    assert "no sensor 'hydrant-9'; expected one of: pipe" in capsys.readouterr().err
