"""A real Home Assistant, run by the interpreter that has it: ``python home_assistant.py FOLDER BROKER_PORT``.

Only its core and its MQTT integration are started. It answers each line on standard input with one of JSON: to
``states`` with the state of every entity by name, to ``press ENTITY`` with null, once that button was pressed, and to
``complaints`` with what the integration warned of.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from homeassistant import bootstrap, config_entries, core, loader


class Complaints(logging.Handler):
    """What was warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def main(folder: str, port: int) -> None:
    complaints = Complaints()
    for name in ("mqtt", "sensor", "binary_sensor", "button"):
        logging.getLogger(f"homeassistant.components.{name}").addHandler(complaints)
    (Path(folder) / "configuration.yaml").touch()
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    # What the integration depends on, for its own settings in the browser; nothing here asks for it.
    hass.config.components |= {"http", "file_upload"}
    await hass.async_start()
    await hass.config_entries.async_add(
        config_entries.ConfigEntry(
            version=1,
            minor_version=2,
            domain="mqtt",
            title="broker",
            data={"broker": "127.0.0.1", "port": port},
            options={},
            source="user",
            unique_id=None,
            discovery_keys={},
            subentries_data=(),
        )
    )
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        answer: Any = None
        if line[0] == "states":
            answer = {state.entity_id: state.state for state in hass.states.async_all()}
        elif line[0] == "complaints":
            answer = complaints.lines
        else:
            await hass.services.async_call("button", "press", {"entity_id": line[1]}, blocking=True)
        print(json.dumps(answer), flush=True)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
