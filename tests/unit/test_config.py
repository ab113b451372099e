"""The configuration: what is right loads, what is wrong is told all at once, by line, for people."""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzzing import fuzz
from hydroear.config.loader import load_config
from hydroear.config.schema import MicrophoneSource, WavSource
from hydroear.errors import ConfigError

GOOD = """\
unit: hill-street-7
bundle: models/mains.bundle
sensors:
  - id: valve
    source:
      type: wav
      files: [quiet.wav, /recordings/leak.wav]
      speed: 2.5
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "unit.yaml"
    path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
    return path


def problems_of(path: Path) -> list[str]:
    """The problems of a file, without its folder."""
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.exit_code == 2
    assert all(problem.startswith(f"{path}:") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path.parent}/") for problem in caught.value.problems]


def test_a_whole_unit_loads(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            GOOD
            + """\
  - id: hydrant
    source: {type: microphone, device: "alsa:leakmic", rate_hz: 48000}
    site: sites/hydrant.json
decision:
  horizon_s: 90
mqtt:
  url: mqtt://control.example:1884
  protocol: 3.1.1
  password_file: /run/credentials/mqtt
""",
        )
    )
    valve, hydrant = config.sensors
    assert valve.source == WavSource(
        type="wav", files=[tmp_path / "quiet.wav", Path("/recordings/leak.wav")], speed=2.5
    )
    assert hydrant.source == MicrophoneSource(type="microphone", device="alsa:leakmic", rate_hz=48_000)
    assert hydrant.site == tmp_path / "sites/hydrant.json"
    assert config.bundle == tmp_path / "models/mains.bundle"
    assert config.state_dir == Path("/var/lib/hydroear")
    assert config.decision.horizon_s == 90.0
    assert config.mqtt is not None
    assert config.mqtt.protocol == "3.1.1"
    assert config.mqtt.password_file == Path("/run/credentials/mqtt")
    assert config.publish.state_every_s == 60.0


def test_paths_count_from_the_file_and_not_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    write(tmp_path / "etc", GOOD)
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("etc/unit.yaml")).bundle == tmp_path / "etc/models/mains.bundle"


@pytest.mark.parametrize("name", ["on", "010", "2024-01-01", "1_000", "12"])
def test_names_stay_as_they_are_written(tmp_path: Path, name: str) -> None:
    """YAML would make a truth value, an octal number, a date and a thousand of them."""
    assert load_config(write(tmp_path, GOOD.replace("hill-street-7", name))).unit == name


def test_every_problem_is_told_at_once_with_line_value_and_what_to_do(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
        unit: -7
        bundel: mains.bundle
        sensors:
          - id: a
            source: {type: microfone}
          - id: b
            source:
              type: wav
              files: quiet.wav
              speed: .inf
              colour: red
          - id: c
            source: {}
          - 5
          - id: d
            source: {type: microphone, device: "alsa:x", channel: 2}
          - id: e
            id: f
            source: quiet.wav
        decision:
          horizon_s: soon
          low_percentile: 51
          recheck_s: yes
          clear_s:
        mqtt: {url: "http://control", protocol: 6, keepalive_s: 2.5}
        publish:
        runtime: litertt
        """,
    )
    assert problems_of(path) == [
        "unit.yaml:1: unit: bad value '-7'; expected 1 to 63 letters, digits, _ . or -, the first a letter or digit "
        "(name of the unit in topics and events)",
        "unit.yaml:1: bundle: missing; expected a path (the model bundle to score with); add it",
        "unit.yaml:2: bundel: unknown key; expected one of unit, bundle, state_dir, runtime, sensors, decision, night, "
        "mqtt, publish, evidence, models, metrics; did you mean bundle?",
        "unit.yaml:5: sensors[0].source.type: bad value 'microfone'; expected bridge, logger, microphone, pipe or wav; "
        "did you mean microphone?",
        "unit.yaml:9: sensors[1].source.files: bad value 'quiet.wav'; expected a list with at least one entry "
        "(recordings, played in this order)",
        "unit.yaml:10: sensors[1].source.speed: bad value '.inf'; expected a number from 0 "
        "(times real time; 0 is as fast as possible)",
        "unit.yaml:11: sensors[1].source.colour: unknown key; expected one of channel, reference_channel, type, files, "
        "speed; remove it",
        "unit.yaml:13: sensors[2].source.type: missing; expected bridge, logger, microphone, pipe or wav; add it",
        "unit.yaml:14: sensors[3]: bad value '5'; expected a section with id, source, site",
        "unit.yaml:16: sensors[4].source: channel 2 of 1: choose one that is opened",
        "unit.yaml:18: sensors[5].id: given twice; keep one",
        "unit.yaml:19: sensors[5].source: bad value 'quiet.wav'; expected a section with type bridge, logger, "
        "microphone, pipe or wav",
        "unit.yaml:21: decision.horizon_s: bad value 'soon'; expected a number from 1 to 86400 "
        "(how long it must stay abnormal to warn)",
        "unit.yaml:22: decision.low_percentile: bad value '51'; expected a number from 0 to 40 "
        "(percentile of the site score that must be over the raise level)",
        "unit.yaml:23: decision.recheck_s: bad value 'yes'; expected a number from 0 to 86400 "
        "(a warning that still stands after this long is a leak)",
        "unit.yaml:24: decision.clear_s: no value; expected a number from 1 to 86400 "
        "(how long it must stay normal to be quiet again)",
        "unit.yaml:25: mqtt.url: bad value 'http://control'; expected mqtt://HOST[:PORT], or "
        "mqtts://HOST[:PORT] with TLS (the broker)",
        "unit.yaml:25: mqtt.protocol: bad value '6'; expected auto, 5 or 3.1.1 "
        "(MQTT version; auto is 5, and 3.1.1 where that is not spoken)",
        "unit.yaml:25: mqtt.keepalive_s: bad value '2.5'; expected a whole number from 2 to 3600",
        "unit.yaml:26: publish: no value; expected a section with state_every_s, event_update_every_s, health_every_s",
        "unit.yaml:27: runtime: bad value 'litertt'; expected auto, tflite-runtime or litert (which interpreter); "
        "did you mean litert?",
    ]


