"""How a command ends: what its user did wrong in one line each, never in a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from hydroear.errors import ConfigError, HydroearError


def run_command(program: str, work: Callable[[], int]) -> int:
    """Do a command's work and turn what stops it into an exit code.

    Parameters
    ----------
    program
        Name of the program, before every line on standard error.
    work
        The work; gives the exit code.

    Returns
    -------
    int
        What the work gave; else the exit code of the error, 130 when interrupted, 141 when nobody reads the output.
    """
    try:
        code = work()
        sys.stdout.flush()
    except HydroearError as error:
        for problem in error.problems if isinstance(error, ConfigError) else [error]:
            print(f"{program}: error: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code
