"""The verb ``hydroear-train fleet``."""

from __future__ import annotations

import argparse
import json


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = verbs.add_parser(
        "fleet",
        help="measure how soon the alarms of many units arrive through one broker",
        description="Start a mosquitto on loopback, connect simulated units to it that speak as real ones do, one in a "
        "hundred of them raising alarms, and measure at a control room how late alarms are, what is lost, and what the "
        "broker needs; with --kill-broker also how all units come back after it died. Exits with 1 if a target is "
        "missed.",
    )
    parser.add_argument("--units", type=int, default=1000, metavar="N", help="units (%(default)s)")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="M", help="how long (%(default)g)")
    parser.add_argument(
        "--kill-broker", action="store_true", help="kill -9 the broker in the middle, and start it again"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes of units (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(func=_fleet)


def _fleet(args: argparse.Namespace) -> int:
    from hydroear_train.fleet.run import Plan, run_fleet

    plan = Plan(units=args.units, minutes=args.minutes, kill_broker=args.kill_broker, jobs=args.jobs)
    plan.check()
    outcome = run_fleet(plan, quiet=args.quiet)
    print(json.dumps(outcome.record(), indent=1) if args.json else outcome.to_markdown())
    return 0 if outcome.ok else 1
