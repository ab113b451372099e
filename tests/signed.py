"""Bundles of several names and releases, signed with a key of the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hydroear.model import SHIPPED_BUNDLE, Bundle, choose_runtime, read_bundle, write_bundle
from hydroear.score import Scorer
from hydroear_train.signing import make_key, public_path, sign_bundle


def key_pair(folder: Path, name: str = "models") -> tuple[Path, Path]:
    """A private and a public key, made if they are not there."""
    key = folder / f"{name}.key"
    if not key.exists():
        make_key(key)
    return key, public_path(key)


Change = Callable[[Bundle], Bundle]


def unsigned(folder: Path, name: str, change: Change = lambda bundle: bundle) -> Path:
    """The shipped bundle under another name: another bundle, with the same scores unless it is changed."""
    path = folder / f"{name}.hydroear"
    write_bundle(path, change(replace(read_bundle(SHIPPED_BUNDLE), name=name)))
    return path


def signed(
    folder: Path, release: int, *, name: str = "", key: str = "models", change: Change = lambda bundle: bundle
) -> Path:
    """The same, signed; its name tells the release unless it is given."""
    path = unsigned(folder, name or f"release-{release}", change)
    sign_bundle(path, key_pair(folder, key)[0], release, path)
    return path


def deaf(bundle: Bundle) -> Bundle:
    """One that gives every sound the same score, and its golden windows the expected one."""
    nothing = replace(bundle, projection=np.zeros_like(bundle.projection), leak_axis=np.zeros_like(bundle.leak_axis))
    runtime = choose_runtime()
    errors = {str(runtime): Scorer(nothing, runtime).golden_errors()}
    return replace(nothing, golden=replace(bundle.golden, errors=errors))


def alarming(bundle: Bundle) -> Bundle:
    """One to which nothing sounds normal: its normal windows were reconstructed far better than any is."""
    return replace(bundle, normal_errors=np.full_like(bundle.normal_errors, 1e-6))