def test_contradictions_between_values_are_told_in_the_words_of_the_schema(tmp_path: Path) -> None:
    assert problems_of(write(tmp_path, GOOD + "decision: {raise_decades: 1, clear_decades: 3}\n")) == [
        "unit.yaml:9: decision: clear_decades 3 is not below raise_decades 1: lower the clear level"
    ]
    assert problems_of(write(tmp_path, GOOD + "decision: {false_alarms_per_month: 1.0e-9}\n")) == [
        "unit.yaml:9: decision: false_alarms_per_month 1e-09 with horizon_s 600 asks for a raise level of 13.2 "
        "decades, but scores go from 0 to 12: change the budget or the horizon"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "empty file; expected the keys and values of a unit", id="empty"),
        pytest.param("# all commented out\n", "empty file", id="comments only"),
        pytest.param("just a sentence", "'just a sentence' at the top; expected the keys", id="text"),
        pytest.param("- unit: a", "a list at the top; expected the keys", id="list"),
        pytest.param("unit: a\nbundle: b: c\n", "2:10: not YAML: mapping values are not allowed", id="syntax"),
        pytest.param("unit: 'a\n", "2:1: not YAML: while scanning a quoted scalar", id="unclosed quote"),
        pytest.param("mqtt:\n\turl: x\n", "2:1: indented with a tab, where YAML allows spaces only", id="tab"),
        pytest.param("unit: a\nbundle: caf\xe9\n".encode("latin-1"), "2: byte 0xE9; expected UTF-8", id="latin-1"),
        pytest.param("unit: a\n---\nunit: b\n", "2:1: not YAML: expected a single document", id="two documents"),
        pytest.param("unit: a\nbundle: \x07\n", "2: character U+0007, which YAML does not allow", id="bell"),
        pytest.param("unit: &name a\nbundle: *name\n", "1:7: not YAML: anchors, aliases and tags", id="anchor"),
        pytest.param("unit: !!python/name:os.system\n", "1:7: not YAML: anchors, aliases and tags", id="tag"),
        pytest.param("? [a, b]\n: c\n", "1:3: not YAML: a key that is not text", id="list as key"),
        pytest.param("[" * 5_000, "1: nested far too deeply", id="depth"),
    ],
)
def test_a_file_that_holds_no_configuration_is_one_clear_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    (problem,) = problems_of(write(tmp_path, text))
    assert problem.startswith(f"unit.yaml:{' ' if not says[0].isdigit() else ''}{says}")
    assert "\n" not in problem


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # whom no mode keeps out
        os.seteuid(65_534)
    try:
        assert "permission denied" in str(problems_of(path))
    finally:
        os.seteuid(user)
    path.unlink()
    assert problems_of(path) == ["unit.yaml: no such file; expected a configuration file; check the path"]
    path.mkdir()
    assert "is a directory" in str(problems_of(path))


