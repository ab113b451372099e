"""Peak memory of streaming a corpus into training: ``training_memory.py [MINUTES …]`` (5 and 50).

Each size has a process of its own, which reads WAV files, writes shards and takes batches from them: as many of the
small corpus as of the large, for the allocator keeps some memory of every batch at first.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io.wavfile

RATE_HZ = 16_000
RECORDING_S = 30
WINDOWS = 32
BATCHES = 100


def peak_mib(minutes: float, folder: Path) -> float:
    """Peak resident memory, in MiB, of a process that streams a corpus of so many minutes."""
    corpus = folder / f"{minutes:g}"
    corpus.mkdir()
    rng = np.random.default_rng(0)
    for number in range(round(minutes * 60 / RECORDING_S)):
        noise = rng.normal(0.0, 3000.0, RATE_HZ * RECORDING_S).astype(np.int16)
        scipy.io.wavfile.write(corpus / f"{number:05d}.wav", RATE_HZ, noise)
    done = subprocess.run(
        [sys.executable, __file__, "--worker", str(corpus)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def stream(corpus: Path) -> None:
    """Stream a folder's recordings, and print the peak."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from hydroear.dsp import FrontEndSpec
    from hydroear_train.corpus import Entry
    from hydroear_train.shards import read_clips, write_shards
    from hydroear_train.spectra import SpectrumBatch
    from hydroear_train.strategy import single_worker
    from hydroear_train.stream import Windows, stream_shards, training_batches

    spec = FrontEndSpec()
    spectra = SpectrumBatch(spec)

    def augment(sources: Sequence[Windows], _rng: np.random.Generator) -> tuple[Any, ...]:
        features = spectra.features(sources[0].samples)
        return features[..., None], np.zeros((len(features), 1), np.float32)

    files = sorted(corpus.glob("*.wav"))
    clips = read_clips([Entry(file, {"label": "normal"}) for file in files], spec, group_column="site", quiet=True)
    shards = write_shards(clips, spec, corpus, data="noise")
    batches = training_batches(
        [stream_shards(shards, seed=0)],
        augment,
        shapes=[(*spec.shape, 1), (1,)],
        windows=WINDOWS,
        parts=4,
        seed=0,
        workers=single_worker(),
    )
    for _ in batches.take(BATCHES):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(minutes: Sequence[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for length in minutes:
            audio_mib = length * 60 * RATE_HZ * 4 / 2**20
            print(f"{length:6g} min, {audio_mib:7.1f} MiB of audio: peak {peak_mib(length, Path(folder)):7.1f} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        stream(Path(sys.argv[2]))
    else:
        main([float(text) for text in sys.argv[1:]] or [5.0, 50.0])
