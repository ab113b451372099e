"""Simulated recordings of water mains: a physical model of a leak, of the pipe, and of all that is not a leak.

What comes out is *simulated* and says so in every file name, manifest line and WAV comment. It feeds the demo and the
tests, and lends its leak noise to training as an augmentation; it is no evidence of how a detector does on real pipes.

Sound at the sensor is source × path × sensor, each a function of frequency with its source stated where it is defined:
:mod:`~hydroear_train.simulate.leak` (jet), :mod:`~hydroear_train.simulate.pipe` (wave speed, attenuation,
resonances), :mod:`~hydroear_train.simulate.sensor`, :mod:`~hydroear_train.simulate.sounds` (everything else).
"""

from hydroear_train.simulate.corpus import Recording, Row, write_corpus, write_demo
from hydroear_train.simulate.leak import Jet, Leak, leak_noise, random_leak, random_leak_noise
from hydroear_train.simulate.noise import LEAK_BAND_HZ, band_rms
from hydroear_train.simulate.pipe import MATERIALS, Material, Mode, Pipe, random_pipe
from hydroear_train.simulate.scene import (
    DEMO_SITE,
    Scene,
    Span,
    demo_scene,
    leak_component,
    nights,
    quiet_scene,
    random_spans,
    render,
)
from hydroear_train.simulate.sensor import Sensor, quantise, random_sensor
from hydroear_train.simulate.site import Flow, Hum, Pump, Service, Site, Valve, random_site

__all__ = [
    "DEMO_SITE",
    "LEAK_BAND_HZ",
    "MATERIALS",
    "Flow",
    "Hum",
    "Jet",
    "Leak",
    "Material",
    "Mode",
    "Pipe",
    "Pump",
    "Recording",
    "Row",
    "Scene",
    "Sensor",
    "Service",
    "Site",
    "Span",
    "Valve",
    "band_rms",
    "demo_scene",
    "leak_component",
    "leak_noise",
    "nights",
    "quantise",
    "quiet_scene",
    "random_leak",
    "random_leak_noise",
    "random_pipe",
    "random_sensor",
    "random_site",
    "random_spans",
    "render",
    "write_corpus",
    "write_demo",
]
