"""Cross-validation, from a manifest to the scores, through the command line."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hydroear.model import read_bundle
from hydroear_train.simulate import write_corpus

# Loud leaks and few parameters, so that networks this small are still the same in int8.
RECIPE = """\
front_end: {n_mels: 32, high_hz: 4000.0, window_frames: 32, window_hop_frames: 16}
extractor: {alpha: 0.35, frames_averaged: 2, layers: [block_1_expand_relu], steps: 40, pairs: 8, validation_pairs: 256}
leaks: {snr_db: [30, 40]}
autoencoder: {components: 6, hidden: 16, bottleneck: 2, epochs: 10, windows: 256}
"""
COLUMNS = ("--fold-column", "day", "--group-column", "site")
SITES = ("simulated-6-site001", "simulated-6-site002")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hydroear_train.cli", "crossval", *map(str, arguments)]


def crossval(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_records(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def wait_until_gone(group: int) -> None:
    """Until no process of a group is left; the interpreter's own helpers outlive their parent for a moment."""
    deadline_s = time.monotonic() + 10.0
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline_s, "a process is left behind"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated sites on two days, with leaks on both."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    write_corpus(folder, sites=2, recordings_per_site=8, duration_s=8.0, leak_fraction=0.5, seed=6)
    rows = records(folder / "manifest.csv")
    days = ("monday", "friday")
    return write_records(folder / "days.csv", [row | {"day": days[n % 2]} for n, row in enumerate(rows)])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(RECIPE)
    return file


@pytest.fixture(scope="module")
def out(manifest: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each day of each site, one seed, two fits at once."""
    scores = tmp_path_factory.mktemp("direct") / "scores.csv"
    arguments = ("--manifest", manifest, *COLUMNS, "--recipe", recipe, "--seeds", 1, "--jobs", 2, "--out", scores)
    done = crossval(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert "fitting: 100%" in done.stderr
    (scores.parent / "printed.json").write_text(done.stdout)
    return scores


@pytest.fixture(scope="module")
def transferred(manifest: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each day of each site by bundles of the other site and of a simulated one, two seeds."""
    scores = tmp_path_factory.mktemp("transfer") / "scores.csv"
    simulating = scores.with_name("recipe.yaml")
    simulating.write_text(recipe.read_text() + "normals: {simulated_sites: 1, simulated_s: 8}\n")
    arguments = ("--manifest", manifest, *COLUMNS, "--recipe", simulating, "--seeds", 2, "--jobs", 2, "--out", scores)
    done = crossval(*arguments, "--transfer", "--quiet")
    assert done.returncode == 0, done.stderr
    assert f"| {SITES[1]} | 8 (4 leak) |" in done.stdout
    assert "mean of 2 seeds" in done.stdout
    assert "4 fits" in done.stdout
    return scores


def test_every_window_of_every_recording_is_scored_once_a_seed(out: Path, transferred: Path, manifest: Path) -> None:
    truth = {row["file"]: row for row in records(manifest)}
    for scores, seeds in ((out, {"0"}), (transferred, {"0", "1"})):
        rows = records(scores)
        assert list(rows[0]) == ["file", "start_s", "score", "fold", "seed"]
        assert {(row["file"], row["seed"]) for row in rows} == {(file, seed) for file in truth for seed in seeds}
        assert all(row["fold"] == truth[row["file"]]["day"] for row in rows)
        windows = [(row["file"], row["start_s"], row["seed"]) for row in rows]
        assert len(set(windows)) == len(windows) > 10 * len(truth)


def test_the_mean_is_that_of_the_seeds_and_the_parts_belong_to_the_same_windows(transferred: Path) -> None:
    by_window = defaultdict(list)
    for row in records(transferred):
        by_window[row["file"], row["start_s"], row["fold"]].append(float(row["score"]))
    mean = records(transferred.with_suffix(".mean.csv"))
    assert list(mean[0]) == ["file", "start_s", "score", "fold"]
    assert len(mean) == len(by_window)
    for row in mean:
        seeds = by_window[row["file"], row["start_s"], row["fold"]]
        assert len(seeds) == 2
        assert float(row["score"]) == pytest.approx(np.mean(seeds))
    parts = records(transferred.with_suffix(".parts.csv"))
    windows = [[tuple(row[name] for name in ("file", "start_s", "fold", "seed")) for row in rows]
               for rows in (parts, records(transferred))]  # fmt: skip
    assert windows[0] == windows[1]
    scores, errors, distances = (
        np.array([float(row[name]) for row in rows])
        for rows, name in ((records(transferred), "score"), (parts, "error"), (parts, "distance"))
    )
    assert np.corrcoef(scores, errors + distances)[0, 1] > 0.5
    assert not np.array_equal(errors, distances)


def test_the_figures_printed_are_those_of_the_scores(out: Path, manifest: Path) -> None:
    printed = json.loads((out.parent / "printed.json").read_text())
    truth = {row["file"]: row for row in records(manifest)}
    assert [group["group"] for group in printed["groups"]] == list(SITES)
    assert printed["fits"]["count"] == 4
    assert 0.0 < printed["fits"]["mean_s"] <= printed["fits"]["max_s"]
    for group in printed["groups"]:
        rows = [row for row in records(out) if truth[row["file"]]["site"] == group["group"]]
        leak = [truth[row["file"]]["label"] == "leak" for row in rows]
        auc = roc_auc_score(leak, [float(row["score"]) for row in rows])
        assert group["windows"] == len(rows)
        assert group["seed_mean"]["window_auc"] == group["mean_scores"]["window_auc"] == pytest.approx(auc, abs=1e-12)
        assert group["seed_sd"]["window_auc"] is None


def test_a_transfer_trains_one_bundle_a_group_and_seed_on_the_other_groups(
    transferred: Path, out: Path, manifest: Path
) -> None:
    rows = records(manifest)
    normals = {site: sum(row["site"] == site and row["label"] == "normal" for row in rows) for site in SITES}
    bundles = {
        folder: [read_bundle(path).provenance["recordings"] for path in (folder / "bundles").iterdir()]
        for folder in (transferred.with_suffix(".cache"), out.with_suffix(".cache"))
    }
    assert sorted(bundles[transferred.with_suffix(".cache")]) == sorted(2 * list(normals.values()))
    # Without it, of either day of each site.
    assert sum(bundles[out.with_suffix(".cache")]) == sum(normals.values())
    assert len(bundles[out.with_suffix(".cache")]) == 4


def test_an_interrupted_run_goes_on_where_it_was_and_jobs_do_not_change_what_it_gives(
    out: Path, manifest: Path, recipe: Path, tmp_path: Path
) -> None:
    site = write_records(manifest.with_name("one.csv"), [r for r in records(manifest) if r["site"] == SITES[0]])
    scores, cache = tmp_path / "scores.csv", tmp_path / "scores.cache"
    arguments = ("--manifest", site, *COLUMNS, "--recipe", recipe, "--seeds", 1, "--out", scores, "--quiet")
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command(*arguments), stdout=log, stderr=log, start_new_session=True) as process,
    ):
        while not (bundles := list(cache.glob("bundles/*.hydroear"))):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
    assert process.returncode == 130
    assert "Traceback" not in (tmp_path / "log").read_text()
    wait_until_gone(process.pid)
    assert not scores.exists()
    trained = {path: path.stat().st_mtime_ns for path in bundles}
    assert len(trained) == 1

    done = crossval(*arguments)
    assert done.returncode == 0, done.stderr
    bundles = list(cache.glob("bundles/*.hydroear"))
    assert len(bundles) == 2
    assert trained.items() <= {path: path.stat().st_mtime_ns for path in bundles}.items()
    # Files there are named by what they depend on and by what they hold.
    assert {path.name for path in bundles} < {path.name for path in out.with_suffix(".cache").glob("bundles/*")}
    files = {row["file"] for row in records(site)}
    assert records(scores) == [row for row in records(out) if row["file"] in files]


