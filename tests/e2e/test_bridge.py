"""A sensor behind the bridge, heard through a terminal and TCP: every loss to the sample, whatever befalls the link."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bridging import RATE_HZ, Bench, counting, endpoint
from hydroear.app.pipeline import Pipeline
from hydroear.audio import Block, Gap, level_db
from hydroear.capture.bridge import BridgeSource
from hydroear.config import schema
from hydroear.config.schema import Decision
from hydroear.health.alarm import Alive, Report
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteScorer
from hydroear.selftest.sensor import judge_source, listen
from hydroear_bridge.faults import Faults
from hydroear_bridge.frames import Audio, EventCode
from hydroear_bridge.simulator import simulate

FAULTS = Faults(loss=0.05, corrupt=0.01, stall=0.02)
Pieces = list[Block | Gap]


def settings(bench: Bench, **options: object) -> schema.BridgeSource:
    values = {"type": "bridge", "port": bench.endpoint.name, "stall_s": 3.0, **options}
    return schema.BridgeSource.model_validate(values)


@pytest.fixture(params=["terminal", "tcp"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with Bench(endpoint(request.param, tmp_path)) as bench:
        yield bench


def hear(source: BridgeSource, enough: Callable[[Pieces], bool], pieces: Pieces | None = None) -> Pieces:
    """Read until it is enough, at most for 30 s."""
    pieces = [] if pieces is None else pieces
    deadline_s = time.monotonic() + 30.0
    while not (pieces and enough(pieces)):
        assert time.monotonic() < deadline_s, (pieces[-3:], source.status)
        piece = source.read()
        assert piece is not None
        pieces.append(piece)
    assert pieces[0].first_index == 0
    assert all(before.end_index == after.first_index for before, after in pairwise(pieces))
    return pieces


def seconds(count: float) -> Callable[[Pieces], bool]:
    return lambda pieces: pieces[-1].end_index >= count * RATE_HZ


def gaps(pieces: Pieces) -> list[Gap]:
    return [piece for piece in pieces if isinstance(piece, Gap)]


def blocks(pieces: Pieces) -> list[Block]:
    return [piece for piece in pieces if isinstance(piece, Block)]


def assert_exact(pieces: list[Block], first: int) -> None:
    """Every sample is the one that the device took at its place, where `first` is the place of index 0."""
    for block in pieces:
        expected = counting(np.arange(block.first_index, block.end_index) + first)
        np.testing.assert_array_equal(block.samples[:, 0], expected.astype(np.float32))


def assert_no_window_has_a_gap(pieces: Pieces) -> None:
    """That the daemon scores windows of these pieces, but none in which something is missing."""
    bundle = read_bundle(SHIPPED_BUNDLE)
    spec, scorer = bundle.front_end, SiteScorer(Scorer(bundle, choose_runtime()), None)
    listener = Pipeline("pipe", rate_hz=RATE_HZ, spec=spec, scorer=scorer, decision=Decision())
    scored = [report for piece in pieces for report in listener.hear(piece) if report.decades is not None]
    assert scored
    for report in scored:
        end = round(report.position_s * RATE_HZ)
        begin = end - round(spec.window_s * RATE_HZ)
        assert not [gap for gap in gaps(pieces) if gap.first_index < end and gap.end_index > begin]
    assert len(scored) == listener.windows_scored
    assert listener.samples_lost == sum(gap.length for gap in gaps(pieces))


@pytest.mark.parametrize("kind", ["terminal", "tcp"])
def test_gaps_are_what_was_lost_to_the_sample(kind: str, tmp_path: Path) -> None:
    with Bench(endpoint(kind, tmp_path), faults=FAULTS, seed=3) as bench:
        source = BridgeSource(settings(bench))
        pieces = hear(source, seconds(4.0))
        source.close()
        made = bench.audio
    first = next(audio.sample_index for audio, arrives in made if arrives)
    assert_exact(blocks(pieces), first)
    end = pieces[-1].end_index + first
    arrived = {audio.sample_index for audio, arrives in made if arrives and audio.sample_index < end}
    assert {block.first_index + first for block in blocks(pieces)} == arrived
    lost = sum(audio.count for audio, arrives in made if not arrives and first < audio.sample_index < end)
    assert sum(gap.length for gap in gaps(pieces)) == lost > 0
    assert {gap.reason for gap in gaps(pieces)} == {"lost on the way"}
    assert source.device.frames_lost >= len(gaps(pieces))
    assert source.status.restarts == 0


def test_a_connection_that_is_cut_resumes_with_a_gap_that_is_exact(bench: Bench) -> None:
    source = BridgeSource(settings(bench))
    pieces = hear(source, seconds(0.5))
    assert not gaps(pieces)
    bench.unplug(1.0)
    hear(source, lambda pieces: isinstance(pieces[-1], Block) and pieces[-1].end_index > 5.5 * RATE_HZ, pieces)
    source.close()
    assert source.device.restarts == 0
    assert source.status.restarts >= 1
    assert sum(gap.length for gap in gaps(pieces)) >= 0.9 * RATE_HZ
    assert_exact(blocks(pieces), 0)
    assert_no_window_has_a_gap(pieces)


def test_a_device_that_starts_anew_is_counted_and_asked_again(bench: Bench) -> None:
    source = BridgeSource(settings(bench))
    pieces = hear(source, seconds(0.5))
    before = len(pieces)
    bench.restart()
    heard_from = pieces[-1].end_index
    hear(source, lambda pieces: any(gap.first_index >= heard_from for gap in gaps(pieces)), pieces)
    hear(source, seconds(pieces[-1].end_index / RATE_HZ + 0.5), pieces)
    source.close()
    assert source.device.restarts == 1
    (gap,) = gaps(pieces)
    assert gap.reason == "the device started anew"
    # So long was it without power; how long it took to be asked again comes on top.
    assert 0.15 * RATE_HZ <= gap.length <= 5 * RATE_HZ
    anew = [piece for piece in blocks(pieces[before:]) if piece.first_index >= gap.end_index]
    assert_exact(anew, -gap.end_index)
    passed_s = pieces[-1].end_index / RATE_HZ
    assert blocks(pieces)[-1].monotonic_s - blocks(pieces)[0].monotonic_s == pytest.approx(passed_s, abs=0.2)


def test_a_level_stays_true_when_the_gain_changes(bench: Bench) -> None:
    source = BridgeSource(settings(bench))
    pieces = hear(source, seconds(0.3))
    source.close()
    again = BridgeSource(settings(bench, gain_db=10.0))
    louder = hear(again, seconds(0.3))
    again.close()
    quiet_db, loud_db = (level_db(blocks(each)[-1].samples) for each in (pieces, louder))
    assert quiet_db is not None
    assert loud_db is not None
    assert loud_db - quiet_db == pytest.approx(10.0, abs=0.3), "levels are those at the gain that is asked for"


def test_what_the_device_reports_is_passed_on_while_it_is_heard(bench: Bench) -> None:
    source = BridgeSource(settings(bench))
    pieces = hear(source, seconds(0.2))
    news = source.news()
    assert [type(one) for one in news] == [Alive]
    bench.happen(EventCode.WATER_INGRESS)
    bench.happen(EventCode.WATER_INGRESS, begun=False)

    def reports(_: Pieces) -> bool:
        news.extend(source.news())
        return [one.begun for one in news if isinstance(one, Report)] == [True, False]

    hear(source, reports, pieces)
    source.close()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sensor": 2}, "has no sensor 2; expected one of 1"),
        ({"rate_hz": 48_000}, "does not sample at 48000 Hz; set rate_hz to 16000"),
        ({"gain_db": 3.0}, "has no gain of 3 dB; set gain_db to 0 or 10 or 20"),
        ({"channels": 2}, "sends 1 channel(s); set channels to 1"),
    ],
    ids=["sensor", "rate", "gain", "channels"],
)
def test_what_the_device_cannot_do_is_told_with_what_it_can(
    tmp_path: Path, wrong: dict[str, object], says: str
) -> None:
    with Bench(endpoint("tcp", tmp_path)) as bench:
        source = BridgeSource(settings(bench, stall_s=0.5, **wrong))
        hear(source, lambda _: source.status.last_error != "")
        source.close()
        assert source.status.last_error == f"{bench.endpoint.name}: {says}"


def test_a_port_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    with Bench(endpoint("terminal", tmp_path)) as bench:
        source = BridgeSource(settings(bench, stall_s=0.5))
        with bench.unplugged():
            pieces = hear(source, lambda pieces: len(pieces) == 2)
            assert "not there; plug it in" in pieces[0].reason  # type: ignore[union-attr]
        hear(source, lambda pieces: isinstance(pieces[-1], Block), pieces)
        source.close()


def test_captured_bytes_are_heard_once_with_the_losses_that_are_in_them(tmp_path: Path) -> None:
    sent = list(simulate(duration_s=20.0, rate_hz=RATE_HZ, faults=FAULTS, seed=5))
    (tmp_path / "bytes.bin").write_bytes(b"".join(one.wire for one in sent))
    source = BridgeSource(schema.BridgeSource(type="bridge", port=str(tmp_path / "bytes.bin")))
    pieces = []
    while (piece := source.read()) is not None:
        pieces.append(piece)
    audio = [(one.frame.body, one.arrives) for one in sent if isinstance(one.frame.body, Audio)]
    heard = np.concatenate([block.samples for block in blocks(pieces)])
    np.testing.assert_array_equal(heard, np.concatenate([body.samples() for body, arrives in audio if arrives]))
    first = next(body.sample_index for body, arrives in audio if arrives)
    assert pieces[-1].end_index == audio[-1][0].end_index - first
    assert source.status.restarts == 0


def test_the_self_test_hears_it(tmp_path: Path) -> None:
    with Bench(endpoint("tcp", tmp_path)) as bench:
        heard = listen(settings(bench), patience_s=6.5)
    finding = judge_source("source", heard, None)
    assert finding.result == "pass", finding
    assert finding.values["rate_hz"] == RATE_HZ
