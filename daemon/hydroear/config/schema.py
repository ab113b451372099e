"""What a unit can be told, with units, ranges and defaults. One model a YAML section."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hydroear.config.budget import raise_decades

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
NAME_EXPECTED = "1 to 63 letters, digits, _ . or -, the first a letter or digit"
MAX_DECADES = 12.0
"""Where tail probabilities are cut off."""
Identifier = Annotated[str, Field(pattern=NAME_PATTERN, json_schema_extra={"expected": NAME_EXPECTED})]


DEVICE_PATTERN = r"^(alsa:.+|usb:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?|port:\d+-\d+(\.\d+)*)$"
DEVICE_EXPECTED = "alsa:NAME, usb:VID:PID[:SERIAL] or port:PATH"
Device = Annotated[str, Field(pattern=DEVICE_PATTERN, json_schema_extra={"expected": DEVICE_EXPECTED})]


PREFIX_PATTERN = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"
PREFIX_EXPECTED = "a topic of letters, digits, _ and -, with / between its parts"
Prefix = Annotated[str, Field(pattern=PREFIX_PATTERN, json_schema_extra={"expected": PREFIX_EXPECTED})]


class Section(BaseModel):
    """A section: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Channels(Section):
    """Which channels of a source are heard."""

    channel: Annotated[int, Field(ge=1, le=64, description="which channel to hear, counted from 1")] = 1
    reference_channel: Annotated[
        int | None,
        Field(ge=1, le=64, description="channel of a microphone in the air, which vetoes airborne sounds"),
    ] = None

    @property
    def heard_channels(self) -> tuple[int, ...]:
        """The pipe's channel, and if there is one, the reference's after it."""
        return (self.channel,) if self.reference_channel is None else (self.channel, self.reference_channel)

    @model_validator(mode="after")
    def _channels_differ(self) -> Channels:
        if self.reference_channel == self.channel:
            raise ValueError(
                f"channel and reference_channel are both {self.channel}: the reference is another microphone"
            )
        return self


class WavSource(Channels):
    """Recordings played as if they were a sensor, one after the other."""

    type: Literal["wav"]
    files: Annotated[list[Path], Field(min_length=1, description="recordings, played in this order")]
    speed: Annotated[float, Field(ge=0, description="times real time; 0 is as fast as possible")] = 1.0


class DeviceSource(Channels):
    """What all sources with a device have in common, which has a rate and channels."""

    rate_hz: Annotated[int, Field(ge=8000, le=192000, description="sample rate, which the device has to offer")] = 16000
    channels: Annotated[int, Field(ge=1, le=64, description="channels to open")] = 1

    @model_validator(mode="after")
    def _channel_exists(self) -> DeviceSource:
        for name in ("channel", "reference_channel"):
            if (getattr(self, name) or 1) > self.channels:
                raise ValueError(f"{name} {getattr(self, name)} of {self.channels}: choose one that is opened")
        return self


class LiveSource(DeviceSource):
    """What all sources that sound now have in common."""

    stall_s: Annotated[float, Field(ge=0.5, le=60, description="silence of the driver that counts as a hang")] = 3.0
    give_up_after_s: Annotated[
        float, Field(ge=0, le=86400, description="without a sample for so long, the unit ends; 0 is never")
    ] = 3600.0


class MicrophoneSource(LiveSource):
    """A microphone or sound card seen through PortAudio."""

    type: Literal["microphone"]
    device: Annotated[Device, Field(description="identity of the sensor, see hydroear devices")]


class PipeSource(LiveSource):
    """Raw PCM that a program writes, or standard input."""

    type: Literal["pipe"]
    command: Annotated[
        list[str],
        BeforeValidator(lambda value: ["stdin"] if value == "stdin" else value),
        Field(min_length=1, description="program and its arguments, or stdin"),
    ]
    format: Annotated[
        Literal["s16le", "s24le", "s32le", "f32le"], Field(description="signed integers or float, little endian")
    ] = "s16le"

    @property
    def from_stdin(self) -> bool:
        """Whether standard input is heard instead of a program."""
        return self.command == ["stdin"]


