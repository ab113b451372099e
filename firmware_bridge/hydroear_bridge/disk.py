"""Files that appear whole, and disks that are full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydroear_bridge.errors import BridgeError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let what the system says of a file that is written become one line with its name: :class:`BridgeError`."""
    try:
        yield
    except OSError as error:
        raise BridgeError(f"{path}: {error.strerror}; mend that, and give the command again") from None


def appear(part: Path, path: Path) -> None:
    """Give a file that is whole its name; a power cut leaves it whole, or the part."""
    _flush(part)
    part.rename(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
