"""The verb ``hydroear-train soak``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hydroear.model import SHIPPED_BUNDLE


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = verbs.add_parser(
        "soak",
        help="count false alarms and found leaks over many simulated nights",
        description="Put units at SIMULATED sites: each learns its site with hydroear calibrate and then hears nights "
        "in health, with taps, showers, pumps, valves, lorries, rain and hum, nights with leaks, and leaks that begin, "
        "with hydroear replay. Writes OUT/soak.md, soak.json and nights.csv; what was heard is kept in OUT/cache, from "
        "which an interrupted run goes on.",
    )
    parser.add_argument("--nights", type=int, default=900, metavar="N", help="healthy nights in all (%(default)s)")
    parser.add_argument("--sites", type=int, default=30, metavar="N", help="sites (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M", help="length of a night (%(default)g)")
    parser.add_argument(
        "--commissioning-minutes",
        type=float,
        default=60.0,
        metavar="M",
        help="what each site is learned from, six recordings together (%(default)g)",
    )
    parser.add_argument(
        "--onset-minutes",
        type=float,
        default=45.0,
        metavar="M",
        help="length of a recording in which a leak begins, after 10/45 of it (%(default)g)",
    )
    parser.add_argument(
        "--snr",
        type=float,
        nargs="+",
        default=[-10.0, -5.0, 0.0, 5.0],
        metavar="DB",
        help="levels of the leaks over the background, 50 to 2000 Hz (-10 -5 0 5)",
    )
    parser.add_argument(
        "--leaks-per-site", type=int, default=2, metavar="N", help="leaks of each level at each site (%(default)s)"
    )
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, metavar="B", help="(default: the shipped one)")
    parser.add_argument(
        "--decision",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the units' decision section, such as horizon_s=1200; may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same sounds (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add_running(parser)
    parser.set_defaults(func=_run)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Options of how to run, and what to print."""
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="processes at once, each on one core; does not change the result (%(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _run(args: argparse.Namespace) -> int:
    from hydroear.errors import UsageError
    from hydroear.model import read_bundle
    from hydroear_train.soak.run import Plan, soak
    from hydroear_train.soak.table import cost_text, nights_csv, record_of, to_markdown
    from hydroear_train.textfile import check_writable, write_text

    if args.jobs < 1:
        raise UsageError(f"{args.jobs}", where="--jobs", expected="1 or more")
    plan = Plan(
        bundle=args.bundle,
        bundle_sha256=read_bundle(args.bundle).sha256,
        seed=args.seed,
        sites=args.sites,
        nights=args.nights,
        minutes=args.minutes,
        commissioning_minutes=args.commissioning_minutes,
        onset_minutes=args.onset_minutes,
        snrs_db=tuple(sorted(set(args.snr))),
        leaks_per_site=args.leaks_per_site,
        decision=tuple(args.decision),
    )
    plan.check()
    files = [args.out / name for name in ("nights.csv", "soak.json", "soak.md")]
    for path in files:
        check_writable(path)
    outcome = soak(plan, args.out, jobs=args.jobs, quiet=args.quiet)
    result, markdown = json.dumps(record_of(plan, outcome), indent=1), to_markdown(plan, outcome)
    for path, text in zip(files, (nights_csv(outcome.records), f"{result}\n", f"{markdown}\n"), strict=True):
        write_text(path, text)
    print(result if args.json else f"{markdown}\n\n{cost_text(outcome)}")
    return 0
