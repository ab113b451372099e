"""What every source of audio has in common."""

from __future__ import annotations

from typing import Protocol

from hydroear.audio import Block, Gap, Scale
from hydroear.health.alarm import DeviceNews
from hydroear.health.device import DeviceHealth


class Source(Protocol):
    """One channel of audio, block by block, with its reference channel if there is one."""

    @property
    def name(self) -> str:
        """What a person calls it in a log."""
        ...

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        ...

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than its nominal rate the sensor's clock runs; None until that is known.

        In parts per million of this machine's monotonic clock. A recording has no clock to tell of. May be asked from
        any thread.
        """
        ...

    @property
    def overflows(self) -> int:
        """Times that a driver said that it had discarded samples. May be asked from any thread."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing is heard at the moment; empty where something is. May be asked from any thread."""
        ...

    @property
    def device(self) -> DeviceHealth | None:
        """How the device behind it is doing; None where it cannot tell. May be asked from any thread."""
        ...

    def news(self) -> list[DeviceNews]:
        """Take what the device behind it has told of itself since the last time. May be called from any one thread."""
        ...

    @property
    def scale(self) -> Scale | None:
        """What its samples stand for; None where nobody knows. May be asked from any thread."""
        ...

    def read(self) -> Block | Gap | None:
        """Wait for what comes next.

        Returns
        -------
        Block, Gap or None
            A block of shape (n, 1), or (n, 2) with a reference channel, or a gap, each beginning
            where the one before ended, the first at index 0; None at the end, which only recordings
            and standard input have.

        Raises
        ------
        AudioError, CaptureError
            If the source can hear no more.
        """
        ...

    def close(self) -> None:
        """Free the source; a waiting :meth:`read` in another thread ends soon. Harmless twice."""
        ...
