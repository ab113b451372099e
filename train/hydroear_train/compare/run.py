"""The run: every row on every split, with every seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from tqdm import tqdm

from hydroear_train.cache import Arrays, Cache, code_sha256, library_versions
from hydroear_train.compare.plan import Row
from hydroear_train.compare.source import Cost, Source
from hydroear_train.detectors import SUPERVISED
from hydroear_train.evaluate import Scored
from hydroear_train.splits import Split

DETERMINISTIC = frozenset({"mahalanobis", "knn", "knn-local", "ocsvm", "lof", "pca", SUPERVISED})
"""Back-ends that take no chances: on vectors that take none either, one seed says it all."""

_HEARING_UNITS = 3
"""How long the vectors of a split take, in fits of a detector."""


@dataclass(frozen=True)
class Result:
    """A row, scored.

    Attributes
    ----------
    row
        Which.
    runs
        Scores of all windows of all held-out recordings, by seed.
    cost
        On a unit: median over splits and seeds; None for what no unit runs.
    """

    row: Row
    runs: dict[int, Scored]
    cost: Cost | None


@dataclass(frozen=True)
class _Task:
    """A source to hear a split with, and the rows that want its vectors."""

    source: Source
    split: Split
    seed: int
    rows: tuple[Row, ...]

    @property
    def units(self) -> int:
        return _HEARING_UNITS + len(self.rows)


def run(
    rows: Sequence[Row],
    sources: Sequence[Source],
    splits: Sequence[Split],
    *,
    seeds: int,
    store: Cache,
    quiet: bool = False,
) -> list[Result]:
    """Score every row; what is in the store is not computed again."""
    tasks = [
        _Task(source, split, seed, wanted)
        for source in sources
        for seed in range(seeds)
        for split in splits
        if (wanted := tuple(r for r in rows if r.source == source.name and (seed == 0 or _takes_chances(r, source))))
    ]
    runs: dict[Row, dict[int, list[Scored]]] = {row: {} for row in rows}
    costs: dict[str, list[Cost]] = {}
    with tqdm(total=sum(task.units for task in tasks), desc="comparing", unit="unit", disable=quiet) as bar:
        for task in tasks:
            bar.set_postfix_str(f"{task.source.name}, {task.split.group} {task.split.fold}, seed {task.seed}")
            if cost := task.source.cost(task.split, task.seed):
                costs.setdefault(task.source.name, []).append(cost)
            bar.update(_HEARING_UNITS)
            for row, scored in _scored(task, store):
                runs[row].setdefault(task.seed, []).append(scored)
                bar.update()
    return [
        Result(
            row, {seed: Scored.concatenate(parts) for seed, parts in runs[row].items()}, _median(costs.get(row.source))
        )
        for row in rows
    ]


def _takes_chances(row: Row, source: Source) -> bool:
    return source.seeded or row.backend not in DETERMINISTIC


def _scored(task: _Task, store: Cache) -> Iterator[tuple[Row, Scored]]:
    split, seed = task.split, task.seed
    heard = cache(lambda: task.source.vectors(split, seed))
    code = code_sha256("hydroear_train.compare.vectors")

    def score(backend: str) -> Arrays:
        vectors = heard()
        return {
            "recording": vectors.test_recording,
            "start_s": vectors.start_s,
            "score": vectors.scores(backend, seed=seed),
        }

    for row in task.rows:
        key = [task.source.key(split, seed), row.backend, seed, code, library_versions()]
        yield row, split.scored(**store.arrays("scores", key, partial(score, row.backend)))


def _median(costs: list[Cost] | None) -> Cost | None:
    if not costs:
        return None
    return Cost(
        int8_bytes=round(float(np.median([cost.int8_bytes for cost in costs]))),
        latency_ms=float(np.median([cost.latency_ms for cost in costs])),
    )
