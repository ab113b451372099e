"""What the trainer learns from is what the unit will hear."""

import numpy as np

from hydroear.dsp import FrontEnd, FrontEndSpec
from hydroear.dsp.highpass import HighPass
from hydroear_train.spectra import SpectrumBatch


def test_training_windows_equal_the_units_windows() -> None:
    spec = FrontEndSpec()
    rng = np.random.default_rng(3)
    samples = (0.05 * rng.standard_normal(spec.rate_hz * 8)).astype(np.float32)
    unit = FrontEnd(spec, input_rate_hz=spec.rate_hz).push(samples)
    filtered = HighPass(spec.highpass_hz, spec.rate_hz).push(samples)
    step = spec.window_hop_frames * spec.hop
    clips = np.stack([filtered[i * step : i * step + spec.window_samples] for i in range(len(unit))])
    batch = SpectrumBatch(spec)
    trainer = batch.features(clips)
    assert len(unit) > 4
    for window, features in zip(unit, trainer, strict=True):
        np.testing.assert_allclose(features, window.features, atol=1e-3)
