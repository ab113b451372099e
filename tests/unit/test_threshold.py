"""Thresholds hold the rate they were asked for, on scores whose distribution is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, expon, gamma, pareto

from hydroear.errors import HydroearError, UsageError
from hydroear_train.threshold import Method, tail_probability, threshold

LEARNED, FRESH = 4000, 20000
KNOWN = {"exponential": expon(), "gamma": gamma(3.0, scale=0.2), "heavy": pareto(4.0)}
FITS = [(method, name) for method in Method for name in KNOWN if (method, name) != (Method.GAMMA, "heavy")]


@pytest.mark.parametrize("rate", [0.05, 0.005])
@pytest.mark.parametrize(("method", "name"), FITS)
def test_fresh_normal_scores_exceed_the_threshold_at_the_wanted_rate(method: Method, name: str, rate: float) -> None:
    rng = np.random.default_rng(7)
    over = threshold(KNOWN[name].rvs(LEARNED, random_state=rng), rate=rate, method=method)
    found = np.count_nonzero(KNOWN[name].rvs(FRESH, random_state=rng) > over)
    # The threshold is itself as uncertain as a rate measured on what it was learned from: both binomial, 99.9 %.
    uncertain = np.sqrt(1.0 + FRESH / LEARNED)
    low, high = binom(FRESH, rate).interval(0.999)
    assert FRESH * rate - uncertain * (FRESH * rate - low) <= found <= FRESH * rate + uncertain * (high - FRESH * rate)


@pytest.mark.parametrize("name", KNOWN)
def test_peaks_over_threshold_reach_beyond_the_highest_score(name: str) -> None:
    rng, known, rate = np.random.default_rng(3), KNOWN[name], 0.2 / LEARNED
    exceeded = [
        known.sf(threshold(known.rvs(LEARNED, random_state=rng), rate=rate, method=Method.POT)) for _ in range(99)
    ]
    assert rate / 2 < np.median(exceeded) < 2 * rate


@pytest.mark.parametrize("count", [20, 30, 39, 150])
def test_the_conformal_rate_is_never_too_high_however_few_the_scores(count: int) -> None:
    rng, trials, rate = np.random.default_rng(11), 2000, 0.05
    exceeded = [
        expon.sf(threshold(rng.exponential(size=count), rate=rate, method=Method.CONFORMAL)) for _ in range(trials)
    ]
    uncertain = 3 * np.std(exceeded) / np.sqrt(trials)
    exact = np.floor((count + 1) * rate) / (count + 1)
    assert exact <= rate
    assert np.mean(exceeded) == pytest.approx(exact, abs=uncertain)


@pytest.mark.parametrize("method", Method)
def test_tail_probabilities_of_normal_scores_are_uniform(method: Method) -> None:
    rng = np.random.default_rng(5)
    found = tail_probability(rng.exponential(size=LEARNED), rng.exponential(size=FRESH), method=method)
    levels = np.linspace(0.01, 0.99, 50)
    reached = [(found <= level).mean() for level in levels]
    # Kolmogorov's bound for both samples together, 99.9 %.
    np.testing.assert_allclose(reached, levels, rtol=0, atol=1.95 * np.sqrt(1 / LEARNED + 1 / FRESH))


SCORES = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).gamma(2.0, size=200))
RATES = st.floats(0.006, 0.5)


@pytest.mark.parametrize("method", Method)
@given(scores=SCORES, rates=st.tuples(RATES, RATES))
def test_a_lower_rate_never_lowers_the_threshold(
    method: Method, scores: np.ndarray, rates: tuple[float, float]
) -> None:
    strict, lax = (threshold(scores, rate=rate, method=method) for rate in sorted(rates))
    assert strict >= lax


@pytest.mark.parametrize("method", Method)
@given(scores=SCORES, rate=RATES, scale=st.floats(1e-6, 1e6))
def test_the_unit_of_the_scores_does_not_matter(method: Method, scores: np.ndarray, rate: float, scale: float) -> None:
    over = threshold(scores, rate=rate, method=method)
    assert threshold(scale * scores, rate=rate, method=method) == pytest.approx(scale * over, rel=1e-6)


@pytest.mark.parametrize("method", [Method.QUANTILE, Method.GAMMA, Method.POT])
@given(scores=SCORES, rate=RATES)
def test_the_tail_probability_of_the_threshold_is_the_rate(method: Method, scores: np.ndarray, rate: float) -> None:
    over = threshold(scores, rate=rate, method=method)
    assert tail_probability(scores, over, method=method) == pytest.approx(rate, rel=1e-6)


@given(scores=SCORES, rate=RATES)
def test_what_exceeds_the_conformal_threshold_is_rarer_than_the_rate(scores: np.ndarray, rate: float) -> None:
    over = threshold(scores, rate=rate, method=Method.CONFORMAL)
    assert tail_probability(scores, np.nextafter(over, np.inf), method=Method.CONFORMAL) <= rate * (1 + 1e-12)


def test_a_rate_that_the_scores_cannot_tell_is_refused_with_the_number_needed() -> None:
    scores = np.random.default_rng(1).exponential(size=98)
    with pytest.raises(HydroearError, match=r"98 normal scores say nothing of a rate of 0\.01; expected at least 99"):
        threshold(scores, rate=0.01, method=Method.CONFORMAL)
    assert threshold(np.append(scores, 20.0), rate=0.01, method=Method.CONFORMAL) == 20.0
    with pytest.raises(HydroearError, match="expected at least 67"):
        threshold(scores[:66], rate=0.01, method=Method.QUANTILE)
    assert threshold(scores[:67], rate=0.01, method=Method.QUANTILE) <= scores[:67].max()
    with pytest.raises(HydroearError, match="19 normal scores are too few; expected at least 20"):
        threshold(scores[:19], rate=0.01, method=Method.POT)


def test_scores_that_no_threshold_can_be_set_from_are_refused() -> None:
    scores = np.random.default_rng(1).exponential(size=100)
    with pytest.raises(UsageError, match="over 0 and under 1"):
        threshold(scores, rate=0.0, method=Method.QUANTILE)
    for method in Method:
        with pytest.raises(HydroearError, match="1 of them not finite"):
            threshold(np.append(scores, np.nan), rate=0.1, method=method)
        with pytest.raises(HydroearError, match="all normal scores are 2"):
            threshold(np.full(100, 2.0), rate=0.1, method=method)
        with pytest.raises(HydroearError, match="not a number"):
            tail_probability(scores, [1.0, np.nan], method=method)
    with pytest.raises(HydroearError, match="choose pot or conformal"):
        threshold(scores - 1.0, rate=0.1, method=Method.GAMMA)
    with pytest.raises(HydroearError, match="choose conformal"):
        threshold(np.minimum(scores, np.median(scores)), rate=0.01, method=Method.POT)
