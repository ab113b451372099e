"""``hydroear-train``: the trainer's verbs."""

from __future__ import annotations

import argparse
import os
import sys

from hydroear import __version__
from hydroear.errors import HydroearError


def main(argv: list[str] | None = None) -> int:
    """Run one verb; failures the user can mend become one line on stderr and an exit code."""
    try:
        args = _parser().parse_args(argv)
        code: int = args.func(args)
        sys.stdout.flush()
    except HydroearError as error:
        print(f"hydroear-train: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _parser() -> argparse.ArgumentParser:
    from hydroear_train.simulate import cli as simulate

    parser = argparse.ArgumentParser(
        prog="hydroear-train", description="Train, compare and pack leak detectors for hydroear units."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    simulate.add_parser(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
