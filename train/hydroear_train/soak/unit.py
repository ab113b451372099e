"""The unit as people run it: ``hydroear calibrate`` and ``hydroear replay``, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydroear.errors import HydroearError, UsageError

HORIZON_S = 600.0
"""Horizon of the configuration's decision section, where none is given."""


@dataclass(frozen=True)
class Heard:
    """What a unit made of a recording.

    Attributes
    ----------
    opened_s
        When events opened, from the start of the recording.
    median_decades, highest_decades
        Of the site scores.
    windows
        Windows scored.
    """

    opened_s: tuple[float, ...]
    median_decades: float
    highest_decades: float
    windows: int


def calibrate(recordings: Sequence[Path], *, bundle: Path, out: Path) -> None:
    """Learn a site that is known to have no leak, so that what the unit objects to is only put down.

    Raises
    ------
    HydroearError
        If the unit cannot learn it.
    """
    _hydroear("calibrate", *recordings, "--bundle", bundle, "--out", out, "--accept-anyway")


def replay(recordings: Sequence[Path], *, bundle: Path, site: Path, decision: Sequence[str]) -> list[Heard]:
    """Play recordings to a unit that has learned the site, each as a sensor of its own.

    Parameters
    ----------
    decision
        Settings of the configuration's decision section, KEY=VALUE.

    Raises
    ------
    HydroearError
        If a recording or a setting cannot be used.
    """
    settings = [f"--decision={setting}" for setting in decision]
    said = _hydroear("replay", *recordings, "--bundle", bundle, "--site", site, "--json", *settings)
    return [
        Heard(
            opened_s=tuple(line["events"]),
            median_decades=line["median_decades"],
            highest_decades=line["highest_decades"],
            windows=line["windows_scored"],
        )
        for line in map(json.loads, said.splitlines())
        if line["kind"] == "summary"
    ]


def settings_of(decision: Sequence[str]) -> dict[str, float]:
    """Settings KEY=VALUE as values by key.

    Raises
    ------
    UsageError
        If one is not a key and a number.
    """
    values = {}
    for setting in decision:
        key, _, value = setting.partition("=")
        try:
            values[key] = float(value)
        except ValueError:
            raise UsageError(f"{setting!r}", where="--decision", expected="KEY=NUMBER") from None
    return values


def horizon_s(decision: Sequence[str]) -> float:
    """The horizon in force with these settings."""
    return settings_of(decision).get("horizon_s", HORIZON_S)


def check_decision(decision: Sequence[str], *, bundle: Path) -> None:
    """Have the unit judge settings before hours of work; it has nothing to play, so it fails in any case.

    Raises
    ------
    UsageError
        If it does not accept them.
    """
    settings = [f"--decision={setting}" for setting in decision]
    done = _run("replay", os.devnull, "--bundle", bundle, *settings)
    if "--decision" in done.stderr:
        raise UsageError(_reason(done))


def _hydroear(*arguments: object) -> str:
    done = _run(*arguments)
    if done.returncode:
        raise HydroearError(_reason(done), where=f"hydroear {arguments[0]}")
    return done.stdout


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hydroear.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("hydroear: error: ")]
    return lines[-1].removeprefix("hydroear: error: ") if lines else f"exit code {done.returncode}"
