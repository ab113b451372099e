"""Frames of the bridge protocol, version 1: header and payload, without checksum and stuffing.

The layouts are those of ``PROTOCOL.md``; constants are named as there.
"""

from hydroear_bridge.frames.audio import Audio, AudioFlags, SampleFormat
from hydroear_bridge.frames.clock import Time
from hydroear_bridge.frames.field import MAX_PAYLOAD, FrameType
from hydroear_bridge.frames.frame import FOR_ANOTHER, HEADER, MUST_UNDERSTAND, Body, Frame, Uninterpreted
from hydroear_bridge.frames.hello import (
    VERSION,
    Capabilities,
    Hello,
    HelloItem,
    Sensor,
    SensorKind,
    SensorUnit,
    offering,
)
from hydroear_bridge.frames.recording import RecData, RecErase, RecList, Recording, RecordingState, RecRead
from hydroear_bridge.frames.report import Event, EventCode, Log, LogLevel, ResetCause, SensorStatus, Status
from hydroear_bridge.frames.request import Failure, Parameter, Result, ResultCode, Selftest, Set, Start, Stop

__all__ = [
    "FOR_ANOTHER",
    "HEADER",
    "MAX_PAYLOAD",
    "MUST_UNDERSTAND",
    "VERSION",
    "Audio",
    "AudioFlags",
    "Body",
    "Capabilities",
    "Event",
    "EventCode",
    "Failure",
    "Frame",
    "FrameType",
    "Hello",
    "HelloItem",
    "Log",
    "LogLevel",
    "Parameter",
    "RecData",
    "RecErase",
    "RecList",
    "RecRead",
    "Recording",
    "RecordingState",
    "ResetCause",
    "Result",
    "ResultCode",
    "SampleFormat",
    "Selftest",
    "Sensor",
    "SensorKind",
    "SensorStatus",
    "SensorUnit",
    "Set",
    "Start",
    "Status",
    "Stop",
    "Time",
    "Uninterpreted",
    "offering",
]
