"""The self-test: tells whether the unit or the world is wrong, stage by stage, within twenty seconds."""

from hydroear.selftest.examine import examine, examine_unit
from hydroear.selftest.finding import Finding, Result, overall, report

__all__ = ["Finding", "Result", "examine", "examine_unit", "overall", "report"]
