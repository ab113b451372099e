"""The page about topics and payloads: ``python -m hydroear.mqtt.document > daemon/docs/topics.md``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.resources import files
from typing import Any

from hydroear.mqtt import commands, topics
from hydroear.mqtt.payloads import Stamp

Schema = Mapping[str, Any]
Fields = Mapping[str, Schema]

_HEAD = f"""\
# Topics and payloads

<!-- Printed by python -m hydroear.mqtt.document, from the JSON Schemas in daemon/hydroear/mqtt/schemas. -->

All topics of a unit are under `{topics.ROOT}/UNIT/`. Payloads are JSON objects in UTF-8. They are sent with QoS 1, so
one may arrive twice; `boot_id` and `seq` tell it, of events and alarms their id and `seq`. Fields may be added without
a new version: ignore those that you do not know.

`historical` is set by the unit when it hands a message to the broker. What the broker itself has kept and gives to
whoever subscribes later is told by MQTT's own retain flag.

## Every payload

`schema` names the kind of payload and its version, as `hydroear/status/1`; it comes first. All have these as well:
"""


def page() -> str:
    """The page, as Markdown."""
    kinds = {name: function for name, function in vars(topics).items() if inspect.isfunction(function)}
    schemas = {name: schema for name in kinds if (schema := _schema(name)) is not None}
    stamp: Fields = schemas["status"]["properties"]
    common = {name: stamp[name] for name in ("historical", *(field.name for field in fields(Stamp)))}
    parts = [_HEAD, _table(common)]
    for name, function in kinds.items():
        topic = function(*map(str.upper, inspect.signature(function).parameters))
        parts.append(f"## `{topic}`\n")
        if name in schemas:
            own = {key: field for key, field in schemas[name]["properties"].items() if field != common.get(key)}
            parts += [f"{schemas[name]['description']}\n", _table({key: own[key] for key in own if key != "schema"})]
        else:
            parts.append(f"{inspect.getdoc(function)}\n")
        if name == "command":
            parts += _commands()
    return "\n".join(parts)


def _commands() -> Iterator[str]:
    """What may be asked; the schemas of requests are those of the models that check them."""
    common = commands.Command.model_fields.keys() - {"form"}
    first, *_ = commands.COMMANDS
    properties = commands.schema(first)["properties"]
    yield "Every request has `schema`, which is `hydroear/command/1`, and these:\n"
    yield _table({key: field for key, field in properties.items() if key in common})
    yield (
        "A unit that has `mqtt.command_keys` takes signed requests alone: "
        '`{"schema":"hydroear/signed-command/1","request":"…","signature":"…"}`, with the request as text, and in '
        "base64 the Ed25519 signature of `hydroear command signature 1`, `unit UNIT`, `verb VERB`, each followed by a "
        "line feed, and that text.\n"
    )
    for verb in commands.COMMANDS:
        schema = commands.schema(verb)
        yield f"### `{verb}`\n\n{schema['description']}\n"
        own = {key: field for key, field in schema["properties"].items() if key not in properties}
        if own:
            yield _table(own)


def _schema(kind: str) -> Schema | None:
    """The JSON Schema of a kind of payload; None where what is sent is none."""
    path = files("hydroear.mqtt") / "schemas" / f"{kind}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _table(rows: Fields) -> str:
    lines = [
        f"| `{path}` | {_values(field)} | {field['description']} |"
        for name, top in rows.items()
        for path, field in _unfold(name, top)
    ]
    return "\n".join(["| field | value | meaning |", "|---|---|---|", *lines, ""])


def _unfold(path: str, field: Schema) -> Iterator[tuple[str, Schema]]:
    """A field and all below it, with their paths: ``a.b``, ``a.*`` for any key, ``a[]`` for each item."""
    yield path, field
    for inside, suffix in ((field, ""), (field.get("additionalProperties"), ".*"), (field.get("items"), "[]")):
        if isinstance(inside, Mapping):
            for name, below in inside.get("properties", {}).items():
                yield from _unfold(f"{path}{suffix}.{name}", below)


def _values(field: Schema) -> str:
    """What a field may be, in words."""
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(_values(choice) for choice in field["anyOf"])
    if "type" not in field:
        return "anything"
    types = field["type"]
    words = " or ".join([types] if isinstance(types, str) else types)
    for key, of in (("items", "of"), ("additionalProperties", "by name, each")):
        if isinstance(field.get(key), Mapping):
            words += f" {of} {_values(field[key])}"
    for key, limit in (("minimum", "at least"), ("maximum", "at most")):
        if key in field:
            words += f", {limit} {field[key]:g}"
    return words


if __name__ == "__main__":
    print(page(), end="")
