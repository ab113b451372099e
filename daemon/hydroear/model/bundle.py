"""The bundle: one file with everything that scoring needs, every part of it hashed.

A bundle is a ZIP archive of ``manifest.json``, two TFLite models and a few arrays. It holds no time stamps, so the
same training gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear.errors import BundleError, HydroearError
from hydroear.wholefile import whole_file

SHIPPED_BUNDLE = Path(__file__).with_name("simulated-pipes.hydroear")
"""A bundle trained on simulated pipes only: for the demo, the tests and a first look."""

FORMAT = "hydroear-bundle"
FORMAT_VERSION = 1
_MAX_BYTES = 64 * 2**20
_MODELS = ("extractor.tflite", "autoencoder.tflite")
_ARRAYS = (
    "band_mean.npy",
    "embedding_mean.npy",
    "projection.npy",
    "leak_axis.npy",
    "normal_errors.npy",
    "varied_scores.npy",
    "golden_audio.npy",
    "golden_band_means.npy",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Golden:
    """Windows with known scores: whoever gets other scores does not run this bundle.

    Attributes
    ----------
    audio
        int16, shape (windows, window_samples), at the front end's rate.
    band_means
        float32, shape (windows, n_mels): what each band is at the site of each window, in dB.
    kinds
        What each window is: ``normal`` or ``leak``.
    errors
        Reconstruction error of each window, by runtime name: interpreters round int8 differently.
    """

    audio: NDArray[np.int16]
    band_means: NDArray[np.float32]
    kinds: tuple[str, ...]
    errors: dict[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained detector.

    Attributes
    ----------
    name
        What people call it.
    front_end
        How windows are made.
    extractor, autoencoder
        TFLite files, int8 inside, float32 in and out.
    band_mean
        float32, shape (n_mels,): what each band is over normal windows, in dB, subtracted before the extractor where a
        site has not learned its own.
    embedding_mean, projection
        float32, shapes (embedding,) and (embedding, whitened): the autoencoder sees ``(e - mean) @ projection``, which
        has mean 0 and variance 1 in every component over normal windows.
    leak_axis
        float32, shape (embedding,): the direction in which the extractor learned that leaks lie; over normal windows
        ``(e - mean) @ leak_axis`` has the deviation 1.
    normal_errors
        float32, shape (n,), sorted: reconstruction errors of held-out normal windows, one a window hop, as a unit
        scores them that knows no site.
    varied_scores
        float32, shape (n, 3): of held-out normal windows, each varied as another operating point would vary it, the
        logarithm of the reconstruction error, that of the mean square of the whitened embedding, and the likeness to a
        leak.
    golden
        Windows with known scores.
    provenance
        Where the bundle comes from: data hash, recipe, seeds, versions, metrics. JSON values only.
    sha256
        Hash of the file, in hex; empty for a bundle that was never written.
    """

    name: str
    front_end: FrontEndSpec
    extractor: bytes
    autoencoder: bytes
    band_mean: NDArray[np.float32]
    embedding_mean: NDArray[np.float32]
    projection: NDArray[np.float32]
    leak_axis: NDArray[np.float32]
    normal_errors: NDArray[np.float32]
    varied_scores: NDArray[np.float32]
    golden: Golden
    provenance: dict[str, Any]
    sha256: str = ""


def pack_bundle(bundle: Bundle) -> bytes:
    """A bundle as the bytes of its file."""
    members = {
        "extractor.tflite": bundle.extractor,
        "autoencoder.tflite": bundle.autoencoder,
        "band_mean.npy": _npy(bundle.band_mean),
        "embedding_mean.npy": _npy(bundle.embedding_mean),
        "projection.npy": _npy(bundle.projection),
        "leak_axis.npy": _npy(bundle.leak_axis),
        "normal_errors.npy": _npy(bundle.normal_errors),
        "varied_scores.npy": _npy(bundle.varied_scores),
        "golden_audio.npy": _npy(bundle.golden.audio),
        "golden_band_means.npy": _npy(bundle.golden.band_means),
    }
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": bundle.name,
        "front_end": json.loads(bundle.front_end.to_json()),
        "front_end_sha256": bundle.front_end.sha256,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
        "golden": {"kinds": bundle.golden.kinds, "errors": bundle.golden.errors},
        "provenance": bundle.provenance,
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        for name, content in {"manifest.json": text, **members}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            file.writestr(info, content)
    return archive.getvalue()