def test_a_group_without_leaks_is_scored_though_no_auc_is_defined(
    out: Path, manifest: Path, recipe: Path, tmp_path: Path
) -> None:
    rows = [row for row in records(manifest) if row["site"] != SITES[0] or row["label"] == "normal"]
    calm = write_records(manifest.with_name("calm.csv"), rows)
    scores = tmp_path / "scores.csv"
    scores.with_suffix(".cache").symlink_to(out.with_suffix(".cache"))
    done = crossval("--manifest", calm, *COLUMNS, "--recipe", recipe, "--seeds", 1, "--out", scores, "--quiet")
    assert done.returncode == 0, done.stderr
    assert f"site {SITES[0]}: only one class, so every AUC is undefined" in done.stdout
    assert done.stdout.count("undefined") == 2 * 5 + 1 + 1
    assert {row["file"] for row in records(scores)} == {row["file"] for row in rows}
    assert len(list(out.with_suffix(".cache").glob("bundles/*"))) == 4


def test_what_cannot_be_validated_is_refused_in_one_line_before_any_training(
    manifest: Path, recipe: Path, tmp_path: Path
) -> None:
    rows, folder = records(manifest), manifest.parent
    (tmp_path / "file").touch()

    def refused(changed: list[dict[str, str]], *arguments: object, out: Path = tmp_path / "new/scores.csv") -> str:
        given = write_records(folder / "changed.csv", changed)
        done = crossval("--manifest", given, "--recipe", recipe, "--out", out, "--quiet", *arguments)
        assert done.returncode in (1, 2), done.stderr
        (line,) = done.stderr.splitlines()
        assert not out.with_suffix(".cache").exists()
        return line

    silent = folder / "silent.wav"
    silent.write_bytes((folder / rows[0]["file"]).read_bytes()[:44] + bytes(8 * 16000 * 2))
    one_site = [row for row in rows if row["site"] == SITES[0]]
    no_normals = [row for row in one_site if row["day"] == "monday" or row["label"] == "leak"]
    for changed, arguments, message in (
        (rows, (*COLUMNS, "--seeds", 0), "--seeds: 0"),
        (rows, (*COLUMNS, "--jobs", 0), "--jobs: 0"),
        (rows, ("--fold-column", "week", "--group-column", "site"), "no column 'week'"),
        ([row for row in rows if row["day"] == "monday"], COLUMNS, f"site {SITES[0]}: one fold only"),
        (no_normals, COLUMNS, f"site {SITES[0]}: no normal recordings outside day monday"),
        (one_site, (*COLUMNS, "--transfer"), f"site {SITES[0]}: no normal recordings in other groups"),
        ([*rows, rows[0] | {"day": "sunday"}], COLUMNS, "the same recording as"),
        ([rows[0] | {"file": "gone.wav"}, *rows[1:]], COLUMNS, "gone.wav: cannot be read"),
        ([rows[0] | {"file": "silent.wav"}, *rows[1:]], COLUMNS, "silent.wav: digital silence at 0 s"),
    ):
        assert message in refused(changed, *arguments)
    assert "cannot be written" in refused(rows, *COLUMNS, out=tmp_path / "file/scores.csv")
