"""What fixes the front end. It travels in the bundle; nothing else may shape the features."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from hydroear.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FrontEndSpec:
    """The front end as numbers.

    Attributes
    ----------
    rate_hz
        Sample rate of the analysis; other input rates are resampled to it.
    highpass_hz
        Corner of the fourth-order Butterworth high-pass; 0 leaves it out.
    n_fft
        Length of the Hann window and of the FFT, in samples.
    hop
        Samples from one STFT frame to the next.
    n_mels
        Number of mel bands (Slaney's scale, unit area).
    low_hz, high_hz
        Edges of the mel bank.
    window_frames
        STFT frames in one window.
    window_hop_frames
        STFT frames from one window to the next.
    remove_level
        Whether a window's mean over all its log-mel values is subtracted, so that loudness is no feature.
    floor_db
        Smallest log-mel value, in dB relative to full scale.
    """

    rate_hz: int = 16000
    highpass_hz: float = 100.0
    n_fft: int = 1024
    hop: int = 512
    n_mels: int = 64
    low_hz: float = 200.0
    high_hz: float = 7000.0
    window_frames: int = 60
    window_hop_frames: int = 30
    remove_level: bool = True
    floor_db: float = -140.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds: tuple[type, ...] = {"int": (int,), "float": (int, float), "bool": (bool,)}[str(field.type)]
            if not isinstance(value, kinds) or (isinstance(value, bool) and field.type != "bool"):
                raise _wrong(f"{field.name} is {value!r}", f"a number of type {field.type}")
        bounds = {
            "rate_hz": (1000, 384000),
            "n_fft": (64, 65536),
            "hop": (1, self.n_fft),
            "n_mels": (4, 512),
            "low_hz": (0.0, self.high_hz),
            "high_hz": (self.low_hz, self.rate_hz / 2),
            "highpass_hz": (0.0, self.rate_hz / 4),
            "window_frames": (4, 4096),
            "window_hop_frames": (1, self.window_frames),
            "floor_db": (-300.0, 0.0),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise _wrong(f"{name} is {getattr(self, name)!r}", f"{low:g} to {high:g}")
        if self.low_hz == self.high_hz:
            raise _wrong(f"low_hz and high_hz are both {self.low_hz:g}", "a band")

    @property
    def window_samples(self) -> int:
        """Samples that one window covers."""
        return (self.window_frames - 1) * self.hop + self.n_fft

    @property
    def window_s(self) -> float:
        """Seconds that one window covers."""
        return self.window_samples / self.rate_hz

    @property
    def window_hop_s(self) -> float:
        """Seconds from one window to the next."""
        return self.window_hop_frames * self.hop / self.rate_hz

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of one window's features: (window_frames, n_mels)."""
        return self.window_frames, self.n_mels

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON form, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no blanks."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FrontEndSpec:
        """Read :meth:`to_json`'s form back.

        Raises
        ------
        UsageError
            If the text is no JSON object of exactly these fields, or a value is out of range.
        """
        try:
            values: Any = json.loads(text)
        except ValueError as error:
            raise _wrong(f"no JSON ({error})", "a JSON object") from error
        if not isinstance(values, dict):
            raise _wrong(f"a JSON {type(values).__name__}", "a JSON object")
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise _wrong(
                f"fields missing or unknown: {', '.join(sorted(set(values) ^ names))}",
                "exactly the known fields",
            )
        for field in fields(cls):
            if field.type == "float" and isinstance(values[field.name], int):
                values[field.name] = float(values[field.name])
        return cls(**values)


def _wrong(what: str, expected: str) -> UsageError:
    return UsageError(what, where="front end", expected=expected)
