"""Scores of golden windows, each runtime in a process of its own.

Where TensorFlow is loaded too, its TFLite takes the place of tflite-runtime's: the errors would be those of another
interpreter than the unit's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from hydroear.errors import BundleError
from hydroear.model import Bundle, Runtime, available_runtimes, read_bundle, write_bundle
from hydroear.score import Scorer


def golden_errors(bundle: Bundle) -> dict[str, tuple[float, ...]]:
    """Errors of a bundle's golden windows on every runtime that is installed, by its name.

    Raises
    ------
    BundleError
        If the bundle does not run on one of them.
    """
    with tempfile.TemporaryDirectory(prefix="hydroear-") as folder:
        path = Path(folder) / "bundle"
        write_bundle(path, bundle)
        return {str(runtime): _in_own_process(path, runtime) for runtime in available_runtimes()}


def _in_own_process(path: Path, runtime: Runtime) -> tuple[float, ...]:
    command = [sys.executable, "-m", "hydroear_train.golden", str(path), str(runtime)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(
            f"does not run ({done.stderr.strip().splitlines()[-1]})", where=f"golden windows on {runtime}"
        )
    return tuple(json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(Scorer(read_bundle(Path(sys.argv[1])), Runtime(sys.argv[2])).golden_errors()))
