"""What an operator has before them: the selected row, what a key means there, and what is still to be confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydroear.room.ledger import EventView, SensorView, UnitView
from hydroear.room.table import rows

Row = tuple[UnitView, SensorView | None]

MUTES = {"1": ("1 hour", 3600.0), "8": ("8 hours", 28800.0), "d": ("a day", 86400.0)}


@dataclass(frozen=True)
class Order:
    """What is to be asked of a unit.

    Attributes
    ----------
    unit, verb, fields
        As :class:`~hydroear.room.questions.Questions` takes them.
    """

    unit: str
    verb: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """A question to the operator; any key that is no choice takes it back.

    Attributes
    ----------
    text
        The question, with its choices.
    choices
        What each key orders.
    """

    text: str
    choices: Mapping[str, Order]


class Board:
    """Turns keys into orders.

    Until a row was chosen by hand, the worst one is selected; from then on the chosen one stays so, wherever it moves.
    What silences an alarm is confirmed first, and is about what was selected when it was asked, whatever happens
    meanwhile.

    Attributes
    ----------
    rows
        What is listed, the worst first.
    whole
        Whether the selected row's detail has the whole screen.
    prompt
        What is to be confirmed; None where nothing is.
    status
        What the last key came to, where it ordered nothing.
    over
        Whether the operator wants to leave.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.whole = self.over = False
        self.prompt: Prompt | None = None
        self.status = ""
        self._chosen: tuple[str, str] | None = None

    def show(self, units: Sequence[UnitView]) -> None:
        """List what is known now."""
        self.rows = rows(units)
        if self._chosen not in [_name(row) for row in self.rows]:
            self._chosen = None

    @property
    def index(self) -> int:
        """Which row is selected, from 0."""
        names = [_name(row) for row in self.rows]
        return names.index(self._chosen) if self._chosen in names else 0

    @property
    def row(self) -> Row | None:
        """The selected row; None where there is none."""
        return self.rows[self.index] if self.rows else None

    @property
    def event(self) -> EventView | None:
        """The event to show of the selected row: the open one, or else the latest."""
        unit, sensor = self.row or (None, None)
        if unit is None or sensor is None:
            return None
        mine = [event for event in unit.events if event.sensor == sensor.sensor]
        return next((event for event in mine if event.event_id == sensor.event_id), mine[0] if mine else None)

    def press(self, key: str) -> Order | None:
        """Take a key; gives what it orders, if it does."""
        self.status = ""
        prompt, self.prompt = self.prompt, None
        if prompt is not None:
            if key not in prompt.choices:
                self.status = "taken back"
            return prompt.choices.get(key)
        match key:
            case "up" | "k":
                self._move(-1)
            case "down" | "j":
                self._move(1)
            case "enter":
                self.whole = not self.whole
            case "escape" | "q" if self.whole:
                self.whole = False
            case "q":
                self.over = True
            case _ if self.row is not None:
                return self._order(key, *self.row)
        return None

    def _move(self, rows: int) -> None:
        if self.rows:
            self._chosen = _name(self.rows[min(max(self.index + rows, 0), len(self.rows) - 1)])

    def _order(self, key: str, unit: UnitView, sensor: SensorView | None) -> Order | None:
        if key == "t":
            return Order(unit.unit, "selftest")
        if key not in ("a", "m", "u", "c"):
            return None
        if sensor is None:
            self.status = f"{unit.unit} has told of no sensor"
            return None
        name, event = f"{sensor.sensor} of {unit.unit}", self.event
        if key == "u":
            return Order(unit.unit, "unmute", {"sensor": sensor.sensor})
        if key == "c" and event is not None:
            return Order(unit.unit, "clip", {"event_id": event.event_id})
        if key == "a" and event is not None and event.state == "leak":
            order = Order(unit.unit, "ack", {"event_id": event.event_id})
            self.prompt = Prompt(f"Take the leak at {name} on?  y yes, any other key no", {"y": order})
        elif key == "m":
            words = ", ".join(f"{choice} {word}" for choice, (word, _) in MUTES.items())
            self.prompt = Prompt(
                f"Let {name} call no leak for how long?  {words}, any other key not at all",
                {
                    choice: Order(unit.unit, "mute", {"sensor": sensor.sensor, "for_s": for_s})
                    for choice, (_, for_s) in MUTES.items()
                },
            )
        else:
            self.status = f"{name} has no {'leak to take on' if key == 'a' else 'event to hear'}"
        return None


def _name(row: Row) -> tuple[str, str]:
    unit, sensor = row
    return unit.unit, sensor.sensor if sensor is not None else ""
