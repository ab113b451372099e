"""Keras to TFLite: int8 weights (per channel) and activations inside, float32 at both ends."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def to_int8(model: Any, examples: NDArray[np.float32]) -> bytes:
    """Quantise a model after training.

    Parameters
    ----------
    model
        A Keras model with one input and one output.
    examples
        Inputs, shape (n, ...), from which the ranges of the activations are taken.

    Returns
    -------
    bytes
        The .tflite file.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with _silenced():
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
