"""Who learns from what: no leak is learned from, and no recording is on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydroear.errors import AudioError, UsageError
from hydroear_train.corpus import Entry
from hydroear_train.splits import Split, leave_one_fold_out, recording_hashes, trained_on_other_groups

COLUMNS = {"fold_column": "pressure", "group_column": "session"}


def entry(name: str, label: str, session: str = "may", pressure: str = "20") -> Entry:
    return Entry(Path(name), {"file": name, "label": label, "session": session, "pressure": pressure})


CORPUS = [
    entry(f"{session}-{pressure}-{label}-{take}", label, session, pressure)
    for session in ("may", "june")
    for pressure in ("20", "40", "60")
    for label, take in (("normal", 0), ("normal", 1), ("leak", 0))
]


def test_every_recording_is_heard_once_by_what_never_met_its_fold_or_a_leak() -> None:
    splits = leave_one_fold_out(CORPUS, **COLUMNS)
    assert sorted(e.path for split in splits for e in split.tests) == sorted(e.path for e in CORPUS)
    for split in splits:
        assert {e.columns["pressure"] for e in split.tests} == {split.fold}
        assert split.fold not in {e.columns["pressure"] for e in split.normals}
        assert {e.columns["session"] for e in (*split.normals, *split.tests)} == {split.group}
        assert {e.label for e in split.normals} == {"normal"}
        assert split.training == split.normals
        assert len(split.normals) == 4
        assert {e.label for e in split.leaks} == {"leak"}
        assert {e.columns["session"] for e in split.leaks} == {split.group}
        assert {e.columns["pressure"] for e in split.leaks} == {"20", "40", "60"} - {split.fold}


def test_a_transfer_trains_on_the_other_groups_and_leaves_the_site_its_own_normals() -> None:
    own = leave_one_fold_out(CORPUS, **COLUMNS)
    transferred = trained_on_other_groups(own, CORPUS, group_column="session")
    for split, before in zip(transferred, own, strict=True):
        assert (split.group, split.fold, split.normals, split.tests) == (
            before.group,
            before.fold,
            before.normals,
            before.tests,
        )
        assert {e.columns["session"] for e in split.training} == {"may", "june"} - {split.group}
        assert len(split.training) == 6
    alone = [e for e in CORPUS if e.columns["session"] == "may" or e.label == "leak"]
    with pytest.raises(UsageError, match="session may: no normal recordings in other groups"):
        trained_on_other_groups([split for split in own if split.group == "may"], alone, group_column="session")


def test_a_split_that_leaks_cannot_be_made() -> None:
    normal, leak = entry("n", "normal"), entry("l", "leak")
    with pytest.raises(ValueError, match="on both sides"):
        Split("may", "20", (normal,), (), (normal, leak))
    with pytest.raises(ValueError, match="on both sides"):
        Split("may", "20", (), (normal,), (leak,), (leak,))
    with pytest.raises(ValueError, match="a leak among"):
        Split("may", "20", (), (leak,), (normal,))


def test_one_recording_under_two_names_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.wav", b"one"), ("b.wav", b"other"), ("copy.wav", b"one")):
        (tmp_path / name).write_bytes(content)
    entries = [Entry(tmp_path / name, {"file": name, "label": "normal"}) for name in ("a.wav", "b.wav")]
    assert len(set(recording_hashes(entries).values())) == 2
    with pytest.raises(UsageError, match=r"copy\.wav: the same recording as a\.wav"):
        recording_hashes([*entries, Entry(tmp_path / "copy.wav", {})])
    with pytest.raises(UsageError, match=r"a\.wav: the same recording as a\.wav"):
        recording_hashes([*entries, entries[0]])
    with pytest.raises(AudioError, match=r"gone\.wav: cannot be read"):
        recording_hashes([Entry(tmp_path / "gone.wav", {})])


@pytest.mark.parametrize(
    ("entries", "columns", "message"),
    [
        (CORPUS, COLUMNS | {"fold_column": "colour"}, "manifest: no column 'colour'"),
        ([entry("a", "suspected")], COLUMNS, "label 'suspected'"),
        ([entry("a", "normal"), entry("b", "leak")], COLUMNS, "session may: one fold only"),
        (
            [entry("a", "normal"), entry("b", "leak", pressure="40")],
            COLUMNS,
            "session may: no normal recordings outside pressure 20",
        ),
    ],
)
def test_manifests_that_allow_no_comparison_are_refused(
    entries: list[Entry], columns: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        leave_one_fold_out(entries, **columns)
