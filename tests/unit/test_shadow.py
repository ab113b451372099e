"""A candidate hears what the model at work hears; whatever becomes of it, the model at work goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from hydroear.app.candidates import Candidates
from hydroear.app.models import in_words, install, roll_back, status
from hydroear.app.pipeline import Pipeline
from hydroear.app.probation import SLOW_WINDOWS, start_model
from hydroear.app.unit import Ear
from hydroear.audio import Block, Gap
from hydroear.config.schema import Config
from hydroear.errors import BundleError
from hydroear.model import Bundle, choose_runtime
from hydroear.model.slots import MAX_STARTS, Installed, SlotStore
from hydroear.mqtt import payloads
from hydroear.score import Scorer, SiteCalibration, SiteScorer
from listening import DECISION, RATE_HZ, health
from signed import Change, alarming, deaf, key_pair, signed

RUNTIME = choose_runtime()
WINDOWS = 12
BLOCK = RATE_HZ // 2


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A unit that trusts a key, and shadows for some seconds."""
    return Config.model_validate(
        {
            "unit": "u",
            "bundle": signed(tmp_path, 1),
            "state_dir": tmp_path / "state",
            "sensors": [{"id": "pipe", "source": {"type": "wav", "files": ["pipe.wav"]}}],
            "decision": DECISION,
            "models": {"trusted_keys": [key_pair(tmp_path)[1]], "shadow_windows": WINDOWS},
        }
    )


@dataclass
class Work:
    """A sensor at work with the factory's model, as far as a shadow sees of it, and who looks after candidates."""

    config: Config
    site: SiteCalibration
    candidates: Candidates = field(init=False)
    told: list[payloads.Model] = field(default_factory=list)

    def __post_init__(self) -> None:
        model = start_model(self.config, RUNTIME)
        self.model = model.bundle.name
        site = replace(self.site, bundle_sha256=model.bundle.sha256)
        self.pipeline = Pipeline(
            "pipe",
            rate_hz=RATE_HZ,
            spec=model.bundle.front_end,
            scorer=SiteScorer(Scorer(model.bundle, RUNTIME), site),
            decision=self.config.decision,
        )
        ear = SimpleNamespace(sensor="pipe", source=SimpleNamespace(rate_hz=RATE_HZ), pipeline=self.pipeline)
        self.candidates = Candidates(self.config, runtime=RUNTIME, ears=[cast(Ear, ear)], tell=self.told.append)
        self._pieces = self._stream()

    def _stream(self) -> Iterator[Block]:
        sound = np.concatenate([health(60.0), health(60.0)])[:, np.newaxis]
        for first in range(0, len(sound), BLOCK):
            yield Block(sound[first : first + BLOCK], first, 0.0)

    def hear(self, seconds: float, *, lost_s: tuple[float, ...] = (), active_ms: float = 1.0) -> None:
        """Go on with the sound, as a unit does."""
        for _ in range(round(seconds * RATE_HZ / BLOCK)):
            block = next(self._pieces)
            lost = any(block.first_index <= at_s * RATE_HZ < block.end_index for at_s in lost_s)
            piece = Gap(block.first_index, BLOCK, "lost by the test") if lost else block
            reports = self.pipeline.hear(piece)
            if self.candidates.shadow is not None:
                self.candidates.shadow.hear("pipe", piece, reports, judged=True, active_ms=active_ms)

    def look(self) -> None:
        """Do what is due now."""
        self.candidates._look_s = self.candidates._save_s = 0.0
        self.candidates.look()

    @property
    def steps(self) -> list[str]:
        return [told.step for told in self.told]

    @property
    def slot(self) -> Installed:
        found = SlotStore(self.config.models_dir).load().a
        assert found is not None
        return found


Start = Callable[[], Work]


@pytest.fixture
def start(config: Config, site: Path) -> Start:
    """Starts the unit."""
    return lambda: Work(config, SiteCalibration.load(site))


def candidate(tmp_path: Path, config: Config, site: Path | None, change: Change = lambda bundle: bundle) -> Installed:
    """Install one, calibrated if there is a site: the models are the same, so that the same calibration fits."""
    installed = install(config, signed(tmp_path, 2, change=change), without_calibration=site is None).installed
    if site is not None:
        path = config.site_path(config.sensors[0], installed.sha256)
        replace(SiteCalibration.load(site), bundle_sha256=installed.sha256).save(path)
    return installed


