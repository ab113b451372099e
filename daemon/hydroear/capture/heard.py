"""Which recordings of a logger were heard, remembered over restarts and power cuts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydroear.codes import Code, coded
from hydroear.wholefile import whole_file
from hydroear_bridge.frames import Recording

log = logging.getLogger(__name__)

_SCHEMA = "hydroear/recordings-heard/1"


class HeardRecordings:
    """Remembers what was heard, device by device.

    A recording is known by its number and its CRC-32: a device that was made new counts from the beginning again, and
    what it records then was not heard.

    Parameters
    ----------
    path
        Where it is remembered; its folder is there. What is damaged there is forgotten, with a warning: what the device
        still has is heard again then.

    Attributes
    ----------
    last_utc_s
        When the last one was heard to its end, or the first one began to be waited for, in seconds since
        1970-01-01T00:00:00Z; None before that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heard: dict[str, dict[int, int]] = {}
        self._begun: list[str | int] = []
        self.last_utc_s: float | None = None
        try:
            document: Any = json.loads(path.read_bytes())
            if document["schema"] != _SCHEMA:
                raise ValueError(f"schema {document['schema']!r}")
            self._heard = {
                str(device): {int(number): int(crc32) for number, crc32 in recordings.items()}
                for device, recordings in document["heard"].items()
            }
            self._begun = list(document["begun"])
            self.last_utc_s = None if document["last_utc_s"] is None else float(document["last_utc_s"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._heard, self._begun = {}, []
            log.warning(
                "%s: cannot be used (%s); what the logger still has is heard again",
                path,
                error,
                extra=coded(Code.MEMORY_LOST),
            )

    def __contains__(self, recording: tuple[str, Recording]) -> bool:
        """Whether a recording of a device, by its uid, was heard."""
        device, entry = recording
        return self._heard.get(device, {}).get(entry.recording) == entry.crc32

    def wait_from(self, utc_s: float) -> None:
        """The first recording is waited for from now on; nothing happens if one is already.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        if self.last_utc_s is None:
            self.last_utc_s = utc_s
            self._save()

    def begin(self, device: str, entry: Recording) -> bool:
        """A recording begins to be heard; gives whether it had begun before.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        begun: list[str | int] = [device, entry.recording, entry.crc32]
        if begun == self._begun:
            return True
        self._begun = begun
        self._save()
        return False

    def add(self, device: str, entry: Recording, utc_s: float) -> None:
        """A recording was heard to its end.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        self._heard.setdefault(device, {})[entry.recording] = entry.crc32
        self.last_utc_s = utc_s
        self._save()

    def keep_only(self, device: str, listed: Iterable[Recording]) -> None:
        """Forget recordings that a device does not have any more.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        known = self._heard.get(device, {})
        kept = {entry.recording: entry.crc32 for entry in listed if known.get(entry.recording) == entry.crc32}
        if kept != known:
            self._heard[device] = kept
            self._save()

    def _save(self) -> None:
        document = {"schema": _SCHEMA, "heard": self._heard, "begun": self._begun, "last_utc_s": self.last_utc_s}
        with whole_file(self._path) as out:
            out.write(json.dumps(document).encode())
