"""What is removed from what a unit tells about itself, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hydroear.app.redaction import REMOVED, Redactor, presentable, read_tree, secrets_of

EXAMPLE = Path(__file__).parents[2] / "systemd/config.example.yaml"


@pytest.mark.parametrize("secret", ["hunter2", "correct horse", 'quote"backslash\\', "Schlüßel", "a/b+c=="])
def test_a_secret_is_found_however_it_is_written(secret: str) -> None:
    redact = Redactor([secret])
    spellings = [secret, json.dumps({"password": secret}), repr(secret), secret[:5] + "…"]
    for text in spellings:
        told = redact(f"before {text} after")
        assert secret[:5] not in told
        assert REMOVED in told
        assert told.startswith("before")
        assert told.endswith("after")


def test_what_is_no_secret_is_left() -> None:
    text = "unit-1: mqtt://broker.example:1883, pip install me@example.org, 10:15 leak at hydrant-7"
    assert Redactor(["hunter2", "abc"])(text + " abc") == text + " abc"


def test_logins_in_urls_and_private_keys_go_whatever_they_are() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----"
    told = Redactor([])(f"rtsp://root:toor@192.0.2.1/pipe and {key} and on")
    assert told == f"rtsp://{REMOVED}@192.0.2.1/pipe and {REMOVED} and on"


def test_the_example_configuration_loses_nothing() -> None:
    tree = read_tree(EXAMPLE.read_text())
    assert presentable(tree) == tree
    assert secrets_of(EXAMPLE.parent / "elsewhere" / "config.yaml", EXAMPLE.read_text()) == set()


def test_values_of_unknown_settings_and_arguments_of_programs_are_not_shown() -> None:
    tree = read_tree(
        yaml.safe_dump(
            {
                "mqtt": {
                    "url": "mqtt://b",
                    "password": "hunter2",
                    "password_file": "hunter3",
                    "tls": {"pin": ["1234"]},
                },
                "sensors": [{"source": {"type": "pipe", "command": ["ffmpeg", "-i", "rtsp://root:toor@h/x"]}}],
            }
        )
    )
    assert presentable(tree) == {
        "mqtt": {"url": "mqtt://b", "password": REMOVED, "password_file": REMOVED, "tls": {"pin": [REMOVED]}},
        "sensors": [{"source": {"type": "pipe", "command": ["ffmpeg", REMOVED, REMOVED]}}],
    }


def test_every_place_that_may_hold_a_secret_is_searched(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt_password").write_text("of-the-file\n")
    (credentials / "beside").write_text("of-another-credential")
    (tmp_path / "mqtt_password").write_text("for-load-credential\n")
    (tmp_path / "config.yaml.dpkg-old").write_text("mqtt:\n  url: mqtt://old:of-the-old-one@b\n")
    text = f"""\
unit: unit-1
# former token: of-a-comment
mqtt:
  url: mqtt://unit:of-the-url@broker.example
  passwort: of-a-misspelling
  password_file: {credentials}/mqtt_password
sensors:
  - id: pipe
    source:
      type: pipe
      format: s16le
      command: [stream, --password, of-cmd, "--key=of-an-option", "-f", s16le]
"""
    (tmp_path / "config.yaml").write_text(text)
    redact = Redactor(secrets_of(tmp_path / "config.yaml", text))
    secrets = [
        "of-the-file", "of-another-credential", "for-load-credential", "of-the-old-one", "of-a-comment", "of-the-url",
        "of-a-misspelling", "of-cmd", "--key=of-an-option",
    ]  # fmt: skip
    for secret in secrets:
        assert redact(secret) == REMOVED, secret
    for harmless in ("unit-1", "s16le", "broker.example", f"{credentials}/mqtt_password"):
        assert redact(harmless) == harmless


def test_a_file_that_is_no_yaml_is_searched_as_well(tmp_path: Path) -> None:
    text = "mqtt: [\n\tpassword: 'hunter2'\n"
    assert read_tree(text) is None
    assert Redactor(secrets_of(tmp_path / "config.yaml", text))("says hunter2.") == f"says {REMOVED}."
