"""Makes log_mel.npz: log-mel arrays by librosa, an implementation that shares no code with the front end.

Run in an environment of its own: ``pip install 'librosa==0.10.2.post1' 'numpy<2' && python make_log_mel.py``.
"""

from pathlib import Path

import librosa
import numpy as np
import scipy.signal

CASES = {
    "default": {
        "rate_hz": 16000,
        "n_fft": 1024,
        "hop": 512,
        "n_mels": 64,
        "low_hz": 200.0,
        "high_hz": 7000.0,
    },
    "narrow": {"rate_hz": 8000, "n_fft": 512, "hop": 160, "n_mels": 40, "low_hz": 50.0, "high_hz": 2000.0},
}


def signal(rate_hz: int) -> np.ndarray:
    """Three seconds of hum, a chirp and noise, 16 bit."""
    rng = np.random.default_rng(20)
    t = np.arange(3 * rate_hz) / rate_hz
    x = 0.2 * np.sin(2 * np.pi * 50 * t) + 0.1 * scipy.signal.chirp(t, 100, 3, 0.45 * rate_hz)
    x += 0.02 * rng.standard_normal(len(t)) * np.linspace(0, 1, len(t))
    return np.round(x * 32767).astype(np.int16)


arrays = {}
for name, case in CASES.items():
    pcm = signal(case["rate_hz"])
    x = (pcm / 32768).astype(np.float64)
    mel = librosa.feature.melspectrogram(
        y=x, sr=case["rate_hz"], n_fft=case["n_fft"], hop_length=case["hop"], n_mels=case["n_mels"],
        fmin=case["low_hz"], fmax=case["high_hz"], window="hann", center=False, power=2.0, htk=False, norm="slaney",
    )  # fmt: skip
    energy = np.sum(scipy.signal.get_window("hann", case["n_fft"]) ** 2)
    arrays[f"{name}_pcm"] = pcm
    arrays[f"{name}_db"] = (10 * np.log10(mel.T / energy)).astype(np.float32)
    arrays[f"{name}_case"] = np.array([case[k] for k in ("rate_hz", "n_fft", "hop", "n_mels", "low_hz", "high_hz")])
np.savez_compressed(Path(__file__).with_name("log_mel.npz"), **arrays)
