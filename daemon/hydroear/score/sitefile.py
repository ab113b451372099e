"""Files of a site, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hydroear.errors import CalibrationError
from hydroear.wholefile import whole_file


@contextmanager
def site_file(path: Path, *, fix: str) -> Iterator[BinaryIO]:
    """A :func:`~hydroear.wholefile.whole_file` whose folder is made if missing.

    Raises
    ------
    CalibrationError
        If it cannot be written, with the fix; nothing is left of it then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as out:
            yield out
    except OSError as error:
        raise CalibrationError(f"cannot be written ({error.strerror})", where=path, fix=fix) from error
