"""The errors of the bridge. Each is one line for the person who has to mend it, and carries its data."""

from __future__ import annotations


class BridgeError(Exception):
    """A failure of the bridge that its user can mend."""

    exit_code = 1


class UsageError(BridgeError):
    """The command asks for something that cannot be."""

    exit_code = 2


class FrameError(BridgeError):
    """A frame that the protocol does not allow.

    Parameters
    ----------
    what
        What is wrong, with the value that was met.
    data
        The bytes that were being read; empty for a frame that was being made.
    """

    def __init__(self, what: str, data: bytes = b"") -> None:
        self.what, self.data = what, data
        super().__init__(what)


class DamagedError(BridgeError):
    """A recording that is not what its device says of it."""


class PortError(BridgeError):
    """A port that is missing, refuses, or has gone.

    Parameters
    ----------
    port
        What it is called.
    what
        What is wrong with it.
    """

    def __init__(self, port: str, what: str) -> None:
        self.port, self.what = port, what
        super().__init__(f"{port}: {what}")


class PortEndError(PortError):
    """A file that has been read to its end."""
