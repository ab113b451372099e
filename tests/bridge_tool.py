"""``hydroear-bridge`` as its users call it, and what it writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BRIDGE = str(Path(sys.executable).with_name("hydroear-bridge"))


def bridge(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [BRIDGE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done


class Serving:
    """``simulate --at`` or ``replay --at``; a context manager ends it, in order and without complaint.

    Attributes
    ----------
    port
        Where it is found.
    """

    def __init__(self, verb: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [BRIDGE, verb, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        self.port = self._process.stderr.readline().split()[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            self.wait()

    def wait(self) -> None:
        """Wait until it ends of its own accord."""
        assert self._process.communicate(timeout=30)[1] == ""
        assert self._process.returncode == 0


def recordings(folder: Path) -> list[tuple[dict[str, Any], NDArray[np.int32]]]:
    """What is told of each file, and its samples as integers of their own width, shape (n, channels)."""
    found = []
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text())
        with wave.open(str(folder / told["file"])) as file:
            assert file.getframerate() == round(told["rate_hz"])
            width, channels = file.getsampwidth(), file.getnchannels()
            data = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, width)
        words = np.zeros((len(data), 4), np.uint8)
        words[:, 4 - width :] = data
        samples = (words.view("<i4")[:, 0] >> 8 * (4 - width)).reshape(-1, channels)
        assert len(samples) == told["samples"]
        found.append((told, samples))
    return found
