"""Slots: a bundle is tried out before it is kept, and there is always one to go back to."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import fuzz
from hydroear.app.models import confirm, install, roll_back, status
from hydroear.app.probation import SLOW_WINDOWS, ModelAtWork, start_model
from hydroear.config.schema import Config
from hydroear.errors import BundleError, UsageError
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle, write_bundle
from hydroear.model.slots import (
    MAX_STARTS,
    Installed,
    Phase,
    Slots,
    SlotStore,
    bundle_to_run,
    candidate_to_run,
)
from hydroear.score import SiteCalibration
from hydroear_train.signing import sign_bundle
from signed import key_pair, signed, unsigned

RUNTIME = choose_runtime()
WINDOWS = 60


def bundle(release: int | None, name: str = "") -> Installed:
    return Installed(name or f"r{release}", f"{release or 0:064x}", release)


def kept(slots: Slots, release: int | None) -> Slots:
    """After a release was installed, tried out and confirmed."""
    new = bundle(release)
    return slots.admitted(new).started(ready=new.sha256).confirmed()


# The state machine


def test_a_candidate_is_tried_out_and_confirmed() -> None:
    slots = Slots().admitted(bundle(1))
    assert (slots.active, slots.candidate) == (None, bundle(1))
    slots = slots.started(ready=bundle(1).sha256)
    assert slots.running == replace(bundle(1), phase=Phase.PROBATION, starts=1)
    slots = slots.confirmed()
    assert (slots.active, slots.highest_confirmed) == ("a", 1)
    assert slots.started() == slots


def test_a_candidate_that_is_not_ready_waits_and_another_one_is_not_taken_for_it() -> None:
    slots = Slots().admitted(bundle(1))
    assert slots.started() == slots
    assert slots.started(ready=bundle(2).sha256) == slots


def test_one_that_is_never_confirmed_is_given_up_after_so_many_starts() -> None:
    slots = kept(Slots(), 1).admitted(bundle(2)).started(ready=bundle(2).sha256)
    for start in range(2, MAX_STARTS + 1):
        slots = slots.started()
        assert slots.running is not None
        assert (slots.active, slots.running.starts) == ("b", start)
    slots = slots.started()
    assert slots.active == "a"
    assert slots.b is not None
    assert slots.b.phase is Phase.BAD
    assert "started 3 times" in slots.b.reason
    assert slots.started() == slots


def test_going_back_leads_to_what_was_confirmed_or_to_the_factory() -> None:
    both = kept(kept(Slots(), 1), 2)
    assert both.active == "b"
    first = both.rolled_back("x")
    assert first.active == "a"
    factory = first.rolled_back("y")
    assert factory.active is None
    assert [slot and slot.reason for slot in (factory.a, factory.b)] == ["y", "x"]
    assert factory.rolled_back("z") == factory


def test_a_release_that_is_not_newer_than_any_that_was_confirmed_is_refused() -> None:
    slots = kept(Slots(), 5).rolled_back("bad after all")
    for release in (4, 5):
        with pytest.raises(BundleError, match=f"release {release} is not newer than release 5"):
            slots.admitted(bundle(release))
    assert slots.admitted(bundle(6)).candidate == bundle(6)
    with pytest.raises(BundleError, match="release 6 is not newer than release 8"):
        slots.admitted(bundle(6), factory_release=8)
    assert slots.admitted(bundle(None)).candidate == bundle(None)


def test_a_release_that_failed_before_it_was_confirmed_may_come_again() -> None:
    slots = Slots().admitted(bundle(2)).started(ready=bundle(2).sha256).rolled_back("no luck")
    assert slots.admitted(bundle(2)).candidate == bundle(2)


def test_nothing_comes_into_the_slot_that_a_bundle_on_probation_goes_back_to() -> None:
    slots = kept(Slots(), 1).admitted(bundle(2)).started(ready=bundle(2).sha256)
    with pytest.raises(BundleError, match="is on probation and needs the other slot"):
        slots.admitted(bundle(3))


OPERATIONS = st.one_of(
    st.tuples(st.just("install"), st.one_of(st.none(), st.integers(1, 9))),
    st.tuples(st.sampled_from(["start", "start unready", "confirm", "roll back", "withdraw"]), st.none()),
    st.tuples(st.sampled_from(["shadowing", "interrupted", "shadowed"]), st.none()),
)


def apply(slots: Slots, operation: str, release: int | None) -> Slots:
    match operation:
        case "install":
            try:
                return slots.admitted(bundle(release))
            except BundleError:
                return slots
        case "start":
            return slots.started(ready=slots.candidate.sha256 if slots.candidate else "")
        case "start unready":
            return slots.started()
        case "confirm":
            return slots.confirmed()
        case "roll back":
            return slots.rolled_back("rolled back")
        case "shadowing":
            return slots.shadowing().compared({"pipe": {"windows": 3}})
        case "interrupted":
            return slots.interrupted()
        case "shadowed":
            return slots.shadowed()
    return slots.withdrawn("withdrawn")


@settings(max_examples=500, deadline=None)
@given(operations=st.lists(OPERATIONS, max_size=25))
def test_whatever_happens_what_runs_can_be_gone_back_from_and_old_releases_stay_out(
    operations: list[tuple[str, int | None]],
) -> None:
    slots, confirmed = Slots(), 0
    for operation, release in operations:
        before, slots = slots, apply(slots, operation, release)
        assert Slots.from_json(slots.to_json()) == slots
        running, other = slots.running, slots.get(slots.inactive)
        assert (slots.active is None) == (running is None)
        assert running is None or running.phase in (Phase.PROBATION, Phase.CONFIRMED)
        assert all(0 <= installed.starts <= MAX_STARTS for installed in (running, slots.candidate) if installed)
        assert (slots.running, other) == (before.running, before.get(slots.inactive)) or slots.last is not None
        if running is not None and running.phase is Phase.PROBATION and before.running is not None:
            assert before.active == slots.active or before.running == other  # what ran is what is gone back to
        if slots.candidate is not None and slots.candidate != before.candidate and slots.candidate.release:
            assert slots.candidate.release > confirmed
        assert slots.highest_confirmed >= before.highest_confirmed
        if running is not None and running.phase is Phase.CONFIRMED:
            confirmed = max(confirmed, running.release or 0)
        assert slots.highest_confirmed == confirmed


def test_what_became_of_a_bundle_last_is_known_with_the_reason() -> None:
    slots, steps = Slots(), []
    for change in (
        lambda slots: slots.admitted(bundle(1)),
        Slots.shadowing,
        Slots.shadowed,
        lambda slots: slots.started(ready=bundle(1).sha256),
        Slots.started,
        Slots.confirmed,
        lambda slots: slots.admitted(bundle(2)),
        lambda slots: slots.withdrawn("deaf"),
        lambda slots: slots.rolled_back("no number"),
    ):
        slots = change(slots)
        assert slots.last is not None
        steps.append((slots.last.step, slots.last.release, slots.last.reason))
    assert steps == [
        ("installed", 1, ""),
        ("shadowing", 1, ""),
        ("shadowed", 1, ""),
        ("activated", 1, ""),
        ("activated", 1, ""),
        ("confirmed", 1, ""),
        ("installed", 2, ""),
        ("withdrawn", 2, "deaf"),
        ("rolled-back", 1, "no number"),
    ]


def test_slots_that_an_older_version_wrote_are_understood() -> None:
    document = json.loads(kept(Slots(), 1).to_json())
    del document["last"]
    for name in ("shadowed", "shadow"):
        del document["a"][name]
    old = Slots.from_json(json.dumps(document).encode())
    assert old == replace(kept(Slots(), 1), last=None)


def broken(**changes: Any) -> bytes:
    return json.dumps(json.loads(kept(Slots(), 1).to_json()) | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        broken(schema="hydroear/models/2"),
        broken(active="c"),
        broken(active="b"),
        broken(a=None),
        broken(a={"name": "x"}),
        broken(a={**json.loads(broken())["a"], "sha256": "../../../../etc"}),
        broken(a={**json.loads(broken())["a"], "phase": "superb"}),
        broken(a={**json.loads(broken())["a"], "starts": "one"}),
        broken(a={**json.loads(broken())["a"], "shadow": "none"}),
        broken(last={**json.loads(broken())["last"], "step": "forgotten"}),
        broken(last={**json.loads(broken())["last"], "time": "2025-03-01T02:05:06"}),
        broken(highest_confirmed=None),
        broken(more=1),
    ],
)
def test_damaged_slots_are_told_and_the_factory_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "slots.json").write_bytes(content)
    assert SlotStore(tmp_path).load() == Slots()
    assert "the configured bundle runs" in caplog.text


# A unit


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A unit that trusts a key, and whose factory's bundle is release 1."""
    factory = signed(tmp_path, 1)
    return Config.model_validate(
        {
            "unit": "u",
            "bundle": factory,
            "state_dir": tmp_path / "state",
            "sensors": [{"id": "pipe", "source": {"type": "wav", "files": ["pipe.wav"]}}],
            "models": {
                "trusted_keys": [key_pair(tmp_path)[1]],
                "shadow_windows": 0,
                "probation_windows": WINDOWS,
            },
        }
    )


