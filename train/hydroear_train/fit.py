"""The training run: manifest to bundle.

normal audio -> extractor (pretext: normal or synthetic leak) -> int8 -> whitened embeddings of normal windows
-> autoencoder -> int8 -> scores of held-out normal windows -> bundle
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
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
from hydroear.model import Bundle, Golden, available_runtimes, choose_runtime, load_model, write_bundle
from hydroear.score import Scorer
from hydroear_train.augment import Array, Augmentation, SpectrumBatch, WindowSampler, band_means, window_grid
from hydroear_train.corpus import NORMAL, Clip, Entry, data_sha256, load_clips, simulated_clips
from hydroear_train.golden import golden_errors
from hydroear_train.recipe import Recipe
from hydroear_train.whitening import whitening

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
    material = _Material.prepare(load_clips(normal, recipe.spec, group_column=group_column, quiet=quiet), recipe, quiet)

    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()

    extractor, curves, metrics = _fit_extractor(material, recipe, quiet)
    bundle, curves["autoencoder loss"] = _fit_detector(extractor, material, recipe, name=name, quiet=quiet)
    bundle, scored = _measure(bundle, material, recipe)
    metrics |= scored
    bundle = replace(
        bundle,
        provenance={
            "data_sha256": data_sha256(normal),
            "recordings": len(normal),
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


@dataclass(frozen=True)
class _Material:
    """The audio of a run, and where its windows come from.

    Attributes
    ----------
    training, held_out
        The first and the last part of every recording.
    means
        What each band is at each site.
    sampler, variety, validation
        Draw windows from the training part, from simulated pipes (or again the training part), and from the
        held-out part.
    """

    training: list[Clip]
    held_out: list[Clip]
    means: dict[str, Array]
    sampler: WindowSampler
    variety: WindowSampler
    validation: WindowSampler

    @classmethod
    def prepare(cls, clips: Sequence[Clip], recipe: Recipe, quiet: bool) -> _Material:
        spec, settings, rng = recipe.spec, recipe.extractor, np.random.default_rng(recipe.seed)
        training, held_out = _split(clips, spec, recipe.validation_fraction)
        simulated = simulated_clips(settings.simulated_sites, settings.simulated_s, spec, seed=recipe.seed, quiet=quiet)
        augmentation = Augmentation(settings.leak_snr_db, settings.tilt_db)
        sampler = WindowSampler(training, spec, augmentation, rng)
        return cls(
            training=training,
            held_out=held_out,
            means=band_means([*training, *simulated], spec),
            sampler=sampler,
            variety=WindowSampler(simulated, spec, augmentation, rng) if simulated else sampler,
            validation=WindowSampler(held_out, spec, augmentation, np.random.default_rng([recipe.seed, 1])),
        )

    def centred(self, windows: Array, groups: Sequence[str]) -> Array:
        """Windows without what is normal at their site, as the extractor takes them: (n, window_frames, n_mels, 1)."""
        return (windows - np.stack([self.means[group] for group in groups])[:, None, :])[..., None]

    def leaks(self) -> Array:
        """Windows with synthetic leaks, centred."""
        _, leak, groups = self.sampler.pairs(_CALIBRATION_WINDOWS)
        return self.centred(leak, groups)


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


def _fit_extractor(
    material: _Material, recipe: Recipe, quiet: bool
) -> tuple[Any, dict[str, list[float]], dict[str, float]]:
    """Train the extractor on its pretext; what it says of held-out windows is measured as at inference."""
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
    samplers = (material.sampler, material.variety)
    pairs = settings.pairs // len(samplers)
    labels = np.repeat(np.array([0, 1], np.float32), pairs * len(samplers))[:, None]
    losses = []
    with tqdm(total=settings.steps, desc="extractor", unit="step", disable=quiet) as bar:
        for _ in range(settings.steps):
            normals, leaks = [], []
            for sampler in samplers:
                normal, leak, groups = sampler.pairs(pairs)
                normals.append(material.centred(normal, groups))
                leaks.append(material.centred(leak, groups))
            losses.append(float(classifier.train_on_batch(np.concatenate(normals + leaks), labels)))
            bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
            bar.update()
    normal, leak, groups = material.validation.pairs(settings.validation_pairs)
    logits = [
        classifier.predict(material.centred(windows, groups), batch_size=128, verbose=0)[:, 0]
        for windows in (normal, leak)
    ]
    metrics = {
        "pretext_accuracy": 0.5 * float(np.mean(logits[0] < 0) + np.mean(logits[1] > 0)),
        "pretext_auc": _auc(logits[0], logits[1]),
        "pretext_training_loss": float(np.mean(losses[-20:])),
    }
    return extractor, {"extractor loss": losses}, metrics


def _fit_detector(
    extractor: Any, material: _Material, recipe: Recipe, *, name: str, quiet: bool
) -> tuple[Bundle, list[float]]:
    """Quantise the extractor and train the autoencoder on what its int8 form says of normal windows."""
    from hydroear_train.autoencoder import fit_autoencoder
    from hydroear_train.quantise import to_int8

    spec, settings = recipe.spec, recipe.autoencoder
    tilted = material.centred(*material.sampler.normals(_CALIBRATION_WINDOWS, tilted=True))
    extractor_int8 = to_int8(extractor, np.concatenate([tilted, material.leaks()]))
    model = load_model(extractor_int8, choose_runtime(), name="extractor.tflite")

    def embed(windows: Array) -> Array:
        return np.stack([model(window) for window in tqdm(windows, desc="embedding", unit="window", disable=quiet)])

    half = settings.windows // 2
    plain = material.centred(*material.sampler.normals(half, tilted=False))
    tilted = material.centred(*material.sampler.normals(settings.windows - half, tilted=True))
    embeddings = embed(np.concatenate([plain, tilted]))
    mean, projection = whitening(embeddings, components=settings.components)
    white = (embeddings - mean) @ projection
    autoencoder, losses = fit_autoencoder(
        white,
        hidden=settings.hidden,
        bottleneck=settings.bottleneck,
        noise=settings.noise,
        epochs=settings.epochs,
        callbacks=[_bar(settings.epochs, quiet)],
    )
    leaks = (embed(material.leaks()) - mean) @ projection
    some = white[:: max(1, len(white) // (2 * _CALIBRATION_WINDOWS))]
    site_means = [material.means[clip.group] for clip in material.training]
    bundle = Bundle(
        name=name,
        front_end=spec,
        extractor=extractor_int8,
        autoencoder=to_int8(autoencoder, np.concatenate([some, leaks])),
        band_mean=np.mean(site_means, axis=0, dtype=np.float64).astype(np.float32),
        embedding_mean=mean,
        projection=projection,
        normal_errors=np.zeros(0, np.float32),
        golden=Golden(np.zeros((0, spec.window_samples), np.int16), np.zeros((0, spec.n_mels), np.float32), (), {}),
        provenance={},
    )
    return bundle, losses


def _measure(bundle: Bundle, material: _Material, recipe: Recipe) -> tuple[Bundle, dict[str, float]]:
    """Add what only the finished models can tell: the errors of held-out normal windows and of the golden ones.

    The normal errors, from which a unit's threshold follows, are those of a unit that knows no site; how well errors
    tell leaks is measured where the site is known.
    """
    scorer = Scorer(bundle, choose_runtime())
    spectra = SpectrumBatch(bundle.front_end)
    normal_errors = np.sort(
        [
            scorer.score(features).error
            for clip in material.held_out
            for features in spectra.features(spectra.transform(window_grid(clip.samples, bundle.front_end)))
        ]
    ).astype(np.float32)
    normal, leak, groups = material.validation.pairs(recipe.extractor.validation_pairs)
    errors = [
        np.array([scorer.score(w, material.means[site]).error for w, site in zip(windows, groups, strict=True)])
        for windows in (normal, leak)
    ]
    metrics = {
        "error_auc": _auc(errors[0], errors[1]),
        "normal_error_p50": float(np.quantile(normal_errors, 0.5)),
        "normal_error_p99": float(np.quantile(normal_errors, 0.99)),
    }
    return replace(bundle, normal_errors=normal_errors, golden=_golden(bundle, material)), metrics


def _golden(bundle: Bundle, material: _Material) -> Golden:
    """Two normal windows and the same with a loud leak, scored on every runtime that is installed."""
    length = bundle.front_end.window_samples
    audio, kinds, band_means = [], [], []
    for clip in (material.held_out[0], material.held_out[len(material.held_out) // 2]):
        normal = clip.samples[:length]
        leak = normal + _GOLDEN_LEAK * np.std(normal) * material.validation.leak_noise()
        for kind, samples in (("normal", normal), ("leak", leak)):
            scaled = samples * (0.5 / np.max(np.abs(samples)))
            audio.append(np.round(scaled * 32767).astype(np.int16))
            kinds.append(kind)
            band_means.append(material.means[clip.group])
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
