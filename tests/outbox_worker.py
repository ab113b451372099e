"""A daemon reduced to its outbox and its link, to be killed: ``outbox_worker.py FILE URL SENSOR...``.

Each line on standard input is a number: each sensor has so many events put, in order, going on where the file says that
an earlier process was killed.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from hydroear.config.schema import Mqtt
from hydroear.message import Kind, Message
from hydroear.mqtt import payloads, topics
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox

UNIT = "unit"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def stamp(seq: int = 0) -> payloads.Stamp:
    """The stamp of a message."""
    return payloads.Stamp(UNIT, datetime.now(UTC), "unknown", "boot", seq, None)


def event(sensor: str, seq: int) -> Message:
    """The update of an event that is as long as a real one."""
    body = payloads.Event(
        event_id=f"{sensor}-event",
        sensor=sensor,
        phase="update" if seq else "open",
        state="leak",
        opened_time=BEGAN,
        heard_time=BEGAN,
        position_s=float(seq),
        score_decades=4.0,
        horizon_decades=5.0,
        level_db=-40.0,
        level=None,
        level_unit=None,
        raise_decades=3.0,
        false_alarms_per_month=0.1,
        reason="rare for this site",
        evidence=None,
    )
    return Message(topics.event(UNIT, body.event_id), payloads.encode(body, stamp(seq)), Kind.EVENT)


def main(path: str, url: str, *sensors: str) -> None:
    """Put what standard input says, and deliver until killed."""
    outbox = Outbox(Path(path))
    link = Link(
        Mqtt(url=url, protocol="5", keepalive_s=10),
        unit=UNIT,
        outbox=outbox,
        birth=lambda: b"{}",
        status=lambda availability: payloads.encode(payloads.Status(availability), stamp()),
        reconnect_s=(0.1, 0.2),
    )
    link.start()
    put = {sensor: int(outbox.recall(sensor) or 0) for sensor in sensors}
    for line in sys.stdin:
        for number in range(min(put.values()), int(line)):
            for sensor in sensors:
                if put[sensor] == number:
                    put[sensor] = number + 1
                    outbox.put(event(sensor, number), remember={sensor: str(number + 1)})


if __name__ == "__main__":
    main(*sys.argv[1:])
