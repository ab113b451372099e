"""The tables: what was heard, counted, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

import numpy as np
from scipy.stats import chi2

from hydroear_train.markdown import table
from hydroear_train.soak.run import Mode, Outcome, Plan, Record
from hydroear_train.soak.scenario import LEAK_NIGHTS
from hydroear_train.soak.share import CONFIDENCE, Share
from hydroear_train.textfile import csv_text

MONTH_DAYS = 365.25 / 12.0
PROMPT_S = 15.0 * 60.0
"""How soon a unit that listens without a break is to call a leak."""


@dataclass(frozen=True)
class FalseAlarms:
    """Events in nights without a leak.

    Attributes
    ----------
    mode
        How the units decided.
    nights, hours
        How many nights, and how long they were together.
    events
        How many events.
    by_sound
        How many of them, by what sounded.
    """

    mode: Mode
    nights: int
    hours: float
    events: int
    by_sound: dict[str, int]

    @property
    def per_month(self) -> float:
        """Events of a sensor that listens one such night a day, in a month."""
        return self.events / self.nights * MONTH_DAYS

    @property
    def per_month_at_most(self) -> float:
        """Upper limit of that, one-sided, 95 %, the events being Poisson's."""
        return poisson_upper(self.events) / self.nights * MONTH_DAYS

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"per_month": self.per_month, "per_month_at_most": self.per_month_at_most}


@dataclass(frozen=True)
class Detection:
    """Leaks of one level.

    Attributes
    ----------
    snr_db
        The level.
    within
        Leaks called within one night, two, and so on.
    prompt
        Leaks that began while the unit listened, and were called within :data:`PROMPT_S`.
    delays_s
        How long it took, from the beginning of the leak; infinite where it was not called.
    """

    snr_db: float
    within: tuple[Share, ...]
    prompt: Share
    delays_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median delay; infinite where half of the leaks or more were not called, NaN where there are none."""
        return float(np.quantile(self.delays_s, 0.5, method="higher")) if self.delays_s else float("nan")

    def record(self) -> dict[str, Any]:
        """As JSON values; an infinite delay is None."""
        median_s = self.median_s
        return {
            "snr_db": self.snr_db,
            "within_nights": [share.record() for share in self.within],
            "prompt": self.prompt.record(),
            "median_delay_s": median_s if np.isfinite(median_s) else None,
        }


def poisson_upper(count: int) -> float:
    """Exact upper limit, one-sided, 95 %, of a Poisson mean of which so many were counted.

    Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936, pp. 437-442.
    """
    return float(0.5 * chi2.ppf(CONFIDENCE, 2 * (count + 1)))


def false_alarms(records: Sequence[Record], mode: Mode) -> FalseAlarms:
    """Of the nights in health."""
    healthy = [record for record in records if record.kind == "healthy" and record.mode == mode]
    sounds = Counter(sound for record in healthy for sound in record.sounding)
    return FalseAlarms(
        mode=mode,
        nights=len(healthy),
        hours=sum(record.minutes for record in healthy) / 60.0,
        events=sum(len(record.opened_s) for record in healthy),
        by_sound=dict(sounds.most_common()),
    )


def detections(records: Sequence[Record]) -> list[Detection]:
    """Of the leaks, quiet ones first."""
    return [_detection(snr_db, records) for snr_db in sorted({r.snr_db for r in records if r.snr_db is not None})]


def _detection(snr_db: float, records: Sequence[Record]) -> Detection:
    nights = [record for record in records if record.kind == "leak" and record.snr_db == snr_db]
    leaks = len({(record.site, record.number) for record in nights})
    called = [record.night for record in nights if record.opened_s]
    delays_s = [_delay_s(record) for record in records if record.kind == "onset" and record.snr_db == snr_db]
    return Detection(
        snr_db=snr_db,
        within=tuple(Share(sum(night <= last for night in called), leaks) for last in range(1, LEAK_NIGHTS + 1)),
        prompt=Share(sum(delay_s <= PROMPT_S for delay_s in delays_s), len(delays_s)),
        delays_s=tuple(delays_s),
    )


def _delay_s(record: Record) -> float:
    assert record.leak_s is not None
    return min((at_s - record.leak_s for at_s in record.opened_s if at_s >= record.leak_s), default=float("inf"))


def record_of(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """All of it as JSON values."""
    options = asdict(plan) | {"bundle": plan.bundle.name}
    return {
        "simulated": True,
        "plan": options,
        "false_alarms": [false_alarms(outcome.records, mode).record() for mode in get_args(Mode)],
        "detection": [line.record() for line in detections(outcome.records)],
        "objections": outcome.objections,
        "cost": asdict(outcome.cost),
    }


def to_markdown(plan: Plan, outcome: Outcome) -> str:
    """All of it as Markdown."""
    alarms = [false_alarms(outcome.records, mode) for mode in get_args(Mode)]
    lines = detections(outcome.records)
    settings = {mode: ", ".join(plan.decision(mode)) or "as they come" for mode in get_args(Mode)}
    head = ["mode", "decision settings", "healthy nights", "of minutes", "false alarms", "a sensor-month of nights"]
    body = [
        [
            line.mode,
            settings[line.mode],
            str(line.nights),
            f"{plan.minutes:g}",
            str(line.events),
            f"{line.per_month:.2f}",
            f"{line.per_month_at_most:.2f}",
        ]
        for line in alarms
    ]
    sections = [
        f"Simulated: {plan.sites} sites, seed {plan.seed}, bundle {plan.bundle.name}.",
        "\n".join(table([*head, "at most (95 %)"], body, left=2)),
    ]
    sounds = [[line.mode, sound, str(count)] for line in alarms for sound, count in line.by_sound.items()]
    if sounds:
        sections.append("\n".join(table(["mode", "sounding at a false alarm", "false alarms"], sounds, left=2)))
    if lines:
        prompt = f"within {PROMPT_S / 60:.0f} min of its beginning"
        head = ["leak over background", "in the first night"]
        head += [f"within {last} nights" for last in range(2, LEAK_NIGHTS + 1)]
        body = [
            [f"{line.snr_db:+g} dB", *map(str, line.within), str(line.prompt), _minutes(line.median_s)]
            for line in lines
        ]
        sections.append("\n".join(table([*head, prompt, "median time to alarm"], body)))
    if outcome.objections:
        sites = len(outcome.objections)
        sections.append(
            f"At {sites} of {plan.sites} sites the calibration had an objection and was accepted all the same."
        )
    return "\n\n".join(sections)


def nights_csv(records: Sequence[Record]) -> str:
    """Every recording as a line of CSV."""
    header = [field.name for field in fields(Record)]
    return csv_text(header, ([_cell(getattr(record, name)) for name in header] for record in records))


def _cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else value


def cost_text(outcome: Outcome) -> str:
    """What it took, in words."""
    cost = outcome.cost
    return (
        f"{cost.rendered_s / 3600:.1f} h of audio; an hour took {cost.render_s / cost.rendered_s * 3600:.1f} s of "
        f"processor time to render ({cost.rendered_s / cost.render_s:.0f} times real time) and "
        f"{cost.replay_s / cost.replayed_s * 3600:.1f} s to replay ({cost.replayed_s / cost.replay_s:.0f} times)"
    )


def _minutes(seconds: float) -> str:
    if np.isnan(seconds):
        return ""
    return f"{seconds / 60:.1f} min" if np.isfinite(seconds) else "not called"
