"""The soak: every site commissioned, every night rendered and replayed, each in a process of its own."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from hydroear.errors import UsageError
from hydroear.score import SiteCalibration
from hydroear_train.cache import Cache, code_sha256, library_versions, note
from hydroear_train.simulate.corpus import wav_bytes
from hydroear_train.simulate.scene import MAX_DURATION_S
from hydroear_train.soak import unit
from hydroear_train.soak.scenario import (
    ONSET_SHARE,
    PARTS,
    Scenario,
    commissioning,
    healthy_night,
    leak_nights,
    onset,
    place,
)
from hydroear_train.works import do_each

RATE_HZ = 16000
_SOUNDING_SHARE = 0.2
# A warning needs most of a horizon to be strange: what sounds for less than a fifth of it is seldom why.

Kind = Literal["healthy", "leak", "onset"]
Mode = Literal["nightly", "continuous"]
"""Whether a unit has a night to make up its mind, or must call a leak while it begins."""

_MODES: dict[Kind, tuple[Mode, ...]] = {
    "healthy": ("nightly", "continuous"),
    "leak": ("nightly",),
    "onset": ("continuous",),
}


@dataclass(frozen=True)
class Plan:
    """What is soaked.

    Attributes
    ----------
    bundle, bundle_sha256
        The bundle to score with.
    seed
        Of all that is drawn.
    sites
        How many.
    nights
        Healthy nights, of all sites together.
    minutes, commissioning_minutes, onset_minutes
        Length of a night, of all that a site is learned from, and of a recording in which a leak begins.
    snrs_db
        Levels of the leaks, over the background within 50 to 2000 Hz.
    leaks_per_site
        Leaks of each level.
    nightly, continuous
        Settings of the unit's decision section in either mode, KEY=VALUE.
    """

    bundle: Path
    bundle_sha256: str
    seed: int
    sites: int
    nights: int
    minutes: float
    commissioning_minutes: float
    onset_minutes: float
    snrs_db: tuple[float, ...]
    leaks_per_site: int
    nightly: tuple[str, ...]
    continuous: tuple[str, ...]

    def decision(self, mode: Mode) -> tuple[str, ...]:
        """Settings of the decision section in a mode."""
        return self.nightly if mode == "nightly" else self.continuous

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        UsageError
            For a number that makes no sense, or a setting that the unit does not accept.
        """
        for option, count, least in (
            ("--sites", self.sites, 1),
            ("--nights", self.nights, 1),
            ("--leaks-per-site", self.leaks_per_site, 0),
            ("--seed", self.seed, 0),
        ):
            if count < least:
                raise UsageError(f"{count}", where=option, expected=f"{least} or more")
        for settings in (self.nightly, self.continuous):
            unit.check_decision(settings, bundle=self.bundle)
        longest = MAX_DURATION_S / 60.0
        horizon, needed = "the decision's horizon", "what a calibration needs"
        nightly, continuous = (unit.horizon_s(settings) / 60.0 for settings in (self.nightly, self.continuous))
        for option, minutes, low, high, why in (
            ("--minutes", self.minutes, max(nightly, continuous), longest, horizon),
            ("--onset-minutes", self.onset_minutes, continuous, longest, horizon),
            ("--commissioning-minutes", self.commissioning_minutes, 1.0, PARTS * longest, needed),
        ):
            if not low < minutes <= high:
                raise UsageError(f"{minutes:g}", where=option, expected=f"more than {low:g} ({why}), at most {high:g}")


@dataclass(frozen=True)
class Record:
    """A recording that a unit heard.

    Attributes
    ----------
    kind
        A night in health, a night with a leak, or a recording in which one begins.
    mode
        How the unit decided.
    site, material
        Where.
    number
        Of the healthy night at its site, or of the leak.
    night
        Of a leak: 1 to 3; else 1.
    snr_db
        Of the leak; None in health.
    minutes
        Length.
    leak_s
        When the leak begins, 0 if it was there before; None in health.
    opened_s
        When events opened.
    sounding
        For each event, what sounded for a fifth of the horizon before it or more, joined by ``+``.
    median_decades, highest_decades
        Of the site scores.
    """

    kind: Kind
    mode: Mode
    site: str
    material: str
    number: int
    night: int
    snr_db: float | None
    minutes: float
    leak_s: float | None
    opened_s: tuple[float, ...]
    sounding: tuple[str, ...]
    median_decades: float
    highest_decades: float


@dataclass(frozen=True)
class Cost:
    """What a soak took.

    Attributes
    ----------
    rendered_s, replayed_s
        Length of what was rendered after commissioning, and of what was replayed: in each mode.
    render_s, replay_s
        Processor time of simulator and unit.
    """

    rendered_s: float
    render_s: float
    replayed_s: float
    replay_s: float


