"""The recipe: everything a training run depends on besides its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hydroear.dsp import FrontEndSpec
from hydroear.errors import ConfigError, HydroearError, UsageError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Extractor(_Section):
    """The CNN and its pretext task: normal windows against the same windows with a synthetic leak."""

    alpha: Annotated[float, Field(gt=0, le=1.4, description="width multiplier of MobileNetV2")] = 0.35
    steps: Annotated[int, Field(ge=1, description="training steps")] = 600
    pairs: Annotated[int, Field(ge=2, description="pairs of windows in a step")] = 32
    learning_rate: Annotated[float, Field(gt=0, description="peak of the cosine schedule")] = 2e-3
    leak_snr_db: Annotated[tuple[float, float], Field(description="audibility of the synthetic leaks, dB")] = (
        -6.0,
        15.0,
    )
    tilt_db: Annotated[float, Field(ge=0, description="deviation of the random tilt, dB")] = 1.5
    simulated_sites: Annotated[
        int, Field(ge=0, description="simulated normal pipes that half of the pairs are drawn from; 0 for none")
    ] = 32
    simulated_s: Annotated[float, Field(ge=8, le=600, description="seconds of each simulated pipe")] = 30.0
    validation_pairs: Annotated[int, Field(ge=8, description="held-out pairs for the metrics")] = 512


class Autoencoder(_Section):
    """The dense autoencoder on whitened embeddings."""

    components: Annotated[int, Field(ge=1, description="components of the embedding that are kept")] = 16
    hidden: Annotated[int, Field(ge=1)] = 96
    bottleneck: Annotated[int, Field(ge=1)] = 12
    noise: Annotated[float, Field(ge=0, description="noise on the input, in deviations")] = 0.1
    epochs: Annotated[int, Field(ge=1)] = 30
    windows: Annotated[int, Field(ge=16, description="normal windows drawn to train it")] = 6000


class Recipe(_Section):
    """A training run. Every field has a default; a YAML file names those that differ."""

    front_end: dict[str, Any] = {}
    extractor: Extractor = Extractor()
    autoencoder: Autoencoder = Autoencoder()
    validation_fraction: Annotated[float, Field(gt=0, lt=0.9, description="last part of every recording, held out")] = (
        0.2
    )
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("front_end")
    @classmethod
    def _front_end_is_one(cls, values: dict[str, Any]) -> dict[str, Any]:
        try:
            FrontEndSpec(**values)
        except (TypeError, HydroearError) as error:
            raise ValueError(str(error).removeprefix("FrontEndSpec.__init__() ")) from error
        return values

    @model_validator(mode="after")
    def _snr_is_a_range(self) -> Recipe:
        low, high = self.extractor.leak_snr_db
        if low > high:
            raise ValueError(f"extractor.leak_snr_db {low:g} to {high:g} is no range: put the lower first")
        return self

    @property
    def spec(self) -> FrontEndSpec:
        """The front end of the recipe."""
        return FrontEndSpec(**self.front_end)

    def to_dict(self) -> dict[str, Any]:
        """The whole recipe, defaults written out, as JSON values."""
        whole: dict[str, Any] = self.model_dump(mode="json")
        whole["front_end"] = json.loads(self.spec.to_json())
        return whole


def load_recipe(path: Path | None, *, seed: int | None = None) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path
        A YAML file; None for the default recipe.
    seed
        Takes the place of the recipe's seed.

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
            raise UsageError(f"cannot be read ({reason})", where=path, expected="a recipe in YAML") from error
        if not isinstance(values, dict):
            raise UsageError("no mapping", where=path, expected="a recipe in YAML")
    if seed is not None:
        values = {**values, "seed": seed}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            [f"{path or 'recipe'}: {'.'.join(map(str, p['loc'])) or 'recipe'}: {p['msg']}" for p in error.errors()]
        ) from error
