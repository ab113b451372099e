"""Detectors that are networks: what they cannot give back is not normal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear_train.detectors.detector import Array, StandardisedDetector
from hydroear_train.recipe import Autoencoder as Settings
from hydroear_train.whitening import whitening

_BATCH = 64
_LATENT = 8


class DenseAutoencoder(StandardisedDetector):
    """Reconstruction error of the product's own autoencoder, with its default recipe, on the whitened vectors."""

    def __init__(self, seed: int) -> None:
        self._seed, self._settings = seed, Settings()

    def _learn(self, normal: Array) -> None:
        import keras

        from hydroear_train.autoencoder import fit_autoencoder

        settings = self._settings
        keras.utils.set_random_seed(self._seed)
        self._mean, self._projection = whitening(normal, components=settings.components)
        self._model, _ = fit_autoencoder(
            _repeated(self._whiten(normal), settings.windows),
            hidden=settings.hidden,
            bottleneck=settings.bottleneck,
            noise=settings.noise,
            epochs=settings.epochs,
            callbacks=(),
        )

    def _judge(self, vectors: Array) -> NDArray[Any]:
        white = self._whiten(vectors)
        residual: NDArray[Any] = np.square(white - np.asarray(self._model(white, training=False)))
        return residual.mean(axis=1)

    def _whiten(self, vectors: Array) -> Array:
        return (vectors - self._mean) @ self._projection


class VariationalAutoencoder(StandardisedDetector):
    """Negative evidence lower bound of a variational autoencoder at the mean of the code, per dimension.

    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", Proc. ICLR, 2014. It takes the same whitened vectors
    as :class:`DenseAutoencoder`; the output is a Gaussian of variance 1.
    """

    def __init__(self, seed: int) -> None:
        self._seed, self._settings = seed, Settings()

    def _learn(self, normal: Array) -> None:
        import keras

        settings = self._settings
        keras.utils.set_random_seed(self._seed)
        self._mean, self._projection = whitening(normal, components=settings.components)
        rows = _repeated(self._whiten(normal), settings.windows)
        self._encoder, self._decoder, model = _variational(rows.shape[1], settings.hidden, self._seed)
        steps = settings.epochs * -(-len(rows) // _BATCH)
        model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)))
        model.fit(rows, batch_size=_BATCH, epochs=settings.epochs, verbose=0)

    def _judge(self, vectors: Array) -> NDArray[Any]:
        white = self._whiten(vectors)
        mean, log_variance = (np.asarray(part, dtype=np.float64) for part in self._encoder(white, training=False))
        error = np.square(white - np.asarray(self._decoder(mean, training=False))).sum(axis=1)
        divergence = np.sum(np.square(mean) + np.exp(log_variance) - 1.0 - log_variance, axis=1)
        bound: NDArray[Any] = 0.5 * (error + divergence) / white.shape[1]
        return bound

    def _whiten(self, vectors: Array) -> Array:
        return (vectors - self._mean) @ self._projection


def _repeated(rows: Array, count: int) -> Array:
    """At least so many rows, the same ones again and again: the length of the training is that of the recipe."""
    return np.resize(rows, (max(count, len(rows)), rows.shape[1]))


def _variational(components: int, hidden: int, seed: int) -> tuple[Any, Any, Any]:
    """Encoder (to mean and log-variance of the code), decoder, and the whole with its loss."""
    import keras

    latent = min(_LATENT, components)

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

    values = keras.Input((components,))
    x = keras.layers.Dense(hidden, activation="relu")(values)
    encoder = keras.Model(values, [keras.layers.Dense(latent)(x), keras.layers.Dense(latent)(x)])
    code = keras.Input((latent,))
    decoder = keras.Model(code, keras.layers.Dense(components)(keras.layers.Dense(hidden, activation="relu")(code)))
    mean, log_variance = encoder(values)
    model = keras.Model(values, Error()(values, decoder(Code()(mean, log_variance))))
    return encoder, decoder, model
