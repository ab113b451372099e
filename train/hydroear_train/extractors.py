"""Extractors: CNNs whose pooled features are the embedding."""

from __future__ import annotations

from typing import Any

import keras

from hydroear.dsp import FrontEndSpec

_BATCH_NORMALISATION_MOMENTUM = 0.9


def mobilenet_v2(spec: FrontEndSpec, *, alpha: float) -> tuple[Any, Any]:
    """MobileNetV2 on log-mel windows (M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    Proc. IEEE CVPR, 2018).

    Parameters
    ----------
    spec
        The front end: the input has shape (window_frames, n_mels, 1).
    alpha
        Width multiplier.

    Returns
    -------
    extractor, classifier
        Keras models on the same weights: window to embedding, and window to the logit of the pretext.

    Notes
    -----
    Keras builds the network with a batch-normalisation momentum of 0.999. A few hundred steps leave such moving
    statistics far from the data, and the network at inference far from the one that was trained.
    """
    extractor = keras.applications.MobileNetV2(
        input_shape=(*spec.shape, 1), alpha=alpha, include_top=False, weights=None, pooling="avg"
    )
    for layer in extractor.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _BATCH_NORMALISATION_MOMENTUM
    logit = keras.layers.Dense(1, name="logit")(extractor.output)
    return extractor, keras.Model(extractor.input, logit)
