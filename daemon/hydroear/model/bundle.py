"""The bundle: one file with everything that scoring needs, every part of it hashed.

A bundle is a ZIP archive of ``manifest.json``, two TFLite models and a few arrays. It holds no time stamps, so the
same training gives the same bytes. The manifest has the hash of every other part, so that its own hash says which
bundle it is; a signature is one more member, and changes nothing of that.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear.errors import BundleError, HydroearError
from hydroear.model.archive import MAX_BYTES, Archive, damaged, pack
from hydroear.model.signature import PublicKey, Signature, check_signature
from hydroear.wholefile import whole_file

SHIPPED_BUNDLE = Path(__file__).with_name("simulated-pipes.hydroear")
"""A bundle trained on simulated pipes only: for the demo, the tests and a first look."""

FORMAT = "hydroear-bundle"
FORMAT_VERSION = 1
_MANIFEST, _SIGNATURE = "manifest.json", "signature.json"
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
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
_LIMITS = {_MANIFEST: 2**20, _SIGNATURE: 2**10} | dict.fromkeys((*_MODELS, *_ARRAYS), MAX_BYTES)


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
        Reconstruction error of each window, by the name of the runtime with its fast kernels on x86-64, and for
        ``reference`` kernels, which all runtimes have: see :class:`hydroear.model.Kernels`.
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
        Which bundle it is: SHA-256 of its manifest, in hex; empty for a bundle that was never written.
    signature
        The signature, if one was asked for: a trusted key made it.
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
    signature: Signature | None = None

    @property
    def release(self) -> int | None:
        """Number of its release; None where no signature was asked for."""
        return None if self.signature is None else self.signature.release


def pack_bundle(bundle: Bundle) -> bytes:
    """A bundle as the bytes of its file, not signed."""
    return pack(_members(bundle))


def _members(bundle: Bundle) -> dict[str, bytes]:
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
    return {_MANIFEST: json.dumps(manifest, indent=1, sort_keys=True).encode(), **members}


def write_bundle(path: Path, bundle: Bundle) -> str:
    """Write a bundle, whole or not at all, not signed.

    Returns
    -------
    str
        Its :attr:`Bundle.sha256`.

    Raises
    ------
    BundleError
        If the file cannot be written.
    """
    members = _members(bundle)
    write_content(path, pack(members))
    return hashlib.sha256(members[_MANIFEST]).hexdigest()


def write_content(path: Path, content: bytes) -> None:
    """Write the bytes of a bundle's file, whole or not at all.

    Raises
    ------
    BundleError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as out:
            out.write(content)
    except OSError as error:
        raise BundleError(
            f"cannot be written ({error.strerror})", where=path, fix="free space or choose another folder"
        ) from error


def read_bundle(path: Path, trusted: Sequence[PublicKey] = ()) -> Bundle:
    """Read a bundle and check every part of it; see :func:`parse_bundle`.

    Raises
    ------
    BundleError
        If the file is missing, or as :func:`parse_bundle` does.
    """
    return parse_bundle(read_content(path), path, trusted)


