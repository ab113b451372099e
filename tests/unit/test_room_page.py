"""The page about the control room shows the screen as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from hydroear.mqtt import payloads, topics
from hydroear.room.questions import Questions
from hydroear.room.screen import Screen
from hydroear.room.session import Heard, LinkNews

PAGE = (Path(__file__).parents[2] / "daemon/docs/room.md").read_text()
NOW = datetime(2025, 3, 1, 2, 14, 5, tzinfo=UTC)
EVENT = "hydrant-7-20250301T021105Z-5f0c1d2e"
REASONS = [
    "The score has been high for 16 min, with 97 % of the windows at or over the raise level of 4.2 decades; half of "
    "them reach 6.3.",
    "It changed most from 420 Hz to 890 Hz: 9.4 dB over what is normal at this site, compared with the other bands.",
    "It is broadband, as a jet of water is: 2 % of the band's power is in narrow lines.",
    "It is steady: its level varies by 0.7 dB.",
]


def said(unit: str, topic: str, body: payloads.Body, *, minutes_ago: float = 1.0) -> Heard:
    time = NOW - timedelta(minutes=minutes_ago)
    stamp = payloads.Stamp(unit, time, "synchronised", "boot", 0, None)
    return Heard(topic, payloads.encode(body, stamp), False, time)


def street(unit: str, sensor: str, state: Any, score: float, level_db: float, **how: Any) -> list[Heard]:
    """What a unit says that is there and has one sensor."""
    own = payloads.SensorHealth(
        state, level_db, None, None, -60.0, 9, 0, 0, 0, 0, 0, None, None, None, "healthy", "", None, None
    )
    own = replace(own, **{key: how[key] for key in ("condition", "ailment") if key in how})
    heard = payloads.State(
        sensor, state, score, level_db, None, None, NOW, 0.0, 9, 0, how.get("event_id"), how.get("muted_s")
    )
    ears = [payloads.SensorBirth(sensor, "microphone", "port:1-1", 16000, (1,), calibrated=True)]
    health, ago = (
        payloads.Health(9.0, 1, 0, {}, 0, None, None, None, "m", None, {sensor: own}),
        how.get("minutes_ago", 1.0),
    )
    return [
        said(unit, topics.birth(unit), payloads.Birth({"hydroear": "0.1.0"}, "litert", "cast-iron", ears, [], None)),
        said(unit, topics.health(unit), health, minutes_ago=ago),
        said(unit, topics.state(unit, sensor), heard),
        said(unit, topics.status(unit), payloads.Status(how.get("status", "online"))),
    ]  # fmt: skip


class Line:
    """A connection over which all of that came."""

    def __init__(self) -> None:
        opened = payloads.Event(
            EVENT, "hydrant-7", "open", "leak", NOW - timedelta(minutes=3), NOW, 0.0, 6.4, 4.9, -41.2, None, None,
            4.2, 0.1, "over the raise level for 10 min, and still at the recheck", {"sentences": REASONS},
        )  # fmt: skip
        tampered = payloads.Alarm(
            "hydrant-2-tamper-20250301T015905Z-91b0c4d7", "hydrant-2", "tamper", "open", NOW - timedelta(minutes=15),
            None, None, payloads.AlarmDevice("hydrophone", "00a1b2"), "the case of the device was opened",
        )  # fmt: skip
        self._happened: list[Any] = [
            LinkNews(True),
            *street("high-street", "hydrant-7", "leak", 6.4, -41.2, event_id=EVENT),
            said("high-street", topics.event("high-street", EVENT), opened, minutes_ago=3.0),
            *street("mill-lane", "valve-2", "quiet", 0.4, -58.0, minutes_ago=20.0),
            *street(
                "pump-house", "main", "quiet", 0.4, -47.0, condition="degraded", ailment="some samples are clipped"
            ),
            *street("river-walk", "hydrant-3", "quiet", 0.9, -61.3, muted_s=1800.0),
            *street("station", "hydrant-1", "acknowledged", 5.2, -44.0),
            *street("weir", "hydrant-2", "quiet", 0.7, -60.2),
            said("weir", topics.alarm("weir", tampered.alarm_id), tampered),
        ]

    def next(self, _timeout_s: float) -> Any:
        return self._happened.pop(0) if self._happened else None

    def subscribe(self, wanted: str) -> None:
        raise AssertionError(wanted)


def test_the_page_shows_the_screen_as_it_is() -> None:
    screen = Screen(Line(), Questions(lambda *_: True, by="Ada"))  # type: ignore[arg-type]
    screen.hear()
    console = Console(width=80, height=24, color_system=None)
    with console.capture() as captured:
        console.print(screen.draw(80, 24, NOW))
    shown = "\n".join(line.rstrip() for line in captured.get().splitlines())
    assert f"```text\n{shown}\n```" in PAGE, f"put this into daemon/docs/room.md:\n{shown}"
