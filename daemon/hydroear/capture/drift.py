"""How fast a sensor's sample clock runs, by this machine's."""

from __future__ import annotations

from collections import deque
from math import sqrt

import numpy as np

SHORTEST_S = 60.0
LONGEST_S = 3600.0
"""What is older is forgotten: a crystal's rate follows the temperature of the day."""
WORST_ERROR_PPM = 10.0
"""An estimate that is less certain says nothing: cheap crystals are off by some tens of ppm."""


class Drift:
    """A line through how late samples were, over minutes: its slope is the difference of two clocks.

    The slope is that of least squares, and its error is the standard error of that slope.

    Attributes
    ----------
    ppm
        How much faster than its nominal rate the sensor's clock runs, in parts per million of the monotonic
        clock's; None until it is known to within :data:`WORST_ERROR_PPM`.
    error_ppm
        Standard error of that; None likewise.
    """

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self.ppm: float | None = None
        self.error_ppm: float | None = None

    def begin_anew(self) -> None:
        """Forget everything: between what was heard and what will be, an unknown number of samples is missing."""
        self._points.clear()
        self.ppm = self.error_ppm = None

    def add(self, time_s: float, late_s: float) -> None:
        """Learn how late a sample was at a time, compared with its index divided by the nominal rate.

        Parameters
        ----------
        time_s
            Monotonic time; later than that of the last call.
        late_s
            Least lateness of some seconds of samples, which the delays of a busy machine do not touch.
        """
        self._points.append((time_s, late_s))
        while time_s - self._points[0][0] > LONGEST_S:
            self._points.popleft()
        ppm = error_ppm = None
        if time_s - self._points[0][0] >= SHORTEST_S and len(self._points) > 2:
            slope, error = _line(np.array(self._points))
            if 1e6 * error <= WORST_ERROR_PPM:
                ppm, error_ppm = -1e6 * slope, 1e6 * error
        # Once, at the end: another thread that looks meanwhile must not take what is known for unknown.
        self.ppm, self.error_ppm = ppm, error_ppm


def _line(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[float, float]:
    """Slope of the least-squares line through points, shape (n, 2), n > 2, and its standard error."""
    x, y = (points - points.mean(axis=0)).T
    spread = float(x @ x)
    slope = float(x @ y) / spread
    residuals = y - slope * x
    return slope, sqrt(float(residuals @ residuals) / (len(x) - 2) / spread)
