"""What the control room may ask of a unit: one form a verb, checked before anything is done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hydroear.config.schema import NAME_PATTERN
from hydroear.errors import CommandError

MAX_BYTES = 64 * 1024
"""The longest request that is read at all."""
PIECE_BYTES = 32 * 1024
"""Length of every piece but the last of a file that travels in pieces, either way."""
AHEAD_S = 60.0
"""How far a request may come from the future: clocks differ."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Command(BaseModel):
    """What every request says: which it is, when it was made, for how long it holds, and who asks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    form: Annotated[Literal["hydroear/command/1"], Field(alias="schema", description="the form of this request")]
    request_id: Annotated[
        Name, Field(description="chosen by who asks; a request with the same one is the same request")
    ]
    time: Annotated[AwareDatetime, Field(description="when it was asked, with a time zone")]
    valid_s: Annotated[float, Field(gt=0, le=3600, description="for how long it holds, in seconds")] = 60.0
    by: Annotated[str, Field(min_length=1, max_length=100, description="who asks, for people")] = "control room"

    def check_time(self, now: datetime) -> None:
        """Refuse a request that is over, or not yet made.

        Raises
        ------
        CommandError
            With both times, for one of the clocks may be wrong.
        """
        age = now - self.time
        if age > timedelta(seconds=self.valid_s) or age < -timedelta(seconds=AHEAD_S):
            raise CommandError(
                f"asked at {self.time.isoformat()}, but here it is {now.isoformat(timespec='seconds')}",
                expected=f"a request of the last {self.valid_s:g} s",
                fix="ask again with a new request_id, and check both clocks",
            )


class Ping(Command):
    """Is the unit there?"""


class Selftest(Command):
    """Examine the unit; what is found is published on its own topic, the sum of it is the reply."""


class Ack(Command):
    """Take a leak on: the sensor says acknowledged until it is over."""

    event_id: Annotated[str, Field(min_length=1, max_length=120, description="the event that is taken on")]


class Mute(Command):
    """Call no leak for a while; a warning may stand, and is a leak if it still does then. A restart ends it."""

    sensor: Annotated[Name, Field(description="which sensor")]
    for_s: Annotated[float, Field(ge=1, le=604800, description="for how long, in seconds")]


class Unmute(Command):
    """Call leaks again."""

    sensor: Annotated[Name, Field(description="which sensor")]


class CalibrateStart(Command):
    """Learn what a sensor's pipe sounds like when it is well, beside the hearing. What is learned is in force from the
    next start on; how it stands is told on the sensor's calibration topic."""

    sensor: Annotated[Name, Field(description="which sensor")]
    for_s: Annotated[float | None, Field(ge=60, le=2678400, description="how much to hear, in seconds")] = None
    nights: Annotated[int | None, Field(ge=1, le=31, description="or how many nights, in their hours alone")] = None
    accept_anyway: Annotated[bool, Field(description="learn a site that would be refused; it says so then")] = False

    @model_validator(mode="after")
    def _one_goal(self) -> CalibrateStart:
        if (self.for_s is None) == (self.nights is None):
            raise ValueError("give either for_s or nights")
        return self


class CalibrateStop(Command):
    """End a calibration; what was heard is kept, and counts when one is begun again."""

    sensor: Annotated[Name, Field(description="which sensor")]


class CalibrateStatus(Command):
    """Tell how a calibration stands."""

    sensor: Annotated[Name, Field(description="which sensor")]


class Clip(Command):
    """Send the sound of an event, in pieces, on its clip topic."""

    event_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$", description="the event")]
    first: Annotated[int, Field(ge=0, le=100000, description="the first piece that is missing, from 0")] = 0


class Config(Command):
    """Tell the configuration in force: which files secrets are in, and none of them; of programs no arguments."""


class ConfigSet(Command):
    """Change settings of the sections decision, night, publish and evidence, from the next start on. If any is wrong,
    none is changed."""

    changes: Annotated[dict[str, dict[str, Any]], Field(description="values by section and name")]
    reset: Annotated[bool, Field(description="whether what was changed before is forgotten")] = False


class ModelPiece(Command):
    """Take one piece of a signed bundle; the reply says which is wanted next. After a break, begin with that."""

    sha256: Annotated[Sha256, Field(description="of the whole file")]
    size_bytes: Annotated[int, Field(ge=1, le=67108864, description="of the whole file")]
    piece: Annotated[int, Field(ge=0, le=2048, description="which piece, from 0; each but the last has 32768 bytes")]
    data: Annotated[Base64Bytes, Field(description="the bytes of the piece, in base64")]


class ModelInstall(Command):
    """Verify a bundle that has come whole, and score it beside the one at work. Once it has stood that, as the model
    topic tells, the next start lets it run, on probation."""

    sha256: Annotated[Sha256, Field(description="of the file that was sent")]
    without_calibration: Annotated[bool, Field(description="also for sensors that have no calibration for it")] = False


class ModelStatus(Command):
    """Tell which bundles are installed, what became of them, and how the one that waits compares with that at work."""


class ModelConfirm(Command):
    """Keep the bundle that is on probation."""


class ModelRollback(Command):
    """Withdraw the bundle that waits, or leave the one that runs at the next start."""


class Rebirth(Command):
    """Say again all that is retained: status, birth, health, states."""


class Restart(Command):
    """End the daemon in order, for the service manager to start it anew."""


COMMANDS: dict[str, type[Command]] = {
    "ping": Ping,
    "selftest": Selftest,
    "ack": Ack,
    "mute": Mute,
    "unmute": Unmute,
    "calibrate-start": CalibrateStart,
    "calibrate-stop": CalibrateStop,
    "calibrate-status": CalibrateStatus,
    "clip": Clip,
    "config": Config,
    "config-set": ConfigSet,
    "model-piece": ModelPiece,
    "model-install": ModelInstall,
    "model-status": ModelStatus,
    "model-confirm": ModelConfirm,
    "model-rollback": ModelRollback,
    "rebirth": Rebirth,
    "restart": Restart,
}
"""By verb, which is the last level of the topic."""


class _Identified(BaseModel):
    request_id: Name


def parse(verb: str, payload: bytes) -> Command:
    """Read a request.

    Raises
    ------
    CommandError
        If it is none; with its `request_id` where it has one that can be answered.
    """
    if len(payload) > MAX_BYTES:
        raise CommandError(f"a request of {len(payload)} bytes", expected=f"{MAX_BYTES} at most")
    form = COMMANDS.get(verb)
    try:
        if form is None:
            raise CommandError(f"no command {verb!r}", expected=f"one of {', '.join(COMMANDS)}")
        return form.model_validate_json(payload)
    except (CommandError, ValidationError) as error:
        raise CommandError(_words(error), request_id=request_id(payload)) from error


def schema(verb: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a command."""
    content = COMMANDS[verb].model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"hydroear/command/1/{verb}",
        **{key: value for key, value in content.items() if key != "title"},
    }


def _words(error: CommandError | ValidationError) -> str:
    if isinstance(error, CommandError):
        return str(error)
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'the request'}: {problem['msg'][:200]}" for problem in problems[:5]
    )


def request_id(payload: bytes) -> str | None:
    """The id of a request that may be wrong otherwise; None if it has none that can be answered."""
    try:
        return _Identified.model_validate_json(payload).request_id
    except ValidationError:
        return None
