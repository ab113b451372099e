"""A problem that the schema found in a configuration, in words for the person who has to mend it.

What would have been right is read from the JSON Schema of :class:`~hydroear.config.schema.Config`, which
holds the types, ranges and descriptions, so that no wording is kept twice.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic_core import ErrorDetails

from hydroear.config.document import Place
from hydroear.config.schema import Config, Section
from hydroear.errors import HydroearError

JsonSchema = Mapping[str, Any]

SHOWN_CHARACTERS = 40
"""How much of a wrong value is repeated."""


@dataclass(frozen=True)
class Problem:
    """What is wrong at a place of a configuration; printed without file and line."""

    place: Place
    what: str
    expected: str = ""
    fix: str = ""

    def __str__(self) -> str:
        return str(HydroearError(self.what, where=place_text(self.place), expected=self.expected, fix=self.fix))


def explain(detail: ErrorDetails, model: type[Section] = Config) -> Problem:
    """Put what pydantic found in a section, or in a whole configuration, into words."""
    place, schema, parent = _locate(detail["loc"], model)
    value = detail["input"]
    match detail["type"]:
        case "missing":
            return Problem(place, "missing", _expected(schema), "add it")
        case "extra_forbidden":
            known = list(parent["properties"])
            guess = _nearest(place[-1], known)
            return Problem(place, "unknown key", f"one of {', '.join(known)}", guess or "remove it")
        case "union_tag_not_found":
            return Problem((*place, "type"), "missing", _choice(_tags(schema)), "add it")
        case "union_tag_invalid":
            tag, tags = value["type"], _tags(schema)
            return Problem((*place, "type"), _wrong(tag), _choice(tags), _nearest(tag, tags))
        case "value_error":
            return Problem(place, str(detail["ctx"]["error"]))
        case _:
            return Problem(place, _wrong(value), _expected(schema), _nearest(value, schema.get("enum", ())))


def place_text(place: Place) -> str:
    """A place as people write it, e.g. ``sensors[0].source.files``."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(r"[\w-]+", part) else value_text(part))
    return text


def value_text(value: object) -> str:
    """A value of a configuration on one short line."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a section"
        case list():
            return "a list"
        case _:
            text = str(value)
            return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


@cache
def _schema(model: type[Section]) -> JsonSchema:
    return model.model_json_schema()


def _locate(location: tuple[int | str, ...], model: type[Section]) -> tuple[Place, JsonSchema, JsonSchema]:
    """Place, schema and schema of the section around; pydantic's location also names union members."""
    place: Place = ()
    schema = parent = _schema(model)
    for part in location:
        if "discriminator" in schema:
            schema = _resolved({"$ref": schema["discriminator"]["mapping"][part]})
            continue
        place = (*place, part)
        parent = schema
        schema = _resolved(schema["items"] if isinstance(part, int) else schema["properties"].get(part, {}))
    return place, schema, parent


def _resolved(schema: JsonSchema) -> JsonSchema:
    """The schema behind a reference, or of a value that may also be absent; its description goes first."""
    own = {key: schema[key] for key in ("description",) if key in schema}
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return {**_resolved(choice), **own}
    if "$ref" in schema:
        return {**_schema(Config)["$defs"][schema["$ref"].removeprefix("#/$defs/")], **own}
    return schema


def _expected(schema: JsonSchema) -> str:
    if "discriminator" in schema:
        return f"a section with type {_choice(_tags(schema))}"
    if "properties" in schema:
        return f"a section with {', '.join(schema['properties'])}"
    kind = _kind(schema)
    return f"{kind} ({schema['description']})" if "description" in schema else kind


def _kind(schema: JsonSchema) -> str:
    if "enum" in schema:
        return _choice(schema["enum"])
    match schema.get("type"):
        case "integer":
            return f"a whole number{_range(schema)}"
        case "number":
            return f"a number{_range(schema)}"
        case "array":
            return "a list with at least one entry" if schema.get("minItems") else "a list"
        case _:
            return str(schema.get("expected", "a path" if schema.get("format") == "path" else "text"))


def _range(schema: JsonSchema) -> str:
    bounds = [
        f" {words} {schema[key]:g}"
        for key, words in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    return "".join(bounds)


def _tags(schema: JsonSchema) -> list[str]:
    return list(schema["discriminator"]["mapping"])


def _choice(values: Iterable[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}" if most else last


def _wrong(value: object) -> str:
    return "no value" if value is None else f"bad value {value_text(value)}"


def _nearest(word: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""
