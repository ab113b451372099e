"""The verb ``hydroear-train scan``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydroear_train.scan.report import Report

_CASES = 5
_COLOURS = {"error": "31;1", "warning": "33", "note": "2"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "scan",
        help="make a manifest of a folder of recordings, and audit them",
        description="Find the recordings in a folder, read labels and conditions off their names, write manifest.csv "
        "and audit what was recorded. A folder that has a manifest.csv keeps it as it is.",
        epilog="exit code: 0 when every recording can be used, whatever the warnings; 1 when one cannot (it stays out "
        "of a manifest that is written) or a row contradicts another; 2 when there is nothing to scan, no layout fits "
        "or the manifest cannot be written",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the recordings, at any depth")
    parser.add_argument("--out", type=Path, metavar="CSV", help="the manifest to write (default: DIR/manifest.csv)")
    parser.add_argument(
        "--layout",
        choices=("manifest", "leak-logger", "dcase", "mimii", "class-folders"),
        help="what the recordings are named by (default: recognise it)",
    )
    parser.add_argument(
        "--group-column",
        metavar="COLUMN",
        help="also judge confounding within each of its values (default: session, where there is one)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON, with every case")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(func=_run)


def _run(args: argparse.Namespace) -> int:
    from hydroear_train.scan.report import scan

    report = scan(args.folder, out=args.out, layout=args.layout, group_column=args.group_column, quiet=args.quiet)
    if args.json:
        print(json.dumps(report.to_dict(), allow_nan=False))
    else:
        print("\n".join(_table(report, colour=sys.stdout.isatty())))
    return 0 if report.ok else 1


def _table(report: Report, *, colour: bool) -> Iterator[str]:
    labels = ", ".join(f"{count} {label or 'without label'}" for label, count in sorted(report.labels.items()))
    yield f"layout    {report.layout}"
    yield f"usable    {sum(report.labels.values())} recordings ({labels or 'none'}), {report.duration_s / 60.0:.1f} min"
    how = "written" if report.written else "kept as it is"
    yield f"manifest  {'none written' if report.manifest is None else f'{report.manifest}, {how}'}"
    if report.findings:
        yield ""
    for finding in report.findings:
        severity = f"{finding.severity:<8}"
        if colour:
            severity = f"\x1b[{_COLOURS[finding.severity]}m{severity}\x1b[0m"
        count = f" ({len(finding.cases)})" if finding.cases else ""
        yield f"{severity}  {finding.check}: {finding.message}{count}"
        for case in finding.cases[:_CASES]:
            yield f"{'':10}{': '.join(filter(None, [' = '.join(case.files), case.detail]))}"
        if len(finding.cases) > _CASES:
            yield f"{'':10}… and {len(finding.cases) - _CASES} more: --json lists them all"
    # Of single groups, which may be many, only what tells.
    shown = [one for one in report.telltales if one.tells or (one.auc >= 0.5 and "=" not in one.scope)]
    if shown:
        scope_width = max(len(one.scope) for one in shown)
        factor_width = max(len(one.factor) for one in shown)
        yield ""
        yield "How well the label is told without listening for leaks; 95 % of shuffled labels stay at or below chance."
        yield f"  {'among':<{scope_width}}  {'by':<{factor_width}}   AUC  chance       p"
        for one in shown:
            mark = "  tells" if one.tells else ""
            yield (
                f"  {one.scope:<{scope_width}}  {one.factor:<{factor_width}}  {one.auc:.2f}    {one.chance_auc:.2f}"
                f"  {one.p:.4f}{mark}"
            )
