"""Shards: normal audio as TFRecord files that training streams from, whatever the size of the corpus."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from hydroear.dsp import FrontEndSpec
from hydroear.errors import HydroearError
from hydroear_train.corpus import NORMAL, Clip, Entry, load_clips
from hydroear_train.spectra import SpectrumBatch, window_grid

Array = NDArray[np.float32]

_FORMAT = 1
_INDEX = "index.json"
_STRETCH_WINDOWS = 4
_SHARD_STRETCHES = 64
_OPEN_SHARDS = 16
_GRID_WINDOWS = 64
_MEDIAN_WINDOWS = 4096
_FIELDS = {name: tf.io.FixedLenFeature((), tf.string) for name in ("samples", "group", "recording")}


@dataclass(frozen=True, eq=False)
class Shards:
    """A corpus of normal audio on disk.

    Attributes
    ----------
    folder
        Where it is.
    files
        TFRecord files. An example is a stretch of audio, one to a few windows long, with the names of its site and its
        recording.
    means
        What each band is at each site, shape (n_mels,) in dB, as :func:`hydroear_train.spectra.band_means` has it; the
        median is taken over 4096 windows, picked at random, of a site that has more.
    window_samples
        Samples of one window.
    """

    folder: Path
    files: tuple[Path, ...]
    means: dict[str, Array]
    window_samples: int

    def stretches(self, *, seed: int) -> tf.data.Dataset:
        """Every stretch once, from many shards by turns in an order that follows from the seed.

        Returns
        -------
        tf.data.Dataset
            Of ``samples`` (float32, shape (n,), n at least one window), ``group`` and ``recording`` (strings).
        """
        files = tf.data.Dataset.from_tensor_slices([str(file) for file in self.files])
        records = files.shuffle(len(self.files), seed=seed).interleave(
            tf.data.TFRecordDataset, cycle_length=_OPEN_SHARDS
        )
        return records.map(_parse)

    def clips(self, count: int, *, seed: int) -> list[Clip]:
        """Some of the stretches as clips in memory: all of them, if there are no more than ``count``.

        Raises
        ------
        HydroearError
            If a shard is damaged.
        """
        with reading_shards():
            return [
                Clip(
                    Entry(Path(stretch["recording"].decode()), {"label": NORMAL}),
                    stretch["group"].decode(),
                    np.array(stretch["samples"]),
                )
                for stretch in self.stretches(seed=seed).take(count).as_numpy_iterator()
            ]


def read_clips(
    entries: Sequence[Entry], spec: FrontEndSpec, *, group_column: str, quiet: bool = False
) -> Iterator[Clip]:
    """Recordings as :func:`hydroear_train.corpus.load_clips` reads them, one at a time.

    Raises
    ------
    AudioError
        If a recording cannot be read, is digital silence or shorter than one window.
    """
    for entry in tqdm(entries, desc="writing shards", unit="file", disable=quiet):
        yield from load_clips([entry], spec, group_column=group_column, quiet=True)


def write_shards(clips: Iterable[Clip], spec: FrontEndSpec, cache: Path, *, data: str) -> Shards:
    """Write clips as shards, whole or not at all; shards of the same data and front end are used again.

    Parameters
    ----------
    clips
        Normal audio, each clip at least one window long. With :func:`read_clips` no more than one recording is in
        memory; nothing is read if the shards are there already.
    spec
        The front end.
    cache
        Folder that the shards' own folder is put in; made if missing. One process at a time may write there.
    data
        What tells this audio from any other, such as the hash of a manifest and the part of the recordings taken.

    Raises
    ------
    HydroearError
        If the disk is full or refuses.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, _STRETCH_WINDOWS, spec.to_json(), data]).encode()).hexdigest()
    folder = cache / f"shards-{key[:16]}"
    partial = folder.with_suffix(".partial")
    try:
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            _write(clips, spec, partial)
            partial.rename(folder)
        return _open(folder)
    except (tf.errors.OpError, OSError) as error:
        reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror
        raise HydroearError(
            f"shards cannot be written ({reason})", where=cache, fix="make room, or choose another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def reading_shards() -> Iterator[None]:
    """Within it, a damaged shard is an error for the person who has to mend it."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise HydroearError(
            f"damaged or gone ({error.message})", where="shards", fix="delete their folder, it is written again"
        ) from error


def _write(clips: Iterable[Clip], spec: FrontEndSpec, folder: Path) -> None:
    medians: dict[str, _Median] = {}
    names: list[str] = []
    stretches = (
        (clip, samples)
        for clip in clips
        for samples in _cut(_measured(clip, spec, medians).samples, _STRETCH_WINDOWS * spec.window_samples)
    )
    for first in stretches:
        names.append(f"{len(names):05d}.tfrecord")
        with tf.io.TFRecordWriter(str(folder / names[-1])) as writer:
            writer.write(_example(*first))
            for _, stretch in zip(range(_SHARD_STRETCHES - 1), stretches, strict=False):
                writer.write(_example(*stretch))
    index = {
        "window_samples": spec.window_samples,
        "bytes": {name: (folder / name).stat().st_size for name in names},
        "means": {group: median.value().tolist() for group, median in medians.items()},
    }
    (folder / _INDEX).write_text(json.dumps(index))


def _is_whole(folder: Path) -> bool:
    if not (folder / _INDEX).exists():
        return False
    sizes = json.loads((folder / _INDEX).read_text())["bytes"]
    return bool({file.name: file.stat().st_size for file in folder.glob("*.tfrecord")} == sizes)


def _open(folder: Path) -> Shards:
    index = json.loads((folder / _INDEX).read_text())
    return Shards(
        folder,
        tuple(folder / name for name in index["bytes"]),
        {group: np.array(mean, np.float32) for group, mean in index["means"].items()},
        index["window_samples"],
    )


def _cut(samples: Array, length: int) -> Iterator[Array]:
    """Stretches of one length; the last reaches back, so that nothing is left over."""
    for start in range(0, max(1, len(samples) - length), length):
        yield samples[start : start + length]
    if len(samples) > length:
        yield samples[-length:]


def _example(clip: Clip, samples: Array) -> bytes:
    # Floats as bytes: a list of a hundred thousand of them is parsed value by value.
    values = (samples.astype("<f4").tobytes(), clip.group.encode(), str(clip.entry.path).encode())
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in zip(_FIELDS, values, strict=True)
    }
    serialised: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return serialised


def _parse(record: Any) -> dict[str, Any]:
    stretch: dict[str, Any] = tf.io.parse_single_example(record, _FIELDS)
    return stretch | {"samples": tf.io.decode_raw(stretch["samples"], tf.float32)}


class _Median:
    """The median of many vectors from a bounded number of them (J. S. Vitter, "Random Sampling with a Reservoir",
    ACM Trans. Math. Softw. 11(1), 1985, algorithm R)."""

    def __init__(self) -> None:
        self._kept: list[Array] = []
        self._seen = 0
        self._rng = np.random.default_rng(0)

    def add(self, values: Array) -> None:
        for value in values:
            self._seen += 1
            if len(self._kept) < _MEDIAN_WINDOWS:
                self._kept.append(value.copy())
            elif (place := self._rng.integers(self._seen)) < _MEDIAN_WINDOWS:
                self._kept[place] = value.copy()

    def value(self) -> Array:
        median: Array = np.median(self._kept, axis=0)
        return median


def _measured(clip: Clip, spec: FrontEndSpec, medians: dict[str, _Median]) -> Clip:
    spectra, median = SpectrumBatch(spec), medians.setdefault(clip.group, _Median())
    grid = window_grid(clip.samples, spec)
    for first in range(0, len(grid), _GRID_WINDOWS):
        windows = grid[first : first + _GRID_WINDOWS]
        median.add(spectra.features(windows).mean(axis=1))
    return clip