KEYS = ["unit", "bundle", "sensors", "source", "type", "files", "decision", "mqtt", "url", "wav", "microphone", "<<"]
yaml_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(KEYS) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=5),
    max_leaves=20,
)


@fuzz(300)
@given(
    content=st.binary(max_size=80)
    | st.text(alphabet=st.sampled_from("unit: -[]{}&*!|>%@`\"'#,?\t\n\\0x1"), max_size=80).map(str.encode)
    | yaml_trees.map(lambda tree: repr(tree).encode("utf-8", "replace"))
    | st.tuples(st.integers(0, len(GOOD)), st.text(max_size=5)).map(
        lambda cut: (GOOD[: cut[0]] + cut[1] + GOOD[cut[0] + len(cut[1]) :]).encode("utf-8", "replace")
    )
)
@example(content=b"{sensors: [{source: {type: wav, wav: 1}}]}")
@example(content=b"{sensors: [{source: {type: {type: wav}}}]}")
@example(content=b'{"a\\nb": 1}')
def test_any_text_is_a_configuration_or_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    try:
        load_config(path)
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    for problem in problems:
        assert re.fullmatch(rf"{re.escape(str(path))}(:\d+){{0,2}}: \S.*", problem)
        assert "pydantic" not in problem


BRIDGES = """\
unit: pole
bundle: mains.bundle
sensors:
  - id: hydrophone
    source: {type: bridge, port: "tcp://pole:4000", channels: 2}
  - id: other
    source: {type: bridge, port: "tcp://pole:4000", OTHER}
"""


@pytest.mark.parametrize(
    "other", ["sensor: 2, rate_hz: 8000, gain_db: 20", "channels: 2, channel: 2"], ids=["another sensor", "a channel"]
)
def test_sensors_of_one_device_share_its_port(other: str, tmp_path: Path) -> None:
    assert len(load_config(write(tmp_path, BRIDGES.replace("OTHER", other))).sensors) == 2


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("sensor: 2, baud: 115200", "sensors of the device at tcp://pole:4000, but baud is 921600 and 115200"),
        ("channels: 2, rate_hz: 8000", "one sensor of the device at tcp://pole:4000, but rate_hz is 16000 and 8000"),
        ("channels: 2, gain_db: 3.5", "one sensor of the device at tcp://pole:4000, but gain_db is null and 3.5"),
        ("channels: 1", "one sensor of the device at tcp://pole:4000, but channels is 2 and 1"),
    ],
)
def test_what_sensors_of_one_device_share_is_the_same_for_both(other: str, says: str, tmp_path: Path) -> None:
    assert problems_of(write(tmp_path, BRIDGES.replace("OTHER", other))) == [
        f"unit.yaml:1: hydrophone and other are {says}: give both the same"
    ]


@pytest.mark.parametrize("port", ["ttyACM0", "usb:1209", "tcp://pole", "udp://pole:1"])
def test_a_port_that_is_none_is_refused_with_what_would_be_one(port: str, tmp_path: Path) -> None:
    path = tmp_path / "unit.yaml"
    sensor = {"id": "a", "source": {"type": "bridge", "port": port}}
    path.write_text(json.dumps({"unit": "unit-1", "bundle": "model.hydroear", "sensors": [sensor]}))
    with pytest.raises(ConfigError, match=r"expected usb:VID:PID\[:SERIAL\], tcp://HOST:PORT or the path of"):
        load_config(path)
