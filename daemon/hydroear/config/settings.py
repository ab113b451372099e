"""Settings that the control room has changed: kept beside the state, over the configuration's own."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hydroear.codes import Code, coded
from hydroear.config.problem import explain
from hydroear.config.schema import Config
from hydroear.errors import ConfigError, HydroearError
from hydroear.wholefile import whole_file

log = logging.getLogger(__name__)

SETTABLE = ("decision", "night", "publish", "evidence")
"""Sections that may be changed from afar; with the others a unit could be made deaf, or never be reached again."""

Changes = Mapping[str, Mapping[str, Any]]


def with_settings(config: Config) -> Config:
    """The configuration with what was changed from afar; without it, and a warning, where that is damaged."""
    try:
        changes = json.loads(config.settings_path.read_bytes())
        return changed(config, changes)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        log.warning(
            "%s: what was set from afar is not in force: %s; set it again",
            config.settings_path,
            error,
            extra=coded(Code.SETTINGS_IGNORED),
        )
    return config


def changed(config: Config, changes: Changes) -> Config:
    """A configuration with other settings.

    Raises
    ------
    ConfigError
        With every problem of the changes.
    """
    if not isinstance(changes, Mapping) or not all(isinstance(values, Mapping) for values in changes.values()):
        raise ConfigError(["settings are given by section and name"])
    foreign = [name for name in changes if name not in SETTABLE]
    if foreign:
        raise ConfigError([f"{name}: may not be changed from afar; only {', '.join(SETTABLE)}" for name in foreign])
    content = config.model_dump(by_alias=True)
    for section, values in changes.items():
        content[section].update(values)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError([str(explain(detail)) for detail in error.errors(include_url=False)]) from error


def change_settings(config: Config, changes: Changes, *, reset: bool = False) -> Changes:
    """Keep changes for the next start; those that were made before stay unless they are changed again.

    Parameters
    ----------
    config
        The configuration as its file says it is, or with earlier changes.
    changes
        Values by section and name.
    reset
        Whether what was changed before is forgotten.

    Returns
    -------
    mapping
        All that differs from the file then.

    Raises
    ------
    ConfigError
        With every problem of the changes; everything stays as it was.
    HydroearError
        If they cannot be written.
    """
    changed(config, changes)
    path = config.settings_path
    before: dict[str, dict[str, Any]] = {}
    if not reset and path.exists():
        try:
            before = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise HydroearError(f"cannot be read: {error}", where=path, fix="reset it") from error
    after = {section: {**before.get(section, {}), **changes.get(section, {})} for section in {**before, **changes}}
    changed(config, after)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as out:
            out.write(json.dumps(after, allow_nan=False, indent=1).encode())
    except (OSError, ValueError) as error:
        raise HydroearError(f"cannot be written: {error}", where=path, fix="free space or check its owner") from error
    return after
