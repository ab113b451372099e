"""Pretexts: what an extractor is trained to tell, so that what it computes on the way tells a leak."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from hydroear.errors import UsageError
from hydroear_train import recipe
from hydroear_train.corpus import Entry
from hydroear_train.leaks import GENERATORS

Array = NDArray[np.float32]

NO_GENERATOR = -1
"""The generator of a real leak, and of no leak."""

LEAK_HEAD = "leak"
"""Name of the layer that tells leaks from normal windows by their embedding."""

_USUAL_CONDITION_COLUMNS = ("site", "sensor", "operating_point")
_ARCFACE_SCALE, _ARCFACE_MARGIN = 64.0, 0.5
_COSINE_LIMIT = 1.0 - 1e-6


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows, and what is known of them.

    Attributes
    ----------
    windows
        float32, shape (n, window_frames, n_mels, 1), as the extractor takes them.
    leak
        bool, shape (n,): which hold a leak.
    generators
        Shape (n,): index into :data:`hydroear_train.leaks.GENERATORS` of what made the leak, or :data:`NO_GENERATOR`.
    recordings
        The recording of each.
    """

    windows: Array
    leak: NDArray[np.bool_]
    generators: NDArray[np.int64]
    recordings: list[str]

    def take(self, chosen: NDArray[np.bool_]) -> Examples:
        """Some of them."""
        recordings = [self.recordings[i] for i in np.flatnonzero(chosen)]
        return Examples(self.windows[chosen], self.leak[chosen], self.generators[chosen], recordings)

    @classmethod
    def concatenate(cls, parts: Sequence[Examples]) -> Examples:
        """One after the other."""
        return cls(
            np.concatenate([part.windows for part in parts]),
            np.concatenate([part.leak for part in parts]),
            np.concatenate([part.generators for part in parts]),
            [recording for part in parts for recording in part.recordings],
        )


class Pretext(Protocol):
    """A question about windows, asked of their embeddings.

    Attributes
    ----------
    width
        Numbers in an answer.
    """

    width: int

    def head(self, embedding: Any) -> Any:
        """Layers from embeddings, shape (n, embedding), to answers, shape (n, width)."""

    def labels(self, examples: Examples) -> Array:
        """The right answers, float32, shape (n, width); a row of zeros where there is none."""

    def loss(self, labels: Any, outputs: Any) -> Any:
        """How wrong each answer is, shape (n,); labels may be mixtures of rows."""


class LeakPretext:
    """Normal or leak?"""

    width = 1

    def head(self, embedding: Any) -> Any:
        return keras.layers.Dense(self.width, name=LEAK_HEAD)(embedding)

    def labels(self, examples: Examples) -> Array:
        return examples.leak[:, None].astype(np.float32)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return keras.losses.binary_crossentropy(labels, outputs, from_logits=True)


class GeneratorPretext:
    """Normal, or a leak made by which generator?

    Parameters
    ----------
    generators
        Names of those that are drawn.
    """

    def __init__(self, generators: Sequence[str]) -> None:
        self._numbers = [tuple(GENERATORS).index(name) for name in generators]
        self.width = 1 + len(generators)

    def head(self, embedding: Any) -> Any:
        return keras.layers.Dense(self.width)(embedding)

    def labels(self, examples: Examples) -> Array:
        made = examples.generators[:, None] == self._numbers
        return np.column_stack([~examples.leak, made]).astype(np.float32)

    def loss(self, labels: Any, outputs: Any) -> Any:
        return _cross_entropy(labels, outputs)


class ConditionPretext:
    """Recorded under which condition? A softmax over cosines.

    With ``arcface``, the angle to the right condition counts as 0.5 rad wider than it is, and cosines are scaled by 64
    (J. Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", Proc. IEEE/CVF CVPR, 2019). With
    ``adacos``, there is no margin, and C conditions give the scale √2 ln(C - 1): the fixed scale of X. Zhang et al.,
    "AdaCos: Adaptively Scaling Cosine Logits for Effectively Learning Deep Face Representations", Proc. IEEE/CVF CVPR,
    2019. Their dynamic scale follows the median angle of a batch, which no worker sees the whole of.

    Parameters
    ----------
    conditions
        The condition of each recording that has one.
    margin
        ``arcface`` or ``adacos``.

    Raises
    ------
    UsageError
        If there are fewer than two conditions, or three for ``adacos``, whose scale of two is 0.
    """

    def __init__(self, conditions: dict[str, str], *, margin: str) -> None:
        names = sorted(set(conditions.values()))
        fewest = 3 if margin == "adacos" else 2
        if len(names) < fewest:
            raise UsageError(
                f"{len(names)} recording condition{'s' if len(names) > 1 else ''} ({', '.join(names)})",
                where=f"pretext condition with {margin}",
                expected=f"{fewest} or more to tell apart",
                fix="name other condition_columns, or leave this pretext out",
            )
        self._numbers = {recording: names.index(name) for recording, name in conditions.items()}
        self.width = len(names)
        if margin == "adacos":
            self._scale, self._margin = math.sqrt(2.0) * math.log(self.width - 1), 0.0
        else:
            self._scale, self._margin = _ARCFACE_SCALE, _ARCFACE_MARGIN

    def head(self, embedding: Any) -> Any:
        cosines = keras.layers.Dense(
            self.width,
            use_bias=False,
            kernel_initializer=keras.initializers.Orthogonal(),
            kernel_constraint=keras.constraints.UnitNorm(axis=0),
        )
        return cosines(keras.layers.UnitNormalization()(embedding))

    def labels(self, examples: Examples) -> Array:
        numbers = np.array([self._numbers.get(recording, -1) for recording in examples.recordings])
        labels: Array = (numbers[:, None] == np.arange(self.width)).astype(np.float32)
        return labels

    def loss(self, labels: Any, outputs: Any) -> Any:
        # The derivative of the arc cosine has no end at ±1.
        angles = keras.ops.arccos(keras.ops.clip(outputs, -_COSINE_LIMIT, _COSINE_LIMIT))
        return _cross_entropy(labels, self._scale * keras.ops.cos(angles + self._margin * labels))


