"""What is asked of units: requests under way, repeated until they are answered or nobody waits any longer."""

from __future__ import annotations

import difflib
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hydroear.errors import CommandError, UsageError
from hydroear.mqtt import commands, topics
from hydroear.mqtt.commands import COMMANDS, Command
from hydroear.mqtt.signed import sign_request
from hydroear.room import said
from hydroear.room.said import UnreadableError, address, read

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TIMEOUT_S = 65.0
"""How long to wait for a reply: a unit gives a command 60 s before it says that it does not end."""
REPEAT_S = 5.0
"""After how long an unanswered request is published again; a unit does what it was asked once. A choice."""

Outcome = Literal["done", "refused", "failed", "unanswered"]


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes
    ----------
    unit, verb, request_id
        The request.
    outcome
        As the unit replied, or ``unanswered``.
    error
        Why it was not done, in plain words; empty when it was.
    values
        What was asked for.
    """

    unit: str
    verb: str
    request_id: str
    outcome: Outcome
    error: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Question:
    unit: str
    verb: str
    payload: bytes
    give_up_s: float
    again_s: float


def fields_of(verb: str, pairs: Sequence[str]) -> dict[str, Any]:
    """The fields of a request, from ``KEY=VALUE``; a key may be cut short as long as only one begins so.

    Raises
    ------
    UsageError
        There is no such command, or it has no such field.
    """
    form = COMMANDS.get(verb)
    if form is None:
        close = difflib.get_close_matches(verb, COMMANDS, n=1)
        fix = f"did you mean {close[0]}?" if close else ""
        raise UsageError(f"no command {verb!r}", expected=f"one of {', '.join(COMMANDS)}", fix=fix)
    known = [name for name in form.model_fields if name not in Command.model_fields]
    fields: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        names = [name for name in known if name == key] or [name for name in known if key and name.startswith(key)]
        if not sign or len(names) != 1:
            takes = (
                f"one of {', '.join(f'{name}=…' for name in known)}" if known else f"nothing: {verb} takes no fields"
            )
            raise UsageError(f"bad field {pair!r}", where=verb, expected=takes)
        fields[names[0]] = _json(value, pair) if form.model_fields[names[0]].annotation not in (str, bytes) else value
    return fields


def compose(verb: str, fields: Mapping[str, Any], **common: Any) -> str:
    """A request as text, checked as the unit will.

    Parameters
    ----------
    verb, fields
        What is asked.
    common
        Who asks and for how long it holds, as :class:`~hydroear.mqtt.commands.Command` has it.

    Raises
    ------
    UsageError
        The unit would refuse it, whatever its state.
    """
    head = {"schema": "hydroear/command/1", "request_id": uuid.uuid4().hex, "time": datetime.now(UTC).isoformat()}
    try:
        payload = json.dumps({**head, **common, **fields}, allow_nan=False).encode()
        commands.parse(verb, payload)
    except (CommandError, ValueError) as error:
        raise UsageError(str(error), where=verb, fix="see daemon/docs/topics.md") from error
    return COMMANDS[verb].model_validate_json(payload).model_dump_json(by_alias=True, exclude_unset=True)


class Questions:
    """Requests under way.

    Parameters
    ----------
    publish
        Publishes on a topic; False where there is no connection.
    by
        Who asks, for people.
    key
        Signs what is asked; None where nothing is signed.
    """

    def __init__(self, publish: Callable[[str, bytes], bool], *, by: str, key: Ed25519PrivateKey | None = None) -> None:
        self._publish, self._by, self._key = publish, by, key
        self._open: dict[str, _Question] = {}

    def ask(self, unit: str, verb: str, fields: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S) -> str:
        """Ask; gives the id of the request.

        Raises
        ------
        UsageError
            The unit would refuse the request, whatever its state.
        """
        request_id = uuid.uuid4().hex
        # A request must not be done when nobody waits for it any more.
        text = compose(verb, fields, request_id=request_id, by=self._by, valid_s=timeout_s)
        payload = text.encode() if self._key is None else sign_request(text, unit=unit, verb=verb, key=self._key)
        now_s = time.monotonic()
        self._open[request_id] = _Question(unit, verb, payload, now_s + timeout_s, now_s)
        self.tend()
        return request_id

    def hear(self, topic: str, payload: bytes) -> Answer | None:
        """Take a message; gives the answer to an open request, if it is one."""
        try:
            about = address(topic)
            if about is None or about.kind != "reply" or about.subject not in self._open:
                return None
            question = self._open[about.subject]
            if question.unit != about.unit:
                return None
            reply = read(about, payload)
        except UnreadableError as error:
            return self._close(about.subject, "failed", f"its reply cannot be understood: {error}") if about else None
        assert isinstance(reply, said.Reply)
        return self._close(about.subject, reply.outcome, reply.error, reply.values)

    def tend(self) -> list[Answer]:
        """Publish again what has waited for long enough; gives the requests that are given up."""
        now_s = time.monotonic()
        over = [request_id for request_id, question in self._open.items() if now_s >= question.give_up_s]
        for question in self._open.values():
            if question.again_s <= now_s < question.give_up_s and self._publish(
                topics.command(question.unit, question.verb), question.payload
            ):
                question.again_s = now_s + REPEAT_S
        return [self._close(request_id, "unanswered", self._no_reply) for request_id in over]

    def waits_for(self, request_id: str) -> bool:
        """Whether a request is still to be answered."""
        return request_id in self._open

    @property
    def waiting(self) -> list[str]:
        """What is still to be answered, in words."""
        return [f"{question.unit} {question.verb}" for question in self._open.values()]

    def give_up(self, request_id: str, why: str) -> Answer:
        """Wait for an answer no longer."""
        return self._close(request_id, "unanswered", why)

    @property
    def _no_reply(self) -> str:
        if self._key is None:
            return "no reply; look whether the unit is online, and whether the broker lets this user ask"
        return "no reply; look whether the unit is online, and leave the key out if the unit has no mqtt.command_keys"

    def _close(
        self, request_id: str, outcome: Outcome, error: str = "", values: Mapping[str, Any] | None = None
    ) -> Answer:
        question = self._open.pop(request_id)
        return Answer(question.unit, question.verb, request_id, outcome, error, values or {})


def _json(value: str, pair: str) -> Any:
    """A value that may be a number, true or false, or an object; text where it is none of these."""
    try:
        return json.loads(value)
    except ValueError:
        if value[:1] in ("{", "["):
            raise UsageError(f"bad field {pair!r}", expected="JSON behind the =") from None
        return value
