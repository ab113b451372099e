"""Settings in YAML files, checked against their model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hydroear.errors import ConfigError, UsageError

M = TypeVar("M", bound=BaseModel)


def load_settings(path: Path | None, model: type[M], name: str, overrides: Mapping[str, Any] | None = None) -> M:
    """Read settings.

    Parameters
    ----------
    path
        A YAML file; None for the defaults.
    model
        What they are.
    name
        What errors call them.
    overrides
        Take the place of values in the file.

    Raises
    ------
    UsageError
        If the file cannot be read or is no YAML mapping.
    ConfigError
        If a key is unknown or a value wrong; all of them at once.
    """
    values: Any = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            raise UsageError(f"cannot be read ({reason})", where=path, expected=f"a {name} in YAML") from error
        if not isinstance(values, dict):
            raise UsageError("no mapping", where=path, expected=f"a {name} in YAML")
    try:
        return model.model_validate({**values, **(overrides or {})})
    except ValidationError as error:
        raise ConfigError(
            [f"{path or name}: {'.'.join(map(str, p['loc'])) or name}: {p['msg']}" for p in error.errors()]
        ) from error
