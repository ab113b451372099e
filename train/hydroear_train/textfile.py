"""Text files that are written whole or not at all."""

from __future__ import annotations

from errno import EISDIR
from os import strerror
from pathlib import Path
from tempfile import TemporaryFile

from hydroear.errors import UsageError


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, and the folders above it.

    Raises
    ------
    UsageError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def check_writable(path: Path) -> None:
    """Find out, before hours of work, whether :func:`write_text` would be able to write there.

    Raises
    ------
    UsageError
        If not.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, strerror(EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot be written ({error.strerror})", where=path, fix="free space or choose another place")
