"""Several sensors of one device over one line: each is heard as if it were alone, and none holds up another."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

from bridging import RATE_HZ, Bench, Pieces, assert_exact, blocks, endpoint, gaps, hear, seconds, settings
from broker import Mosquitto, wait_for
from hydroear.audio import Block, Scale
from hydroear.capture import line as lines
from hydroear.capture.bridge import BridgeSource
from hydroear.capture.line import Line
from hydroear.config import schema
from hydroear.health.alarm import Report
from hydroear.service.ratelimit import DEVICE_BURST
from hydroear_bridge.device import FULL_SCALE_M_PER_S2, FULL_SCALE_PA
from hydroear_bridge.faults import Faults
from hydroear_bridge.frames import EventCode
from hydroear_bridge.ports import BAUD
from hydroear_bridge.simulator import simulate
from listening import hydroear
from running import Daemon, Unit

FAULTS = Faults(loss=0.05, corrupt=0.01, noise=1e-5, stall=0.02)
CLOSE_S = 1.0
"""What nobody minds of a service that stops, on a machine that is busy."""


@pytest.fixture(params=["terminal", "tcp"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with Bench(endpoint(request.param, tmp_path), sensors=2) as bench:
        yield bench


def share(bench: Bench, *options: dict[str, object]) -> list[BridgeSource]:
    """A source for each of some sensors, over one line."""
    chosen = [settings(bench, **each) for each in options or ({"sensor": 1}, {"sensor": 2})]
    line = Line(chosen[0].port, chosen[0].baud)
    return [BridgeSource(each, line) for each in chosen]


def hear_all(
    sources: list[BridgeSource], enough: Callable[[Pieces], bool], before: list[Pieces] | None = None
) -> list[Pieces]:
    """Read each source in a thread of its own until it is enough."""
    pieces = before or [[] for _ in sources]
    with ThreadPoolExecutor(len(sources)) as pool:
        return list(pool.map(lambda source, pieces: hear(source, enough, pieces), sources, pieces))


def close(*sources: BridgeSource) -> None:
    """Close them one after the other, as a service does, and not noticeably late."""
    began_s = time.monotonic()
    for source in sources:
        source.close()
    assert time.monotonic() - began_s < CLOSE_S


def place(pieces: Pieces, bench: Bench, sensor: int) -> int:
    """Which sample of a sensor that is sent from 0 on is at index 0 of what was heard of it."""
    first = blocks(pieces)[0]
    body = next(
        body
        for body, arrives in bench.audio(sensor)
        if arrives and np.array_equal(body.samples()[:, 0], first.samples[:, 0])
    )
    return body.sample_index - first.first_index


@pytest.mark.parametrize("kind", ["terminal", "tcp"])
def test_each_is_heard_with_its_own_losses_to_the_sample(kind: str, tmp_path: Path) -> None:
    with Bench(endpoint(kind, tmp_path), faults=FAULTS, seed=4, sensors=2) as bench:
        sources = share(bench)
        heard = hear_all(sources, seconds(4.0))
        made = [bench.audio(sensor) for sensor in (1, 2)]
        first = [place(pieces, bench, sensor) for sensor, pieces in enumerate(heard, start=1)]
        close(*sources)
    for sensor, (pieces, audio, begin) in enumerate(zip(heard, made, first, strict=True), start=1):
        assert_exact(blocks(pieces), begin, sensor)
        end = pieces[-1].end_index + begin
        assert {block.first_index + begin for block in blocks(pieces)} == {
            body.sample_index for body, arrives in audio if arrives and begin <= body.sample_index < end
        }
        assert gaps(pieces)
    assert [source.status.restarts for source in sources] == [0, 0]
    assert sources[0].device == sources[1].device


def test_a_cut_is_told_to_each_and_mended_once_for_both(bench: Bench) -> None:
    sources = share(bench)
    heard = hear_all(sources, seconds(0.5))
    first = [place(pieces, bench, sensor) for sensor, pieces in enumerate(heard, start=1)]
    before = [len(pieces) for pieces in heard]
    mended_s: list[float] = []

    def again(pieces: Pieces) -> bool:
        return bool(mended_s) and isinstance(pieces[-1], Block) and pieces[-1].monotonic_s > mended_s[0]

    with ThreadPoolExecutor(1) as pool:
        hearing = pool.submit(hear_all, sources, again, heard)
        bench.unplug(1.0)
        mended_s.append(time.monotonic())
        hearing.result()
    assert time.monotonic() < mended_s[0] + 5.0
    close(*sources)
    for sensor, (pieces, begin, count) in enumerate(zip(heard, first, before, strict=True), start=1):
        assert_exact(blocks(pieces), begin, sensor)
        assert sum(gap.length for gap in gaps(pieces[count:])) >= 0.9 * RATE_HZ
        assert any("gone" in gap.reason for gap in gaps(pieces)), gaps(pieces)
    # Tried after 0.5 s, and 1 s later; for each by itself it would be twice as often.
    assert sources[0].status.restarts == sources[1].status.restarts <= 3


@pytest.mark.parametrize("bench", ["tcp"], indirect=True)
def test_one_that_is_not_read_for_a_while_has_a_gap_that_is_exact_and_the_other_has_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "KEPT_S", 1.0)
    first, second = share(bench)
    heard: list[Pieces] = [[], []]
    with ThreadPoolExecutor(1) as pool:
        hearing = pool.submit(hear, first, seconds(4.0), heard[0])
        hear(second, seconds(0.3), heard[1])
        wait_for(lambda: heard[0][-1].end_index > 3.0 * RATE_HZ, "the other to be heard for a while")
        hear(second, lambda pieces: len(gaps(pieces)) > 0 and isinstance(pieces[-1], Block), heard[1])
        hearing.result()
    begin = [place(pieces, bench, sensor) for sensor, pieces in enumerate(heard, start=1)]
    close(first, second)
    assert not gaps(heard[0])
    (gap,) = gaps(heard[1])
    assert gap.reason == "not read in time"
    for sensor, pieces in enumerate(heard, start=1):
        assert_exact(blocks(pieces), begin[sensor - 1], sensor)


def test_a_device_is_asked_to_stop_what_nobody_hears_any_more(bench: Bench) -> None:
    sources = share(bench, {"sensor": 1}, {"sensor": 2}, {"sensor": 2})
    heard = hear_all(sources, seconds(0.3))
    assert bench.sending == {1, 2}
    first, second, third = sources
    close(second)
    hear(third, seconds(heard[2][-1].end_index / RATE_HZ + 0.3), heard[2])
    assert bench.sending == {1, 2}
    assert not gaps(heard[2]), "another source hears it, and must not notice"
    close(third)
    wait_for(lambda: bench.sending == {1}, "the end of the second stream")
    hear(first, seconds(heard[0][-1].end_index / RATE_HZ + 0.3), heard[0])
    assert not gaps(heard[0])
    close(first)
    assert bench.sending == set()
    (again,) = share(bench, {"sensor": 2})
    assert blocks(hear(again, seconds(0.1)))
    close(again)
    assert bench.sending == set()


@pytest.mark.parametrize("bench", ["tcp"], indirect=True)
def test_a_device_that_does_not_answer_any_more_delays_no_close(bench: Bench) -> None:
    sources = share(bench)
    hear_all(sources, seconds(0.2))
    bench.device.lose_power()
    close(*sources)


@pytest.mark.parametrize("bench", ["tcp"], indirect=True)
def test_what_one_sensor_cannot_do_is_no_concern_of_the_other(bench: Bench) -> None:
    sources = share(bench, {"sensor": 1}, {"sensor": 2, "gain_db": 3.0, "stall_s": 0.5})
    heard: list[Pieces] = [[], []]
    with ThreadPoolExecutor(2) as pool:
        well = pool.submit(hear, sources[0], seconds(3.0), heard[0])
        hear(sources[1], lambda _: sources[1].status.last_error != "", heard[1])
        well.result()
    close(*sources)
    assert not gaps(heard[0])
    says = "sensor 2: has no gain of 3 dB; set gain_db to 0 or 10 or 20"
    assert sources[1].status.last_error == f"{bench.endpoint.name}, {says}"


@pytest.mark.parametrize("bench", ["tcp"], indirect=True)
def test_the_health_of_the_device_is_that_of_both_and_its_alarms_are_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    sources = share(bench)
    heard = hear_all(sources, seconds(0.2))
    bench.restart()
    hear_all(sources, lambda pieces: any(gap.reason == "the device started anew" for gap in gaps(pieces)), heard)
    bench.happen(EventCode.TAMPER)
    bench.happen(EventCode.WATER_INGRESS, sensor=2)
    news: list[Report] = []

    def reports(_: object) -> bool:
        news.extend(one for source in sources for one in source.news() if isinstance(one, Report))
        return len(news) >= 2

    hear_all(sources, reports, heard)
    assert [(one.alarm, one.stream) for one in news] == [("tamper", 0), ("water-ingress", 2)]
    assert [source.device.restarts for source in sources] == [1, 1]
    close(*sources)
    assert caplog.text.count("the device started anew") == 1


def test_both_of_a_file_are_heard_to_its_end(tmp_path: Path) -> None:
    sent = simulate(duration_s=25.0, rate_hz=RATE_HZ, sensors=2)
    (tmp_path / "bytes.bin").write_bytes(b"".join(one.wire for one in sent))
    port = str(tmp_path / "bytes.bin")
    line = Line(port, BAUD)
    sources = [BridgeSource(schema.BridgeSource(type="bridge", port=port, sensor=one), line) for one in (1, 2)]

    def whole(source: BridgeSource) -> int:
        heard = 0
        while (piece := source.read()) is not None:
            assert isinstance(piece, Block)
            heard += len(piece.samples)
        return heard

    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(whole, sources))
    assert max(heard) == 25 * RATE_HZ
    assert min(heard) > 20 * RATE_HZ, "who comes a moment later misses what was read until then"


@pytest.fixture
def pole(tmp_path: Path, unit: Unit) -> Iterator[tuple[Bench, Path]]:
    """A device with two sensors that floods its log, and the configuration of a unit that hears both."""
    with Bench(endpoint("tcp", tmp_path), faults=Faults(flood=1.0), sensors=2) as bench:
        path = unit.configure({})
        config = yaml.safe_load(path.read_text())
        config["sensors"] = [
            {"id": name, "source": {"type": "bridge", "port": bench.endpoint.name, "sensor": sensor, "stall_s": 30.0}}
            for sensor, name in enumerate(("hydrophone", "accelerometer"), start=1)
        ]
        config["publish"]["health_every_s"] = 1.0
        path.write_text(yaml.safe_dump(config))
        yield bench, path


def test_a_unit_tells_both_in_their_units_and_lets_the_device_rest_when_it_stops(
    pole: tuple[Bench, Path], mosquitto: Mosquitto
) -> None:
    bench, path = pole
    path.write_text(path.read_text() + f"mqtt: {{url: {mosquitto.url}}}\n")
    health = "hydroear/v1/high-street/health"
    with mosquitto.subscribe() as room, Daemon(path) as daemon:
        wait_for(lambda: len({window["sensor"] for window in daemon.windows[4:]}) == 2, f"windows: {daemon.complaints}")
        last = {window["sensor"]: window for window in daemon.windows}
        room.wait_for(
            lambda _: room.on(health) and all(one["level"] for one in room.on(health)[-1].json["sensors"].values()),
            "the health of both",
        )
        told = room.on(health)[-1].json["sensors"]
        for name, scale in (
            ("hydrophone", Scale("Pa", FULL_SCALE_PA)),
            ("accelerometer", Scale("m/s²", FULL_SCALE_M_PER_S2)),
        ):
            state = room.on(f"hydroear/v1/high-street/sensor/{name}/state")[-1].json
            for one in (told[name], last[name], state):
                assert one["level_unit"] == scale.unit
                assert one["level"] == pytest.approx(scale.full_scale * 10 ** (one["level_db"] / 20), rel=1e-3)
            # The samples are spread evenly over 10,005 steps of 2^-15 to either side.
            assert told[name]["level"] == pytest.approx(scale.full_scale * 10_005 / 2**15 / 3**0.5, rel=0.05)
            assert told[name]["samples_lost"] == 0
        wait_for(lambda: bench.audio(2)[-1][0].sample_index > 4 * RATE_HZ, "a while of flooding")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert bench.sending == set()
    lines = [line for line in daemon.complaints if "the device says" in line]
    assert len(lines) == DEVICE_BURST
    assert "warning" in lines[0]
    assert f"{bench.endpoint.name}: the device says: line " in lines[0]


def test_a_recording_says_what_its_full_scale_stands_for(pole: tuple[Bench, Path], tmp_path: Path) -> None:
    bench, path = pole
    what = ("--sensor", "accelerometer", "--for", "1s", "--label", "normal", "--out", tmp_path / "corpus")
    done = hydroear("record", "-c", path, *what, "--json")
    told = json.loads(done.stdout)
    assert (told["full_scale"], told["unit"]) == (FULL_SCALE_M_PER_S2, "m/s²")
    assert told["gaps"] == []
    assert bench.sending == set()


def test_the_self_test_hears_both(pole: tuple[Bench, Path]) -> None:
    bench, path = pole
    done = hydroear("selftest", "-c", path, "--json")
    stages = {stage["stage"]: stage for stage in json.loads(done.stdout)["stages"]}
    for name, unit in (("hydrophone", "Pa"), ("accelerometer", "m/s²")):
        assert stages[f"source {name}"]["result"] == "pass", stages[f"source {name}"]
        sound = stages[f"sound {name}"]
        assert sound["values"]["level_unit"] == unit
        assert f"{sound['values']['level']:g} {unit}" in sound["measured"]
    assert bench.sending == set()
