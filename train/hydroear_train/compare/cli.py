"""The verb ``hydroear-train compare``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = verbs.add_parser(
        "compare",
        help="compare features, extractors and back-ends on the same splits, in one table",
        description="Compare control features and extractors with every back-end: one fold of each group is held out "
        "at a time, detectors learn from the normal recordings of the others. Writes compare.csv, compare.md, "
        "compare.html and scores/ROW.csv. An interrupted run goes on where it was.",
    )
    corpus = parser.add_mutually_exclusive_group(required=True)
    corpus.add_argument("--manifest", type=Path, metavar="CSV", help="columns file and label at least")
    corpus.add_argument("--simulator", action="store_true", help="compare on simulated leaks of known level instead")
    parser.add_argument("--fold-column", metavar="COLUMN", help="names the fold of a row (with --manifest)")
    parser.add_argument("--group-column", metavar="COLUMN", help="names the group of a row (with --manifest)")
    parser.add_argument("--sites", type=int, default=8, metavar="N", help="simulated sites (default %(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=4, metavar="N", help="runs of what takes chances (default %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="fits of extractors at once (default %(default)s)"
    )
    parser.add_argument("--plan", type=Path, metavar="YAML", help="what differs from the default plan")
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="NAME", help="only these rows, such as 'log-mel+*' or '*+knn'"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made if missing")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    from hydroear.errors import UsageError
    from hydroear_train.compare.compare import compare, recorded, simulated
    from hydroear_train.compare.plan import load_plan
    from hydroear_train.compare.table import record, to_markdown

    for option, value in (("--seeds", args.seeds), ("--sites", args.sites), ("--jobs", args.jobs)):
        if value < 1:
            raise UsageError(f"{value}", where=option, expected="1 or more")
    if args.manifest and not (args.fold_column and args.group_column):
        raise UsageError("needs --fold-column and --group-column", where="--manifest")
    plan = load_plan(args.plan)
    rows = plan.rows(args.rows)
    if args.simulator:
        corpus = simulated(args.sites, args.out, quiet=args.quiet)
    else:
        corpus = recorded(args.manifest, fold_column=args.fold_column, group_column=args.group_column)
    lines = compare(corpus, plan, rows, args.out, seeds=args.seeds, jobs=args.jobs, quiet=args.quiet)
    print(json.dumps([record(line) for line in lines]) if args.json else to_markdown(lines))
    return 0
