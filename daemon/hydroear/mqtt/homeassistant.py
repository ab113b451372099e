"""What makes Home Assistant show a unit: MQTT device discovery, one retained message for all that it has.

The form is that of Home Assistant's documentation, https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
and of the platforms below it, since release 2024.11.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from hydroear import __version__
from hydroear.message import Kind, Message
from hydroear.mqtt import topics
from hydroear.mqtt.payloads import SensorState

STATUS_TOPIC = "homeassistant/status"
"""Where Home Assistant says ``online`` when it has started, unless it was told another topic."""

_LEAKING = ("leak", "acknowledged")
_DEAF = ("noisy", "fault")
_ALARMS = {
    "tamper": ("tamper", "tamper"),
    "water-ingress": ("water ingress", "moisture"),
    "low-battery": ("battery", "battery"),
}
"""Of each alarm that has a name the name of its entity, and what Home Assistant takes it for."""

Component = Mapping[str, Any]


def discovery_message(prefix: str, *, unit: str, sensors: Sequence[str], devices: Collection[str] = ()) -> Message:
    """The message that makes a unit a device, and what it has its entities.

    Parameters
    ----------
    prefix
        Under which topic Home Assistant looks for such messages.
    unit
        Name of the unit.
    sensors
        Identifiers of its sensors.
    devices
        Those of them that have a device behind them, which may raise alarms.
    """
    device = f"hydroear-{_object_id(unit)}"
    components = _of_unit(unit)
    for sensor in sensors:
        own = _of_sensor(unit, sensor) | (_of_device(unit, sensor) if sensor in devices else {})
        components |= {f"{sensor}_{key}": component for key, component in own.items()}
    payload = {
        "device": {"identifiers": [device], "name": unit, "model": "leak listener", "sw_version": __version__},
        "origin": {"name": "hydroear", "sw_version": __version__},
        "availability": [{"topic": topics.status(unit), "value_template": "{{ value_json.status }}"}],
        "qos": 1,
        "components": {key: {**component, "unique_id": f"{device}_{key}"} for key, component in components.items()},
    }
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Message(f"{prefix}/device/{device}/config", text.encode(), Kind.STATE, retain=True)


def _object_id(unit: str) -> str:
    """The name without its dots, which a discovery topic must not hold; no two names become the same."""
    return unit.replace("_", "__").replace(".", "_-")


def _of_unit(unit: str) -> dict[str, Component]:
    health = {"state_topic": topics.health(unit), "entity_category": "diagnostic"}
    return {
        "queue_depth": {
            **health,
            "platform": "sensor",
            "name": "Messages waiting",
            "state_class": "measurement",
            "value_template": "{{ value_json.queue_depth }}",
        },
        "temperature": {
            **health,
            "platform": "sensor",
            "name": "CPU temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "value_template": "{{ value_json.cpu_temperature_c }}",
        },
        "problem": {
            **health,
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "value_template": (
                "{{ 'ON' if value_json.refused or value_json.sensors.values()"
                " | selectattr('condition', 'in', ['degraded', 'failed']) | list else 'OFF' }}"
            ),
        },
        "selftest": {
            "platform": "button",
            "name": "Self-test",
            "entity_category": "diagnostic",
            "command_topic": topics.command(unit, "selftest"),
            "command_template": (
                '{"schema":"hydroear/command/1","request_id":"home-assistant-{{ (now().timestamp() * 1000) | int }}",'
                '"time":"{{ utcnow().isoformat() }}","by":"Home Assistant"}'
            ),
        },
    }


def _of_sensor(unit: str, sensor: str) -> dict[str, Component]:
    state = {"state_topic": topics.state(unit, sensor)}
    return {
        "leak": {
            **state,
            "platform": "binary_sensor",
            "name": f"{sensor} leak",
            "device_class": "moisture",
            # What renders as None makes the state unknown.
            "value_template": (
                f"{{{{ None if value_json.state in {list(_DEAF)}"
                f" else 'ON' if value_json.state in {list(_LEAKING)} else 'OFF' }}}}"
            ),
        },
        "state": {
            **state,
            "platform": "sensor",
            "name": f"{sensor} state",
            "device_class": "enum",
            "options": list(get_args(SensorState)),
            "value_template": "{{ value_json.state }}",
        },
        "score": {
            **state,
            "platform": "sensor",
            "name": f"{sensor} score",
            "unit_of_measurement": "decades",
            "state_class": "measurement",
            "value_template": "{{ value_json.score_decades }}",
        },
        "level": {
            **state,
            "platform": "sensor",
            "name": f"{sensor} level",
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "value_template": "{{ value_json.level_db }}",
        },
    }


def _of_device(unit: str, sensor: str) -> dict[str, Component]:
    def alarm(name: str, device_class: str, chosen: str) -> Component:
        alarms = f"value_json.sensors['{sensor}'].alarms | {chosen} | list"
        return {
            "state_topic": topics.health(unit),
            "platform": "binary_sensor",
            "name": f"{sensor} {name}",
            "device_class": device_class,
            "value_template": f"{{{{ 'ON' if {alarms} else 'OFF' }}}}",
        }

    named = {key: alarm(*of, f"selectattr('alarm', 'eq', '{key}')") for key, of in _ALARMS.items()}
    return {**named, "other-alarm": alarm("other alarm", "problem", f"rejectattr('alarm', 'in', {list(_ALARMS)})")}