def work(model: ModelAtWork, windows: int = WINDOWS, score_ms: float = 1.0) -> None:
    for _ in range(windows):
        model.scored(score_ms)


def calibrate(config: Config, site: Path, sha256: str) -> None:
    """As ``hydroear calibrate --model candidate`` leaves it: same models, so that the same calibration fits."""
    path = config.site_path(config.sensors[0], sha256)
    replace(SiteCalibration.load(site), bundle_sha256=sha256).save(path)


def test_a_unit_runs_the_configured_bundle_until_another_is_installed(config: Config) -> None:
    assert bundle_to_run(config).path == config.bundle
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert not config.state_dir.exists()


def test_an_installed_bundle_waits_for_its_calibration_and_is_then_tried_out(
    tmp_path: Path, config: Config, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = install(config, signed(tmp_path, 2), without_calibration=False)
    assert (outcome.new, outcome.waits_for) == (True, ["pipe"])
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert "release-2 waits in slot a until it is calibrated for pipe" in caplog.text
    calibrate(config, site, outcome.installed.sha256)
    model = start_model(config, RUNTIME)
    assert (model.bundle.name, model.model) == ("release-2", outcome.installed.sha256)
    work(model, WINDOWS - 1)
    assert status(config)["slots"]["a"]["phase"] == "probation"
    work(model, 1)
    told = status(config)
    assert (told["slots"]["a"]["phase"], told["active"], told["highest_confirmed"]) == ("confirmed", "a", 2)
    assert "confirmed" in caplog.text


def test_a_calibration_for_another_bundle_or_interpreter_does_not_count(
    tmp_path: Path, config: Config, site: Path
) -> None:
    sha256 = install(config, signed(tmp_path, 2), without_calibration=False).installed.sha256
    path = config.site_path(config.sensors[0], sha256)
    for wrong in (
        SiteCalibration.load(site),
        replace(SiteCalibration.load(site), bundle_sha256=sha256, runtime="abacus"),
    ):
        wrong.save(path)
        assert start_model(config, RUNTIME).bundle.name == "release-1"
    path.write_text("damaged")
    assert start_model(config, RUNTIME).bundle.name == "release-1"


def test_what_is_installed_twice_is_installed_once(tmp_path: Path, config: Config) -> None:
    path = signed(tmp_path, 2)
    assert install(config, path, without_calibration=True).new
    before = sorted((entry.name, entry.stat().st_mtime_ns) for entry in config.models_dir.iterdir())
    assert not install(config, path, without_calibration=True).new
    work(start_model(config, RUNTIME))
    assert not install(config, path, without_calibration=True).new
    assert before[:2] == sorted((e.name, e.stat().st_mtime_ns) for e in config.models_dir.iterdir())[:2]
    assert status(config)["slots"]["b"] is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: unsigned(folder, "new"), "new.hydroear: not signed; expected a signature of key "),
        (lambda folder: signed(folder, 2, key="stranger"), "which is not trusted"),
        (lambda folder: signed(folder, 1, name="other"), "release 1 is not newer than release 1"),
        (lambda folder: folder / "gone", "gone: cannot be read"),
    ],
)
def test_what_may_not_be_installed_leaves_the_unit_as_it_was(
    tmp_path: Path, config: Config, make: Any, told: str
) -> None:
    with pytest.raises(BundleError, match=told):
        install(config, make(tmp_path), without_calibration=True)
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert bundle_to_run(config).slot is None


