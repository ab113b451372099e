"""What was computed, kept on disk under a hash of everything it depends on."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hydroear.errors import UsageError

Arrays = dict[str, NDArray[Any]]

_PROJECT = ("hydroear", "hydroear_train")
_LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "ai-edge-litert",
    "tflite-runtime",
)


class Cache:
    """Files named by a hash of what they depend on and a hash of what they hold.

    A file gets its name when it is whole, so an interrupted run leaves nothing half-made behind; one that no longer
    holds what its name says is made again.

    Parameters
    ----------
    folder
        Where they lie.
    note
        Is told of files that are damaged.
    """

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        self._folder, self._note = folder, note

    def find(self, kind: str, suffix: str, key: object) -> Path | None:
        """The file for a key, if it is there and whole; see :meth:`path`. A damaged one is removed."""
        name = _name(key)
        for found in (self._folder / kind).glob(f"{name}-*{suffix}"):
            if found.name == _file_name(name, found.read_bytes(), suffix):
                return found
            self._note(f"{found}: damaged, made again")
            found.unlink()
        return None

    def path(self, kind: str, suffix: str, key: object, make: Callable[[], bytes]) -> Path:
        """The file for a key, made if it is not there.

        Parameters
        ----------
        kind
            Folder of such files.
        suffix
            How their names end.
        key
            Everything the content depends on, as JSON values.
        make
            Gives the content.

        Raises
        ------
        UsageError
            If the folder cannot be written to.
        """
        if found := self.find(kind, suffix, key):
            return found
        folder, name, content = self._folder / kind, _name(key), make()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}.{os.getpid()}"
            partial.write_bytes(content)
            return partial.replace(folder / _file_name(name, content, suffix))
        except OSError as error:
            raise UsageError(
                f"cannot be written ({error.strerror})", where=folder, fix="free space or choose another folder"
            ) from error

    def arrays(self, kind: str, key: object, make: Callable[[], Arrays]) -> Arrays:
        """Arrays for a key, made if they are not there; see :meth:`path`."""

        def content() -> bytes:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **make())
            return buffer.getvalue()

        with np.load(self.path(kind, ".npz", key, content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


def note(text: str) -> None:
    """Tell the person who waits, beside a progress bar."""
    tqdm.write(text, file=sys.stderr)


def digest(key: object) -> str:
    """SHA-256 of JSON values, in hex."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def _name(key: object) -> str:
    return digest(key)[:24]


def _file_name(name: str, content: bytes, suffix: str) -> str:
    return f"{name}-{hashlib.sha256(content).hexdigest()[:24]}{suffix}"


@cache
def code_sha256(module: str) -> str:
    """Hash of a module of this project and of all that it imports of it, directly or not, in hex."""
    sources: dict[str, bytes] = {}
    wanted = [module]
    while wanted:
        name = wanted.pop()
        path = _source_path(name)
        if name in sources or path is None:
            continue
        sources[name] = path.read_bytes()
        for node in ast.walk(ast.parse(sources[name])):
            if isinstance(node, ast.Import):
                wanted += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                wanted += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return digest({name: hashlib.sha256(source).hexdigest() for name, source in sources.items()})


def _source_path(name: str) -> Path | None:
    """Where a module of this project lies; None for others, and where the name is that of something in a module."""
    package, *parts = name.split(".")
    if package not in _PROJECT:
        return None
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent.joinpath(*parts)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def library_versions() -> dict[str, str]:
    """Versions of the installed libraries that results depend on."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return versions
