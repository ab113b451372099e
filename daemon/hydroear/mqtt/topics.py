"""Topic names, all under ``hydroear/v1/<unit>/``."""

from __future__ import annotations

VERSION = 1
"""Of the topics and of what is said on them; what is only added to them needs no new one."""

ROOT = f"hydroear/v{VERSION}"


def status(unit: str) -> str:
    """Whether the unit is online; retained, ``offline`` by the last will."""
    return f"{ROOT}/{unit}/status"


def birth(unit: str) -> str:
    """What the unit is made of; retained."""
    return f"{ROOT}/{unit}/birth"


def health(unit: str) -> str:
    """How the unit is doing; retained."""
    return f"{ROOT}/{unit}/health"


def state(unit: str, sensor_id: str) -> str:
    """What one sensor hears; retained."""
    return f"{ROOT}/{unit}/sensor/{sensor_id}/state"


def night(unit: str, sensor_id: str) -> str:
    """The minimum-night level of one sensor; retained."""
    return f"{ROOT}/{unit}/sensor/{sensor_id}/night"


def calibration(unit: str, sensor_id: str) -> str:
    """How the calibration of one sensor stands; retained."""
    return f"{ROOT}/{unit}/sensor/{sensor_id}/calibration"


def model(unit: str) -> str:
    """What became of the bundle that was installed last; retained."""
    return f"{ROOT}/{unit}/model"


def event(unit: str, event_id: str) -> str:
    """The messages of one event, from open to close."""
    return f"{ROOT}/{unit}/event/{event_id}"


def alarm(unit: str, alarm_id: str) -> str:
    """The messages of one alarm of the device behind a sensor, from open to close."""
    return f"{ROOT}/{unit}/alarm/{alarm_id}"


def clip(unit: str, event_id: str) -> str:
    """The sound of one event."""
    return f"{ROOT}/{unit}/clip/{event_id}"


def command(unit: str, verb: str) -> str:
    """Where the control room asks."""
    return f"{ROOT}/{unit}/cmd/{verb}"


def reply(unit: str, request_id: str) -> str:
    """Where the unit answers."""
    return f"{ROOT}/{unit}/reply/{request_id}"


def selftest(unit: str) -> str:
    """What the unit found when it examined itself; retained."""
    return f"{ROOT}/{unit}/selftest"


def selftest_echo(unit: str, nonce: str) -> str:
    """Where a self-test sends a message to itself."""
    return f"{ROOT}/{unit}/selftest/{nonce}"
