"""Where requests of the control room arrive, and every one of them is answered once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from hydroear.codes import Code, coded
from hydroear.errors import CommandError, HydroearError, OutboxError
from hydroear.message import Kind, Message
from hydroear.model.signature import PublicKey
from hydroear.mqtt import payloads, topics
from hydroear.mqtt.commands import Command, parse
from hydroear.mqtt.signed import open_request
from hydroear.outbox import Outbox

log = logging.getLogger(__name__)

LIMIT_S = 60.0
"""How long a command may take before the control room is told that it does not end."""
MAX_AT_A_TIME = 8
"""Commands in work; one more is refused."""

Handler = Callable[[Any], Mapping[str, Any]]
"""Does what a command of its verb asks, on a thread of its own; gives the values of the reply."""


class Desk:
    """Takes requests, has them done, and replies through the outbox.

    A request is known by its id: one that comes twice, because a network repeated it or somebody recorded it, gets the
    reply that the first one got, over restarts as well, and is not done again.

    Parameters
    ----------
    unit
        Name of the unit.
    handlers
        Who does what, by verb.
    outbox
        Where replies wait, and are remembered.
    stamp
        Makes the stamp of a reply.
    trusted
        Keys one of which must have signed a request; with none, whoever the broker lets ask may ask.
    """

    def __init__(
        self,
        unit: str,
        handlers: Mapping[str, Handler],
        *,
        outbox: Outbox,
        stamp: Callable[[int], payloads.Stamp],
        trusted: Sequence[PublicKey] = (),
        limit_s: float = LIMIT_S,
    ) -> None:
        self._unit, self._handlers = unit, dict(handlers)
        self._trusted = tuple(trusted)
        self._outbox, self._stamp, self._limit_s = outbox, stamp, limit_s
        self._mutex = threading.Lock()
        self._in_work: set[str] = set()

    def take(self, topic: str, payload: bytes, retained: bool) -> None:
        """Take what came on a command topic; returns at once."""
        verb = topic.rsplit("/", 1)[-1]
        if retained:
            # It would be obeyed at every connect, for as long as the broker keeps it.
            log.warning(
                "%s: a retained request is not obeyed; publish requests without the retain flag",
                topic,
                extra=coded(Code.COMMAND_REFUSED),
            )
            return
        try:
            if self._trusted:
                payload = open_request(payload, unit=self._unit, verb=verb, trusted=self._trusted)
            command = parse(verb, payload)
            handler = self._handlers.get(verb)
            if handler is None:
                raise CommandError(f"this unit does not take {verb}", request_id=command.request_id)
        except CommandError as error:
            log.warning("%s: %s", topic, error, extra=coded(Code.COMMAND_REFUSED))
            if error.request_id is not None:
                self._answer(error.request_id, verb, "refused", str(error))
            return
        with self._mutex:
            if command.request_id in self._in_work:
                return  # its reply will come
            if len(self._in_work) >= MAX_AT_A_TIME:
                self._answer(
                    command.request_id, verb, "refused", f"{MAX_AT_A_TIME} commands are in work; ask again later"
                )
                return
            self._in_work.add(command.request_id)
        threading.Thread(target=self._serve, args=(verb, command, handler), name=f"cmd-{verb}", daemon=True).start()

    def _serve(self, verb: str, command: Command, handler: Handler) -> None:
        try:
            if (told := self._outbox.reply_to(command.request_id)) is not None:
                self._outbox.put(self._message(command.request_id, told))
                return
            stamp = self._stamp(0)
            if stamp.clock != "unsynchronised":  # a clock that is wrong can refuse nothing
                command.check_time(stamp.time)
            values = self._within_limit(verb, command, handler)
        except CommandError as error:
            self._answer(command.request_id, verb, "refused", str(error), remember=True)
        except HydroearError as error:
            self._answer(command.request_id, verb, "failed", str(error), remember=True)
        else:
            log.info("%s asked to %s: done", command.by, verb, extra=coded(Code.COMMAND_DONE))
            self._answer(command.request_id, verb, "done", values=values, remember=True)
        finally:
            with self._mutex:
                self._in_work.discard(command.request_id)

    def _within_limit(self, verb: str, command: Command, handler: Handler) -> Mapping[str, Any]:
        outcomes: SimpleQueue[Mapping[str, Any] | HydroearError] = SimpleQueue()

        def work() -> None:
            try:
                outcomes.put(handler(command))
            except HydroearError as error:
                outcomes.put(error)
            except Exception as error:
                log.exception("%s: unexpected", verb, extra=coded(Code.COMMAND_FAILED))
                outcomes.put(HydroearError(f"unexpected {type(error).__name__}: {error}", fix="see the unit's log"))

        threading.Thread(target=work, name=f"work-{verb}", daemon=True).start()
        try:
            outcome = outcomes.get(timeout=self._limit_s)
        except Empty:
            raise HydroearError(f"{verb} has not ended within {self._limit_s:g} s", fix="see the unit's log") from None
        if isinstance(outcome, HydroearError):
            raise outcome
        return outcome

    def _answer(
        self,
        request_id: str,
        verb: str,
        outcome: payloads.Outcome,
        error: str = "",
        *,
        values: Mapping[str, Any] | None = None,
        remember: bool = False,
    ) -> None:
        body = payloads.Reply(request_id=request_id, verb=verb, outcome=outcome, error=error, values=values or {})
        payload = payloads.encode(body, self._stamp(0))
        try:
            self._outbox.put(self._message(request_id, payload), answered=request_id if remember else None)
        except OutboxError as problem:
            log.warning("no reply to %s %s: %s", verb, request_id, problem, extra=coded(Code.OUTBOX_FAILS))

    def _message(self, request_id: str, payload: bytes) -> Message:
        return Message(topics.reply(self._unit, request_id), payload, Kind.STATE)
