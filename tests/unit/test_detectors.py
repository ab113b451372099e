"""Back-ends on vectors whose geometry is known."""

import numpy as np
import pytest

from hydroear.errors import HydroearError, UsageError
from hydroear_train.detectors import DETECTORS, fuse, held_out_scores, make_detector, supervised_scores

NETWORKS = ("ae", "vae")
QUICK = tuple(name for name in DETECTORS if name not in NETWORKS)

Array = np.ndarray


def draw(rng: np.random.Generator, count: int, *, offset: float = 0.0) -> Array:
    """Vectors near a plane of three dimensions in twelve, or that far off it in every other dimension."""
    plane = np.random.default_rng(1).standard_normal((3, 12))
    vectors = rng.standard_normal((count, 3)) @ plane + 0.2 * rng.standard_normal((count, 12))
    vectors[:, ::2] += offset
    return vectors.astype(np.float32)


def area(normal: Array, anomalous: Array) -> float:
    """Area under the ROC curve: how often an anomalous score is the higher one."""
    return float(np.mean(anomalous[:, None] > normal[None, :]))


@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_not_normal_scores_higher_and_the_same_seed_the_same(name: str) -> None:
    rng = np.random.default_rng(2)
    normal, fresh, anomalous = draw(rng, 300), draw(rng, 200), draw(rng, 200, offset=3.0)
    first, second = (make_detector(name, seed=5).fit(normal) for _ in range(2))
    scores = first.score(fresh)
    assert scores.dtype == np.float64
    assert scores.shape == (200,)
    assert area(scores, first.score(anomalous)) > 0.9
    np.testing.assert_array_equal(scores, second.score(fresh))


