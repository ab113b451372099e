"""A bundle is whole, unaltered and understood, or refused in one line."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzz
from hydroear.dsp import FrontEndSpec
from hydroear.errors import BundleError
from hydroear.model import SHIPPED_BUNDLE, Bundle, Golden, read_bundle, write_bundle

SPEC = FrontEndSpec(window_frames=8, window_hop_frames=4, n_mels=8)


def small_bundle() -> Bundle:
    rng = np.random.default_rng(0)
    return Bundle(
        name="small",
        front_end=SPEC,
        extractor=b"extractor" * 50,
        autoencoder=b"autoencoder" * 50,
        band_mean=rng.standard_normal(8).astype(np.float32),
        embedding_mean=rng.standard_normal(12).astype(np.float32),
        projection=rng.standard_normal((12, 3)).astype(np.float32),
        leak_axis=rng.standard_normal(12).astype(np.float32),
        normal_errors=np.sort(rng.random(20)).astype(np.float32),
        varied_scores=rng.standard_normal((20, 3)).astype(np.float32),
        golden=Golden(
            rng.integers(-9999, 9999, (2, SPEC.window_samples)).astype(np.int16),
            rng.standard_normal((2, 8)).astype(np.float32),
            ("normal", "leak"),
            {"litert": (0.1, 0.9)},
        ),
        provenance={"seed": 1},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "b.hydroear"
    write_bundle(file, small_bundle())
    return file


def rewrite(path: Path, **changes: object) -> None:
    """Change the manifest of a bundle, as a forger would who leaves the hashes alone."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"]) | changes
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_what_is_written_is_read(path: Path) -> None:
    written, read = small_bundle(), read_bundle(path)
    assert read.front_end == written.front_end
    assert (read.extractor, read.autoencoder) == (written.extractor, written.autoencoder)
    for name in ("band_mean", "embedding_mean", "projection", "leak_axis", "normal_errors", "varied_scores"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    np.testing.assert_array_equal(read.golden.audio, written.golden.audio)
    assert read.golden.errors == written.golden.errors
    assert read.provenance == written.provenance


def test_the_same_bundle_has_the_same_bytes(path: Path, tmp_path: Path) -> None:
    sha256 = write_bundle(tmp_path / "again", small_bundle())
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert sha256 == read_bundle(path).sha256


@fuzz(60)
@given(share=st.floats(0, 0.9999))
def test_a_truncated_bundle_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    cut = path.with_name("cut")
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BundleError, match="cut: "):
        read_bundle(cut)


@fuzz(150)
@given(data=st.data())
def test_an_altered_byte_is_noticed_or_changes_nothing(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    altered = path.with_name("altered")
    altered.write_bytes(content)
    try:
        read = read_bundle(altered)
    except BundleError:
        return
    original = small_bundle()
    assert (read.extractor, read.autoencoder) == (original.extractor, original.autoencoder)
    np.testing.assert_array_equal(read.projection, original.projection)
    assert read.front_end == original.front_end


def test_a_part_that_does_not_match_its_hash_is_named(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["autoencoder.tflite"] = b"another model"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(BundleError, match=r"altered: autoencoder\.tflite does not match its hash"):
        read_bundle(path)


def test_a_newer_format_asks_for_an_update(path: Path) -> None:
    rewrite(path, format_version=2)
    with pytest.raises(BundleError, match="format 2 is newer than this program; expected format 1; update hydroear"):
        read_bundle(path)


def test_a_front_end_that_is_not_the_hashed_one_is_refused(path: Path) -> None:
    rewrite(path, front_end=json.loads(replace(SPEC, hop=256).to_json()))
    with pytest.raises(BundleError, match="altered: front_end"):
        read_bundle(path)


def test_arrays_for_another_front_end_are_refused(path: Path) -> None:
    write_bundle(path, replace(small_bundle(), band_mean=np.zeros(9, np.float32)))
    with pytest.raises(BundleError, match=r"made for another front end: band_mean has shape \(9,\)"):
        read_bundle(path)


def test_numbers_that_are_none_are_refused(path: Path) -> None:
    write_bundle(path, replace(small_bundle(), projection=np.full((12, 3), np.nan, np.float32)))
    with pytest.raises(BundleError, match="no finite"):
        read_bundle(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(BundleError, match="no bundle"):
        read_bundle(file)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BundleError, match="but no bundle"):
        read_bundle(tmp_path / "x")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        read_bundle(tmp_path / "gone")


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "b.hydroear").mkdir()
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(folder / "b.hydroear", small_bundle())
    assert [file.name for file in folder.iterdir()] == ["b.hydroear"]


def test_the_shipped_bundle_is_small_and_says_that_it_is_simulated() -> None:
    assert SHIPPED_BUNDLE.stat().st_size <= 1.5e6
    assert read_bundle(SHIPPED_BUNDLE).provenance["simulated"] is True
