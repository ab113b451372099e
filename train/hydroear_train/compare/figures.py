"""Figures as data URIs: grey ink on no ground, so that they sit on a light page and on a dark one."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear_train.compare.simulated import CONFOUNDERS, SNRS_DB, TARGET_AUC, snr_condition
from hydroear_train.compare.table import Line
from hydroear_train.evaluate import OPERATING_FPR, Roc, Scored
from hydroear_train.spectra import SpectrumBatch

_INK = "#80868f"
_NORMAL, _LEAK = "#4c8fd6", "#e0703a"
COLOURS = ("#e0703a", "#4c8fd6", "#3aa17e", "#b569c4", "#c9a227", "#80868f")
_RANGE_DB = 60.0


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A window to look at.

    Attributes
    ----------
    title
        What it is.
    samples
        float32, shape (window_samples,): high-passed audio.
    """

    title: str
    samples: NDArray[np.float32]


@contextmanager
def _axes(columns: int, rows: int = 1, *, width: float, height: float) -> Iterator[tuple[Any, Any]]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style: Any = {
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.size": 9.0,
        "svg.hashsalt": "hydroear",
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
        try:
            yield figure, axes
        finally:
            pyplot.close(figure)


def _uri(figure: Any, kind: str) -> str:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, transparent=True, dpi=90, metadata=metadata)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def roc_curves(rows: dict[str, Scored]) -> str:
    """ROC curves of rows by name: whole, and where alarms must be rare."""
    with _axes(2, width=9.0, height=4.0) as (figure, axes):
        for axis, limit in zip(axes[0], (1.0, 0.2), strict=True):
            for colour, (name, scored) in zip(cycle(COLOURS), rows.items(), strict=False):
                curve = Roc.of(scored.score, scored.leak)
                axis.plot(curve.fpr[0], curve.tpr[0], linewidth=1.5, color=colour, label=name)
            axis.plot([0, 1], [0, 1], color=_INK, linewidth=0.6, linestyle=":")
            axis.axvline(OPERATING_FPR, color=_INK, linewidth=0.6, linestyle=":")
            axis.set(xlim=(0, limit), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate")
        axes[0, 0].legend(frameon=False, loc="lower right")
        return _uri(figure, "svg")


def histograms(rows: dict[str, Scored]) -> str:
    """Histograms of the scores of normal and leak windows, for rows by name."""
    with _axes(len(rows), width=4.5 * len(rows), height=2.6) as (figure, axes):
        for axis, (name, scored) in zip(axes[0], rows.items(), strict=True):
            low, high = np.percentile(scored.score, [0.5, 99.5])
            edges = np.linspace(low, high + 1e-9, 40)
            clipped = np.clip(scored.score, low, high)
            for leak, colour, label in ((False, _NORMAL, "normal"), (True, _LEAK, "leak")):
                counts, _ = np.histogram(clipped[scored.leak == leak], edges)
                axis.stairs(counts / counts.sum(), edges, fill=True, alpha=0.45, color=colour, label=label)
            axis.set(title=name, xlabel="score", ylabel="share of windows")
            axis.legend(frameon=False)
        return _uri(figure, "svg")


def spectrograms(excerpts: Sequence[Excerpt], spec: FrontEndSpec) -> str:
    """Spectrograms side by side, each relative to its own loudest part."""
    spectra = SpectrumBatch(spec).transform(np.stack([excerpt.samples for excerpt in excerpts]))
    levels_db = 20.0 * np.log10(np.abs(spectra) + 1e-9)
    with _axes(len(excerpts), width=2.9 * len(excerpts), height=2.6) as (figure, axes):
        for axis, excerpt, level_db in zip(axes[0], excerpts, levels_db, strict=True):
            heard = level_db[:, round(spec.low_hz * spec.n_fft / spec.rate_hz) :]
            axis.imshow(
                level_db.T,
                origin="lower",
                aspect="auto",
                cmap="magma",
                extent=(0.0, spec.window_s, 0.0, spec.rate_hz / 2),
                vmin=heard.max() - _RANGE_DB,
                vmax=heard.max(),
            )
            axis.set(ylim=(spec.low_hz, spec.high_hz), xlabel="s")
            axis.set_title(excerpt.title, fontsize=8)
        axes[0, 0].set_ylabel("Hz")
        for axis in axes[0, 1:]:
            axis.set_yticklabels([])
        return _uri(figure, "png")


def auc_over_level(lines: Sequence[Line]) -> str:
    """AUC over the level of simulated leaks, and against each confounder, for some rows."""
    with _axes(2, width=9.5, height=3.8) as (figure, axes):
        levels, confounders = axes[0]
        for number, (line, colour) in enumerate(zip(lines, cycle(COLOURS), strict=False)):
            cells = [line.cells[f"auc_{snr_condition(snr)}"] for snr in SNRS_DB]
            spread = [0.0 if np.isnan(cell.deviation) else cell.deviation for cell in cells]
            means = [cell.mean for cell in cells]
            levels.errorbar(SNRS_DB, means, spread, marker="o", markersize=3.5, color=colour, label=line.row.name)
            place = np.arange(len(CONFOUNDERS)) + (number - 0.5 * (len(lines) - 1)) * 0.8 / len(lines)
            aucs = [line.cells[f"auc_{kind}"].mean for kind in CONFOUNDERS]
            confounders.plot(place, aucs, marker="o", markersize=4, linestyle="", color=colour)
        levels.axhline(TARGET_AUC, color=_INK, linewidth=0.6, linestyle=":")
        levels.set(xlabel="leak level over background, dB", ylabel="AUC against calm", ylim=(0.4, 1.02))
        levels.legend(frameon=False, loc="lower right")
        confounders.axhline(0.5, color=_INK, linewidth=0.6, linestyle=":")
        confounders.set(ylabel="AUC of leaks as loud against …", ylim=(0, 1.02))
        confounders.set_xticks(range(len(CONFOUNDERS)), CONFOUNDERS, rotation=30)
        return _uri(figure, "svg")
