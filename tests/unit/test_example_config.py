"""The example configuration shows every setting of the schema, with its default and its range."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from hydroear.config.loader import load_config, load_room
from hydroear.config.schema import (
    BandLimit,
    BridgeSource,
    Config,
    Decision,
    Evidence,
    LoggerSource,
    Metrics,
    MicrophoneSource,
    Models,
    Mqtt,
    Night,
    PipeSource,
    Publish,
    Room,
    Section,
    Sensor,
    Tls,
    WavSource,
)

EXAMPLE = Path(__file__).parents[2] / "systemd/config.example.yaml"
UNCOMMENTED = re.sub(r"^( *)#(?=\S)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
"""The example with every optional setting in force."""


def sections() -> Iterator[tuple[type[Section], dict[str, Any]]]:
    """Each section of the schema with what the uncommented example sets in it."""
    unit = yaml.safe_load(UNCOMMENTED)
    yield Config, unit
    microphone, program, bridge, logger, recordings = unit["sensors"]
    yield Sensor, microphone
    yield MicrophoneSource, microphone["source"]
    yield PipeSource, program["source"]
    yield BridgeSource, bridge["source"]
    yield LoggerSource, logger["source"]
    yield WavSource, recordings["source"]
    yield Decision, unit["decision"]
    yield Night, unit["night"]
    yield Mqtt, unit["mqtt"]
    yield Tls, unit["mqtt"]["tls"]
    yield Publish, unit["publish"]
    yield Evidence, unit["evidence"]
    yield Models, unit["models"]
    yield BandLimit, unit["evidence"]["band_limit"]
    yield Metrics, unit["metrics"]


def range_text(field: FieldInfo) -> str:
    """How the example words the range of a number; empty without one."""
    limits = {name: f"{getattr(limit, name):.7g}" for limit in field.metadata for name in ("ge", "gt", "le")
              if getattr(limit, name, None) is not None}  # fmt: skip
    match limits:
        case {"ge": low, "le": high}:
            return f"{low} to {high}"
        case {"gt": low, "le": high}:
            return f"above {low}, up to {high}"
        case {"ge": low}:
            return f"{low} or more"
    assert not limits
    return ""


def test_it_loads_as_it_is() -> None:
    config = load_config(EXAMPLE)
    assert [sensor.source.type for sensor in config.sensors] == ["microphone"]


def test_it_loads_with_every_setting_uncommented(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(UNCOMMENTED)
    assert len(load_config(path).sensors) == 5


def test_it_shows_each_setting_of_the_schema_and_no_other() -> None:
    for section, shown in sections():
        assert set(shown) == {field.alias or name for name, field in section.model_fields.items()}, section


def test_what_it_comments_out_are_the_defaults() -> None:
    for section, shown in sections():
        for name, field in section.model_fields.items():
            if not (field.is_required() or field.default is None or isinstance(field.default, Section)):
                value = getattr(section.model_validate(shown), name)
                assert value == field.default, name


def test_it_states_the_range_of_each_number() -> None:
    paragraphs = re.split(r"\n\s*\n", EXAMPLE.read_text())
    for section, _ in sections():
        for name, field in section.model_fields.items():
            name = field.alias or name
            explained = [text.replace("\n", " ") for text in paragraphs if re.search(rf"^ *#?(- )?{name}:", text, re.M)]
            assert any(range_text(field) in text for text in explained), name
            assert any(re.search(r"^ *# ", text) for text in explained) or name in {"type", "source"}, name


def test_the_control_rooms_example_loads_and_shows_all_that_it_may_set(tmp_path: Path) -> None:
    example = EXAMPLE.with_name("room.example.yaml")
    assert load_room(example).mqtt.username == "control-room"
    uncommented = tmp_path / "room.yaml"
    uncommented.write_text(re.sub(r"^( *)#(?=\S)", r"\1", example.read_text(), flags=re.MULTILINE))
    room = yaml.safe_load(uncommented.read_text())
    assert set(room) == set(Room.model_fields)
    assert set(room["mqtt"]) == set(Mqtt.model_fields) - {"command_keys", "home_assistant"}
    assert set(room["mqtt"]["tls"]) == set(Tls.model_fields)
    assert load_room(uncommented).command_key == tmp_path / "commands.key"