PORT_PATTERN = r"^(usb:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?|tcp://(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):\d{1,5}|/.+)$"
PORT_EXPECTED = "usb:VID:PID[:SERIAL], tcp://HOST:PORT or the path of a serial line or of captured bytes"
BridgePort = Annotated[str, Field(pattern=PORT_PATTERN, json_schema_extra={"expected": PORT_EXPECTED})]
Baud = Annotated[int, Field(ge=9600, le=4_000_000, description="bits a second of a UART")]
SensorNumber = Annotated[int, Field(ge=1, le=255, description="which of its sensors to hear, by the stream's number")]


class BridgeSource(LiveSource):
    """A sensor with a microcontroller that speaks the bridge protocol."""

    type: Literal["bridge"]
    port: Annotated[BridgePort, Field(description="where the microcontroller is found")]
    baud: Baud = 921_600
    sensor: SensorNumber = 1
    gain_db: Annotated[
        float | None, Field(ge=-100, le=100, description="gain to set, and to refer levels to; default: left as it is")
    ] = None

    def disagreement(self, other: BridgeSource) -> str | None:
        """A setting on which two sensors must agree and do not: they share a line, or a stream on it as well."""
        if self.port != other.port:
            return None
        shared = ("baud", "rate_hz", "channels", "gain_db") if self.sensor == other.sensor else ("baud",)
        return next((name for name in shared if getattr(self, name) != getattr(other, name)), None)


class LoggerSource(DeviceSource):
    """A logger that records by itself, speaks the bridge protocol, and is emptied when it can be reached."""

    type: Literal["logger"]
    port: Annotated[BridgePort, Field(description="where the logger is found when it is there")]
    baud: Baud = 921_600
    sensor: SensorNumber = 1
    gain_db: Annotated[float, Field(ge=-100, le=100, description="gain to refer levels to")] = 0.0
    look_every_s: Annotated[
        float, Field(ge=1, le=86400, description="time from one look for new recordings to the next")
    ] = 600.0
    overdue_h: Annotated[
        float, Field(ge=0.001, le=8760, description="without a new recording for so long, the sensor is at fault")
    ] = 36.0
    erase: Annotated[bool, Field(description="whether it is told to forget a recording that was heard")] = True


Source = WavSource | MicrophoneSource | PipeSource | BridgeSource | LoggerSource


class Sensor(Section):
    """One ear on the pipe."""

    id: Annotated[Identifier, Field(description="name of the sensor in topics and events")]
    source: Annotated[Source, Field(discriminator="type")]
    site: Annotated[
        Path | None, Field(description="calibration of this sensor; default STATE_DIR/site/SENSOR.json")
    ] = None


