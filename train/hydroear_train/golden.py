"""Scores of a bundle on every installed runtime, each in a process of its own.

Where TensorFlow is loaded too, its TFLite takes the place of tflite-runtime's: the errors would be those of another
interpreter than the unit's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.errors import BundleError
from hydroear.model import Bundle, Kernels, Runtime, available_runtimes, kernels_here, read_bundle, write_bundle
from hydroear.score import Scorer


def golden_errors(bundle: Bundle) -> dict[str, tuple[float, ...]]:
    """Errors of a bundle's golden windows on every runtime that is installed, and with the reference kernels, by name.

    Raises
    ------
    BundleError
        If the bundle does not run on one of them.
    """
    found = _on_every_runtime(bundle, {}) if kernels_here() is Kernels.FAST else {}
    found[str(Kernels.REFERENCE)] = _in_own_process(bundle, {}, available_runtimes()[0], Kernels.REFERENCE)
    return {name: tuple(errors.tolist()) for name, errors in found.items()}


def window_errors(
    bundle: Bundle, features: NDArray[np.float32], band_means: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Errors of windows on every runtime that is installed, by its name; each shape (n,).

    Parameters
    ----------
    bundle
        The bundle.
    features
        float32, shape (n, window_frames, n_mels), as :class:`hydroear.dsp.Window` holds them.
    band_means
        float32, shape (n, n_mels): the normal mean of each band at the site of each window.

    Raises
    ------
    BundleError
        If the bundle does not run on one of them.
    """
    return _on_every_runtime(bundle, {"features": features, "band_means": band_means})


def _on_every_runtime(bundle: Bundle, windows: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    return {str(runtime): _in_own_process(bundle, windows, runtime, kernels_here()) for runtime in available_runtimes()}


def _in_own_process(
    bundle: Bundle, windows: dict[str, NDArray[Any]], runtime: Runtime, kernels: Kernels
) -> NDArray[np.float64]:
    with tempfile.TemporaryDirectory(prefix="hydroear-") as name:
        folder = Path(name)
        write_bundle(folder / "bundle", bundle)
        if windows:
            np.savez(folder / "windows.npz", **windows)
        command = [sys.executable, "-m", "hydroear_train.golden", name, str(runtime), str(kernels)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise BundleError(f"does not run ({reason})", where=f"{bundle.name} on {runtime}")
        errors: NDArray[np.float64] = np.load(folder / "errors.npy")
    return errors


def _score(folder: Path, runtime: Runtime, kernels: Kernels) -> None:
    scorer = Scorer(read_bundle(folder / "bundle"), runtime, kernels)
    if (folder / "windows.npz").exists():
        with np.load(folder / "windows.npz") as windows:
            pairs = zip(windows["features"], windows["band_means"], strict=True)
            errors = [scorer.score(features, band_mean).error for features, band_mean in pairs]
    else:
        errors = list(scorer.golden_errors())
    np.save(folder / "errors.npy", np.array(errors, dtype=np.float64))


if __name__ == "__main__":
    _score(Path(sys.argv[1]), Runtime(sys.argv[2]), Kernels(sys.argv[3]))
