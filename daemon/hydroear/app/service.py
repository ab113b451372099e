"""A unit as a service: started again with another configuration when asked to, and never at once for ever."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

from hydroear.app.display import Display
from hydroear.app.unit import Unit, install_stop
from hydroear.codes import Code, coded
from hydroear.config.loader import load_config
from hydroear.config.schema import Config
from hydroear.errors import ConfigError, HydroearError
from hydroear.service.journal import JournalHandler
from hydroear.service.ledger import StartLedger
from hydroear.service.notify import Notifier

log = logging.getLogger(__name__)

REFUSED = "reload refused: see the log"


class Service:
    """Runs the unit of a configuration, and of what that becomes.

    A reload stops the unit in order and starts it with the new configuration, within the same process. A configuration
    that is wrong is refused, and the unit hears on as it was.

    Parameters
    ----------
    path
        The configuration.
    display
        Is told of every report.
    notifier
        The way to the service manager.

    Raises
    ------
    HydroearError
        If the configuration is wrong or the unit cannot start.
    """

    def __init__(self, path: Path, *, display: Display, notifier: Notifier) -> None:
        self._path, self._display, self._notifier = path, display, notifier
        self._stopping = self._reload_asked = self._examination_asked = False
        self._next: Config | None = None
        self._config = load_config(path)
        self._unit = self._make(self._config)

    def run(self) -> bool:
        """Listen, see :meth:`Unit.run`; over reloads."""
        while True:
            outcome = self._unit.run(self._attend)
            if self._next is None or self._stopping:
                return outcome
            self._start_anew(self._next)
            self._next = None
            if self._stopping:  # the unit that was told so was the one before
                self._unit.stop()

    def stop(self) -> None:
        """End :meth:`run` soon; for signal handlers."""
        self._stopping = True
        self._unit.stop()

    def reload(self) -> None:
        """Read the configuration again soon; for signal handlers."""
        self._reload_asked = True

    def examine(self) -> None:
        """Have the unit examine itself soon; for signal handlers."""
        self._examination_asked = True

    def _make(self, config: Config) -> Unit:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, JournalHandler):
                handler.unit = config.unit
        return Unit(config, display=self._display, notifier=self._notifier)

    def _attend(self) -> bool:
        """Do what signals have asked for; gives whether the unit shall end for one with another configuration."""
        if self._examination_asked:
            self._examination_asked = False
            self._unit.examine()
        if not self._reload_asked:
            return False
        self._reload_asked = False
        self._notifier.reloading()
        try:
            self._next = load_config(self._path)
        except ConfigError as error:
            self._refuse(error)
            self._notifier.ready(REFUSED)
            return False
        return True

    def _start_anew(self, config: Config) -> None:
        try:
            self._unit = self._make(config)
        except HydroearError as error:
            self._unit = self._make(self._config)
            self._refuse(error)
        else:
            self._config = config
            log.info("%s: in force", self._path, extra=coded(Code.RELOADED))

    def _refuse(self, error: HydroearError) -> None:
        for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
            log.error("reload refused: %s", problem, extra=coded(Code.RELOAD_REFUSED))
        self._unit.notice = REFUSED


def run_service(path: Path, *, display: Display) -> int:
    """Run a unit until it has nothing to hear any more, or is asked to stop.

    A start that follows several failures in a row waits, longer each time; who asks it to stop meanwhile makes the next
    one begin at once.

    Returns
    -------
    int
        0; 1 if a sensor was not heard to its end.

    Raises
    ------
    HydroearError
        If the configuration is wrong, or the unit cannot start or go on.
    """
    notifier, ledger = Notifier.from_environment(), StartLedger.from_environment()
    if not _wait(ledger, notifier):
        ledger.end()
        return 0
    ledger.begin()
    service = Service(path, display=display, notifier=notifier)
    install_stop(service.stop)
    if notifier.address:  # without a manager it means that the terminal is gone
        signal.signal(signal.SIGHUP, lambda *_: service.reload())
        signal.signal(signal.SIGUSR1, lambda *_: service.examine())
    heard = service.run()
    if heard:
        ledger.end()
    return 0 if heard else 1


def _wait(ledger: StartLedger, notifier: Notifier) -> bool:
    """Wait as long as the start should; False if the service was asked to stop meanwhile."""
    if not ledger.wait_s:
        return True
    text = f"failed starts in a row: {ledger.failures}; trying again in {ledger.wait_s:.0f} s, at once when restarted"
    log.warning("%s; see the messages before", text, extra=coded(Code.START_DELAYED))
    notifier.status(text)
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        return signal.sigtimedwait(ends, ledger.wait_s) is None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
