"""Makes control_features.npz: control features by librosa and SciPy's Welch estimate, which share no code with ours.

Run in an environment of its own: ``pip install 'librosa==0.11.0' && python make_control_features.py``.
"""

from pathlib import Path

import librosa
import numpy as np
import scipy.signal

CASES = {
    "default": {
        "rate_hz": 16000, "n_fft": 1024, "hop": 512, "n_mels": 64, "low_hz": 200.0, "high_hz": 7000.0,
        "window_frames": 60, "remove_level": 1,
    },
    "narrow": {
        "rate_hz": 8000, "n_fft": 512, "hop": 160, "n_mels": 40, "low_hz": 50.0, "high_hz": 2000.0,
        "window_frames": 40, "remove_level": 0,
    },
}  # fmt: skip
LINES, COEFFICIENTS, KERNEL = 256, 20, 17


def signal(rate_hz: int, samples: int) -> np.ndarray:
    """Hum, a chirp, knocks and noise, 16 bit: something for every feature."""
    rng = np.random.default_rng(21)
    t = np.arange(samples) / rate_hz
    x = 0.1 * np.sin(2 * np.pi * 50 * t) + 0.05 * np.sin(2 * np.pi * 620 * t)
    x += 0.05 * scipy.signal.chirp(t, 100, t[-1], 0.45 * rate_hz)
    x += 0.02 * rng.standard_normal(samples)
    for start in range(rate_hz // 4, samples, rate_hz // 2):
        knock = 0.4 * np.exp(-np.arange(400) / 60) * rng.standard_normal(400)
        x[start : start + 400] += knock[: samples - start]
    return np.round(x * 32767).astype(np.int16)


def moments(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values.mean(axis=1), values.std(axis=1)])


def vectors(x: np.ndarray, case: dict) -> dict[str, np.ndarray]:
    energy = np.sum(scipy.signal.get_window("hann", case["n_fft"]) ** 2)
    stft = librosa.stft(
        x, n_fft=case["n_fft"], hop_length=case["hop"], window="hann", center=False, dtype=np.complex128
    )
    magnitude = np.abs(stft) / np.sqrt(energy)
    hz = librosa.fft_frequencies(sr=case["rate_hz"], n_fft=case["n_fft"])
    heard = (hz >= case["low_hz"]) & (hz <= case["high_hz"])

    def level_removed(values: np.ndarray) -> np.ndarray:
        return values - values.mean() if case["remove_level"] else values

    def log_mel(part: np.ndarray) -> np.ndarray:
        mel = librosa.feature.melspectrogram(
            S=part**2, sr=case["rate_hz"], n_fft=case["n_fft"], n_mels=case["n_mels"], fmin=case["low_hz"],
            fmax=case["high_hz"], htk=False, norm="slaney",
        )  # fmt: skip
        return librosa.power_to_db(mel, ref=1.0, amin=1e-14, top_db=None)

    _, welch = scipy.signal.welch(
        x, case["rate_hz"], window="hann", nperseg=case["n_fft"], noverlap=case["n_fft"] - case["hop"], detrend=False,
        scaling="density",
    )  # fmt: skip
    lines = welch[heard] * case["rate_hz"] / 2  # the density is one-sided
    neighbours = int(np.ceil(len(lines) / LINES))
    lines = np.array([lines[i : i + neighbours].mean() for i in range(0, len(lines), neighbours)])

    first = case["remove_level"]
    cepstrum = librosa.feature.mfcc(S=log_mel(magnitude), n_mfcc=COEFFICIENTS + first, dct_type=2, norm="ortho")[first:]
    slopes = librosa.feature.delta(cepstrum, width=9, order=1, mode="nearest")

    parts = dict.fromkeys("hp")
    for key, part in zip("hp", librosa.decompose.hpss(magnitude[heard], kernel_size=KERNEL, power=2.0), strict=True):
        parts[key] = np.zeros_like(magnitude)
        parts[key][heard] = part

    return {
        "line-spectrum": level_removed(10 * np.log10(lines)),
        "log-mel": moments(level_removed(log_mel(magnitude))),
        "mfcc": np.concatenate([moments(cepstrum), slopes.std(axis=1)]),
        "hpss-h": moments(level_removed(log_mel(parts["h"]))),
        "hpss-p": moments(level_removed(log_mel(parts["p"]))),
    }


arrays = {}
for name, case in CASES.items():
    length = (case["window_frames"] - 1) * case["hop"] + case["n_fft"]
    windows = signal(case["rate_hz"], 2 * length).reshape(2, length)
    arrays[f"{name}_pcm"] = windows
    arrays[f"{name}_case"] = np.array(list(case.values()))
    found = [vectors(window / 32768, case) for window in windows]
    for feature in found[0]:
        arrays[f"{name}_{feature}"] = np.stack([vector[feature] for vector in found]).astype(np.float32)
np.savez_compressed(Path(__file__).with_name("control_features.npz"), **arrays)
