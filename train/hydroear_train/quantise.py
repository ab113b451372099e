"""Keras to TFLite: int8 weights (per channel) and activations inside, float32 at both ends."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STRATA = 8


def stratified(levels_db: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Pick windows to calibrate on, as many quiet ones as loud ones.

    The range of the levels is cut into strata of equal width, and every stratum gives one window in turn for as long as
    it has any: the few loudest windows of a recording, which set the ranges of the activations, are among those picked.

    Parameters
    ----------
    levels_db
        Level of each window before the front end takes it away, shape (n,), in dB, finite.
    count
        How many to pick; all of them where there are fewer.
    rng
        Source of randomness; the same one picks the same windows.

    Returns
    -------
    ndarray
        Indices, sorted, shape (min(count, n),).
    """
    edges = np.linspace(levels_db.min(), levels_db.max(), _STRATA + 1)[1:-1]
    stratum = np.digitize(levels_db, edges)
    shuffled = rng.permutation(len(levels_db))
    turn = np.empty(len(levels_db), np.intp)
    for number in np.unique(stratum):
        members = shuffled[stratum[shuffled] == number]
        turn[members] = np.arange(len(members))
    return np.sort(np.lexsort((shuffled, turn))[:count])


def to_int8(model: Any, examples: NDArray[np.float32]) -> bytes:
    """Quantise a model after training.

    Parameters
    ----------
    model
        A Keras model with one input and one output.
    examples
        Inputs, shape (n, ...), from which the ranges of the activations are taken: what lies outside them is clipped.
        For the autoencoder, normal embeddings only: its outputs for a leak are so far out that ranges which hold them
        leave few of the 256 steps to what is normal. A leak that is clipped still has its whole residual.

    Returns
    -------
    bytes
        The .tflite file.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with _silenced(), warnings.catch_warnings():
        # It would know the ranges of int8 inputs; these are float32.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs", UserWarning)
        content: bytes = converter.convert()
    return content


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """The converter writes pages to both standard streams from C++; keep them for the case that it fails."""
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as pages:
        os.dup2(pages.fileno(), 1)
        os.dup2(pages.fileno(), 2)
        try:
            yield
        finally:
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
