"""The outbox keeps what was put, in the order that matters, whatever happens to the process or the file."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hydroear.errors import OutboxError
from hydroear.message import Kind, Message
from hydroear.outbox import Outbox
from hydroear.outbox.outbox import MAX_AGE_S


def event(number: int = 0, *, size: int = 10) -> Message:
    return Message("unit/event/1", f"{number:0{size}d}".encode(), Kind.EVENT)


def state(payload: bytes, sensor: str = "a") -> Message:
    return Message(f"unit/sensor/{sensor}/state", payload, Kind.STATE, retain=True)


def clip(number: int, *, size: int = 100) -> Message:
    return Message("unit/clip/1", f"{number:0{size}d}".encode(), Kind.CLIP)


def payloads(outbox: Outbox) -> list[bytes]:
    return [stored.message.payload for stored in outbox.pending(1000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite"


def test_messages_wait_in_order_of_priority_then_age_until_deleted(path: Path) -> None:
    health = Message("unit/health", b"health", Kind.HEALTH, retain=True)
    with Outbox(path) as outbox:
        outbox.put(clip(1))
        outbox.put(health)
        outbox.put(state(b"state"))
        outbox.put(event(1), event(2))
        stored = outbox.pending(10)
        assert [s.message for s in stored] == [event(1), event(2), state(b"state"), health, clip(1)]
        assert [s.message for s in outbox.pending(2, skip=[stored[0].id])] == [event(2), state(b"state")]
        outbox.delete(stored[0].id, stored[2].id)
        assert [s.message for s in outbox.pending(10)] == [event(2), health, clip(1)]
        assert outbox.depth() == 3
    with Outbox(path) as outbox:
        assert [s.message for s in outbox.pending(10)] == [event(2), clip(1)]


def test_states_that_come_and_go_leave_the_disk_alone(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(event(1))
        log = path.with_name(path.name + "-wal")
        written = log.stat().st_size
        for number in range(100):
            outbox.put(state(f"{number}".encode()))
            outbox.delete(*(stored.id for stored in outbox.pending(5) if stored.message.kind is Kind.STATE))
        assert log.stat().st_size == written
        assert payloads(outbox) == [event(1).payload]


def test_a_newer_state_takes_the_place_of_an_undelivered_one_but_events_are_all_kept(path: Path) -> None:
    with Outbox(path) as outbox:
        for message in (state(b"old"), state(b"other", "b"), event(1), event(1), state(b"new")):
            outbox.put(message)
        assert payloads(outbox) == [event(1).payload, event(1).payload, b"other", b"new"]
        assert sum(outbox.drops().values()) == 0


def test_a_late_acknowledgement_of_a_superseded_message_does_not_delete_its_successor(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(state(b"old"))
        (old,) = outbox.pending(1)
        outbox.put(state(b"new"))
        outbox.delete(old.id)
        assert payloads(outbox) == [b"new"]


def test_a_full_outbox_drops_the_oldest_of_the_least_important_kind_and_counts(path: Path) -> None:
    with Outbox(path, max_bytes=1000) as outbox:
        outbox.put(event(0, size=200), state(b"s" * 5000))
        for number in range(10):
            outbox.put(clip(number))
        assert payloads(outbox)[2:] == [clip(number).payload for number in range(2, 10)]
        for number in range(1, 12):
            outbox.put(event(number, size=100))
        assert payloads(outbox) == [*(event(number, size=100).payload for number in range(2, 12)), b"s" * 5000]
    with Outbox(path, max_bytes=1000) as outbox:
        assert outbox.drops() == {Kind.EVENT: 2, Kind.STATE: 0, Kind.HEALTH: 0, Kind.CLIP: 10}


def test_an_open_event_changes_together_with_its_message_or_not_at_all(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(event(1), remember={"a": "open"})
        with pytest.raises(OutboxError):
            outbox.put(event(2), remember={"a": None})  # type: ignore[dict-item]  # the second half fails
        assert payloads(outbox) == [event(1).payload]
    with Outbox(path) as outbox:
        assert outbox.recall("a") == "open"
        outbox.put(event(3), forget="a")
        assert outbox.recall("a") is None


def test_all_that_is_open_of_one_kind_is_recalled_together(path: Path) -> None:
    with Outbox(path) as outbox:
        for name in ("a", "alarm", "alarm/2", "alarm/1", "alarm/3"):
            outbox.put(event(1), remember={name: f"about {name}"})
        outbox.put(event(1), forget="alarm/3")
    with Outbox(path) as outbox:
        assert outbox.recall_all("alarm/") == ["about alarm/1", "about alarm/2"]
        assert outbox.recall_all("alarm_") == []


def test_kill_9_loses_nothing_that_was_put(path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from hydroear.message import Kind, Message
from hydroear.outbox import Outbox
from hydroear.outbox.outbox import MAX_AGE_S
outbox = Outbox(Path({str(path)!r}))
for number in range(10**6):
    outbox.put(Message("unit/event/1", b"%d" % number, Kind.EVENT), remember={{"a": str(number)}})
    print(number, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    for _ in range(50):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    promised = 50 + rest.count(b"\n")
    with Outbox(path) as outbox:
        kept = [int(payload) for payload in payloads(outbox)]
        assert kept == list(range(len(kept)))
        assert len(kept) in (promised, promised + 1)
        assert outbox.recall("a") == str(kept[-1])


def test_it_knows_when_this_process_put_a_message_and_that_another_one_did(path: Path) -> None:
    with Outbox(path) as outbox:
        outbox.put(event(1))
    with Outbox(path) as outbox:
        before_s = time.monotonic()
        outbox.put(event(2), state(b"old"))
        between_s = time.monotonic()
        outbox.put(state(b"new"))
        inherited, second, newest = (stored.put_s for stored in outbox.pending(10))
        assert inherited is None
        assert second is not None
        assert newest is not None
        assert before_s <= second <= between_s <= newest <= time.monotonic()


def test_only_one_owner_at_a_time(path: Path) -> None:
    with Outbox(path), pytest.raises(OutboxError, match="another running process"):
        Outbox(path)
    Outbox(path).close()


def test_a_closed_or_impossible_outbox_says_so(path: Path) -> None:
    outbox = Outbox(path)
    outbox.close()
    with pytest.raises(OutboxError, match="closed"):
        outbox.put(event())
    with pytest.raises(OutboxError, match="folder's owner"):
        Outbox(path / "below-a-file")


@pytest.mark.parametrize("damage", ["foreign", "page", "truncated"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Outbox(path) as outbox:
        outbox.put(*(event(number, size=500) for number in range(100)))
    healthy = path.read_bytes()
    damaged = {
        "foreign": b"this is not a database at all",
        "page": healthy[:8192] + b"\xff" * 4096 + healthy[12288:],
        "truncated": healthy[: len(healthy) // 2],
    }[damage]
    path.write_bytes(damaged)
    with Outbox(path) as outbox:
        assert outbox.depth() == 0
        assert outbox.set_aside is not None
        assert outbox.set_aside.read_bytes() == damaged
        outbox.put(event(1))
    assert "set aside" in caplog.text
    with Outbox(path) as outbox:
        assert outbox.set_aside is None
        assert payloads(outbox) == [event(1).payload]


def test_damage_found_while_running_costs_what_was_queued_but_not_the_process(path: Path) -> None:
    more_than_sqlite_caches = 4 * 2**20
    with Outbox(path) as outbox:
        outbox.put(*(event(number, size=more_than_sqlite_caches // 64) for number in range(64)))
    with Outbox(path) as outbox:
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
        assert outbox.pending(1000) == []
        outbox.put(event(1))
        (stored,) = outbox.pending(1000)
        assert stored.message == event(1)
        assert stored.id > 64, "a late acknowledgement of a lost message must not delete this one"


def test_threads_may_put_and_delete_at_once(path: Path) -> None:
    def put_fifty(base: int) -> None:
        for number in range(base, base + 50):
            outbox.put(event(number))

    with Outbox(path) as outbox:
        threads = [threading.Thread(target=put_fifty, args=(base,)) for base in (0, 100, 200)]
        for thread in threads:
            thread.start()
        taken: list[int] = []
        while len(taken) < 150:
            stored = outbox.pending(7)
            outbox.delete(*(s.id for s in stored))
            taken += [int(s.message.payload) for s in stored]
        for thread in threads:
            thread.join()
        assert sorted(taken) == [base + i for base in (0, 100, 200) for i in range(50)]
        assert outbox.depth() == 0


def test_replies_leave_room_to_sound_and_sound_to_what_is_said(path: Path) -> None:
    with Outbox(path, max_bytes=1000) as outbox:
        outbox.put(*(clip(number) for number in range(9)))
        assert outbox.drops()[Kind.CLIP] == 1
        outbox.put(*(Message("unit/reply/1", bytes(100), Kind.STATE) for _ in range(5)))
        assert outbox.drops() == {Kind.EVENT: 0, Kind.STATE: 3, Kind.HEALTH: 0, Kind.CLIP: 1}
        outbox.put(*(event(number, size=100) for number in range(10)))
        assert [stored.message.kind for stored in outbox.pending(20)] == [Kind.EVENT] * 10


def test_what_nobody_waits_for_any_more_is_dropped_and_counted_but_no_event(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Outbox(path) as outbox:
        outbox.put(event(1), clip(1))
    monkeypatch.setitem(MAX_AGE_S, Kind.CLIP, 0.3)
    with Outbox(path) as outbox:
        outbox.put(clip(2), state(b"state"))
        assert payloads(outbox) == [event(1).payload, b"state", clip(1).payload, clip(2).payload]
        time.sleep(0.4)
        outbox.put(state(b"a minute later"))
        assert payloads(outbox) == [event(1).payload, b"a minute later"]
        assert outbox.drops()[Kind.CLIP] == 2


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_put_waits_for_the_disk_and_a_delete_does_not(path: Path) -> None:
    def syncs(path: Path, then: str) -> int:
        script = f"""
from pathlib import Path
from hydroear.message import Kind, Message
from hydroear.outbox import Outbox
outbox = Outbox(Path({str(path)!r}))
for number in range(20):
    outbox.put(Message("unit/event/1", b"event", Kind.EVENT))
    {then}
"""
        command = ["strace", "-f", "-e", "trace=fsync,fdatasync", sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and "ptrace" in done.stderr:
            pytest.skip("may not trace")
        return done.stderr.count("sync(")

    put = syncs(path.with_name("put"), "pass")
    assert put >= 20
    delete = "outbox.delete(*(stored.id for stored in outbox.pending(1)))"
    assert syncs(path.with_name("deleted"), delete) == put
