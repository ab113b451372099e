"""The live view of all units on a terminal."""

from __future__ import annotations

import errno
import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hydroear.audio import Stretch
from hydroear.dsp.mel import hz_to_mel, mel_to_hz
from hydroear.errors import UsageError
from hydroear.evidence.spectrogram import cubehelix, levels, range_db
from hydroear.room.board import Board, Row
from hydroear.room.ledger import Change, EventView, Ledger, Severity
from hydroear.room.questions import Answer, Questions
from hydroear.room.session import Heard, LinkNews, Session
from hydroear.room.sounds import Sounds
from hydroear.room.table import cells, clock, severity_of, summary, troubles_of
from hydroear.room.terminal import Keyboard

KEYS = "↑↓ enter  a acknowledge  m mute  u unmute  c clip  t self-test  q quit"
COLOURS: Mapping[Severity, str] = {
    Severity.LEAK: "bold white on red",
    Severity.ALARM: "bold white on magenta",
    Severity.DEAF: "bold black on yellow",
    Severity.WARNING: "yellow",
    Severity.UNWELL: "magenta",
    Severity.ACKNOWLEDGED: "red",
    Severity.NOISY: "blue",
    Severity.LEARNING: "cyan",
    Severity.QUIET: "green",
}
TOP_HZ = 4000.0
"""Highest frequency of a spectrogram: leaks are heard below 2 kHz, and what is above tells what they are not."""
POLL_S = 0.1
MAX_AT_A_TIME = 1000
"""Messages between two looks at the keyboard."""
REDRAW_S = 0.25
"""How often the screen is drawn at most, but for keys: a thousand units say something all the time."""
CLOCK_S = 1.0
RECORDED = timedelta(minutes=5)
"""What was heard so long before it was said comes from a logger."""
MIN_SIZE = (60, 16)
MAX_PICTURE_ROWS = 16
_SHADES = cubehelix(64)
_AXIS = 7


