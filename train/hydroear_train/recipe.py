"""The recipe: everything a training run depends on besides its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hydroear.dsp import FrontEndSpec
from hydroear.errors import HydroearError
from hydroear_train.yamlfile import load_settings

_Weight = Annotated[float, Field(ge=0)]

Architecture = Literal["mobilenet-v2", "densenet-121", "resnet-50"]

_USUAL_LAYER = {
    "mobilenet-v2": "block_1_expand_relu",
    "densenet-121": "conv2_block1_concat",
    "resnet-50": "conv2_block1_out",
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Extractor(_Section):
    """The CNN: which one, what of it is the embedding, and how it is trained."""

    architecture: Architecture = "mobilenet-v2"
    alpha: Annotated[float, Field(gt=0, le=1.4, description="width multiplier of MobileNetV2")] = 1.0
    layers: Annotated[
        tuple[str, ...], Field(description="layers that give the embedding; none: the usual one of the architecture")
    ] = ()
    pooling: Literal["mean", "mean+deviation"] = "mean"
    frames_averaged: Annotated[int, Field(ge=1, description="frames averaged into one before the network")] = 6
    mix_bands: Annotated[bool, Field(description="learned mixtures of the bands before the network")] = True
    steps: Annotated[int, Field(ge=1, description="training steps")] = 800
    pairs: Annotated[int, Field(ge=2, description="pairs of windows in a step")] = 32
    learning_rate: Annotated[float, Field(gt=0, description="peak of the cosine schedule")] = 2e-3
    validation_pairs: Annotated[int, Field(ge=8, description="held-out pairs for the metrics and the gate")] = 512

    @property
    def named_layers(self) -> tuple[str, ...]:
        """The layers, or the usual one: an early one, where the resolution is still a half or a quarter."""
        return self.layers or (_USUAL_LAYER[self.architecture],)


class Pretext(_Section):
    """What the extractor is trained to tell: weights of the losses that are summed, 0 for none of it."""

    leak: Annotated[_Weight, Field(description="normal or leak")] = 1.0
    supervised: Annotated[
        bool, Field(description="learn from recordings labelled leak too, not only synthetic ones")
    ] = False
    condition: Annotated[_Weight, Field(description="under which condition it was recorded")] = 0.0
    condition_columns: Annotated[
        tuple[str, ...], Field(description="columns that make a condition; none: the group and the usual ones")
    ] = ()
    margin: Annotated[Literal["arcface", "adacos"], Field(description="loss of the conditions")] = "arcface"
    generator: Annotated[_Weight, Field(description="which generator made the leak, if there is one")] = 0.0
    mixup: Annotated[float, Field(ge=0, description="alpha of the shares windows are mixed by; 0 for no mixing")] = 0.0

    @model_validator(mode="after")
    def _has_something_to_tell(self) -> Pretext:
        if not (self.leak or self.condition or self.generator):
            raise ValueError("every weight is 0, so there is nothing to learn")
        if self.supervised and not self.leak:
            raise ValueError("supervised: leak has weight 0, so real leaks teach nothing")
        return self


class Leaks(_Section):
    """Synthetic leaks: how often each generator is drawn, relative to the others."""

    jet: _Weight = 1.0
    band: _Weight = 1.0
    colour: _Weight = 1.0
    enhancement: _Weight = 0.0
    shuffle: _Weight = 0.0
    surrogate: _Weight = 0.0
    snr_db: Annotated[tuple[float, float], Field(description="audibility, dB")] = (-6.0, 15.0)

    @property
    def weights(self) -> dict[str, float]:
        """Weight by generator."""
        return self.model_dump(exclude={"snr_db"})


class Normals(_Section):
    """What normal windows vary by, besides what the recordings show."""

    tilt_db: Annotated[float, Field(ge=0, description="deviation of the random tilt, dB")] = 1.5
    resonance_db: Annotated[float, Field(ge=0, description="deviation of the heights of narrow peaks, dB")] = 10.0
    texture: Annotated[tuple[float, float], Field(description="range of the factor on the course in time")] = (0.6, 1.2)
    simulated_sites: Annotated[
        int, Field(ge=0, description="simulated normal pipes that half of the pairs are drawn from; 0 for none")
    ] = 0
    simulated_s: Annotated[float, Field(ge=8, le=600, description="seconds of each simulated pipe")] = 30.0


class Autoencoder(_Section):
    """The dense autoencoder on whitened embeddings."""

    components: Annotated[int, Field(ge=1, description="components of the embedding that are kept")] = 24
    hidden: Annotated[int, Field(ge=1)] = 96
    bottleneck: Annotated[int, Field(ge=1)] = 8
    noise: Annotated[float, Field(ge=0, description="noise on the input, in deviations")] = 0.1
    epochs: Annotated[int, Field(ge=1)] = 30
    windows: Annotated[int, Field(ge=16, description="normal windows drawn to train it")] = 6000


class Recipe(_Section):
    """A training run. Every field has a default; a YAML file names those that differ."""

    front_end: dict[str, Any] = {}
    extractor: Extractor = Extractor()
    pretext: Pretext = Pretext()
    leaks: Leaks = Leaks()
    normals: Normals = Normals()
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
    def _ranges_and_weights(self) -> Recipe:
        for name, (low, high) in {"leaks.snr_db": self.leaks.snr_db, "normals.texture": self.normals.texture}.items():
            if low > high:
                raise ValueError(f"{name} {low:g} to {high:g} is no range: put the lower first")
        if not any(self.leaks.weights.values()):
            raise ValueError("leaks: every weight is 0, so there is nothing to tell normal windows from")
        return self

    @property
    def spec(self) -> FrontEndSpec:
        """The front end of the recipe."""
        return FrontEndSpec(**self.front_end)

    def with_simulated_sites(self, count: int) -> Recipe:
        """This recipe, with so many simulated pipes where it has none."""
        if self.normals.simulated_sites:
            return self
        return self.model_copy(update={"normals": self.normals.model_copy(update={"simulated_sites": count})})

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
    return load_settings(path, Recipe, "recipe", {} if seed is None else {"seed": seed})
