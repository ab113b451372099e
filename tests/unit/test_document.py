"""The page about topics and payloads is the one that the schemas make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hydroear.mqtt import document

PAGE = Path(__file__).parents[2] / "daemon/docs/topics.md"


def test_the_page_is_what_the_command_prints() -> None:
    done = subprocess.run([sys.executable, "-m", "hydroear.mqtt.document"], capture_output=True, text=True, check=True)
    assert PAGE.read_text() == done.stdout, "run python -m hydroear.mqtt.document > daemon/docs/topics.md"


@pytest.mark.parametrize(
    "row",
    [
        "## `hydroear/v1/UNIT/sensor/SENSOR_ID/state`",
        "| `bundle` | string or null |",
        "| `sensors[].channels` | array of integer, at least 1 |",
        "| `sensors.*.evidence.clips` | integer, at least 0 | clips written |",
        '| `phase` | `"open"`, `"update"`, `"close"` | which step it is |',
        "## `hydroear/v1/UNIT/cmd/VERB`",
        "### `mute`",
        "| `for_s` | number, at least 1, at most 604800 | for how long, in seconds |",
    ],
)
def test_it_tells_nested_fields_their_values_and_topics_without_a_schema(row: str) -> None:
    assert any(line.startswith(row) for line in document.page().splitlines())
