"""The training run: manifest to bundle.

normal audio -> extractor (pretext: normal or synthetic leak) -> int8 -> whitened embeddings of normal windows
-> autoencoder -> int8 -> scores of held-out normal windows -> bundle
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from hydroear import __version__
from hydroear.dsp import FrontEndSpec
from hydroear.errors import AudioError, UsageError
from hydroear.model import Bundle, Golden, Model, available_runtimes, choose_runtime, load_model, write_bundle
from hydroear.score import Scorer
from hydroear_train.augment import Array, Augmentation, SpectrumBatch, WindowSampler, band_means, window_grid
from hydroear_train.corpus import NORMAL, Clip, Entry, data_sha256, load_clips, simulated_clips
from hydroear_train.golden import golden_errors
from hydroear_train.recipe import Recipe

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_CALIBRATION_WINDOWS = 256
_GOLDEN_LEAK = 3.0


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    Attributes
    ----------
    bundle_path
        The bundle.
    sha256
        Its hash.
    metrics
        What was measured on held-out normal windows and synthetic leaks.
    """

    bundle_path: Path
    sha256: str
    metrics: dict[str, float]


def fit(
    entries: Sequence[Entry], recipe: Recipe, run_dir: Path, *, name: str, group_column: str, quiet: bool = False
) -> Outcome:
    """Train a bundle on the normal recordings of a manifest.

    Parameters
    ----------
    entries
        Rows of the manifest; rows that are not labelled ``normal`` are left out.
    recipe
        How to train.
    run_dir
        Folder for ``recipe.json``, ``metrics.json``, ``curves.png`` and the bundle ``NAME.hydroear``.
    name
        Name of the bundle.
    group_column
        Column that names the site of a recording.
    quiet
        Whether to show no progress.

    Raises
    ------
    UsageError
        If no row is labelled ``normal``.
    AudioError
        If a recording cannot be used.
    """
    normal = [entry for entry in entries if entry.label == NORMAL]
    if not normal:
        raise UsageError("no row is labelled normal", where="manifest", expected="recordings of normal pipes")
    spec = recipe.spec
    clips = load_clips(normal, spec, group_column=group_column, quiet=quiet)
    training, held_out = _split(clips, spec, recipe.validation_fraction)
    simulated = simulated_clips(
        recipe.extractor.simulated_sites, recipe.extractor.simulated_s, spec, seed=recipe.seed, quiet=quiet
    )
    means = band_means([*training, *simulated], spec)

    def centre(windows: Array, groups: Sequence[str]) -> Array:
        return (windows - np.stack([means[group] for group in groups])[:, None, :])[..., None]

    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(recipe.seed)
    augmentation = Augmentation(recipe.extractor.leak_snr_db, recipe.extractor.tilt_db)
    sampler = WindowSampler(training, spec, augmentation, rng)
    validation = WindowSampler(held_out, spec, augmentation, np.random.default_rng([recipe.seed, 1]))

    variety = WindowSampler(simulated, spec, augmentation, rng) if simulated else sampler
    extractor, curves, metrics = _fit_extractor((sampler, variety), validation, centre, recipe, quiet)

    from hydroear_train.autoencoder import fit_autoencoder, whitening
    from hydroear_train.quantise import to_int8

    examples = np.concatenate([centre(*sampler.normals(_CALIBRATION_WINDOWS, tilted=True)), _leaks(sampler, centre)])
    extractor_int8 = to_int8(extractor, examples)
    embed = _embedder(load_model(extractor_int8, choose_runtime(), name="extractor.tflite"), quiet)
    plain, plain_groups = sampler.normals(recipe.autoencoder.windows // 2, tilted=False)
    tilted, tilted_groups = sampler.normals(recipe.autoencoder.windows - len(plain), tilted=True)
    embeddings = embed(np.concatenate([centre(plain, plain_groups), centre(tilted, tilted_groups)]))
    mean, projection = whitening(embeddings, components=recipe.autoencoder.components)
    white = (embeddings - mean) @ projection
    autoencoder, history = fit_autoencoder(
        white,
        hidden=recipe.autoencoder.hidden,
        bottleneck=recipe.autoencoder.bottleneck,
        noise=recipe.autoencoder.noise,
        epochs=recipe.autoencoder.epochs,
        callbacks=[_bar(recipe.autoencoder.epochs, quiet)],
    )
    curves["autoencoder loss"] = history["loss"]

    leak_white = (embed(_leaks(sampler, centre)) - mean) @ projection
    bundle = Bundle(
        name=name,
        front_end=spec,
        extractor=extractor_int8,
        autoencoder=to_int8(autoencoder, np.concatenate([white[:: max(1, len(white) // 512)], leak_white])),
        band_mean=np.mean([means[clip.group] for clip in training], axis=0, dtype=np.float64).astype(np.float32),
        embedding_mean=mean,
        projection=projection,
        normal_errors=np.zeros(0, np.float32),
        golden=Golden(np.zeros((0, spec.window_samples), np.int16), np.zeros((0, spec.n_mels), np.float32), (), {}),
        provenance={},
    )
    normal_errors, scored = _score_validation(bundle, held_out, validation, means, recipe)
    metrics |= scored
    bundle = replace(
        bundle,
        normal_errors=np.sort(normal_errors),
        golden=_golden(held_out, validation, means, bundle),
        provenance={
            "data_sha256": data_sha256(normal),
            "recordings": len(normal),
            "seconds": round(sum(len(clip.samples) for clip in clips) / spec.rate_hz, 1),
            "simulated": all(entry.columns.get("simulated") == "yes" for entry in normal),
            "recipe": recipe.to_dict(),
            "versions": _versions(),
            "metrics": metrics,
        },
    )
    path = run_dir / f"{name}.hydroear"
    sha256 = write_bundle(path, bundle)
    (run_dir / "recipe.json").write_text(json.dumps(recipe.to_dict(), indent=1, sort_keys=True) + "\n")
    (run_dir / "metrics.json").write_text(json.dumps({**metrics, "curves": curves}, indent=1, sort_keys=True) + "\n")
    _draw_curves(run_dir / "curves.png", curves, name)
    return Outcome(path, sha256, metrics)


def _split(clips: Sequence[Clip], spec: FrontEndSpec, fraction: float) -> tuple[list[Clip], list[Clip]]:
    """The first part of every recording to train on, the last to validate on; neither shorter than a window."""
    training, held_out = [], []
    for clip in clips:
        cut = min(int(len(clip.samples) * (1 - fraction)), len(clip.samples) - spec.window_samples)
        if cut < spec.window_samples:
            raise AudioError(
                f"{len(clip.samples) / spec.rate_hz:.1f} s are too short to train and validate on",
                where=clip.entry.path,
                expected=f"at least {2 * spec.window_s:.1f} s",
                fix="leave it out of the manifest",
            )
        training.append(replace(clip, samples=clip.samples[:cut]))
        held_out.append(replace(clip, samples=clip.samples[cut:]))
    return training, held_out


Centre = Callable[[Array, Sequence[str]], Array]


def _fit_extractor(
    samplers: Sequence[WindowSampler], validation: WindowSampler, centre: Centre, recipe: Recipe, quiet: bool
) -> tuple[Any, dict[str, list[float]], dict[str, float]]:
    import keras

    from hydroear_train.extractors import mobilenet_v2

    settings = recipe.extractor
    extractor, classifier = mobilenet_v2(recipe.spec, alpha=settings.alpha)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10,
        settings.steps,
        warmup_target=settings.learning_rate,
        warmup_steps=settings.steps // 20,
    )
    classifier.compile(keras.optimizers.Adam(schedule), keras.losses.BinaryCrossentropy(from_logits=True))
    pairs = settings.pairs // len(samplers)
    labels = np.repeat(np.array([0, 1], np.float32), pairs * len(samplers))[:, None]
    losses = []
    with tqdm(total=settings.steps, desc="extractor", unit="step", disable=quiet) as bar:
        for _ in range(settings.steps):
            normals, leaks = [], []
            for sampler in samplers:
                normal, leak, groups = sampler.pairs(pairs)
                normals.append(centre(normal, groups))
                leaks.append(centre(leak, groups))
            batch = np.concatenate(normals + leaks)
            losses.append(float(classifier.train_on_batch(batch, labels)))
            bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
            bar.update()
    normal, leak, groups = validation.pairs(settings.validation_pairs)
    logits = [
        classifier.predict(centre(windows, groups), batch_size=128, verbose=0)[:, 0] for windows in (normal, leak)
    ]
    metrics = {
        "pretext_accuracy": 0.5 * float(np.mean(logits[0] < 0) + np.mean(logits[1] > 0)),
        "pretext_auc": _auc(logits[0], logits[1]),
        "pretext_training_loss": float(np.mean(losses[-20:])),
    }
    return extractor, {"extractor loss": losses}, metrics


def _leaks(sampler: WindowSampler, centre: Centre) -> Array:
    _, leak, groups = sampler.pairs(_CALIBRATION_WINDOWS)
    return centre(leak, groups)


def _embedder(model: Model, quiet: bool) -> Callable[[Array], Array]:
    def embed(windows: Array) -> Array:
        return np.stack([model(window) for window in tqdm(windows, desc="embedding", unit="window", disable=quiet)])

    return embed


def _score_validation(
    bundle: Bundle, held_out: Sequence[Clip], validation: WindowSampler, means: dict[str, Array], recipe: Recipe
) -> tuple[Array, dict[str, float]]:
    """Errors of held-out normal windows for a unit that knows no site; how well errors tell leaks where it does."""
    scorer = Scorer(bundle, choose_runtime())
    spectra = SpectrumBatch(bundle.front_end)
    normal_errors = [
        scorer.score(features).error
        for clip in held_out
        for features in spectra.features(spectra.transform(window_grid(clip.samples, bundle.front_end)))
    ]
    normal, leak, groups = validation.pairs(recipe.extractor.validation_pairs)

    def errors(windows: Array) -> NDArray[np.float64]:
        return np.array([scorer.score(w, means[site]).error for w, site in zip(windows, groups, strict=True)])

    return np.array(normal_errors, np.float32), {"error_auc": _auc(errors(normal), errors(leak))}


def _golden(held_out: Sequence[Clip], validation: WindowSampler, means: dict[str, Array], bundle: Bundle) -> Golden:
    """Two normal windows and the same with a loud leak, scored on every runtime that is installed."""
    length = bundle.front_end.window_samples
    audio, kinds, band_means = [], [], []
    for clip in (held_out[0], held_out[len(held_out) // 2]):
        normal = clip.samples[:length]
        leak = normal + _GOLDEN_LEAK * np.std(normal) * validation.leak_noise()
        for kind, samples in (("normal", normal), ("leak", leak)):
            scaled = samples * (0.5 / np.max(np.abs(samples)))
            audio.append(np.round(scaled * 32767).astype(np.int16))
            kinds.append(kind)
            band_means.append(means[clip.group])
    unscored = Golden(np.stack(audio), np.stack(band_means), tuple(kinds), {})
    return replace(unscored, errors=golden_errors(replace(bundle, golden=unscored)))


def _auc(normal: NDArray[Any], leak: NDArray[Any]) -> float:
    labels = np.repeat([0, 1], [len(normal), len(leak)])
    return float(roc_auc_score(labels, np.concatenate([normal, leak])))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    import keras
    import tensorflow as tf

    return {
        "hydroear": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": version("numpy"),
        **{str(runtime): runtime.version for runtime in available_runtimes()},
    }


def _bar(epochs: int, quiet: bool) -> Any:
    import keras

    bar = tqdm(total=epochs, desc="autoencoder", unit="epoch", disable=quiet)

    def advance(_epoch: int, logs: dict[str, float]) -> None:
        bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)
        bar.update()

    return keras.callbacks.LambdaCallback(on_epoch_end=advance, on_train_end=lambda _logs: bar.close())


def _draw_curves(path: Path, curves: dict[str, list[float]], name: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), figsize=(5 * len(curves), 3.2), layout="constrained")
    figure.suptitle(name)
    for axis, (title, values) in zip(axes, curves.items(), strict=True):
        axis.plot(values, linewidth=0.8)
        axis.set(title=title, xlabel="step" if "extractor" in title else "epoch", yscale="log")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
