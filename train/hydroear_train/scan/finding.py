"""What the audit found: how bad, what, and in which recordings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """A recording or a row that cannot be used."""
    WARNING = "warning"
    """What makes a result doubtful."""
    NOTE = "note"
    """What one should know."""


@dataclass(frozen=True)
class Case:
    """One instance of a finding.

    Attributes
    ----------
    files
        The recordings, as the manifest names them; empty where it is about the whole corpus.
    detail
        What was met, in words.
    value
        The same as a number, in the unit that the detail gives, where there is one.
    """

    files: tuple[str, ...]
    detail: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Attributes
    ----------
    check
        The check that found it.
    message
        What it is and what follows from it.
    cases
        Where; in the order of the manifest.
    """

    severity: Severity
    check: str
    message: str
    cases: tuple[Case, ...] = ()
