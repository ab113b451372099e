"""The sound of an event on its way to the control room, piece by piece."""

from __future__ import annotations

import hashlib

from hydroear.errors import HydroearError
from hydroear.mqtt.commands import PIECE_BYTES
from hydroear.room import said

MAX_BYTES = 64 * 2**20
"""The longest clip that is taken: more than half an hour of the highest rate that a unit hears has."""


class Parcel:
    """A clip whose pieces are taken in their order; one that is missing is to be asked for.

    Parameters
    ----------
    event_id
        Whose clip it is.
    begun, sha256
        What came of it before, and of which file that is; the last piece of it is asked for again.

    Attributes
    ----------
    file, size_bytes, sha256
        As the unit calls it, its length and hash; empty and 0 before the first piece.
    """

    def __init__(self, event_id: str, begun: bytes = b"", sha256: str = "") -> None:
        self._event_id = event_id
        self._content = bytearray(begun[: max(0, len(begun) - 1) // PIECE_BYTES * PIECE_BYTES])
        self.file, self.size_bytes, self.sha256 = "", 0, sha256

    @property
    def wanted(self) -> int:
        """The piece that is missing, from 0."""
        return -(-len(self._content) // PIECE_BYTES)

    @property
    def share(self) -> float:
        """How much of it is there, 0 to 1."""
        return len(self._content) / self.size_bytes if self.size_bytes else 0.0

    @property
    def whole(self) -> bool:
        """Whether every piece has come."""
        return self.size_bytes > 0 and len(self._content) == self.size_bytes

    @property
    def came(self) -> bytes:
        """What has come so far."""
        return bytes(self._content)

    def take(self, piece: said.Clip) -> bool:
        """Take a piece; False for one that is not the wanted one.

        Raises
        ------
        HydroearError
            It is no piece of a clip that can be.
        """
        if piece.event_id != self._event_id:
            return False
        if piece.size_bytes > MAX_BYTES:
            raise HydroearError(f"a clip of {piece.size_bytes} bytes", expected=f"{MAX_BYTES} at most")
        if piece.sha256 != self.sha256:  # it was written anew since
            self._content.clear()
        self.file, self.size_bytes, self.sha256 = piece.file, piece.size_bytes, piece.sha256
        if self.whole or piece.piece != self.wanted:
            return False
        left = self.size_bytes - len(self._content)
        if len(piece.data) != min(PIECE_BYTES, left):
            raise HydroearError(f"a piece of {len(piece.data)} bytes", expected=f"{min(PIECE_BYTES, left)}")
        self._content += piece.data
        return True

    def open(self) -> bytes:
        """The whole clip.

        Raises
        ------
        HydroearError
            What came is not what was announced.
        """
        found = hashlib.sha256(self._content).hexdigest()
        if found != self.sha256:
            raise HydroearError(
                f"the pieces make a clip with SHA-256 {found[:12]}…", expected=f"{self.sha256[:12]}…", fix="ask again"
            )
        return self.came
