"""Logging to systemd's journal with fields, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

from hydroear.codes import Code

ADDRESS = Path("/run/systemd/journal/socket")
LONGEST_BYTES = 32 * 1024
"""Of one field. Longer datagrams than the kernel's buffers hold would have to be passed as files; nothing here is."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels of syslog(3)."""
_DEBUG = 7


def stderr_is_journal(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether standard error goes to the journal: ``JOURNAL_STREAM`` of systemd.exec(5) names its device and inode."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # there is none
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalHandler(logging.Handler):
    """Sends records to the journal, each with PRIORITY, UNIT, SENSOR, EVENT_ID, CODE and MESSAGE_ID where it has them.

    It waits for nobody: what a journal that hangs or is being restarted does not take goes to standard error where that
    is possible, or is lost.

    Parameters
    ----------
    address
        The journal's datagram socket.

    Attributes
    ----------
    unit
        Name of the unit; empty until it is known.
    """

    def __init__(self, address: Path = ADDRESS) -> None:
        super().__init__()
        self.unit = ""
        self._address = os.fspath(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            text = self.format(record)
            self._socket.sendto(encode_fields(self._fields(record, text)), self._address)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):  # a journal that hangs reads no standard error either
                print(text, file=sys.stderr)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord, text: str) -> dict[str, str]:
        code = getattr(record, "code", None)
        fields = {
            "MESSAGE": text,
            "PRIORITY": str(next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)),
            "SYSLOG_IDENTIFIER": "hydroear",
            "UNIT": self.unit,
            "SENSOR": getattr(record, "sensor", ""),
            "EVENT_ID": getattr(record, "event_id", ""),
            "CODE": code or "",
            "MESSAGE_ID": code.message_id if isinstance(code, Code) else "",
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
        }
        return {name: value for name, value in fields.items() if value}


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """A datagram of the native protocol; each value has its length before it, so that none can begin another field."""
    datagram = bytearray()
    for name, value in fields.items():
        data = value.encode(errors="replace")[:LONGEST_BYTES]
        datagram += name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return bytes(datagram)
