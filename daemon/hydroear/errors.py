"""Every error a user can meet. Each says what, where, what was expected and what to do, in one line."""

from __future__ import annotations


class HydroearError(Exception):
    """A failure with an explanation for the person who has to mend it.

    Parameters
    ----------
    what
        What is wrong, with the value that was met.
    where
        The file, topic, device or option it was met in.
    expected
        What would have been right.
    fix
        What the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = "", expected: str = "", fix: str = "") -> None:
        self.what, self.where, self.expected, self.fix = what, str(where), expected, fix
        line = f"{self.where}: {what}" if self.where else what
        if expected:
            line += f"; expected {expected}"
        if fix:
            line += f"; {fix}"
        super().__init__(line)


class UsageError(HydroearError):
    """The command or the configuration asks for something that cannot be."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration with one or more problems, all of them reported at once.

    Parameters
    ----------
    problems
        One line a problem: ``file:line: key: value, what is wrong, what to do``.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class AudioError(HydroearError):
    """Audio that cannot be read, or that no detector could hear anything in."""


class CaptureError(HydroearError):
    """A sensor that is missing, refuses, or stopped sending."""


class BundleError(HydroearError):
    """A bundle that is damaged, foreign, too new or made for another front end."""


class CalibrationError(HydroearError):
    """A site calibration that cannot be learned or does not fit the bundle."""


class OutboxError(HydroearError):
    """A queue on disk that cannot be used."""


class OutboxOwnedError(OutboxError):
    """A queue on disk that another running process owns."""


class LinkError(HydroearError):
    """A broker that cannot be reached or refuses this unit."""


class CommandError(HydroearError):
    """A request of the control room that is not obeyed.

    Parameters
    ----------
    request_id
        The request, where it could be read.
    """

    def __init__(
        self, what: str, *, where: object = "", expected: str = "", fix: str = "", request_id: str | None = None
    ) -> None:
        self.request_id = request_id
        super().__init__(what, where=where, expected=expected, fix=fix)
