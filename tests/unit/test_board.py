"""What an operator's keys come to, and what they see of a sound."""

from __future__ import annotations

import os
import pty
import termios
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.color import Color

from hydroear.audio import Stretch
from hydroear.dsp.mel import hz_to_mel
from hydroear.room.board import Board, Order
from hydroear.room.ledger import EventView, SensorView, Severity, UnitView
from hydroear.room.screen import TOP_HZ, picture
from hydroear.room.terminal import Keyboard, keys

OPENED = datetime(2025, 3, 1, 2, 0, tzinfo=UTC)


def unit(name: str, severity: Severity, *, event: str | None = None) -> UnitView:
    sensor = SensorView("pipe", severity, severity, (), 1.0, -40.0, None, None, event)
    state = "leak" if severity is Severity.LEAK else "acknowledged"
    events = () if event is None else (EventView(name, "pipe", event, state, OPENED, None, None, (), ()),)
    return UnitView(name, severity, True, OPENED, (), (sensor,), events, (), "", "", 0)


@pytest.fixture
def board() -> Board:
    """Three units, the first with a leak."""
    board = Board()
    board.show([unit("a", Severity.LEAK, event="leak-1"), unit("b", Severity.WARNING), unit("c", Severity.QUIET)])
    return board


def selected(board: Board) -> str:
    assert board.row is not None
    return board.row[0].unit


def test_the_worst_is_selected_until_a_row_is_chosen_which_stays_so(board: Board) -> None:
    board.show([unit("b", Severity.LEAK, event="leak-2"), unit("a", Severity.WARNING)])
    assert selected(board) == "b"
    board.press("down")
    assert selected(board) == "a"
    board.show([unit("a", Severity.LEAK, event="leak-1"), unit("b", Severity.WARNING)])
    assert selected(board) == "a"
    for key in "kkk":
        board.press(key)
    assert (selected(board), board.index) == ("a", 0)
    for key in "jjjj":
        board.press(key)
    assert selected(board) == "b"
    board.show([unit("a", Severity.QUIET)])
    assert selected(board) == "a"
    board.show([])
    assert board.row is None
    assert board.press("a") is None


def test_a_leak_is_taken_on_only_once_that_is_confirmed(board: Board) -> None:
    assert board.press("a") is None
    assert board.prompt is not None
    assert "Take the leak at pipe of a on?" in board.prompt.text
    assert board.press("n") is None
    assert board.status == "taken back"
    assert board.press("y") is None
    board.press("a")
    # What is confirmed is what was asked, also when something else comes to the top meanwhile.
    board.show([unit("0", Severity.LEAK, event="leak-0"), unit("a", Severity.LEAK, event="leak-1")])
    assert board.press("y") == Order("a", "ack", {"event_id": "leak-1"})


def test_muting_asks_for_how_long(board: Board) -> None:
    assert board.press("m") is None
    assert board.press("8") == Order("a", "mute", {"sensor": "pipe", "for_s": 28800.0})
    assert board.press("8") is None


def test_what_is_harmless_is_ordered_at_once_and_what_cannot_be_is_told(board: Board) -> None:
    assert board.press("u") == Order("a", "unmute", {"sensor": "pipe"})
    assert board.press("t") == Order("a", "selftest")
    assert board.press("c") == Order("a", "clip", {"event_id": "leak-1"})
    board.press("down")
    assert board.press("c") is None
    assert board.status == "pipe of b has no event to hear"
    assert board.press("a") is None
    assert board.status == "pipe of b has no leak to take on"
    assert board.press("x") is None


def test_leaving_the_whole_view_is_not_leaving(board: Board) -> None:
    board.press("enter")
    assert board.whole
    board.press("q")
    assert (board.whole, board.over) == (False, False)
    board.press("q")
    assert board.over


def test_keys_are_told_apart_however_they_arrive() -> None:
    assert keys("\x1b[A\x1bOBj\x1b\r") == ["up", "down", "j", "escape", "enter"]
    assert keys("\x1b[1;5C\x1b[3~\x7f\x01ay") == ["a", "y"]
    assert keys("\x1b[") == []
    assert keys("é") == ["é"]


def test_a_terminal_is_as_it_was_whatever_happens() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with suppress(ZeroDivisionError), Keyboard(slave):
        assert not termios.tcgetattr(slave)[3] & termios.ICANON
        raise ZeroDivisionError
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("tone_hz", [300.0, 1000.0, 3000.0])
def test_a_tone_is_bright_where_it_is_heard(tone_hz: float) -> None:
    time_s = np.arange(32_000) / 16_000
    samples = 0.3 * np.sin(2 * np.pi * tone_hz * time_s) * (time_s > 1.0)
    rng = np.random.default_rng(1)
    samples = (samples + 1e-4 * rng.standard_normal(len(time_s))).astype(np.float32)
    lines = picture(Stretch(16_000, 0, samples, np.ones(len(samples), np.bool_)), 67, 13, (tone_hz - 50, tone_hz + 50))
    assert len(lines) == 13
    light = np.array([[brightness(str(span.style)) for span in line.spans[1:]] for line in lines[:-1]])
    assert light.shape == (12, 60)
    row = int(12 * (1.0 - float(hz_to_mel(tone_hz)) / float(hz_to_mel(TOP_HZ))))
    assert abs(int(light[:, 45].argmax()) - row) <= 1
    assert light[:, 45].max() > 4 * light[:, 15].max()
    assert "┃" in "".join(line.plain for line in lines[row - 1 : row + 2])
    assert lines[-1].plain.split() == ["0", "s", "2.0", "s"]


def brightness(style: str) -> float:
    upper, lower = (Color.parse(colour).get_truecolor() for colour in style.split(" on "))
    return float(max(sum(upper), sum(lower)))
