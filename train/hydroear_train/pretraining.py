"""The extractor's training on its pretexts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from hydroear_train.augment import Array, Windows
from hydroear_train.extractors import build_extractor
from hydroear_train.material import Material
from hydroear_train.pretext import LEAK_HEAD, NO_GENERATOR, Examples, Pretexts, mixup, recording_conditions
from hydroear_train.recipe import Recipe
from hydroear_train.strategy import Workers, train
from hydroear_train.stream import training_batches

_PARTS = 8
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Pretrained:
    """An extractor.

    Attributes
    ----------
    extractor
        Keras model, from window to embedding.
    leak_axis
        float32, shape (embedding,): along which leaks lie.
    losses
        Mean loss of every step.
    metrics
        How well held-out windows and the same with synthetic leaks are told along the axis.
    """

    extractor: Any
    leak_axis: Array
    losses: list[float]
    metrics: dict[str, float]


def pretrain(material: Material, recipe: Recipe, workers: Workers, *, quiet: bool) -> Pretrained:
    """Train an extractor on the pretexts of a recipe, with the other workers.

    Raises
    ------
    UsageError
        If a pretext has nothing to tell apart, or the pairs of a step cannot be dealt out to the workers.
    WorkerError
        If another worker ended.
    HydroearError
        If shards are damaged.
    """
    settings, spec = recipe.extractor, recipe.spec
    extractor = build_extractor(spec, settings)
    pretexts = _pretexts(material, recipe)
    classifier = pretexts.classifier(extractor)
    streams = material.normal_streams + ([material.leak_stream] if material.leak_stream else [])
    windows = settings.pairs // len(material.normal_streams)

    def augment(sources: Sequence[Windows], rng: np.random.Generator) -> tuple[Array, ...]:
        examples = draw_examples(material, sources, rng)
        return mixup(examples.windows, pretexts.labels(examples), recipe.pretext.mixup, rng)

    with tqdm(total=settings.steps, desc="extractor", unit="step", disable=quiet) as bar:

        def show(losses: list[float]) -> None:
            bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
            bar.update()

        losses = train(
            classifier,
            training_batches(
                [stream(seed=2 * recipe.seed + number) for number, stream in enumerate(streams)],
                augment,
                shapes=[(*spec.shape, 1), (pretexts.width,)],
                windows=windows,
                parts=math.gcd(windows, _PARTS),
                seed=recipe.seed,
                workers=workers,
            ),
            loss=pretexts.loss,
            learning_rate=keras.optimizers.schedules.CosineDecay(
                settings.learning_rate / 10,
                settings.steps,
                warmup_target=settings.learning_rate,
                warmup_steps=settings.steps // 20,
            ),
            steps=settings.steps,
            workers=workers,
            on_step=show,
        )
    leak_axis, offset = _leak_axis(classifier, extractor, material, recipe)
    pairs = _pairs(material, material.validation.draw(settings.validation_pairs), material.rng)
    normal, leak = (
        extractor.predict(side.windows, batch_size=_BATCH, verbose=0) @ leak_axis + offset for side in pairs
    )
    metrics = {
        "pretext_accuracy": 0.5 * float(np.mean(normal < 0) + np.mean(leak > 0)),
        "pretext_auc": float(roc_auc_score(np.repeat([0, 1], len(normal)), np.concatenate([normal, leak]))),
        "pretext_training_loss": float(np.mean(losses[-20:])),
    }
    return Pretrained(extractor, leak_axis, losses, metrics)


def _pretexts(material: Material, recipe: Recipe) -> Pretexts:
    generators = [name for name, weight in recipe.leaks.weights.items() if weight]
    conditions = recording_conditions(
        material.rows.all, recipe.pretext.condition_columns, group_column=material.rows.group_column
    )
    return Pretexts.of(recipe.pretext, generators, conditions)


def draw_examples(material: Material, sources: Sequence[Windows], rng: np.random.Generator) -> Examples:
    """Varied windows, and the same with synthetic leaks; real leaks take the place of half of those in recordings."""
    pairs = [_pairs(material, windows, rng) for windows in sources]
    if material.leak_stream:
        (normal, synthetic), *simulated, (real, _) = pairs
        chosen = rng.random(len(real.leak)) < 0.5
        leaks = Examples.concatenate([synthetic.take(~chosen), replace(real, leak=~real.leak).take(chosen)])
        pairs = [(normal, leaks), *simulated]
    return Examples.concatenate([side for pair in pairs for side in pair])


def _pairs(material: Material, windows: Windows, rng: np.random.Generator) -> tuple[Examples, Examples]:
    """Varied windows, and the same with synthetic leaks."""
    augmentation, n = material.augmentation, len(windows.groups)
    normal, leak, generators = augmentation.pairs(windows, rng)
    return (
        Examples(
            augmentation.centred(normal, windows.groups),
            np.zeros(n, np.bool_),
            np.full(n, NO_GENERATOR),
            windows.recordings,
        ),
        Examples(augmentation.centred(leak, windows.groups), np.ones(n, np.bool_), generators, windows.recordings),
    )


def _leak_axis(classifier: Any, extractor: Any, material: Material, recipe: Recipe) -> tuple[Array, float]:
    """Along which leaks lie, and what to add so that they are above 0 and normal windows below.

    That is what the network tells them by. If it was not asked to, the axis leads from the mean of normal windows to
    that of synthetic leaks.
    """
    if recipe.pretext.leak:
        weights, bias = classifier.get_layer(LEAK_HEAD).get_weights()
        return weights[:, 0], float(bias[0])
    drawn = material.sampler.draw(recipe.extractor.validation_pairs)
    normal, leak = (
        extractor.predict(side.windows, batch_size=_BATCH, verbose=0).mean(axis=0)
        for side in _pairs(material, drawn, material.rng)
    )
    axis: Array = leak - normal
    return axis, -0.5 * float(axis @ (leak + normal))
