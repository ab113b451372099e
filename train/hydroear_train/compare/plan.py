"""The plan: which features, extractors and back-ends are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hydroear.dsp import FrontEndSpec
from hydroear.errors import UsageError
from hydroear_train.compare.extractor import PRODUCT_BACKENDS
from hydroear_train.detectors import DETECTORS, SUPERVISED
from hydroear_train.features import FEATURES
from hydroear_train.recipe import Architecture, Extractor, Recipe
from hydroear_train.yamlfile import load_settings


class Plan(BaseModel):
    """What to compare. Every field has a default; a YAML file names those that differ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: list[str] = Field(default=list(FEATURES), description="control features")
    extractors: dict[str, Recipe] = Field(
        default={name: Recipe(extractor=Extractor(architecture=name)) for name in get_args(Architecture)},
        description="recipes by the names that the table calls them",
    )
    detectors: list[str] = Field(default=list(DETECTORS), description="back-ends, for each feature and extractor")
    supervised: bool = Field(default=True, description="also a classifier taught leaks, for each feature: a bound")
    product: bool = Field(default=True, description="also each extractor's own autoencoder and site score")
    front_end: dict[str, Any] = Field(default={}, description="of the control features")

    @field_validator("features")
    @classmethod
    def _features_exist(cls, names: list[str]) -> list[str]:
        return _known(names, FEATURES)

    @field_validator("detectors")
    @classmethod
    def _detectors_exist(cls, names: list[str]) -> list[str]:
        return _known(names, DETECTORS)

    @field_validator("front_end")
    @classmethod
    def _front_end_is_one(cls, values: dict[str, Any]) -> dict[str, Any]:
        Recipe(front_end=values)
        return values

    @property
    def spec(self) -> FrontEndSpec:
        """The front end of the control features."""
        return FrontEndSpec(**self.front_end)

    def rows(self, patterns: Sequence[str] = ()) -> list[Row]:
        """The rows of the table.

        Parameters
        ----------
        patterns
            Only rows that match one of these, with ``*`` and ``?`` as in a shell; all where there are none.

        Raises
        ------
        UsageError
            If a pattern matches no row.
        """
        bound = (SUPERVISED,) if self.supervised else ()
        rows = [Row(feature, backend) for feature in self.features for backend in (*self.detectors, *bound)]
        own = PRODUCT_BACKENDS if self.product else ()
        rows += [Row(extractor, backend) for extractor in self.extractors for backend in (*own, *self.detectors)]
        for pattern in patterns:
            if not any(fnmatchcase(row.name, pattern) for row in rows):
                raise UsageError(
                    f"{pattern!r} names no row", where="--rows", expected=f"such as {rows[0].name} or {rows[-1].name}"
                )
        return [row for row in rows if not patterns or any(fnmatchcase(row.name, pattern) for pattern in patterns)]


@dataclass(frozen=True)
class Row:
    """A feature or extractor with a back-end."""

    source: str
    backend: str

    @property
    def name(self) -> str:
        """``SOURCE+BACKEND``."""
        return f"{self.source}+{self.backend}"


def load_plan(path: Path | None) -> Plan:
    """Read a plan.

    Parameters
    ----------
    path
        A YAML file; None for the default plan.

    Raises
    ------
    UsageError
        If the file cannot be read or is no YAML mapping.
    ConfigError
        If a key is unknown or a value wrong; all of them at once.
    """
    return load_settings(path, Plan, "plan")


def _known(names: list[str], allowed: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise ValueError(f"{', '.join(unknown)} unknown, expected {', '.join(allowed)}")
    return names