class Screen:
    """What is on the screen: all that is known, and what the operator makes of it.

    Parameters
    ----------
    session
        Hears :data:`~hydroear.room.session.FILTERS`.
    questions
        Publishes by it.
    """

    def __init__(self, session: Session, questions: Questions) -> None:
        self._session, self._questions = session, questions
        self._sounds = Sounds(questions, session.subscribe)
        self._ledger, self.board = Ledger(), Board()
        self._link = LinkNews(False, "")
        self._last = ""
        self._ticked_s = 0.0
        self._drawn: tuple[Stretch, object] | None = None
        self._lines: list[Text] = []

    def hear(self) -> list[Change]:
        """Take in all that has happened since the last time; gives what is new."""
        changes: list[Change] = []
        for _ in range(MAX_AT_A_TIME):
            match self._session.next(0.0):
                case Heard() as heard:
                    if not self._sounds.hear(heard.topic, heard.payload):
                        changes += self._ledger.take(
                            heard.topic, heard.payload, retained=heard.retained, now=heard.time
                        )
                    if (answer := self._questions.hear(heard.topic, heard.payload)) is not None:
                        self._told(answer)
                case LinkNews() as news:
                    self._link = news
                case None:
                    break
        for answer in self._questions.tend():
            self._told(answer)
        self._sounds.tend()
        if time.monotonic() >= self._ticked_s + CLOCK_S:
            self._ticked_s = time.monotonic()
            changes += self._ledger.tick(datetime.now(UTC))
        return changes

    def press(self, key: str) -> None:
        """Take a key."""
        order = self.board.press(key)
        if order is None:
            return
        if order.verb == "clip":
            self._sounds.fetch(order.unit, str(order.fields["event_id"]))
        else:
            self._questions.ask(order.unit, order.verb, order.fields)

    def draw(self, width: int, height: int, now: datetime) -> Group:
        """The screen as it is at a time, in exactly so many lines of at most so many columns."""
        units = self._ledger.units(now)
        self.board.show(units)
        if width < MIN_SIZE[0] or height < MIN_SIZE[1]:
            lines = [Text(f"too small: at least {MIN_SIZE[0]}x{MIN_SIZE[1]}"), *_rows(self.board, width, height - 1)]
            return _fitted(lines, width, height)
        head = Text(f" hydroear room   {summary(units)}", style="reverse")
        if not self._link.connected:
            head = Text(f" NOT CONNECTED: {self._link.why or 'connecting'}", style="bold white on red")
        head.truncate(width, overflow="ellipsis", pad=True)
        body = height - 3
        listed = 0 if self.board.whole else min(max(len(self.board.rows), 1) + 1, (body - 1) // 2)
        middle = [*_rows(self.board, width, listed)] if listed else []
        if not self.board.rows:
            middle = [Text("no unit has said anything yet", style="dim")]
        middle += self._detail(width, body - len(middle))
        return _fitted([head, *_padded(middle, body), self._status(), Text(KEYS, style="dim")], width, height)

    def _picture(self, sound: Stretch, width: int, rows: int, band_hz: tuple[float, float] | None) -> list[Text]:
        """The picture, made anew only when something about it has changed."""
        shape = (width, rows, band_hz)
        if self._drawn is None or self._drawn[0] is not sound or self._drawn[1] != shape:
            self._drawn, self._lines = (sound, shape), picture(sound, width, rows, band_hz)
        return self._lines

    def _told(self, answer: Answer) -> None:
        self._sounds.take(answer)
        self._last = f"{answer.unit} {answer.verb}: {answer.outcome}"
        if answer.error:
            self._last += f": {answer.error}"
        elif answer.verb == "selftest":
            self._last += f", {answer.values.get('result')}"

    def _status(self) -> Text:
        if self.board.prompt is not None:
            return Text(self.board.prompt.text, style="bold black on yellow")
        if self.board.status:
            return Text(self.board.status)
        waiting = ", ".join(self._questions.waiting)
        return Text("   ".join(filter(None, [self._last, f"waiting for {waiting}" if waiting else "", self._link.why])))

    def _detail(self, width: int, height: int) -> list[Text]:
        """What is known of the selected row, and the picture of its sound in the room that is left."""
        row, event = self.board.row, self.board.event
        if row is None or height < 2:
            return []
        lines = [line for text, style in _told_of(row, event) for line in _wrapped(text, width, style)]
        sound = None if event is None else self._sounds.of(event.event_id)
        if isinstance(sound, str):
            lines.insert(1, Text(sound, style="cyan"))
        lines = lines[:height]
        if isinstance(sound, Stretch):
            # The picture goes before the last words: those who asked for it want to see it.
            picture_rows = min(MAX_PICTURE_ROWS, max(height - len(lines), height // 2))
            band = None if event is None or event.low_hz is None else (event.low_hz, event.high_hz or event.low_hz)
            lines = lines[: height - picture_rows] + self._picture(sound, width, picture_rows, band)
        return lines


def run(session: Session, questions: Questions) -> None:
    """Show the screen until the operator leaves it.

    Raises
    ------
    UsageError
        There is no terminal.
    KeyboardInterrupt
        It was ended by a signal.
    """
    console = Console()
    if not (sys.stdin.isatty() and console.is_terminal and not console.is_dumb_terminal):
        raise UsageError("no terminal to show it on", where="room", fix="give --once or --json")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    screen = Screen(session, questions)
    try:
        with Keyboard(sys.stdin.fileno()) as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
            _show(screen, console, keyboard, live)
    except OSError as error:
        if error.errno != errno.EIO:  # the terminal is gone, and whoever looked at it
            raise
    except EOFError:
        pass


def _show(screen: Screen, console: Console, keyboard: Keyboard, live: Live) -> None:
    drawn_s, drawn_size, new = -CLOCK_S, os.terminal_size((0, 0)), True
    while not screen.board.over:
        changes = screen.hear()
        if any(map(_is_loud, changes)):
            console.bell()
        new = new or bool(changes)
        now_s, size = time.monotonic(), os.get_terminal_size(sys.stdout.fileno())
        if size != drawn_size or now_s - drawn_s >= (REDRAW_S if new else CLOCK_S):
            live.update(screen.draw(*size, datetime.now(UTC)), refresh=True)
            drawn_s, drawn_size, new = time.monotonic(), size, False
        for key in keyboard.pressed(POLL_S):
            screen.press(key)
            drawn_s = -CLOCK_S


def _is_loud(change: Change) -> bool:
    return (change.kind == "alarm" and change.about["state"] == "leak") or (
        change.kind == "device-alarm" and change.about["open"]
    )


def _rows(board: Board, width: int, height: int) -> Iterator[Text]:
    """The list, scrolled so that the selected row is in it."""
    name = min(max([4, *(len(unit.unit) for unit, _ in board.rows)]), (width - 44) // 2)
    sensor = min(max([6, *(len(ear.sensor) for _, ear in board.rows if ear)]), (width - 44) // 2)
    yield Text(f"  {'':<12} {'unit':<{name}} {'sensor':<{sensor}} {'score':>5} {'level':>7}  ", style="bold")
    shown = max(0, height - 1)
    first = min(max(0, board.index - shown // 2), max(0, len(board.rows) - shown))
    for index, row in enumerate(board.rows[first : first + shown], first):
        severity, unit, ear, _, score, level, words = cells(*row)
        mark = "▶" if index == board.index else " "
        line = Text(f"{mark} ")
        line.append(f"{severity:<12}", style=COLOURS[severity_of(*row)])
        rest = f" {_cut(unit, name)} {_cut(ear, sensor)} {score:>5} {level:>7}  {words}"
        line.append(rest, style="bold" if index == board.index else "")
        yield line


def _told_of(row: Row, event: EventView | None) -> Iterator[tuple[str, str]]:
    """All that there is to say of a row, the most important first, each with its style."""
    unit, sensor = row
    severity = severity_of(unit, sensor)
    name = unit.unit if sensor is None else f"{unit.unit} / {sensor.sensor}"
    state = "" if sensor is None or sensor.state in (None, str(severity)) else f", {sensor.state}"
    yield f"── {name}: {severity}{state} ──", "bold"
    for trouble in troubles_of(unit, sensor):
        yield f"! {trouble}", "bold red"
    if sensor is not None and sensor.muted_s is not None:
        yield f"! muted for {sensor.muted_s / 3600.0:.1f} hours more: it calls no leak", "bold yellow"
    if event is not None:
        since = "before this room listened" if event.opened_time is None else clock(event.opened_time)
        yield f"{event.state if event.state != 'quiet' else 'over'}: event {event.event_id}, opened {since}", ""
        yield from ((sentence, "") for sentence in event.sentences)
        yield from ((f"{clock(step.time)} {step.phase}: {step.reason}", "dim") for step in reversed(event.steps))
    for alarm in unit.alarms:
        if sensor is not None and sensor.sensor in alarm.sensors:
            until = f" to {clock(alarm.closed_time)}" if alarm.closed_time else "" if alarm.open else ", over"
            yield (
                f"{alarm.alarm} {clock(alarm.opened_time)}{until}: {alarm.reason or 'told before this room listened'}",
                "dim",
            )
    if sensor is not None and sensor.heard_time and unit.heard_time and unit.heard_time - sensor.heard_time > RECORDED:
        yield f"was recorded until {clock(sensor.heard_time)}", ""
    heard = "never" if unit.heard_time is None else clock(unit.heard_time)
    made = ", ".join(filter(None, [f"model {unit.model}" if unit.model else "", f"hydroear {unit.version}"]))
    yield f"last heard {heard}, {made if unit.version else 'no birth'}", "dim"
    if unit.unreadable:
        yield f"{unit.unreadable} of its messages could not be understood", "dim"


def picture(sound: Stretch, width: int, rows: int, band_hz: tuple[float, float] | None) -> list[Text]:
    """A spectrogram in so many lines: two frequencies a line, time from left to right.

    Parameters
    ----------
    sound
        What to show.
    width, rows
        Size in characters; the last line tells the time.
    band_hz
        A band to mark at the axis.
    """
    if rows < 3 or not len(sound.samples):
        return []
    top_hz, pixels, columns = min(TOP_HZ, 0.5 * sound.rate_hz), 2 * (rows - 1), width - _AXIS
    level_db, _ = levels(sound, top_hz=top_hz, rows=pixels, columns=columns)
    low_db, high_db = range_db(level_db)
    shades = ((len(_SHADES) - 1) * np.clip((level_db - low_db) / (high_db - low_db), 0.0, 1.0)).round().astype(int)
    edges_hz = mel_to_hz(np.linspace(float(hz_to_mel(top_hz)), 0.0, rows))
    lines = []
    for row in range(rows - 1):
        inside = band_hz is not None and edges_hz[row + 1] < band_hz[1] and edges_hz[row] > band_hz[0]
        label = f"{edges_hz[row] / 1000.0:.1f}k" if row % 3 == 0 else ""
        line = Text(f"{label:>{_AXIS - 2}} ")
        line.append("┃" if inside else "│", style="bold green" if inside else "dim")
        for upper, lower in zip(shades[2 * row], shades[2 * row + 1], strict=True):
            line.append("▀", style=f"{_colour(upper)} on {_colour(lower)}")
        lines.append(line)
    return [*lines, Text(f"{'0 s':>{_AXIS + 2}}{f'{sound.length_s:.1f} s':>{columns - 2}}", style="dim")]


def _colour(shade: int) -> str:
    red, green, blue = _SHADES[shade]
    return f"rgb({red},{green},{blue})"


def _cut(text: str, width: int) -> str:
    return f"{text if len(text) <= width else text[: width - 1] + '…':<{width}}"


def _wrapped(text: str, width: int, style: str) -> list[Text]:
    return [Text(line, style=style) for line in textwrap.wrap(text, width, subsequent_indent="  ") or [""]]


def _padded(lines: list[Text], height: int) -> list[Text]:
    return lines[:height] + [Text("")] * (height - len(lines))


def _fitted(lines: list[Text], width: int, height: int) -> Group:
    """Lines that a terminal of a size can show without breaking any."""
    lines = _padded(lines, height)
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)