def test_a_bundle_that_gives_other_scores_here_is_not_installed(tmp_path: Path, config: Config) -> None:
    shipped = read_bundle(SHIPPED_BUNDLE)
    golden = replace(shipped.golden, errors={str(RUNTIME): tuple(2 * e for e in shipped.golden.errors[RUNTIME])})
    path = tmp_path / "odd.hydroear"
    write_bundle(path, replace(shipped, golden=golden))
    sign_bundle(path, key_pair(tmp_path)[0], 2, path)
    with pytest.raises(BundleError, match=r"golden windows differ by 50\.0 %"):
        install(config, path, without_calibration=True)
    assert not config.models_dir.exists()


def test_a_unit_whose_own_bundle_cannot_be_gone_back_to_installs_none(tmp_path: Path, config: Config) -> None:
    config.bundle.unlink()
    with pytest.raises(BundleError, match=r"release-1\.hydroear: cannot be read"):
        install(config, signed(tmp_path, 2), without_calibration=True)


def test_without_keys_nobody_asks_for_signatures_or_releases(tmp_path: Path, config: Config) -> None:
    open_unit = config.model_copy(update={"bundle": SHIPPED_BUNDLE, "models": config.models.model_copy(
        update={"trusted_keys": []})})  # fmt: skip
    for path in (unsigned(tmp_path, "new"), signed(tmp_path, 1, name="old")):
        assert install(open_unit, path, without_calibration=True).new
        work(start_model(open_unit, RUNTIME))
    assert status(open_unit)["slots"]["b"]["release"] is None


