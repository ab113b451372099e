"""The training run: manifest to bundle.

normal audio -> extractor (pretexts such as: normal or synthetic leak?) -> int8 -> whitened embeddings of normal windows
-> autoencoder -> int8 -> scores of held-out normal windows -> gate -> bundle
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hydroear import __version__
from hydroear.errors import HydroearError
from hydroear.model import Bundle, Golden, available_runtimes, choose_runtime, load_model, write_bundle
from hydroear.score import Scorer
from hydroear_train.augment import Array
from hydroear_train.corpus import Entry, data_sha256
from hydroear_train.gate import Validation, gate
from hydroear_train.golden import golden_errors
from hydroear_train.material import Material, Rows
from hydroear_train.quantise import stratified, to_int8
from hydroear_train.recipe import Recipe
from hydroear_train.spectra import SpectrumBatch, window_grid
from hydroear_train.threshold import Method, threshold
from hydroear_train.whitening import whitening

if TYPE_CHECKING:
    from hydroear_train.strategy import Workers

_CALIBRATION_WINDOWS = 256
_CALIBRATION_POOL = 2048
_GOLDEN_LEAK = 3.0
_TINY = 1e-12
_RATE = 0.01


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    Attributes
    ----------
    bundle_path
        The bundle.
    sha256
        Its :attr:`hydroear.model.Bundle.sha256`.
    metrics
        What was measured on held-out normal windows and synthetic leaks.
    """

    bundle_path: Path
    sha256: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """A bundle that was not written yet.

    Attributes
    ----------
    bundle
        The bundle.
    metrics
        What was measured on held-out normal windows and synthetic leaks.
    curves
        Losses of every step or epoch, by what they are of.
    """

    bundle: Bundle
    metrics: dict[str, float]
    curves: dict[str, list[float]]


def fit(
    entries: Sequence[Entry], recipe: Recipe, run_dir: Path, *, name: str, group_column: str, quiet: bool = False
) -> Outcome:
    """Train a bundle on the normal recordings of a manifest, and write it.

    Parameters
    ----------
    entries
        Rows of the manifest; unless the recipe asks for leaks, rows that are not labelled ``normal`` are left out.
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
        If no row is labelled ``normal``, or a pretext of the recipe has nothing to tell apart.
    AudioError
        If a recording cannot be used.
    BundleError
        If the int8 models do not say what the float models said, or the bundle cannot be written.
    """
    return write_run(
        train_bundle(entries, recipe, name=name, group_column=group_column, quiet=quiet), recipe, run_dir, name=name
    )


def write_run(trained: Trained, recipe: Recipe, run_dir: Path, *, name: str) -> Outcome:
    """Write what a training run gave, as :func:`fit` leaves it.

    Raises
    ------
    BundleError
        If the bundle cannot be written.
    """
    path = run_dir / f"{name}.hydroear"
    sha256 = write_bundle(path, trained.bundle)
    _write_json(run_dir / "recipe.json", recipe.to_dict())
    _write_json(run_dir / "metrics.json", {**trained.metrics, "curves": trained.curves})
    _draw_curves(run_dir / "curves.png", trained.curves, name)
    return Outcome(path, sha256, trained.metrics)


