"""What can be logged: a code for each kind of news, and the fields that go with it."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from enum import StrEnum

_NAMES = uuid.UUID("2c8f4b0a-3e0f-4a53-9a0b-5f1c0f1d9d7e")
"""The name space of the message identifiers; another one would make other messages of them all."""

current_sensor: ContextVar[str] = ContextVar("current_sensor", default="")
"""The sensor that this thread hears; what it logs is of that sensor, however deep below it is said."""


class Code(StrEnum):
    """A kind of news. What each means and what to do is in the message catalogue, ``systemd/hydroear.catalog``."""

    BROKER_AWAY = "broker-away"
    BROKER_CONNECTED = "broker-connected"
    BROKER_REFUSES = "broker-refuses"
    CALIBRATION_BEGUN = "calibration-begun"
    CALIBRATION_ENDED = "calibration-ended"
    CALIBRATION_REFUSED = "calibration-refused"
    CAPTURE_STUCK = "capture-stuck"
    COMMAND_DONE = "command-done"
    COMMAND_FAILED = "command-failed"
    COMMAND_REFUSED = "command-refused"
    CONFIG_BAD = "config-bad"
    DEVICE_ALARM = "device-alarm"
    DEVICE_LOG = "device-log"
    DEVICE_RESTARTED = "device-restarted"
    EVENT_CLOSED = "event-closed"
    EVENT_OPENED = "event-opened"
    EVIDENCE_LOST = "evidence-lost"
    LOCAL_VIEW_OFF = "local-view-off"
    LOGGER_AWAY = "logger-away"
    LOGGER_KEEPS = "logger-keeps"
    LOGGER_TIMELESS = "logger-timeless"
    LOGGER_VISITED = "logger-visited"
    MANAGER_AWAY = "manager-away"
    MEMORY_LOST = "memory-lost"
    MODEL_COMPARED = "model-compared"
    MODEL_CONFIRMED = "model-confirmed"
    MODEL_PROBATION = "model-probation"
    MODEL_ROLLED_BACK = "model-rolled-back"
    MODEL_SLOTS_FAIL = "model-slots-fail"
    MODEL_WAITS = "model-waits"
    MODEL_WITHDRAWN = "model-withdrawn"
    OUTBOX_DAMAGED = "outbox-damaged"
    OUTBOX_FAILS = "outbox-fails"
    RECORDING_FETCHED = "recording-fetched"
    RECORDING_HEARD = "recording-heard"
    RELOADED = "reloaded"
    RELOAD_REFUSED = "reload-refused"
    SELFTEST_FAILED = "selftest-failed"
    SENSOR_AILING = "sensor-ailing"
    SENSOR_DEAF = "sensor-deaf"
    SENSOR_GIVEN_UP = "sensor-given-up"
    SENSOR_HEARD = "sensor-heard"
    SETTINGS_IGNORED = "settings-ignored"
    START_DELAYED = "start-delayed"
    STATE_CHANGED = "state-changed"
    UNDELIVERED = "undelivered"
    UNIT_FAILED = "unit-failed"

    @property
    def message_id(self) -> str:
        """The identifier of such messages in the journal and its catalogue: 32 hexadecimal digits."""
        return uuid.uuid5(_NAMES, self.value).hex


def coded(code: Code, *, sensor: str = "", event_id: str = "") -> dict[str, object]:
    """The ``extra`` of a log message: its code, and whom it is about where that is not the thread's own sensor."""
    return {"code": code, "sensor": sensor or current_sensor.get(), "event_id": event_id}