class Decision(Section):
    """When a run of abnormal windows becomes a warning, a leak, and quiet again."""

    false_alarms_per_month: Annotated[
        float,
        Field(gt=0, le=1000, description="budget of false alarms of a sensor, from which the raise level follows"),
    ] = 0.1
    horizon_s: Annotated[float, Field(ge=1, le=86400, description="how long it must stay abnormal to warn")] = 600.0
    low_percentile: Annotated[
        float, Field(ge=0, le=40, description="percentile of the site score that must be over the raise level")
    ] = 20.0
    raise_decades: Annotated[
        float | None,
        Field(
            gt=0,
            le=MAX_DECADES,
            description="raise level: minus log10 of the normal tail probability; default: the budget's",
        ),
    ] = None
    clear_decades: Annotated[
        float | None, Field(gt=0, le=MAX_DECADES, description="clear level; default: half of the raise level")
    ] = None
    recheck_s: Annotated[
        float, Field(ge=0, le=86400, description="a warning that still stands after this long is a leak")
    ] = 300.0
    clear_s: Annotated[float, Field(ge=1, le=86400, description="how long it must stay normal to be quiet again")] = (
        600.0
    )
    hold_off_s: Annotated[
        float, Field(ge=0, le=86400, description="no other leak is called for so long after one was over")
    ] = 0.0
    night_only: Annotated[
        bool, Field(description="whether only what is heard in the hours of the section night is judged")
    ] = False
    max_unison: Annotated[
        float | None,
        Field(gt=0, le=100, description="steadiness test: what rises and falls in all bands at once is no leak"),
    ] = 1.7
    min_flutter: Annotated[
        float | None,
        Field(gt=0, le=100, description="tonality test: what varies less, as a multiple of steady noise, is no leak"),
    ] = None

    @property
    def raise_level(self) -> float:
        """The raise level in force, in decades."""
        if self.raise_decades is not None:
            return self.raise_decades
        return raise_decades(
            false_alarms_per_month=self.false_alarms_per_month,
            horizon_s=self.horizon_s,
            low_percentile=self.low_percentile,
        )

    @property
    def clear_level(self) -> float:
        """The clear level in force, in decades."""
        return 0.5 * self.raise_level if self.clear_decades is None else self.clear_decades

    @model_validator(mode="after")
    def _levels(self) -> Decision:
        if not 0.0 < self.raise_level <= MAX_DECADES:
            raise ValueError(
                f"false_alarms_per_month {self.false_alarms_per_month:g} with horizon_s {self.horizon_s:g} asks for a "
                f"raise level of {self.raise_level:.1f} decades, but scores go from 0 to {MAX_DECADES:g}: change the "
                "budget or the horizon"
            )
        if self.clear_level >= self.raise_level:
            raise ValueError(
                f"clear_decades {self.clear_level:g} is not below raise_decades {self.raise_level:.3g}: "
                "lower the clear level"
            )
        return self


_PORT = r"([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
BROKER_PATTERN = rf"^mqtts?://[^\s/:@]+(:{_PORT})?$"
BROKER_EXPECTED = "mqtt://HOST[:PORT], or mqtts://HOST[:PORT] with TLS"
BrokerUrl = Annotated[str, Field(pattern=BROKER_PATTERN, json_schema_extra={"expected": BROKER_EXPECTED})]


class Tls(Section):
    """How the unit knows a broker behind ``mqtts://``, and the broker the unit."""

    ca_file: Annotated[
        Path | None, Field(description="certificates, PEM, of those who may vouch for a broker; default: the system's")
    ] = None
    certificate_file: Annotated[
        Path | None, Field(description="certificate of this unit, PEM, for a broker that asks for one")
    ] = None
    key_file: Annotated[Path | None, Field(description="private key of that certificate, PEM, no passphrase")] = None
    min_version: Annotated[Literal["1.2", "1.3"], Field(description="oldest version of TLS that is spoken")] = "1.2"

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> Tls:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both or neither")
        return self


class Mqtt(Section):
    """The way to the control room."""

    url: Annotated[BrokerUrl, Field(description="the broker")]
    fallback_urls: Annotated[
        list[BrokerUrl], Field(max_length=8, description="brokers to turn to, in this order, when that one is away")
    ] = []
    username: str | None = None
    password_file: Annotated[Path | None, Field(description="file that holds the password and nothing else")] = None
    tls: Tls = Tls()
    protocol: Annotated[
        Literal["auto", "5", "3.1.1"], Field(description="MQTT version; auto is 5, and 3.1.1 where that is not spoken")
    ] = "auto"
    keepalive_s: Annotated[int, Field(ge=2, le=3600)] = 30
    command_keys: Annotated[
        list[Path], Field(description="public keys, one of which must have signed a command; with none, none need be")
    ] = []
    home_assistant: Annotated[
        Prefix | None, Field(description="discovery prefix of a Home Assistant that is to show the unit")
    ] = None


class Publish(Section):
    """How often the control room is told."""

    state_every_s: Annotated[float, Field(gt=0, le=86400, description="state of each sensor, at least this often")] = (
        60.0
    )
    event_update_every_s: Annotated[
        float, Field(gt=0, le=86400, description="update of an open event, at least this often")
    ] = 600.0
    health_every_s: Annotated[float, Field(gt=0, le=86400, description="health of the unit")] = 300.0


