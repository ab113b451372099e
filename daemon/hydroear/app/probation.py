"""The bundle that a unit scores with: chosen at its start, watched while it is new, left behind when it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import BundleError, CalibrationError
from hydroear.model import Bundle, Runtime
from hydroear.model.slots import MAX_STARTS, Choice, Installed, Phase, Slot, Slots, SlotStore, choose, trusted_keys
from hydroear.score import Scorer, SiteCalibration

log = logging.getLogger(__name__)

SLOW_WINDOWS = 20
"""So many windows in a row that take longer than the hop are no busy moment of the machine. A choice."""


class ModelAtWork:
    """A bundle from one start of a unit to the next; may be told from the threads of all its sensors.

    Parameters
    ----------
    bundle
        The bundle.
    choice
        Where it is from.
    config
        The unit.

    Attributes
    ----------
    bundle
        The bundle.
    model
        By what the configuration finds the calibrations for it.
    """

    def __init__(self, bundle: Bundle, choice: Choice, config: schema.Config) -> None:
        self.bundle, self.model = bundle, choice.model
        self._choice, self._store = choice, SlotStore(config.models_dir)
        self._mutex = threading.Lock()
        on_probation = choice.installed is not None and choice.installed.phase is Phase.PROBATION
        self._missing = config.models.probation_windows if on_probation else 0
        self._slow = 0

    def scored(self, score_ms: float) -> None:
        """Count a window, and confirm a bundle on probation with the last one that it takes.

        Raises
        ------
        BundleError
            If it is on probation and too slow for this machine.
        """
        with self._mutex:
            if not self._missing:
                return
            hop_ms = 1e3 * self.bundle.front_end.window_hop_s
            self._slow = self._slow + 1 if score_ms > hop_ms else 0
            if self._slow >= SLOW_WINDOWS:
                raise BundleError(
                    f"{self._slow} windows in a row took longer than {hop_ms:.0f} ms, the time until the next",
                    where=self._choice.path,
                    fix="install a bundle with a longer hop or smaller models",
                )
            self._missing -= 1
            if not self._missing and self._change(Slots.confirmed):
                log.warning("%s: confirmed", self._choice.path, extra=coded(Code.MODEL_CONFIRMED))

    def blame(self, error: BaseException) -> None:
        """The unit ends with an error: if it is that of an installed bundle, the next start is without that."""
        if isinstance(error, BundleError) and self._change(lambda slots: slots.rolled_back(str(error))):
            log.error("%s: rolled back: %s", self._choice.path, error, extra=coded(Code.MODEL_ROLLED_BACK))

    def _change(self, change: Callable[[Slots], Slots]) -> bool:
        """Change the slots if this bundle is still the active one; whether that was done."""

        def if_active(slots: Slots) -> Slots:
            running = slots.running
            ours = running is not None and (slots.active, running.sha256) == (self._choice.slot, self.model)
            return change(slots) if ours else slots

        try:
            before = self._store.load()
            return self._store.change(if_active) != before
        except BundleError as error:
            log.warning("%s", error, extra=coded(Code.MODEL_SLOTS_FAIL))
            return False


def start_model(config: schema.Config, runtime: Runtime) -> ModelAtWork:
    """The bundle to start a unit with; the start counts.

    A candidate is activated if every sensor has a calibration for it, or if it needs none, and if it has been scored
    beside the bundle at work for long enough, or need not be. An installed bundle that
    cannot be run is rolled back, so that the unit listens with the one before it.

    Raises
    ------
    BundleError
        If the configured bundle is to be run and cannot be used.
    UsageError
        If a key cannot be used.
    """
    trusted, store = trusted_keys(config), SlotStore(config.models_dir)
    slots = _count_start(config, store, runtime)
    while (choice := choose(config, slots)).installed is not None:
        try:
            bundle = choice.read(trusted)
            Scorer(bundle, runtime)
        except BundleError as error:
            slots = _go_back(store, slots, str(error))
            continue
        if choice.installed.phase is Phase.PROBATION:
            log.warning(
                "%s: %s on probation, start %d of %d",
                choice.path,
                bundle.name,
                choice.installed.starts,
                MAX_STARTS,
                extra=coded(Code.MODEL_PROBATION),
            )
        return ModelAtWork(bundle, choice, config)
    return ModelAtWork(choice.read(trusted), choice, config)


def uncalibrated(config: schema.Config, installed: Installed, runtime: Runtime) -> list[str]:
    """The sensors that have no calibration for an installed bundle."""
    return [sensor.id for sensor in config.sensors if not _fits(config, sensor, installed, runtime)]


def _fits(config: schema.Config, sensor: schema.Sensor, installed: Installed, runtime: Runtime) -> bool:
    try:
        site = SiteCalibration.load(config.site_path(sensor, installed.sha256))
    except CalibrationError:
        return False
    return (site.bundle_sha256, site.runtime) == (installed.sha256, str(runtime))


def _count_start(config: schema.Config, store: SlotStore, runtime: Runtime) -> Slots:
    before = store.load()
    ready = ""
    if (candidate := before.candidate) is not None:
        missing = [] if candidate.without_calibration else uncalibrated(config, candidate, runtime)
        wanted = 0 if candidate.shadowed else config.models.shadow_windows
        if not missing and not wanted:
            ready = candidate.sha256
        elif missing:
            log.warning(
                "%s waits in slot %s until it is calibrated for %s: hydroear calibrate --model candidate",
                candidate.name,
                before.inactive,
                ", ".join(missing),
                extra=coded(Code.MODEL_WAITS),
            )
    try:
        slots = store.change(lambda slots: slots.started(ready=ready))
    except BundleError as error:
        log.warning("%s", error, extra=coded(Code.MODEL_SLOTS_FAIL))
        if before.running is None or before.running.phase is not Phase.PROBATION:
            return before
        # A start that is not counted must not be one on probation: nothing would ever end that.
        return before.rolled_back("its starts cannot be counted")
    if before.active is not None:
        _tell_if_bad(before.active, slots)
    return slots


def _go_back(store: SlotStore, slots: Slots, reason: str) -> Slots:
    failed = slots.active
    assert failed is not None
    try:
        slots = store.change(lambda now: now.rolled_back(reason) if now.active == failed else now)
    except BundleError as error:
        log.warning("%s", error, extra=coded(Code.MODEL_SLOTS_FAIL))
        slots = slots.rolled_back(reason)
    _tell_if_bad(failed, slots)
    return slots


def _tell_if_bad(slot: Slot, slots: Slots) -> None:
    left = slots.get(slot)
    if left is not None and left.phase is Phase.BAD:
        log.error("slot %s: %s rolled back: %s", slot, left.name, left.reason, extra=coded(Code.MODEL_ROLLED_BACK))
