"""A bundle that comes in pieces over MQTT, kept until it is whole; goes on where it was after a restart."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from hydroear.errors import HydroearError
from hydroear.mqtt.commands import PIECE_BYTES

MAX_BYTES = 64 * 2**20
"""The longest file that is taken."""
KEEP_FREE_BYTES = 50 * 10**6
"""What a file must leave free on the disk."""


class Delivery:
    """Files on their way to this unit, one at a time, in order of their pieces.

    Parameters
    ----------
    folder
        Where they are kept; made when the first piece comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, sha256: str, size_bytes: int, piece: int, data: bytes) -> int:
        """Take a piece; one that was there before or comes too early changes nothing.

        Parameters
        ----------
        sha256, size_bytes
            Of the whole file.
        piece
            Number of the piece, from 0.
        data
            What it holds.

        Returns
        -------
        int
            The piece that is wanted next; the number of all once the file is whole.

        Raises
        ------
        HydroearError
            If the file is too long, a piece is not as long as it must be, the disk is full, or what came is not what
            was announced; the pieces are forgotten then.
        """
        if not 0 < size_bytes <= MAX_BYTES:
            raise HydroearError(f"a file of {size_bytes} bytes", expected=f"1 to {MAX_BYTES}")
        count = -(-size_bytes // PIECE_BYTES)
        path = self._part(sha256)
        wanted = self._wanted(path)
        if self.whole(sha256) is not None or piece != wanted:
            return count if self.whole(sha256) is not None else wanted
        length = min(PIECE_BYTES, size_bytes - piece * PIECE_BYTES)
        if piece >= count or len(data) != length:
            raise HydroearError(
                f"piece {piece} of {len(data)} bytes", expected=f"{count} pieces, this one of {max(0, length)} bytes"
            )
        try:
            self._append(path, size_bytes, data)
        except OSError as error:
            raise HydroearError(f"the piece cannot be written: {error.strerror}", where=self._folder) from error
        if piece + 1 == count:
            self._close(path, sha256)
        return piece + 1

    def whole(self, sha256: str) -> Path | None:
        """A file that has come whole; None if it has not."""
        path = self._folder / sha256
        return path if path.is_file() else None

    def forget(self, sha256: str) -> None:
        """A file is not needed any more."""
        for path in (self._folder / sha256, self._part(sha256)):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _part(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.part"

    @staticmethod
    def _wanted(path: Path) -> int:
        try:
            return path.stat().st_size // PIECE_BYTES
        except OSError:
            return 0

    def _append(self, path: Path, size_bytes: int, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            for other in self._folder.iterdir():
                other.unlink()
            if shutil.disk_usage(self._folder).free < size_bytes + KEEP_FREE_BYTES:
                raise HydroearError(f"there is no room for {size_bytes} bytes", where=self._folder, fix="free space")
        with path.open("ab") as out:
            out.truncate(out.tell() // PIECE_BYTES * PIECE_BYTES)  # what a power cut left of a piece
            out.write(data)
            out.flush()
            os.fsync(out.fileno())

    def _close(self, path: Path, sha256: str) -> None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            self.forget(sha256)
            raise HydroearError(
                f"the pieces make a file with SHA-256 {found[:12]}…", expected=f"{sha256[:12]}…", fix="send it again"
            )
        path.replace(self._folder / sha256)
