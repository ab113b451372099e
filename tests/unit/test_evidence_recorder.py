"""What an operator finds after a leak is what the sensor heard, when it heard it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydroear.audio import Block, Gap, Scale, open_recording
from hydroear.config.schema import Evidence
from hydroear.decide import Decider, Policy
from hydroear.dsp import FrontEnd, FrontEndSpec
from hydroear.evidence import EvidenceStore, Hearing, Normal, Recorder, Writer
from hydroear.evidence.guano import read_guano
from hydroear.evidence.reasons import Reasons
from hydroear.evidence.writer import MAX_WAITING
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteScorer, calibrate
from listening import DECISION, LEAK, RATE_HZ, health, scene

SPEC = FrontEndSpec()
OPENED = datetime(2026, 1, 31, 12, 0, 5, 250_000, UTC)
SETTINGS = Evidence(before_s=3.0, after_s=2.0, format="wav", keep_free_mb=0.0)
NOISE = np.random.default_rng(0).integers(-9000, 9000, 60 * RATE_HZ).astype(np.float32) / np.float32(32768)


class Bench:
    """A recorder with a real store, its writer, and the files it made."""

    def __init__(self, folder: Path, settings: Evidence = SETTINGS, **changes: Any) -> None:
        self.folder = folder / "evidence"
        self.store = EvidenceStore(self.folder, settings)
        self.writer = Writer(self.store, settings)
        self.recorder = Recorder(
            **{
                "unit": "unit-1",
                "sensor": "pipe",
                "rate_hz": RATE_HZ,
                "spec": SPEC,
                "bundle_sha256": "ab" * 32,
                "normal": Normal(band_db=np.zeros(SPEC.n_mels, np.float32), level_db=-60.0),
                "raise_decades": 2.0,
                "settings": settings,
                "writer": self.writer,
                **changes,
            }
        )
        self.heard = self.opened = 0

    def hear(self, samples: np.ndarray, block: int = 1600) -> None:
        for begin in range(0, len(samples), block):
            self.recorder.hear(Block(samples[begin : begin + block, None], self.heard + begin, 0.0))
        self.heard += len(samples)

    def lose(self, length: int) -> None:
        self.recorder.hear(Gap(self.heard, length, "test"))
        self.heard += length

    def take(self, end_s: float, decades: float, level_db: float | None = -50.0) -> None:
        band_db = np.zeros(SPEC.n_mels, np.float32)
        self.recorder.take(Hearing(end_s=end_s, decades=decades, level_db=level_db, band_db=band_db))

    def open(self, event_id: str = "pipe-1", **changes: Any) -> Reasons:
        self.take(self.heard / RATE_HZ, 3.0)
        reasons = self.recorder.explain()
        self.recorder.open(event_id, OPENED, reasons, clock="synchronised", **changes)
        return reasons

    def finish(self) -> None:
        self.recorder.close()
        assert self.writer.close(20.0)

    def clip(self, event_id: str = "pipe-1") -> np.ndarray:
        with open_recording(self.folder / f"pipe/{event_id}.wav") as recording:
            return recording.read(recording.frames)[:, 0]

    def record(self, event_id: str = "pipe-1") -> dict[str, Any]:
        return json.loads((self.folder / f"pipe/{event_id}.json").read_bytes())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.writer.close(5.0)


@pytest.mark.parametrize("block", [1600, 97, 16_000, 40_000])
def test_a_clip_is_what_was_heard_around_the_opening(tmp_path: Path, block: int) -> None:
    bench = Bench(tmp_path)
    bench.hear(NOISE[: 10 * RATE_HZ], block)
    bench.open()
    bench.hear(NOISE[10 * RATE_HZ : 20 * RATE_HZ], block)
    bench.finish()
    np.testing.assert_array_equal(bench.clip(), NOISE[7 * RATE_HZ : 12 * RATE_HZ])
    assert sorted(path.name for path in bench.folder.glob("*/*")) == ["pipe-1.json", "pipe-1.png", "pipe-1.wav"]


@pytest.mark.parametrize("ahead_s", [0.01, 2.0, 2.5])
@pytest.mark.parametrize("after_s", [0.0, 2.0])
def test_a_clip_is_around_the_window_that_opened_however_far_the_audio_is_ahead(
    tmp_path: Path, ahead_s: float, after_s: float
) -> None:
    bench = Bench(tmp_path, SETTINGS.model_copy(update={"after_s": after_s}))
    opened, ahead = 10 * RATE_HZ, round(ahead_s * RATE_HZ)
    bench.hear(NOISE[: opened + ahead], opened + ahead)
    bench.take(opened / RATE_HZ, 3.0)
    bench.recorder.open("pipe-1", OPENED, bench.recorder.explain(), clock="synchronised")
    bench.hear(NOISE[opened + ahead : 20 * RATE_HZ])
    bench.finish()
    np.testing.assert_array_equal(bench.clip(), NOISE[7 * RATE_HZ : opened + round(after_s * RATE_HZ)])


def test_a_clip_says_where_when_and_how_it_was_recorded(bench: Bench) -> None:
    bench.hear(NOISE[: 10 * RATE_HZ])
    reasons = bench.open(scale=Scale("m/s²", 50.0))
    bench.hear(NOISE[: 5 * RATE_HZ])
    bench.finish()
    fields = read_guano(bench.folder / "pipe/pipe-1.wav")
    assert datetime.fromisoformat(fields["Timestamp"]) == OPENED - timedelta(seconds=3)
    assert datetime.fromisoformat(fields["HYDROEAR|Opened"]) == OPENED
    expected = {
        "Samplerate": "16000",
        "Length": "5.000",
        "HYDROEAR|Unit": "unit-1",
        "HYDROEAR|Sensor": "pipe",
        "HYDROEAR|Event": "pipe-1",
        "HYDROEAR|Clock": "synchronised",
        "HYDROEAR|Score": "3.000",
        "HYDROEAR|Raise": "2",
        "HYDROEAR|Bundle": "ab" * 32,
        "HYDROEAR|Full Scale": "50 m/s²",
        "HYDROEAR|Lost": "0.000",
        "Note": "\n".join(reasons.sentences),
    }
    assert {key: fields[key] for key in expected} == expected
    record = bench.record()
    assert record["reasons"]["sentences"] == list(reasons.sentences)
    assert record["score_decades"] == 3.0


def test_lost_audio_in_a_clip_is_silence_and_is_told(bench: Bench) -> None:
    bench.hear(NOISE[: 9 * RATE_HZ])
    bench.lose(RATE_HZ // 2)
    bench.hear(NOISE[: RATE_HZ // 2])
    bench.open()
    bench.hear(NOISE[: 3 * RATE_HZ])
    bench.finish()
    clip = bench.clip()
    assert not clip[2 * RATE_HZ : 2 * RATE_HZ + RATE_HZ // 2].any()
    assert clip[: 2 * RATE_HZ].any()
    assert read_guano(bench.folder / "pipe/pipe-1.wav")["HYDROEAR|Lost"] == "0.500"


def test_an_hour_of_loss_after_the_opening_does_not_cost_what_was_heard_before_it(bench: Bench) -> None:
    bench.hear(NOISE[: 10 * RATE_HZ])
    bench.open()
    bench.lose(3600 * RATE_HZ)
    bench.finish()
    np.testing.assert_array_equal(bench.clip()[: 3 * RATE_HZ], NOISE[7 * RATE_HZ : 10 * RATE_HZ])
    assert not bench.clip()[3 * RATE_HZ :].any()


def test_a_unit_that_stops_during_a_clip_keeps_what_it_heard_of_it(bench: Bench) -> None:
    bench.hear(NOISE[: 10 * RATE_HZ])
    bench.open()
    bench.hear(NOISE[10 * RATE_HZ : 11 * RATE_HZ])
    bench.finish()
    np.testing.assert_array_equal(bench.clip(), NOISE[7 * RATE_HZ : 11 * RATE_HZ])


def test_an_event_just_after_the_start_has_what_there_was(bench: Bench) -> None:
    bench.hear(NOISE[:RATE_HZ])
    bench.open()
    bench.hear(NOISE[RATE_HZ : 4 * RATE_HZ])
    bench.finish()
    np.testing.assert_array_equal(bench.clip(), NOISE[: 3 * RATE_HZ])


def test_two_events_in_quick_succession_have_a_clip_each(bench: Bench) -> None:
    bench.hear(NOISE[: 10 * RATE_HZ])
    bench.open("pipe-1")
    bench.hear(NOISE[10 * RATE_HZ : 11 * RATE_HZ])
    bench.recorder.close_event()
    bench.open("pipe-2")
    bench.hear(NOISE[11 * RATE_HZ : 14 * RATE_HZ])
    bench.finish()
    np.testing.assert_array_equal(bench.clip("pipe-1"), NOISE[7 * RATE_HZ : 11 * RATE_HZ])
    np.testing.assert_array_equal(bench.clip("pipe-2"), NOISE[8 * RATE_HZ : 13 * RATE_HZ])


def test_without_events_nothing_is_written(bench: Bench) -> None:
    bench.hear(NOISE)
    bench.finish()
    assert not bench.folder.exists()


def test_a_band_limit_holds_for_the_clip(tmp_path: Path) -> None:
    settings = SETTINGS.model_validate({**SETTINGS.model_dump(), "band_limit": {"low_hz": 0, "high_hz": 300}})
    bench = Bench(tmp_path, settings)
    bench.hear(NOISE[: 10 * RATE_HZ])
    bench.open()
    bench.hear(NOISE[10 * RATE_HZ : 13 * RATE_HZ])
    bench.finish()
    power = np.abs(np.fft.rfft(bench.clip() * np.hanning(5 * RATE_HZ))) ** 2
    hz = np.fft.rfftfreq(5 * RATE_HZ, 1 / RATE_HZ)
    assert power[hz > 340].mean() / power[(hz > 20) & (hz < 280)].mean() < 1e-5
    assert read_guano(bench.folder / "pipe/pipe-1.wav")["Filter LP"] == "0.3"


def test_what_has_no_budget_is_not_made(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SETTINGS.model_copy(update={"clips_mb": 0.0}))
    bench.hear(NOISE[: 10 * RATE_HZ])
    bench.open()
    bench.hear(NOISE[: 3 * RATE_HZ])
    bench.finish()
    assert sorted(path.suffix for path in bench.folder.glob("*/*")) == [".json", ".png"]
    assert bench.store.counts["pipe", "refused"] == 0


def test_how_long_is_counted_from_the_first_high_score_over_short_pauses(bench: Bench) -> None:
    for end_s in range(2, 60):
        bench.take(float(end_s), 3.0 if end_s == 5 or (end_s >= 20 and end_s % 4) else 0.5)
    reasons = bench.recorder.explain()
    assert reasons.lasted_s == pytest.approx(59.0 - 21.0 + SPEC.window_s)
    assert reasons.share_over == pytest.approx(30 / 39)


class SlowStore(EvidenceStore):
    """A card that takes for ever to write, until it is let go."""

    def __init__(self, folder: Path, settings: Evidence) -> None:
        super().__init__(folder, settings)
        self.go = threading.Event()

    def put(self, *args: Any) -> Path | None:
        self.go.wait()
        return super().put(*args)


def test_a_card_that_hangs_delays_no_hearing_and_no_stop(tmp_path: Path) -> None:
    store = SlowStore(tmp_path / "evidence", SETTINGS)
    writer = Writer(store, SETTINGS)
    bench = Bench(tmp_path, writer=writer)
    began_s = time.monotonic()
    for number in range(MAX_WAITING + 3):
        bench.hear(NOISE[: 3 * RATE_HZ])
        bench.open(f"pipe-{number}")
        bench.recorder.close_event()
    bench.recorder.close()
    assert not writer.close(0.2)
    assert time.monotonic() - began_s < 5.0
    assert writer.dropped["pipe"] >= 2
    store.go.set()
    assert writer.close(20.0)
    assert bench.clip("pipe-0").any()


def test_what_goes_wrong_with_one_event_does_not_cost_the_next(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.hear(NOISE[: 3 * RATE_HZ])
    bench.take(2.0, 3.0, level_db=float("nan"))  # which a record cannot say
    bench.open("pipe-1")
    bench.hear(NOISE[: 30 * RATE_HZ])
    bench.open("pipe-2")
    bench.hear(NOISE[: 3 * RATE_HZ])
    bench.finish()
    assert sorted(path.stem for path in bench.folder.glob("*/*.png")) == ["pipe-2"]
    assert bench.writer.dropped == {"pipe": 1}
    assert "no evidence is kept of pipe-1" in caplog.text


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The simulated leak through front end, bundle, site and decision, as a unit hears it."""
    scorer = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
    spec = scorer.bundle.front_end
    site = calibrate([FrontEnd(spec, input_rate_hz=RATE_HZ).push(health())], scorer)
    bench = Bench(
        tmp_path_factory.mktemp("leak"),
        spec=spec,
        normal=Normal(band_db=site.band_mean, level_db=site.level_db),
        raise_decades=DECISION["raise_decades"],
    )
    front_end, site_scorer = FrontEnd(spec, input_rate_hz=RATE_HZ), SiteScorer(scorer, site)
    decider = Decider(Policy(**DECISION, low_percentile=20.0, hold_off_s=0.0, hop_s=spec.window_hop_s))
    for begin in range(0, len(scene()), 1600):
        samples = scene()[begin : begin + 1600]
        bench.hear(samples)
        for window in front_end.push(samples):
            decades = site_scorer.score(window).decades
            bench.recorder.take(
                Hearing(
                    end_s=window.end_s, decades=decades, level_db=window.level_db, band_db=window.features.mean(axis=0)
                )
            )
            leaking = decider.leaking
            decider.hear(window.end_s, decades)
            if decider.leaking and not leaking:
                bench.opened = round(window.end_s * RATE_HZ)
                bench.recorder.open("pipe-1", OPENED, bench.recorder.explain(), clock="unknown")
            elif leaking and not decider.leaking:
                bench.recorder.close_event()
    bench.finish()
    return bench


def test_a_leak_can_be_heard_in_its_clip(leak: Bench) -> None:
    expected = scene()[leak.opened - 3 * RATE_HZ : leak.opened + 2 * RATE_HZ]
    assert LEAK.start_s < leak.opened / RATE_HZ < LEAK.end_s
    np.testing.assert_allclose(leak.clip(), expected, atol=0.6 / 32768)


def test_a_leak_is_explained_as_one(leak: Bench) -> None:
    reasons = leak.record()["reasons"]
    assert reasons["rise_db"] > 3.0
    assert reasons["over_normal_db"] > 3.0
    assert reasons["line_share"] < 0.15
    assert any(sentence.startswith("It is broadband") for sentence in reasons["sentences"])
    assert any(sentence.startswith("It is steady") for sentence in reasons["sentences"])
