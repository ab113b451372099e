"""Stages of the model: the bundle, the installed runtime, the time a window takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from hydroear.dsp import FrontEnd, FrontEndSpec
from hydroear.model import Bundle, choose_runtime
from hydroear.model.slots import Choice
from hydroear.score import Scorer
from hydroear.score.scorer import GOLDEN_TOLERANCE
from hydroear.selftest.finding import Finding, Result

TIMED_WINDOWS = 50
TIMING_S = 1.5
"""A slow board times as many windows as it manages in this."""


@dataclass(frozen=True)
class GoldenRun:
    """A bundle that gave the expected scores on the installed runtime.

    Attributes
    ----------
    scorer
        The bundle at work.
    difference
        Largest relative difference from the expected errors.
    """

    scorer: Scorer
    difference: float


def judge_bundle(bundle: Bundle, choice: Choice) -> Finding:
    """A bundle whose parts all match their hashes, and which is signed if it has to be."""
    runtimes = ", ".join(sorted(bundle.golden.errors)) or "no runtime"
    measured = f"{bundle.name}, sha256 {bundle.sha256[:12]}, exported for {runtimes}"
    values: dict[str, str | int | None] = {"name": bundle.name, "sha256": bundle.sha256}
    if bundle.signature is None:
        measured += ", no signature asked for"
    else:
        measured += f", release {bundle.signature.release} signed with key {bundle.signature.key_id}"
        values |= {"release": bundle.signature.release, "key": bundle.signature.key_id}
    if choice.installed is not None:
        measured += f", {choice.installed.phase} in slot {choice.slot}"
        values |= {"slot": choice.slot, "phase": str(choice.installed.phase)}
    if bundle.provenance.get("simulated"):
        return Finding(
            "bundle",
            Result.WARN,
            f"{measured}; trained on simulated pipes: for demonstration only",
            "a bundle trained on real pipes",
            "train one with hydroear-train fit on recordings of pipes such as this one",
            values,
        )
    return Finding("bundle", Result.PASS, measured, values=values)


def run_golden(bundle: Bundle, wish: str) -> GoldenRun:
    """Run the golden windows on the runtime that the configuration wishes for.

    Raises
    ------
    UsageError
        If the runtime is not installed.
    BundleError
        If the bundle does not run on it, or gives other scores.
    """
    scorer = Scorer(bundle, choose_runtime(wish))
    return GoldenRun(scorer, scorer.check_golden())


def judge_golden(run: GoldenRun) -> Finding:
    """Golden windows within the tolerance."""
    runtime = run.scorer.runtime
    return Finding(
        "runtime",
        Result.PASS,
        f"{runtime} {runtime.version}, golden windows differ by {100 * run.difference:.2g} %",
        f"at most {100 * GOLDEN_TOLERANCE:g} %",
        values={"runtime": str(runtime), "version": runtime.version, "golden_difference": run.difference},
    )


def time_windows(scorer: Scorer) -> list[float]:
    """Milliseconds from the audio of one hop to the score of its window, for several windows."""
    spec = scorer.bundle.front_end
    sound = scorer.bundle.golden.audio.astype(np.float32).ravel() / np.float32(32768)
    hop = spec.window_hop_frames * spec.hop
    hops = cycle([sound[first : first + hop] for first in range(0, len(sound) - hop + 1, hop)])
    front_end = FrontEnd(spec, input_rate_hz=spec.rate_hz)
    front_end.push(sound[: spec.window_samples])
    times_ms: list[float] = []
    until_s = time.monotonic() + TIMING_S
    for samples in islice(hops, TIMED_WINDOWS):
        began_s = time.perf_counter()
        for window in front_end.push(samples):
            scorer.score(window.features)
        times_ms.append(1e3 * (time.perf_counter() - began_s))
        if time.monotonic() >= until_s:
            break
    return times_ms


def judge_latency(times_ms: Sequence[float], spec: FrontEndSpec, sensors: int) -> Finding:
    """The time of a window against the hop, in which every sensor must be served."""
    p50_ms, p95_ms = (float(p) for p in np.percentile(times_ms, [50, 95]))
    hop_ms = 1e3 * spec.window_hop_s
    load = p95_ms * sensors / hop_ms
    result, fix = Result.PASS, ""
    if load > 0.5:
        result = Result.FAIL if load > 1.0 else Result.WARN
        fix = "use fewer sensors, a bundle with a longer hop or smaller models, the other runtime, or a faster board"
    return Finding(
        "latency",
        result,
        f"p50 {p50_ms:.1f} ms, p95 {p95_ms:.1f} ms for one window of {sensors} sensor{'s' * (sensors > 1)}",
        f"p95 within {hop_ms / 2 / sensors:.0f} ms, half of the hop{' over the sensors' * (sensors > 1)}",
        fix,
        {"p50_ms": round(p50_ms, 3), "p95_ms": round(p95_ms, 3), "hop_ms": round(hop_ms, 3)},
    )
