"""Whitening keeps the directions in which leaks show, makes them white, and says so when there is nothing to whiten."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hydroear.errors import HydroearError
from hydroear_train.whitening import whitening

SILENT = np.zeros((10, 20), np.float32)


def noise(count: int, deviations: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((count, len(deviations))) * deviations).astype(np.float32)


def test_whitened_embeddings_have_mean_zero_and_unit_covariance() -> None:
    normal = noise(2000, np.linspace(1.0, 9.0, 20), seed=0) + np.float32(3.0)
    mean, projection = whitening(normal, noise(500, np.ones(20), seed=1), SILENT, components=4)
    white = (normal - mean) @ projection
    assert projection.shape == (20, 4)
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=1e-2)


def test_the_directions_are_those_of_leaks_and_not_those_that_normal_windows_vary_by() -> None:
    deviations, shifts = np.ones(20), np.zeros(20)
    deviations[:3], shifts[3:5], shifts[0] = 50.0, 4.0, 4.0
    _, projection = whitening(noise(2000, deviations, seed=0), noise(500, shifts, seed=1), SILENT, components=2)
    share = np.sum(np.square(projection[3:5])) / np.sum(np.square(projection))
    assert share > 0.99


def test_a_direction_that_int8_blurs_counts_less() -> None:
    shifts, blur = np.zeros(20), np.zeros(20)
    shifts[3:5], blur[3] = (4.0, 3.0), 0.3
    arguments = noise(2000, np.ones(20), seed=0), noise(500, shifts, seed=1)
    _, sharp = whitening(*arguments, SILENT, components=1)
    _, blurred = whitening(*arguments, noise(500, blur, seed=2), components=1)
    assert np.argmax(np.abs(sharp)) == 3
    assert np.argmax(np.abs(blurred)) == 4


def test_no_more_components_than_the_embeddings_span() -> None:
    rng = np.random.default_rng(1)
    basis = rng.standard_normal((3, 20))
    normal, shifts = ((rng.standard_normal((500, 3)) @ basis).astype(np.float32) for _ in range(2))
    assert whitening(normal, shifts, SILENT, components=16)[1].shape == (20, 3)


def test_embeddings_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(HydroearError, match="says the same of every window; expected embeddings that differ"):
        whitening(np.ones((10, 20), np.float32), SILENT, SILENT, components=2)
