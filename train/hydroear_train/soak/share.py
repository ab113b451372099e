"""Shares with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """So many of so many, with Wilson's interval.

    Attributes
    ----------
    count, total
        How many, and of how many.
    """

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval, 95 % (Wilson, "Probable inference", J. Am. Stat. Assoc. 22, 1927, pp. 209-212)."""
        if not self.total:
            return 0.0, 1.0
        z = float(norm.ppf(0.5 + 0.5 * CONFIDENCE))
        p, n = self.count / self.total, self.total
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, float(centre - half)), min(1.0, float(centre + half))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count}/{self.total} [{100 * low:.0f}, {100 * high:.0f}] %" if self.total else "-"

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        low, high = self.interval
        return {"count": self.count, "total": self.total, "low": low, "high": high}
