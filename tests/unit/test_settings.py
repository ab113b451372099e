"""Settings from afar are in force over the file's, and never keep a unit from starting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hydroear.config.loader import load_config
from hydroear.config.settings import change_settings
from hydroear.errors import ConfigError

CONFIG = """
unit: u
bundle: b.hydroear
state_dir: state
sensors: [{id: pipe, source: {type: wav, files: [a.wav]}}]
decision: {horizon_s: 60}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "unit.yaml"
    file.write_text(CONFIG)
    return file


def test_changes_add_up_until_they_are_forgotten(path: Path) -> None:
    change_settings(load_config(path), {"decision": {"horizon_s": 90}})
    change_settings(load_config(path), {"decision": {"recheck_s": 30}, "publish": {"health_every_s": 60}})
    config = load_config(path)
    assert (config.decision.horizon_s, config.decision.recheck_s, config.publish.health_every_s) == (90, 30, 60)
    assert config.bundle == path.parent / "b.hydroear"
    assert change_settings(config, {"decision": {"recheck_s": 20}}, reset=True) == {"decision": {"recheck_s": 20}}
    config = load_config(path)
    assert (config.decision.horizon_s, config.decision.recheck_s, config.publish.health_every_s) == (60, 20, 300)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"decision": {"horizon_s": "soon"}},
            r"decision\.horizon_s: bad value 'soon'; expected a number from 1 to 86400",
        ),
        ({"decision": {"horizont_s": 90}}, r"decision\.horizont_s: unknown key; .* did you mean horizon_s"),
        ({"unit": {"x": 1}}, "unit: may not be changed from afar; only decision, night, publish, evidence"),
        ({"decision": {"clear_decades": 9}}, "clear_decades 9 is not below"),
    ],
)
def test_a_bad_change_is_told_and_the_last_good_one_stays(path: Path, changes: dict, words: str) -> None:  # type: ignore[type-arg]
    change_settings(load_config(path), {"decision": {"horizon_s": 90}})
    with pytest.raises(ConfigError, match=words):
        change_settings(load_config(path), changes)
    assert load_config(path).decision.horizon_s == 90


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b"{", b'{"decision": 1}', b'{"decision": {"horizon_s": -1}}', b"[" * 100000]
)
def test_settings_that_are_damaged_are_warned_of_and_the_file_is_in_force(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_config(path).settings_path
    settings.parent.mkdir()
    settings.write_bytes(content)
    assert load_config(path).decision.horizon_s == 60
    assert "what was set from afar is not in force" in caplog.text


def test_what_is_kept_is_json_that_people_can_read(path: Path) -> None:
    change_settings(load_config(path), {"night": {"from": "01:00"}})
    assert json.loads(load_config(path).settings_path.read_text()) == {"night": {"from": "01:00"}}
