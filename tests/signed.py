"""Bundles of several names and releases, signed with a key of the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hydroear.model import SHIPPED_BUNDLE, read_bundle, write_bundle
from hydroear_train.signing import make_key, public_path, sign_bundle


def key_pair(folder: Path, name: str = "models") -> tuple[Path, Path]:
    """A private and a public key, made if they are not there."""
    key = folder / f"{name}.key"
    if not key.exists():
        make_key(key)
    return key, public_path(key)


def unsigned(folder: Path, name: str) -> Path:
    """The shipped bundle under another name: another bundle, with the same scores."""
    path = folder / f"{name}.hydroear"
    write_bundle(path, replace(read_bundle(SHIPPED_BUNDLE), name=name))
    return path


def signed(folder: Path, release: int, *, name: str = "", key: str = "models") -> Path:
    """The same, signed; its name tells the release unless it is given."""
    path = unsigned(folder, name or f"release-{release}")
    sign_bundle(path, key_pair(folder, key)[0], release, path)
    return path
