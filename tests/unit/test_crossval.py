"""What a cross-validation says of scores, and where it would leave them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hydroear.errors import UsageError
from hydroear_train.crossval.crossval import Files
from hydroear_train.crossval.table import fit_record, measure_groups, record, to_markdown
from hydroear_train.evaluate import Scored


def scored(*recordings: tuple[str, str, bool, list[float]]) -> Scored:
    """Recordings of a group, by fold, each with the scores of its windows."""
    columns = [
        (f"{group}-{number}", float(window), score, leak, group, str(number % 2), str(number))
        for number, (group, _, leak, scores) in enumerate(recordings)
        for window, score in enumerate(scores)
    ]
    return Scored(*map(np.array, zip(*columns, strict=True)))


def run(good: bool) -> Scored:
    """One group where leaks score higher, in one of two runs, and one without leaks."""
    high = [3.0, 4.0] if good else [1.0, 2.0]
    low = [1.0, 2.0] if good else [2.0, 3.0]
    return scored(
        ("may", "0", True, high),
        ("may", "1", True, high),
        ("may", "0", False, low),
        ("may", "1", False, low),
        ("june", "0", False, low),
        ("june", "1", False, low),
    )


def test_seeds_are_averaged_before_and_after_they_are_measured() -> None:
    runs = {0: run(good=True), 1: run(good=False)}
    june, may = measure_groups(runs, {seed: scores.score for seed, scores in runs.items()})
    assert (may.group, may.seeds, may.windows, may.recordings, may.leaks) == ("may", 2, 8, 4, 2)
    # Leaks score 3, 4 and normals 1, 2; then 1, 2 and 2, 3; on average 2, 3 and 1.5, 2.5.
    assert may.means["window_auc"] == pytest.approx((1.0 + 0.125) / 2)
    assert may.deviations["window_auc"] == pytest.approx((1.0 - 0.125) / np.sqrt(2))
    assert may.of_mean["window_auc"] == pytest.approx(0.75)
    assert may.of_mean["recording_auc"] == 1.0
    assert june.group == "june"
    # Beyond 2: normals 1, 2, then 2, 3; leaks 3, 4, then 1, 2.
    assert (may.rare_normals, may.rare_leaks) == ((0.5 + 1.0) / 2, (1.0 + 0.5) / 2)


def test_what_is_undefined_is_said_so_and_never_a_number() -> None:
    lines = measure_groups({0: run(good=True)}, {0: np.zeros(12)})
    june = json.loads(json.dumps(record(lines[0]), allow_nan=False))
    assert (june["group"], june["leaks"], june["windows"]) == ("june", 0, 4)
    assert set(june["mean_scores"].values()) == set(june["seed_mean"].values()) == {None}
    assert record(lines[1])["seed_sd"]["window_auc"] is None
    rows = to_markdown(lines).splitlines()
    assert rows[2].count("undefined") == 5
    assert rows[3].endswith("| undefined | 0.000 | undefined |")
    assert rows[4].startswith("| may | 4 (2 leak) | 8 | mean of 1 seeds | 1.000 | 1.000 |")
    assert "±" not in rows[5]
    assert fit_record(np.array([2.0, np.nan])) == {"count": 2, "mean_s": None, "max_s": None}


def test_the_files_lie_beside_each_other_and_are_known_to_be_writable(tmp_path: Path) -> None:
    files = Files.beside(tmp_path / "new/scores.csv")
    assert [path.name for path in (files.mean, files.parts, files.cache)] == [
        "scores.mean.csv",
        "scores.parts.csv",
        "scores.cache",
    ]
    assert not any((tmp_path / "new").iterdir())
    with pytest.raises(UsageError, match=r"scores\.txt: no name for a CSV file"):
        Files.beside(tmp_path / "scores.txt")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        Files.beside(tmp_path / "file/scores.csv")
    (tmp_path / "scores.mean.csv").mkdir()
    with pytest.raises(UsageError, match=r"scores\.mean\.csv: cannot be written \(Is a directory\)"):
        Files.beside(tmp_path / "scores.csv")
