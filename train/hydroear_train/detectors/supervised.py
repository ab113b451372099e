"""What a classifier makes of vectors when it is taught leaks: a bound for detectors that are taught none."""

from __future__ import annotations

import numpy as np

from hydroear.errors import HydroearError
from hydroear_train.detectors.detector import Array, Scores, Standardiser, check_finite, check_normal

SUPERVISED = "supervised"


def supervised_scores(normal: Array, leak: Array, test: Array) -> Scores:
    """Judge vectors by a support vector machine that was taught both classes.

    C. Cortes and V. Vapnik, "Support-vector networks", Machine Learning 20, 1995; with a Gaussian kernel as wide as the
    vectors spread, and as much weight for few leaks as for many normals.

    Parameters
    ----------
    normal, leak
        float32, shapes (m, d) and (k, d): of windows of either class.
    test
        float32, shape (n, d).

    Returns
    -------
    ndarray
        float64, shape (n,): higher is more like a leak.

    Raises
    ------
    HydroearError
        If there are no leaks, too few normals, or a vector is not finite.
    """
    from sklearn.svm import SVC

    check_normal(normal, None)
    if not len(leak):
        raise HydroearError(
            "no leak vectors to learn from",
            where=SUPERVISED,
            expected="leaks outside the held-out fold",
            fix="leave this row out",
        )
    check_finite(leak)
    check_finite(test)
    standardise = Standardiser.of(normal)
    vectors = np.concatenate([standardise(normal), standardise(leak)])
    leaking = np.arange(len(vectors)) >= len(normal)
    machine = SVC(gamma="scale", class_weight="balanced").fit(vectors, leaking)
    return np.asarray(machine.decision_function(standardise(test)), dtype=np.float64)
