"""Warnings that repeat themselves."""

from __future__ import annotations

import io
import logging

from hydroear.codes import Code, coded
from hydroear.service.ratelimit import BURST, DEVICE_BURST, INTERVAL_S, RateLimit


class Log:
    """A logger with the limit, and a clock that tests turn."""

    def __init__(self) -> None:
        self.now_s, self._out = 1000.0, io.StringIO()
        handler = logging.StreamHandler(self._out)
        handler.addFilter(RateLimit(lambda: self.now_s))
        self._logger = logging.Logger("test", logging.INFO)
        self._logger.addHandler(handler)

    def complain(self, text: str, *, sensor: str = "valve") -> None:
        self._logger.warning("%s", text, extra=coded(Code.SENSOR_DEAF, sensor=sensor))

    def quote(self, text: str, level: int) -> None:
        self._logger.log(level, "%s", text, extra=coded(Code.DEVICE_LOG, sensor="valve"))

    def inform(self) -> None:
        self._logger.info("obeyed")

    @property
    def lines(self) -> list[str]:
        return self._out.getvalue().splitlines()


def test_the_same_warning_passes_so_often_and_then_tells_how_often_it_did_not() -> None:
    log = Log()
    for number in range(BURST + 7):
        log.complain(f"silent for {number} s, 100 % of it")
    assert log.lines == [f"silent for {number} s, 100 % of it" for number in range(BURST)]
    log.now_s += INTERVAL_S
    log.complain("silent, 100 %")
    assert log.lines[-1] == f"silent, 100 % (7 more like it in the last {INTERVAL_S:.0f} s)"
    log.complain("silent")
    assert log.lines[-1] == "silent"


def test_one_sensor_does_not_silence_another() -> None:
    log = Log()
    for _ in range(BURST + 1):
        log.complain("silent")
    log.complain("silent too", sensor="hydrant")
    assert len(log.lines) == BURST + 1
    assert log.lines[-1] == "silent too"


def test_news_that_is_no_warning_is_never_held_back() -> None:
    log = Log()
    for _ in range(100):
        log.inform()
    assert len(log.lines) == 100


def test_what_a_device_says_is_held_back_at_every_level_and_none_silences_another() -> None:
    log = Log()
    for number in range(10 * DEVICE_BURST):
        log.quote(f"line {number}", logging.INFO)
    log.quote("broken", logging.ERROR)
    assert log.lines == [*(f"line {number}" for number in range(DEVICE_BURST)), "broken"]
    log.now_s += INTERVAL_S
    log.quote("at last", logging.INFO)
    assert log.lines[-1] == f"at last ({9 * DEVICE_BURST} more like it in the last {INTERVAL_S:.0f} s)"
