"""One run: a broker, a control room, processes full of units, and what is measured of them."""

from __future__ import annotations

import resource
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from hydroear.errors import UsageError
from hydroear_train.fleet.crew import Crew, Log
from hydroear_train.fleet.mosquitto import Mosquitto
from hydroear_train.fleet.room import Room
from hydroear_train.markdown import table
from hydroear_train.processes import run_each

ALARMING = 0.01
"""Share of the units that raise alarms, one at least."""
MAX_P99_S = 2.0
MAX_BACK_S = 60.0
DOWN_S = 10.0
"""How long a broker that was killed stays away, but no longer than a tenth of the run."""
CONNECTS_PER_S = 200
"""How fast units connect at first."""
PREPARE_S = 2.0
LAST_S = 5.0
"""How long to wait at the end for what the broker still has for the control room."""
SPARE_FILES = 100


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes
    ----------
    units
        How many.
    minutes
        For how long, once all are there.
    kill_broker
        Whether to kill the broker in the middle.
    jobs
        How many processes the units are spread over.
    """

    units: int
    minutes: float
    kill_broker: bool
    jobs: int

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises
        ------
        UsageError
            Why.
        """
        for option, value in (("--units", self.units), ("--jobs", self.jobs)):
            if value < 1:
                raise UsageError(f"{value}", where=option, expected="1 or more")
        if not 0.0 < self.minutes < float("inf"):
            raise UsageError(f"{self.minutes:g}", where="--minutes", expected="more than 0")
        most, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[1], self.units + SPARE_FILES
        if most != resource.RLIM_INFINITY and most < needed:
            raise UsageError(
                f"{self.units} connections, but a process may open {most} files",
                where="--units",
                fix=f"ulimit -Hn {needed}, or fewer units",
            )


