"""``hydroear selftest``: a table for people, one JSON object for machines."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from hydroear.config.loader import load_config
from hydroear.config.schema import Config, LoggerSource, Sensor
from hydroear.errors import ConfigError, UsageError
from hydroear.mqtt.payloads import encode
from hydroear.mqtt.stamper import stamper
from hydroear.selftest.attempt import attempt
from hydroear.selftest.examine import examine
from hydroear.selftest.finding import Finding, Result, overall, report, skipped
from hydroear.selftest.tap import CALM_S, PATIENCE_S, hear_knock

TAP_S = CALM_S + PATIENCE_S + 20.0
"""Until a knock test is given up; the device itself may take its time to start."""

_COLOURS = {Result.PASS: "32", Result.WARN: "33", Result.FAIL: "31;1", Result.SKIP: "2"}
_MEASURED_WIDTH = 60
_EXPECTED_WIDTH = 32
_RESULT_WIDTH = len(Result.PASS)


def run(config_path: Path, *, machine_readable: bool, sensor: str | None, tap: bool) -> int:
    """Examine the unit of a configuration and print what was found.

    Parameters
    ----------
    config_path
        The configuration.
    machine_readable
        Whether to print one JSON object rather than a table.
    sensor
        The only sensor to listen to; None for all.
    tap
        Whether to ask for a knock on the pipe, sensor by sensor, and hear it.

    Returns
    -------
    int
        0 if nothing failed, 1 if a stage did, 2 if the configuration cannot be loaded.
    """
    unit = None
    try:
        config = load_config(config_path)
    except ConfigError as error:
        findings = [Finding("config", Result.FAIL, problem) for problem in error.problems]
        code = error.exit_code
    else:
        unit = config.unit
        sensors = _chosen(config, sensor)
        findings = examine(config, sensors)
        if tap:
            findings += [_tap(chosen, findings) for chosen in sensors]
        code = 1 if overall(findings) is Result.FAIL else 0
    print(as_json(unit, findings) if machine_readable else table(findings, colour=sys.stdout.isatty()))
    return code


def _chosen(config: Config, name: str | None) -> list[Sensor]:
    chosen = [sensor for sensor in config.sensors if name in (None, sensor.id)]
    if not chosen:
        known = ", ".join(sensor.id for sensor in config.sensors)
        raise UsageError(f"no sensor {name!r}", where="--sensor", expected=f"one of: {known}")
    return chosen


def _tap(sensor: Sensor, findings: Sequence[Finding]) -> Finding:
    stage = f"tap {sensor.id}"
    if isinstance(sensor.source, LoggerSource):
        return skipped(stage, "a logger does not sound now")
    source = next(finding for finding in findings if finding.stage == f"source {sensor.id}")
    if source.result in (Result.FAIL, Result.SKIP):
        return skipped(stage, source.measured if source.result is Result.SKIP else f"{source.stage} failed")
    return attempt(stage, TAP_S, lambda: hear_knock(sensor, lambda text: print(text, file=sys.stderr, flush=True)))


def as_json(unit: str | None, findings: Sequence[Finding]) -> str:
    """What a running unit publishes of itself; unit and bundle are null where they cannot be told."""
    hashes = (finding.values.get("sha256") for finding in findings if finding.stage == "bundle")
    bundle = next(hashes, None)
    return encode(report(findings), stamper(unit, None if bundle is None else str(bundle))(0)).decode()


def table(findings: Sequence[Finding], *, colour: bool) -> str:
    """The findings in columns; beneath a row, what to do about it."""
    stage_width = max(len(finding.stage) for finding in findings)
    indent = " " * (_RESULT_WIDTH + stage_width + 4)
    lines = [f"{'':<{_RESULT_WIDTH}}  {'stage':<{stage_width}}  {'measured':<{_MEASURED_WIDTH}}  expected"]
    for finding in findings:
        result = f"\x1b[{_COLOURS[finding.result]}m{finding.result}\x1b[0m" if colour else str(finding.result)
        head = f"{result}  {finding.stage:<{stage_width}}  "
        measured = textwrap.wrap(finding.measured, _MEASURED_WIDTH)
        expected = textwrap.wrap(finding.expected, _EXPECTED_WIDTH)
        for left, right in zip_longest(measured, expected, fillvalue=""):
            lines.append(f"{head}{left:<{_MEASURED_WIDTH}}  {right}".rstrip())
            head = indent
        if finding.fix:
            width = len(indent) + _MEASURED_WIDTH
            fix = textwrap.wrap(f"do: {finding.fix}", width, initial_indent=indent, subsequent_indent=indent + "    ")
            lines += fix
    return "\n".join([*lines, _summary(findings)])


def _summary(findings: Sequence[Finding]) -> str:
    counts = {result: sum(finding.result is result for finding in findings) for result in Result}
    told = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
    return f"selftest: {overall(findings)} ({told})"