def train_bundle(
    entries: Sequence[Entry],
    recipe: Recipe,
    *,
    name: str,
    group_column: str,
    quiet: bool = False,
    cache: Path | None = None,
    workers: Workers | None = None,
) -> Trained:
    """Train a bundle on the recordings of a manifest.

    Parameters
    ----------
    entries, recipe, name, group_column, quiet
        As :func:`fit` takes them.
    cache
        Folder for shards, from which audio is streamed; None to hold all of it in memory.
    workers
        This worker among those that train the extractor together; None for one alone. Several need a cache.

    Raises
    ------
    UsageError
        If no row is labelled ``normal``, or a pretext of the recipe has nothing to tell apart.
    AudioError
        If a recording cannot be used.
    BundleError
        If the int8 models do not say what the float models said.
    WorkerError
        If another worker ended.
    """
    rows = Rows.choose(entries, group_column=group_column, supervised=recipe.pretext.supervised)
    sha256 = data_sha256(rows.all, quiet=quiet)

    import keras
    import tensorflow as tf

    from hydroear_train.autoencoder import fit_autoencoder
    from hydroear_train.pretraining import pretrain
    from hydroear_train.strategy import single_worker

    keras.utils.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    workers = workers or single_worker()
    if cache:
        material = Material.stream(rows, recipe, cache, workers, data_sha256=sha256, quiet=quiet)
    else:
        material = Material.load(rows, recipe, quiet=quiet)
    pretrained = pretrain(material, recipe, workers, quiet=quiet)
    extractor, leak_axis = pretrained.extractor, pretrained.leak_axis
    extractor_int8 = to_int8(extractor, _calibration(material))
    embed = _Embedding(extractor_int8, quiet)

    settings = recipe.autoencoder
    plain, varied, leaks = _embedded_windows(material, settings.windows)
    embedded = {name: embed(windows) for name, windows in (("plain", plain), ("varied", varied), ("leaks", leaks))}
    embeddings = np.concatenate([embedded["plain"], embedded["varied"]])
    rounding = embedded["varied"] - extractor.predict(varied, batch_size=128, verbose=0)
    mean, projection = whitening(
        embeddings, embedded["leaks"] - embedded["varied"], rounding, components=settings.components
    )
    white = (embeddings - mean) @ projection
    autoencoder, autoencoder_losses = fit_autoencoder(
        white,
        hidden=settings.hidden,
        bottleneck=settings.bottleneck,
        noise=settings.noise,
        epochs=settings.epochs,
        callbacks=[_bar(settings.epochs, quiet)],
    )
    likeness = (embedded["plain"] - mean) @ leak_axis
    spec = recipe.spec
    bundle = Bundle(
        name=name,
        front_end=spec,
        extractor=extractor_int8,
        autoencoder=to_int8(autoencoder, white[:: max(1, len(white) // (2 * _CALIBRATION_WINDOWS))]),
        band_mean=np.mean([material.means[clip.group] for clip in material.training], axis=0, dtype=np.float64).astype(
            np.float32
        ),
        embedding_mean=mean,
        projection=projection,
        leak_axis=leak_axis / max(float(np.std(likeness)), 1e-9),
        normal_errors=np.zeros(0, np.float32),
        varied_scores=np.zeros((0, 3), np.float32),
        golden=Golden(np.zeros((0, spec.window_samples), np.int16), np.zeros((0, spec.n_mels), np.float32), (), {}),
        provenance={},
    )
    validation = _validation(material, recipe, lambda windows: _float_errors(windows, extractor, autoencoder, bundle))
    fidelity = gate(bundle, validation)
    bundle = _measured(bundle, material, validation)
    metrics = pretrained.metrics | {
        "error_auc": fidelity.runtimes[choose_runtime()].auc,
        "normal_error_p50": float(np.quantile(bundle.normal_errors, 0.5)),
        "normal_error_p99": float(np.quantile(bundle.normal_errors, 0.99)),
        **_thresholds(bundle.normal_errors),
    }
    provenance = {
        "data_sha256": sha256,
        "recordings": len(rows.all),
        "simulated": all(entry.columns.get("simulated") == "yes" for entry in rows.all),
        "recipe": recipe.to_dict(),
        "versions": _versions(),
        "metrics": metrics,
        "gated_on": fidelity.to_dict(),
    }
    curves = {"extractor loss": pretrained.losses, "autoencoder loss": autoencoder_losses}
    return Trained(replace(bundle, provenance=provenance), metrics, curves)


class _Embedding:
    """What the int8 extractor says of windows."""

    def __init__(self, extractor: bytes, quiet: bool) -> None:
        self._model, self._quiet = load_model(extractor, choose_runtime(), name="extractor.tflite"), quiet

    def __call__(self, windows: Array) -> Array:
        bar = tqdm(windows, desc="embedding", unit="window", disable=self._quiet)
        return np.stack([self._model(window) for window in bar])


def _embedded_windows(material: Material, count: int) -> tuple[Array, Array, Array]:
    """Normal windows as they are, varied ones, half of ``count`` each, and the latter with leaks; all centred."""
    augmentation = material.augmentation
    plain, drawn = material.sampler.draw(count // 2), material.sampler.draw(count - count // 2)
    varied, leaks, _ = augmentation.pairs(drawn, material.rng)
    return (
        augmentation.centred(augmentation.normals(plain), plain.groups),
        augmentation.centred(varied, drawn.groups),
        augmentation.centred(leaks, drawn.groups),
    )


def _calibration(material: Material) -> Array:
    """Windows that the ranges of the extractor's activations are taken from: quiet and loud, normal and leaks."""
    pool = material.sampler.draw(_CALIBRATION_POOL)
    levels_db = 10.0 * np.log10(np.mean(np.square(pool.samples), axis=1) + 1e-12)
    chosen = stratified(levels_db, _CALIBRATION_WINDOWS, material.rng)
    windows = pool.take(chosen)
    normal, leak, _ = material.augmentation.pairs(windows, material.rng)
    return np.concatenate([material.augmentation.centred(side, windows.groups) for side in (normal, leak)])


def _validation(material: Material, recipe: Recipe, float_errors: Callable[[Array], NDArray[np.float64]]) -> Validation:
    """Held-out windows, varied, without and with leaks."""
    drawn = material.validation.draw(recipe.extractor.validation_pairs)
    normal, leak, _ = material.augmentation.pairs(drawn, material.rng)
    features, groups = np.concatenate([normal, leak]), [*drawn.groups, *drawn.groups]
    return Validation(
        features=features,
        band_means=np.stack([material.means[group] for group in groups]),
        leak=np.repeat([False, True], len(normal)),
        float_errors=float_errors(material.augmentation.centred(features, groups)),
    )


def _float_errors(windows: Array, extractor: Any, autoencoder: Any, bundle: Bundle) -> NDArray[np.float64]:
    """Errors of the models before they were quantised."""
    white = (extractor.predict(windows, batch_size=128, verbose=0) - bundle.embedding_mean) @ bundle.projection
    residual = white - autoencoder.predict(white, batch_size=128, verbose=0)
    errors: NDArray[np.float64] = np.mean(np.square(residual), axis=1, dtype=np.float64)
    return errors


def _measured(bundle: Bundle, material: Material, validation: Validation) -> Bundle:
    """The bundle with what only the finished models can tell: scores of held-out normal windows and of golden ones.

    The normal errors are those of a unit that knows no site; the varied scores are of windows whose site is known.
    """
    scorer = Scorer(bundle, choose_runtime())
    spectra = SpectrumBatch(bundle.front_end)
    normal_errors = np.sort(
        [
            scorer.score(features).error
            for clip in material.held_out
            for features in spectra.features(window_grid(clip.samples, bundle.front_end))
        ]
    ).astype(np.float32)
    normal = np.flatnonzero(~validation.leak)
    varied = [scorer.score(validation.features[i], validation.band_means[i]) for i in normal]
    errors, distances = ([s.error for s in varied], [np.mean(np.square(s.embedding)) for s in varied])
    varied_scores = np.column_stack([*np.log(np.array([errors, distances]) + _TINY), [s.likeness for s in varied]])
    return replace(
        bundle,
        normal_errors=normal_errors,
        varied_scores=varied_scores.astype(np.float32),
        golden=_golden(bundle, material),
    )


def _thresholds(normal_errors: NDArray[np.float32]) -> dict[str, float]:
    """Errors that one normal window in a hundred exceeds, by every method that so few windows allow."""
    thresholds = {}
    for method in Method:
        with suppress(HydroearError):
            thresholds[f"threshold_{method}"] = threshold(normal_errors.astype(np.float64), rate=_RATE, method=method)
    return thresholds


def _golden(bundle: Bundle, material: Material) -> Golden:
    """Two normal windows and the same with a loud leak, scored on every runtime that is installed."""
    spec = bundle.front_end
    audio, kinds, band_means = [], [], []
    for clip in (material.held_out[0], material.held_out[len(material.held_out) // 2]):
        normal = clip.samples[: spec.window_samples]
        leak = normal + _GOLDEN_LEAK * np.std(normal) * material.leak_noise(spec)
        for kind, samples in (("normal", normal), ("leak", leak)):
            scaled = samples * (0.5 / np.max(np.abs(samples)))
            audio.append(np.round(scaled * 32767).astype(np.int16))
            kinds.append(kind)
            band_means.append(material.means[clip.group])
    unscored = Golden(np.stack(audio), np.stack(band_means), tuple(kinds), {})
    return replace(unscored, errors=golden_errors(replace(bundle, golden=unscored)))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


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
