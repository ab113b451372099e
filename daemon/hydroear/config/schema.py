"""What a unit can be told, with units, ranges and defaults. One model a YAML section."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
NAME_EXPECTED = "1 to 63 letters, digits, _ . or -, the first a letter or digit"
Identifier = Annotated[str, Field(pattern=NAME_PATTERN, json_schema_extra={"expected": NAME_EXPECTED})]


class Section(BaseModel):
    """A section: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WavSource(Section):
    """Recordings played as if they were a sensor, one after the other."""

    type: Literal["wav"]
    files: Annotated[list[Path], Field(min_length=1, description="recordings, played in this order")]
    speed: Annotated[float, Field(ge=0, description="times real time; 0 is as fast as possible")] = 1.0
    channel: Annotated[int, Field(ge=1, le=64, description="which channel to hear, counted from 1")] = 1


class MicrophoneSource(Section):
    """A microphone or sound card seen through PortAudio."""

    type: Literal["microphone"]
    device: Annotated[str, Field(pattern=r"^alsa:.+$", description="identity of the sensor, e.g. alsa:leakmic")]
    rate_hz: Annotated[int, Field(ge=8000, le=192000, description="sample rate asked of the device")] = 16000
    channels: Annotated[int, Field(ge=1, le=64, description="channels to open")] = 1
    channel: Annotated[int, Field(ge=1, le=64, description="which channel to hear, counted from 1")] = 1
    stall_s: Annotated[float, Field(ge=0.5, le=60, description="silence of the driver that counts as a hang")] = 3.0

    @model_validator(mode="after")
    def _channel_exists(self) -> MicrophoneSource:
        if self.channel > self.channels:
            raise ValueError(f"channel {self.channel} of {self.channels}: choose one that is opened")
        return self


class Sensor(Section):
    """One ear on the pipe."""

    id: Annotated[Identifier, Field(description="name of the sensor in topics and events")]
    source: Annotated[WavSource | MicrophoneSource, Field(discriminator="type")]
    site: Annotated[
        Path | None, Field(description="calibration of this sensor; default STATE_DIR/site/SENSOR.json")
    ] = None


class Decision(Section):
    """When a run of abnormal windows becomes a warning, a leak, and quiet again."""

    horizon_s: Annotated[float, Field(ge=1, le=86400, description="how long it must stay abnormal to warn")] = 60.0
    low_percentile: Annotated[
        float, Field(ge=0, le=50, description="percentile of the site score that must be over the raise level")
    ] = 20.0
    raise_decades: Annotated[
        float, Field(gt=0, le=12, description="raise level: minus log10 of the normal tail probability")
    ] = 2.0
    clear_decades: Annotated[float, Field(gt=0, le=12, description="clear level, below the raise level")] = 1.0
    recheck_s: Annotated[
        float, Field(ge=0, le=86400, description="a warning that still stands after this long is a leak")
    ] = 30.0
    clear_s: Annotated[float, Field(ge=1, le=86400, description="how long it must stay normal to be quiet again")] = (
        60.0
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Decision:
        if self.clear_decades >= self.raise_decades:
            raise ValueError(
                f"clear_decades {self.clear_decades:g} is not below raise_decades {self.raise_decades:g}: "
                "lower the clear level"
            )
        return self


class Mqtt(Section):
    """The way to the control room."""

    url: Annotated[str, Field(pattern=r"^mqtt://[^\s/:@]+(:\d{1,5})?$", description="broker, mqtt://HOST[:PORT]")]
    username: str | None = None
    password_file: Annotated[Path | None, Field(description="file that holds the password and nothing else")] = None
    protocol: Annotated[Literal["5", "3.1.1"], Field(description="MQTT version the broker speaks")] = "5"
    keepalive_s: Annotated[int, Field(ge=2, le=3600)] = 30


class Publish(Section):
    """How often the control room is told."""

    state_every_s: Annotated[float, Field(gt=0, le=86400, description="state of each sensor, at least this often")] = (
        60.0
    )
    event_update_every_s: Annotated[
        float, Field(gt=0, le=86400, description="update of an open event, at least this often")
    ] = 600.0
    health_every_s: Annotated[float, Field(gt=0, le=86400, description="health of the unit")] = 300.0


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
    mqtt: Mqtt | None = None
    publish: Publish = Publish()
    evidence: Evidence = Evidence()

    @property
    def outbox_path(self) -> Path:
        """Where messages and open events wait."""
        return self.state_dir / "outbox.sqlite"

    @property
    def evidence_dir(self) -> Path:
        """Where clips, pictures and reasons are kept."""
        return self.state_dir / "evidence"

    def site_path(self, sensor: Sensor) -> Path:
        """Where the calibration of a sensor is, or would be."""
        return sensor.site or self.state_dir / "site" / f"{sensor.id}.json"

    @model_validator(mode="after")
    def _sensor_ids_differ(self) -> Config:
        ids = [sensor.id for sensor in self.sensors]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"two sensors are called {', '.join(twice)}: give each its own id")
        return self
