"""Windows: runs of STFT frames on a fixed grid, never across lost audio."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp.spec import FrontEndSpec


@dataclass(frozen=True, eq=False)
class Window:
    """What the extractor hears at a time.

    Attributes
    ----------
    index
        Number of the window on the grid of the stream; window i begins at frame ``i * window_hop_frames``.
    start_s, end_s
        The stretch of audio it covers, in seconds since the stream began.
    features
        float32, shape (window_frames, n_mels): log-mel in dB; its mean is taken out where the spec removes the level.
    level_db
        Level above the high-pass, in dB relative to full scale; None for digital silence.
    removed_db
        Mean that was taken out of the features; 0 where the spec leaves the level in.
    """

    index: int
    start_s: float
    end_s: float
    features: NDArray[np.float32]
    level_db: float | None
    removed_db: float = 0.0

    @cached_property
    def band_db(self) -> NDArray[np.float32]:
        """Mean of each band of the features, shape (n_mels,)."""
        mean_db: NDArray[np.float32] = self.features.mean(axis=0)
        return mean_db


class WindowAssembler:
    """Collects frames into windows.

    Attributes
    ----------
    skipped
        Windows of the grid that could not be assembled because a frame of theirs was lost.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        self._next_window = 0
        self.skipped = 0
        self._restart_at(0)

    def _restart_at(self, frame: int) -> None:
        self._first_frame = frame
        self._log_mel = np.zeros((0, self._spec.n_mels), np.float32)
        self._mean_square = np.zeros(0, np.float32)

    def lose_before(self, frame: int, *, counted: bool = True) -> None:
        """Tell that the next frame to come is `frame`: those between it and the last one are lost.

        Unless `counted`, the windows that they would have been in are not skipped: there was nothing to hear.
        """
        if frame == self._first_frame + len(self._log_mel):
            return
        self._restart_at(frame)
        whole = -(-frame // self._spec.window_hop_frames)
        self.skipped += max(0, whole - self._next_window) if counted else 0
        self._next_window = max(whole, self._next_window)

    def push(self, log_mel: NDArray[np.float32], mean_square: NDArray[np.float32]) -> list[Window]:
        """Take the next frames, log-mel (n, n_mels) and mean square (n,); give the windows that became complete."""
        self._log_mel = np.concatenate([self._log_mel, log_mel])
        self._mean_square = np.concatenate([self._mean_square, mean_square])
        windows = []
        while (
            begin := self._next_window * self._spec.window_hop_frames - self._first_frame
        ) + self._spec.window_frames <= len(self._log_mel):
            windows.append(self._window(slice(begin, begin + self._spec.window_frames)))
            self._next_window += 1
        done = min(max(0, self._next_window * self._spec.window_hop_frames - self._first_frame), len(self._log_mel))
        self._first_frame += done
        self._log_mel, self._mean_square = self._log_mel[done:], self._mean_square[done:]
        return windows

    def _window(self, frames: slice) -> Window:
        spec = self._spec
        features = self._log_mel[frames].copy()
        removed_db = float(features.mean(dtype=np.float64)) if spec.remove_level else 0.0
        features -= removed_db
        mean_square = float(self._mean_square[frames].mean(dtype=np.float64))
        start_s = self._next_window * spec.window_hop_s
        return Window(
            index=self._next_window,
            start_s=start_s,
            end_s=start_s + spec.window_s,
            features=features,
            level_db=10.0 * float(np.log10(mean_square)) if mean_square > 0.0 else None,
            removed_db=removed_db,
        )
