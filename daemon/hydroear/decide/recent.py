"""The scores of the last while, and their percentiles at little cost."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque


class Recent:
    """Scores of a span of time that moves on.

    They are kept in order of size beside the order of time: a percentile is asked for with every window, and a day has
    90,000 of them.

    Parameters
    ----------
    span_s
        Length of the span.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._by_time: deque[tuple[float, float]] = deque()
        self._by_size: list[float] = []

    def __len__(self) -> int:
        return len(self._by_size)

    def push(self, end_s: float, score: float) -> None:
        """Take the next score, of a window that ends at `end_s`; forget what lies before the span."""
        self._by_time.append((end_s, score))
        insort(self._by_size, score)
        while self._by_time[0][0] <= end_s - self._span_s:
            _, oldest = self._by_time.popleft()
            del self._by_size[bisect_left(self._by_size, oldest)]

    def percentile(self, percentile: float) -> float:
        """A percentile, 0 to 100, interpolated linearly; of one score at least."""
        rank = percentile / 100.0 * (len(self._by_size) - 1)
        below = int(rank)
        low, high = self._by_size[below], self._by_size[min(below + 1, len(self._by_size) - 1)]
        return low + (rank - below) * (high - low)
