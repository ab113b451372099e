"""Simulated sites to compare on: leaks at known levels, and what else a street does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
from tqdm import tqdm

from hydroear_train.cache import Cache, code_sha256, library_versions
from hydroear_train.corpus import LEAK, NORMAL, Entry
from hydroear_train.evaluate import Metric, Real, Resamples, Scored, by_fold_auc
from hydroear_train.simulate import Site, Span, random_site, render
from hydroear_train.simulate.corpus import wav_bytes
from hydroear_train.simulate.scene import Kind
from hydroear_train.splits import Split

GROUP = "simulator"
SNRS_DB = (-15.0, -10.0, -5.0, 0.0, 5.0)
"""Of the leaks: RMS over that of the site's background, within 50 to 2000 Hz."""
CONFOUNDERS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != LEAK)
CONFOUNDER_SNR_DB = 0.0
"""Of everything that is no leak: as loud as the leaks it is told from."""
TARGET_AUC = 0.9
SNR_AT_TARGET = "snr_at_auc_90_db"
ALL_LEVELS = "auc_all_levels"

_STREAM = 4
"""Sites of their own: none that an extractor has been trained on."""
_SECONDS = 20.0
_RATE_HZ = 16000
_LEARNED_TAKES, _CALM_TAKES, _LEAK_TAKES = 4, 3, 2
_TAUGHT_TAKES = 4
"""Leaks at each level that only the bound which is taught leaks learns from."""
_CALM = "calm"


@dataclass(frozen=True)
class _Scenario:
    """One recording to be: leaks of one number differ in level alone, so that the curve over it is smooth."""

    site: Site
    part: str
    condition: str
    number: int
    spans: tuple[Span, ...]
    seed: int

    @property
    def name(self) -> str:
        return f"{self.site.name}_{self.part}_{self.condition}_{self.number}"


def snr_condition(snr_db: float) -> str:
    """What a leak of a level is called."""
    return f"{snr_db:g}_dB"


def simulated_splits(sites: int, cache: Cache, *, seed: int = 0, quiet: bool = False) -> list[Split]:
    """Sites, each learned from calm recordings of it and heard with leaks and confounders.

    The extractor is trained on the calm recordings of all sites; each back-end is fitted on those of its own. Every
    sound lasts as long as its recording.
    """
    scenarios = [
        scenario
        for number, stream in enumerate(np.random.SeedSequence([seed, _STREAM]).spawn(sites), start=1)
        for scenario in _scenarios(number, np.random.default_rng(stream))
    ]
    code = code_sha256("hydroear_train.simulate")
    entries: dict[str, list[Entry]] = {"learn": [], "test": [], "taught": []}
    for scenario in tqdm(scenarios, desc="simulating", unit="recording", disable=quiet):
        key = [scenario.name, repr(scenario), _SECONDS, _RATE_HZ, code, library_versions()]
        path = cache.path("simulated", ".wav", key, partial(_render, scenario))
        leaking = any(span.kind == LEAK for span in scenario.spans)
        columns = {
            "file": f"{scenario.name}.wav",
            "label": LEAK if leaking else NORMAL,
            "site": scenario.site.name,
            "condition": scenario.condition,
            "simulated": "yes",
            "operating_point": scenario.site.name,
        }
        entries[scenario.part].append(Entry(path, columns))
    names = sorted({entry.columns["site"] for entry in entries["test"]})
    of_site = {
        name: {part: tuple(e for e in members if e.columns["site"] == name) for part, members in entries.items()}
        for name in names
    }
    training = tuple(entries["learn"])
    return [Split(GROUP, name, training, own["learn"], own["test"], own["taught"]) for name, own in of_site.items()]


def _scenarios(number: int, rng: np.random.Generator) -> Iterator[_Scenario]:
    site = random_site(rng, name=f"simulated-site{number:02d}")

    def scenario(part: str, condition: str, take: int, seed: int, *kinds: tuple[Kind, float]) -> _Scenario:
        spans = tuple(Span(kind, -1.0, _SECONDS + 1.0, snr_db) for kind, snr_db in kinds)
        return _Scenario(site, part, condition, take, spans, seed)

    def draw() -> int:
        return int(rng.integers(2**31))

    for part, takes in (("learn", _LEARNED_TAKES), ("test", _CALM_TAKES)):
        for take in range(takes):
            yield scenario(part, _CALM, take, draw())

    def leaks(part: str, takes: int) -> Iterator[_Scenario]:
        for take in range(takes):
            seed = draw()
            for snr_db in SNRS_DB:
                yield scenario(part, snr_condition(snr_db), take, seed, ("leak", snr_db))

    yield from leaks("test", _LEAK_TAKES)
    for kind in CONFOUNDERS:
        yield scenario("test", kind, 0, draw(), (kind, CONFOUNDER_SNR_DB))
    yield from leaks("taught", _TAUGHT_TAKES)


def _render(scenario: _Scenario) -> bytes:
    scene = render(scenario.site, scenario.spans, _SECONDS, _RATE_HZ, seed=scenario.seed)
    return wav_bytes(scene.samples, scene.rate_hz, f"simulated by hydroear-train compare: {scenario.name}")


def simulator_metrics(splits: Sequence[Split]) -> dict[str, Metric]:
    """Metrics of simulated sites.

    By level, and for all levels: leaks against calm. By confounder: leaks as loud as it against it. They are means over
    sites of the window AUC, each site having a threshold of its own. And the level, in dB, from which on the AUC stays
    at or above :data:`TARGET_AUC`, interpolated linearly: the lowest simulated one where even the faintest leaks reach
    it, NaN where the loudest do not.
    """
    files: dict[str, list[str]] = {}
    for entry in (entry for split in splits for entry in split.tests):
        files.setdefault(entry.columns["condition"], []).append(entry.columns["file"])

    def between(leaks: Sequence[str], normal: str) -> Metric:
        names = np.array([file for condition in (*leaks, normal) for file in files[condition]])

        def metric(scored: Scored, draws: Resamples) -> Real:
            return by_fold_auc(scored.where(np.isin(scored.file, names)), draws)

        return metric

    levels = [snr_condition(snr_db) for snr_db in SNRS_DB]
    by_level = {f"auc_{level}": between([level], _CALM) for level in levels}
    against = {f"auc_{kind}": between([snr_condition(CONFOUNDER_SNR_DB)], kind) for kind in CONFOUNDERS}

    def crossing(scored: Scored, draws: Resamples) -> Real:
        aucs = np.stack([metric(scored, draws) for metric in by_level.values()], axis=1)
        return np.array([_crossing_db(row) for row in aucs])

    return {SNR_AT_TARGET: crossing, ALL_LEVELS: between(levels, _CALM)} | by_level | against


def _crossing_db(aucs: Real) -> float:
    below = np.flatnonzero(~(aucs >= TARGET_AUC))
    if not len(below):
        return SNRS_DB[0]
    left = below[-1]
    if left == len(SNRS_DB) - 1:
        return float("nan")
    return float(np.interp(TARGET_AUC, aucs[left : left + 2], SNRS_DB[left : left + 2]))
