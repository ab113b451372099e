"""How long a start waits that follows failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydroear.service.ledger import GOOD_RUN_S, LONGEST_S, StartLedger


class Machine:
    """A service that is started again and again, on a clock that tests turn."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._now_s = folder, 100.0

    def start(self, *, lasts_s: float, ends_well: bool = False) -> float:
        """Start, run for a while and end; give how long the start had to wait."""
        ledger = StartLedger(self._folder, lambda: self._now_s)
        wait_s = ledger.wait_s
        self._now_s += wait_s
        ledger.begin()
        self._now_s += lasts_s
        if ends_well:
            ledger.end()
        return wait_s


def test_each_failure_in_a_row_makes_the_next_start_wait_longer_up_to_a_limit(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    waits_s = [machine.start(lasts_s=0.5) for _ in range(40)]
    assert waits_s[:8] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert set(waits_s[8:]) == {LONGEST_S}


@pytest.mark.parametrize("better", [{"lasts_s": GOOD_RUN_S}, {"lasts_s": 1.0, "ends_well": True}])
def test_a_run_that_lasts_or_ends_in_order_is_no_failure(tmp_path: Path, better: dict[str, float]) -> None:
    machine = Machine(tmp_path)
    assert [machine.start(lasts_s=1.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert machine.start(**better) == 4.0  # type: ignore[arg-type]
    assert machine.start(lasts_s=1.0) == 0.0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"failures": "x", "began_s": 1}', b"\xff"])
def test_a_damaged_ledger_counts_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "starts.json").write_bytes(content)
    assert StartLedger(tmp_path).failures == 0


def test_without_a_manager_nothing_waits_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = StartLedger.from_environment({})
    ledger.begin()
    ledger.end()
    assert ledger.wait_s == 0.0
    assert list(tmp_path.iterdir()) == []
