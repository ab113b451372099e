"""The front end against arrays that librosa computed (make_log_mel.py)."""

from pathlib import Path

import numpy as np
import pytest

from hydroear.dsp import FrontEnd, FrontEndSpec

REFERENCE = np.load(Path(__file__).with_name("log_mel.npz"))


@pytest.mark.parametrize("name", ["default", "narrow"])
def test_log_mel_equals_librosa(name: str) -> None:
    rate_hz, n_fft, hop, n_mels, low_hz, high_hz = REFERENCE[f"{name}_case"]
    spec = FrontEndSpec(
        rate_hz=int(rate_hz),
        n_fft=int(n_fft),
        hop=int(hop),
        n_mels=int(n_mels),
        low_hz=low_hz,
        high_hz=high_hz,
        highpass_hz=0.0,
    )
    samples = (REFERENCE[f"{name}_pcm"] / 32768).astype(np.float32)
    log_mel, _ = FrontEnd(spec, input_rate_hz=spec.rate_hz).frames(samples)
    assert log_mel.shape == REFERENCE[f"{name}_db"].shape
    np.testing.assert_allclose(log_mel, REFERENCE[f"{name}_db"], rtol=0, atol=2e-3)
