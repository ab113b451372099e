"""How the self-test judges what it measured, and that nothing it tries can stop it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from hydroear.audio import Gap
from hydroear.dsp import FrontEndSpec
from hydroear.errors import CaptureError
from hydroear.health.machine import look_at_machine
from hydroear.selftest import Finding, Result, overall
from hydroear.selftest.attempt import attempt
from hydroear.selftest.cli import table
from hydroear.selftest.machine import judge_clock, judge_machine
from hydroear.selftest.model import judge_latency
from hydroear.selftest.sensor import Heard, judge_sound, judge_source
from hydroear.selftest.tap import KNOCK_DB, knock_over_calm_db

RATE_HZ = 16_000
HISS = np.random.default_rng(0).normal(scale=0.01, size=3 * RATE_HZ).astype(np.float32)


def heard(samples: NDArray[np.float32], *gaps: Gap, rate_hz: int = RATE_HZ) -> Heard:
    return Heard(rate_hz, samples, first_sound_s=0.4, gaps=gaps)


def test_work_that_is_refused_or_crashes_becomes_a_row() -> None:
    def refuse() -> NoReturn:
        raise CaptureError("gone", where="alsa:mic", expected="a sensor", fix="plug it in")

    assert attempt("source", 5.0, refuse) == Finding("source", Result.FAIL, "alsa:mic: gone", "a sensor", "plug it in")
    crash = attempt("source", 5.0, lambda: int("x"))
    assert isinstance(crash, Finding)
    assert (crash.result, crash.measured) == (
        Result.FAIL,
        "unexpected ValueError: invalid literal for int() with base 10: 'x'",
    )
    assert attempt("source", 5.0, lambda: 42) == 42


def test_work_that_hangs_is_left_behind_in_time() -> None:
    release = threading.Event()
    began_s = time.monotonic()
    finding = attempt("source", 0.1, release.wait)
    assert time.monotonic() - began_s < 5.0
    release.set()
    assert isinstance(finding, Finding)
    assert (finding.result, finding.measured) == (Result.FAIL, "hangs")


def test_the_worst_stage_decides_and_a_skipped_one_does_not() -> None:
    rows = {result: Finding("stage", result, "") for result in Result}
    assert overall([rows[Result.PASS], rows[Result.SKIP]]) is Result.PASS
    assert overall([rows[Result.PASS], rows[Result.WARN], rows[Result.SKIP]]) is Result.WARN
    assert overall([rows[Result.FAIL], rows[Result.WARN]]) is Result.FAIL


@pytest.mark.parametrize(
    ("share_of_hop", "sensors", "result"),
    [(0.4, 1, Result.PASS), (0.6, 1, Result.WARN), (1.1, 1, Result.FAIL), (0.4, 2, Result.WARN), (0.4, 3, Result.FAIL)],
)
def test_a_window_must_fit_into_the_hop_for_every_sensor(share_of_hop: float, sensors: int, result: Result) -> None:
    spec = FrontEndSpec()
    finding = judge_latency([1e3 * share_of_hop * spec.window_hop_s] * 20, spec, sensors)
    assert finding.result is result
    assert bool(finding.fix) == (result is not Result.PASS)


def test_sound_passes_and_what_no_pipe_sounds_like_does_not() -> None:
    well = judge_sound("sound", heard(HISS))
    assert well.result is Result.PASS
    assert well.values["level_db"] == pytest.approx(-40.0, abs=0.1)
    stuck = judge_sound("sound", heard(np.full(3 * RATE_HZ, 0.25, np.float32)))
    assert (stuck.result, stuck.values["flat_share"]) == (Result.FAIL, 1.0)
    dropout = HISS.copy()
    dropout[RATE_HZ : RATE_HZ + RATE_HZ // 2] = 0.0
    interrupted = judge_sound("sound", heard(dropout))
    assert interrupted.result is Result.WARN
    assert interrupted.values["flat_share"] == pytest.approx(0.5 / 3, abs=0.04)
    loud = judge_sound("sound", heard(np.clip(60.0 * HISS, -1.0, 1.0)))
    assert loud.result is Result.WARN
    assert "lower the gain" in loud.fix


def test_a_source_with_gaps_warns_and_one_too_slow_or_too_short_for_the_front_end_fails() -> None:
    spec = FrontEndSpec()
    gap = judge_source("source", heard(HISS, Gap(100, 4_000, "driver overflow")), spec)
    assert gap.result is Result.WARN
    assert "driver overflow" in gap.measured
    assert gap.values["lost_s"] == 0.25
    slow = judge_source("source", heard(HISS, rate_hz=round(spec.high_hz)), spec)
    assert slow.result is Result.FAIL
    assert "carries nothing above" in slow.measured
    short = judge_source("source", heard(HISS[: RATE_HZ // 10]), spec)
    assert short.result is Result.FAIL
    assert judge_source("source", heard(HISS[: RATE_HZ // 10]), None).result is Result.PASS


def test_the_table_is_coloured_on_request_and_its_columns_stay_aligned() -> None:
    rows = [
        Finding("a", Result.PASS, "well", "wellness"),
        Finding("a long stage", Result.FAIL, "not " * 40 + "well", "wellness", "mend it"),
    ]
    plain, coloured = (table(rows, colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[31;1mfail\x1b[0m" in coloured
    head, first, second, *_ = plain.splitlines()
    assert head.index("expected") == first.index("wellness") == second.index("wellness")
    assert "do: mend it" in plain
    assert max(map(len, plain.splitlines())) <= 120


def test_a_sensor_that_is_off_zero_or_far_fainter_than_at_its_commissioning_is_told_apart() -> None:
    spec = FrontEndSpec()
    assert judge_sound("sound", heard(HISS), spec, quietest_db=-50.0).result is Result.PASS
    faint = judge_sound("sound", heard(HISS), spec, quietest_db=-15.0)
    assert (faint.result, faint.expected) == (Result.FAIL, "at least -15 dBFS or so")
    assert "fainter than the quietest of the commissioning" in faint.measured
    assert "check the mounting" in faint.fix
    assert judge_sound("sound", heard(HISS + np.float32(0.3))).result is Result.FAIL
    assert judge_sound("sound", heard(HISS + np.float32(0.05))).result is Result.WARN


def kernel(root: Path, **files: str) -> Path:
    """A tree of the kernel's files; no machine here has the sensors of a Raspberry Pi."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("soc_firmware", "soc:firmware")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "result", "told"),
    [
        ({}, Result.SKIP, "the kernel tells neither"),
        ({"proc__meminfo": "MemTotal: 9 kB\nMemAvailable:   409600 kB\n"}, Result.PASS, "400 MiB of memory free"),
        ({"proc__meminfo": "MemAvailable: 20480 kB\n"}, Result.WARN, "20 MiB"),
        ({"sys__class__thermal__thermal_zone0__temp": "41000\n"}, Result.PASS, "41 °C"),
        (
            {"sys__class__thermal__thermal_zone0__temp": "41000", "sys__class__thermal__thermal_zone1__temp": "72000"},
            Result.WARN,
            "72 °C",
        ),
        ({"sys__class__thermal__thermal_zone0__temp": "85000"}, Result.FAIL, "85 °C"),
        ({"sys__class__thermal__thermal_zone0__temp": "no number"}, Result.SKIP, "the kernel tells neither"),
        ({"sys__devices__platform__soc__soc_firmware__get_throttled": "0\n"}, Result.PASS, "supply strong enough"),
        (
            {"sys__devices__platform__soc__soc_firmware__get_throttled": "50000\n"},
            Result.WARN,
            "supply too weak at times since the start",
        ),
        ({"sys__devices__platform__soc__soc_firmware__get_throttled": "50005\n"}, Result.FAIL, "too weak now"),
        (
            {"sys__class__hwmon__hwmon1__name": "rpi_volt\n", "sys__class__hwmon__hwmon1__in0_lcrit_alarm": "1\n"},
            Result.FAIL,
            "too weak now",
        ),
    ],
)
def test_memory_heat_and_voltage_are_read_from_the_kernel(
    files: dict[str, str], result: Result, told: str, tmp_path: Path
) -> None:
    finding = judge_machine(look_at_machine(kernel(tmp_path, **files)))
    assert finding.result is result
    assert told in finding.measured
    assert bool(finding.fix) == (result in (Result.WARN, Result.FAIL))


def test_the_machine_it_runs_on_tells_its_memory() -> None:
    machine = look_at_machine()
    assert machine.free_bytes is not None
    assert 1 << 20 < machine.free_bytes < 1 << 45


def test_a_clock_that_is_not_synchronised_is_warned_of() -> None:
    assert judge_clock("synchronised").result is Result.PASS
    assert judge_clock("unsynchronised").result is Result.WARN
    assert judge_clock("unknown").result is Result.SKIP


def test_a_knock_stands_out_from_the_calm_and_a_loud_pipe_does_not() -> None:
    knocked = HISS.copy()
    ring = np.arange(400) / RATE_HZ
    knocked[RATE_HZ : RATE_HZ + 400] += np.float32(0.5) * np.exp(-ring / 0.005).astype(np.float32)
    assert knock_over_calm_db(HISS, knocked, RATE_HZ) > KNOCK_DB
    assert knock_over_calm_db(HISS, HISS[::-1], RATE_HZ) < 3.0
    assert knock_over_calm_db(HISS, 2.0 * HISS, RATE_HZ) < 9.0
    assert knock_over_calm_db(HISS, HISS + np.float32(0.5), RATE_HZ) < 3.0