ClockTime = Annotated[
    str,
    Field(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        json_schema_extra={"expected": 'a time in quotes, as "02:00"'},
    ),
]


class Night(Section):
    """The small hours, when least water is drawn: by the unit's time zone."""

    from_: Annotated[ClockTime, Field(alias="from", description="when the night's levels begin to count")] = "02:00"
    to: Annotated[ClockTime, Field(description="when they cease to; on the next day if not after the beginning")] = (
        "04:00"
    )

    @model_validator(mode="after")
    def _lasts(self) -> Night:
        if self.from_ == self.to:
            raise ValueError(f"from {self.from_} to {self.to} is no time: let one be later")
        return self


class BandLimit(Section):
    """The only frequencies that are left in clips and pictures."""

    low_hz: Annotated[float, Field(ge=0, le=96000, description="lowest frequency that is kept")]
    high_hz: Annotated[float, Field(gt=0, le=96000, description="highest frequency that is kept")]

    @model_validator(mode="after")
    def _is_a_band(self) -> BandLimit:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"{self.low_hz:g} to {self.high_hz:g} Hz is no band: raise high_hz or lower low_hz")
        return self


class Evidence(Section):
    """What is kept on the unit of each event, for an operator to hear and to see."""

    enabled: Annotated[bool, Field(description="whether anything is kept at all")] = True
    before_s: Annotated[float, Field(ge=1, le=30, description="length of a clip before the event opened")] = 10.0
    after_s: Annotated[float, Field(ge=0, le=30, description="length of a clip after that")] = 5.0
    format: Annotated[
        Literal["auto", "wav", "flac"], Field(description="of clips; auto is flac where soundfile is installed")
    ] = "auto"
    band_limit: Annotated[BandLimit | None, Field(description="band that clips and pictures are limited to")] = None
    clips_mb: Annotated[float, Field(ge=0, le=100000, description="budget of the clips; 0 keeps none")] = 200.0
    pictures_mb: Annotated[float, Field(ge=0, le=100000, description="budget of the pictures; 0 keeps none")] = 50.0
    keep_free_mb: Annotated[
        float, Field(ge=0, le=100000, description="nothing is written that would leave less than this on the disk")
    ] = 200.0


class Models(Section):
    """Which bundles a unit runs, and for how long it watches a new one before and after that begins to."""

    trusted_keys: Annotated[
        list[Path], Field(description="public keys, one of which must have signed a bundle; with none, none need have")
    ] = []
    shadow_windows: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="windows that an installed bundle must score beside the one at work to be activated; 0 is none",
        ),
    ] = 600
    probation_windows: Annotated[
        int, Field(ge=1, le=100_000, description="windows that an installed bundle must score to be confirmed")
    ] = 3600


class Metrics(Section):
    """How the unit is doing, for Prometheus."""

    port: Annotated[
        int | None, Field(ge=1, le=65535, description="TCP port of this machine's own address to answer at")
    ] = None


