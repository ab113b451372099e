"""Training batches as a stream: windows of audio in a random order, augmented ahead of the step that takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hydroear.errors import UsageError
from hydroear_train.augment import Windows
from hydroear_train.corpus import Clip
from hydroear_train.shards import Shards
from hydroear_train.strategy import Workers

Array = NDArray[np.float32]

_DRAWS = 4
_BUFFER_BYTES = 64 << 20
_AHEAD = 4


Augment = Callable[[Sequence[Windows], np.random.Generator], tuple[Array, ...]]
"""Turns windows, one :class:`Windows` a source, into what the network takes and what it should say."""


def stream_shards(shards: Shards, *, seed: int) -> tf.data.Dataset:
    """Windows of the stretches of shards without end: a few of each stretch in a pass, shuffled in 64 MiB of memory.

    Returns
    -------
    tf.data.Dataset
        Of samples (float32, shape (window_samples,)), site and recording (strings).
    """
    length = shards.window_samples

    def draw(number: Any, stretch: dict[str, Any]) -> tuple[Any, Any, Any]:
        samples = stretch["samples"]
        starts = tf.random.stateless_uniform(
            (_DRAWS, 1), (seed, number), maxval=tf.size(samples, tf.int64) - length + 1, dtype=tf.int64
        )
        windows = tf.gather(samples, starts + tf.range(length, dtype=tf.int64))
        names = (tf.repeat(stretch[name], _DRAWS) for name in ("group", "recording"))
        return tf.ensure_shape(windows, (_DRAWS, length)), *names

    windows = shards.stretches(seed=seed).repeat().enumerate().map(draw).unbatch()
    return windows.shuffle(max(1, _BUFFER_BYTES // (4 * length)), seed=seed)


def stream_clips(clips: Sequence[Clip], window_samples: int, *, seed: int) -> tf.data.Dataset:
    """Windows of clips in memory without end, as :func:`stream_shards` gives them: any clip, any start."""

    def draw(number: int) -> tuple[Array, bytes, bytes]:
        rng = np.random.default_rng([seed, number])
        clip = clips[rng.integers(len(clips))]
        start = rng.integers(len(clip.samples) - window_samples + 1)
        return clip.samples[start : start + window_samples], clip.group.encode(), str(clip.entry.path).encode()

    def element(number: Any) -> tuple[Any, Any, Any]:
        samples, *names = tf.numpy_function(draw, [number], (tf.float32, tf.string, tf.string), stateful=False)
        return tf.ensure_shape(samples, (window_samples,)), *(tf.ensure_shape(name, ()) for name in names)

    return tf.data.Dataset.counter().map(element)


def training_batches(
    sources: Sequence[tf.data.Dataset],
    augment: Augment,
    *,
    shapes: Sequence[tuple[int, ...]],
    windows: int,
    parts: int,
    seed: int,
    workers: Workers,
) -> tf.data.Dataset:
    """Batches for :func:`hydroear_train.strategy.train`, without end.

    A batch is made of parts, each augmented on its own with a source of randomness that follows from the seed and the
    number of the part alone. The workers take the parts by turns: whatever their number, together they see the same
    batches.

    Parameters
    ----------
    sources
        Streams of windows, such as of :func:`stream_shards`; a batch has as many of each.
    augment
        Makes the arrays of a part, all of the same length.
    shapes
        Shape of one example in each array that ``augment`` gives.
    windows
        Windows of each source in a batch of all workers.
    parts
        Parts in a batch of all workers.
    seed
        Of the augmentation.
    workers
        This worker among the others.

    Returns
    -------
    tf.data.Dataset
        Of tuples of float32 arrays: this worker's part of each batch.

    Raises
    ------
    UsageError
        If the windows cannot be dealt out evenly to the parts, or the parts to the workers.
    """
    if windows % parts or parts % workers.count:
        raise UsageError(
            f"{windows} windows in {parts} parts cannot be dealt out to {workers.count} workers",
            where="training batches",
            expected="windows a multiple of parts, and parts of workers",
            fix="change the number of windows in a step or of workers",
        )

    def make(number: int, *arrays: NDArray[Any]) -> tuple[Array, ...]:
        drawn = [
            Windows(samples, [group.decode() for group in groups], [recording.decode() for recording in recordings])
            for samples, groups, recordings in zip(arrays[::3], arrays[1::3], arrays[2::3], strict=True)
        ]
        return augment(drawn, np.random.default_rng([seed, number]))

    def part(number: Any, drawn: Any) -> tuple[Any, ...]:
        # Stateless, or op determinism would take the concurrency out of the whole pipeline.
        arrays = tf.numpy_function(make, [number, *tf.nest.flatten(drawn)], [tf.float32] * len(shapes), stateful=False)
        return tuple(tf.ensure_shape(array, (None, *shape)) for array, shape in zip(arrays, shapes, strict=True))

    drawn = tf.data.Dataset.zip(tuple(source.batch(windows // parts) for source in sources))
    mine = drawn.enumerate().shard(workers.count, workers.index)
    batches = mine.map(part, num_parallel_calls=2, deterministic=True).batch(parts // workers.count)
    return batches.map(lambda *arrays: tuple(_joined(array) for array in arrays)).prefetch(_AHEAD)


def _joined(array: Any) -> Any:
    """The parts of a batch, shape (parts, n, …), as one, shape (parts · n, …)."""
    return tf.reshape(array, (-1, *array.shape[2:]))