def test_one_that_hears_alike_stands_it_and_is_activated_by_the_next_start(
    tmp_path: Path, config: Config, site: Path, start: Start
) -> None:
    candidate(tmp_path, config, site)
    work = start()
    assert work.model == "release-1", "a start does not activate what was not tried"
    work.hear(5.0)
    work.look()
    work.hear(8.0)
    work.look()
    assert f"{work.slot.shadow['pipe']['windows']} of {WINDOWS} windows scored beside" in in_words(status(config))
    work.hear(10.0)
    work.look()
    result = work.slot.shadow["pipe"]
    assert work.slot.shadowed
    assert (result["windows"], result["missed"], result["agreement"]) == (WINDOWS, 0, 1.0)
    # It began in the middle of a stream, with windows of its own: much the same is heard in them.
    assert result["candidate"]["p50_decades"] == pytest.approx(result["active"]["p50_decades"], abs=0.5)
    assert work.steps == ["shadowing", "shadowing", "shadowed"]
    assert work.candidates.shadow is None, "its memory is free again"
    assert "activated at the next start" in in_words(status(config))
    assert start().model == "release-2"


def test_windows_of_another_hop_and_lost_audio_are_compared_as_well(
    tmp_path: Path, config: Config, site: Path, start: Start
) -> None:
    def twice_as_often(bundle: Bundle) -> Bundle:
        return replace(bundle, front_end=replace(bundle.front_end, window_hop_frames=15))

    candidate(tmp_path, config, site, twice_as_often)
    work = start()
    work.hear(20.0)
    work.look()
    work.hear(25.0, lost_s=(24.2, 24.7))
    work.look()
    result = work.slot.shadow["pipe"]
    assert (work.steps[-1], result["windows"]) == ("shadowed", WINDOWS)
    assert result["missed"] <= 1
    assert result["candidate"]["p50_decades"] == pytest.approx(result["active"]["p50_decades"], abs=0.5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (deaf, "on sensor pipe it is deaf: it gives at least half of 12 windows one and the same score"),
        (alarming, "on sensor pipe it would alarm where the model at work hears nothing: "),
    ],
)
def test_one_that_is_deaf_or_always_alarms_is_withdrawn_with_the_reason(
    tmp_path: Path, config: Config, start: Start, change: Change, why: str
) -> None:
    candidate(tmp_path, config, None, change)
    work = start()
    work.look()
    work.hear(20.0)
    work.look()
    assert work.steps == ["shadowing", "withdrawn"]
    assert work.told[-1].reason.startswith(why)
    assert work.told[-1].shadow["pipe"]["windows"] == WINDOWS
    assert (work.slot.phase, work.slot.reason) == ("bad", work.told[-1].reason)
    assert start().model == "release-1"


def fails(_: object, *__: object) -> None:
    raise BundleError("the score of a window is no number")


def breaks(_: object, *__: object) -> None:
    raise ZeroDivisionError("by zero")


@pytest.mark.parametrize(
    ("failure", "why"),
    [(fails, "the score of a window is no number"), (breaks, "fails (ZeroDivisionError: by zero)")],
)
def test_one_that_fails_on_a_window_is_withdrawn_and_hearing_goes_on(
    tmp_path: Path, config: Config, start: Start, monkeypatch: pytest.MonkeyPatch, failure: Any, why: str
) -> None:
    candidate(tmp_path, config, None)
    work = start()
    score = Scorer.score

    def of_the_candidate(self: Scorer, *arguments: Any) -> Any:
        return (failure if self.bundle.name == "release-2" else score)(self, *arguments)

    monkeypatch.setattr(Scorer, "score", of_the_candidate)
    work.look()
    work.hear(10.0)
    work.look()
    assert (work.steps[-1], work.told[-1].reason) == ("withdrawn", why)
    assert work.pipeline.windows_scored == 9


def test_one_that_leaves_too_little_time_is_withdrawn(tmp_path: Path, config: Config, start: Start) -> None:
    config.models.__dict__["shadow_windows"] = 2 * SLOW_WINDOWS
    candidate(tmp_path, config, None)
    work = start()
    work.look()
    work.hear(10.0, active_ms=2000.0)
    work.hear(2.0)  # a busy moment is over
    work.hear(SLOW_WINDOWS - 2.0, active_ms=2000.0)
    work.look()
    assert work.candidates.shadow is not None
    work.hear(3.0, active_ms=2000.0)
    work.look()
    assert f"{SLOW_WINDOWS} windows in a row took, with the model at work, longer than" in work.told[-1].reason