@pytest.mark.parametrize("name", QUICK)
def test_the_units_of_the_columns_do_not_matter(name: str) -> None:
    rng = np.random.default_rng(3)
    normal, fresh = draw(rng, 100), draw(rng, 50)
    units = (2.0 ** rng.integers(-3, 4, 12)).astype(np.float32)
    scores = make_detector(name, seed=0).fit(normal).score(fresh)
    np.testing.assert_allclose(make_detector(name, seed=0).fit(normal * units).score(fresh * units), scores, rtol=1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_constant_columns_and_repeated_rows_are_no_trouble(name: str) -> None:
    rng = np.random.default_rng(4)
    normal = np.repeat(draw(rng, 60), 2, axis=0)
    normal[:, 4] = 7.0
    fresh = draw(rng, 30)
    fresh[:, 4] = 7.0
    detector = make_detector(name, seed=0).fit(normal)
    scores = detector.score(fresh)
    assert np.isfinite(scores).all()
    fresh[:, 4] += 1e-6
    np.testing.assert_allclose(detector.score(fresh), scores, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", QUICK)
def test_a_handful_of_vectors_is_enough_to_begin_with(name: str) -> None:
    rng = np.random.default_rng(5)
    detector = make_detector(name, seed=0).fit(draw(rng, 4 if name == "fusion" else 2))
    assert np.isfinite(detector.score(draw(rng, 3))).all()
    assert detector.score(draw(rng, 0)).shape == (0,)


@pytest.mark.parametrize("name", DETECTORS)
def test_what_nothing_can_be_learned_from_is_refused(name: str) -> None:
    normal = draw(np.random.default_rng(6), 20)
    detector = make_detector(name, seed=0)
    with pytest.raises(HydroearError, match="1 normal vectors are too few; expected at least 2"):
        detector.fit(normal[:1])
    with pytest.raises(HydroearError, match="all 20 normal vectors are the same"):
        detector.fit(np.ones_like(normal))
    with pytest.raises(UsageError, match="of 3 recordings"):
        detector.fit(normal, ["a", "b", "c"])
    normal[7, 2] = np.nan
    with pytest.raises(HydroearError, match=r"vector 7 holds a value that is not finite \(1 of 20 do\)"):
        detector.fit(normal)


@pytest.mark.parametrize("name", QUICK)
def test_what_cannot_be_judged_is_refused(name: str) -> None:
    normal = draw(np.random.default_rng(6), 20)
    detector = make_detector(name, seed=0).fit(normal)
    with pytest.raises(UsageError, match=r"expected \(n, 12\)"):
        detector.score(normal[:, :5])
    with pytest.raises(HydroearError, match="not finite"):
        detector.score(np.full_like(normal, np.inf))


def test_a_detector_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="'svdd' is no detector; expected one of: ae, vae"):
        make_detector("svdd", seed=0)


def test_mahalanobis_counts_deviations_whatever_their_direction() -> None:
    rng = np.random.default_rng(7)
    normal = (rng.standard_normal((5000, 3)) @ np.array([[3, 0, 0], [2, 1, 0], [0, 1, 0.5]])).astype(np.float32)
    detector = make_detector("mahalanobis", seed=0).fit(normal)
    assert detector.score(normal).mean() == pytest.approx(1.0, rel=0.01)
    covariance = np.cov(normal.T)
    axis = np.linalg.eigh(covariance)[1]
    deviations = 4.0 * axis * np.sqrt(np.linalg.eigvalsh(covariance))
    scores = detector.score((normal.mean(axis=0) + deviations.T).astype(np.float32))
    np.testing.assert_allclose(scores, 16.0 / 3.0, rtol=0.1)


def test_a_mixture_knows_that_nothing_lies_between_two_clusters() -> None:
    rng = np.random.default_rng(8)
    normal = 0.3 * rng.standard_normal((200, 4)) + np.repeat([[-3.0], [3.0]], 100, axis=0)
    between = np.zeros((1, 4), np.float32)
    area_of = {
        name: area(detector.score(normal), detector.score(between))
        for name, detector in (
            (n, make_detector(n, seed=0).fit(normal.astype(np.float32))) for n in ("gmm", "mahalanobis")
        )
    }
    assert area_of["gmm"] == 1.0
    assert area_of["mahalanobis"] < 0.1


def test_a_distance_near_dense_vectors_counts_more_once_it_is_normalised() -> None:
    rng = np.random.default_rng(9)
    dense, sparse = 0.05 * rng.standard_normal((200, 2)), 10.0 + rng.standard_normal((50, 2))
    normal = np.concatenate([dense, sparse]).astype(np.float32)
    fresh = (10.0 + rng.standard_normal((100, 2))).astype(np.float32)
    beside = np.array([[0.3, 0.0], [0.0, 0.3], [-0.3, 0.0], [0.0, -0.3]], np.float32)
    area_of = {
        name: area(detector.score(fresh), detector.score(beside))
        for name, detector in ((n, make_detector(n, seed=0).fit(normal)) for n in ("knn", "knn-local"))
    }
    assert area_of["knn-local"] > 0.95
    assert area_of["knn"] < 0.75


def test_a_large_bank_is_reduced_and_still_knows_what_is_normal() -> None:
    rng = np.random.default_rng(10)
    detector = make_detector("knn", seed=0).fit(draw(rng, 2000))
    assert area(detector.score(draw(rng, 200)), detector.score(draw(rng, 200, offset=2.0))) > 0.9


def test_held_out_scores_hold_out_whole_recordings() -> None:
    rng = np.random.default_rng(11)
    recordings = np.tile(np.arange(6), 20)
    normal = (10.0 * rng.standard_normal((6, 4))[recordings] + 0.1 * rng.standard_normal((120, 4))).astype(np.float32)

    def median(groups: list[str] | None) -> float:
        return float(np.median(held_out_scores(lambda: make_detector("knn", seed=0), normal, groups)))

    # Every stretch of rows holds all recordings here, so only names can keep a recording from itself.
    assert median([str(recording) for recording in recordings]) > 20 * median(None)
    with pytest.raises(HydroearError, match="3 normal vectors are too few to hold some out"):
        held_out_scores(lambda: make_detector("knn", seed=0), normal[:3])


def test_fusion_does_not_depend_on_the_scales_of_the_scores() -> None:
    rng = np.random.default_rng(12)
    normal, scores = rng.standard_normal((2, 100)), 2.0 * rng.standard_normal((2, 50))
    fused = fuse(list(normal), list(scores))
    np.testing.assert_allclose(fuse([normal[0], 1e6 * normal[1] - 3.0], [scores[0], 1e6 * scores[1] - 3.0]), fused)


def test_fusion_of_two_views_hears_more_than_either() -> None:
    rng = np.random.default_rng(13)
    held_out, normal = rng.standard_normal((2, 2, 2000))
    anomalous = rng.standard_normal((2, 2000)) + 1.5
    # A squared distance has another scale and a longer tail than the score that stands beside it.
    held_out[1], normal[1], anomalous[1] = (np.exp(3.0 * view[1]) for view in (held_out, normal, anomalous))
    alone = max(area(normal[view], anomalous[view]) for view in range(2))
    together = area(fuse(list(held_out), list(normal)), fuse(list(held_out), list(anomalous)))
    assert together > alone + 0.03


def test_fusion_refuses_scores_that_tell_nothing() -> None:
    with pytest.raises(HydroearError, match="at least half of the normal vectors the same score"):
        fuse([np.ones(10)], [np.ones(3)])


def test_what_is_taught_leaks_hears_those_that_hide_among_the_normals() -> None:
    rng = np.random.default_rng(6)
    normal, fresh = rng.standard_normal((2, 400, 12)).astype(np.float32)
    wide = np.ones(12, np.float32)
    wide[0] = 0.2
    leak, leaking = 0.5 * wide * rng.standard_normal((2, 80, 12)).astype(np.float32)
    scores = supervised_scores(normal, leak, np.concatenate([fresh, leaking]))
    assert area(scores[:400], scores[400:]) > 0.9
    untaught = make_detector("mahalanobis", seed=0).fit(normal)
    assert area(untaught.score(fresh), untaught.score(leaking)) < 0.1
    with pytest.raises(HydroearError, match="supervised: no leak vectors to learn from"):
        supervised_scores(normal, leak[:0], fresh)
    with pytest.raises(HydroearError, match="not finite"):
        supervised_scores(normal, np.full_like(leak, np.nan), fresh)
