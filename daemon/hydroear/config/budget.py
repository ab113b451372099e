"""The raise level that keeps a budget of false alarms."""

from __future__ import annotations

from math import log10

MONTH_S = 365.25 / 12.0 * 86400.0


def raise_decades(*, false_alarms_per_month: float, horizon_s: float, low_percentile: float) -> float:
    """The raise level at which normal windows make no more than so many alarms a month.

    A warning takes a horizon in which all but `low_percentile` of the windows are over the level. Wherever it lies, it
    holds a block of half a horizon on a fixed grid, in which at least the share ``s = 1 - 2 low_percentile / 100`` is
    over it. Of normal windows a share q is over it in the mean, however they hang together, so that a block has such a
    share with a probability of at most q / s (Markov's inequality); a month has two blocks a horizon. That the recheck
    makes fewer of them alarms is not counted on.

    Parameters
    ----------
    false_alarms_per_month
        The budget, above 0.
    horizon_s, low_percentile
        As in :class:`hydroear.decide.Policy`; the percentile below 50.

    Returns
    -------
    float
        Minus log10 of q.
    """
    share = 1.0 - 2.0 * low_percentile / 100.0
    blocks = 2.0 * MONTH_S / horizon_s
    return log10(blocks / (false_alarms_per_month * share))
