"""The verb ``hydroear-train crossval``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = verbs.add_parser(
        "crossval",
        help="score every fold by detectors that never heard it, as a unit would",
        description="Hold out one fold of each group at a time: train a bundle on the normal recordings of the group's "
        "other folds, calibrate the site on them as a unit does, and score the fold's windows with the int8 models. "
        "Writes SCORES.csv (file,start_s,score,fold,seed; the score is in deviations from the site's own), "
        "SCORES.mean.csv (averaged over seeds) and SCORES.parts.csv (what the score is fused from). Bundles and what "
        "they hear are kept in SCORES.cache, from which an interrupted run goes on.",
    )
    parser.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="columns file and label at least")
    parser.add_argument("--fold-column", required=True, metavar="COLUMN", help="names the fold of a row")
    parser.add_argument("--group-column", required=True, metavar="COLUMN", help="names the group (site) of a row")
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="runs, seeds 0 to N-1 (default %(default)s)")
    parser.add_argument("--recipe", type=Path, metavar="YAML", help="what differs from the default recipe")
    parser.add_argument(
        "--transfer",
        action="store_true",
        help="train on the other groups and on simulated pipes; a group's own normal recordings only calibrate the "
        "site",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="SCORES.csv", help="the scores")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="fits at once, each on one core: neither their number nor that of the cores changes the scores "
        "(default %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    from hydroear.errors import UsageError
    from hydroear_train.corpus import read_manifest
    from hydroear_train.crossval.crossval import crossval
    from hydroear_train.crossval.table import fit_record, measure_groups, record, to_markdown
    from hydroear_train.recipe import load_recipe

    for option, value in (("--seeds", args.seeds), ("--jobs", args.jobs)):
        if value < 1:
            raise UsageError(f"{value}", where=option, expected="1 or more")
    recipe, entries = load_recipe(args.recipe), read_manifest(args.manifest)
    outcome = crossval(
        entries,
        recipe,
        args.out,
        fold_column=args.fold_column,
        group_column=args.group_column,
        seeds=args.seeds,
        transfer=args.transfer,
        jobs=args.jobs,
        quiet=args.quiet,
    )
    lines = measure_groups(outcome.runs, outcome.decades)
    if args.json:
        print(json.dumps({"groups": [record(line) for line in lines], "fits": fit_record(outcome.fit_s)}))
        return 0
    print(to_markdown(lines))
    for line in lines:
        if line.leaks in (0, line.recordings):
            print(f"{args.group_column} {line.group}: only one class, so every AUC is undefined")
    print(f"\n{len(outcome.fit_s)} fits, {outcome.fit_s.mean():.1f} s each, at most {outcome.fit_s.max():.1f} s")
    return 0
