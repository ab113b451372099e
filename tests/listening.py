"""The daemon's commands as people run them, and the simulated sound they are run on."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from hydroear_train.simulate import DEMO_SITE, Span, render

RATE_HZ = 16_000
DECISION = {"horizon_s": 6.0, "recheck_s": 2.0, "clear_s": 6.0, "raise_decades": 2.5, "clear_decades": 1.8}
"""Quick enough for scenes of a minute; the levels lie well between those of a healthy pipe and of :data:`LEAK`."""

LEAK = Span("leak", 20.0, 40.0, 16.0)
SCENE_S = 60.0

Samples = NDArray[np.float32]


@cache
def scene() -> Samples:
    """A minute of a pipe, with a leak from 20 s to 40 s."""
    return render(DEMO_SITE, [LEAK], SCENE_S, RATE_HZ, seed=7).samples


@cache
def health(duration_s: float = 20.0, seed: int = 8) -> Samples:
    """The same pipe without a leak."""
    return render(DEMO_SITE, [], duration_s, RATE_HZ, seed=seed).samples


def write(path: Path, samples: Samples, *, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Path:
    """Write samples, shape (n,) or (n, channels), in the format of the suffix."""
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def command(*arguments: object) -> list[str]:
    """The command line of ``hydroear`` with these arguments."""
    return [sys.executable, "-m", "hydroear.cli", *map(str, arguments)]


def hydroear(*arguments: object, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run ``hydroear`` to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout_s, check=False)


def decision_options(**changes: float) -> list[str]:
    """:data:`DECISION` with changes, as options of ``replay``."""
    return [f"--decision={key}={value}" for key, value in {**DECISION, **changes}.items()]


def json_lines(text: str, kind: str | None = None) -> list[dict[str, Any]]:
    """The JSON objects of a text, one a line; all, or those of one kind."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if kind is None or line["kind"] == kind]


def said(stderr: str) -> list[str]:
    """What the program said on standard error; the interpreter's own remark on its delegate is not the program's."""
    return [line for line in stderr.splitlines() if "XNNPACK delegate" not in line]
