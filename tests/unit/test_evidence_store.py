"""The store keeps the best evidence that its budget has room for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hydroear.config.schema import Evidence
from hydroear.evidence import EvidenceStore
from hydroear.evidence.store import Kind

MB = 10**6


def store(tmp_path: Path, **settings: float) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence", Evidence.model_validate({"keep_free_mb": 0, "clips_mb": 1, **settings}))


def put(kept: EvidenceStore, event_id: str, score: float, *, size: int = 400_000, suffix: str = ".wav") -> Path | None:
    kept.put("pipe", event_id, score, ".json", json.dumps({"score_decades": score}).encode())
    return kept.put("pipe", event_id, score, suffix, bytes(size))


def names(tmp_path: Path, suffix: str = ".wav") -> set[str]:
    return {path.stem for path in tmp_path.glob(f"evidence/pipe/*{suffix}")}


def test_a_file_is_called_by_its_sensor_and_event_and_is_nobody_elses_business(tmp_path: Path) -> None:
    path = store(tmp_path).put("pipe", "pipe-1", 3.0, ".wav", b"clip")
    assert path == tmp_path / "evidence/pipe/pipe-1.wav"
    assert path.read_bytes() == b"clip"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_closed_events_go_before_open_ones_whatever_their_score(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.hold("open")
    put(kept, "open", 1.0)
    put(kept, "closed", 9.0)
    kept.hold("new")
    assert put(kept, "new", 2.0)
    assert names(tmp_path) == {"open", "new"}


def test_the_lowest_score_goes_first(tmp_path: Path) -> None:
    kept = store(tmp_path)
    put(kept, "better", 3.0)
    put(kept, "worse", 2.0)
    assert put(kept, "new", 4.0)
    assert names(tmp_path) == {"better", "new"}
    assert kept.counts["pipe", "evicted"] == 1


def test_of_equal_scores_the_oldest_goes_first(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for age_s, event_id in ((100, "older"), (200, "oldest")):
        path = put(kept, event_id, 3.0)
        assert path
        os.utime(path, (1e9 - age_s, 1e9 - age_s))
    put(kept, "new", 3.0)
    assert names(tmp_path) == {"older", "new"}


def test_it_is_counted_whose_files_came_and_went(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for sensor, event_id, score in (("pipe", "low", 1.0), ("pump", "lower", 0.5), ("pump", "high", 3.0)):
        kept.put(sensor, event_id, score, ".flac", bytes(400_000))
    kept.put("pump", "high", 3.0, ".png", b"picture")
    kept.put("pipe", "least", 0.1, ".wav", bytes(400_000))
    assert kept.counts == {
        ("pipe", "clip"): 1,
        ("pump", "clip"): 2,
        ("pump", "evicted"): 1,
        ("pump", "picture"): 1,
        ("pipe", "refused"): 1,
    }


def test_a_closed_event_gives_way(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.hold("first")
    put(kept, "first", 9.0)
    put(kept, "second", 2.0)
    kept.release("first")
    kept.hold("second")
    kept.hold("new")
    put(kept, "new", 2.0)
    assert names(tmp_path) == {"second", "new"}


def test_the_worst_of_all_is_not_kept_and_costs_the_others_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = store(tmp_path)
    put(kept, "good", 3.0)
    put(kept, "better", 4.0)
    assert put(kept, "new", 1.0) is None
    assert names(tmp_path) == {"good", "better"}
    assert kept.counts["pipe", "refused"] == 1
    assert "no place in its budget" in caplog.text


def test_what_is_larger_than_the_budget_evicts_nothing(tmp_path: Path) -> None:
    kept = store(tmp_path)
    put(kept, "good", 3.0)
    assert put(kept, "huge", 9.0, size=2 * MB) is None
    assert names(tmp_path) == {"good"}


def test_each_kind_has_a_budget_of_its_own(tmp_path: Path) -> None:
    kept = store(tmp_path, pictures_mb=0.5)
    for number in range(4):
        put(kept, f"event-{number}", 3.0 + number)
        kept.put("pipe", f"event-{number}", 3.0 + number, ".png", bytes(150_000))
    assert names(tmp_path) == {"event-2", "event-3"}
    assert names(tmp_path, ".png") == {"event-1", "event-2", "event-3"}
    assert names(tmp_path, ".json") == {"event-0", "event-1", "event-2", "event-3"}


def test_a_clip_is_a_clip_in_either_format(tmp_path: Path) -> None:
    kept = store(tmp_path)
    put(kept, "first", 2.0, suffix=".wav")
    put(kept, "second", 3.0, suffix=".flac")
    put(kept, "third", 4.0, suffix=".flac")
    assert names(tmp_path) == set()
    assert names(tmp_path, ".flac") == {"second", "third"}


def test_a_restart_remembers_the_scores(tmp_path: Path) -> None:
    first = store(tmp_path)
    put(first, "worse", 2.0)
    put(first, "better", 3.0)
    os.utime(tmp_path / "evidence/pipe/better.wav", (1e9, 1e9))
    again = store(tmp_path)
    put(again, "new", 4.0)
    assert names(tmp_path) == {"better", "new"}


def test_a_restart_removes_what_was_left_half_written(tmp_path: Path) -> None:
    kept = store(tmp_path)
    whole = put(kept, "whole", 3.0)
    assert whole
    half = whole.with_name(".half.wav.part")
    half.write_bytes(b"half")
    again = store(tmp_path)
    again.clean()
    assert not half.exists()
    assert whole.exists()


def test_files_of_others_are_neither_counted_nor_touched(tmp_path: Path) -> None:
    kept = store(tmp_path)
    put(kept, "first", 3.0)
    note = tmp_path / "evidence/pipe/note.txt"
    note.write_bytes(bytes(2 * MB))
    assert put(kept, "second", 4.0)
    assert names(tmp_path) == {"first", "second"}
    assert note.exists()


def test_a_file_taken_away_by_hand_makes_room(tmp_path: Path) -> None:
    kept = store(tmp_path)
    put(kept, "first", 3.0)
    put(kept, "second", 4.0)
    (tmp_path / "evidence/pipe/second.wav").unlink()
    put(kept, "third", 5.0)
    assert names(tmp_path) == {"first", "third"}


def test_below_the_floor_nothing_is_written_and_nothing_lost(tmp_path: Path) -> None:
    put(store(tmp_path), "first", 3.0)
    free_mb = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize / MB
    if free_mb > 90_000:
        pytest.skip("the disk is larger than the highest floor")
    assert put(store(tmp_path, keep_free_mb=100_000), "second", 4.0) is None
    assert names(tmp_path) == {"first"}


def test_a_budget_of_nothing_wants_nothing(tmp_path: Path) -> None:
    kept = store(tmp_path, clips_mb=0)
    assert not kept.wants(Kind.CLIP)
    assert kept.wants(Kind.PICTURE)
