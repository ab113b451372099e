"""What a unit says that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydroear import __version__
from hydroear.config import schema
from hydroear.model import Bundle, Runtime
from hydroear.mqtt import payloads


def birth_of(
    bundle: Bundle,
    runtime: Runtime,
    sensors: Sequence[payloads.SensorBirth],
    commands: Sequence[str] = (),
    slots: Mapping[str, Any] | None = None,
) -> payloads.Birth:
    """The payload of whoever scores with a bundle on a runtime."""
    return payloads.Birth(
        versions={"hydroear": __version__, str(runtime): runtime.version, "numpy": version("numpy")},
        runtime=str(runtime),
        model=bundle.name,
        sensors=sensors,
        commands=commands,
        slots=slots,
    )


def sensor_birth(sensor: schema.Sensor, *, rate_hz: int, calibrated: bool) -> payloads.SensorBirth:
    """What a sensor of a configuration is; `rate_hz` is that of its source."""
    source = sensor.source
    device = None
    if isinstance(source, schema.MicrophoneSource):
        device = source.device
    elif isinstance(source, schema.PipeSource):
        device = Path(source.command[0]).name  # its arguments may hold a password
    elif isinstance(source, schema.BridgeSource | schema.LoggerSource):
        device = source.port
    return payloads.SensorBirth(
        id=sensor.id,
        source=source.type,
        device=device,
        rate_hz=rate_hz,
        channels=source.heard_channels,
        calibrated=calibrated,
    )
