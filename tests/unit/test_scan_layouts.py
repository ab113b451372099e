"""What names say of recordings, and which layout a folder follows."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from hydroear.errors import UsageError
from hydroear_train.scan.folder import LAYOUT_NAMES, read_corpus
from hydroear_train.scan.layouts import LAYOUTS, MisnamedError

READ = {layout.name: layout.read for layout in LAYOUTS}
LOGGER = "HYDRANT-7-861234567890123-20230115023059-33070150.wav"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_every_example_follows_its_layout_and_only_it_but_for_mimii() -> None:
    for layout in LAYOUTS:
        following = {other.name for other in LAYOUTS if other.reads(PurePath(layout.example))}
        assert following == {layout.name} | ({"class-folders"} if layout.name == "mimii" else set())


def test_a_logger_names_label_place_and_pipe() -> None:
    assert READ["leak-logger"](PurePath("2023", LOGGER)) == {
        "label": "leak",
        "site": "HYDRANT-7",
        "sensor": "861234567890123",
        "date": "2023-01-15",
        "time": "02:30:59",
        "noise_level": "3",
        "material": "cast-iron",
        "diameter_mm": "150",
    }


@pytest.mark.parametrize(("digit", "label"), [("1", "normal"), ("2", "suspected"), ("3", "leak")])
def test_what_a_logger_suspects_is_neither_normal_nor_leak(digit: str, label: str) -> None:
    assert READ["leak-logger"](PurePath(LOGGER.replace("-33070150", f"-{digit}3070150")))["label"] == label


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("noise.wav", "not POINT-IMEI-TIME-LNMMDDDD"),
        ("P-86123456789x123-20230115023059-33070150.wav", "IMEI '86123456789x123' is not 14 to 16 digits"),
        ("P-861234567890123-20230229023059-33070150.wav", "time '20230229023059' is no date and time"),
        ("P-861234567890123-202301150230-33070150.wav", "time '202301150230' is not 14 digits"),
        ("P-861234567890123-20230115023059-3307150.wav", "code '3307150' is not 8 digits"),
        ("P-861234567890123-20230115023059-43070150.wav", "leak code 4 is not"),
        ("P-861234567890123-20230115023059-36070150.wav", "noise level 6 is not 1 to 5"),
        ("P-861234567890123-20230115023059-33090150.wav", "pipe material 09 is not 01 to 08"),
        ("P-861234567890123-20230115023059-33070000.wav", "diameter 0000 mm"),
        ("P-８61234567890123-20230115023059-33070150.wav", "is not 14 to 16 digits"),
    ],
)
def test_a_malformed_logger_name_says_what_is_wrong(name: str, complaint: str) -> None:
    with pytest.raises(MisnamedError, match=complaint):
        READ["leak-logger"](PurePath(name))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "dev_data/fan/train/section_00_source_train_normal_0000_strength_1_ambient.wav",
            ("normal", "fan_section_00", "fan", "source", "train", "strength_1_ambient"),
        ),
        (
            "ToyCar/target_test/section_02_target_test_anomaly_0049_car_A2_spd_28V.wav",
            ("leak", "ToyCar_section_02", "ToyCar", "target", "test", "car_A2_spd_28V"),
        ),
        ("section_01_source_test_normal_0007_.wav", ("normal", "section_01", "", "source", "test", "")),
    ],
)
def test_dcase_names(path: str, expected: tuple[str, ...]) -> None:
    row = READ["dcase"](PurePath(path))
    assert tuple(row[key] for key in ("label", "site", "machine", "domain", "split", "attributes")) == expected


def test_a_dcase_recording_without_label_has_no_place_in_a_manifest() -> None:
    with pytest.raises(MisnamedError, match="with labels"):
        READ["dcase"](PurePath("fan/test/section_00_0042.wav"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("id_00/normal/00000000.wav", ("normal", "id_00", "", "")),
        ("pump/id_02/abnormal/00000007.wav", ("leak", "pump_id_02", "pump", "")),
        ("-6_dB_pump/pump/id_04/abnormal/00000007.wav", ("leak", "pump_id_04", "pump", "-6")),
        ("6_dB_fan/id_06/normal/00000007.wav", ("normal", "fan_id_06", "fan", "6")),
        ("dataset/min6dB/valve/id_06/abnormal/00000119.wav", ("leak", "valve_id_06", "valve", "-6")),
    ],
)
def test_mimii_paths_with_and_without_what_stands_above(path: str, expected: tuple[str, ...]) -> None:
    row = READ["mimii"](PurePath(path))
    assert tuple(row[key] for key in ("label", "site", "machine", "snr_db")) == expected


@pytest.mark.parametrize(
    ("path", "label", "site"),
    [
        ("normal/a.wav", "normal", ""),
        ("mill/2024/Normal/night/a.wav", "normal", "mill"),
        ("mill/LEAK/a.wav", "leak", "mill"),
        ("abnormal/mill/a.wav", "leak", "mill"),
        ("mill/Anomaly/a.wav", "leak", "mill"),
    ],
)
def test_class_folders_at_any_depth_and_in_any_case(path: str, label: str, site: str) -> None:
    assert READ["class-folders"](PurePath(path)) == {"label": label, "site": site}


def test_a_recording_in_folders_of_both_classes_is_refused() -> None:
    with pytest.raises(MisnamedError, match="in normal and Leak at once"):
        READ["class-folders"](PurePath("normal/Leak/a.wav"))


def test_the_layout_is_recognised(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        corpus = read_corpus(touch(tmp_path / layout.name, layout.example))
        assert corpus.layout == layout.name
        assert [entry.columns["file"] for entry in corpus.entries] == [layout.example]
    assert {layout.name for layout in LAYOUTS} < set(LAYOUT_NAMES)


def test_what_follows_no_layout_or_two_is_refused_with_the_layouts_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no known layout.*leak-logger.*dcase.*mimii.*class-folders"):
        read_corpus(touch(tmp_path / "none", "a.wav", "b.flac"))
    both = touch(tmp_path / "both", f"normal/{LOGGER}", "normal/a.wav")
    with pytest.raises(UsageError, match=r"leak-logger \(1 of 2.*class-folders \(2 of 2.*--layout"):
        read_corpus(both)
    assert [entry.label for entry in read_corpus(both, "class-folders").entries] == ["normal", "normal"]


def test_names_that_do_not_follow_are_reported_and_hidden_files_passed_over(tmp_path: Path) -> None:
    folder = touch(tmp_path, LOGGER, "P-1-2-3.wav", "stray.flac", "._P.wav", ".trash/a.wav", "notes.txt")
    corpus = read_corpus(folder)
    assert [entry.columns["file"] for entry in corpus.entries] == [LOGGER]
    (finding,) = corpus.findings
    assert (finding.severity, finding.check) == ("error", "names")
    assert [case.files for case in finding.cases] == [("P-1-2-3.wav",), ("stray.flac",)]
