"""Installed bundles while a unit runs: the one that waits is scored beside the one at work, and all that becomes of
them is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hydroear.app.probation import uncalibrated
from hydroear.app.shadow import Shadow, progress
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import BundleError, HydroearError
from hydroear.model import Runtime
from hydroear.model.slots import Choice, Installed, Phase, Slots, SlotStore, trusted_keys
from hydroear.mqtt import payloads

if TYPE_CHECKING:
    from hydroear.app.unit import Ear

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""How often it is looked whether another process has changed the slots."""
SAVE_EVERY_S = 60.0
"""How often it is written down how a shadow compares. A choice: a memory card bears that for as long as one lasts."""


class Candidates:
    """Looks after the slots of a unit that runs, from the thread that the unit was started on.

    Parameters
    ----------
    config
        The unit.
    runtime
        The interpreter.
    ears
        Its sensors.
    tell
        Publishes what became of a bundle.

    Attributes
    ----------
    shadow
        The candidate that hears beside the model at work; None where none does.

    Raises
    ------
    UsageError
        If a key cannot be used.
    """

    def __init__(
        self,
        config: schema.Config,
        *,
        runtime: Runtime,
        ears: Sequence[Ear],
        tell: Callable[[payloads.Model], None],
    ) -> None:
        self._config, self._runtime, self._ears, self._tell = config, runtime, ears, tell
        self._trusted, self._store = trusted_keys(config), SlotStore(config.models_dir)
        self.shadow: Shadow | None = None
        self._left_alone = ""
        self._look_s = self._save_s = 0.0
        self._told: payloads.Model | None = None

    @property
    def standing(self) -> payloads.ShadowHealth | None:
        """How far the shadow has come; None where there is none."""
        shadow = self.shadow
        if shadow is None:
            return None
        windows, agreement = progress(shadow.results())
        return payloads.ShadowHealth(
            windows=windows, of=self._config.models.shadow_windows, agreement=_rounded(agreement)
        )

    def look(self) -> None:
        """Do what is due, if anything is."""
        shadow, now_s = self.shadow, time.monotonic()
        if now_s < self._look_s and not (shadow is not None and shadow.over):
            return
        self._look_s = now_s + LOOK_EVERY_S
        slots = self._store.load()
        if shadow is not None and not _is_of(shadow.choice, slots):
            self.shadow = None  # withdrawn by hand, or another one came
        elif shadow is not None and shadow.over:
            self._end(shadow)
        elif shadow is not None and now_s >= self._save_s:
            self._save_s = now_s + SAVE_EVERY_S
            self._change(shadow.choice, lambda slots: slots.compared(shadow.results()))
        elif shadow is None and (candidate := self._due(slots)) is not None:
            self._begin(Choice(self._store.path(slots.inactive), slots.inactive, candidate))
        self._tell_change()

    def close(self) -> None:
        """The unit ends in order."""
        shadow, self.shadow = self.shadow, None
        if shadow is not None and shadow.over:
            self._end(shadow)
        elif shadow is not None:
            results = shadow.results()
            self._change(shadow.choice, lambda slots: slots.compared(results).interrupted())
        self._tell_change()

    def _due(self, slots: Slots) -> Installed | None:
        """The candidate, if it is still to be scored beside the model at work, and may be."""
        candidate = slots.candidate
        if candidate is None or candidate.shadowed or candidate.sha256 == self._left_alone:
            return None
        if not self._config.models.shadow_windows:
            return None
        if not candidate.without_calibration and uncalibrated(self._config, candidate, self._runtime):
            return None
        return candidate

    def _begin(self, choice: Choice) -> None:
        # Counted first: a model that takes the whole unit down with it must not do so at every start.
        slots = self._change(choice, Slots.shadowing)
        if slots is None or not _is_of(choice, slots):
            _warn_if_bad(choice, slots)
            return
        try:
            self.shadow = Shadow(self._config, choice, choice.read(self._trusted), self._runtime, self._ears)
        except HydroearError as error:
            self._withdraw(choice, str(error))
        except Exception as error:  # whatever a candidate does, hearing goes on
            log.exception("%s: cannot be run", choice.path, extra=coded(Code.MODEL_WITHDRAWN))
            self._withdraw(choice, f"cannot be run ({type(error).__name__}: {error})")
        else:
            self._save_s = time.monotonic() + SAVE_EVERY_S
            log.warning(
                "%s: hears beside the model at work, for %d windows",
                choice.path,
                self._config.models.shadow_windows,
                extra=coded(Code.MODEL_COMPARED),
            )

    def _end(self, shadow: Shadow) -> None:
        self.shadow = None
        results, objection = shadow.results(), shadow.objection()
        if objection:
            self._withdraw(shadow.choice, objection, results)
        elif self._change(shadow.choice, lambda slots: slots.compared(results).shadowed()) is not None:
            log.warning(
                "%s: stood it beside the model at work; the next start activates it",
                shadow.choice.path,
                extra=coded(Code.MODEL_COMPARED),
            )

    def _withdraw(self, choice: Choice, reason: str, results: Mapping[str, Any] | None = None) -> None:
        _warn_if_bad(choice, self._change(choice, lambda slots: slots.compared(results or {}).withdrawn(reason)))

    def _change(self, choice: Choice, change: Callable[[Slots], Slots]) -> Slots | None:
        """Change the slots if this is still the candidate; None where that cannot be written.

        Then the candidate is left alone until the next start: what cannot be written down would never end.
        """
        try:
            return self._store.change(lambda slots: change(slots) if _is_of(choice, slots) else slots)
        except BundleError as error:
            log.warning("%s", error, extra=coded(Code.MODEL_SLOTS_FAIL))
            self._left_alone, self.shadow = choice.model, None
            return None

    def _tell_change(self) -> None:
        told = model_payload(self._store.load())
        if told is not None and told != self._told:
            self._told = told
            self._tell(told)


def model_payload(slots: Slots) -> payloads.Model | None:
    """What became of an installed bundle last; None where nothing was ever installed."""
    last = slots.last
    if last is None or not last.time:
        return None
    about = next((found for found in (slots.a, slots.b) if found is not None and found.sha256 == last.sha256), None)
    return payloads.Model(
        step=last.step,
        name=last.name,
        sha256=last.sha256,
        release=last.release,
        reason=last.reason,
        changed_time=datetime.fromisoformat(last.time),
        shadow={} if about is None else about.shadow,
    )


def _is_of(choice: Choice, slots: Slots) -> bool:
    """Whether a choice is the candidate of these slots."""
    candidate = slots.candidate
    return (
        candidate is not None
        and choice.installed is not None
        and slots.inactive == choice.slot
        and candidate.is_same_as(choice.installed)
    )


def _warn_if_bad(choice: Choice, slots: Slots | None) -> None:
    left = slots.get(choice.slot) if slots is not None and choice.slot is not None else None
    if left is not None and left.phase is Phase.BAD:
        log.error("%s: %s withdrawn: %s", choice.path, left.name, left.reason, extra=coded(Code.MODEL_WITHDRAWN))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
