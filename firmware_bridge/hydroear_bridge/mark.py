"""Where a stream stands, by which a stop of the sensor is seen: the index of its samples waits, the clock does not."""

from __future__ import annotations

from dataclasses import dataclass

from hydroear_bridge.frames import Audio

STOPPED_S, STOPPED_SHARE = 0.05, 1e-3
"""Device time without samples is a stop if it is beyond this and this share of it: no crystal is off by more."""


@dataclass(frozen=True)
class Mark:
    """Index of the next sample of a stream, and the device time at which it is due, in µs."""

    index: int
    device_us: float

    @classmethod
    def behind(cls, audio: Audio, device_us: int) -> Mark:
        """The mark behind a frame, whose first sample was taken at a time of the device."""
        return cls(audio.end_index, device_us + 1e6 * audio.count / audio.rate_hz)

    def stopped_s(self, audio: Audio, device_us: int) -> float:
        """For how long no samples were taken before the next frame, in s; 0 if there was no stop."""
        passed_s = 1e-6 * (device_us - self.device_us)
        stopped_s = passed_s - (audio.sample_index - self.index) / audio.rate_hz
        return stopped_s if stopped_s > STOPPED_S + STOPPED_SHARE * passed_s else 0.0
