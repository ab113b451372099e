"""The firmware bridge: samples from a sensor microcontroller, by the protocol of ``PROTOCOL.md``."""

from hydroear_bridge.account import Account, FramesLost, Restart, SamplesLost, Stale
from hydroear_bridge.errors import BridgeError, FrameError
from hydroear_bridge.frames import Audio, AudioFlags, Frame, Hello, SampleFormat, Uninterpreted
from hydroear_bridge.link import BadFrame, Decoder, encode

__all__ = [
    "Account",
    "Audio",
    "AudioFlags",
    "BadFrame",
    "BridgeError",
    "Decoder",
    "Frame",
    "FrameError",
    "FramesLost",
    "Hello",
    "Restart",
    "SampleFormat",
    "SamplesLost",
    "Stale",
    "Uninterpreted",
    "encode",
]
