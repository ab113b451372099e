"""A unit that runs as people run it, and can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from itertools import count
from pathlib import Path
from typing import Any, Self

import yaml

from broker import wait_for
from hydroear.model import SHIPPED_BUNDLE
from hydroear.outbox import Outbox
from listening import DECISION, Samples, command, json_lines, said, write

SENSOR = "hydrant-7"
SPEED = 30.0


class Daemon:
    """A running ``hydroear run --json``, killed at the end of its ``with`` if it still runs."""

    def __init__(self, config: Path, **environment: str) -> None:
        self._process = subprocess.Popen(
            command("run", "--json", "-c", config),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(pipe,))
            for lines, pipe in ((self._stdout, self._process.stdout), (self._stderr, self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    @property
    def windows(self) -> list[dict[str, Any]]:
        """The windows told so far."""
        return json_lines("".join(self._stdout), "window")

    @property
    def states(self) -> list[str]:
        """The states entered so far."""
        return [line["state"] for line in json_lines("".join(self._stdout), "state")]

    @property
    def complaints(self) -> list[str]:
        """What it said on standard error so far."""
        return said("".join(self._stderr))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it for now."""
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; give its exit code."""
        code = self._process.wait(timeout_s)
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        return code

    def wait_for_state(self, state: str) -> None:
        """Wait until it enters a state."""
        wait_for(lambda: state in self.states, f"the state {state}: {self.complaints}", timeout_s=60.0)


class Unit:
    """A unit whose configuration tests change between its runs."""

    def __init__(self, folder: Path, site: Path | None) -> None:
        self._folder, self.site = folder, site
        self._numbers = count()
        self.mqtt: dict[str, Any] = {}
        self.models: dict[str, Any] = {}
        self.bundle = SHIPPED_BUNDLE

    @property
    def outbox(self) -> list[dict[str, Any]]:
        """Payloads of the events that wait, while no daemon runs."""
        with Outbox(self._folder / "state" / "outbox.sqlite") as outbox:
            return [json.loads(s.message.payload) for s in outbox.pending(1000) if "/event/" in s.message.topic]

    def recording(self, samples: Samples, *, speed: float = SPEED) -> dict[str, Any]:
        """A source that plays samples."""
        path = write(self._folder / f"{next(self._numbers)}.wav", samples)
        return {"type": "wav", "files": [str(path)], "speed": speed}

    def configure(self, source: dict[str, Any], **decision: float) -> Path:
        """Write the configuration; settings of the decision change :data:`DECISION`."""
        config: dict[str, Any] = {
            "unit": "high-street",
            "bundle": str(self.bundle),
            "state_dir": str(self._folder / "state"),
            "sensors": [{"id": SENSOR, "source": source, **({"site": str(self.site)} if self.site else {})}],
            "decision": {**DECISION, **decision},
            "publish": {"state_every_s": 5.0, "event_update_every_s": 5.0},
            **({"mqtt": self.mqtt} if self.mqtt else {}),
            **({"models": self.models} if self.models else {}),
        }
        path = self._folder / "unit.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def run(self, samples: Samples, *, speed: float = SPEED, **environment: str) -> Daemon:
        """Run it on samples."""
        return Daemon(self.configure(self.recording(samples, speed=speed)), **environment)
