"""Files of a site, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hydroear.errors import CalibrationError


@contextmanager
def whole_file(path: Path, *, fix: str) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name once all of it is on the disk; its folder is made if missing.

    Raises
    ------
    CalibrationError
        If it cannot be written, with the fix; nothing is left of it then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise CalibrationError(f"cannot be written ({error.strerror})", where=path, fix=fix) from error