@dataclass(frozen=True)
class Return:
    """How the units came back after the broker had died.

    Attributes
    ----------
    down_s
        How long there was none.
    back
        Units that came back.
    all_back_s
        From the moment that it listened again until the last was back; None if one was not.
    peak_connects_per_s
        The most that it accepted within a second.
    """

    down_s: float
    back: int
    all_back_s: float | None
    peak_connects_per_s: int


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes
    ----------
    units, seconds
        How many units, and for how long, from when the first was to connect until all was heard.
    messages_per_s
        Messages that the control room got, those at the beginning of each connection included.
    alarms
        Openings of events that were sent at once and arrived.
    alarm_p50_s, alarm_p99_s, alarm_max_s
        How long after they were said; None without any.
    held_back, held_back_max_s
        Those that waited in a unit for a connection, and the longest delay of one.
    lost, duplicated
        Messages about events that never arrived, and that arrived again.
    broker_cpu, broker_rss_bytes
        Share of one core that the broker took, and the most memory it had.
    after_kill
        How the units came back; None if the broker was not killed.
    """

    units: int
    seconds: float
    messages_per_s: float
    alarms: int
    alarm_p50_s: float | None
    alarm_p99_s: float | None
    alarm_max_s: float | None
    held_back: int
    held_back_max_s: float | None
    lost: int
    duplicated: int
    broker_cpu: float
    broker_rss_bytes: int
    after_kill: Return | None

    @property
    def targets(self) -> dict[str, bool]:
        """Whether each target is met."""
        met = {
            "alarm_p99": self.alarm_p99_s is not None and self.alarm_p99_s < MAX_P99_S,
            "lost": self.lost == 0,
        }
        if self.after_kill is not None:
            back_s = self.after_kill.all_back_s
            met["all_back"] = back_s is not None and back_s <= MAX_BACK_S
        return met

    @property
    def ok(self) -> bool:
        """Whether all targets are met."""
        return all(self.targets.values())

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"targets": self.targets, "ok": self.ok}

    def to_markdown(self) -> str:
        """As a table for people."""
        rows = [
            ("units", f"{self.units}", ""),
            ("run, s", f"{self.seconds:.0f}", ""),
            ("messages a second", f"{self.messages_per_s:.1f}", ""),
            ("alarms", f"{self.alarms}", ""),
            ("alarm delay, median, ms", _ms(self.alarm_p50_s), ""),
            ("alarm delay, 99 %, ms", _ms(self.alarm_p99_s), f"< {1e3 * MAX_P99_S:.0f}{self._verdict('alarm_p99')}"),
            ("alarm delay, longest, ms", _ms(self.alarm_max_s), ""),
            ("alarms held back without a connection", f"{self.held_back}", ""),
            ("delay of those, longest, ms", _ms(self.held_back_max_s), ""),
            ("lost", f"{self.lost}", f"0{self._verdict('lost')}"),
            ("duplicated", f"{self.duplicated}", ""),
            ("broker, share of a core, %", f"{100.0 * self.broker_cpu:.1f}", ""),
            ("broker, memory, MB", f"{1e-6 * self.broker_rss_bytes:.1f}", ""),
        ]
        if (after := self.after_kill) is not None:
            back = "never" if after.all_back_s is None else f"{after.all_back_s:.1f}"
            rows += [
                ("broker away, s", f"{after.down_s:.1f}", ""),
                ("units back", f"{after.back}", ""),
                ("all back after, s", back, f"<= {MAX_BACK_S:.0f}{self._verdict('all_back')}"),
                ("connects in a second, peak", f"{after.peak_connects_per_s}", ""),
            ]
        return "\n".join(table(("", "measured", "target"), rows))

    def _verdict(self, target: str) -> str:
        return "" if self.targets[target] else " MISSED"


def run_fleet(plan: Plan, *, quiet: bool) -> Outcome:
    """Run it.

    Raises
    ------
    HydroearError
        The broker is not installed, or ends by itself.
    """
    _allow_files(plan.units)
    with TemporaryDirectory(prefix="hydroear-fleet-") as name, Mosquitto(Path(name)) as broker:
        return _Run(plan, broker, Path(name), quiet=quiet).outcome()


class _Run:
    def __init__(self, plan: Plan, broker: Mosquitto, folder: Path, *, quiet: bool) -> None:
        self._plan, self._broker, self._quiet = plan, broker, quiet
        self._start_s = time.monotonic() + PREPARE_S
        ramp_s = plan.units / CONNECTS_PER_S
        begin_s = self._start_s + ramp_s
        self._end_s = begin_s + 60.0 * plan.minutes
        self._kill_s = begin_s + 30.0 * plan.minutes
        self._down_s = min(DOWN_S, 6.0 * plan.minutes)
        self._killed_s: float | None = None
        self._back_s: float | None = None
        names = [f"unit-{number:05d}" for number in range(plan.units)]
        alarming = frozenset(names[: max(1, round(ALARMING * plan.units))])
        self._crews = {
            f"crew {job}": Crew(
                names=tuple(names[job :: plan.jobs]),
                alarming=alarming,
                address=broker.address,
                start_s=self._start_s,
                ramp_s=ramp_s,
                end_s=self._end_s,
                log=folder / f"crew{job}.json",
            )
            for job in range(min(plan.jobs, plan.units))
        }

    def outcome(self) -> Outcome:
        seconds = round(self._end_s - self._start_s)
        with (
            Room(self._broker.address) as room,
            tqdm(total=seconds, desc="fleet", unit="s", disable=self._quiet) as self._bar,
        ):
            self._broker.save()  # the session of the control room, which is to outlive the broker
            for _ in run_each(self._crews, jobs=len(self._crews), tick=self._tick):
                pass
            log = Log.read([crew.log for crew in self._crews.values()])
            room.wait_for(log.said, LAST_S)
            self._broker.sample()
        return self._measured(room, log)

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._bar.update(min(self._bar.total, max(0, round(now_s - self._start_s))) - self._bar.n)
        if self._plan.kill_broker and self._killed_s is None and now_s >= self._kill_s:
            self._broker.kill()
            self._killed_s = time.monotonic()
        if self._killed_s is not None and self._back_s is None and now_s >= self._killed_s + self._down_s:
            self._broker.start()
            self._back_s = time.monotonic()
        self._broker.sample()

    def _measured(self, room: Room, log: Log) -> Outcome:
        seconds = time.monotonic() - self._start_s
        delays_s = np.asarray(room.delays_s)
        p50_s, p99_s = np.quantile(delays_s, (0.5, 0.99)).tolist() if delays_s.size else (None, None)
        return Outcome(
            units=self._plan.units,
            seconds=seconds,
            messages_per_s=room.messages / seconds,
            alarms=int(delays_s.size),
            alarm_p50_s=p50_s,
            alarm_p99_s=p99_s,
            alarm_max_s=max(room.delays_s, default=None),
            held_back=len(room.late_s),
            held_back_max_s=max(room.late_s, default=None),
            lost=len(log.said - set(room.heard)),
            duplicated=sum(times - 1 for times in room.heard.values()),
            broker_cpu=self._broker.cpu_s / seconds,
            broker_rss_bytes=self._broker.rss_bytes,
            after_kill=self._return(log),
        )

    def _return(self, log: Log) -> Return | None:
        if self._killed_s is None or self._back_s is None:
            return None
        since_s = self._killed_s
        again_s = [[moment_s for moment_s in of_unit if moment_s > since_s] for of_unit in log.connected_s.values()]
        first_s = [min(moments_s) for moments_s in again_s if moments_s]
        return Return(
            down_s=self._back_s - self._killed_s,
            back=len(first_s),
            all_back_s=max(first_s) - self._back_s if len(first_s) == len(again_s) else None,
            peak_connects_per_s=peak_per_s([moment_s for moments_s in again_s for moment_s in moments_s]),
        )


def peak_per_s(moments_s: Sequence[float]) -> int:
    """The most of them that lie within one second."""
    in_order = sorted(moments_s)
    return max((number - bisect_left(in_order, at_s - 1.0) + 1 for number, at_s in enumerate(in_order)), default=0)


def _allow_files(units: int) -> None:
    """Let this process's children open as many as there are units."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, units + SPARE_FILES), hard))


def _ms(seconds: float | None) -> str:
    return "none" if seconds is None else f"{1e3 * seconds:.0f}"