class Pretexts:
    """Several pretexts as one, each with a slice of the answer.

    Parameters
    ----------
    weighted
        Pretexts and the weights of their losses; at least one.
    """

    def __init__(self, weighted: Sequence[tuple[Pretext, float]]) -> None:
        self._weighted = list(weighted)

    @classmethod
    def of(cls, settings: recipe.Pretext, generators: Sequence[str], conditions: dict[str, str]) -> Pretexts:
        """Those that a recipe gives a weight.

        Parameters
        ----------
        settings
            The recipe's section.
        generators
            Names of the leak generators that are drawn.
        conditions
            The condition of each recording that has one.

        Raises
        ------
        UsageError
            If there are too few conditions to tell apart.
        """
        weighted: list[tuple[Pretext, float]] = []
        if settings.leak:
            weighted.append((LeakPretext(), settings.leak))
        if settings.condition:
            weighted.append((ConditionPretext(conditions, margin=settings.margin), settings.condition))
        if settings.generator:
            weighted.append((GeneratorPretext(generators), settings.generator))
        return cls(weighted)

    @property
    def width(self) -> int:
        """Numbers in an answer to all of them."""
        return sum(pretext.width for pretext, _ in self._weighted)

    def classifier(self, extractor: Any) -> keras.Model:
        """The extractor with the heads of all pretexts on its embedding, from window to answers."""
        answers = [pretext.head(extractor.output) for pretext, _ in self._weighted]
        return keras.Model(extractor.input, keras.layers.Concatenate()(answers) if len(answers) > 1 else answers[0])

    def labels(self, examples: Examples) -> Array:
        """The right answers, float32, shape (n, width)."""
        return np.concatenate([pretext.labels(examples) for pretext, _ in self._weighted], axis=1)

    def loss(self, labels: Any, outputs: Any) -> Any:
        """The weighted sum of the losses of each example, shape (n,)."""
        total, start = 0.0, 0
        for pretext, weight in self._weighted:
            part = slice(start, start + pretext.width)
            total += weight * pretext.loss(labels[:, part], outputs[:, part])
            start += pretext.width
        return total


def mixup(windows: Array, labels: Array, alpha: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mix every window with another, and its labels likewise.

    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", Proc. ICLR, 2018.

    Parameters
    ----------
    windows, labels
        float32, shapes (n, …) and (n, width).
    alpha
        Of the symmetric Beta distribution that shares are drawn from; 0 for windows as they are.
    rng
        Source of randomness.
    """
    if not alpha:
        return windows, labels
    others = rng.permutation(len(windows))
    shares = rng.beta(alpha, alpha, len(windows)).astype(np.float32)

    def mixed(values: Array) -> Array:
        share = shares.reshape(-1, *[1] * (values.ndim - 1))
        mixture: Array = share * values + (1 - share) * values[others]
        return mixture

    return mixed(windows), mixed(labels)


def recording_conditions(entries: Sequence[Entry], columns: Sequence[str], *, group_column: str) -> dict[str, str]:
    """The condition that each recording was made under, by its path: its values in some columns of the manifest.

    Parameters
    ----------
    entries
        Rows of the manifest.
    columns
        Which columns; none for the group column, site, sensor and operating_point, those of them that are there.
    group_column
        Column that names the site of a recording.

    Raises
    ------
    UsageError
        If a column is missing.
    """
    header = entries[0].columns
    if missing := [column for column in columns if column not in header]:
        raise UsageError(
            f"no column {' or '.join(missing)}", where="condition_columns", expected=f"some of: {', '.join(header)}"
        )
    usual = dict.fromkeys((group_column, *_USUAL_CONDITION_COLUMNS))
    chosen = columns or [column for column in usual if column in header]
    return {str(entry.path): ", ".join(entry.columns[column] for column in chosen) for entry in entries}


def _cross_entropy(labels: Any, logits: Any) -> Any:
    # TensorFlow's own takes it that labels sum to 1: its gradient for a row of zeros is not 0.
    return -keras.ops.sum(labels * keras.ops.log_softmax(logits, axis=-1), axis=-1)
