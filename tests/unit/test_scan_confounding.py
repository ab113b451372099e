"""Labels that can be told without listening are found, and small sets do not cry wolf."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from hydroear_train.scan.confounding import (
    Scope,
    Telltale,
    auc_of_condition,
    auc_of_number,
    auc_of_numbers,
    columns_as_factors,
    find_telltales,
    find_telltales_within,
)

SIX_OF_EACH = np.arange(12) < 6


def telling(found: list[Telltale]) -> set[tuple[str, str]]:
    return {(one.scope, one.factor) for one in found if one.tells}


def test_leave_pair_out_is_what_leaving_out_every_pair_gives() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        site, leak = rng.integers(0, 4, 15), rng.random(15) < 0.4
        if not 0 < leak.sum() < 15:
            continue
        prior = leak.mean()

        def part(
            of: int,
            without: tuple[int, int],
            site: NDArray[np.int64] = site,
            leak: NDArray[np.bool_] = leak,
            prior: float = prior,
        ) -> float:
            kept = [i for i in range(15) if i not in without and site[i] == site[of]]
            return float((leak[kept].sum() + prior) / (len(kept) + 1))

        won = []
        for i, j in product(np.flatnonzero(leak), np.flatnonzero(~leak)):
            if site[i] == site[j]:
                won.append(0.5)  # of one condition: nothing tells them apart
            else:
                of_leak, of_normal = part(i, (i, j)), part(j, (i, j))
                won.append(1.0 if of_leak > of_normal + 1e-12 else 0.5 if of_leak > of_normal - 1e-12 else 0.0)
        leaks, recordings = np.bincount(site[leak], minlength=4), np.bincount(site, minlength=4)
        assert auc_of_condition(leaks, recordings) == pytest.approx(np.mean(won))


def test_the_hat_matrix_gives_what_refitting_without_each_recording_gives() -> None:
    from scipy.stats import rankdata

    rng = np.random.default_rng(4)
    leak = np.arange(20) % 2 == 0
    values = rng.normal(size=(20, 3)) + leak[:, None] * [1.0, 0.0, 0.5]
    standard = (values - values.mean(0)) / values.std(0)
    scores = []
    for i in range(20):
        kept = np.arange(20) != i
        design = np.column_stack([standard[kept], np.ones(19)])
        penalty = np.diag([3.0, 3.0, 3.0, 0.0])
        weights = np.linalg.solve(design.T @ design + penalty, design.T @ leak[kept])
        scores.append([*standard[i], 1.0] @ weights)
    ranks = rankdata(scores)
    assert auc_of_numbers(values, leak[None])[0] == pytest.approx((ranks[leak].sum() - 55) / 100)


def test_a_number_counts_in_its_better_direction() -> None:
    assert auc_of_number(np.arange(12.0), SIX_OF_EACH[None]) == 1.0
    assert auc_of_number(-np.arange(12.0), SIX_OF_EACH[None]) == 1.0
    assert auc_of_number(np.zeros(12), SIX_OF_EACH[None]) == 0.5


def test_six_of_each_are_enough_for_a_site_and_a_level_that_tell_all() -> None:
    site = np.where(SIX_OF_EACH, "mill", "park")
    level = np.where(SIX_OF_EACH, -20.0, -40.0) + np.arange(12)
    scope = Scope({"site": site, "level": level, "pair": np.array(list("abcdef" * 2))}, SIX_OF_EACH)
    assert telling(find_telltales(scope)) == {("all", "site"), ("all", "level")}


def test_what_chance_brings_is_not_told() -> None:
    """Of small sets without any relation, few have a factor that reaches .75, and fewer than one in ten is flagged."""
    rng = np.random.default_rng(5)
    high = flagged = 0
    for _ in range(25):
        factors = {
            "level": rng.normal(size=12),
            "hum": rng.normal(size=(12, 5)),
            "site": rng.choice(list("abc"), 12),
            "day": rng.choice(list("ab"), 12),
        }
        found = find_telltales(Scope(factors, SIX_OF_EACH))
        high += any(one.auc >= 0.75 for one in found)
        flagged += any(one.tells for one in found)
    assert high >= 4  # so the AUC alone would cry wolf
    assert flagged <= 2


def test_groups_prove_together_what_each_is_too_small_for() -> None:
    """Levels differ more between the groups than between the labels, so that all together show nothing either."""
    rng = np.random.default_rng(6)
    leak = np.arange(6) < 3
    groups = {f"{g}": Scope({"level": leak * 3.0 + rng.normal(size=6) + 30.0 * g}, leak) for g in range(6)}
    together = Scope({"level": np.concatenate([g.factors["level"] for g in groups.values()])}, np.tile(leak, 6))
    assert telling(find_telltales(together)) == set()
    assert find_telltales_within("site", {"0": groups["0"]}) == []
    assert telling(find_telltales_within("site", groups)) == {("within site", "level")}


def test_the_group_that_tells_is_named() -> None:
    rng = np.random.default_rng(7)
    leak = np.arange(20) % 2 == 0
    spoilt = Scope({"hum": rng.normal(size=(20, 5)) + 3.0 * leak[:, None]}, leak)
    clean = Scope({"hum": rng.normal(size=(20, 5))}, leak)
    found = find_telltales_within("day", {"monday": spoilt, "tuesday": clean})
    assert telling(found) == {("within day", "hum"), ("day=monday", "hum")}


def test_a_paired_design_tells_nothing() -> None:
    """Every point was recorded well and leaking: that is how it should be done."""
    point = np.array([f"point{i % 6}" for i in range(12)])
    (found,) = find_telltales(Scope({"point": point}, SIX_OF_EACH))
    assert isinstance(found, Telltale)
    assert found.auc < 0.5
    assert not found.tells


def test_columns_that_describe_conditions() -> None:
    rows = [
        {
            "file": f"{i}.wav",
            "label": "leak" if i < 4 else "normal",
            "md5": f"{i:032x}",
            "snr_db": "3" if i < 4 else "",
            "site": "ab"[i % 2],
            "date": f"2024-02-0{1 + i // 4}",
        }
        for i in range(8)
    ]
    factors = columns_as_factors(rows, ["file", "label"])
    assert set(factors) == {"site", "date", "date (order)"}
    np.testing.assert_array_equal(np.diff(factors["date (order)"]), [0, 0, 0, 1, 0, 0, 0])
    rows[0]["date"] = "2024-02-30"
    assert "date (order)" not in columns_as_factors(rows, ["file", "label"])