@dataclass(frozen=True)
class Outcome:
    """What a soak gave.

    Attributes
    ----------
    records
        All that was heard.
    objections
        What units objected to at their commissioning, by site; only sites with an objection.
    cost
        What it took.
    """

    records: list[Record]
    objections: dict[str, tuple[str, ...]]
    cost: Cost


@dataclass(frozen=True)
class Task:
    """A piece of the soak: a healthy night, the nights of a leak, or a leak that begins.

    Attributes
    ----------
    kind
        Which of them.
    site
        Number of the site, from 0.
    number
        Of the night at its site, or of the leak.
    snr_db
        Of the leak.
    """

    kind: Kind
    site: int
    number: int
    snr_db: float | None = None

    def __str__(self) -> str:
        level = "" if self.snr_db is None else f" {self.snr_db:+g} dB"
        return f"site {self.site + 1}, {self.kind}{level} {self.number + 1}"


def tasks_of(plan: Plan) -> list[Task]:
    """The pieces, nights in health first; more nights or sites leave those that are there as they are."""
    tasks = [Task("healthy", night % plan.sites, night // plan.sites) for night in range(plan.nights)]
    for site in range(plan.sites):
        for snr_db in plan.snrs_db:
            tasks += [Task("leak", site, leak, snr_db) for leak in range(plan.leaks_per_site)]
            if plan.leaks_per_site:
                tasks.append(Task("onset", site, 0, snr_db))
    return tasks


class Bench:
    """Where sites are commissioned and nights are heard; both are kept.

    Parameters
    ----------
    plan
        What is soaked.
    cache
        Folder of what is kept.
    scratch
        Folder for recordings while they are heard.
    """

    def __init__(self, plan: Plan, cache: Path, scratch: Path) -> None:
        self._plan, self._cache, self._scratch = plan, Cache(cache, note), scratch

    def is_learned(self, number: int) -> bool:
        """Whether :meth:`site_path` only has to look it up."""
        return self._cache.find("sites", ".json", self._site_key(number)) is not None

    def site_path(self, number: int) -> Path:
        """The calibration of a site, learned without a leak."""
        return self._cache.path("sites", ".json", self._site_key(number), lambda: self._learn(number))

    def is_heard(self, task: Task) -> bool:
        """Whether :meth:`heard` only has to look it up."""
        return self._cache.find("heard", ".json", self._task_key(task)) is not None

    def heard(self, task: Task) -> dict[str, Any]:
        """Fields of the task's :class:`Record` objects, and its :class:`Cost`."""
        path = self._cache.path("heard", ".json", self._task_key(task), lambda: self._hear(task))
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def _site_key(self, number: int) -> object:
        plan = self._plan
        code = [code_sha256(__name__), code_sha256("hydroear.cli"), library_versions()]
        return [plan.bundle_sha256, plan.seed, number, plan.commissioning_minutes, code]

    def _task_key(self, task: Task) -> object:
        plan = self._plan
        minutes = plan.onset_minutes if task.kind == "onset" else plan.minutes
        settings = {mode: sorted(plan.decision(mode)) for mode in _MODES[task.kind]}
        return [self._site_key(task.site), asdict(task), minutes, settings]

    def _learn(self, number: int) -> bytes:
        plan = self._plan
        with TemporaryDirectory(dir=self._scratch) as folder:
            recordings = [
                self._write(scenario, Path(folder) / f"{part}.wav")
                for part, scenario in enumerate(commissioning(plan.seed, number, 60.0 * plan.commissioning_minutes))
            ]
            out = Path(folder) / "site.json"
            unit.calibrate(recordings, bundle=plan.bundle, out=out)
            return out.read_bytes()

    def _hear(self, task: Task) -> bytes:
        records: list[Record] = []
        cost = Cost(0.0, 0.0, 0.0, 0.0)
        for night, scenario in enumerate(self._scenarios(task), start=1):
            heard, took = self._play(task, night, scenario)
            records += heard
            cost = add(cost, took)
            if any(record.opened_s for record in heard):
                break  # Later nights tell no more: a leak that has been called stays called.
        return json.dumps({"records": [asdict(record) for record in records], "cost": asdict(cost)}).encode()

    def _scenarios(self, task: Task) -> list[Scenario]:
        plan, night_s = self._plan, 60.0 * self._plan.minutes
        if task.snr_db is None:
            return [healthy_night(plan.seed, task.site, task.number, night_s)]
        if task.kind == "onset":
            return [onset(plan.seed, task.site, task.snr_db, 60.0 * plan.onset_minutes)]
        return leak_nights(plan.seed, task.site, task.number, task.snr_db, night_s)

    def _play(self, task: Task, night: int, scenario: Scenario) -> tuple[list[Record], Cost]:
        plan, modes = self._plan, _MODES[task.kind]
        site = self.site_path(task.site)
        with TemporaryDirectory(dir=self._scratch) as folder:
            begin_s = time.process_time()
            recording = self._write(scenario, Path(folder) / "night.wav")
            render_s, before_s = time.process_time() - begin_s, _children_s()
            heard = {
                mode: unit.replay([recording], bundle=plan.bundle, site=site, decision=plan.decision(mode))[0]
                for mode in modes
            }
            cost = Cost(scenario.duration_s, render_s, len(modes) * scenario.duration_s, _children_s() - before_s)
        return [self._record(task, night, scenario, mode, heard[mode]) for mode in modes], cost

    def _record(self, task: Task, night: int, scenario: Scenario, mode: Mode, heard: unit.Heard) -> Record:
        before_event_s = unit.horizon_s(self._plan.decision(mode))
        return Record(
            kind=task.kind,
            mode=mode,
            site=scenario.site.name,
            material=scenario.site.pipe.material,
            number=task.number + 1,
            night=night,
            snr_db=task.snr_db,
            minutes=scenario.duration_s / 60.0,
            leak_s={"healthy": None, "leak": 0.0, "onset": ONSET_SHARE * scenario.duration_s}[task.kind],
            opened_s=heard.opened_s,
            sounding=tuple(
                "+".join(scenario.sounding(at_s - before_event_s, at_s, share=_SOUNDING_SHARE)) or "nothing"
                for at_s in heard.opened_s
            ),
            median_decades=heard.median_decades,
            highest_decades=heard.highest_decades,
        )

    def _write(self, scenario: Scenario, path: Path) -> Path:
        scene = scenario.render(RATE_HZ)
        path.write_bytes(wav_bytes(scene.samples, RATE_HZ, f"simulated, site {scenario.site.name}"))
        return path


@dataclass(frozen=True)
class Learning:
    """A commissioning that is to be done."""

    bench: Bench
    site: int

    @property
    def name(self) -> str:
        """What people call it."""
        return f"site {self.site + 1}"

    @property
    def is_done(self) -> bool:
        """Whether the calibration is kept."""
        return self.bench.is_learned(self.site)

    def do(self) -> None:
        """Commission the site."""
        self.bench.site_path(self.site)


@dataclass(frozen=True)
class Hearing:
    """A task that is to be done."""

    bench: Bench
    task: Task

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.task)

    @property
    def is_done(self) -> bool:
        """Whether what was heard is kept."""
        return self.bench.is_heard(self.task)

    def do(self) -> None:
        """Hear it."""
        self.bench.heard(self.task)


def soak(plan: Plan, out: Path, *, jobs: int, quiet: bool) -> Outcome:
    """Soak, from where an interrupted run ended.

    Parameters
    ----------
    plan
        What to do, checked before.
    out
        Folder; what is kept lies in its ``cache``.
    jobs
        How many processes at once, each with one thread; what is heard does not depend on it.
    quiet
        Whether to show no progress.

    Raises
    ------
    HydroearError
        If a unit fails, or the code changes meanwhile.
    """
    with TemporaryDirectory(prefix="hydroear-soak-") as scratch:
        bench = Bench(plan, out / "cache", Path(scratch))
        sites, tasks = range(plan.sites), tasks_of(plan)
        do_each(
            [Learning(bench, number) for number in sites], title="commissioning", unit="site", jobs=jobs, quiet=quiet
        )
        do_each([Hearing(bench, task) for task in tasks], title="listening", unit="piece", jobs=jobs, quiet=quiet)
        heard = [bench.heard(task) for task in tasks]
        accepted = {
            place(plan.seed, number).site.name: SiteCalibration.load(bench.site_path(number)).accepted
            for number in sites
        }
    cost = Cost(0.0, 0.0, 0.0, 0.0)
    for found in heard:
        cost = add(cost, Cost(**found["cost"]))
    return Outcome(
        records=[_record(fields) for found in heard for fields in found["records"]],
        objections={name: objections for name, objections in accepted.items() if objections},
        cost=cost,
    )


def add(one: Cost, other: Cost) -> Cost:
    """The costs of both."""
    return Cost(*(mine + yours for mine, yours in zip(astuple(one), astuple(other), strict=True)))


def _record(fields: dict[str, Any]) -> Record:
    return Record(**fields | {name: tuple(fields[name]) for name in ("opened_s", "sounding")})


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
