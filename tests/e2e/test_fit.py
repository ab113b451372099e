"""The trainer, from a manifest to a bundle that the unit's own commands run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

from hydroear.model import available_runtimes, read_bundle
from hydroear.score import Scorer
from hydroear_train.simulate import write_corpus

QUICK = """\
front_end: {n_mels: 32, high_hz: 4000.0, window_frames: 32, window_hop_frames: 16}
extractor: {alpha: 0.35, frames_averaged: 2, layers: [block_1_expand_relu], steps: 40, pairs: 8, validation_pairs: 256}
normals: {simulated_sites: 2, simulated_s: 8}
leaks: {snr_db: [30, 40]}
autoencoder: {components: 6, hidden: 16, bottleneck: 2, epochs: 10, windows: 256}
"""


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hydroear_train.cli", "fit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def hydroear(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hydroear.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    write_corpus(folder, sites=2, recordings_per_site=2, duration_s=12.0, leak_fraction=0.0, seed=4)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "quick.yaml"
    file.write_text(QUICK)
    return file


@pytest.fixture(scope="module")
def run(corpus: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    done = train("--manifest", corpus / "manifest.csv", "--recipe", recipe, "--out", folder, "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert Path(outcome["bundle"]) == folder / "first.hydroear"
    assert "extractor" in done.stderr
    assert "100%" in done.stderr
    return folder


def test_a_run_leaves_recipe_metrics_curves_and_bundle(run: Path) -> None:
    assert json.loads((run / "recipe.json").read_text())["extractor"]["steps"] == 40
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0.0 <= metrics["pretext_accuracy"] <= 1.0
    assert len(metrics["curves"]["extractor loss"]) == 40
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    bundle = read_bundle(run / "first.hydroear")
    assert bundle.provenance["recordings"] == 4
    assert len(bundle.provenance["data_sha256"]) == 64
    # Of each of four recordings the last fifth is held out: 2.4 s hold three windows.
    assert len(bundle.normal_errors) == 12


def test_the_bundle_runs_on_every_interpreter(run: Path) -> None:
    bundle = read_bundle(run / "first.hydroear")
    assert set(bundle.golden.errors) == {"reference", *map(str, available_runtimes())}
    script = (
        "import sys; from pathlib import Path; from hydroear.model import *; from hydroear.score import *;"
        "Scorer(read_bundle(Path(sys.argv[1])), Runtime(sys.argv[2])).check_golden()"
    )
    for runtime in available_runtimes():
        subprocess.run([sys.executable, "-c", script, run / "first.hydroear", str(runtime)], check=True)


def test_the_models_are_int8_inside_and_float_outside(run: Path) -> None:
    bundle = read_bundle(run / "first.hydroear")
    scorer = Scorer(bundle, available_runtimes()[0])
    assert len(bundle.extractor) < 4 * 400_000
    assert np.isfinite(scorer.score(np.zeros(bundle.front_end.shape, np.float32)).error)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    corpus: Path, recipe: Path, run: Path, tmp_path: Path
) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        done = train(
            "--manifest", corpus / "manifest.csv", "--recipe", recipe, "--out", tmp_path / name, "--name", "first",
            "--seed", seed, "--quiet",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    original = (run / "first.hydroear").read_bytes()
    assert (tmp_path / "same" / "first.hydroear").read_bytes() == original
    assert (tmp_path / "other" / "first.hydroear").read_bytes() != original


def test_calibrate_and_replay_take_the_bundle(corpus: Path, run: Path, tmp_path: Path) -> None:
    files = sorted(corpus.glob("*.wav"))
    bundle, site = run / "first.hydroear", tmp_path / "site.json"
    done = hydroear("calibrate", "--bundle", bundle, "--out", site, files[0])
    assert done.returncode == 0, done.stderr
    done = hydroear("replay", "--bundle", bundle, "--site", site, "--json", files[1])
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(line["kind"] == "window" for line in lines) == lines[-1]["windows_scored"] > 10


def rows(corpus: Path, target: Path, change: dict[str, str]) -> Path:
    """A copy of the corpus whose first row is changed."""
    shutil.copytree(corpus, target)
    lines = (target / "manifest.csv").read_text().splitlines()
    header, first = lines[0].split(","), lines[1].split(",")
    values = dict(zip(header, first, strict=True)) | change
    lines[1] = ",".join(values[name] for name in header)
    (target / "manifest.csv").write_text("\n".join(lines) + "\n")
    return target / "manifest.csv"


def refused(*arguments: object) -> tuple[int, str]:
    done = train(*arguments)
    assert done.returncode, "it was not refused"
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("hydroear-train: error:")]
    assert len(errors) == 1, done.stderr
    return done.returncode, errors[0]


def test_bad_data_and_recipes_are_refused_in_one_line(corpus: Path, recipe: Path, tmp_path: Path) -> None:
    manifest, out = corpus / "manifest.csv", tmp_path / "out"
    code, line = refused("--manifest", tmp_path / "gone.csv", "--out", out)
    assert (code, "gone.csv: cannot be read" in line) == (2, True)
    code, line = refused("--manifest", manifest, "--out", out, "--where", "colour=red")
    assert (code, "no column 'colour'" in line) == (2, True)
    code, line = refused("--manifest", manifest, "--out", out, "--where", "label=leak")
    assert (code, "no row meets the conditions" in line) == (2, True)
    (tmp_path / "bad.yaml").write_text("extractor: {stepps: 3}\n")
    code, line = refused("--manifest", manifest, "--out", out, "--recipe", tmp_path / "bad.yaml")
    assert (code, "extractor.stepps" in line) == (2, True)
    code, line = refused("--manifest", rows(corpus, tmp_path / "a", {"file": "gone.wav"}), "--out", out)
    assert (code, "gone.wav" in line) == (1, True)
    silent = rows(corpus, tmp_path / "b", {"file": "silent.wav"})
    scipy.io.wavfile.write(silent.parent / "silent.wav", 16000, np.zeros(160000, np.int16))
    code, line = refused("--manifest", silent, "--out", out)
    assert (code, "silent.wav: digital silence" in line) == (1, True)
    short = rows(corpus, tmp_path / "c", {"file": "short.wav"})
    scipy.io.wavfile.write(short.parent / "short.wav", 16000, np.ones(16000, np.int16))
    code, line = refused("--manifest", short, "--out", out)
    assert (code, "short.wav" in line, "too short" in line) == (1, True, True)
    nan = rows(corpus, tmp_path / "d", {"file": "nan.wav"})
    scipy.io.wavfile.write(nan.parent / "nan.wav", 16000, np.full(160000, np.nan, np.float32))
    code, line = refused("--manifest", nan, "--out", out)
    assert (code, "nan.wav" in line) == (1, True)
    slow = rows(corpus, tmp_path / "e", {"file": "slow.wav"})
    scipy.io.wavfile.write(slow.parent / "slow.wav", 4000, np.ones(40000, np.int16))
    code, line = refused("--manifest", slow, "--out", out, "--recipe", recipe)
    assert (code, "4000 Hz" in line) == (1, True)
    assert not out.exists()
