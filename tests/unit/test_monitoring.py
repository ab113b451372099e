"""The snippets for telegraf, Prometheus and Grafana ask for what a unit tells."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt.client import topic_matches_sub

from hydroear.config.schema import Metrics
from hydroear.mqtt import topics
from hydroear.service.metrics import METRICS, render

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "daemon/docs/monitoring.md").read_text()
TOPICS = {"state": topics.state("unit-1", "pipe"), "health": topics.health("unit-1")}


def golden(kind: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((ROOT / f"tests/golden/payloads/{kind}.json").read_text())
    return payload


def snippets(language: str) -> list[str]:
    """Code on the page in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


def consumers() -> list[dict[str, Any]]:
    """What telegraf is told of MQTT."""
    (snippet,) = snippets("toml")
    found: list[dict[str, Any]] = tomllib.loads(snippet)["inputs"]["mqtt_consumer"]
    return found


@pytest.mark.parametrize("kind", TOPICS)
def test_telegraf_subscribes_to_topics_that_there_are_and_finds_every_path(kind: str) -> None:
    (consumer,) = [c for c in consumers() if any(topic_matches_sub(topic, TOPICS[kind]) for topic in c["topics"])]
    (parser,) = consumer["json_v2"]
    promised = json.loads((files("hydroear.mqtt") / "schemas" / f"{kind}.json").read_text())["properties"]
    for entry in parser["field"] + [{"type": "string", **tag} for tag in parser["tag"]]:
        types = promised[entry["path"]].get("type", "string")  # what has none is one of several strings
        assert {"string": "string", "float": "number", "int": "integer"}[entry["type"]] in types, entry
    assert datetime.fromisoformat(golden(kind)[parser["timestamp_path"]]).tzinfo is not None


def test_every_consumer_has_a_session_of_its_own() -> None:
    assert len({consumer["client_id"] for consumer in consumers()}) == len(consumers()) == len(TOPICS)


def test_influx_is_asked_for_what_telegraf_stores() -> None:
    (query,) = snippets("sql")
    stored = {parser["measurement_name"] for consumer in consumers() for parser in consumer["json_v2"]}
    stored |= {entry["path"] for c in consumers() for p in c["json_v2"] for entry in p["field"] + p["tag"]}
    assert set(re.findall(r'"(\w+)"', query)) <= stored


def test_prometheus_asks_where_the_unit_answers() -> None:
    unit, prometheus = (yaml.safe_load(snippet) for snippet in snippets("yaml"))
    (job,) = prometheus["scrape_configs"]
    port = Metrics.model_validate(unit["metrics"]).port
    assert job["static_configs"][0]["targets"] == [f"127.0.0.1:{port}"]


def test_every_query_names_metrics_and_labels_that_there_are() -> None:
    (queries,) = snippets("promql")
    told = render(golden("health"))
    names = set(re.findall(r"hydroear_\w+", queries))
    assert names <= {f"hydroear_{metric.name}" for metric in METRICS}
    for name, label, choices in re.findall(r'(hydroear_\w+)\{(\w+)=~"([\w|]+)"\}', queries):
        for choice in choices.split("|"):
            assert re.search(rf'^{name}\{{.*{label}="{choice}"', told, re.MULTILINE), choice
