"""Detectors that describe what is normal by Gaussians."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear_train.detectors.detector import Array, StandardisedDetector

_EXPLAINED = 0.95
_MOST_COMPONENTS = 8
_ROWS_A_COMPONENT = 20
_SMALLEST_VARIANCE = 0.1


class Mahalanobis(StandardisedDetector):
    """Squared distance from the mean in units of the shrunk covariance, per dimension.

    The covariance is shrunk as in O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
    matrices", J. Multivariate Analysis 88, 2004.
    """

    def _learn(self, normal: Array) -> None:
        from sklearn.covariance import LedoitWolf

        self._covariance = LedoitWolf().fit(normal.astype(np.float64))

    def _judge(self, vectors: Array) -> NDArray[Any]:
        distances: NDArray[np.float64] = self._covariance.mahalanobis(vectors.astype(np.float64))
        return distances / vectors.shape[1]


class PrincipalResidual(StandardisedDetector):
    """Mean square of what the principal components of the normal vectors leave over.

    As many components are kept as explain 95 % of the variance (the Q statistic of J. E. Jackson and G. S. Mudholkar,
    "Control procedures for residuals associated with principal component analysis", Technometrics 21, 1979).
    """

    def _learn(self, normal: Array) -> None:
        from sklearn.decomposition import PCA

        self._components = PCA(n_components=_EXPLAINED, svd_solver="full").fit(normal.astype(np.float64))

    def _judge(self, vectors: Array) -> NDArray[Any]:
        explained = self._components.inverse_transform(self._components.transform(vectors.astype(np.float64)))
        residual: NDArray[np.float64] = np.mean(np.square(vectors - explained), axis=1)
        return residual


class Mixture(StandardisedDetector):
    """Negative log-likelihood per dimension under a mixture of Gaussians.

    The vectors are turned to their principal axes, so that a diagonal covariance with a lower bound does for every
    component; how many there are is chosen by the Bayesian information criterion (G. Schwarz, "Estimating the dimension
    of a model", Annals of Statistics 6, 1978).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _learn(self, normal: Array) -> None:
        from sklearn.decomposition import PCA
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        self._axes = PCA(svd_solver="full").fit(normal.astype(np.float64))
        turned = self._axes.transform(normal.astype(np.float64))
        most = min(_MOST_COMPONENTS, len(np.unique(normal, axis=0)) // _ROWS_A_COMPONENT)
        with warnings.catch_warnings():
            # A mixture that still moves a little after the last iteration is a mixture, too.
            warnings.simplefilter("ignore", ConvergenceWarning)
            candidates = [
                GaussianMixture(
                    count, covariance_type="diag", reg_covar=_SMALLEST_VARIANCE, random_state=self._seed
                ).fit(turned)
                for count in range(1, max(1, most) + 1)
            ]
        self._mixture: Any = min(candidates, key=lambda mixture: mixture.bic(turned))

    def _judge(self, vectors: Array) -> NDArray[Any]:
        turned = self._axes.transform(vectors.astype(np.float64))
        likelihood: NDArray[np.float64] = self._mixture.score_samples(turned)
        return -likelihood / vectors.shape[1]
