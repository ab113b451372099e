"""What a byte stream says: frames, damage and losses in order, and their sum."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from hydroear_bridge.account import Account, Entry, FramesLost, Restart, SamplesLost, Stale
from hydroear_bridge.frames import Audio, AudioFlags, Body, Frame, Hello, Uninterpreted
from hydroear_bridge.link import BadFrame, Decoder

Event = Frame | BadFrame | Entry


@dataclass
class Summary:
    """Sum of a byte stream; ``samples`` counts those of usable frames, of each channel."""

    bytes: int = 0
    frames: int = 0
    bad_frames: int = 0
    stale_frames: int = 0
    restarts: int = 0
    samples: int = 0
    frames_lost: int = 0
    samples_lost: dict[str, int] = field(default_factory=lambda: {"device": 0, "link": 0, "unknown": 0})
    unfinished_bytes: int = 0

    def add(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Frame(body=body):
                self.frames += 1
                self.samples += body.count if isinstance(body, Audio) else 0
            case BadFrame():
                self.bad_frames += 1
            case Stale():
                self.stale_frames += 1
            case Restart():
                self.restarts += 1
            case FramesLost(count=count):
                self.frames_lost += count
            case SamplesLost(count=count, place=place):
                self.samples_lost[place] += count

    def __str__(self) -> str:
        lost = self.samples_lost
        return (
            f"{self.frames} frames with {self.samples} samples in {self.bytes} bytes; {self.bad_frames} bad frames; "
            f"link lost {self.frames_lost} frames, {lost['link']} samples; device lost {lost['device']} samples; "
            f"place unknown for {lost['unknown']}; {self.restarts} restarts; {self.stale_frames} stale frames; "
            f"{self.unfinished_bytes} bytes unfinished"
        )


def events(parts: Iterable[bytes], summary: Summary) -> Iterator[Event]:
    """Decode a stream; what a frame tells of its predecessors comes before it, stale frames do not come at all.

    Parameters
    ----------
    parts
        The stream, split in any way.
    summary
        Filled on the way; complete when the iterator ends.
    """
    decoder, account = Decoder(), Account()
    for part in parts:
        summary.bytes += len(part)
        for item in decoder.receive(part):
            told: list[Event] = [item] if isinstance(item, BadFrame) else _follow(account, item)
            for event in told:
                summary.add(event)
                yield event
    summary.unfinished_bytes = decoder.pending


def _follow(account: Account, frame: Frame) -> list[Event]:
    entries = account.receive(frame)
    usable = not any(isinstance(entry, Stale) for entry in entries)
    return [*entries, frame] if usable else [*entries]


def describe(event: Event) -> str:
    """One line for people."""
    match event:
        case Frame():
            time_s = event.device_time_us / 1e6
            return f"frame {event.sequence} stream {event.stream} {time_s:.6f} s {_content(event.body)}"
        case BadFrame(what, offset, size):
            return f"bad frame: {what} ({size} bytes at {offset})"
        case Restart(boot_id):
            return f"restart: boot {boot_id:08x}"
        case FramesLost(first, count):
            return f"lost on the link: {count} frames from {first}"
        case SamplesLost(stream, first, count, place):
            return f"lost, place {place}: {count} samples of stream {stream} from {first}"
        case Stale(sequence):
            return f"stale frame {sequence}: a repeat, or of a boot not announced"


def _content(body: Body) -> str:
    match body:
        case Audio():
            level = level_db(body)
            flags = "".join(f", {name}" for name in _flag_names(body.flags))
            return (
                f"AUDIO samples {body.sample_index}..{body.end_index - 1}, {body.rate_hz:g} Hz, "
                f"{body.sample_format.name.lower()} x {body.channels}, gain {body.gain_centidb / 100:g} dB, "
                f"level {'-inf' if level is None else f'{level:.1f}'} dB{flags}"
            )
        case Hello():
            names = [name for name in (body.model, body.hardware, body.firmware) if name]
            sensors = [f"{len(body.sensors)} sensors"] if body.sensors else []
            who = [f"HELLO boot {body.boot_id:08x}", f"uid {body.uid.hex() or 'none'}", *map(repr, names)]
            return ", ".join(who + sensors)
        case Uninterpreted():
            return f"type 0x{body.frame_type:02x}, {len(body.payload)} bytes not interpreted"
        case _:
            return f"{body.TYPE.name} {_told(body)}".rstrip()


def _told(record: Any) -> str:
    return ", ".join(f"{field.name} {_shown(getattr(record, field.name))}" for field in fields(record))


def _shown(value: object) -> str:
    match value:
        case bytes():
            return f"{len(value)} bytes"
        case str():
            return repr(value)
        case tuple():
            return f"[{'; '.join(map(_told, value))}]"
        case enum.Enum():
            return value.name.lower()
    return str(value)


def as_json(event: Event) -> dict[str, Any]:
    """The same as an object for ``json.dumps``."""
    match event:
        case Frame(body=body):
            header = {
                "sequence": event.sequence,
                "stream": event.stream,
                "device_time_us": event.device_time_us,
                "flags": event.flags,
            }
            return {"kind": "frame", **header, **_content_json(body)}
        case BadFrame():
            kind = "bad_frame"
        case Restart():
            kind = "restart"
        case FramesLost():
            kind = "frames_lost"
        case SamplesLost():
            kind = "samples_lost"
        case Stale():
            kind = "stale"
    return {"kind": kind, **asdict(event)}


def _content_json(body: Body) -> dict[str, Any]:
    match body:
        case Audio():
            return {
                "type": "audio",
                "sample_index": body.sample_index,
                "count": body.count,
                "rate_hz": body.rate_hz,
                "format": body.sample_format.name.lower(),
                "channels": body.channels,
                "gain_db": body.gain_centidb / 100,
                "audio_flags": _flag_names(body.flags),
                "temperature_c": None if body.temperature_centicelsius is None else body.temperature_centicelsius / 100,
                "level_db": level_db(body),
            }
        case Hello():
            return {"type": "hello", **asdict(body), "uid": body.uid.hex()}
        case Uninterpreted():
            return {"type": f"0x{body.frame_type:02x}", "payload": body.payload.hex()}
        case _:
            told = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(body).items()}
            return {"type": body.TYPE.name.lower(), **told}


def _flag_names(flags: AudioFlags) -> list[str]:
    return [str(flag.name).lower() for flag in AudioFlags if flag in flags]


def level_db(audio: Audio) -> float | None:
    """Root-mean-square level in dB relative to full scale; None for silence and for values that are not numbers."""
    with np.errstate(over="ignore"):
        mean_square = float(np.mean(np.square(audio.samples(), dtype=np.float64)))
    return 10.0 * float(np.log10(mean_square)) if 0.0 < mean_square < np.inf else None
