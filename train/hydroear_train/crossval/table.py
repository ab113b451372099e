"""The table: what the scores of each group amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear_train.evaluate import HEADINGS, METRICS, Scored, interval, measure
from hydroear_train.markdown import table

RARE_DECADES = 2.0
"""A unit's usual threshold: one normal window in a hundred scores as high."""


@dataclass(frozen=True)
class Line:
    """A group.

    Attributes
    ----------
    group
        Its name.
    seeds, windows, recordings, leaks
        How many of each; leaks are recordings.
    of_mean
        Metrics, by name, of the scores averaged over seeds; NaN where undefined.
    recording_interval
        Bootstrap interval, 95 %, of the recording AUC of those scores.
    means, deviations
        Of the metrics of single seeds; a deviation is NaN for one seed.
    rare_normals, rare_leaks
        Shares of the normal windows and of the leaks' that a unit puts at :data:`RARE_DECADES` or beyond, mean over
        seeds; NaN where there are none.
    """

    group: str
    seeds: int
    windows: int
    recordings: int
    leaks: int
    of_mean: dict[str, float]
    recording_interval: tuple[float, float]
    means: dict[str, float]
    deviations: dict[str, float]
    rare_normals: float
    rare_leaks: float


def measure_groups(runs: Mapping[int, Scored], decades: Mapping[int, NDArray[np.float64]]) -> list[Line]:
    """Measure scores, by seed, of windows of one or more groups, and the decades that units give them."""
    rare = np.mean([decades[seed] >= RARE_DECADES for seed in runs], axis=0)
    return [_line(str(group), list(runs.values()), rare) for group in np.unique(runs[0].group)]


def _line(group: str, runs: Sequence[Scored], rare: NDArray[np.float64]) -> Line:
    members = [scored.where(scored.group == group) for scored in runs]
    rare = rare[runs[0].group == group]
    mean = Scored.mean_of(members)
    recordings = mean.recordings()
    values = {name: np.array([measure(scored, metric) for scored in members]) for name, metric in METRICS.items()}
    return Line(
        group=group,
        seeds=len(members),
        windows=len(mean),
        recordings=len(recordings),
        leaks=int(recordings.leak.sum()),
        of_mean={name: measure(mean, metric) for name, metric in METRICS.items()},
        recording_interval=interval(mean, METRICS["recording_auc"]),
        means={name: float(of.mean()) for name, of in values.items()},
        deviations={name: float(of.std(ddof=1)) if len(of) > 1 else float("nan") for name, of in values.items()},
        rare_normals=_share(rare[~members[0].leak]),
        rare_leaks=_share(rare[members[0].leak]),
    )


def _share(rare: NDArray[np.float64]) -> float:
    return float(rare.mean()) if len(rare) else float("nan")


def record(line: Line) -> dict[str, Any]:
    """A line as JSON values; what is undefined is None."""
    counts = {name: getattr(line, name) for name in ("group", "seeds", "windows", "recordings", "leaks")}
    low, high = line.recording_interval
    mean = _known(line.of_mean | {"recording_auc_low": low, "recording_auc_high": high})
    rare = _known({"decades": RARE_DECADES, "normal_windows": line.rare_normals, "leak_windows": line.rare_leaks})
    return counts | {
        "rare": rare,
        "mean_scores": mean,
        "seed_mean": _known(line.means),
        "seed_sd": _known(line.deviations),
    }


def fit_record(fit_s: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """Wall times of fits, in seconds, as JSON values."""
    return {"count": len(fit_s), **_known({"mean_s": float(fit_s.mean()), "max_s": float(fit_s.max())})}


def to_markdown(lines: Sequence[Line]) -> str:
    """The lines as a table in Markdown, two rows a group: of the mean scores, and of single seeds."""
    rare = [f"{windows} over 1 in {10**RARE_DECADES:.0f}" for windows in ("normal", "leak")]
    head = ["group", "recordings", "windows", "scores", *HEADINGS.values(), *rare]
    body = []
    for line in lines:
        counts = [line.group, f"{line.recordings} ({line.leaks} leak)", str(line.windows)]
        cells = {name: _show(value) for name, value in line.of_mean.items()}
        low, high = line.recording_interval
        if np.isfinite(low):
            cells["recording_auc"] += f" [{low:.2f}, {high:.2f}]"
        body.append([*counts, f"mean of {line.seeds} seeds", *cells.values(), "", ""])
        spread = {name: _show(line.means[name], line.deviations[name]) for name in METRICS}
        body.append(["", "", "", "single seeds", *spread.values(), _show(line.rare_normals), _show(line.rare_leaks)])
    return "\n".join(table(head, body, left=4))


def _show(value: float, deviation: float = float("nan")) -> str:
    if not np.isfinite(value):
        return "undefined"
    return f"{value:.3f}" + (f" ± {deviation:.3f}" if np.isfinite(deviation) else "")


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