def test_one_for_which_a_sensor_is_too_slow_is_withdrawn_before_it_hears_anything(
    tmp_path: Path, config: Config, start: Start
) -> None:
    candidate(tmp_path, config, None)
    work = start()
    cast(Any, work.candidates._ears[0]).source.rate_hz = 8000
    work.look()
    assert "pipe: audio at 8000 Hz carries nothing above 4000 Hz" in work.told[-1].reason


def test_one_that_no_sensor_is_calibrated_for_waits_and_is_begun_when_they_are(
    tmp_path: Path, config: Config, site: Path, start: Start
) -> None:
    installed = install(config, signed(tmp_path, 2), without_calibration=False).installed
    work = start()
    work.look()
    assert (work.candidates.shadow, work.steps) == (None, ["installed"])
    replace(SiteCalibration.load(site), bundle_sha256=installed.sha256).save(
        config.site_path(config.sensors[0], installed.sha256)
    )
    work.look()
    assert work.candidates.shadow is not None


def test_one_that_is_withdrawn_by_hand_is_left_at_once_and_another_one_is_heard(
    tmp_path: Path, config: Config, start: Start
) -> None:
    candidate(tmp_path, config, None)
    work = start()
    work.look()
    work.hear(5.0)
    roll_back(config)
    work.look()
    assert work.candidates.shadow is None
    assert work.told[-1].reason == "withdrawn by hand"
    install(config, signed(tmp_path, 3), without_calibration=True)
    work.look()
    work.look()
    assert (work.steps[-1], work.told[-1].name) == ("shadowing", "release-3")


def test_a_unit_that_dies_of_it_tries_so_often_and_one_that_ends_in_order_as_often_as_it_likes(
    tmp_path: Path, config: Config, start: Start
) -> None:
    candidate(tmp_path, config, None)
    for _ in range(MAX_STARTS + 1):
        work = start()
        work.look()
        work.hear(5.0)
        work.candidates.close()
    assert (work.steps[-1], work.slot.starts, work.slot.shadow["pipe"]["windows"]) == ("shadowing", 0, 4)
    for _ in range(MAX_STARTS):
        start().look()
    work = start()
    work.look()
    assert work.candidates.shadow is None
    assert work.told[-1].reason == "3 times the unit died while this model was scored beside the one at work"


def test_what_is_over_when_the_unit_ends_counts(tmp_path: Path, config: Config, site: Path, start: Start) -> None:
    candidate(tmp_path, config, site)
    work = start()
    work.look()
    work.hear(20.0)
    work.candidates.close()
    assert work.steps[-1] == "shadowed"


def test_one_whose_beginning_cannot_be_written_down_is_left_alone(
    tmp_path: Path, config: Config, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    candidate(tmp_path, config, None)
    work = start()

    def refuse(*_: object, **__: object) -> None:
        raise BundleError("cannot be written (No space left on device)", where=config.models_dir)

    monkeypatch.setattr(SlotStore, "_save", refuse)
    work.look()
    work.look()
    assert work.candidates.shadow is None
    assert caplog.text.count("No space left") == 1
    monkeypatch.undo()
    again = start()
    again.look()
    assert again.candidates.shadow is not None


def test_what_was_left_behind_at_a_start_is_told_with_the_reason(
    tmp_path: Path, config: Config, site: Path, start: Start
) -> None:
    candidate(tmp_path, config, site)
    work = start()
    work.look()
    work.hear(20.0)
    work.candidates.close()
    (config.models_dir / "a.hydroear").write_bytes(b"damaged")
    work = start()
    work.look()
    assert (work.model, work.steps) == ("release-1", ["rolled-back"])
    assert "a.hydroear" in work.told[0].reason


def test_what_is_installed_again_meanwhile_is_the_same(tmp_path: Path, config: Config, start: Start) -> None:
    candidate(tmp_path, config, None)
    work = start()
    work.look()
    assert not install(config, tmp_path / "release-2.hydroear", without_calibration=True).new
    assert work.slot.starts == 1
