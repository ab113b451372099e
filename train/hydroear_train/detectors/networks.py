"""Detectors that are networks: what they cannot give back is not normal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear_train.detectors.detector import Array, StandardisedDetector
from hydroear_train.recipe import Autoencoder as Settings

_BATCH = 64
_EPOCHS = 20
_LEAST_ROWS = 2048


class DenseAutoencoder(StandardisedDetector):
    """Mean squared reconstruction error of a dense autoencoder.

    The network and its training are those of the product (:func:`hydroear_train.autoencoder.fit_autoencoder`), but it
    takes the standardised vectors as they are: the few principal components that an embedding is reduced to hold too
    little of a spectrum.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _learn(self, normal: Array) -> None:
        import keras

        from hydroear_train.autoencoder import fit_autoencoder

        settings = Settings()
        keras.utils.set_random_seed(self._seed)
        self._model, _ = fit_autoencoder(
            _repeated(normal),
            hidden=settings.hidden,
            bottleneck=settings.bottleneck,
            noise=settings.noise,
            epochs=_EPOCHS,
            callbacks=(),
        )

    def _judge(self, vectors: Array) -> NDArray[Any]:
        error: NDArray[Any] = np.mean(np.square(vectors - np.asarray(self._model(vectors, training=False))), axis=1)
        return error


class VariationalAutoencoder(StandardisedDetector):
    """Negative evidence lower bound of a variational autoencoder at the mean of the code, per dimension.

    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", Proc. ICLR, 2014; the output is a Gaussian of
    variance 1, the layers are as wide as those of :class:`DenseAutoencoder`.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _learn(self, normal: Array) -> None:
        import keras

        keras.utils.set_random_seed(self._seed)
        rows = _repeated(normal)
        self._encoder, self._decoder, model = _variational(rows.shape[1], self._seed)
        steps = _EPOCHS * -(-len(rows) // _BATCH)
        model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
        model.fit(rows, batch_size=_BATCH, epochs=_EPOCHS, verbose=0)

    def _judge(self, vectors: Array) -> NDArray[Any]:
        mean, log_variance = (np.asarray(part, dtype=np.float64) for part in self._encoder(vectors, training=False))
        error = np.square(vectors - np.asarray(self._decoder(mean, training=False))).sum(axis=1)
        divergence = np.sum(np.square(mean) + np.exp(log_variance) - 1.0 - log_variance, axis=1)
        bound: NDArray[Any] = 0.5 * (error + divergence) / vectors.shape[1]
        return bound


def _repeated(rows: Array) -> Array:
    """The same rows again and again, that few of them train as many steps as many do."""
    return np.resize(rows, (max(_LEAST_ROWS, len(rows)), rows.shape[1]))


def _variational(columns: int, seed: int) -> tuple[Any, Any, Any]:
    """Encoder (to mean and log-variance of the code), decoder, and the whole with its loss."""
    import keras

    class Code(keras.layers.Layer):  # type: ignore[misc]
        """Draws a code and adds its divergence from the standard Gaussian to the loss."""

        def __init__(self) -> None:
            super().__init__()
            self._random = keras.random.SeedGenerator(seed)

        def call(self, mean: Any, log_variance: Any) -> Any:
            divergence = keras.ops.square(mean) + keras.ops.exp(log_variance) - 1.0 - log_variance
            self.add_loss(0.5 * keras.ops.mean(keras.ops.sum(divergence, axis=1)))
            noise = keras.random.normal(keras.ops.shape(mean), seed=self._random)
            return mean + keras.ops.exp(0.5 * log_variance) * noise

    class Error(keras.layers.Layer):  # type: ignore[misc]
        """Adds the reconstruction error to the loss."""

        def call(self, values: Any, reconstruction: Any) -> Any:
            self.add_loss(0.5 * keras.ops.mean(keras.ops.sum(keras.ops.square(values - reconstruction), axis=1)))
            return reconstruction

    settings = Settings()
    values, code = keras.Input((columns,)), keras.Input((settings.bottleneck,))
    x = keras.layers.Dense(settings.hidden, activation="relu")(values)
    encoder = keras.Model(
        values, [keras.layers.Dense(settings.bottleneck)(x), keras.layers.Dense(settings.bottleneck)(x)]
    )
    x = keras.layers.Dense(settings.hidden, activation="relu")(code)
    decoder = keras.Model(code, keras.layers.Dense(columns)(x))
    mean, log_variance = encoder(values)
    return encoder, decoder, keras.Model(values, Error()(values, decoder(Code()(mean, log_variance))))
