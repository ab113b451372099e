"""The table: what the scores of each row amount to, in each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from hydroear_train.compare.plan import Row
from hydroear_train.compare.run import Result
from hydroear_train.compare.simulated import SNR_AT_TARGET, SNRS_DB
from hydroear_train.compare.source import Cost
from hydroear_train.evaluate import HEADINGS, Metric, Scored, interval, measure
from hydroear_train.markdown import table
from hydroear_train.textfile import csv_text


@dataclass(frozen=True)
class Cell:
    """A metric of a row in a group.

    Attributes
    ----------
    mean, deviation
        Over seeds; the deviation is NaN for one seed.
    low, high
        Bootstrap interval, 95 %, of the scores averaged over seeds.
    """

    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """A row in a group.

    Attributes
    ----------
    row, group
        Which.
    seeds
        How many were run.
    windows
        How many were scored.
    cells
        Its metrics by name.
    cost
        On a unit; None for a control feature.
    """

    row: Row
    group: str
    seeds: int
    windows: int
    cells: dict[str, Cell]
    cost: Cost | None


def measure_all(
    results: Sequence[Result], metrics: dict[str, Metric], *, rank_by: str, quiet: bool = False
) -> list[Line]:
    """Lines of every group, in order of one of the metrics, the best first."""
    lines = [
        _line(result, group, metrics)
        for result in tqdm(results, desc="measuring", unit="row", disable=quiet)
        for group in np.unique(result.runs[0].group)
    ]
    return sorted(lines, key=lambda line: (line.group, -line.cells[rank_by].mean))


def _line(result: Result, group: str, metrics: dict[str, Metric]) -> Line:
    runs = [scored.where(scored.group == group) for scored in result.runs.values()]
    mean = Scored.mean_of(runs)
    cells = {name: _cell(runs, mean, metric) for name, metric in metrics.items()}
    return Line(result.row, str(group), len(runs), len(mean), cells, result.cost)


def _cell(runs: Sequence[Scored], mean: Scored, metric: Metric) -> Cell:
    values = [measure(run, metric) for run in runs]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return Cell(float(np.mean(values)), deviation, *interval(mean, metric))


def record(line: Line) -> dict[str, str | int | float | None]:
    """A line as one flat record; what is unknown is None."""
    values: dict[str, str | int | float | None] = {
        "row": line.row.name,
        "source": line.row.source,
        "backend": line.row.backend,
        "group": line.group,
        "seeds": line.seeds,
        "windows": line.windows,
    }
    for name, cell in line.cells.items():
        parts = {"": cell.mean, "_sd": cell.deviation, "_low": cell.low, "_high": cell.high}
        values |= {name + suffix: value if np.isfinite(value) else None for suffix, value in parts.items()}
    values["int8_bytes"] = line.cost.int8_bytes if line.cost else None
    values["latency_ms"] = line.cost.latency_ms if line.cost else None
    return values


def to_csv(lines: Sequence[Line]) -> str:
    """The table as CSV, one record a line."""
    records = [record(line) for line in lines]
    return csv_text(list(records[0]), (values.values() for values in records))


def to_markdown(lines: Sequence[Line]) -> str:
    """The table as Markdown: the window AUC of every group side by side, then each group by itself."""
    groups = sorted({line.group for line in lines})
    parts = []
    if len(groups) > 1:
        head = ["row", *groups, "mean"]
        body = [
            [name, *(show(cells[group], "window_auc") for group in groups), f"{mean:.3f}"]
            for name, cells, mean in overview(lines)
        ]
        parts += ["## Window AUC", "", *table(head, body), ""]
    for group in groups:
        members = [line for line in lines if line.group == group]
        names = list(members[0].cells)
        head = ["row", "seeds", *(heading(name) for name in names), "int8 kB", "ms"]
        body = [
            [line.row.name, str(line.seeds), *(show(line, name, bounds=True) for name in names), *show_cost(line.cost)]
            for line in members
        ]
        parts += [f"## {group}", "", *table(head, body), ""]
    return "\n".join(parts)


def overview(lines: Sequence[Line]) -> list[tuple[str, dict[str, Line], float]]:
    """Each row with its lines by group and its mean window AUC over them, the best first."""
    rows: dict[str, dict[str, Line]] = {}
    for line in lines:
        rows.setdefault(line.row.name, {})[line.group] = line
    means = {name: float(np.mean([line.cells["window_auc"].mean for line in of.values()])) for name, of in rows.items()}
    return [(name, rows[name], means[name]) for name in sorted(rows, key=lambda name: -means[name])]


def heading(metric: str) -> str:
    """What a metric is called in print."""
    if metric == SNR_AT_TARGET:
        return "SNR at AUC .90, dB"
    return HEADINGS.get(metric, metric.replace("auc_", "AUC ").replace("_", " ").replace("-", "−"))


def show(line: Line, metric: str, *, bounds: bool = False) -> str:
    """A cell in print: mean ± deviation over seeds, and the interval."""
    cell = line.cells[metric]
    level = metric == SNR_AT_TARGET
    if level and np.isnan(cell.mean):
        return f"> {SNRS_DB[-1]:+g}"
    if level and cell.mean <= SNRS_DB[0]:
        return f"≤ {SNRS_DB[0]:+g}".replace("-", "−")
    digits = 1 if level else 3
    text = f"{cell.mean:.{digits}f}"
    if np.isfinite(cell.deviation):
        text += f" ± {cell.deviation:.{digits}f}"
    if bounds and np.isfinite(cell.low):
        text += f" [{cell.low:.{digits - (not level)}f}, {cell.high:.{digits - (not level)}f}]"
    return text.replace("-", "−")


def show_cost(cost: Cost | None) -> tuple[str, str]:
    """Size in kB and latency in ms, in print."""
    return (f"{cost.int8_bytes / 1000:.0f}", f"{cost.latency_ms:.1f}") if cost else ("", "")
