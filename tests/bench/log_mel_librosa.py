"""Worker in librosa's own environment: the same log-mel. Arguments: spec.json audio.npy output.npy."""

import json
import sys
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray
from stopwatch import serve

Signal = NDArray[np.float32]


def main() -> None:
    spec_path, audio_path, output_path = map(Path, sys.argv[1:])
    spec = json.loads(spec_path.read_text())
    audio = np.load(audio_path)
    stft = {"n_fft": spec["n_fft"], "hop_length": spec["hop"], "center": False}
    bands = {"n_mels": spec["n_mels"], "fmin": spec["low_hz"], "fmax": spec["high_hz"]}
    bank = librosa.filters.mel(sr=spec["rate_hz"], n_fft=spec["n_fft"], **bands)
    # librosa leaves the window's energy in the power, hydroear takes it out: so does the floor.
    energy = np.sum(librosa.filters.get_window("hann", spec["n_fft"]) ** 2)
    floor = energy * 10.0 ** (spec["floor_db"] / 10.0)

    def decibels(mel: Signal) -> Signal:
        log_mel: Signal = librosa.power_to_db(mel, ref=energy, amin=floor, top_db=None)
        return log_mel

    def log_mel() -> Signal:
        return decibels(librosa.feature.melspectrogram(y=audio, sr=spec["rate_hz"], **stft, **bands))

    def log_mel_of_one_bank() -> Signal:
        return decibels(bank @ np.abs(librosa.stft(audio, **stft)) ** 2)

    np.save(output_path, log_mel().T)
    serve({"log-mel": log_mel, "log-mel-one-bank": log_mel_of_one_bank})


if __name__ == "__main__":
    main()
