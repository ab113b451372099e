"""One worker that trains a tiny network on shards; with ``TF_CONFIG`` in the environment, one of several.

``training_worker.py CACHE STEPS DYING_STEP TIMEOUT_S`` prints, as JSON, its losses, the hash of its weights and what
the network says to silence. It kills itself before the step DYING_STEP.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from hydroear.command import run_command
from hydroear.dsp import FrontEndSpec
from hydroear_train.corpus import Clip, Entry
from hydroear_train.shards import write_shards
from hydroear_train.spectra import SpectrumBatch
from hydroear_train.strategy import join_workers, single_worker, train
from hydroear_train.stream import Windows, stream_shards, training_batches

SPEC = FrontEndSpec(rate_hz=8000, n_fft=256, hop=128, n_mels=16, high_hz=4000.0, window_frames=16, window_hop_frames=8)
WINDOWS = 32


def clips() -> list[Clip]:
    """Noise of two sites of different colour."""
    rng = np.random.default_rng(1)
    noises = [np.convolve(rng.standard_normal(40_000), [1.0, pole], "same") for pole in (-0.9, 0.9, -0.8, 0.8)]
    return [
        Clip(Entry(Path(f"{number}.wav"), {"label": "normal"}), "ab"[number % 2], noise.astype(np.float32))
        for number, noise in enumerate(noises)
    ]


def augment(sources: Sequence[Windows], rng: np.random.Generator) -> tuple[Any, ...]:
    """Features with a random offset, and which site they are of."""
    (windows,) = sources
    spectra = SpectrumBatch(SPEC)
    features = spectra.features(windows.samples) / 10.0
    features += rng.normal(size=(len(features), 1, 1)).astype(np.float32)
    return features[..., None], np.array([[group == "a"] for group in windows.groups], np.float32)


def build() -> keras.Model:
    """A convolution with batch normalisation."""
    return keras.Sequential(
        [
            keras.Input((*SPEC.shape, 1)),
            keras.layers.Conv2D(4, 3, strides=2),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )


def work(cache: Path, steps: int, dying_step: int, timeout_s: float) -> int:
    workers = join_workers(timeout_s=timeout_s) if "TF_CONFIG" in os.environ else single_worker()
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    shards = workers.chief_first(lambda: write_shards(clips(), SPEC, cache, data="noise"))
    model = build()

    def on_step(losses: list[float]) -> None:
        if len(losses) == dying_step:
            os.kill(os.getpid(), signal.SIGKILL)

    losses = train(
        model,
        training_batches(
            [stream_shards(shards, seed=3)],
            augment,
            shapes=[(*SPEC.shape, 1), (1,)],
            windows=WINDOWS,
            parts=4,
            seed=3,
            workers=workers,
        ),
        loss=lambda labels, outputs: keras.losses.binary_crossentropy(labels, outputs, from_logits=True),
        learning_rate=keras.optimizers.schedules.CosineDecay(0.02, steps),
        steps=steps,
        workers=workers,
        on_step=on_step,
    )
    weights = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
    answers = model.predict(np.zeros((2, *SPEC.shape, 1), np.float32), verbose=0)[:, 0].tolist()
    print(json.dumps({"losses": losses, "weights": weights, "answers": answers, "chief": workers.is_chief}))
    return 0


if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    sys.exit(run_command("worker", lambda: work(Path(folder), int(numbers[0]), int(numbers[1]), float(numbers[2]))))
