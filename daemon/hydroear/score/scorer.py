"""Features to reconstruction error: the two models of a bundle, in the order they are used."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEnd
from hydroear.errors import BundleError
from hydroear.model import Bundle, Kernels, Runtime, kernels_here, load_model

GOLDEN_TOLERANCE = 0.05
"""Largest relative difference of a golden window's error on the runtime it was exported for."""


@dataclass(frozen=True, eq=False)
class Score:
    """What the models say of a window.

    Attributes
    ----------
    embedding
        float32, shape (whitened,): the whitened embedding.
    error
        Mean squared reconstruction error of it, at least 0.
    likeness
        How far it lies towards leaks as the extractor knows them, in deviations of the trainer's normal windows.
    """

    embedding: NDArray[np.float32]
    error: float
    likeness: float


class Scorer:
    """Runs a bundle.

    Parameters
    ----------
    bundle
        The bundle.
    runtime
        The interpreter.
    kernels
        Which of its kernels; those of this machine where left out.

    Raises
    ------
    BundleError
        If a model does not run, or does not fit the front end or the other model.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime, kernels: Kernels | None = None) -> None:
        self.bundle, self.runtime, self.kernels = bundle, runtime, kernels or kernels_here()
        self._extractor = load_model(bundle.extractor, runtime, name="extractor.tflite", kernels=self.kernels)
        self._autoencoder = load_model(bundle.autoencoder, runtime, name="autoencoder.tflite", kernels=self.kernels)
        frames, mels = bundle.front_end.shape
        embedding, whitened = bundle.projection.shape
        for name, shape, right in (
            ("extractor input", self._extractor.input_shape, (1, frames, mels, 1)),
            ("extractor output", self._extractor.output_shape, (1, embedding)),
            ("autoencoder input", self._autoencoder.input_shape, (1, whitened)),
            ("autoencoder output", self._autoencoder.output_shape, (1, whitened)),
        ):
            if shape != right:
                raise BundleError(
                    f"made for another front end: {name} has shape {shape}",
                    where=bundle.name,
                    expected=f"{right}",
                    fix="export the bundle again",
                )

    def score(self, features: NDArray[np.float32], band_mean: NDArray[np.float32] | None = None) -> Score:
        """Score one window.

        Parameters
        ----------
        features
            float32, shape (window_frames, n_mels), as :class:`hydroear.dsp.Window` holds them.
        band_mean
            float32, shape (n_mels,): the normal mean of each band at this site; the bundle's where left out.

        Raises
        ------
        BundleError
            If a model fails, or what comes out is no number.
        """
        bundle = self.bundle
        centred = features - (bundle.band_mean if band_mean is None else band_mean)
        try:
            raw = self._extractor(centred) - bundle.embedding_mean
            embedding = raw @ bundle.projection
            residual = embedding - self._autoencoder(embedding)
        except (ValueError, RuntimeError) as failure:
            raise BundleError(f"a model fails on a window ({failure})", where=bundle.name) from failure
        error = float(np.mean(np.square(residual), dtype=np.float64))
        likeness = float(raw @ bundle.leak_axis)
        if not (math.isfinite(error) and math.isfinite(likeness)):
            raise BundleError("the score of a window is no number", where=bundle.name)
        return Score(embedding=embedding, error=error, likeness=likeness)

    def golden_errors(self) -> tuple[float, ...]:
        """Errors of the golden windows through the whole front end and both models, on this runtime."""
        spec = self.bundle.front_end
        errors = []
        for pcm, band_mean in zip(self.bundle.golden.audio, self.bundle.golden.band_means, strict=True):
            windows = FrontEnd(spec, input_rate_hz=spec.rate_hz).push(pcm.astype(np.float32) / np.float32(32768))
            errors.append(self.score(windows[0].features, band_mean).error)
        return tuple(errors)

    def check_golden(self) -> float:
        """Run the golden windows.

        Returns
        -------
        float
            The largest relative difference from the expected errors.

        Raises
        ------
        BundleError
            If it is over :data:`GOLDEN_TOLERANCE` or no number, or the bundle was never exported for this runtime.
        """
        rounding = self.runtime if self.kernels is Kernels.FAST else self.kernels
        expected = self.bundle.golden.errors.get(rounding)
        if not expected:
            raise BundleError(
                f"exported for {', '.join(sorted(self.bundle.golden.errors)) or 'no runtime'}, not for {rounding}",
                where=self.bundle.name,
                fix="install a runtime it was exported for, or export it again",
            )
        found = np.asarray(self.golden_errors())
        difference = float(np.max(np.abs(found - expected) / np.maximum(expected, 1e-9)))
        if not difference <= GOLDEN_TOLERANCE:
            raise BundleError(
                f"golden windows differ by {100 * difference:.1f} %",
                where=f"{self.bundle.name} on {self.runtime} {self.runtime.version}",
                expected=f"at most {100 * GOLDEN_TOLERANCE:g} %",
                fix="this unit computes other scores than the trainer did: install the runtime named in the bundle",
            )
        return difference
