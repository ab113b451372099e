"""Extractors: CNNs cut at a named layer, whose features over frequency are the embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from hydroear.dsp import FrontEndSpec
from hydroear.errors import UsageError
from hydroear_train.recipe import Extractor

_BATCH_NORMALISATION_MOMENTUM = 0.9

ARCHITECTURES: dict[str, Callable[..., Any]] = {
    "mobilenet-v2": keras.applications.MobileNetV2,
    "densenet-121": keras.applications.DenseNet121,
    "resnet-50": keras.applications.ResNet50,
}
"""M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", Proc. IEEE CVPR, 2018; G. Huang et al.,
"Densely Connected Convolutional Networks", Proc. IEEE CVPR, 2017; K. He et al., "Deep Residual Learning for Image
Recognition", Proc. IEEE CVPR, 2016."""


def build_extractor(spec: FrontEndSpec, settings: Extractor) -> Any:
    """Build an untrained extractor.

    Parameters
    ----------
    spec
        The front end: the input has shape (window_frames, n_mels, 1).
    settings
        Which network, where it is cut, and how its features are pooled: ``mean`` is the mean over time at each
        frequency, ``mean+deviation`` also the mean absolute deviation from it.

    Returns
    -------
    Keras model
        From window to embedding, shape (embedding,).

    Raises
    ------
    UsageError
        If the network has no such layer, or the window is too short for it.

    Notes
    -----
    Frequency is not pooled: which bands rise is what tells a leak. A stack of small kernels compares neighbouring bands
    and learns the edges of synthetic sounds; a mixture of all bands lets it compare distant ones from the start.

    Keras builds MobileNetV2 with a batch-normalisation momentum of 0.999. A few hundred steps leave such moving
    statistics far from the data, and the network at inference far from the one that was trained.
    """
    layers = settings.named_layers
    window = keras.Input((*spec.shape, 1))
    x = keras.layers.AveragePooling2D((settings.frames_averaged, 1))(window) if settings.frames_averaged > 1 else window
    if settings.mix_bands:
        mixing = keras.layers.Conv2D(
            spec.n_mels, (1, spec.n_mels), use_bias=False, kernel_initializer=keras.initializers.Orthogonal()
        )
        x = keras.layers.Permute((1, 3, 2))(mixing(x))
    width = {"alpha": settings.alpha} if settings.architecture == "mobilenet-v2" else {}
    try:
        build = ARCHITECTURES[settings.architecture]
        whole = build(input_shape=(None, None, 1), include_top=False, weights=None, **width)
        maps = keras.Model(whole.input, [whole.get_layer(name).output for name in layers])(x)
    except ValueError as error:
        raise UsageError(
            f"cannot be built ({' '.join(str(error).split())[:200]})",
            where=f"{settings.architecture} at {', '.join(layers)}",
            expected="layers of this network, and windows long enough for them",
            fix="name other layers, or average fewer frames",
        ) from error
    for layer in whole.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _BATCH_NORMALISATION_MOMENTUM
    pooled = [part for features in maps for part in _pooled(features, settings.pooling)]
    embedding = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
    return keras.Model(window, embedding)


def _pooled(features: Any, pooling: str) -> list[Any]:
    mean = keras.ops.mean(features, axis=1, keepdims=True)
    parts = [keras.layers.Flatten()(mean)]
    if pooling == "mean+deviation":
        parts.append(keras.layers.Flatten()(keras.ops.mean(keras.ops.absolute(features - mean), axis=1)))
    return parts
