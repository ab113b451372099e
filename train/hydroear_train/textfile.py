"""Text files that are written whole or not at all, and tables in them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from errno import EISDIR
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
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with partial.open("w", newline="", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
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
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def csv_text(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot be written ({error.strerror})", where=path, fix="free space or choose another place")
