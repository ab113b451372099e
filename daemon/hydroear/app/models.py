"""Bundles on a unit: installed from a file, looked at, confirmed and rolled back by hand."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydroear.app.owner import check_user
from hydroear.app.probation import uncalibrated
from hydroear.app.shadow import progress
from hydroear.config import schema
from hydroear.errors import UsageError
from hydroear.model import choose_runtime, parse_bundle
from hydroear.model.bundle import read_content
from hydroear.model.slots import MAX_STARTS, Choice, Installed, Phase, Slots, SlotStore, trusted_keys
from hydroear.score import Scorer


@dataclass(frozen=True)
class Outcome:
    """What an installation did.

    Attributes
    ----------
    installed
        What is installed.
    new
        Whether it was not there before.
    waits_for
        The sensors that it is not activated without a calibration for.
    """

    installed: Installed
    new: bool
    waits_for: list[str]


def install(config: schema.Config, path: Path, *, without_calibration: bool) -> Outcome:
    """Install a bundle that gives the expected scores on this machine.

    The unit scores it beside the one at work, where it has to; a start after that activates it.

    Parameters
    ----------
    config
        The unit.
    path
        The bundle.
    without_calibration
        Whether it may be activated for sensors that have no calibration for it.

    Raises
    ------
    BundleError
        If it cannot be used here, is not signed by a trusted key, is older than what the unit has, or cannot be
        written; or if the configured bundle, to which the unit would go back, cannot be used.
    UsageError
        If a key or the interpreter cannot be used, or another user owns the unit's state.
    """
    check_user(config.state_dir)
    trusted, runtime, store = trusted_keys(config), choose_runtime(config.runtime), SlotStore(config.models_dir)
    content = read_content(path)
    bundle = parse_bundle(content, path, trusted)
    new = Installed(bundle.name, bundle.sha256, bundle.release, without_calibration=without_calibration)
    slots = store.load()
    if _is_there(slots, new):
        return Outcome(new, new=False, waits_for=waits_for(config, slots))
    factory = Choice(config.bundle).read(trusted)
    Scorer(bundle, runtime).check_golden()
    slots = store.install(content, new, factory_release=factory.release or 0)
    return Outcome(new, new=True, waits_for=waits_for(config, slots))


def _is_there(slots: Slots, new: Installed) -> bool:
    """Whether a bundle runs already, or waits to be activated under the same conditions."""
    running = slots.running
    candidate = slots.candidate
    return (candidate is not None and candidate.is_same_as(new)) or (
        running is not None and (running.sha256, running.release) == (new.sha256, new.release)
    )


def waits_for(config: schema.Config, slots: Slots) -> list[str]:
    """The sensors that the candidate is not activated without a calibration for; none where there is no candidate."""
    candidate = slots.candidate
    if candidate is None or candidate.without_calibration:
        return []
    return uncalibrated(config, candidate, choose_runtime(config.runtime))


def status(config: schema.Config) -> dict[str, Any]:
    """What is installed, as JSON values.

    Raises
    ------
    UsageError
        If the interpreter is not installed.
    """
    slots = SlotStore(config.models_dir).load()
    return {
        "active": slots.active,
        "highest_confirmed": slots.highest_confirmed,
        "factory": str(config.bundle),
        "slots": {
            slot: None
            if installed is None
            else {
                **asdict(installed),
                "calibrations": str(config.site_path(config.sensors[0], installed.sha256).parent),
            }
            for slot, installed in (("a", slots.a), ("b", slots.b))
        },
        "waits_for": waits_for(config, slots),
        "shadow_windows": config.models.shadow_windows,
        "last": None if slots.last is None else asdict(slots.last),
    }


def in_words(told: dict[str, Any]) -> str:
    """A :func:`status` for people, a line a bundle; that which runs has a star."""
    lines = [f"{'*' if told['active'] is None else ' '} factory  {told['factory']}"]
    for slot, installed in told["slots"].items():
        star = "*" if told["active"] == slot else " "
        lines.append(f"{star} {slot}        {'empty' if installed is None else _line(installed, told)}")
    return "\n".join(lines)


def _line(installed: dict[str, Any], told: dict[str, Any]) -> str:
    release = "" if installed["release"] is None else f" release {installed['release']}"
    line = f"{installed['name']}{release}, sha256 {installed['sha256'][:12]}: {installed['phase']}"
    match installed["phase"]:
        case Phase.CANDIDATE if told["waits_for"]:
            return f"{line}, waits until it is calibrated for {', '.join(told['waits_for'])}"
        case Phase.CANDIDATE if told["shadow_windows"] and not installed["shadowed"]:
            windows, agreement = progress(installed["shadow"])
            line = f"{line}, {windows} of {told['shadow_windows']} windows scored beside the model at work"
            return line if agreement is None else f"{line}, {_percent(agreement)} of them alike"
        case Phase.CANDIDATE:
            return f"{line}, activated at the next start"
        case Phase.PROBATION:
            return f"{line}, start {installed['starts']} of {MAX_STARTS}"
        case Phase.BAD:
            return f"{line}: {installed['reason']}"
    return line


def _percent(share: float) -> str:
    """A share in per cent; all only where it is all."""
    return f"{math.floor(1000 * share) / 10:g} %"


def confirm(config: schema.Config) -> Installed:
    """Confirm the bundle that is on probation before its time.

    Raises
    ------
    UsageError
        If there is none, or another user owns the unit's state.
    BundleError
        If that cannot be written.
    """
    check_user(config.state_dir)
    store = SlotStore(config.models_dir)
    running = store.load().running
    if running is None or running.phase is not Phase.PROBATION:
        raise UsageError("no bundle is on probation", where="model confirm", fix="see hydroear model status")
    store.change(Slots.confirmed)
    return running


def roll_back(config: schema.Config) -> Installed:
    """Withdraw the candidate; where there is none, go back from the bundle that runs to the one before it.

    Raises
    ------
    UsageError
        If nothing is installed, or another user owns the unit's state.
    BundleError
        If that cannot be written.
    """
    check_user(config.state_dir)
    store = SlotStore(config.models_dir)
    before = store.load()
    left = before.candidate or before.running
    if left is None:
        raise UsageError("the configured bundle runs, and none waits", where="model rollback")
    if before.candidate is not None:
        store.change(lambda slots: slots.withdrawn("withdrawn by hand"))
    else:
        store.change(lambda slots: slots.rolled_back("rolled back by hand"))
    return left