class Config(Section):
    """A whole unit."""

    unit: Annotated[Identifier, Field(description="name of the unit in topics and events")]
    bundle: Annotated[Path, Field(description="the model bundle to score with")]
    state_dir: Annotated[Path, Field(description="outbox, calibrations and open events live here")] = Path(
        "/var/lib/hydroear"
    )
    runtime: Annotated[Literal["auto", "tflite-runtime", "litert"], Field(description="which interpreter")] = "auto"
    sensors: Annotated[list[Sensor], Field(min_length=1)]
    decision: Decision = Decision()
    night: Night = Night()
    mqtt: Mqtt | None = None
    publish: Publish = Publish()
    evidence: Evidence = Evidence()
    models: Models = Models()
    metrics: Metrics = Metrics()

    @property
    def outbox_path(self) -> Path:
        """Where messages and open events wait."""
        return self.state_dir / "outbox.sqlite"

    @property
    def settings_path(self) -> Path:
        """Where it is kept what the control room has set."""
        return self.state_dir / "settings.json"

    @property
    def live_path(self) -> Path:
        """The socket at which a running unit tells what it hears."""
        return self.state_dir / "live.sock"

    @property
    def evidence_dir(self) -> Path:
        """Where clips, pictures and reasons are kept."""
        return self.state_dir / "evidence"

    @property
    def models_dir(self) -> Path:
        """Where installed bundles are kept, and what was learned with each."""
        return self.state_dir / "models"

    def site_path(self, sensor: Sensor, model: str = "") -> Path:
        """Where the calibration of a sensor is, or would be.

        Parameters
        ----------
        sensor
            The sensor.
        model
            Which bundle it is for: the SHA-256 of an installed one, nothing for the configured one.
        """
        if sensor.site is not None and not model:
            return sensor.site
        return self._site_dir(model) / f"{sensor.id}.json"

    def learning_path(self, sensor: Sensor, model: str = "") -> Path:
        """Where a calibration that is under way keeps what it heard."""
        return self._site_dir(model) / f"{sensor.id}.learning.npz"

    def lesson_path(self, sensor: Sensor, model: str = "") -> Path:
        """Where it is kept what a running unit was asked to calibrate."""
        return self._site_dir(model) / f"{sensor.id}.lesson.json"

    def adaptation_path(self, sensor: Sensor, model: str = "") -> Path:
        """Where it is kept how far a sensor has followed its site since the calibration."""
        return self._site_dir(model) / f"{sensor.id}.adaptation.json"

    def _site_dir(self, model: str) -> Path:
        return self.models_dir / model[:16] if model else self.state_dir / "site"

    def recordings_dir(self, sensor: Sensor) -> Path:
        """Where a logger's recordings are kept until they were heard, and which those were."""
        return self.state_dir / "recordings" / sensor.id

    def night_path(self, sensor: Sensor) -> Path:
        """Where it is kept what a sensor heard of a night, or of the last one."""
        return self.state_dir / "site" / f"{sensor.id}.night.json"

    @model_validator(mode="after")
    def _sensor_ids_differ(self) -> Config:
        ids = [sensor.id for sensor in self.sensors]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"two sensors are called {', '.join(twice)}: give each its own id")
        if sum(isinstance(sensor.source, PipeSource) and sensor.source.from_stdin for sensor in self.sensors) > 1:
            raise ValueError("two sensors hear stdin: give all but one a command")
        return self

    @model_validator(mode="after")
    def _lines_are_shared(self) -> Config:
        loggers = [sensor.source.port for sensor in self.sensors if isinstance(sensor.source, LoggerSource)]
        bridges = [(sensor.id, sensor.source) for sensor in self.sensors if isinstance(sensor.source, BridgeSource)]
        others = [source.port for _, source in bridges]
        if twice := sorted({port for port in loggers if (loggers + others).count(port) > 1}):
            raise ValueError(f"two sensors have the port {', '.join(twice)}: a logger is emptied by one of them")
        for (one_id, one), (other_id, other) in combinations(bridges, 2):
            if name := one.disagreement(other):
                what = "one sensor of" if one.sensor == other.sensor else "sensors of"
                values = ("null" if value is None else value for value in (getattr(one, name), getattr(other, name)))
                raise ValueError(
                    f"{one_id} and {other_id} are {what} the device at {one.port}, but {name} is "
                    f"{' and '.join(map(str, values))}: give both the same"
                )
        return self


class Room(Section):
    """The control room's end of the link."""

    mqtt: Mqtt
    command_key: Annotated[
        Path | None, Field(description="private key that signs what is asked, for units with mqtt.command_keys")
    ] = None

    @model_validator(mode="after")
    def _is_no_unit(self) -> Room:
        for name in ("command_keys", "home_assistant"):
            if getattr(self.mqtt, name):
                raise ValueError(f"mqtt.{name} is a setting of units: remove it")
        return self
