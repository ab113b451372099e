"""The report: one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from hydroear.dsp import FrontEndSpec
from hydroear_train.compare import figures
from hydroear_train.compare.run import Result
from hydroear_train.compare.table import Line, heading, overview, show, show_cost
from hydroear_train.corpus import Entry, load_clips
from hydroear_train.detectors import SUPERVISED
from hydroear_train.evaluate import MAX_FPR, OPERATING_FPR, RESAMPLES, Scored
from hydroear_train.splits import Split

_SHOWN = 4
_CURVES = 3
_METHOD = (
    "Every window of every held-out recording is scored by a detector that learned from normal recordings of other "
    "folds. No recording is on both sides, and no leak is learned from, but by the rows named supervised: they are "
    "taught the other folds' leaks, and say how much is to be heard at all in what the control features keep.",
    "Window AUC: all folds of a group together, under one threshold. By-fold AUC: the mean of each fold by itself. "
    f"pAUC({MAX_FPR:g}): partial area up to that false-positive rate, McClish's scale, on which chance is .5. "
    f"TPR: at {100 * OPERATING_FPR:g} % false positives. Recording AUC: each recording by the median of its windows.",
    "± is the standard deviation over seeds; rows that leave nothing to chance are run with one seed. Brackets are "
    f"95 % intervals of the scores averaged over seeds, from {RESAMPLES} draws of operating points.",
    "Rows of extractors (bold) run on int8 models through the unit's own scoring: product-ae is the bundle's "
    "autoencoder, product-site what a calibrated unit makes of it together with its site head. The other back-ends are "
    "fitted on the same int8 embedding. Size is that of both models; time is the median of extractor and autoencoder "
    "on one window, with one thread, on the machine that made this table.",
    "The best rows were picked by their results on these very recordings: the figures show them and prove no more.",
)
SIMULATOR_METHOD = (
    "Everything here is simulated. The leak noise that extractors learn from comes from the same physical model as "
    "the leaks they are tested on, at other sites: this says how faint a leak may be, not how a real pipe sounds.",
    "By level: leaks against calm recordings. Against a confounder: leaks at 0 dB against it at 0 dB. Both are means "
    "over sites, each with a threshold of its own. The first five metrics take leaks of all levels against calm and "
    "confounders together. The rows named supervised are taught other leaks of the very site, at all these levels.",
)


@dataclass(frozen=True)
class Report:
    """All that the report shows.

    Attributes
    ----------
    title, lead
        What it is.
    lines, results
        The table, the best lines first, and the scores it is made of.
    splits
        Where the recordings are.
    specs
        Front end of each source by name.
    method
        Sentences on how this was measured, besides those that always hold.
    provenance
        What it was made of.
    simulated
        Whether there are levels and confounders.
    """

    title: str
    lead: str
    lines: Sequence[Line]
    results: Sequence[Result]
    splits: Sequence[Split]
    specs: dict[str, FrontEndSpec]
    method: Sequence[str]
    provenance: dict[str, str]
    simulated: bool


def to_html(report: Report) -> str:
    """The report as an HTML page."""
    groups = sorted({line.group for line in report.lines})
    sections = {group: _group(report, group) for group in groups}
    if len(groups) > 1:
        sections = {"overview": _overview(report.lines, groups), **sections}
    places = {name: f"section-{number}" for number, name in enumerate(sections)}
    contents = [f'<a href="#{place}">{escape(name)}</a>' for name, place in places.items()]
    return Template((files(__package__) / "template.html").read_text(encoding="utf-8")).substitute(
        title=escape(report.title),
        lead=escape(report.lead),
        contents="".join([*contents, '<a href="#method">method</a>', '<a href="#provenance">provenance</a>']),
        sections="".join(f'<h2 id="{places[name]}">{escape(name)}</h2>{html}' for name, html in sections.items()),
        method="".join(f"<li>{escape(sentence)}</li>" for sentence in (*report.method, *_METHOD)),
        provenance="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in report.provenance.items()),
    )


def _best(lines: Sequence[Line], *, count: int) -> list[Line]:
    """The first lines of extractors and then those of control features, `count` of each or fewer; no bounds."""
    controls = [line for line in lines if not line.cost and line.row.backend != SUPERVISED]
    return [*[line for line in lines if line.cost][:count], *controls[:count]]


def _overview(lines: Sequence[Line], groups: Sequence[str]) -> str:
    head = ["row", *groups, "mean", "int8 kB", "ms"]
    body = []
    for name, of, mean in overview(lines):
        cost = of[groups[0]].cost
        cells = [_td(name, name)]
        cells += [_td(show(of[g], "window_auc"), of[g].cells["window_auc"].mean, tinted=True) for g in groups]
        cells += [_td(f"{mean:.3f}", mean, tinted=True), *_cost_cells(of[groups[0]])]
        body.append(_tr(cells, extractor=cost is not None))
    return "<p>Window AUC, mean ± standard deviation over seeds.</p>" + _table(head, body)


def _group(report: Report, group: str) -> str:
    lines = [line for line in report.lines if line.group == group]
    names = list(lines[0].cells)
    body = []
    for line in lines:
        cells = [_td(line.row.name, line.row.name), _td(str(line.seeds), line.seeds)]
        for name in names:
            cell = line.cells[name]
            bounds = f"[{cell.low:.2f}, {cell.high:.2f}]".replace("-", "−") if np.isfinite(cell.low) else ""
            cells.append(_td(show(line, name), cell.mean, note=bounds, tinted="auc" in name and "snr" not in name))
        body.append(_tr([*cells, *_cost_cells(line)], extractor=line.cost is not None))
    parts = [_table(["row", "seeds", *map(heading, names), "int8 kB", "ms"], body)]

    scored = {r.row.name: _of_group(r, group) for r in report.results}
    leaders, best = _best(lines, count=_CURVES), _best(lines, count=1)
    if report.simulated:
        parts.append(_figure("AUC by level and by confounder", figures.auc_over_level(leaders)))
    curves = {line.row.name: scored[line.row.name] for line in leaders}
    parts.append(_figure("ROC of the best rows, whole and where alarms are rare", figures.roc_curves(curves)))
    distributions = {line.row.name: scored[line.row.name] for line in best}
    parts.append(_figure("Scores of the best extractor and the best control", figures.histograms(distributions)))
    entries = {e.columns["file"]: e for split in report.splits if split.group == group for e in split.tests}
    for line in best:
        spec = report.specs[line.row.source]
        for kind, leak in (("Worst misses", True), ("Worst false alarms", False)):
            excerpts = _worst(scored[line.row.name], leak, entries, spec)
            parts.append(_figure(f"{kind} of {line.row.name}", figures.spectrograms(excerpts, spec)))
    return "".join(parts)


def _of_group(result: Result, group: str) -> Scored:
    mean = Scored.mean_of(list(result.runs.values()))
    return mean.where(mean.group == group)


def _worst(scored: Scored, leak: bool, entries: dict[str, Entry], spec: FrontEndSpec) -> list[figures.Excerpt]:
    """The leak windows that look most normal, or the normal windows that look most like a leak, one a recording."""
    order = np.argsort(scored.score if leak else -scored.score, kind="stable")
    order = order[scored.leak[order] == leak]
    _, first = np.unique(scored.file[order], return_index=True)
    excerpts = []
    for index in order[np.sort(first)[:_SHOWN]]:
        others = scored.score[scored.leak != leak]
        share = np.mean(others > scored.score[index]) if leak else np.mean(others < scored.score[index])
        name, start_s = str(scored.file[index]), float(scored.start_s[index])
        samples = load_clips([entries[name]], spec, group_column="", quiet=True)[0].samples
        begin = round(start_s * spec.rate_hz)
        said = f"{100 * share:.0f} % of {'normal windows above' if leak else 'leak windows below'}"
        title = f"{name.rsplit('.', 1)[0]}\nat {start_s:.1f} s, {said}"
        excerpts.append(figures.Excerpt(title, samples[begin : begin + spec.window_samples]))
    return excerpts


def _table(head: Sequence[str], body: Sequence[str]) -> str:
    cells = "".join(f"<th><button>{escape(name)}</button></th>" for name in head)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _tr(cells: Sequence[str], *, extractor: bool) -> str:
    return f"<tr{' class=extractor' if extractor else ''}>{''.join(cells)}</tr>"


def _td(text: str, value: float | str, *, note: str = "", tinted: bool = False) -> str:
    known = isinstance(value, str) or np.isfinite(value)
    style = ""
    if tinted and isinstance(value, float) and value > 0.5:
        style = f' style="background: rgb(var(--tint) / {value - 0.5:.2f})"'
    small = f"<small>{note}</small>" if note else ""
    return f'<td data-value="{escape(str(value)) if known else ""}"{style}>{escape(text)}{small}</td>'


def _cost_cells(line: Line) -> list[str]:
    size, latency = show_cost(line.cost)
    cost = line.cost
    return [_td(size, cost.int8_bytes if cost else ""), _td(latency, cost.latency_ms if cost else "")]


def _figure(title: str, uri: str) -> str:
    return f'<h3>{escape(title)}</h3><img src="{uri}" alt="{escape(title)}">'
