"""The demo, as ``make demo`` runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path

from hydroear_train.demo import ControlRoom, judge
from hydroear_train.simulate import Span

LEAK = Span("leak", 100.0, 170.0, 2.0)


def test_the_demo_raises_one_alarm_and_clears_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hydroear_train.cli", "demo", "--out", str(tmp_path), "--speed", "24"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"demo: ok windows=\d+ alarms=1 false_alarms=0 time_to_alarm_s=\d+\.\d cleared=yes", last), last
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    phases = [event["phase"] for event in json.loads((tmp_path / "events.json").read_text())]
    assert (phases[0], phases[-1], phases.count("open")) == ("open", "close", 1)


def room(*messages: tuple[str, float]) -> ControlRoom:
    return ControlRoom(events=[{"phase": phase, "position_s": at_s} for phase, at_s in messages])


def test_the_verdict_is_no_rubber_stamp() -> None:
    assert judge(room(("open", 120.0), ("close", 190.0)), 200, LEAK).ok
    assert not judge(room(), 200, LEAK).ok
    assert not judge(room(("open", 60.0), ("close", 90.0)), 200, LEAK).ok
    assert not judge(room(("open", 120.0)), 200, LEAK).ok
    assert not judge(room(("open", 60.0), ("open", 120.0), ("close", 190.0)), 200, LEAK).ok
    assert not judge(room(("open", 120.0), ("close", 150.0)), 200, LEAK).ok
    assert judge(room(("open", 120.0), ("close", 190.0)), 200, LEAK).time_to_alarm_s == 20.0
