"""The dense autoencoder on whitened embeddings of normal windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_BATCH = 64


def fit_autoencoder(
    white: Array, *, hidden: int, bottleneck: int, noise: float, epochs: int, callbacks: Sequence[Any]
) -> tuple[Any, list[float]]:
    """Train an autoencoder to give normal embeddings back from a noisy copy.

    Parameters
    ----------
    white
        float32, shape (n, components): whitened embeddings of normal windows.
    hidden, bottleneck
        Units of the outer layers and of the middle one.
    noise
        Standard deviation of the noise added to the input while training.
    epochs
        Passes over the embeddings.
    callbacks
        Keras callbacks.

    Returns
    -------
    model, losses
        The Keras model (components to components) and its loss in every epoch.

    Notes
    -----
    The bottleneck is bounded (tanh): with a linear unit there the network goes on reconstructing along the directions
    it learned, however far from the normal ones an embedding lies.
    """
    components = white.shape[1]
    values = keras.Input((components,))
    x = keras.layers.GaussianNoise(noise)(values)
    x = keras.layers.Dense(hidden, activation="relu")(x)
    x = keras.layers.Dense(bottleneck, activation="tanh")(x)
    x = keras.layers.Dense(hidden, activation="relu")(x)
    model = keras.Model(values, keras.layers.Dense(components)(x))
    steps = epochs * -(-len(white) // _BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)), "mse")
    history = model.fit(
        white, white, batch_size=_BATCH, epochs=epochs, shuffle=True, verbose=0, callbacks=list(callbacks)
    )
    return model, [float(loss) for loss in history.history["loss"]]
