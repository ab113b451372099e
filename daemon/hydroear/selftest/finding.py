"""What a stage found: measured, expected, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from hydroear.errors import HydroearError
from hydroear.mqtt.payloads import SelfTest

Values = Mapping[str, str | float | int | None]


class Result(StrEnum):
    """How a stage ended."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """One row of the self-test.

    Attributes
    ----------
    stage
        What was examined, with the sensor where there are several.
    result
        How it ended.
    measured, expected
        In words for people.
    fix
        What to do about it; empty where there is nothing to do.
    values
        What was measured, as numbers with a unit in their names, for machines.
    """

    stage: str
    result: Result
    measured: str
    expected: str = ""
    fix: str = ""
    values: Values = field(default_factory=lambda: MappingProxyType({}))


def failure(stage: str, error: HydroearError) -> Finding:
    """The row of a stage that met an error."""
    measured = f"{error.where}: {error.what}" if error.where else error.what
    return Finding(stage, Result.FAIL, measured, error.expected, error.fix)


def skipped(stage: str, reason: str) -> Finding:
    """The row of a stage that could not be examined."""
    return Finding(stage, Result.SKIP, reason)


def overall(findings: Iterable[Finding]) -> Result:
    """The worst result; what was skipped is nobody's fault."""
    results = {finding.result for finding in findings}
    return next((result for result in (Result.FAIL, Result.WARN) if result in results), Result.PASS)


def report(findings: Sequence[Finding]) -> SelfTest:
    """The findings as the command line prints them and the control room gets them."""
    stages = [
        {
            "stage": finding.stage,
            "result": finding.result.value,
            "measured": finding.measured,
            "expected": finding.expected,
            "fix": finding.fix,
            "values": dict(finding.values),
        }
        for finding in findings
    ]
    return SelfTest(result=overall(findings).value, stages=stages)
