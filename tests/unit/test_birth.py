"""What a unit says that its sensors are."""

from __future__ import annotations

from typing import Any

import pytest

from hydroear.app.birth import sensor_birth
from hydroear.config import schema
from hydroear.mqtt.payloads import SensorBirth


@pytest.mark.parametrize(
    ("source", "device", "channels"),
    [
        ({"type": "microphone", "device": "usb:0d8c:0014:A1", "channels": 2}, "usb:0d8c:0014:A1", (1,)),
        ({"type": "pipe", "command": ["/usr/bin/ffmpeg", "-i", "rtsp://user:secret@camera"]}, "ffmpeg", (1,)),
        ({"type": "pipe", "command": "stdin"}, "stdin", (1,)),
        ({"type": "wav", "files": ["a.wav"], "channel": 2, "reference_channel": 1}, None, (2, 1)),
    ],
)
def test_a_sensor_is_told_by_its_device_and_channels_and_never_by_its_arguments(
    source: dict[str, Any], device: str | None, channels: tuple[int, ...]
) -> None:
    sensor = schema.Sensor.model_validate({"id": "hydrant-7", "source": source})
    assert sensor_birth(sensor, rate_hz=48_000, calibrated=False) == SensorBirth(
        "hydrant-7", source["type"], device, 48_000, channels, calibrated=False
    )
