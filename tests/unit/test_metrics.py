"""How a unit is doing, as Prometheus reads it, and whoever asks too slowly or wrongly."""

from __future__ import annotations

import copy
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from broker import wait_for
from hydroear.errors import OutboxError
from hydroear.service import metrics
from hydroear.service.metrics import METRICS, MetricsServer, render

HEALTH: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden/payloads/health.json").read_text())
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{{{LABEL}(?:,{LABEL})*\}})? (\S+)")
"""https://prometheus.io/docs/instrumenting/exposition_formats: a name, labels and a Go float."""


def samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels; each metric has its own HELP and TYPE right before it."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    named = ""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("# HELP "):
            named = line.split()[2]
            kind = next(lines).split()
            assert kind[:3] == ["#", "TYPE", named]
            assert (kind[3] == "counter") == named.endswith("_total")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert match[1] == named
        assert f"{match[1]}{match[2] or ''}" not in found
        found[f"{match[1]}{match[2] or ''}"] = float(match[3])
    return found


def numbers(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all numbers below."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, (*path, key))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield path


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The payload with another value somewhere."""
    health = copy.deepcopy(HEALTH)
    place = health
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return health


def test_the_text_is_in_the_format_and_in_base_units() -> None:
    told = samples(render(HEALTH))
    assert told['hydroear_sensor_score_duration_seconds{sensor="hydrant-7",quantile="0.95"}'] == 0.0095
    assert told['hydroear_sensor_clock_drift_ratio{sensor="hydrant-7"}'] == -18.4e-6
    assert told['hydroear_dropped_messages_total{kind="clip"}'] == 4
    assert told['hydroear_sensor_state{sensor="hydrant-7",state="quiet"}'] == 1
    assert told['hydroear_sensor_state{sensor="hydrant-7",state="leak"}'] == 0
    assert told['hydroear_device_alarm{sensor="hydrant-7",alarm="water-ingress"}'] == 1
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_an_alarm_of_a_device_and_of_its_sensor_is_one_sample() -> None:
    alarms = HEALTH["sensors"]["hydrant-7"]["alarms"]
    told = samples(render(changed(("sensors", "hydrant-7", "alarms"), [*alarms, *alarms])))
    assert sum(name.startswith("hydroear_device_alarm") for name in told) == 1


@pytest.mark.parametrize("path", [path for path in numbers(HEALTH) if path != ("seq",)], ids="-".join)
def test_every_number_of_the_health_payload_is_told(path: tuple[str, ...]) -> None:
    assert render(changed(path, 123)) != render(HEALTH)


@pytest.mark.parametrize("key", ["level_db", "drift_ppm", "score_p50_ms", "evidence", "device"])
def test_what_is_not_known_has_no_sample(key: str) -> None:
    told = samples(render(changed(("sensors", "hydrant-7", key), None)))
    assert len(told) < len(samples(render(HEALTH)))


def test_a_name_with_quotes_and_line_breaks_breaks_nothing() -> None:
    told = samples(render(changed(("model",), 'a"b\\c\nd')))
    assert any(r'model="a\"b\\c\nd"' in name for name in told)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    """A server of :data:`HEALTH`."""
    server = MetricsServer(0, lambda: HEALTH)
    yield server
    server.close()


def ask(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str | None, str]:
    """Status, content type and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body


def test_who_asks_for_metrics_gets_them_and_nothing_else_is_there(server: MetricsServer) -> None:
    status, content_type, body = ask(server.port)
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body == render(HEALTH)
    assert ask(server.port, "/")[0] == 404
    assert ask(server.port, "/metrics/../etc/passwd")[0] == 404
    assert ask(server.port, method="POST")[0] == 501
    assert ask(server.port, "/" + "a" * 100_000)[0] == 414


def test_it_listens_to_this_machine_alone(server: MetricsServer) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    assert [
        address.split(":")[0]
        for _, address, _, state, *_ in listening[1:]
        if state == "0A" and int(address.split(":")[1], 16) == server.port
    ] == ["0100007F"]


def test_who_says_nothing_or_too_little_is_hung_up_on_and_others_are_answered(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "PATIENCE_S", 0.3)
    before = threading.active_count()
    with ExitStack() as open_sockets:
        mute, *_ = [open_sockets.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(3)]
        assert ask(server.port)[0] == 200
        mute.settimeout(5.0)
        assert mute.recv(1) == b""
        wait_for(lambda: threading.active_count() <= before + 1, "the others to be hung up on as well")

        dribbling = open_sockets.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        began_s = time.monotonic()

        def hung_up() -> bool:
            time.sleep(0.05)
            try:
                dribbling.sendall(b"G")
            except OSError:
                return True
            return False

        wait_for(hung_up, "the end of a request that never ends")
        assert time.monotonic() - began_s < 3.0
        assert ask(server.port)[0] == 200


def test_who_does_not_read_the_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PATIENCE_S", 0.3)
    more_than_the_kernel_keeps = {**HEALTH, "drops": {f"kind{number}": 0 for number in range(200_000)}}
    server = MetricsServer(0, lambda: more_than_the_kernel_keeps)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", server.port))
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        time.sleep(0.1)
        assert ask(server.port, "/")[0] == 404
    server.close()


def test_a_health_that_cannot_be_told_is_an_error_of_that_answer_alone() -> None:
    def fail() -> dict[str, Any]:
        raise OutboxError("the queue cannot be used: disk full")

    server = MetricsServer(0, fail)
    for _ in range(2):
        status, _, body = ask(server.port)
        assert status == 503
        assert "disk full" in body
    server.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server.port)
