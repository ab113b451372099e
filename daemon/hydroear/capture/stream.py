"""One sensor of a microcontroller: its samples, and what was lost before them.

Without I/O, and without a clock of its own.
"""

from __future__ import annotations

import numpy as np

from hydroear.audio import Samples, Scale
from hydroear.capture import supervised
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear_bridge.account import SamplesLost
from hydroear_bridge.clock import DeviceClock
from hydroear_bridge.frames import Audio, Hello, SampleFormat, Sensor, SensorUnit, Start
from hydroear_bridge.mark import Mark

START_S = 20.0
"""Patience with a device that speaks but sends no samples."""
LOSS_REASONS = {
    "device": "lost on the device",
    "link": "lost on the way",
    "unknown": "lost on the device and on the way",
}
"""By the place at which the account says that samples were lost."""
STOPPED = "the device was stopped"
_UNITS: dict[int, str] = {
    SensorUnit.PASCAL: "Pa",
    SensorUnit.METRE_PER_SECOND_SQUARED: "m/s²",
    SensorUnit.METRE_PER_SECOND: "m/s",
    SensorUnit.VOLT: "V",
}


class Stream:
    """The samples of one sensor, for one source, over the boots of the device and cuts of the connection.

    Parameters
    ----------
    settings
        Which sensor of which device is heard, and what it is asked for.

    Attributes
    ----------
    number
        The stream's.
    scale
        What its samples stand for, as they are given out; None where the device does not tell, or has not told yet. May
        be read from any thread.
    """

    def __init__(self, settings: schema.BridgeSource) -> None:
        self.number = settings.sensor
        self.scale: Scale | None = None
        self._settings = settings
        self._gain_centidb = None if settings.gain_db is None else round(100 * settings.gain_db)
        self._told: list[supervised.Frame | CaptureError] = []
        self._failing = self._booted = False
        self._heard_s = 0.0
        self._mark: Mark | None = None
        self._lost, self._loss, self._on_device = 0, "", False

    @property
    def due_s(self) -> float:
        """Monotonic time of the next :meth:`tick`."""
        return self._heard_s + START_S

    def take(self) -> list[supervised.Frame | CaptureError]:
        """Take the samples that have come, and why none come, in order."""
        told, self._told = self._told, []
        return told

    def connect(self, now_s: float) -> None:
        """Begin to wait for samples: the device can be heard, from now on."""
        self._heard_s = now_s

    def tick(self, now_s: float) -> bool:
        """Whether samples have been missing for too long, which is told."""
        if now_s < self.due_s:
            return False
        self._heard_s = now_s
        self.fail("it speaks, but sends no samples", fix="restart it")
        return True

    def begin_anew(self) -> None:
        """The device has booted, and counts from 0 again."""
        self._mark, self._lost = None, 0
        self._booted = True

    def fail(self, what: str, *, expected: str = "", fix: str = "") -> None:
        """Tell why no samples come, once until the next HELLO."""
        if not self._failing:
            self._failing = True
            where = f"{self._settings.port}, sensor {self.number}"
            self._told.append(CaptureError(what, where=where, expected=expected, fix=fix))

    def greet(self, hello: Hello) -> Start | None:
        """What to ask of a device for these samples; None if it cannot give them, which is told."""
        self._failing = False
        sensor = hello.sensor(self.number)
        if sensor is None and hello.sensors:
            self.fail("not there", expected=f"one of {', '.join(str(one.stream) for one in hello.sensors)}")
            return None
        if sensor is not None:
            if not self._can(sensor):
                return None
            self.scale = scale_of(sensor, self._settings.gain_db)
        return Start(
            rate_millihz=1000 * self._settings.rate_hz,
            sample_format=_format(sensor),
            gain_centidb=self._gain_centidb,
        )

    def lose(self, loss: SamplesLost) -> None:
        """Take note of samples that are missing before those to come."""
        self._lose(loss.count, LOSS_REASONS[loss.place])
        self._on_device |= loss.place != "link"

    def hear(self, audio: Audio, device_us: int, now_s: float, clock: DeviceClock) -> None:
        """Take the next samples, which were taken at a time of the device, told by its clock, and have arrived now."""
        rate_hz = self._settings.rate_hz
        if audio.rate_millihz != 1000 * rate_hz or audio.channels != self._settings.channels:
            self._mark = None
            fix = f"set rate_hz to {audio.rate_hz:g} and channels to {audio.channels}"
            self.fail(f"sends {audio.channels} channel(s) at {audio.rate_hz:g} Hz", fix=fix)
            return
        self._heard_s = now_s
        mark, self._mark = self._mark, Mark.behind(audio, device_us)
        if mark is not None and (stopped_s := mark.stopped_s(audio, device_us)):
            self._lose(round(stopped_s * rate_hz), STOPPED)
        samples = at_gain(audio.samples(), audio, self._settings.gain_db)
        if not np.isfinite(samples).all():
            self._lose(audio.count, "samples that are not numbers")
            return
        if mark is None:  # what was lost before is measured by the clock
            self._loss = "the device started anew" if self._booted else ""
        taken_s = clock.time_s(round(self._mark.device_us))
        self._told.append(
            supervised.Frame(
                samples,
                now_s if taken_s is None else taken_s,
                after_loss=self._on_device,
                lost=None if mark is None else self._lost,
                loss=self._loss,
            )
        )
        self._lost, self._loss, self._on_device, self._booted = 0, "", False, False

    def _can(self, sensor: Sensor) -> bool:
        """Whether a sensor can do what it will be asked for; if not, that is told."""
        settings = self._settings
        rates_hz = [rate / 1000 for rate in sensor.rates_millihz]
        gains = sensor.gains_centidb
        if rates_hz and settings.rate_hz not in rates_hz:
            offered = " or ".join(f"{rate:g}" for rate in rates_hz)
            self.fail(f"does not sample at {settings.rate_hz} Hz", fix=f"set rate_hz to {offered}")
        elif self._gain_centidb is not None and gains and self._gain_centidb not in gains:
            offered = " or ".join(f"{gain / 100:g}" for gain in gains)
            self.fail(f"has no gain of {settings.gain_db:g} dB", fix=f"set gain_db to {offered}")
        elif sensor.channels != settings.channels:
            self.fail(f"sends {sensor.channels} channel(s)", fix=f"set channels to {sensor.channels}")
        else:
            return True
        return False

    def _lose(self, count: int, why: str) -> None:
        self._lost += count
        self._loss = why


def at_gain(samples: Samples, audio: Audio, gain_db: float | None) -> Samples:
    """Samples of a frame as they would be at another gain, in dB; None stands for 0 dB."""
    excess_db = 0.01 * audio.gain_centidb - (gain_db or 0.0)
    return samples * np.float32(10.0 ** (-excess_db / 20.0)) if excess_db else samples


def scale_of(sensor: Sensor, gain_db: float | None) -> Scale | None:
    """What a sample of 1 stands for at a gain; None stands for 0 dB."""
    unit = _UNITS.get(sensor.unit)
    if unit is None or not sensor.full_scale_units:
        return None
    return Scale(unit, sensor.full_scale_units * 10.0 ** (-(gain_db or 0.0) / 20.0))


def _format(sensor: Sensor | None) -> SampleFormat:
    """The shortest format that holds what the converter gives; the longest where none does."""
    formats = (sensor.formats if sensor else ()) or (SampleFormat.INT16,)
    bits = sensor.adc_bits if sensor else 0
    return next((one for one in formats if 8 * one.width >= bits), formats[-1])
