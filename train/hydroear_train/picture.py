"""Pictures: what was heard, how it was scored and what was decided, over the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import open_recording
from hydroear_train.simulate import Span

_STATE_COLOURS = {
    "learning": "#9db4c0",
    "quiet": "#6a994e",
    "warning": "#f2a65a",
    "leak": "#bc4749",
    "fault": "#7b2d8b",
}


def draw(
    path: Path,
    *,
    recording: Path,
    windows: Sequence[Mapping[str, Any]],
    spans: Sequence[Span],
    events: Sequence[Mapping[str, Any]],
    decision: Mapping[str, float],
) -> None:
    """Draw spectrogram, site score and states of one recording, with what really happened.

    Parameters
    ----------
    path
        The PNG to write.
    recording
        The audio.
    windows
        ``kind: window`` lines of ``hydroear run --json``.
    spans
        What was simulated, and when.
    events
        Event payloads as the control room received them.
    decision
        The decision section of the configuration.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    samples, rate_hz = _audio(recording)
    seconds = len(samples) / rate_hz
    figure, (sound, score, state) = pyplot.subplots(
        3, 1, figsize=(11, 7), sharex=True, layout="constrained", height_ratios=[5, 3, 1]
    )
    figure.suptitle("A simulated main: what the unit heard, scored and decided")

    sound.specgram(samples, NFFT=1024, Fs=rate_hz, noverlap=512, cmap="magma", vmin=-120, vmax=-50)
    sound.set(ylabel="frequency, Hz", ylim=(0, 4000))
    for span in spans:
        middle = (max(0.0, span.start_s) + min(seconds, span.end_s)) / 2
        sound.text(middle, 3800, span.kind, color="white", ha="center", va="top", fontweight="bold")
        for edge in (span.start_s, span.end_s):
            sound.axvline(edge, color="white", linewidth=0.8, linestyle=":")

    scored = [window for window in windows if window["scored"]]
    score.plot([w["position_s"] for w in scored], [w["score_decades"] for w in scored], color="#22333b", linewidth=0.9)
    score.axhline(decision["raise_decades"], color="#bc4749", linewidth=0.9, label="raise level")
    score.axhline(decision["clear_decades"], color="#6a994e", linewidth=0.9, label="clear level")
    for span in spans:
        if span.kind == "leak":
            score.axvspan(span.start_s, span.end_s, color="#bc4749", alpha=0.12, label="true leak")
    score.set(ylabel="site score,\ndecades", ylim=(0, 17))
    score.legend(loc="upper left", fontsize="small", ncols=3, frameon=False)

    begin_s = 0.0
    for window in windows:
        state.axvspan(begin_s, window["position_s"], color=_STATE_COLOURS[window["state"]], linewidth=0)
        begin_s = window["position_s"]
    for event in events:
        if event["phase"] in ("open", "close"):
            for axis in (score, state):
                axis.axvline(event["position_s"], color="black", linewidth=1.2)
            name = {"open": "alarm", "close": "cleared"}[event["phase"]]
            score.annotate(
                name, (event["position_s"], 0.96), xycoords=("data", "axes fraction"), va="top", xytext=(3, 0),
                textcoords="offset points",
            )  # fmt: skip
    shown = [name for name in _STATE_COLOURS if any(window["state"] == name for window in windows)]
    state.legend(
        handles=[Patch(color=_STATE_COLOURS[name], label=name) for name in shown],
        loc="lower center", bbox_to_anchor=(0.5, -1.6), ncols=len(shown), frameon=False,
    )  # fmt: skip
    state.set(xlabel="time, s", yticks=[], ylabel="state", xlim=(0, seconds))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _audio(path: Path) -> tuple[NDArray[np.float32], int]:
    with open_recording(path) as recording:
        return recording.read(recording.frames)[:, 0], recording.rate_hz