def test_a_key_that_is_withdrawn_takes_its_bundles_with_it(tmp_path: Path, config: Config) -> None:
    install(config, signed(tmp_path, 2), without_calibration=True)
    work(start_model(config, RUNTIME))
    signed(tmp_path, 1, key="stranger")  # the factory's bundle, signed anew
    models = config.models.model_copy(update={"trusted_keys": [key_pair(tmp_path, "stranger")[1]]})
    assert start_model(config.model_copy(update={"models": models}), RUNTIME).bundle.name == "release-1"
    assert "is not trusted" in status(config)["slots"]["a"]["reason"]


# Failures


def probation_of(tmp_path: Path, config: Config, release: int) -> ModelAtWork:
    install(config, signed(tmp_path, release), without_calibration=True)
    return start_model(config, RUNTIME)


def test_a_bundle_that_is_damaged_on_the_disk_is_left_behind(
    tmp_path: Path, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    work(probation_of(tmp_path, config, 2))
    work(probation_of(tmp_path, config, 3))
    path = bundle_to_run(config).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert start_model(config, RUNTIME).bundle.name == "release-2"
    assert "slot b: release-3 rolled back: " in caplog.text
    path.unlink()
    (config.models_dir / "a.hydroear").unlink()
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert "cannot be read" in status(config)["slots"]["a"]["reason"]


def test_another_bundle_in_the_place_of_the_installed_one_is_not_run(tmp_path: Path, config: Config) -> None:
    work(probation_of(tmp_path, config, 3))
    signed(tmp_path, 2).rename(config.models_dir / "a.hydroear")
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert "not the bundle that was installed" in status(config)["slots"]["a"]["reason"]


def test_a_unit_that_ends_too_often_goes_back(tmp_path: Path, config: Config, caplog: pytest.LogCaptureFixture) -> None:
    probation_of(tmp_path, config, 2)
    names = [start_model(config, RUNTIME).bundle.name for _ in range(MAX_STARTS)]
    assert names == ["release-2"] * (MAX_STARTS - 1) + ["release-1"]
    assert "slot a: release-2 rolled back: started 3 times and never scored for long enough" in caplog.text


def test_a_bundle_that_is_too_slow_for_the_machine_goes_back(tmp_path: Path, config: Config) -> None:
    model = probation_of(tmp_path, config, 2)
    hop_ms = 1e3 * model.bundle.front_end.window_hop_s
    work(model, SLOW_WINDOWS - 1, 1.1 * hop_ms)
    work(model, 1)  # a busy moment
    with pytest.raises(BundleError, match=f"{SLOW_WINDOWS} windows in a row took longer than") as caught:
        work(model, SLOW_WINDOWS, 1.1 * hop_ms)
    model.blame(caught.value)
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert "took longer than" in status(config)["slots"]["a"]["reason"]


def test_a_bundle_is_blamed_for_its_own_errors_alone(tmp_path: Path, config: Config) -> None:
    model = probation_of(tmp_path, config, 2)
    model.blame(OSError("the disk is full"))
    assert bundle_to_run(config).slot == "a"
    model.blame(BundleError("a model fails on a window"))
    assert bundle_to_run(config).slot is None
    start_model(config, RUNTIME).blame(BundleError("the factory's, too"))
    assert bundle_to_run(config).slot is None


def test_a_running_unit_confirms_nothing_that_was_rolled_back_meanwhile(tmp_path: Path, config: Config) -> None:
    model = probation_of(tmp_path, config, 2)
    roll_back(config)
    work(model)
    assert status(config)["slots"]["a"]["phase"] == "bad"
    assert status(config)["highest_confirmed"] == 0


def test_a_start_that_cannot_be_counted_is_none_on_probation(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    probation_of(tmp_path, config, 2)

    def refuse(*_: object, **__: object) -> None:
        raise BundleError("cannot be written (No space left on device)", where=config.models_dir)

    monkeypatch.setattr(SlotStore, "_save", refuse)
    assert start_model(config, RUNTIME).bundle.name == "release-1"
    assert "No space left" in caplog.text
    monkeypatch.undo()
    assert start_model(config, RUNTIME).bundle.name == "release-2"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, config: Config) -> None:
    config.state_dir.mkdir()
    config.models_dir.write_text("no folder")
    with pytest.raises(BundleError, match=r"models: cannot be written \(File exists\)"):
        install(config, signed(tmp_path, 2), without_calibration=True)


# By hand


def test_a_bundle_on_probation_is_confirmed_by_hand(tmp_path: Path, config: Config) -> None:
    with pytest.raises(UsageError, match="no bundle is on probation"):
        confirm(config)
    probation_of(tmp_path, config, 2)
    assert confirm(config).name == "release-2"
    assert status(config)["highest_confirmed"] == 2


def test_the_candidate_goes_back_first_and_then_what_runs(tmp_path: Path, config: Config) -> None:
    work(probation_of(tmp_path, config, 2))
    install(config, signed(tmp_path, 3), without_calibration=True)
    assert candidate_to_run(config).slot == "b"
    assert roll_back(config).name == "release-3"
    with pytest.raises(UsageError, match="no bundle waits"):
        candidate_to_run(config)
    assert bundle_to_run(config).slot == "a"
    assert roll_back(config).name == "release-2"
    assert bundle_to_run(config).slot is None
    with pytest.raises(UsageError, match="the configured bundle runs, and none waits"):
        roll_back(config)


def elsewhere(config: Config, folder: Path) -> set[tuple[Path, int]]:
    """The files of a folder that are not of the unit's state, and when each was written."""
    files = [entry for entry in folder.rglob("*") if config.state_dir not in (entry, *entry.parents)]
    return {(file, file.stat().st_mtime_ns) for file in files if file.is_file()}


@fuzz(80)
@given(data=st.data())
def test_whatever_comes_is_installed_whole_or_refused_and_nothing_is_written_elsewhere(
    tmp_path: Path, config: Config, data: st.DataObject
) -> None:
    original = tmp_path / "release-2.hydroear"
    if not original.exists():
        signed(tmp_path, 2)
    content = bytearray(original.read_bytes())
    for _ in range(data.draw(st.integers(0, 2))):
        content[data.draw(st.integers(-1500, 3000))] = data.draw(st.integers(0, 255))
    arrived = tmp_path / "arrived.hydroear"
    arrived.write_bytes(content)
    before = elsewhere(config, tmp_path)
    try:
        installed = install(config, arrived, without_calibration=True).installed
    except BundleError:
        assert not (tmp_path / "state" / "models" / "b.hydroear").exists()
    else:
        assert (installed.sha256, installed.release) == (read_bundle(original).sha256, 2)
        assert {entry.name for entry in config.models_dir.iterdir()} == {".lock", "a.hydroear", "slots.json"}
        roll_back(config)
    assert elsewhere(config, tmp_path) == before


def test_a_member_with_a_path_is_refused_though_a_trusted_key_signed_the_rest(tmp_path: Path, config: Config) -> None:
    path = signed(tmp_path, 2)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../../escaped", b"x")
    with pytest.raises(BundleError, match=r"'\.\./\.\./\.\./escaped' is in it, which no bundle has"):
        install(config, path, without_calibration=True)
    assert not config.state_dir.exists()
