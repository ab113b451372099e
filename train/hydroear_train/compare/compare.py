"""The comparison, from recordings to the files it leaves."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydroear import __version__
from hydroear.errors import UsageError
from hydroear_train.cache import Cache, digest, library_versions, note
from hydroear_train.compare.control import ControlFeature
from hydroear_train.compare.extractor import Extractor
from hydroear_train.compare.plan import Plan, Row
from hydroear_train.compare.report import SIMULATOR_METHOD, Report, to_html
from hydroear_train.compare.run import Result, run
from hydroear_train.compare.simulated import ALL_LEVELS, simulated_splits, simulator_metrics
from hydroear_train.compare.source import Source
from hydroear_train.compare.table import Line, measure_all, to_csv, to_markdown
from hydroear_train.corpus import LEAK, read_manifest
from hydroear_train.evaluate import METRICS, Metric
from hydroear_train.fits import do_each, fits_of
from hydroear_train.splits import Split, leave_one_fold_out, recording_hashes
from hydroear_train.textfile import csv_text, write_text
from hydroear_train.trial import Trials


@dataclass(frozen=True)
class Corpus:
    """What is compared on.

    Attributes
    ----------
    lead
        What it is, in one sentence.
    splits
        Who learns from what and hears what.
    hashes
        SHA-256 of each recording.
    group_column
        Column that names the site of a recording.
    metrics
        Besides those of every comparison.
    rank_by
        The metric by which rows are put in order.
    """

    lead: str
    splits: Sequence[Split]
    hashes: dict[Path, str]
    group_column: str
    metrics: dict[str, Metric]
    rank_by: str


def recorded(manifest: Path, *, fold_column: str, group_column: str) -> Corpus:
    """Recordings, one fold of each group held out at a time.

    Those that share a value in a column ``operating_point`` are drawn together for the intervals.

    Raises
    ------
    UsageError
        If the manifest cannot be read or does not allow it.
    AudioError
        If a recording cannot be read.
    """
    entries = read_manifest(manifest)
    hashes = recording_hashes(entries)
    splits = leave_one_fold_out(entries, fold_column=fold_column, group_column=group_column)
    for group in dict.fromkeys(split.group for split in splits):
        if not any(entry.label == LEAK for split in splits if split.group == group for entry in split.tests):
            raise UsageError("no leak recordings", where=f"{group_column} {group}", fix="leave it out of the manifest")
    lead = f"{len(entries)} recordings; each {fold_column} of each {group_column} held out in turn."
    return Corpus(lead, splits, hashes, group_column, {}, "window_auc")


def simulated(sites: int, out: Path, *, quiet: bool = False) -> Corpus:
    """Simulated sites with leaks of known level and with confounders; recordings are kept in the cache of `out`."""
    splits = simulated_splits(sites, _store(out), quiet=quiet)
    lead = f"{sites} simulated sites, each learned calm, then heard with leaks and with what is no leak."
    hashes = recording_hashes(
        [*splits[0].training, *(entry for split in splits for entry in (*split.tests, *split.leaks))]
    )
    return Corpus(lead, splits, hashes, "site", simulator_metrics(splits), ALL_LEVELS)


def compare(
    corpus: Corpus, plan: Plan, rows: Sequence[Row], out: Path, *, seeds: int, jobs: int = 1, quiet: bool = False
) -> list[Line]:
    """Score and measure rows of a plan, and write ``compare.csv``, ``compare.md``, ``compare.html`` and ``scores/``.

    Parameters
    ----------
    corpus
        What to compare on.
    plan, rows
        What to compare.
    out
        Folder for the files, and for the cache from which an interrupted run goes on.
    seeds
        How many runs of what has a seed.
    jobs
        How many fits of extractors at once, each with one thread; the table does not depend on it.
    quiet
        Whether to show no progress.

    Raises
    ------
    UsageError
        If the folder cannot be written to.
    HydroearError
        If a recording or a recipe cannot be used.
    """
    store, hashes = _store(out), corpus.hashes
    wanted = {row.source for row in rows}
    recipes = {name: recipe for name, recipe in plan.extractors.items() if name in wanted}
    trials = [Trials(name, recipe, hashes, store, group_column=corpus.group_column) for name, recipe in recipes.items()]
    do_each([fit for of in trials for fit in fits_of(of, corpus.splits, seeds)], jobs=jobs, quiet=quiet)
    sources: list[Source] = [
        *(ControlFeature(name, plan.spec, hashes, store) for name in plan.features if name in wanted),
        *map(Extractor, trials),
    ]
    results = run(rows, sources, corpus.splits, seeds=seeds, store=store, quiet=quiet)
    lines = measure_all(results, METRICS | corpus.metrics, rank_by=corpus.rank_by, quiet=quiet)
    report = Report(
        title="hydroear: detectors compared",
        lead=corpus.lead,
        lines=lines,
        results=results,
        splits=corpus.splits,
        specs=dict.fromkeys(plan.features, plan.spec) | {name: recipe.spec for name, recipe in recipes.items()},
        method=SIMULATOR_METHOD if corpus.metrics else (),
        provenance={
            "command": shlex.join(["hydroear-train", *sys.argv[1:]]),
            "recordings sha256": digest(sorted(hashes.values())),
            "seeds": f"0 to {seeds - 1}",
            "front end of the controls sha256": plan.spec.sha256,
            **{f"recipe {name} sha256": digest(recipe.to_dict()) for name, recipe in recipes.items()},
            "versions": ", ".join(f"{k} {v}" for k, v in {"hydroear": __version__, **library_versions()}.items()),
        },
        simulated=bool(corpus.metrics),
    )
    texts = {f"scores/{result.row.name}.csv": _scores(result) for result in results}
    texts |= {"compare.csv": to_csv(lines), "compare.md": to_markdown(lines), "compare.html": to_html(report)}
    for name, text in texts.items():
        write_text(out / name, text)
    return lines


def _store(out: Path) -> Cache:
    return Cache(out / "cache", note)


def _scores(result: Result) -> str:
    lines: list[list[object]] = []
    for seed, scored in result.runs.items():
        columns = scored.file, scored.start_s, scored.score, scored.group, scored.fold
        lines += ([*line, seed] for line in zip(*(column.tolist() for column in columns), strict=True))
    return csv_text(["file", "start_s", "score", "group", "fold", "seed"], lines)
