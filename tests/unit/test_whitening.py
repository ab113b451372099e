"""Whitening makes embeddings white, and says so when there is nothing to whiten."""

import numpy as np
import pytest

from hydroear.errors import HydroearError
from hydroear_train.whitening import whitening


def test_whitened_embeddings_have_mean_zero_and_unit_covariance() -> None:
    rng = np.random.default_rng(0)
    embeddings = (rng.standard_normal((2000, 6)) @ rng.standard_normal((6, 20)) + 3.0).astype(np.float32)
    mean, projection = whitening(embeddings, components=4)
    white = (embeddings - mean) @ projection
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=1e-2)


def test_no_more_components_than_the_embeddings_span() -> None:
    rng = np.random.default_rng(1)
    embeddings = (rng.standard_normal((500, 3)) @ rng.standard_normal((3, 20))).astype(np.float32)
    assert whitening(embeddings, components=16)[1].shape == (20, 3)


def test_embeddings_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(HydroearError, match="says the same of every window; expected embeddings that differ"):
        whitening(np.ones((10, 5), np.float32), components=2)
