"""The verbs ``hydroear-train soak`` and ``hydroear-train confounders``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hydroear.errors import UsageError
from hydroear.model import SHIPPED_BUNDLE

_LOUDEST_DB = 60.0


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs."""
    _add_soak(verbs)
    _add_confounders(verbs)


def _add_soak(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "soak",
        help="count false alarms and found leaks over many simulated nights",
        description="Put units at SIMULATED sites: each learns its site with hydroear calibrate and then hears nights "
        "in health, with taps, showers, pumps, valves, lorries, rain and hum, nights with leaks, and leaks that begin, "
        "with hydroear replay. Nights in health are judged in both modes, nights with a leak nightly, leaks that begin "
        "continuously. Writes OUT/soak.md, soak.json and nights.csv; what was heard is kept in OUT/cache, from "
        "which an interrupted run goes on.",
    )
    parser.add_argument("--nights", type=int, default=900, metavar="N", help="healthy nights in all (%(default)s)")
    parser.add_argument("--sites", type=int, default=30, metavar="N", help="sites (%(default)s)")
    parser.add_argument("--minutes", type=float, default=35.0, metavar="M", help="length of a night (%(default)g)")
    parser.add_argument(
        "--commissioning-minutes",
        type=float,
        default=252.0,
        metavar="M",
        help="what each site is learned from, twelve recordings together (%(default)g)",
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
        "--nightly",
        nargs="*",
        default=["horizon_s=1500"],
        metavar="KEY=VALUE",
        help="decision settings of units that judge nights (horizon_s=1500)",
    )
    parser.add_argument(
        "--continuous",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="decision settings of units that listen without a break (as they come)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same sounds (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    _add_running(parser)
    parser.set_defaults(func=_soak)


def _add_confounders(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "confounders",
        help="mix real noises into held-out recordings of healthy pipes, and count alarms",
        description="Hold out one fold of each group at a time: a unit learns the normal recordings of the group's "
        "other folds, and hears each normal recording of this one, looped, with one noise of every kind in it. Alarms "
        "are counted without persistence (any window at the raise level) and with it. Writes OUT/confounders.md, "
        "confounders.json and mixes.csv; what was heard is kept in OUT/cache, from which an interrupted run goes on.",
    )
    parser.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="columns file and label at least")
    parser.add_argument("--fold-column", required=True, metavar="COLUMN", help="names the fold of a row")
    parser.add_argument("--group-column", required=True, metavar="COLUMN", help="names the group (site) of a row")
    parser.add_argument(
        "--confounders", type=Path, required=True, metavar="CSV", help="the noises: columns file and kind at least"
    )
    bundle = parser.add_mutually_exclusive_group()
    bundle.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, metavar="B", help="(default: the shipped one)")
    bundle.add_argument(
        "--bundles", type=Path, metavar="DIR", help="cache of a crossval: each fold by the bundle that never heard it"
    )
    parser.add_argument(
        "--levels",
        type=float,
        nargs="+",
        default=[20.0, 10.0, 0.0],
        metavar="DB",
        help="RMS of the pipe over the noise, 200 to 7000 Hz (20 10 0)",
    )
    parser.add_argument("--minutes", type=float, default=1.0, metavar="M", help="length of a mix (%(default)g)")
    parser.add_argument(
        "--decision",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the units' decision section; may be repeated "
        "(horizon_s=20 recheck_s=10 raise_decades=3 clear_decades=1.5)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of which noises, and when (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    _add_running(parser)
    parser.set_defaults(func=_confounders)


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="processes at once, each on one core; does not change the result (%(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _soak(args: argparse.Namespace) -> int:
    from hydroear.model import read_bundle
    from hydroear_train.soak.run import Plan, soak
    from hydroear_train.soak.table import cost_text, nights_csv, record_of, to_markdown
    from hydroear_train.textfile import check_writable, write_text

    _at_least(1, args.jobs, "--jobs")
    plan = Plan(
        bundle=args.bundle,
        bundle_sha256=read_bundle(args.bundle).sha256,
        seed=args.seed,
        sites=args.sites,
        nights=args.nights,
        minutes=args.minutes,
        commissioning_minutes=args.commissioning_minutes,
        onset_minutes=args.onset_minutes,
        snrs_db=tuple(sorted(_levels(args.snr, "--snr"))),
        leaks_per_site=args.leaks_per_site,
        nightly=tuple(args.nightly),
        continuous=tuple(args.continuous),
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


def _confounders(args: argparse.Namespace) -> int:
    from hydroear_train.corpus import read_manifest
    from hydroear_train.soak import unit
    from hydroear_train.soak.confounders import (
        PERSISTENCE,
        Mixing,
        bundles_of,
        hear_mixes,
        mixes_csv,
        read_clips,
        record_of,
        to_markdown,
    )
    from hydroear_train.splits import leave_one_fold_out
    from hydroear_train.textfile import check_writable, write_text

    _at_least(1, args.jobs, "--jobs")
    _at_least(0, args.seed, "--seed")
    decision = PERSISTENCE | unit.settings_of(args.decision)
    mixing = Mixing(
        clips=read_clips(args.confounders),
        levels_db=tuple(sorted(_levels(args.levels, "--levels"), reverse=True)),
        seconds=60.0 * args.minutes,
        seed=args.seed,
        decision=decision,
    )
    unit.check_decision(mixing.settings, bundle=args.bundle)
    heard_s = decision["horizon_s"] + decision["recheck_s"]
    if mixing.seconds <= heard_s:
        raise UsageError(f"{args.minutes:g}", where="--minutes", expected=f"more than the {heard_s:g} s until an alarm")
    splits = leave_one_fold_out(
        read_manifest(args.manifest), fold_column=args.fold_column, group_column=args.group_column
    )
    bundles = bundles_of(splits, args.bundles) if args.bundles else [args.bundle] * len(splits)
    files = [args.out / name for name in ("mixes.csv", "confounders.json", "confounders.md")]
    for path in files:
        check_writable(path)
    mixes = hear_mixes(splits, bundles, mixing, args.out, jobs=args.jobs, quiet=args.quiet)
    result, markdown = json.dumps(record_of(mixes, mixing), indent=1), to_markdown(mixes)
    for path, text in zip(files, (mixes_csv(mixes), f"{result}\n", f"{markdown}\n"), strict=True):
        write_text(path, text)
    print(result if args.json else markdown)
    return 0


def _at_least(least: int, count: int, option: str) -> None:
    if count < least:
        raise UsageError(f"{count}", where=option, expected=f"{least} or more")


def _levels(levels_db: list[float], option: str) -> set[float]:
    for level_db in levels_db:
        if not abs(level_db) <= _LOUDEST_DB:
            raise UsageError(f"{level_db:g}", where=option, expected=f"-{_LOUDEST_DB:g} to {_LOUDEST_DB:g} dB")
    return set(levels_db)
