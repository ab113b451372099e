"""What a unit says of how it is doing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hydroear.audio import level_of, unit_of
from hydroear.evidence import Writer
from hydroear.health.clock import clock_error_s
from hydroear.health.machine import look_at_machine
from hydroear.model import Bundle
from hydroear.mqtt import payloads
from hydroear.outbox import Outbox

if TYPE_CHECKING:
    from hydroear.app.alarms import AlarmReporter
    from hydroear.app.unit import Ear


def health_of(
    ears: Sequence[Ear],
    alarms: AlarmReporter,
    *,
    outbox: Outbox,
    writer: Writer | None,
    refused: int,
    state_dir: Path,
    bundle: Bundle,
    shadow: payloads.ShadowHealth | None,
    started_s: float,
) -> payloads.Health:
    """How a unit is doing now.

    Parameters
    ----------
    ears
        Its sensors.
    alarms
        Knows what their devices report.
    outbox
        Where its messages wait.
    writer
        Keeps its evidence; None where none is kept.
    refused
        Messages that the broker refused.
    state_dir
        Where its state is.
    bundle
        What it scores with.
    shadow
        How far the model has come that hears beside it; None where none does.
    started_s
        Monotonic time at which it started.
    """
    return payloads.Health(
        uptime_s=round(time.monotonic() - started_s, 1),
        rss_bytes=_rss_bytes(),
        queue_depth=outbox.depth(),
        drops={kind.name.lower(): count for kind, count in outbox.drops().items()},
        refused=refused,
        disk_free_bytes=_free_bytes(state_dir),
        cpu_temperature_c=look_at_machine().temperature_c,
        clock_error_s=clock_error_s(),
        model=bundle.name,
        shadow=shadow,
        sensors={ear.sensor: _sensor_health(ear, writer, alarms) for ear in ears},
    )


def _sensor_health(ear: Ear, writer: Writer | None, alarms: AlarmReporter) -> payloads.SensorHealth:
    latencies_ms = list(ear.latencies_ms)
    p50, p95 = (round(float(p), 3) for p in np.percentile(latencies_ms, [50, 95])) if latencies_ms else (None, None)
    return payloads.SensorHealth(
        state=ear.pipeline.state.value,
        level_db=_rounded(ear.pipeline.level_db, 3),
        level=level_of(ear.pipeline.level_db, ear.source.scale),
        level_unit=unit_of(ear.source.scale),
        floor_db=_rounded(ear.pipeline.floor_db, 3),
        windows_scored=ear.pipeline.windows_scored,
        windows_skipped=ear.pipeline.windows_skipped,
        windows_vetoed=ear.pipeline.windows_vetoed,
        gaps=ear.pipeline.gaps,
        samples_lost=ear.pipeline.samples_lost,
        overflows=ear.source.overflows,
        drift_ppm=_rounded(ear.source.drift_ppm, 1),
        score_p50_ms=p50,
        score_p95_ms=p95,
        condition=ear.pipeline.liveness.condition.value,
        ailment=ear.pipeline.liveness.ailment,
        evidence=None if writer is None else _evidence_health(ear.sensor, writer),
        device=ear.source.device,
        alarms=alarms.of(ear.sensor),
        resting=ear.pipeline.resting,
    )


def _evidence_health(sensor: str, writer: Writer) -> payloads.EvidenceHealth:
    counts = writer.store.counts
    return payloads.EvidenceHealth(
        clips=counts[sensor, "clip"],
        pictures=counts[sensor, "picture"],
        evicted=counts[sensor, "evicted"],
        refused=counts[sensor, "refused"],
        failed=counts[sensor, "failed"],
        dropped=writer.dropped[sensor],
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _rss_bytes() -> int:
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # a disk that is gone ends no listening
        return None
