"""How a unit is doing, for Prometheus: its health payload in the text exposition format 0.0.4.

The format: https://prometheus.io/docs/instrumenting/exposition_formats. Names and base units:
https://prometheus.io/docs/practices/naming.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any, Literal

from hydroear.decide import State
from hydroear.errors import HydroearError
from hydroear.health import Condition

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ADDRESS = "127.0.0.1"
PATIENCE_S = 2.0
"""How long one client may take from its connection to its last byte; others wait meanwhile."""

Payload = Mapping[str, Any]
Sample = tuple[Mapping[str, str], float | None]
Read = Callable[[Payload], Iterable[Sample]]


@dataclass(frozen=True)
class Metric:
    """One metric: its name without prefix, its type, what it is, and how to find it in a payload."""

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Read


def render(health: Payload) -> str:
    """A decoded health payload as metrics; what is null has no sample.

    Each metric carries no label of the unit: Prometheus tells units by the address that it asks.
    """
    lines = []
    for metric in METRICS:
        name = f"hydroear_{metric.name}"
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in metric.read(health) if value is not None]
    return "\n".join([*lines, ""])


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unit(key: str) -> Read:
    """One number of the unit."""
    return lambda health: [({}, health[key])]


def _about(health: Payload) -> Iterator[Sample]:
    yield {"unit": health["unit"], "model": health["model"], "bundle": health["bundle"] or ""}, 1


def _by(label: str, key: str) -> Read:
    """Numbers of the unit, by a label."""
    return lambda health: [({label: name}, value) for name, value in health[key].items()]


def _sensor(key: str, divisor: float | None = None) -> Read:
    """One number of each sensor."""

    def read(health: Payload) -> Iterator[Sample]:
        for sensor, told in health["sensors"].items():
            value = told[key]
            yield {"sensor": sensor}, value if divisor is None or value is None else value / divisor

    return read


def _flag(key: str) -> Read:
    """1 for each sensor for which something is so, 0 for the others."""
    return lambda health: [({"sensor": sensor}, int(told[key])) for sensor, told in health["sensors"].items()]


def _levels(health: Payload) -> Iterator[Sample]:
    for sensor, told in health["sensors"].items():
        yield {"sensor": sensor, "unit": told["level_unit"] or ""}, told["level"]


def _one_of(label: str, key: str, choices: Iterable[str]) -> Read:
    """One sample a choice for each sensor: 1 for what it is, 0 for the others."""
    names = [str(choice) for choice in choices]

    def read(health: Payload) -> Iterator[Sample]:
        for sensor, told in health["sensors"].items():
            for name in names:
                yield {"sensor": sensor, label: name}, int(told[key] == name)

    return read


def _durations(health: Payload) -> Iterator[Sample]:
    for sensor, told in health["sensors"].items():
        for quantile, key in (("0.5", "score_p50_ms"), ("0.95", "score_p95_ms")):
            value_ms = told[key]
            yield {"sensor": sensor, "quantile": quantile}, None if value_ms is None else value_ms / 1000.0


def _shadow(key: str) -> Read:
    """One number of the model that hears beside the one at work; nothing where none does."""
    return lambda health: [({}, None if health["shadow"] is None else health["shadow"][key])]


def _evidence(health: Payload) -> Iterator[Sample]:
    for sensor, told in health["sensors"].items():
        for outcome, count in (told["evidence"] or {}).items():
            yield {"sensor": sensor, "outcome": outcome}, count


def _device(key: str) -> Read:
    """One number of the device behind each sensor; nothing where there is none, or it does not tell."""

    def read(health: Payload) -> Iterator[Sample]:
        for sensor, told in health["sensors"].items():
            yield {"sensor": sensor}, None if told["device"] is None else told["device"][key]

    return read


def _device_faults(health: Payload) -> Iterator[Sample]:
    for sensor, told in health["sensors"].items():
        for fault in ("adc_overruns", "samples_dropped", "clips", "frames_dropped", "frames_lost", "frames_bad"):
            yield {"sensor": sensor, "fault": fault}, None if told["device"] is None else told["device"][fault]


def _device_alarms(health: Payload) -> Iterator[Sample]:
    for sensor, told in health["sensors"].items():
        for alarm in sorted({open_alarm["alarm"] for open_alarm in told["alarms"]}):
            yield {"sensor": sensor, "alarm": alarm}, 1


METRICS = (
    Metric("info", "gauge", "Always 1; what the unit is and which model it scores with.", _about),
    Metric("uptime_seconds", "gauge", "Time since the daemon started.", _unit("uptime_s")),
    Metric("resident_memory_bytes", "gauge", "Resident memory of the daemon.", _unit("rss_bytes")),
    Metric("queue_messages", "gauge", "Messages that wait for the broker.", _unit("queue_depth")),
    Metric("dropped_messages_total", "counter", "Messages dropped over the outbox's cap.", _by("kind", "drops")),
    Metric("refused_messages_total", "counter", "Messages that the broker refused.", _unit("refused")),
    Metric("disk_free_bytes", "gauge", "Free space for the unit's state.", _unit("disk_free_bytes")),
    Metric("cpu_temperature_celsius", "gauge", "Hottest part that the kernel knows.", _unit("cpu_temperature_c")),
    Metric("clock_error_seconds", "gauge", "The most that the clock may be off.", _unit("clock_error_s")),
    Metric("shadow_windows", "gauge", "Windows that a model scored beside the one at work.", _shadow("windows")),
    Metric("shadow_wanted_windows", "gauge", "How many it must score.", _shadow("of")),
    Metric("shadow_agreement_ratio", "gauge", "Share of which both models say the same.", _shadow("agreement")),
    Metric("sensor_state", "gauge", "1 for what the sensor hears.", _one_of("state", "state", State)),
    Metric("sensor_condition", "gauge", "1 for how the sensor is doing.", _one_of("condition", "condition", Condition)),
    Metric("sensor_resting", "gauge", "1 for a logger whose recordings were all heard.", _flag("resting")),
    Metric("sensor_level_decibels", "gauge", "Level of the last window, full scale 0.", _sensor("level_db")),
    Metric("sensor_level", "gauge", "The same as root mean square, in the unit of what the sensor measures.", _levels),
    Metric("sensor_floor_decibels", "gauge", "Noise floor of ten minutes, full scale 0.", _sensor("floor_db")),
    Metric("sensor_windows_scored_total", "counter", "Windows scored.", _sensor("windows_scored")),
    Metric("sensor_windows_skipped_total", "counter", "Windows left out.", _sensor("windows_skipped")),
    Metric(
        "sensor_windows_vetoed_total", "counter", "Windows left out as sounds in the air.", _sensor("windows_vetoed")
    ),
    Metric("sensor_gaps_total", "counter", "Times that samples were lost.", _sensor("gaps")),
    Metric("sensor_lost_samples_total", "counter", "Samples lost.", _sensor("samples_lost")),
    Metric("sensor_overflows_total", "counter", "Times that the driver discarded samples.", _sensor("overflows")),
    Metric("sensor_clock_drift_ratio", "gauge", "How much too fast its clock runs.", _sensor("drift_ppm", 1e6)),
    Metric("sensor_score_duration_seconds", "gauge", "Time one window took to score, by quantile.", _durations),
    Metric("sensor_evidence_total", "counter", "What became of the evidence, by outcome.", _evidence),
    Metric("device_restarts_total", "counter", "Times that the device was seen to boot.", _device("restarts")),
    Metric("device_battery_volts", "gauge", "Voltage of the device's battery.", _device("battery_v")),
    Metric("device_supply_volts", "gauge", "Voltage of the device's supply.", _device("supply_v")),
    Metric("device_charge_ratio", "gauge", "Charge of the device's battery.", _device("charge")),
    Metric("device_temperature_celsius", "gauge", "Temperature in the device's case.", _device("temperature_c")),
    Metric("device_humidity_ratio", "gauge", "Relative humidity in the device's case.", _device("humidity")),
    Metric("device_faults_total", "counter", "What went wrong in the device or on the way.", _device_faults),
    Metric("device_alarm", "gauge", "1 for each alarm of the device that is open.", _device_alarms),
)


class MetricsServer:
    """Answers ``GET /metrics`` on the loopback address, to one client at a time.

    Hearing waits for nobody: a client that is slow is hung up on, and those beyond the backlog are not let in.

    Parameters
    ----------
    port
        TCP port; 0 takes a free one.
    health
        Gives the decoded health payload of this moment, on this server's thread.

    Attributes
    ----------
    port
        Where it listens.

    Raises
    ------
    OSError
        If the port cannot be had.
    """

    def __init__(self, port: int, health: Callable[[], Payload]) -> None:
        self._server = _Server((ADDRESS, port), partial(_Handler, health))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let whoever is being answered go, and answer nobody any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.debug("metrics: a client went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "hydroear", ""

    def __init__(self, health: Callable[[], Payload], *connection: Any) -> None:
        self._health = health
        super().__init__(*connection)

    def handle(self) -> None:
        hang_up = threading.Timer(PATIENCE_S, _hang_up, [self.connection])
        hang_up.start()
        try:
            super().handle()
        finally:
            hang_up.cancel()

    def do_GET(self) -> None:
        if self.path != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND, "Ask for /metrics")
            return
        try:
            body = render(self._health()).encode()
        except HydroearError as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        log.debug("metrics: %s", format % args)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
