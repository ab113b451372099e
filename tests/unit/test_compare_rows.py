"""The rows of the table, and what the simulator's levels amount to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hydroear.errors import ConfigError, UsageError
from hydroear_train.compare.plan import load_plan
from hydroear_train.compare.run import DETERMINISTIC
from hydroear_train.compare.simulated import CONFOUNDERS, SNR_AT_TARGET, SNRS_DB, simulator_metrics, snr_condition
from hydroear_train.corpus import Entry
from hydroear_train.detectors import DETECTORS, SUPERVISED, make_detector
from hydroear_train.evaluate import Scored, interval, measure
from hydroear_train.features import FEATURES
from hydroear_train.splits import Split


def test_the_default_plan_pairs_everything_with_everything() -> None:
    plan = load_plan(None)
    names = [row.name for row in plan.rows()]
    sources = len(FEATURES) + len(plan.extractors)
    bounds = len(FEATURES)
    assert len(set(names)) == len(names) == sources * len(DETECTORS) + bounds + 2 * len(plan.extractors)
    assert [row.name for row in plan.rows(["log-mel+k*", "*+pca"])][:3] == [
        "line-spectrum+pca",
        "log-mel+knn",
        "log-mel+knn-local",
    ]
    with pytest.raises(UsageError, match="'log-mel' names no row"):
        plan.rows(["log-mel"])


def test_every_mistake_in_a_plan_is_named(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("features: [log-mel, wavelets]\ndetectors: [oracle]\nextractors: {a: {stepps: 3}}\ncolour: red\n")
    with pytest.raises(ConfigError) as caught:
        load_plan(file)
    assert len(caught.value.problems) == 4
    for part in ("wavelets unknown", "oracle unknown", "extractors.a.stepps", "colour"):
        assert part in str(caught.value)
    for text in ("[1, 2]", "a: [", "front_end: {n_mels: 1}"):
        file.write_text(text)
        with pytest.raises(UsageError, match=r"plan\.yaml"):
            load_plan(file)


@pytest.mark.parametrize("name", sorted(DETERMINISTIC - {SUPERVISED}))
def test_detectors_said_to_take_no_chances_take_none(name: str) -> None:
    rng = np.random.default_rng(0)
    normal, test = rng.standard_normal((2, 120, 8)).astype(np.float32)
    groups = [str(number // 20) for number in range(120)]
    scores = [make_detector(name, seed=seed).fit(normal, groups).score(test) for seed in (0, 1)]
    np.testing.assert_array_equal(scores[0], scores[1])


def simulation(aucs: list[float]) -> tuple[list[Split], Scored]:
    """Two sites whose scores give these AUCs by level: such a share of a leak's windows exceeds those without."""
    share = dict(zip(map(snr_condition, SNRS_DB), aucs, strict=True))
    splits, columns = [], []
    for site, offset in (("a", 0.0), ("b", 1000.0)):
        tests = []
        for condition in ("calm", *CONFOUNDERS, *share):
            label = "leak" if condition in share else "normal"
            name = f"{site}-{condition}"
            tests.append(Entry(Path(name), {"file": name, "label": label, "condition": condition}))
            for window in range(10):
                score = 0 if label == "normal" else 1 if window < 10 * share[condition] else -1
                columns.append((name, float(window), offset + score, label == "leak", "simulator", site, site))
        splits.append(Split("simulator", site, (), (), tuple(tests)))
    return splits, Scored(*map(np.array, zip(*columns, strict=True)))


def test_the_level_at_which_leaks_are_heard_is_interpolated_between_those_simulated() -> None:
    splits, scored = simulation([0.5, 0.6, 0.8, 1.0, 1.0])
    metrics = simulator_metrics(splits)
    assert [measure(scored, metrics[f"auc_{snr_condition(snr)}"]) for snr in SNRS_DB] == pytest.approx(
        [0.5, 0.6, 0.8, 1.0, 1.0]
    )
    assert measure(scored, metrics["auc_all_levels"]) == pytest.approx(0.78)
    assert measure(scored, metrics["auc_tap"]) == pytest.approx(1.0)
    assert measure(scored, metrics[SNR_AT_TARGET]) == pytest.approx(-2.5)
    assert interval(scored, metrics[SNR_AT_TARGET]) == pytest.approx((-2.5, -2.5))


@pytest.mark.parametrize(
    ("aucs", "level"),
    [([0.9, 0.9, 1.0, 1.0, 1.0], -15.0), ([1.0, 1.0, 1.0, 0.8, 1.0], 2.5), ([1.0, 1.0, 1.0, 1.0, 0.8], np.nan)],
)
def test_levels_beyond_those_simulated_are_not_invented(aucs: list[float], level: float) -> None:
    splits, scored = simulation(aucs)
    assert measure(scored, simulator_metrics(splits)[SNR_AT_TARGET]) == pytest.approx(level, nan_ok=True)