def write_bundle(path: Path, bundle: Bundle) -> str:
    """Write a bundle, whole or not at all.

    Returns
    -------
    str
        SHA-256 of the file, in hex.

    Raises
    ------
    BundleError
        If the file cannot be written.
    """
    content = pack_bundle(bundle)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as out:
            out.write(content)
    except OSError as error:
        raise BundleError(
            f"cannot be written ({error.strerror})", where=path, fix="free space or choose another folder"
        ) from error
    return hashlib.sha256(content).hexdigest()


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check every part of it.

    Raises
    ------
    BundleError
        If the file is missing, no bundle, truncated, altered, of a newer format, or if its models or arrays do not fit
        its front end.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"cannot be read ({error.strerror})",
            where=path,
            expected="a bundle",
            fix="check the path and its permissions",
        ) from error
    manifest, members = _unpack(path, content)
    try:
        front_end = FrontEndSpec.from_json(json.dumps(manifest["front_end"]))
        if front_end.sha256 != manifest["front_end_sha256"]:
            raise _altered(path, "front_end")
        arrays = {name: np.load(io.BytesIO(members[name]), allow_pickle=False) for name in _ARRAYS}
        golden = Golden(
            audio=arrays["golden_audio.npy"],
            band_means=arrays["golden_band_means.npy"],
            kinds=tuple(str(kind) for kind in manifest["golden"]["kinds"]),
            errors={
                str(runtime): tuple(float(e) for e in errors)
                for runtime, errors in manifest["golden"]["errors"].items()
            },
        )
        bundle = Bundle(
            name=str(manifest["name"]),
            front_end=front_end,
            extractor=members["extractor.tflite"],
            autoencoder=members["autoencoder.tflite"],
            band_mean=arrays["band_mean.npy"],
            embedding_mean=arrays["embedding_mean.npy"],
            projection=arrays["projection.npy"],
            leak_axis=arrays["leak_axis.npy"],
            normal_errors=arrays["normal_errors.npy"],
            varied_scores=arrays["varied_scores.npy"],
            golden=golden,
            provenance=dict(manifest["provenance"]),
            sha256=hashlib.sha256(content).hexdigest(),
        )
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, HydroearError) as error:
        raise BundleError(
            f"the manifest or an array in it is malformed ({error})", where=path, fix="export the bundle again"
        ) from error
    _check_shapes(path, bundle)
    return bundle


def _unpack(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if sum(info.file_size for info in file.infolist()) > _MAX_BYTES:
                raise BundleError(
                    f"unpacks to more than {_MAX_BYTES} bytes", where=path, fix="this is no hydroear bundle"
                )
            members = {name: file.read(name) for name in file.namelist()}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"truncated, damaged or no bundle ({error})", where=path, expected="a bundle", fix="copy the file again"
        ) from error
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise _altered(path, str(error)) from error
    try:
        manifest = json.loads(members["manifest.json"])
        if manifest["format"] != FORMAT:
            raise KeyError("format")
        version = int(manifest["format_version"])
    except (KeyError, ValueError, TypeError) as error:
        raise BundleError(
            "a ZIP archive, but no bundle", where=path, expected="a bundle", fix="check the path"
        ) from error
    if version > FORMAT_VERSION:
        raise BundleError(
            f"format {version} is newer than this program",
            where=path,
            expected=f"format {FORMAT_VERSION}",
            fix="update hydroear on this unit",
        )
    if version < 1:
        raise BundleError(f"format {version} never existed", where=path, expected=f"format {FORMAT_VERSION}")
    files = manifest.get("files", {})
    for name in (*_MODELS, *_ARRAYS):
        if name not in members or not isinstance(files, dict) or name not in files:
            raise BundleError(f"{name} is missing", where=path, fix="export the bundle again")
        if hashlib.sha256(members[name]).hexdigest() != files[name]:
            raise _altered(path, name)
    return manifest, members


def _altered(path: Path, part: str) -> BundleError:
    return BundleError(
        f"altered: {part} does not match its hash",
        where=path,
        expected="the bundle as it was exported",
        fix="copy it again",
    )


def _check_shapes(path: Path, bundle: Bundle) -> None:
    spec, embedding = bundle.front_end, len(bundle.embedding_mean)
    expected = {
        "band_mean": (bundle.band_mean.shape, (spec.n_mels,)),
        "projection": (bundle.projection.shape[:1], (embedding,)),
        "leak_axis": (bundle.leak_axis.shape, (embedding,)),
        "golden audio": (bundle.golden.audio.shape, (len(bundle.golden.kinds), spec.window_samples)),
        "golden band means": (bundle.golden.band_means.shape, (len(bundle.golden.kinds), spec.n_mels)),
        "normal_errors": (bundle.normal_errors.shape, (bundle.normal_errors.size,)),
        "varied_scores": (bundle.varied_scores.shape, (len(bundle.varied_scores), 3)),
    }
    for name, (shape, right) in expected.items():
        if shape != right:
            raise BundleError(
                f"made for another front end: {name} has shape {shape}",
                where=path,
                expected=f"{right}",
                fix="export the bundle again",
            )
    numbers = (
        bundle.band_mean,
        bundle.embedding_mean,
        bundle.projection,
        bundle.leak_axis,
        bundle.normal_errors,
        bundle.varied_scores,
        bundle.golden.band_means,
    )
    if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in numbers):
        raise BundleError("an array holds no finite float32 numbers", where=path, fix="export the bundle again")


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
