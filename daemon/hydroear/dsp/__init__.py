"""The front end: from samples to log-mel windows. The trainer and the unit share every line of it."""

from hydroear.dsp.coherence import CommonSound, ReferencedFrontEnd
from hydroear.dsp.flutter import Fluctuation, Flutter
from hydroear.dsp.frontend import FrontEnd
from hydroear.dsp.mel import mel_bank
from hydroear.dsp.spec import FrontEndSpec
from hydroear.dsp.window import Window

__all__ = [
    "CommonSound",
    "Fluctuation",
    "Flutter",
    "FrontEnd",
    "FrontEndSpec",
    "ReferencedFrontEnd",
    "Window",
    "mel_bank",
]
