"""A unit that is killed while it hears a new model beside the one at work starts again, and scores."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from broker import wait_for
from hydroear.app.models import install
from hydroear.config.loader import load_config
from hydroear.model import read_bundle
from hydroear.model.slots import MAX_STARTS, Installed, SlotStore
from hydroear.score import SiteCalibration
from listening import health
from running import Daemon, Unit
from signed import key_pair, signed

Tried = Callable[[int], Callable[[], Installed]]
WAIT_S = 40.0


@pytest.fixture
def tried(tmp_path: Path, unit: Unit, site: Path) -> Tried:
    """Makes the unit one that is to hear a candidate for so many windows; gives what becomes of that candidate.

    The models of both bundles are the same, so that the site fits both.
    """

    def make(windows: int) -> Callable[[], Installed]:
        unit.models = {"trusted_keys": [str(key_pair(tmp_path)[1])], "shadow_windows": windows}
        unit.bundle, unit.site = signed(tmp_path, 1), tmp_path / "site.json"
        config = load_config(unit.configure(unit.recording(health(60.0))))
        new = install(config, signed(tmp_path, 2), without_calibration=False).installed
        for path, sha256 in (
            (unit.site, read_bundle(unit.bundle).sha256),
            (config.site_path(config.sensors[0], new.sha256), new.sha256),
        ):
            replace(SiteCalibration.load(site), bundle_sha256=sha256).save(path)

        def candidate() -> Installed:
            found = SlotStore(config.models_dir).load().a
            assert found is not None
            return found

        return candidate

    return make


def wait_for_windows(daemon: Daemon, count: int) -> None:
    """Wait until it has scored so many windows more."""
    wanted = len(daemon.windows) + count
    wait_for(lambda: len(daemon.windows) >= wanted, "windows", timeout_s=WAIT_S)
    assert daemon.windows[-1]["scored"]


def wait_for_words(daemon: Daemon, words: str) -> None:
    """Wait until it says something."""
    wait_for(lambda: any(words in line for line in daemon.complaints), words, timeout_s=WAIT_S)


def kill(daemon: Daemon) -> None:
    daemon.signal(signal.SIGKILL)
    daemon.wait()


def test_kills_while_a_shadow_hears_leave_a_unit_that_scores_and_gives_the_shadow_up_in_the_end(
    unit: Unit, tried: Tried
) -> None:
    candidate = tried(100_000)
    for start in range(1, MAX_STARTS + 1):
        with unit.run(health(60.0), speed=5.0) as daemon:
            wait_for_words(daemon, "hears beside the model at work")
            wait_for_windows(daemon, 4)
            kill(daemon)
        assert (candidate().phase, candidate().starts) == ("candidate", start)
    with unit.run(health(60.0), speed=5.0) as daemon:
        wait_for_words(daemon, "release-2 withdrawn: 3 times the unit died")
        wait_for_windows(daemon, 4)
    assert candidate().phase == "bad"


def test_a_kill_after_a_shadow_has_stood_it_leaves_a_unit_that_tries_the_model_out(unit: Unit, tried: Tried) -> None:
    candidate = tried(3)
    with unit.run(health(60.0), speed=5.0) as daemon:
        wait_for(lambda: candidate().shadowed, "the shadow to stand it", timeout_s=WAIT_S)
        kill(daemon)
    with unit.run(health(60.0), speed=5.0) as daemon:
        wait_for_words(daemon, "release-2 on probation, start 1 of 3")
        wait_for_windows(daemon, 1)