def read_content(path: Path) -> bytes:
    """The bytes of a bundle's file, unchecked, and no more of them than a bundle may have.

    Raises
    ------
    BundleError
        If the file cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(
            f"cannot be read ({error.strerror})",
            where=path,
            expected="a bundle",
            fix="check the path and its permissions",
        ) from error
    if len(content) > MAX_BYTES:
        raise damaged(path, f"it has more than {MAX_BYTES} bytes")
    return content


def read_manifest(path: Path) -> str:
    """The manifest of a bundle as it stands there, unchecked: to be shown, not to be believed.

    Raises
    ------
    BundleError
        If the file cannot be read, or has none.
    """
    archive = Archive(read_content(path), path, _LIMITS)
    if _MANIFEST not in archive:
        raise _no_bundle(path)
    return archive.read(_MANIFEST).decode(errors="replace")


def parse_bundle(content: bytes, where: object, trusted: Sequence[PublicKey] = ()) -> Bundle:
    """Understand the bytes of a bundle's file, and check every part of it.

    Parameters
    ----------
    content
        The file.
    where
        What errors call it.
    trusted
        The keys, one of which must have signed it; without any, a signature is neither asked for nor looked at. Where
        it is asked for, nothing of an unsigned bundle is interpreted: neither its manifest, nor an array, nor a model.

    Raises
    ------
    BundleError
        If it is no bundle, truncated, altered, not signed by a trusted key, of a newer format, or if its models or
        arrays do not fit its front end.
    """
    archive = Archive(content, where, _LIMITS)
    if _MANIFEST not in archive:
        raise _no_bundle(where)
    text = archive.read(_MANIFEST)
    sha256 = hashlib.sha256(text).hexdigest()
    signature = None
    if trusted:
        signed = archive.read(_SIGNATURE) if _SIGNATURE in archive else None
        signature = check_signature(signed, sha256, trusted, where)
    manifest = _manifest(text, where)
    archive.refuse_unknown()
    members = _checked(archive, manifest, where)
    try:
        front_end = FrontEndSpec.from_json(json.dumps(manifest["front_end"]))
        if front_end.sha256 != manifest["front_end_sha256"]:
            raise _altered(where, "front_end")
        arrays = {name: _array(name, members[name], where) for name in _ARRAYS}
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
            sha256=sha256,
            signature=signature,
        )
        _check_shapes(where, bundle)
    except BundleError:
        raise
    except (*_MALFORMED, HydroearError) as error:
        raise BundleError(
            f"the manifest or an array in it is malformed ({error})", where=where, fix="export the bundle again"
        ) from error
    return bundle


def with_signature(content: bytes, signature: Signature, where: object) -> bytes:
    """The file of a bundle with a signature in it, in the place of one it may have.

    Raises
    ------
    BundleError
        If the content is no archive of a bundle.
    """
    archive = Archive(content, where, _LIMITS)
    names = [name for name in (_MANIFEST, *_MODELS, *_ARRAYS) if name in archive]
    return pack({_SIGNATURE: signature.to_json()} | {name: archive.read(name) for name in names})


def _manifest(text: bytes, where: object) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(text)
        if manifest["format"] != FORMAT:
            raise KeyError("format")
        version = int(manifest["format_version"])
    except _MALFORMED as error:
        raise _no_bundle(where) from error
    if version > FORMAT_VERSION:
        raise BundleError(
            f"format {version} is newer than this program",
            where=where,
            expected=f"format {FORMAT_VERSION}",
            fix="update hydroear on this unit",
        )
    if version < 1:
        raise BundleError(f"format {version} never existed", where=where, expected=f"format {FORMAT_VERSION}")
    return manifest


def _checked(archive: Archive, manifest: dict[str, Any], where: object) -> dict[str, bytes]:
    """The models and arrays, as the manifest has their hashes."""
    files = manifest.get("files", {})
    members = {}
    for name in (*_MODELS, *_ARRAYS):
        if name not in archive or not isinstance(files, dict) or name not in files:
            raise BundleError(f"{name} is missing", where=where, fix="export the bundle again")
        members[name] = archive.read(name)
        if hashlib.sha256(members[name]).hexdigest() != files[name]:
            raise _altered(where, name)
    return members


def _no_bundle(where: object) -> BundleError:
    return BundleError("a ZIP archive, but no bundle", where=where, expected="a bundle", fix="check the path")


def _altered(where: object, part: str) -> BundleError:
    return BundleError(
        f"altered: {part} does not match its hash",
        where=where,
        expected="the bundle as it was exported",
        fix="copy it again",
    )


def _check_shapes(where: object, bundle: Bundle) -> None:
    spec, embedding = bundle.front_end, len(bundle.embedding_mean)
    expected = {
        "band_mean": (bundle.band_mean.shape, (spec.n_mels,)),
        "projection": (bundle.projection.shape[:1], (embedding,)),
        "leak_axis": (bundle.leak_axis.shape, (embedding,)),
        "golden audio": (bundle.golden.audio.shape, (len(bundle.golden.kinds), spec.window_samples)),
        "golden band means": (bundle.golden.band_means.shape, (len(bundle.golden.kinds), spec.n_mels)),
        "normal_errors": (bundle.normal_errors.shape, (bundle.normal_errors.size,)),
        "varied_scores": (bundle.varied_scores.shape, (len(bundle.varied_scores), 3)),
        **{
            f"golden errors for {runtime}": ((len(errors),), (len(bundle.golden.kinds),))
            for runtime, errors in bundle.golden.errors.items()
        },
    }
    for name, (shape, right) in expected.items():
        if shape != right:
            raise BundleError(
                f"made for another front end: {name} has shape {shape}",
                where=where,
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
        raise BundleError("an array holds no finite float32 numbers", where=where, fix="export the bundle again")
    if bundle.golden.audio.dtype != np.int16:
        raise BundleError("the golden audio is no int16", where=where, fix="export the bundle again")


def _array(name: str, content: bytes, where: object) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # whatever numpy's parsers raise: it does not say what that can be
        raise BundleError(
            f"{name} is no array ({str(error).splitlines()[0] if str(error) else type(error).__name__})",
            where=where,
            fix="export the bundle again",
        ) from error
    return array


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
